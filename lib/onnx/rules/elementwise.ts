/** Elementwise functions, in whatever order their operands are. */
import type { BinaryOp, UnaryOp } from '../../kernels/codes.ts';
import type { Activation } from '../../ops/epilogue.ts';
import type { Graph } from '../graph.ts';
import type { OnnxType } from '../messages.ts';
import type { Rules } from './rule.ts';

/** One operand, its type, and the parameters p and q of `unaryOps`; returns the name of the result. */
type Function = (graph: Graph, x: string, type: OnnxType, p: number, q: number) => string;

const single =
  (opType: string): Function =>
  (graph, x) =>
    graph.node(opType, [x]);

/** x > 0 ? x : otherwise; for float64, as attributes are float32 and onnxruntime has such ops for that alone. */
const positiveOr = (graph: Graph, x: string, type: OnnxType, otherwise: string) =>
  graph.node('Where', [graph.node('Greater', [x, graph.number(0, type)]), x, otherwise]);

const unary: Readonly<Record<UnaryOp, Function>> = {
  neg: single('Neg'),
  exp: single('Exp'),
  log: single('Log'),
  sqrt: single('Sqrt'),
  abs: single('Abs'),
  square: (graph, x) => graph.node('Mul', [x, x]),
  reciprocal: single('Reciprocal'),
  sign: single('Sign'),
  powScalar: (graph, x, type, p) => graph.node('Pow', [x, graph.number(p, type)]),
  scale: (graph, x, type, p, q) => {
    const scaled = p === 1 ? x : graph.node('Mul', [x, graph.number(p, type)]);
    return q === 0 ? scaled : graph.node('Add', [scaled, graph.number(q, type)]);
  },
  clip: (graph, x, type, low, high) =>
    graph.node('Clip', [x, graph.number(low, type), graph.number(high, type)]),
  relu: single('Relu'),
  leakyRelu: (graph, x, type, slope) =>
    type === 'float32'
      ? graph.node('LeakyRelu', [x], { alpha: { float: slope } })
      : positiveOr(graph, x, type, graph.node('Mul', [x, graph.number(slope, type)])),
  elu: (graph, x, type, alpha) =>
    type === 'float32'
      ? graph.node('Elu', [x], { alpha: { float: alpha } })
      : positiveOr(
          graph,
          x,
          type,
          graph.node('Mul', [unary.expm1(graph, x, type, 0, 0), graph.number(alpha, type)]),
        ),
  // x · ½(1 + erf(x / √2)): the op Gelu came with opset 20.
  gelu: (graph, x, type) => {
    const erf = graph.node('Erf', [graph.node('Div', [x, graph.number(Math.SQRT2, type)])]);
    const twice = graph.node('Mul', [x, graph.node('Add', [erf, graph.number(1, type)])]);
    return graph.node('Mul', [twice, graph.number(0.5, type)]);
  },
  silu: (graph, x, type) => graph.node('Mul', [x, unary.sigmoid(graph, x, type, 0, 0)]),
  // Of float64 made of others, as onnxruntime has it for float32 alone; likewise sigmoid, which it would join to others.
  softplus: (graph, x, type) => {
    if (type === 'float32') return graph.node('Softplus', [x]);
    const power = graph.node('Exp', [graph.node('Neg', [graph.node('Abs', [x])])]);
    const positive = graph.node('Max', [x, graph.number(0, type)]);
    return graph.node('Add', [positive, unary.log1p(graph, power, type, 0, 0)]);
  },
  sigmoid: (graph, x, type) => {
    if (type === 'float32') return graph.node('Sigmoid', [x]);
    const power = graph.node('Exp', [graph.node('Neg', [x])]);
    return graph.node('Reciprocal', [graph.node('Add', [power, graph.number(1, type)])]);
  },
  tanh: single('Tanh'),
  sin: single('Sin'),
  cos: single('Cos'),
  floor: single('Floor'),
  ceil: single('Ceil'),
  round: single('Round'),
  // Below 1 times x / ((1 + x) − 1), which makes up for the rounding of 1 + x (Kahan).
  log1p: (graph, x, type) => {
    const one = graph.number(1, type);
    const sum = graph.node('Add', [x, one]);
    const log = graph.node('Log', [sum]);
    const rounded = graph.node('Sub', [sum, one]);
    const near = graph.node('Div', [graph.node('Mul', [log, x]), rounded]);
    const isNone = graph.node('Equal', [rounded, graph.number(0, type)]);
    const isNear = graph.node('Less', [x, one]);
    return graph.node('Where', [isNear, graph.node('Where', [isNone, x, near]), log]);
  },
  // tanh(x / 2) · (eˣ + 1)
  expm1: (graph, x, type) => {
    const tanh = graph.node('Tanh', [graph.node('Mul', [x, graph.number(0.5, type)])]);
    return graph.node('Mul', [tanh, graph.node('Add', [graph.node('Exp', [x]), graph.number(1, type)])]);
  },
  logSigmoid: (graph, x, type) =>
    graph.node('Neg', [unary.softplus(graph, graph.node('Neg', [x]), type, 0, 0)]),
};

/** The name of g(x), for an activation that an op ends with. */
export function activated(graph: Graph, x: string, type: OnnxType, activation: Activation | null): string {
  if (activation === null) return x;
  return unary[activation.op](graph, x, type, activation.parameter, 0);
}

const binary: Readonly<Record<BinaryOp, string>> = {
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  pow: 'Pow',
  maximum: 'Max',
  minimum: 'Min',
  equal: 'Equal',
  notEqual: 'Equal',
  greater: 'Greater',
  greaterEqual: 'GreaterOrEqual',
  less: 'Less',
  lessEqual: 'LessOrEqual',
};

/** Those that compare, of which ours give numbers. */
const comparisons: ReadonlySet<BinaryOp> = new Set<BinaryOp>([
  'equal',
  'notEqual',
  'greater',
  'greaterEqual',
  'less',
  'lessEqual',
]);

export const elementwise: Rules<'binary' | 'lerp' | 'unary' | 'where'> = {
  unary(graph, [x], { op, p, q }, { shape, type }) {
    const order = graph.order([x], x.rank);
    const from = graph.name(x, order);
    const name = unary[op](graph, from, type, p, q);
    return name === from ? x : graph.value(name, shape, type, order);
  },

  binary(graph, inputs, { op }, { shape, type }) {
    const order = graph.order(inputs, shape.length);
    let name = graph.node(
      binary[op],
      inputs.map((x) => graph.operand(x, order)),
    );
    if (op === 'notEqual') name = graph.node('Not', [name]);
    if (comparisons.has(op)) name = graph.indicator(name, type);
    return graph.value(name, shape, type, order);
  },

  where(graph, inputs, _, { shape, type }) {
    const order = graph.order(inputs, shape.length);
    const [condition, a, b] = inputs.map((x) => graph.operand(x, order));
    return graph.value(graph.node('Where', [graph.truth(condition), a, b]), shape, type, order);
  },

  lerp(graph, inputs, { weight }, { shape, type }) {
    const order = graph.order(inputs, shape.length);
    const [x, end, by = graph.number(weight ?? 0, type)] = inputs.map((each) => graph.operand(each, order));
    const way = graph.node('Mul', [graph.node('Sub', [end, x]), by]);
    return graph.value(graph.node('Add', [x, way]), shape, type, order);
  },
};
