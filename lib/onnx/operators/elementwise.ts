/** Functions of one element, and of some with broadcasting. */
import { noGrad } from '../../autograd.ts';
import { track } from '../../extend.ts';
import type { Dtype } from '../../memory.ts';
import { where } from '../../ops/binary.ts';
import type { Tensor } from '../../tensor.ts';
import { type Element, isFloat, type Known, mapKnown, staysKnown } from '../known.ts';
import type { OnnxNode, Operator } from '../node.ts';
import { align, Held, isHeld, isKnown, toHeld, toTensor, type Value } from '../value.ts';

type OnTensor = (x: Tensor) => Tensor;
type OnNumber = (x: number) => number;

/** f(x), in whichever layout x is; `g` of what is known. */
export function unaryOf(f: OnTensor, g?: OnNumber): (x: Value) => Value {
  return (x) => {
    if (isKnown(x) && g) return mapKnown('map', x.dtype, g, [x]);
    const { own, isLast } = toHeld(x);
    return Held.of(f(own), isLast);
  };
}

const unary =
  (f: OnTensor, g?: OnNumber): Operator =>
  (node) => {
    node.checkInputs(1);
    const run = unaryOf(f, g);
    return ([x]) => run(x!);
  };

/** One whose attributes say which function it is. */
const unaryBy =
  (make: (node: OnnxNode) => OnTensor): Operator =>
  (node) => {
    node.checkInputs(1);
    const run = unaryOf(make(node));
    return ([x]) => run(x!);
  };

// ── what axpy has no kernel for ─────────────────────────────────────────────────────────────────────────────────────

/** erf(x) = 2·Φ(√2·x) − 1, with Φ from gelu(z) = z·Φ(z); the gradient is that of erf, as z may be 0. */
const erf: OnTensor = (x) => {
  const y = noGrad(() => {
    const z = x.mul(Math.SQRT2);
    const isZero = z.equal(0);
    const safe = where(isZero, 1, z);
    return where(isZero, 0, safe.gelu().div(safe).mul(2).sub(1));
  });
  return track(y, [x], (dy) => [dy.mul(x.square().neg().exp()).mul(2 / Math.sqrt(Math.PI))], [x]);
};

const leaky =
  (slope: number): OnTensor =>
  (x) =>
    slope >= 0 ? x.leakyRelu(slope) : x.relu().sub(x.neg().relu().mul(slope));

const hardSigmoid =
  (alpha: number, beta: number): OnTensor =>
  (x) =>
    x.mul(alpha).add(beta).clip(0, 1);

/** x where it is not 0, else NaN or Infinity; int32 of truth. */
export const truth = (x: Tensor): Tensor => (x.dtype === 'int32' ? x : x.cast('int32'));

/** 1 − x, of truth. */
const not: OnTensor = (x) => truth(x.equal(0));

// ── several operands ────────────────────────────────────────────────────────────────────────────────────────────────

/** The dtype in which operands meet: that of the first tensor, else of what is known. */
function commonDtype(values: readonly Value[]): Dtype {
  const held = values.find(isHeld);
  if (held !== undefined) return held.dtype;
  const { dtype } = values[0] as Known;
  return isFloat(dtype) ? dtype : 'int32';
}

interface Binary {
  /** Of tensors; of a tensor and a number where that is another kernel. */
  readonly f: (a: Tensor, b: Tensor | number) => Tensor;
  readonly g?: (a: number, b: number) => number;
  /** Whether the result is one of truth. */
  readonly isTest?: boolean;
  /** f(a, b) = f(b, a) */
  readonly commutes?: boolean;
}

/** A known number that spreads nothing: of one element, and no axis more than the other operand. */
const numberBeside = (b: Value, a: Value): b is Known =>
  isKnown(b) && b.values.length === 1 && b.shape.length <= a.shape.length && isHeld(a);

export function runBinary({ f, g, isTest = false, commutes = false }: Binary, a: Value, b: Value): Value {
  if (isKnown(a) && isKnown(b) && g && staysKnown('broadcast', [a, b])) {
    return mapKnown('broadcast', isTest ? 'bool' : widest(a, b), g, [a, b]);
  }
  const result = (y: Tensor, isLast: boolean) => Held.of(isTest ? truth(y) : y, isLast);
  if (isHeld(a) && numberBeside(b, a)) return result(f(a.own, b.values[0]), a.isLast);
  if (commutes && isHeld(b) && numberBeside(a, b)) return result(f(b.own, a.values[0]), b.isLast);
  const { xs, isLast } = align([a, b], commonDtype([a, b]));
  return result(f(xs[0], xs[1]), isLast);
}

const ranks: Readonly<Record<Element, number>> = { bool: 0, int: 1, float32: 2, float64: 3 };
const widest = (a: Known, b: Known): Element => (ranks[a.dtype] >= ranks[b.dtype] ? a.dtype : b.dtype);

const binary =
  (own: Binary): Operator =>
  (node) => {
    node.checkInputs(2);
    return ([a, b]) => runBinary(own, a!, b!);
  };

const test = (
  f: (a: Tensor, b: Tensor | number) => Tensor,
  g: (a: number, b: number) => boolean,
  commutes = false,
): Operator => binary({ f, g: (a, b) => Number(g(a, b)), isTest: true, commutes });

const isInteger = (x: Tensor) => x.dtype === 'int32';
const wide = (x: Tensor | number) => (typeof x === 'number' ? x : x.cast('float64'));

/** Of integers the quotient towards 0, as C has it. */
const div = (a: Tensor, b: Tensor | number): Tensor =>
  isInteger(a) ? a.cast('float64').div(wide(b)).cast('int32') : a.div(b);

/** a − b·⌊a / b⌋, of the sign of b. */
const mod = (a: Tensor, b: Tensor | number): Tensor => {
  const [x, y] = [a.cast('float64'), wide(b)];
  return x.sub(x.div(y).floor().mul(y)).cast(a.dtype);
};

/** Of the sign of a. */
const fmod = (a: Tensor, b: Tensor | number): Tensor => {
  const [x, y] = [a.cast('float64'), wide(b)];
  const quotient = x.div(y);
  return x.sub(quotient.abs().floor().mul(quotient.sign()).mul(y)).cast(a.dtype);
};

const pow: Operator = (node) => {
  node.checkInputs(2);
  return ([a, b]) => {
    if (isHeld(a!) && a.dtype !== 'int32' && numberBeside(b!, a)) {
      const [power] = (b as Known).values;
      const by = power === 2 ? a.own.square() : power === 0.5 ? a.own.sqrt() : a.own.pow(power);
      return Held.of(by, a.isLast);
    }
    if (isKnown(a) && isKnown(b) && staysKnown('pow', [a, b])) {
      return mapKnown('pow', a.dtype, (x, y) => x ** y, [a, b]);
    }
    const base = toHeld(a!);
    const isWhole = base.dtype === 'int32';
    const dtype = isWhole ? 'float64' : base.dtype;
    const powers = isHeld(b!) ? Held.of(b.own.cast(dtype), b.isLast) : Held.first(toTensor(b!, dtype));
    const bases = isWhole ? Held.of(base.own.cast(dtype), base.isLast) : base;
    const { xs, isLast } = align([bases, powers], dtype);
    const y = xs[0].pow(xs[1]);
    return Held.of(isWhole ? y.cast('int32') : y, isLast);
  };
};

/** f(f(a, b), c) … */
const fold =
  (own: Binary, finish?: (sum: Value, count: number) => Value): Operator =>
  (node) => {
    node.checkInputs(1, Infinity);
    return (inputs) => {
      const all = inputs.reduce((a, b) => runBinary(own, a!, b!))!;
      return finish ? finish(all, inputs.length) : all;
    };
  };

const add: Binary = { f: (a, b) => a.add(b), g: (a, b) => a + b, commutes: true };
export const mul: Binary = { f: (a, b) => a.mul(b), g: (a, b) => a * b, commutes: true };
const maximum: Binary = { f: (a, b) => a.maximum(b), g: Math.max, commutes: true };
const minimum: Binary = { f: (a, b) => a.minimum(b), g: Math.min, commutes: true };

const whereOperator: Operator = (node) => {
  node.checkInputs(3);
  return ([condition, a, b]) => {
    const values = [condition!, a!, b!];
    if (values.every(isKnown) && staysKnown('where', values)) {
      return mapKnown('where', (a as Known).dtype, (c, x, y) => (c !== 0 ? x : y), values);
    }
    const dtype = commonDtype([a!, b!]);
    const operands = [toHeld(condition!), toHeld(a!, dtype), toHeld(b!, dtype)];
    const { xs, isLast } = align(operands, dtype);
    return Held.of(where(xs[0], xs[1], xs[2]), isLast);
  };
};

const clip: Operator = (node) => {
  node.checkInputs(1, node.opset < 11 ? 1 : 3);
  const attributes = node.opset < 11 ? [node.float('min', -Infinity), node.float('max', Infinity)] : null;
  return ([x, low, high]) => {
    const isNumber = (bound: Value | undefined) =>
      bound === undefined || (isKnown(bound) && bound.values.length === 1);
    if (isHeld(x) && x.dtype !== 'int32' && isNumber(low) && isNumber(high)) {
      const from = attributes?.[0] ?? (low as Known | undefined)?.values[0] ?? -Infinity;
      const to = attributes?.[1] ?? (high as Known | undefined)?.values[0] ?? Infinity;
      const { own, isLast } = x;
      // Where the bounds cross, the upper one counts; a bound alone is no reason to refuse infinities.
      if (from === 0 && to === Infinity) return Held.of(own.relu(), isLast);
      return Held.of(own.clip(Math.min(from, to), to), isLast);
    }
    const raised = low === undefined ? x! : runBinary(maximum, x!, low);
    return high === undefined ? raised : runBinary(minimum, raised, high);
  };
};

const prelu: Operator = (node) => {
  node.checkInputs(2);
  return ([x, slope]) => {
    const own = toHeld(x!);
    // As it was before opset 7, and PyTorch means it: a slope for each channel.
    const { xs, isLast } = align([own, slope!], own.dtype);
    return Held.of(xs[0].relu().sub(xs[0].neg().relu().mul(xs[1])), isLast);
  };
};

const selu: (alpha: number, gamma: number) => OnTensor = (alpha, gamma) => (x) => x.elu(alpha).mul(gamma);

export const elementwise: Readonly<Record<string, Operator>> = {
  Abs: unary((x) => x.abs(), Math.abs),
  Neg: unary(
    (x) => x.neg(),
    (x) => -x,
  ),
  Exp: unary((x) => x.exp(), Math.exp),
  Log: unary((x) => x.log(), Math.log),
  Sqrt: unary((x) => x.sqrt(), Math.sqrt),
  Reciprocal: unary(
    (x) => x.reciprocal(),
    (x) => 1 / x,
  ),
  Sign: unary((x) => x.sign(), Math.sign),
  Floor: unary((x) => x.floor(), Math.floor),
  Ceil: unary((x) => x.ceil(), Math.ceil),
  Round: unary((x) => x.round()),
  Sin: unary((x) => x.sin(), Math.sin),
  Cos: unary((x) => x.cos(), Math.cos),
  Erf: unary(erf),
  IsNaN: unary((x) => truth(x.notEqual(x))),
  IsInf: (node) => {
    node.checkInputs(1);
    const [low, high] = [node.flag('detect_negative', true), node.flag('detect_positive', true)];
    return ([x]) =>
      unaryOf((own) => {
        if (low && high) return truth(own.abs().equal(Infinity));
        return truth(low || high ? own.equal(high ? Infinity : -Infinity) : own.mul(0).greater(0));
      })(x!);
  },
  Not: (node) => {
    node.checkInputs(1);
    return ([x]) =>
      isKnown(x) ? mapKnown('not', 'bool', (own) => Number(own === 0), [x]) : unaryOf(not)(x!);
  },
  Identity: (node) => {
    node.checkInputs(1);
    return ([x]) => x!;
  },

  Relu: unary((x) => (isInteger(x) ? x.maximum(0) : x.relu())),
  Sigmoid: unary((x) => x.sigmoid()),
  Tanh: unary((x) => x.tanh()),
  Softplus: unary((x) => x.softplus()),
  Softsign: unary((x) => x.div(x.abs().add(1))),
  Mish: unary((x) => x.mul(x.softplus().tanh())),
  LeakyRelu: unaryBy((node) => leaky(node.float('alpha', 0.01))),
  Elu: unaryBy((node) => {
    const alpha = node.float('alpha', 1);
    return (x) => x.elu(alpha);
  }),
  Celu: unaryBy((node) => {
    const alpha = node.float('alpha', 1);
    // max(x, 0) + min(α·(e^(x/α) − 1), 0)
    return (x) => x.div(alpha).elu(1).mul(alpha);
  }),
  Selu: unaryBy((node) =>
    selu(node.float('alpha', 1.6732631921768188), node.float('gamma', 1.0507010221481323)),
  ),
  HardSigmoid: unaryBy((node) => hardSigmoid(node.float('alpha', 0.2), node.float('beta', 0.5))),
  HardSwish: unary((x) => x.mul(hardSigmoid(1 / 6, 0.5)(x))),
  ThresholdedRelu: unaryBy((node) => {
    const alpha = node.float('alpha', 1);
    return (x) => where(x.greater(alpha), x, 0);
  }),
  Shrink: unaryBy((node) => {
    const [bias, lambda] = [node.float('bias', 0), node.float('lambd', 0.5)];
    return (x) => where(x.less(-lambda), x.add(bias), where(x.greater(lambda), x.sub(bias), 0));
  }),
  Gelu: unaryBy((node) =>
    node.choice('approximate', ['none', 'tanh'], 'none') === 'none'
      ? (x) => x.gelu()
      : (x) => {
          const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
          return x.mul(inner.tanh().add(1)).mul(0.5);
        },
  ),
  'axpy:Silu': unary((x) => x.silu()),
  PRelu: prelu,
  Clip: clip,

  Add: binary(add),
  Sub: binary({ f: (a, b) => a.sub(b), g: (a, b) => a - b }),
  Mul: binary(mul),
  Div: binary({ f: div, g: (a, b) => a / b }),
  Mod: (node) => {
    node.checkInputs(2);
    const own: Binary = node.flag('fmod', false)
      ? { f: fmod, g: (a, b) => a % b }
      : { f: mod, g: (a, b) => a - b * Math.floor(a / b) };
    return ([a, b]) => runBinary(own, a!, b!);
  },
  Pow: pow,
  Max: fold(maximum),
  Min: fold(minimum),
  Sum: fold(add),
  Mean: fold(add, (sum, count) =>
    isKnown(sum) ? mapKnown('mean', sum.dtype, (x) => x / count, [sum]) : unaryOf((x) => x.div(count))(sum),
  ),
  Equal: test(
    (a, b) => a.equal(b),
    (a, b) => a === b,
    true,
  ),
  Greater: test(
    (a, b) => a.greater(b),
    (a, b) => a > b,
  ),
  GreaterOrEqual: test(
    (a, b) => a.greaterEqual(b),
    (a, b) => a >= b,
  ),
  Less: test(
    (a, b) => a.less(b),
    (a, b) => a < b,
  ),
  LessOrEqual: test(
    (a, b) => a.lessEqual(b),
    (a, b) => a <= b,
  ),
  And: test(
    (a, b) => a.mul(b),
    (a, b) => a !== 0 && b !== 0,
    true,
  ),
  Or: test(
    (a, b) => a.maximum(b),
    (a, b) => a !== 0 || b !== 0,
    true,
  ),
  Xor: test(
    (a, b) => a.notEqual(b),
    (a, b) => a !== b,
    true,
  ),
  Where: whereOperator,
};
