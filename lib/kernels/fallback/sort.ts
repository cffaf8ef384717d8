import type { Data, Kernels } from '../../../binding.d.ts';

/** The places of the numbers of a line, in order, and of what is NaN. */
function orderOf(x: Data, first: number, size: number, stride: number, descending: boolean): Int32Array {
  const sign = descending ? -1 : 1;
  const keys = Float64Array.from({ length: size }, (_, i) => sign * x[first + i * stride]);
  const places = new Int32Array(size).map((_, i) => i);
  const [numbers, others] = [false, true].map((isNone) =>
    places.filter((i) => Number.isNaN(keys[i]) === isNone),
  );
  numbers.sort((a, b) => (keys[a] < keys[b] ? -1 : Number(keys[a] > keys[b])));
  places.set(descending ? others : numbers);
  places.set(descending ? numbers : others, descending ? others.length : numbers.length);
  return places;
}

export const argsort: Kernels['argsort'] = (out, x, outer, size, count, inner, descending) => {
  // Sizes whose product is 0 may be large.
  if (out.length === 0) return;
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < inner; j++) {
      const order = orderOf(x, o * size * inner + j, size, inner, descending === 1);
      for (let i = 0; i < count; i++) out[(o * count + i) * inner + j] = i < size ? order[i] : -1;
    }
  }
};
