/** The committed values of PyTorch, and how far others are from them. */
import { readFileSync } from 'node:fs';
import type { Tensor } from '../../lib/tensor.ts';

export type Numbers = readonly (number | 'NaN' | 'Infinity' | '-Infinity')[];

/** Numbers by name: parameters of a network, say. */
export type Named = Record<string, Numbers>;

export function read<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`./${name}.json`, import.meta.url), 'utf8')) as Content;
}

/** The first element that is off by more than `tolerance` times the larger of it and the typical one, or null. */
export function deviation(got: Tensor['data'], wanted: Numbers, tolerance: number): string | null {
  const want = wanted.map(Number);
  if (got.length !== want.length) return `${got.length} elements, wanted ${want.length}`;
  const single = got instanceof Float32Array;
  const finite = want.filter(Number.isFinite).map(Math.abs);
  // Elements are as exact as the rounding of the numbers they are sums of, whose size the mean stands for.
  const typical = finite.reduce((sum, value) => sum + value, 0) / Math.max(finite.length, 1);
  for (let i = 0; i < want.length; i++) {
    // What float32 cannot hold is Infinity there, and 0 what is too small for it.
    const target = single ? Math.fround(want[i]) : want[i];
    if (got[i] === target || (Number.isNaN(got[i]) && Number.isNaN(target))) continue;
    const allowed = tolerance * Math.max(Math.abs(target), Math.min(typical, 1e3)) + (single ? 2 ** -126 : 0);
    const off = Math.abs(got[i] - target);
    if (!(off <= allowed)) return `[${i}] is ${got[i]}, wanted ${want[i]}: off by ${off}, allowed ${allowed}`;
  }
  return null;
}
