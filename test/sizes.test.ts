/** Calls with sizes of 0 and of 2³¹ − 1 side by side return at once, as their arrays are short; a hang ends a child alone. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { geometryFields } from '../lib/kernels/codes.ts';
import { kernels } from '../lib/kernels/index.ts';
import { bundle } from './bundle.ts';
import { kernelNames } from './contract/signature.ts';

const child = bundle('test/sizes.child.ts');

test('every kernel, with sizes of 0, 1, 3 and 2³¹ − 1', () => {
  // A file takes all that is written before a call, whatever becomes of it.
  const journal = join(mkdtempSync(join(tmpdir(), 'axpy-')), 'calls');
  const out = openSync(journal, 'w');
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    [child, process.env.AXPY_BACKEND as string],
    { encoding: 'utf8', stdio: ['ignore', out, 'pipe'], timeout: 50_000 },
  );
  closeSync(out);
  const last = readFileSync(journal, 'utf8').trimEnd().split('\n').at(-1) as string;
  expect({ status, signal, stderr }, `the last call was ${last}`).toEqual({
    status: 0,
    signal: null,
    stderr: '',
  });
  const { calls, slow } = JSON.parse(last) as { calls: Record<string, number>; slow: string[] };
  expect(slow).toEqual([]);
  for (const kernel of kernelNames) expect(calls[kernel], kernel).toBeGreaterThan(40);
});

test('windows of more positions than an int32 counts are refused by every pooling', () => {
  const geometry = Int32Array.from(geometryFields, (field) => (field.startsWith('kernel') ? 2 ** 16 : 1));
  const [x, y] = [new Float32Array(1), new Float32Array(1)];
  for (const [name, call] of [
    ['maxPool', () => kernels.maxPool(y, new Int32Array(1), x, geometry)],
    ['maxPoolGradient', () => kernels.maxPoolGradient(y, x, new Int32Array(1), geometry)],
    ['averagePool', () => kernels.averagePool(y, x, geometry, 1)],
    ['averagePoolGradient', () => kernels.averagePoolGradient(y, x, geometry, 1)],
  ] as const) {
    expect(call).toThrow(
      expect.objectContaining({
        code: 'AXPY_KERNEL',
        message: `[${name}] expected geometry kernelHeight · kernelWidth to be at most 2147483647, got 4294967296`,
      }),
    );
  }
});
