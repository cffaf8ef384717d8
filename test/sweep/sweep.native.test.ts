/** The core of the sweeps over sizes, for each algorithm of convolution, and for each set of vectors. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const script = fileURLToPath(new URL('sweep.mjs', import.meta.url));
const ways = ['best', 'winograd', 'direct', 'im2col'];

test.each([
  ...ways.map((way) => ['AVX-512', way]),
  ...['SSE2', 'SSE4', 'AVX2'].flatMap((simd) => ['best', 'winograd'].map((way) => [simd, way])),
])('vectors of %s or the best below, algorithm %s', (simd, way) => {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [script, 'core'], {
    encoding: 'utf8',
    env: {
      ...process.env,
      AXPY_GUARD: '1',
      AXPY_SIMD: simd,
      AXPY_CONVOLUTION: way,
      // All products by blocks, or as each is fastest.
      AXPY_PRODUCT: way === 'best' ? 'blocks' : 'best',
    },
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  expect(Number.parseInt(stdout, 10)).toBeGreaterThan(1000);
});
