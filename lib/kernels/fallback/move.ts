import type { Data, Float } from '../../../binding.d.ts';
import {
  anyFinite,
  anySize,
  checkData,
  checkFinite,
  checkFloat,
  checkIndices,
  checkInt32,
  checkLength,
  checkLike,
  checkNumber,
  checkSize,
  refuse,
} from './check.ts';
import { checkDims, checkLayoutLength, checkReach, Walk } from './layout.ts';

/** From this many elements on a `set` of a subarray beats a loop. */
const longRun = 64;

/** Truncated towards zero; `| 0` alone would wrap around instead of saturating. */
function toInt32(value: number): number {
  if (value >= 2147483647) return 2147483647;
  return value <= -2147483648 ? -2147483648 : value | 0;
}

export function fill(out: Data, value: number): void {
  checkData('fill', 'out', out);
  const isInt = out instanceof Int32Array;
  checkNumber('fill', 'value', value, isInt ? anyFinite : 'a number');
  if (isInt) checkFinite('fill', 'value', value);

  out.fill(isInt ? toInt32(value) : value);
}

export function cast(out: Data, x: Data): void {
  checkData('cast', 'out', out);
  checkData('cast', 'x', x);
  checkLength('cast', 'x', x, out.length);

  if (out instanceof Int32Array && !(x instanceof Int32Array)) {
    for (let i = 0; i < x.length; i++) out[i] = toInt32(x[i]);
  } else {
    out.set(x);
  }
}

const walk = new Walk(2);

export function copy(out: Data, x: Data, layout: Int32Array): void {
  checkData('copy', 'out', out);
  checkLike('copy', 'x', x, 'out', out);
  checkInt32('copy', 'layout', layout);
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
}

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

export function gather(
  out: Data,
  x: Data,
  indices: Int32Array,
  count: number,
  rows: number,
  width: number,
): void {
  checkData('gather', 'out', out);
  checkLike('gather', 'x', x, 'out', out);
  checkInt32('gather', 'indices', indices);
  checkNumber('gather', 'count', count, anySize);
  checkNumber('gather', 'rows', rows, anySize);
  checkNumber('gather', 'width', width, anySize);
  checkSize('gather', 'count', count);
  checkSize('gather', 'rows', rows);
  checkSize('gather', 'width', width);
  checkLength('gather', 'out', out, count * width);
  checkLength('gather', 'x', x, rows * width);
  checkLength('gather', 'indices', indices, count);
  checkIndices('gather', 'indices', indices, rows);

  for (let i = 0; i < count; i++) copyRun(out, i * width, 1, x, indices[i] * width, 1, width);
}

export function scatterAdd(
  out: Float,
  x: Float,
  indices: Int32Array,
  count: number,
  rows: number,
  width: number,
): void {
  checkFloat('scatterAdd', 'out', out);
  checkLike('scatterAdd', 'x', x, 'out', out);
  checkInt32('scatterAdd', 'indices', indices);
  checkNumber('scatterAdd', 'count', count, anySize);
  checkNumber('scatterAdd', 'rows', rows, anySize);
  checkNumber('scatterAdd', 'width', width, anySize);
  checkSize('scatterAdd', 'count', count);
  checkSize('scatterAdd', 'rows', rows);
  checkSize('scatterAdd', 'width', width);
  checkLength('scatterAdd', 'out', out, rows * width);
  checkLength('scatterAdd', 'x', x, count * width);
  checkLength('scatterAdd', 'indices', indices, count);
  checkIndices('scatterAdd', 'indices', indices, rows);

  let from = 0;
  for (let i = 0; i < count; i++) {
    let to = indices[i] * width;
    for (const end = from + width; from < end; from++, to++) out[to] += x[from];
  }
}

export function oneHot(out: Float, labels: Int32Array, count: number, classes: number): void {
  checkFloat('oneHot', 'out', out);
  checkInt32('oneHot', 'labels', labels);
  checkNumber('oneHot', 'count', count, anySize);
  checkNumber('oneHot', 'classes', classes, anySize);
  checkSize('oneHot', 'count', count);
  checkSize('oneHot', 'classes', classes);
  checkLength('oneHot', 'out', out, count * classes);
  checkLength('oneHot', 'labels', labels, count);
  checkIndices('oneHot', 'labels', labels, classes);

  out.fill(0);
  for (let i = 0; i < count; i++) out[i * classes + labels[i]] = 1;
}
