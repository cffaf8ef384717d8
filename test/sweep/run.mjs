/**
 * The sweep for every set of vectors that this CPU has and every algorithm of convolution and of products, each in a process of its own.
 *
 *     node test/sweep/run.mjs [core]
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('sweep.mjs', import.meta.url));
/** With the best algorithms all products are by blocks, with the others as each is fastest. */
const productOf = (way) => (way === 'best' ? 'blocks' : 'best');
let failed = 0;
for (const simd of ['SSE2', 'SSE4', 'AVX2', 'AVX-512']) {
  for (const way of ['best', 'winograd', 'direct', 'im2col']) {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [script, ...process.argv.slice(2)],
      {
        encoding: 'utf8',
        env: { ...process.env, AXPY_SIMD: simd, AXPY_CONVOLUTION: way, AXPY_PRODUCT: productOf(way) },
      },
    );
    const reported = /Sanitizer|runtime error/.test(stderr);
    if (status !== 0 || reported) failed++;
    console.log(
      `${simd}, ${way}: ${status === 0 && !reported ? stdout.trim() : `${status ?? signal}\n${stderr}`}`,
    );
  }
}
process.exit(failed === 0 ? 0 : 1);
