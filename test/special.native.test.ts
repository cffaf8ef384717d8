/**
 * Both implementations agree on NaN, infinities, zeros, and the largest and smallest numbers, whatever instructions the
 * addon uses, which it chooses at load: each in a process of its own.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { binaryOps, lossOps, reduceOps, unaryOps } from '../lib/kernels/codes.ts';
import { bundle } from './bundle.ts';

const child = bundle('test/special.child.ts');

interface Findings {
  problems: string[];
  met: string[];
}

function findings(simd: string, runs: number): Findings {
  const { status, stdout, stderr } = spawnSync(process.execPath, [child, String(runs)], {
    encoding: 'utf8',
    env: { ...process.env, AXPY_SIMD: simd },
    maxBuffer: 2 ** 26,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Findings;
}

const patience = 240_000;

test('special values, vectors of the best kind', { timeout: patience }, () => {
  const { problems, met } = findings('', 60);
  expect(problems).toEqual([]);
  // No op is left out.
  const ops = {
    unary: unaryOps,
    binary: binaryOps,
    binaryGradient: binaryOps,
    reduce: reduceOps,
    loss: lossOps,
  };
  for (const [kernel, names] of Object.entries({ ...ops, unaryGradient: unaryOps, lossGradient: lossOps })) {
    for (const name of names) {
      for (const type of ['Float32Array', 'Float64Array']) expect(met).toContain(`${kernel} ${name} ${type}`);
    }
  }
});

test.each(['SSE2', 'SSE4', 'AVX2'])(
  'special values, vectors of %s or the best below',
  { timeout: patience },
  (simd) => {
    expect(findings(simd, 12).problems).toEqual([]);
  },
);
