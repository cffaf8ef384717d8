/** Operators that belong together, for which axpy has one kernel: they are done in one, with the weights as they are. */
import type { Shape } from '../shape.ts';
import type { Known } from './known.ts';
import type { GraphConfig, NodeConfig } from './node.ts';
import { activationOf, type FusedActivation, takesActivation } from './operators/epilogue.ts';

/** A node, and what follows it in the same kernel call. */
export interface Planned {
  readonly node: NodeConfig;
  readonly activation: FusedActivation;
}

/** What is known of the values that nodes read. */
export interface Surroundings {
  /** That of a weight; undefined for what is none. */
  shapeOf(name: string): Shape | undefined;
  constantOf(name: string): Known | undefined;
}

const branches = ({ op, attributes }: NodeConfig): GraphConfig[] =>
  op === 'If'
    ? (Object.values(attributes) as unknown as GraphConfig[]).filter((branch) => Array.isArray(branch?.nodes))
    : [];

/** Each name that something reads, as often as it does, in branches as well. */
export function* readsOf(nodes: readonly NodeConfig[], outputs: readonly string[]): Generator<string> {
  for (const node of nodes) {
    yield* node.inputs;
    for (const branch of branches(node)) yield* readsOf(branch.nodes, branch.outputs);
  }
  yield* outputs;
}

export function fuse(
  nodes: readonly NodeConfig[],
  outputs: readonly string[],
  { shapeOf, constantOf }: Surroundings,
): Planned[] {
  const readers = new Map<string, NodeConfig[]>();
  const reads = new Map<string, number>();
  for (const name of readsOf(nodes, outputs)) reads.set(name, (reads.get(name) ?? 0) + 1);
  const makers = new Map<string, NodeConfig>();
  for (const node of nodes) {
    for (const name of new Set(node.inputs)) {
      const list = readers.get(name);
      if (list === undefined) readers.set(name, [node]);
      else list.push(node);
    }
    for (const name of node.outputs) makers.set(name, node);
  }

  /** What a node's place holds instead: something else, or nothing. */
  const places = new Map<NodeConfig, NodeConfig | null>();
  const isFree = (node: NodeConfig | undefined, op: string): node is NodeConfig =>
    node !== undefined && node.op === op && !places.has(node) && node.outputs.length === 1;
  /** The only one that reads what a node makes. */
  const next = (node: NodeConfig, op: string): NodeConfig | undefined => {
    const [output] = node.outputs;
    const only = reads.get(output) === 1 ? readers.get(output)?.[0] : undefined;
    return isFree(only, op) ? only : undefined;
  };
  const before = (name: string, op: string): NodeConfig | undefined => {
    const maker = makers.get(name);
    return isFree(maker, op) ? maker : undefined;
  };
  const isNumber = (name: string, value: number) => {
    const values = constantOf(name)?.values;
    return values?.length === 1 && Math.abs(values[0] - value) <= 1e-6 * Math.abs(value);
  };
  /** The other operand of one that has a number. */
  const besides = ({ inputs: [a, b] }: NodeConfig, value: number, commutes = true): string | undefined => {
    if (isNumber(b, value)) return a;
    return commutes && isNumber(a, value) ? b : undefined;
  };
  const other = ({ inputs: [a, b] }: NodeConfig, name: string): string | undefined =>
    a === name ? b : b === name ? a : undefined;
  /** Puts one node where the last of some was. */
  const put = (gone: readonly NodeConfig[], node: Omit<NodeConfig, 'outputs' | 'name'>) => {
    for (const each of gone) places.set(each, null);
    const last = gone[gone.length - 1];
    places.set(last, { ...node, name: last.name, outputs: last.outputs });
  };

  /** How many columns the product with a weight has; undefined for what is none. */
  const columnsOf = (name: string): number | undefined => {
    const own = shapeOf(name);
    if (own !== undefined) return own.length === 2 ? own[1] : undefined;
    const turned = makers.get(name);
    const shape = turned?.op === 'Transpose' ? shapeOf(turned.inputs[0]) : undefined;
    return shape?.length === 2 && `${turned?.attributes.perm ?? '1,0'}` === '1,0' ? shape[0] : undefined;
  };

  /** x·W + b */
  const dense = (product: NodeConfig) => {
    const sum = next(product, 'Add');
    if (sum === undefined) return;
    const bias = other(sum, product.outputs[0]);
    const columns = columnsOf(product.inputs[1]);
    const shape = bias === undefined ? undefined : shapeOf(bias);
    if (columns === undefined || shape?.length !== 1 || shape[0] !== columns) return;
    put([product, sum], {
      op: 'axpy:Dense',
      inputs: [product.inputs[0], product.inputs[1], bias!],
      attributes: {},
    });
  };

  /** x·½·(1 + erf(x / √2)), in the orders in which it is written. */
  const gelu = (erf: NodeConfig) => {
    const scaled = before(erf.inputs[0], 'Div') ?? before(erf.inputs[0], 'Mul');
    if (scaled === undefined || reads.get(scaled.outputs[0]) !== 1) return;
    const x = scaled.op === 'Div' ? besides(scaled, Math.SQRT2, false) : besides(scaled, Math.SQRT1_2);
    const sum = next(erf, 'Add');
    const product = sum && next(sum, 'Mul');
    if (x === undefined || product === undefined || besides(sum!, 1) !== erf.outputs[0]) return;
    const factor = other(product, sum!.outputs[0])!;
    const half = before(factor, 'Mul');
    const inner = [scaled, erf, sum!];
    if (factor === x) {
      const last = next(product, 'Mul');
      if (last && besides(last, 0.5) === product.outputs[0]) {
        put([...inner, product, last], { op: 'Gelu', inputs: [x], attributes: {} });
      }
    } else if (half && besides(half, 0.5) === x && reads.get(factor) === 1) {
      put([...inner, half, product], { op: 'Gelu', inputs: [x], attributes: {} });
    }
  };

  /** x·σ(x) */
  const silu = (sigmoid: NodeConfig) => {
    const [x] = sigmoid.inputs;
    const product = next(sigmoid, 'Mul');
    if (product === undefined || other(product, sigmoid.outputs[0]) !== x) return;
    put([sigmoid, product], { op: 'axpy:Silu', inputs: [x], attributes: {} });
  };

  /** (x − μ) / √(σ² + ε)·w + b over the last axis. */
  const layerNorm = (mean: NodeConfig) => {
    const isOverLast = ({ attributes: { axes, keepdims = 1 } }: NodeConfig) =>
      `${axes}` === '-1' && keepdims === 1;
    const [x] = mean.inputs;
    const centered = next(mean, 'Sub');
    if (centered === undefined || centered.inputs[0] !== x || !isOverLast(mean)) return;
    const [deviation] = centered.outputs;
    const squared = readers
      .get(deviation)
      ?.find((node) => isFree(node, 'Pow') && besides(node, 2, false) === deviation);
    const variance = squared && next(squared, 'ReduceMean');
    const raised = variance && isOverLast(variance) ? next(variance, 'Add') : undefined;
    const root = raised && next(raised, 'Sqrt');
    const quotient = root && next(root, 'Div');
    const scaled = quotient && next(quotient, 'Mul');
    const shifted = scaled && next(scaled, 'Add');
    if (shifted === undefined || quotient!.inputs[0] !== deviation || reads.get(deviation) !== 2) return;
    const epsilon = other(raised!, variance!.outputs[0]);
    const given = epsilon === undefined ? undefined : constantOf(epsilon)?.values;
    const scale = other(scaled!, quotient!.outputs[0]);
    const shift = other(shifted, scaled!.outputs[0]);
    const shapes = [scale, shift].map((name) => (name === undefined ? undefined : shapeOf(name)));
    if (given?.length !== 1 || !(given[0] > 0) || shapes.some((shape) => shape?.length !== 1)) return;
    put([mean, centered, squared!, variance!, raised!, root!, quotient!, scaled!, shifted], {
      op: 'LayerNormalization',
      inputs: [x, scale!, shift!],
      attributes: { axis: -1, epsilon: given[0] },
    });
  };

  const fusions = new Map([
    ['MatMul', dense],
    ['Erf', gelu],
    ['Sigmoid', silu],
    ['ReduceMean', layerNorm],
  ]);
  for (const node of nodes) if (!places.has(node)) fusions.get(node.op)?.(node);

  /** The activation that ends a node, in place of the one after it. */
  const planned: Planned[] = [];
  const taken = new Set<NodeConfig>();
  for (const node of nodes) {
    const own = places.has(node) ? places.get(node)! : node;
    if (own === null || taken.has(own)) continue;
    const [output] = own.outputs;
    const only =
      takesActivation.has(own.op) && reads.get(output) === 1 ? readers.get(output)?.[0] : undefined;
    const activation = only === undefined || places.has(only) ? null : activationOf(only);
    if (activation === null) planned.push({ node: own, activation });
    else {
      taken.add(only!);
      planned.push({ node: { ...own, outputs: [...only!.outputs, ...own.outputs.slice(1)] }, activation });
    }
  }
  return planned;
}
