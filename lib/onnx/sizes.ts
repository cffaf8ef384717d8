/** Sizes that may depend on that of the batch. */

/** times · batch + plus */
export interface Affine {
  readonly times: number;
  readonly plus: number;
}

export type Size = number | Affine;

/** The size that has these values for these batches; null where there is none. */
export function sizeFrom(values: readonly number[], batches: readonly number[]): Size | null {
  const [first, second] = values;
  if (values.every((value) => Object.is(value, first))) return first;
  const times = (second - first) / (batches[1] - batches[0]);
  const plus = first - times * batches[0];
  if (!Number.isInteger(times) || !values.every((value, i) => value === times * batches[i] + plus))
    return null;
  return { times, plus };
}

export const isFixed = (sizes: readonly Size[]): sizes is readonly number[] =>
  sizes.every((size) => typeof size === 'number');

export function sameSize(a: Size, b: Size): boolean {
  if (typeof a === 'number' || typeof b === 'number') return a === b;
  return a.times === b.times && a.plus === b.plus;
}

export const sameSizes = (a: readonly Size[], b: readonly Size[]): boolean =>
  a.length === b.length && a.every((size, i) => sameSize(size, b[i]));

/** As in files and messages: `batch`, `2*batch + 1`. */
export function sizeText(size: Size): string {
  if (typeof size === 'number') return String(size);
  const { times, plus } = size;
  const part = times === 1 ? 'batch' : `${times}*batch`;
  if (plus === 0) return part;
  return `${part} ${plus < 0 ? '-' : '+'} ${Math.abs(plus)}`;
}

export const sizesText = (sizes: readonly Size[]): string => `[${sizes.map(sizeText).join(', ')}]`;

/** The product; null where the batch would be in it twice. */
export function productOf(sizes: readonly Size[]): Size | null {
  let factor = 1;
  let affine: Affine | null = null;
  for (const size of sizes) {
    if (typeof size === 'number') factor *= size;
    else if (affine === null) affine = size;
    else return null;
  }
  return affine === null ? factor : { times: factor * affine.times, plus: factor * affine.plus };
}
