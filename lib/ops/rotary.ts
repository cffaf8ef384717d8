/** Positions as rotations (Su et al., 2021). */
import { checkOptions, describe } from '../arguments.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { allocate, type FloatDtype } from '../memory.ts';
import { show } from '../shape.ts';
import { checkFloat, checkTensor, Tensor } from '../tensor.ts';
import { add, mul, sub } from './binary.ts';
import { concat, stack } from './concat.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';

/** Which numbers are turned together: i and i + size/2, as in GPT-NeoX and Llama; or neighbours, as in RoFormer. */
export type RotaryStyle = 'halves' | 'pairs';

/** Options of `rotary`. */
export interface RotaryOptions {
  /** Default 'halves'. */
  style?: RotaryStyle;
  /** Pair i is turned by position · base^(−2i/size); default 10,000. */
  base?: number;
  /** The position of the first vector; default 0. */
  first?: number;
}

/** @throws ArgumentError unless base is a finite number above 0 */
export function checkBase(op: string, base: number): void {
  if (Number.isFinite(base) && base > 0) return;
  throw new ArgumentError(`[${op}] expected base to be a finite number above 0, got ${describe(base)}`);
}

/** Fills sines, or cosines, of the angles of each position and pair: [length, size / 2]. */
export function fillAngles(
  out: { [at: number]: number },
  of: (angle: number) => number,
  length: number,
  pairs: number,
  base: number,
  first = 0,
): void {
  for (let i = 0, at = 0; i < length; i++) {
    for (let pair = 0; pair < pairs; pair++, at++) out[at] = of((first + i) * base ** (-pair / pairs));
  }
}

/** x [..., length, size] turned by angles whose cosines and sines are [length, size / 2]. */
export function turn(x: Tensor, cos: Tensor, sin: Tensor, style: RotaryStyle): Tensor {
  const size = x.shape[x.rank - 1];
  const isHalves = style === 'halves';
  const part = (i: number) =>
    slice(x, [
      ...x.shape.slice(0, -1).map(() => null),
      isHalves ? [(i * size) / 2, ((i + 1) * size) / 2] : [i, size, 2],
    ]);
  const [a, b] = [part(0), part(1)];
  const turned = [sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))];
  return isHalves ? concat(turned, -1) : reshape(stack(turned, -1), x.shape);
}

/**
 * Rotary position embedding (Su et al., 2021): each pair of numbers of a vector is turned by an angle that grows with its
 * position, so that products of two vectors depend on how far they are apart. For queries and keys of attention.
 * @param x [..., length, size], of an even size
 * @returns the shape of x
 * @throws ShapeError for another rank or an odd size, ArgumentError for options out of their domains
 */
export function rotary<D extends FloatDtype>(x: Tensor<D>, options: RotaryOptions = {}): Tensor<D> {
  const op = 'rotary';
  checkTensor(op, x);
  const dtype = checkFloat(op, x);
  checkOptions(op, options, ['style', 'base', 'first']);
  const { style = 'halves', base = 10_000, first = 0 } = options;
  if (style !== 'halves' && style !== 'pairs') {
    throw new ArgumentError(`[${op}] expected style to be 'halves' or 'pairs', got ${describe(style)}`);
  }
  checkBase(op, base);
  if (!Number.isFinite(first)) {
    throw new ArgumentError(`[${op}] expected first to be a finite number, got ${describe(first)}`);
  }
  const [length, size] = x.shape.slice(-2);
  if (x.rank < 2 || size % 2 !== 0) {
    throw new ShapeError(`[${op}] expected x [..., length, size] of an even size, got ${show(x.shape)}`);
  }
  const table = (of: (angle: number) => number) => {
    const values = allocate((length * size) / 2, dtype);
    fillAngles(values, of, length, size / 2, base, first);
    return new Tensor(values, [length, size / 2], dtype);
  };
  return turn(x, table(Math.cos), table(Math.sin), style) as Tensor<D>;
}
