import type { Kernels } from '../../../binding.d.ts';

export const cumulate: Kernels['cumulate'] = (out, x, outer, size, inner, product, reverse) => {
  // Sizes whose product is 0 may be large.
  if (out.length === 0) return;
  const step = reverse === 1 ? -inner : inner;
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < inner; j++) {
      let at = (o * size + (reverse === 1 ? size - 1 : 0)) * inner + j;
      let total: number = product;
      for (let i = 0; i < size; i++, at += step) {
        total = product === 1 ? total * x[at] : total + x[at];
        out[at] = total;
      }
    }
  }
};
