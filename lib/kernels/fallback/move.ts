import type { Data, Kernels } from '../../../binding.d.ts';
import { finite } from '../facts.ts';
import { refuse, refuseValue } from './check.ts';
import { checkDims, checkLayoutLength, checkReach, Walk } from './layout.ts';

/** From this many elements on a `set` of a subarray beats a loop. */
const longRun = 64;

/** Truncated towards zero; `| 0` alone would wrap around instead of saturating. */
function toInt32(value: number): number {
  if (value >= 2147483647) return 2147483647;
  return value <= -2147483648 ? -2147483648 : value | 0;
}

export const fill: Kernels['fill'] = (out, value) => {
  const isInt = out instanceof Int32Array;
  if (isInt && !finite.accepts(value)) refuseValue('fill', 'value', finite.expected, value);

  out.fill(isInt ? toInt32(value) : value);
};

export const cast: Kernels['cast'] = (out, x) => {
  if (out instanceof Int32Array && !(x instanceof Int32Array)) {
    for (let i = 0; i < x.length; i++) out[i] = toInt32(x[i]);
  } else {
    out.set(x);
  }
};

const walk = new Walk(2);

export const copy: Kernels['copy'] = (out, x, layout) => {
  checkLayoutLength('copy', layout, 3, 2, 0);
  const rank = (layout.length - 2) / 3;
  const count = checkDims('copy', layout, rank);
  if (count === 0) return;
  // More would write a position twice, in a time without a bound.
  if (count > out.length) {
    refuse('copy', 'layout', `name at most as many elements as out has (${out.length})`, String(count));
  }
  const outOffset = layout[3 * rank];
  const xOffset = layout[3 * rank + 1];
  checkReach('copy', layout, rank, 1, outOffset, 'out', out.length);
  checkReach('copy', layout, rank, 2, xOffset, 'x', x.length);

  walk.start(layout, rank);
  const { position, step, size } = walk;
  do {
    copyRun(out, outOffset + position[0], step[0], x, xOffset + position[1], step[1], size);
  } while (walk.next());
};

function copyRun(
  out: Data,
  o: number,
  outStep: number,
  x: Data,
  i: number,
  xStep: number,
  count: number,
): void {
  if (outStep === 1 && xStep === 1 && count >= longRun) {
    out.set(x.subarray(i, i + count), o);
    return;
  }
  for (let n = 0; n < count; n++, o += outStep, i += xStep) out[o] = x[i];
}

export const gather: Kernels['gather'] = (out, x, indices, count, _rows, width) => {
  for (let i = 0; i < count; i++) copyRun(out, i * width, 1, x, indices[i] * width, 1, width);
};

export const scatterAdd: Kernels['scatterAdd'] = (out, x, indices, count, _rows, width) => {
  let from = 0;
  for (let i = 0; i < count; i++) {
    let to = indices[i] * width;
    for (const end = from + width; from < end; from++, to++) out[to] += x[from];
  }
};

export const oneHot: Kernels['oneHot'] = (out, labels, count, classes) => {
  out.fill(0);
  for (let i = 0; i < count; i++) out[i * classes + labels[i]] = 1;
};
