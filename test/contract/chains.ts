/** Random calls of the kernel `fused`, and the calls that they stand for. */
import type { Data, Float, Kernels } from '../../binding.d.ts';
import { gradientFromOutput, reduceCode, reduceOps, unaryOps } from '../../lib/kernels/codes.ts';
import { instructionsFrom, type Op, ops } from '../../lib/kernels/instructions.ts';
import { allocate, type FloatDtype } from '../../lib/memory.ts';

export interface Chain {
  readonly outs: Float[];
  readonly ins: Data[];
  readonly layout: Int32Array<ArrayBuffer>;
  readonly code: Int32Array<ArrayBuffer>;
  readonly constants: Float64Array<ArrayBuffer>;
}

export interface ChainOptions {
  readonly dtype: FloatDtype;
  /** k0, r0, k1, r1 */
  readonly sizes: readonly number[];
  readonly instructions: number;
  /** The ops to draw from. */
  readonly ops: readonly Op[];
  /** Codes of `reduceOps` to draw from. */
  readonly reductions: readonly number[];
  /** Draws from [0, 1). */
  next(): number;
  value(): number;
}

const productOf = (list: readonly number[]) => list.reduce((product, size) => product * size, 1);

/** The sizes with some neighbours merged, and ones among them. */
function dimsOf(sizes: readonly number[], next: () => number): number[] {
  const dims: number[] = [];
  for (const size of sizes) {
    if (next() < 0.2) dims.push(1);
    if (dims.length > 0 && next() < 0.4) dims.push(dims.pop()! * size);
    else dims.push(size);
  }
  return dims.length === 1 && dims[0] === 1 && next() < 0.5 ? [] : dims;
}

/** An array and how it is read: whole, one number, or strided in some way. */
function randomIn(dims: readonly number[], { dtype, next, value }: ChainOptions): [Data, number[]] {
  const kind = next();
  const axes = dims.map((_, axis) => axis);
  if (kind > 0.6) axes.sort(() => next() - 0.5);
  const strides = dims.map(() => 0);
  let length = 1;
  for (const axis of axes.reverse()) {
    if (kind > 0.4 && next() < 0.4) continue;
    const step = kind > 0.8 && next() < 0.3 ? 2 : 1;
    strides[axis] = length * step;
    length *= dims[axis] * step;
  }
  let offset = kind > 0.7 ? Math.floor(next() * 4) : 0;
  length = kind > 0.3 && kind < 0.35 ? 1 : length + offset;
  if (length === 1) strides.fill(0);
  dims.forEach((dim, axis) => {
    if (kind <= 0.7 || dim === 0 || next() < 0.6) return;
    offset += (dim - 1) * strides[axis];
    strides[axis] *= -1;
  });
  const array =
    next() < 0.15 ? new Int32Array(length).map(() => 8 * next() - 4) : allocate(length, dtype).map(value);
  return [array as Data, [productOf(dims) === 0 ? 0 : offset, ...strides]];
}

/** Where a walk of distinct elements lies in an array: dense, or with gaps, its axes in any order and direction. */
function randomPlaces(dims: readonly number[], next: () => number): { length: number; walk: number[] } {
  const axes = dims.map((_, axis) => axis);
  if (next() < 0.5) axes.sort(() => next() - 0.5);
  const strides = dims.map(() => 0);
  let length = 1;
  for (const axis of axes.reverse()) {
    const gap = next() < 0.3 ? 1 + Math.floor(next() * 3) : 0;
    strides[axis] = length;
    length = length * dims[axis] + gap;
  }
  let offset = 0;
  dims.forEach((dim, axis) => {
    if (dim === 0 || next() < 0.8) return;
    offset += (dim - 1) * strides[axis];
    strides[axis] *= -1;
  });
  return { length, walk: [offset, ...strides] };
}

/** Gives the outs of positions places in arrays of their own, beside one another in one, or where an in is read. */
function place(
  outs: Float[],
  ends: readonly (readonly number[])[],
  dims: readonly number[],
  drawn: readonly (readonly [Data, number[]])[],
  { dtype, next, value }: ChainOptions,
): number[] {
  const stored = outs.flatMap((_, i) => (ends[i][1] < 0 ? [i] : []));
  const { length, walk } = randomPlaces(dims, next);
  const isBeside = next() < 0.5;
  const isWoven = next() < 0.5;
  const together = allocate(length * stored.length, dtype).map(value) as Float;
  const type = outs[0].constructor;
  const free = drawn.filter(
    ([array, [, ...strides]]) =>
      array.constructor === type && strides.every((stride, axis) => stride !== 0 || dims[axis] === 1),
  );
  return stored.flatMap((out, i) => {
    if (isBeside) {
      outs[out] = together;
      const [offset, ...strides] = walk;
      if (!isWoven) return [offset + i * length, ...strides];
      return [offset * stored.length + i, ...strides.map((stride) => stride * stored.length)];
    }
    const over = next() < 0.4 ? free.pop() : undefined;
    if (over !== undefined) {
      outs[out] = over[0] as Float;
      return over[1];
    }
    const own = randomPlaces(dims, next);
    outs[out] = allocate(own.length, dtype).map(value) as Float;
    return own.walk;
  });
}

export function randomChain(options: ChainOptions): Chain {
  const { dtype, sizes, next, value } = options;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)];
  const dims = dimsOf(sizes, next);
  const drawn = Array.from({ length: 1 + Math.floor(next() * 4) }, () => randomIn(dims, options));
  const ins = drawn.map(([array]) => array);
  const constants = Float64Array.from({ length: Math.floor(next() * 4) }, () =>
    next() < 0.3 ? Math.round(4 * next() - 2) : 4 * next() - 2,
  );
  const given = ins.length + constants.length;
  const constant = () =>
    constants.length === 0 || next() < 0.2 ? -1 : ins.length + Math.floor(next() * constants.length);
  let values = given;
  const any = () =>
    next() < 0.5 ? Math.max(0, values - 1 - Math.floor(next() * 3)) : Math.floor(next() * values);
  const code: number[] = [];
  for (let i = 0; i < options.instructions; i++) {
    const op = pick(options.ops);
    const operands = Array.from({ length: op.arrays }, any);
    if (op.form === 'lossSlope') operands[0] = Math.floor(next() * given);
    code.push(ops.indexOf(op), ...operands, ...Array.from({ length: op.parameters }, constant));
    values++;
  }
  const ends = Array.from({ length: 1 + Math.floor(next() * 3) }, () => {
    if (options.reductions.length === 0 || next() < 0.4) return [any(), -1, -1];
    const reduce = pick(options.reductions);
    const isExtreme = reduce === reduceCode.max || reduce === reduceCode.min;
    return [any(), reduce, isExtreme ? -1 : constant()];
  });
  const outs = ends.map(
    ([, end]) => allocate(end < 0 ? productOf(sizes) : sizes[0] * sizes[2], dtype).map(value) as Float,
  );
  const walks = drawn.flatMap(([, walk]) => walk);
  if (next() < 0.5) walks.push(...place(outs, ends, dims, drawn, options));
  return {
    outs,
    ins,
    layout: Int32Array.from([...sizes, dims.length, ...dims, ...walks]),
    code: Int32Array.from([ends.length, ...ends.flat(), ...code]),
    constants,
  };
}

const fromOutput = unaryOps.map((name) => (gradientFromOutput as readonly string[]).includes(name));

/** What the outs of a chain become by a call of another kernel for each of its instructions and ends. */
export function oneByOne(kernels: Kernels, { outs, ins, layout, code, constants }: Chain): Float[] {
  const type = outs[0].constructor as Float32ArrayConstructor;
  const [k0, r0, k1, r1, rank] = layout;
  const n = k0 * r0 * k1 * r1;
  const dims = layout.subarray(5, 5 + rank);
  const contiguous = dims.map((_, axis) => productOf([...dims.subarray(axis + 1)]));
  const numbers: Float[] = [];
  const values: Float[] = ins.map((array, i) => {
    const at = 5 + rank + i * (rank + 1);
    const [offset, ...strides] = layout.subarray(at, at + rank + 1);
    const own = new type(array.length);
    kernels.cast(own, array);
    const out = new type(n);
    kernels.copy(out, own, Int32Array.from([...dims, ...contiguous, ...strides, 0, offset]));
    numbers.push(own.slice(offset, offset + 1));
    return out;
  });
  for (const value of constants) {
    values.push(new type(n).fill(value));
    numbers.push(new type(1).fill(value));
  }
  for (const instruction of instructionsFrom(code, 1 + 3 * outs.length)) {
    values.push(call(kernels, instruction, values, numbers, constants, ins.length, new type(n)));
  }
  const after = new Map(outs.map((before) => [before, before.slice() as Float]));
  let at = 5 + rank + ins.length * (rank + 1);
  outs.forEach((before, i) => {
    const [value, end, scale] = code.subarray(1 + 3 * i, 4 + 3 * i);
    const out = after.get(before)!;
    if (end >= 0) {
      const by = scale < 0 ? 1 : constants[scale - ins.length];
      kernels.reduce(out, values[value], k0, r0, k1, r1, end, by);
    } else if (at === layout.length) {
      out.set(values[value]);
    } else {
      const [offset, ...strides] = layout.subarray(at, at + rank + 1);
      kernels.copy(out, values[value], Int32Array.from([...dims, ...strides, ...contiguous, offset, 0]));
      at += rank + 1;
    }
  });
  return outs.map((before) => after.get(before)!);
}

function call(
  kernels: Kernels,
  { op, operands }: ReturnType<typeof instructionsFrom>[number],
  values: readonly Float[],
  numbers: readonly Float[],
  constants: Float64Array,
  firstConstant: number,
  out: Float,
): Float {
  const [a, b, c] = operands
    .slice(0, op.arrays)
    .map((value) => (value < 0 ? null : values[value])) as Float[];
  const parameter = (i: number, none: number) => {
    const value = operands[op.arrays + i];
    return value < 0 ? none : constants[value - firstConstant];
  };
  switch (op.form) {
    case 'unary':
      kernels.unary(out, a, op.code, parameter(0, 0), parameter(1, 0));
      break;
    case 'binary':
      kernels.binary(out, a, b, null, op.code);
      break;
    case 'where':
      kernels.where(out, a, b, c, null);
      break;
    case 'unaryGradient': {
      const [x, y] = fromOutput[op.code] ? [null, b] : [b, null];
      kernels.unaryGradient(out, a, x, y, op.code, parameter(0, 0), parameter(1, 0));
      break;
    }
    case 'binaryGradient':
      kernels.binaryGradient(out, a, b, c, null, op.code, op.operand);
      break;
    case 'loss':
      kernels.loss(out, a, b, op.code, parameter(0, 0), parameter(1, 1));
      break;
    case 'lossGradient':
      kernels.lossGradient(out, a, b, c, op.code, parameter(0, 0), parameter(1, 1), op.operand);
      break;
    case 'lossSlope': {
      // Beside one element it would be that element's gradient.
      const twice = (x: Float) =>
        x.length === 1 ? new (x.constructor as Float32ArrayConstructor)(2).fill(x[0]) : x;
      const own = twice(out);
      const [p, t] = [twice(b), twice(c)];
      const gradient = numbers[operands[0]];
      if (out.length === 0) break;
      kernels.lossGradient(own, gradient, p, t, op.code, parameter(0, 0), parameter(1, 1), op.operand);
      out.set(own.subarray(0, out.length));
    }
  }
  return out;
}

export const everyReduction = reduceOps.map((_, code) => code);
