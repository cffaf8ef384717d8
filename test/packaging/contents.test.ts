/** What the package consists of: what it should, nothing else, and no more of it than people want to download. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { binaries as targets } from '../../scripts/binaries.ts';
import { binaries, npmPack, root } from './pack.ts';
import { emptyFolder } from './support.ts';

let folder: string;
let files: string[];

beforeAll(() => {
  folder = emptyFolder('axpy-contents-');
  execFileSync('tar', ['-xzf', inject('tarball'), '-C', folder]);
  folder = join(folder, 'package');
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
});

const read = (file: string) => readFileSync(join(folder, file));

test('every file is of a kind that belongs there', () => {
  const kinds = [
    /^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/,
    /^dist\/types\/package\.json$/,
    /^dist\/[\w./-]+\.(js|cjs|mjs|d\.ts|d\.cts)$/,
    /^prebuilds\/\w+-\w+\/axpy(\.glibc|\.musl)?\.node$/,
  ];
  expect(files.filter((file) => !kinds.some((kind) => kind.test(file)))).toEqual([]);
  const needed = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'dist/index.js', 'dist/index.cjs'];
  expect(files).toEqual(expect.arrayContaining([...needed, 'dist/index.d.ts', 'dist/browser.js']));
});

test('npm takes what was tested', () => {
  const packed = npmPack(root).files.map(({ path }) => path);
  const ours = (list: string[]) => list.filter((file) => !file.startsWith('prebuilds/')).sort();
  expect(ours(packed)).toEqual(ours(files));
});

test('what package.json names is there, and nothing runs at install', () => {
  const { exports, main, types, scripts, dependencies } = JSON.parse(read('package.json').toString());
  const named = [main, types, ...paths(exports)].map((path: string) => path.replace(/^\.\//, ''));
  expect(named.length).toBeGreaterThan(5);
  for (const path of named.filter((path) => !path.includes('*'))) expect(files).toContain(path);
  for (const path of named.filter((path) => path.includes('*'))) {
    const [start, end] = path.split('*');
    const some = files.filter((file) => file.startsWith(start) && file.endsWith(end));
    expect(some.length, path).toBeGreaterThanOrEqual(binaries.length);
  }
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
    expect(scripts).not.toHaveProperty(name);
  expect(files).not.toContain('binding.gyp');
  expect(Object.keys(dependencies)).toEqual(['cli-progress']);
});

/** The paths in a tree of conditions. */
function paths(tree: unknown): string[] {
  return typeof tree === 'string' ? [tree] : Object.values(tree as object).flatMap(paths);
}

test('each subpath has its files, in both formats and with types', () => {
  for (const target of Object.keys(targets)) {
    for (const end of ['module.js', 'mjs', 'cjs', 'd.ts', 'd.cts'])
      expect(files).toContain(`dist/targets/${target}.${end}`);
  }
  expect(read('dist/browser.js').toString()).not.toMatch(/runFolder|tfevents|uPlot/);
});

describe('size', () => {
  test('at most 40 MB unpacked and 14 MB packed', () => {
    const sizes = files.map((file) => read(file).length);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(40e6);
    expect(readFileSync(inject('tarball')).length).toBeLessThanOrEqual(14e6);
  });

  test('without the binaries at most 7.5 MB', () => {
    const sizes = files.filter((file) => !file.startsWith('prebuilds/')).map((file) => read(file).length);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(7.5e6);
  });
});

test('nothing tells where it was built, nor holds what nobody runs', () => {
  // A short one, as /root, is in texts that say nothing of this machine.
  const places = [root, homedir(), join('/home', userInfo().username)].filter((place) => place.length > 6);
  for (const file of files) {
    const text = read(file).toString('latin1');
    for (const place of places) expect(text.includes(place), `${place} in ${file}`).toBe(false);
    if (!file.endsWith('.node')) {
      expect(text, file).not.toMatch(/sourceMappingURL|\bfrom ["']node:|import\.meta|\/tmp\//);
    }
  }
});

test('the binaries are stripped', () => {
  const ofLinux = files.filter((file) => /^prebuilds\/linux.*node$/.test(file));
  for (const file of ofLinux) {
    const sections = execFileSync('readelf', ['-SW', join(folder, file)], { encoding: 'utf8' });
    expect(sections, file).not.toMatch(/\.debug_|\.symtab/);
  }
  expect(ofLinux.length > 0).toBe(process.platform === 'linux');
});

test('where scripts/prebuild.sh has made every binary, all are in the tarball', () => {
  const made = binaries.filter((file) => existsSync(join(root, file)));
  if (made.length === binaries.length) expect(files).toEqual(expect.arrayContaining(binaries));
  else expect(files.filter((file) => file.endsWith('.node'))).toHaveLength(1);
});
