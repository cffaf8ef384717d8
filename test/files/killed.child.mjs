/**
 * Saves one of two models after the other to the path in argv, without end; the parent kills it, or it does so itself as it
 * comes to the call of the file system that is in argv as well.
 */
import fs from 'node:fs';

const { full, saveSafetensors } = await import(new URL('../../dist/index.mjs', import.meta.url).href);
const [path, last] = process.argv.slice(2);
if (last !== undefined) {
  fs.promises[last] = () => {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  };
}
const versions = [1, 2].map((value) => ({
  a: full([50_000], value),
  b: full([3], value),
  c: full([200_000], value),
}));
process.stdout.write('ready');
for (let i = 0; ; i++) await saveSafetensors(path, versions[i % 2]);
