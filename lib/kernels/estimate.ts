/** The vocabulary of table.ts for what a call costs: see cost.ts. */
import type { Data, Float } from '../../binding.d.ts';
import { binaryOps, type GeometryField, geometryFields, lossOps, type UnaryOp, unaryOps } from './codes.ts';
import { describeCode, disassemble, instructionsFrom, type Op } from './instructions.ts';

/**
 * What the table says of a call. Without `bytes` each array counts once, or twice if it is updated; without `size` it is
 * the op and the sizes among the arguments, or the length of the first array.
 */
export interface Estimate {
  operations: number;
  size?: string;
  bytes?: number;
}

export const elementary = 16;
const elementaryUnary: ReadonlySet<UnaryOp> = new Set<UnaryOp>([
  'exp',
  'log',
  'powScalar',
  'elu',
  'gelu',
  'silu',
  'softplus',
  'sigmoid',
  'tanh',
  'log1p',
  'expm1',
  'logSigmoid',
  'sin',
  'cos',
]);

export const unaryWork = (op: number) => (elementaryUnary.has(unaryOps[op]) ? elementary : 1);
export const epilogueWork = (activation: number) => (activation < 0 ? 0 : unaryWork(activation));
export const times = (...sizes: number[]) => sizes.join('×');
export const product = (...sizes: number[]) => sizes.reduce((total, size) => total * size, 1);

/** What a layout reaches of an operand of a product, without what matrices share; its length where there is none. */
function operandBytes(array: Float, index: number, elements: number, layout: Int32Array | null): number {
  if (layout === null) return array.byteLength;
  const [, outer, inner] = layout.subarray(2 + 4 * index);
  const matrices = (outer === 0 ? 1 : layout[0]) * (inner === 0 ? 1 : layout[1]);
  return Math.min(layout[0] * layout[1], matrices) * elements * array.BYTES_PER_ELEMENT;
}

/** @param writes how often c is moved: 2 for one that is updated */
export function matrixProduct(
  c: Float,
  a: Float,
  b: Float,
  [batch, m, n, k, ta, tb]: readonly number[],
  layout: Int32Array | null,
  writes: 1 | 2,
): Estimate & { bytes: number } {
  const many = batch === 1 ? '' : `${batch} of `;
  // BLAS's notation: N as it is, T transposed.
  const form = `${ta === 1 ? 'T' : 'N'}${tb === 1 ? 'T' : 'N'}`;
  return {
    operations: 2 * batch * m * n * k,
    size: `${many}${times(m, n, k)} ${form}`,
    bytes:
      writes * operandBytes(c, 0, m * n, layout) +
      operandBytes(a, 1, m * k, layout) +
      operandBytes(b, 2, k * n, layout),
  };
}

function geometryOf(geometry: Int32Array): Record<GeometryField, number> {
  return Object.fromEntries(geometryFields.map((name, i) => [name, geometry[i]])) as never;
}

export function convolution(geometry: Int32Array, to: 'outChannels' | 'channels', epilogue = 0): Estimate {
  const g = geometryOf(geometry);
  const window = g.kernelHeight * g.kernelWidth;
  const outputs = g.batch * g.outHeight * g.outWidth * g.outChannels;
  const results = to === 'channels' ? g.batch * g.height * g.width * g.channels : outputs;
  const image =
    to === 'channels'
      ? times(g.batch, g.outHeight, g.outWidth, g.outChannels)
      : times(g.batch, g.height, g.width, g.channels);
  const strides = g.strideY * g.strideX === 1 ? '' : `, stride ${times(g.strideY, g.strideX)}`;
  const groups = g.groups === 1 ? '' : `, ${g.groups} groups`;
  return {
    operations: (2 * outputs * window * g.channels) / g.groups + epilogue * results,
    size: `${image} → ${g[to]}, ${times(g.kernelHeight, g.kernelWidth)}${strides}${groups}`,
  };
}

export function pooling(geometry: Int32Array, operations?: number): Estimate {
  const g = geometryOf(geometry);
  const all = product(g.batch, g.outHeight, g.outWidth, g.channels, g.kernelHeight, g.kernelWidth);
  return {
    operations: operations ?? all,
    size: `${times(g.batch, g.height, g.width, g.channels)}, ${times(g.kernelHeight, g.kernelWidth)}`,
  };
}

/** The positions of a window. */
export function windowOf(geometry: Int32Array): number {
  const { kernelHeight, kernelWidth } = geometryOf(geometry);
  return kernelHeight * kernelWidth;
}

/** A multiply-add for each pixel of weight in each output. */
export function interpolation(
  rows: Int32Array,
  rowShares: Float64Array,
  columns: Int32Array,
  columnShares: Float64Array,
  batch: number,
  height: number,
  width: number,
  channels: number,
): Estimate {
  const taps = (shares: Float64Array) => shares.reduce((sum, share) => sum + (share === 0 ? 1 : 2), 0);
  return {
    operations: 2 * batch * taps(rowShares) * taps(columnShares) * channels,
    size: `${times(batch, height, width, channels)} ↔ ${times(rows.length, columns.length)}`,
  };
}

/** Reads and writes of as many elements as there are in both arrays together. */
export const moves = (elements: number, array: Data) => 2 * elements * array.BYTES_PER_ELEMENT;

export const updates = (lists: readonly Float[], each: number): Estimate => {
  const total = lists.reduce((sum, { length }) => sum + length, 0);
  return { operations: each * total, size: `${total} in ${lists.length}` };
};

export function lossWork(op: number): number {
  const name = lossOps[op];
  return name === 'binaryCrossEntropy' || name === 'binaryCrossEntropyWithLogits' ? 2 * elementary : 4;
}

export const binaryWork = (op: number): number => (binaryOps[op] === 'pow' ? 2 * elementary : 1);

function workOf({ form, code }: Op): number {
  if (form === 'unary') return unaryWork(code);
  if (form === 'binary') return binaryWork(code);
  if (form === 'where') return 0;
  if (form === 'unaryGradient') return unaryWork(code) > 1 ? elementary + 2 : 2;
  if (form === 'binaryGradient') return 2 * binaryWork(code);
  return lossWork(code);
}

/** Each instruction of a list that meets elements; those of a side that is not chosen as well. */
export function instructionWork(
  outs: readonly Float[],
  _ins: readonly Float[],
  others: number,
  code: Int32Array,
): Estimate {
  const [k, m, s] = code;
  const total = outs.reduce((sum, { length }) => sum + length, 0) / k;
  const isElements = Array.from({ length: k + m + s + others }, (_, value) => value < k + m);
  let each = 0;
  for (const { op, operands } of instructionsFrom(code, 3 + k + s)) {
    const meets = operands.some((value) => isElements[value]);
    isElements.push(meets);
    if (meets) each += workOf(op);
  }
  return { operations: each * total, size: `${total} in ${outs.length / k}` };
}

/** Of a list at each position of a layout. An array counts with the elements that are read of it, once where they are broadcast. */
export function chainWork(
  outs: readonly Float[],
  ins: readonly Data[],
  layout: Int32Array,
  code: Int32Array,
): Estimate {
  const positions = product(...layout.subarray(0, 4));
  const { ends, instructions } = disassemble(code);
  const reductions = ends.filter(({ reduce }) => reduce !== null).length;
  const each = instructions.reduce((sum, { op }) => sum + workOf(op), reductions);
  const rank = layout[4];
  const dims = layout.subarray(5, 5 + rank);
  let bytes = 0;
  outs.forEach((out, i) => {
    bytes += (ends[i].reduce === null ? positions : out.length) * out.BYTES_PER_ELEMENT;
  });
  ins.forEach((array, i) => {
    const strides = layout.subarray(5 + rank + i * (rank + 1) + 1, 5 + rank + (i + 1) * (rank + 1));
    const elements = product(...dims.filter((_, axis) => strides[axis] !== 0));
    bytes += Math.min(elements, array.length) * array.BYTES_PER_ELEMENT;
  });
  return { operations: each * positions, bytes, size: `${positions}: ${describeCode(code)}` };
}
