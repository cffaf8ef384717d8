import type { Kernels } from '../../../binding.d.ts';

export const gatherAlong: Kernels['gatherAlong'] = (out, x, indices, outer, size, count, inner) => {
  // Sizes whose product is 0 may be large.
  if (indices.length === 0) return;
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < count; i++) {
      for (let j = o * size * inner, end = j + inner; j < end; j++, at++)
        out[at] = x[j + indices[at] * inner];
    }
  }
};

export const scatterAddAlong: Kernels['scatterAddAlong'] = (out, x, indices, outer, size, count, inner) => {
  if (indices.length === 0) return;
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < count; i++) {
      for (let j = o * size * inner, end = j + inner; j < end; j++, at++)
        out[j + indices[at] * inner] += x[at];
    }
  }
};
