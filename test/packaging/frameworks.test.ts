/** Test runners, loaders of TypeScript and Next.js. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  all,
  cjs,
  copies,
  emptyFolder,
  esm,
  expectNative,
  expectOne,
  prepare,
  run,
  toolProject,
  write,
} from './support.ts';

const node = process.execPath;

let folder: string;

beforeAll(async () => {
  folder = await toolProject();
});

/** A test of theirs around the stranger's program. */
const tested = (program: string, reason?: string) => `
  ${program.replace('main();', '').replace('console.log(', 'return (')}
  test('trains', async () => {
    const { backend, reason, loss, errors } = JSON.parse(await main());
    expect({ backend, reason, errors }).toEqual({
      backend: '${reason ? 'fallback' : 'native'}',
      ${reason ? `reason: '${reason}',` : ''}
      errors: ['AXPY_SHAPE', 'AXPY_INDEX'],
    });
    expect(loss).toBeCloseTo(0.002053984, 7);
  });
`;

describe('Jest', () => {
  const jest = async (name: string, config: object, file: string, text: string, flags: string[] = []) => {
    write(folder, {
      [`${name}/package.json`]: '{}',
      [`${name}/jest.config.json`]: JSON.stringify({ transform: {}, ...config }),
      [`${name}/${file}`]: text,
    });
    const cli = join(folder, 'node_modules/jest/bin/jest.js');
    return run(join(folder, name), node, [...flags, cli, '--colors=false']);
  };

  const vm = ['--experimental-vm-modules', '--no-warnings'];
  const jsdom = { testEnvironment: 'jsdom' };
  const asNode = { testEnvironmentOptions: { customExportConditions: ['node', 'require', 'default'] } };
  const browser = 'this is the build of axpy for browsers, which load no binary';

  test.each([
    ['CommonJS', {}, 'a.test.js', tested(cjs()), [], 1],
    ['ES modules', {}, 'a.test.mjs', tested(esm()), vm, 1],
    ['both formats in one test', {}, 'a.test.mjs', one(), vm, 1],
    ['resetModules', { resetModules: true }, 'a.test.js', again(), [], 2],
    ['jsdom, as a browser', jsdom, 'a.test.js', tested(cjs(), browser), [], 1],
    ['jsdom, as Node', { ...jsdom, ...asNode }, 'a.test.js', tested(cjs()), [], 1],
  ])('%s', async (title, config, file, text, flags, passed) => {
    const testMatch = ['**/*.test.?(m)js'];
    const name = `jest-${title.replace(/\W/g, '-')}`;
    const outcome = await jest(name, { testMatch, ...config }, file, text, flags);
    expect(outcome.code, all(outcome)).toBe(0);
    expect(outcome.stderr).toMatch(new RegExp(`Tests: +${passed} passed, ${passed} total`));
    expect(outcome.stderr).not.toMatch(/axpy:|did not exit|open handle/);
  });

  /** `import` and `require` of the package and of a subpath. */
  function one(): string {
    const subpath = `axpy/${process.platform}-${process.arch}`;
    return `
      import { createRequire } from 'node:module';
      import * as imported from 'axpy';
      import * as target from '${subpath}';
      test('are one library', () => {
        const require = createRequire(import.meta.url);
        const all = [imported, target, require('axpy'), require('${subpath}')];
        expect(new Set(all.map(({ Tensor }) => Tensor)).size).toBe(1);
        expect(imported.backendInfo().name).toBe('native');
      });`;
  }

  /** A second library after the first: each throws its own classes. */
  function again(): string {
    const [load, names] = /const (\{[^}]*\}) = require\('axpy'\);/.exec(cjs()) as RegExpExecArray;
    return `${tested(cjs().replace(load, `let ${names} = require('axpy');`))}
      test('trains again, by another copy of the library', async () => {
        const first = ShapeError;
        jest.resetModules();
        (${names} = require('axpy'));
        expect(ShapeError).not.toBe(first);
        const { backend, errors, loss } = JSON.parse(await main());
        expect({ backend, errors }).toEqual({ backend: 'native', errors: ['AXPY_SHAPE', 'AXPY_INDEX'] });
        expect(loss).toBeCloseTo(0.002053984, 7);
      });`;
  }
});

describe('Vitest', () => {
  test.each(['forks', 'threads', 'vmThreads'])('%s', async (pool) => {
    const name = `vitest-${pool}`;
    const imports = "import { expect, test } from 'vitest';";
    for (const file of ['a', 'b']) write(folder, { [`${name}/${file}.test.mjs`]: imports + tested(esm()) });
    const cli = join(folder, 'node_modules/vitest/vitest.mjs');
    const outcome = await run(join(folder, name), node, [cli, 'run', `--pool=${pool}`, '--root=.'], {
      CI: '1',
      NO_COLOR: '1',
    });
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/Tests +2 passed/);
  });
});

describe('TypeScript', () => {
  const typed = (text: string) => text.replace('(inputs, targets)', '(inputs: any, targets: any)');

  test.each([
    ['tsx, ES module', 'tsx/main.mts', ['node_modules/tsx/dist/cli.mjs']],
    ['tsx, CommonJS', 'tsx/main.ts', ['node_modules/tsx/dist/cli.mjs']],
    ['ts-node', 'ts-node/main.ts', ['node_modules/ts-node/dist/bin.js']],
  ])('%s', async (_, file, args) => {
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      useUnknownInCatchVariables: false,
    };
    write(folder, {
      'ts-node/tsconfig.json': JSON.stringify({ compilerOptions }),
      'ts-node/package.json': '{}',
    });
    write(folder, {
      'tsx/package.json': '{}',
      [file]: typed(esm()).replace('(Class, fn)', '(Class: any, fn: any)'),
    });
    expectNative(await run(folder, node, [...args, file]));
  });

  test.each(['copies.ts', 'copies.cts'])('ts-node, %s: one library', async (file) => {
    const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, esModuleInterop: true };
    write(folder, {
      'ts-node-copies/tsconfig.json': JSON.stringify({ compilerOptions }),
      'ts-node-copies/package.json': '{}',
      ...Object.fromEntries(Object.entries(copies()).map(([name, text]) => [`ts-node-copies/${name}`, text])),
    });
    const args = ['node_modules/ts-node/dist/bin.js', '--transpile-only', `ts-node-copies/${file}`];
    expectOne(await run(folder, node, args));
  });
});

describe('Next.js', () => {
  test.each([
    ['serverExternalPackages', { serverExternalPackages: ['axpy'] }, ['--turbopack']],
    ['bundled by Turbopack', {}, ['--turbopack']],
    ['bundled by webpack', {}, ['--webpack']],
  ])('%s', async (title, config, flags) => {
    const name = `next-${title.replace(/\W/g, '-')}`;
    write(folder, {
      [`${name}/package.json`]: '{ "private": true }',
      [`${name}/next.config.mjs`]: `export default ${JSON.stringify({ ...config, turbopack: { root: folder } })};`,
      [`${name}/app/layout.js`]:
        'export default ({ children }) => <html lang="en"><body>{children}</body></html>;',
      // A page that is made as it is built, by the server's code.
      [`${name}/app/page.js`]: `
        ${esm().replace('main();', '').replace('console.log(', 'return (')}
        export default async function Page() {
          const said = await main();
          console.log(said);
          return <p>{said}</p>;
        }
      `,
    });
    const cli = join(folder, 'node_modules/next/dist/bin/next');
    const env = { NEXT_TELEMETRY_DISABLED: '1', CI: '1' };
    const { stdout, stderr } = await prepare(join(folder, name), node, [cli, 'build', ...flags], env);
    const lines = stdout.split('\n').filter((line) => line.startsWith('{"backend"'));
    expect(lines, `${stdout}\n${stderr}`).not.toHaveLength(0);
    const last = lines.at(-1) as string;
    expectNative({ code: 0, stdout: last, stderr: stderr.includes('axpy:') ? stderr : '' });
  });

  test.each(['--turbopack', '--webpack'])('standalone, %s: the binary comes along', async (flag) => {
    const name = `next-standalone${flag}`;
    const config = { output: 'standalone', serverExternalPackages: ['axpy'] };
    write(folder, {
      [`${name}/package.json`]: '{ "private": true }',
      // The package has to be in the folder that is traced.
      [`${name}/next.config.mjs`]: `export default ${JSON.stringify({
        ...config,
        outputFileTracingRoot: folder,
        turbopack: { root: folder },
      })};`,
      [`${name}/pages/index.js`]: `
        import * as axpy from 'axpy';
        export const getServerSideProps = () => ({ props: { said: JSON.stringify(axpy.backendInfo()) } });
        export default ({ said }) => said;
      `,
    });
    const cli = join(folder, 'node_modules/next/dist/bin/next');
    await prepare(join(folder, name), node, [cli, 'build', flag], { NEXT_TELEMETRY_DISABLED: '1', CI: '1' });
    const away = emptyFolder();
    await prepare(folder, 'cp', ['-r', `${name}/.next/standalone/.`, away]);
    const { stdout } = await prepare(away, 'find', ['.', '-name', 'axpy*.node']);
    const [binary] = stdout
      .split('\n')
      .filter((file) => file.includes(`${process.platform}-${process.arch}`));
    expect(binary, stdout).toContain('/prebuilds/');
    // The package that was copied, as the server would load it.
    const own = join(away, binary, '../../..');
    write(away, { 'own.cjs': cjs(own) });
    expectNative(await run(away, node, ['own.cjs']));
  });
});
