/** Which implementation this run of the suite is on; without this, both runs could be on the same one unnoticed. */
import { expect, test } from 'vitest';
import { ArgumentError } from '../lib/errors.ts';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { backendInfo, kernels, setThreads, withKernels } from '../lib/kernels/index.ts';

const wanted = process.env.AXPY_BACKEND;

test('the suite runs on the backend of its project', () => {
  expect(wanted === 'native' || wanted === 'fallback').toBe(true);
  expect(backendInfo().name).toBe(wanted);
  expect(kernels === fallback).toBe(wanted === 'fallback');
});

test('backendInfo says what runs', () => {
  const { blas, simd, threads, reason } = backendInfo();
  expect(blas).toMatch(wanted === 'native' ? /OpenBLAS/i : /^none$/);
  expect(simd).not.toBe('');
  expect(threads).toBeGreaterThanOrEqual(1);
  // A reason is given only when nobody asked for the fallback.
  expect(reason).toBeUndefined();
});

test('setThreads checks its argument on both backends', () => {
  const before = backendInfo().threads;
  for (const count of [0, -1, 65, 1.5, Number.NaN, '2', undefined]) {
    expect(() => setThreads(count as number), String(count)).toThrow(ArgumentError);
  }
  expect(backendInfo().threads).toBe(before);
  setThreads(3);
  expect(backendInfo().threads).toBe(wanted === 'native' ? 3 : 1);
  setThreads(before);
});

test('withKernels puts the chosen kernels back, also after an error', () => {
  const chosen = kernels;
  const other = { ...fallback };
  expect(withKernels(other, () => kernels)).toBe(other);
  expect(() =>
    withKernels(other, () => {
      throw new RangeError('inside');
    }),
  ).toThrow(RangeError);
  expect(kernels).toBe(chosen);
});
