/** Every TypeScript from 5.4 on, with each way to resolve modules that it has. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { checker, loose, plain, strictest } from './compilers.ts';
import { root } from './pack.ts';

const versions = ['5.4', '5.5', '5.6', '5.7', '5.8', '5.9', '6.0', '7.0'];

/** A way to resolve modules, the TypeScripts that have it, and the files that may be told apart under it. */
interface Way {
  options: object;
  from?: string;
  until?: string;
  esm: readonly string[];
  cjs: readonly string[];
}

const node = {
  esm: ['program.ts', 'program.mts', 'required.cts', 'target.cts', 'mixed.mts'],
  cjs: ['program.ts', 'program.mts', 'program.cts', 'required.cts', 'target.cts', 'mixed.mts'],
};

const ways: Record<string, Way> = {
  node16: { ...node, options: { module: 'node16' } },
  node18: { ...node, options: { module: 'node18' }, from: '5.8' },
  node20: { ...node, options: { module: 'node20' }, from: '5.9' },
  nodenext: { ...node, options: { module: 'nodenext' } },
  preserve: { ...node, options: { module: 'preserve' } },
  bundler: {
    options: { module: 'esnext', moduleResolution: 'bundler' },
    esm: ['program.ts', 'program.mts'],
    cjs: ['program.ts', 'program.mts', 'program.cts'],
  },
  node10: {
    options: { module: 'commonjs', moduleResolution: 'node10' },
    until: '5.9',
    // It does not read `exports`, and finds no subpaths.
    esm: ['required.cts'],
    cjs: ['program.ts', 'required.cts', 'whole.cts'],
  },
};

/** Programs that take a stream and a signal from where they run. */
const hosts = [
  ['Node', ['node.ts'], { types: ['node'], typeRoots: [join(root, 'node_modules/@types')], lib: ['es2022'] }],
  ['browser', ['browser.ts'], { lib: ['es2022', 'dom'] }],
] as const;

let check: Awaited<ReturnType<typeof checker>>['check'];
beforeAll(async () => {
  ({ check } = await checker());
});

describe.each(versions)('TypeScript %s', (version) => {
  const own = Object.entries(ways).filter(
    ([, { from = '5.4', until = '7.0' }]) => from <= version && version <= until,
  );

  test.each(own)('%s: ES modules, as strict as can be', async (_, { options, esm }) => {
    expect(await check({ version, type: 'module', files: esm, options: { ...strictest, ...options } })).toBe(
      '',
    );
  });

  test.each(own)('%s: CommonJS, as loose as can be', async (_, { options, cjs }) => {
    expect(await check({ version, files: cjs, options: { ...loose, ...options } })).toBe('');
  });

  test.each(hosts)('with the types of a host: %s', async (_, files, options) => {
    const all = { ...plain, target: 'es2022', declaration: true, module: 'nodenext', ...options };
    expect(await check({ version, type: 'module', files: [...files, 'library.mts'], options: all })).toBe('');
  });
});

// What is held against a compiler has to be seen by it.
test.each(versions)('TypeScript %s finds what is wrong', async (version) => {
  const options = { ...plain, module: 'nodenext' };
  const output = await check({ version, files: ['wrong.mts'], options });
  expect(output.match(/wrong\.mts\(\d+/g)).toHaveLength(4);
});
