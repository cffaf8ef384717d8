/** Saves one of two models after the other to the path in argv, without end; the parent kills it. */
const { full, saveSafetensors } = await import(new URL('../../dist/index.mjs', import.meta.url).href);
const [path] = process.argv.slice(2);
const versions = [1, 2].map((value) => ({
  a: full([50_000], value),
  b: full([3], value),
  c: full([200_000], value),
}));
process.stdout.write('ready');
for (let i = 0; ; i++) await saveSafetensors(path, versions[i % 2]);
