/** An import never breaks: whatever Node was told, whatever a bundler made of the library, wherever it was put. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';
import { afterAll, describe, expect, test } from 'vitest';
import type { BackendInfo } from '../lib/index.ts';
import { version } from '../lib/version.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const base = realpathSync(mkdtempSync(join(tmpdir(), 'axpy-hosts-')));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
function folder(): string {
  const path = join(base, String(count++));
  mkdirSync(path);
  return path;
}

const manifest = readFileSync(join(root, 'package.json'), 'utf8');
const built = join(root, 'build', 'Release', 'axpy.node');

/** An installed package that has nothing but its manifest and, unless left out, a binary. */
function installPackage(into: string, text = manifest, binary: string | null = built): void {
  const place = join(into, 'node_modules', 'axpy');
  mkdirSync(join(place, 'build', 'Release'), { recursive: true });
  writeFileSync(join(place, 'package.json'), text);
  if (binary !== null) cpSync(binary, join(place, 'build', 'Release', 'axpy.node'));
}

const program = `import * as axpy from ${JSON.stringify(join(root, 'lib/index.ts'))};
axpy.ones([3]).sum().item();
console.log(JSON.stringify(axpy.backendInfo()));`;

const formats = {
  'an ES module': { format: 'esm', outfile: 'program.mjs' },
  CommonJS: { format: 'cjs', outfile: 'program.cjs' },
  'minified CommonJS': { format: 'cjs', outfile: 'program.cjs', minify: true },
} satisfies Record<string, BuildOptions>;
type Format = keyof typeof formats;
const bundles = new Map<Format, string>();

/** The program and the library in one file, without any setting that would tell it where it lies. */
function bundleInto(path: string, format: Format): string {
  const options = formats[format];
  let text = bundles.get(format);
  if (text === undefined) {
    const { outputFiles, warnings } = buildSync({
      stdin: { contents: program, resolveDir: root, loader: 'ts' },
      bundle: true,
      platform: 'node',
      external: ['cli-progress'],
      write: false,
      logLevel: 'silent',
      ...options,
    });
    expect(warnings).toEqual([]);
    text = outputFiles[0].text;
    bundles.set(format, text);
  }
  const file = join(path, options.outfile);
  writeFileSync(file, text);
  return file;
}

interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

function run(file: string, args: string[] = [], env: Record<string, string> = {}, cwd = base): Ran {
  const { AXPY_BACKEND: _, AXPY_THREADS: __, AXPY_BINARY: ___, ...rest } = process.env;
  const options = { cwd, encoding: 'utf8' as const, env: { ...rest, ...env }, timeout: 50_000 };
  return spawnSync(process.execPath, [...args, file], options);
}

function infoOf({ status, stdout, stderr }: Ran): BackendInfo {
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as BackendInfo;
}

/** That the program ran on the fallback, and said why in these words, in both places. */
function expectFallback(ran: Ran, words: RegExp): void {
  const { name, reason } = infoOf(ran);
  expect([name, reason]).toEqual(['fallback', expect.stringMatching(words)]);
  const lines = ran.stderr.split('\n').filter((line) => line.startsWith('axpy: '));
  expect(lines).toEqual([`axpy: the TypeScript fallback serves, which is slower: ${reason}`]);
}

// These choose the backend themselves, so that both runs of the suite would do the same: one is enough.
const once = process.env.AXPY_BACKEND === 'native' ? describe : () => {};

const major = Number(process.versions.node.split('.')[0]);
const permission = major < 22 ? '--experimental-permission' : '--permission';

once('flags of Node', () => {
  const there = folder();
  installPackage(there);

  test.each(Object.keys(formats) as Format[])('without any, %s takes the binary', (format) => {
    const ran = run(bundleInto(there, format));
    expect([infoOf(ran).name, ran.stderr]).toEqual(['native', '']);
  });

  test('--no-addons', () => {
    expectFallback(run(bundleInto(there, 'CommonJS'), ['--no-addons']), /--no-addons/);
  });

  test('the permission model without addons', () => {
    const ran = run(bundleInto(there, 'CommonJS'), [permission, '--allow-fs-read=*']);
    expectFallback(ran, /--allow-addons/);
  });

  test('the permission model without reading', () => {
    const file = bundleInto(there, 'CommonJS');
    expectFallback(run(file, [permission, `--allow-fs-read=${file}`]), /--allow-fs-read/);
  });

  test.each(['--stack-trace-limit=0', '--jitless', '--enable-source-maps'])('%s changes nothing', (flag) => {
    for (const format of ['CommonJS', 'an ES module'] as const) {
      expect(infoOf(run(bundleInto(there, format), [flag])).name, format).toBe('native');
    }
  });

  test.each(['CommonJS', 'an ES module'] as const)('--frozen-intrinsics, %s', (format) => {
    expect(infoOf(run(bundleInto(there, format), ['--frozen-intrinsics'])).name).toBe('native');
  });

  test('without shared memory, of which the addon has need', () => {
    const file = join(there, 'alone.cjs');
    const own = bundleInto(there, 'CommonJS');
    writeFileSync(file, `delete globalThis.SharedArrayBuffer; require(${JSON.stringify(own)});`);
    expectFallback(run(file), /SharedArrayBuffer/);
  });
});

once('a bundle', () => {
  test('of which no package is anywhere near', () => {
    const ran = run(bundleInto(folder(), 'CommonJS'));
    expectFallback(ran, /no package axpy around .*program\.cjs.*import axpy\/\w+-\w+$/);
  });

  // Node itself refuses an ES module under these, but not CommonJS by its name.
  test.each([
    '',
    '{',
    '[]',
    'null',
    '42',
    '"axpy"',
    '{ "name": "axpy" }',
    '{ "name": "axpy", "exports": {} }',
  ])('under a package.json of %j', (text) => {
    const alone = folder();
    writeFileSync(join(alone, 'package.json'), text);
    expect(infoOf(run(bundleInto(alone, 'CommonJS'))).name).toBe('fallback');
    const beside = folder();
    writeFileSync(join(beside, 'package.json'), text);
    installPackage(beside);
    const { name, reason } = infoOf(run(bundleInto(beside, 'CommonJS')));
    expect(name, reason).toBe('native');
  });

  test('beside the package in another version does not use its binary', () => {
    const place = folder();
    installPackage(place, JSON.stringify({ ...JSON.parse(manifest), version: '99.0.0' }));
    expectFallback(run(bundleInto(place, 'an ES module')), /this is axpy [\d.]+, and .* is of axpy 99\.0\.0/);
  });

  test('beside something else of that name', () => {
    const place = folder();
    installPackage(place, 'no JSON');
    expectFallback(run(bundleInto(place, 'CommonJS')), /axpy/);
  });

  // What webpack and others put in its place: a made-up path, one of the machine that built it, a name that is not there.
  test.each(['"/index.js"', '"index.js"', '"/"', 'unknownName', 'null'])(
    'by a bundler that says %s for __filename',
    (value) => {
      const place = folder();
      installPackage(place);
      for (const format of ['cjs', 'esm'] as const) {
        const outfile = join(place, `program.${format === 'cjs' ? 'cjs' : 'mjs'}`);
        buildSync({
          stdin: { contents: program, resolveDir: root, loader: 'ts' },
          bundle: true,
          platform: 'node',
          external: ['cli-progress'],
          define: { __filename: value },
          format,
          outfile,
        });
        const { name, reason } = infoOf(run(outfile));
        expect(name, reason).toBe('native');
      }
    },
  );

  test('in a folder that is no more', () => {
    const place = folder();
    const gone = folder();
    const file = join(place, 'main.cjs');
    const own = bundleInto(place, 'CommonJS');
    writeFileSync(
      file,
      `process.chdir(${JSON.stringify(gone)});
       require('node:fs').rmdirSync(${JSON.stringify(gone)});
       require(${JSON.stringify(own)});`,
    );
    expect(infoOf(run(file)).name).toBe('fallback');
  });
});

once('a Node that is too old', () => {
  // As 18, 21 and 22.0 are: none of them gives its modules to who does not import them.
  const old = (version: string) => {
    const file = join(folder(), 'old.cjs');
    writeFileSync(
      file,
      `delete process.getBuiltinModule;
       Object.defineProperty(process.versions, 'node', { value: '${version}' });`,
    );
    return ['--require', file];
  };

  test.each(Object.keys(formats) as Format[])('is named, %s', (format) => {
    const place = folder();
    installPackage(place);
    expectFallback(
      run(bundleInto(place, format), old('21.7.3')),
      /this is Node 21\.7\.3, .* 20\.17 .* 22\.3/,
    );
  });

  test('is none that package.json says will do', () => {
    const { engines } = JSON.parse(manifest) as { engines: { node: string } };
    expect(engines.node).toBe('^20.17.0 || >=22.3.0');
  });
});

once('AXPY_BINARY', () => {
  test('helps a bundle', () => {
    const ran = run(bundleInto(folder(), 'CommonJS'), [], { AXPY_BINARY: built });
    expect([infoOf(ran).name, ran.stderr]).toEqual(['native', '']);
  });

  test('is relative to where the process is', () => {
    const ran = run(
      bundleInto(folder(), 'CommonJS'),
      [],
      { AXPY_BINARY: 'Release/axpy.node' },
      dirname(dirname(built)),
    );
    expect(infoOf(ran).name).toBe('native');
  });

  test('empty counts as unset', () => {
    expectFallback(run(bundleInto(folder(), 'CommonJS'), [], { AXPY_BINARY: '' }), /no package axpy/);
  });

  test('that is not there is an error, as somebody asked for it', () => {
    const { status, stderr } = run(bundleInto(folder(), 'CommonJS'), [], { AXPY_BINARY: '/not/here.node' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/BackendError: the binary cannot be loaded: .*AXPY_BINARY=\/not\/here\.node/);
  });

  test('in a process without addons falls back', () => {
    const ran = run(bundleInto(folder(), 'CommonJS'), ['--no-addons'], { AXPY_BINARY: built });
    expectFallback(ran, /--no-addons/);
  });
});

once('the installation', () => {
  test('with a binary of another version is broken, and says so', () => {
    const place = folder();
    installPackage(place);
    const text = readFileSync(bundleInto(place, 'CommonJS'), 'utf8');
    // As if this version of the library had codes that the binary does not know.
    const other = join(place, 'other.cjs');
    writeFileSync(other, text.replace(/codeLists = \{/, 'codeLists = { more: ["one"],'));
    expect(readFileSync(other, 'utf8')).not.toBe(text);
    const { status, stderr } = run(other);
    expect(status).toBe(1);
    expect(stderr).toMatch(/BackendError: .*axpy\.node does not match this version of axpy/);
  });

  test('with a binary built here that does not load takes the one that the package brings', () => {
    const place = folder();
    installPackage(place, manifest, null);
    const own = join(place, 'node_modules', 'axpy');
    writeFileSync(join(own, 'build', 'Release', 'axpy.node'), 'this is no shared object');
    for (const name of ['axpy.glibc.node', 'axpy.node']) {
      const target = join(own, 'prebuilds', `${process.platform}-${process.arch}`);
      mkdirSync(target, { recursive: true });
      cpSync(built, join(target, name));
    }
    const ran = run(bundleInto(place, 'CommonJS'));
    expect([infoOf(ran).name, ran.stderr]).toEqual(['native', '']);
  });
});

(process.platform === 'linux' ? once : () => {})('on musl', () => {
  const place = folder();
  installPackage(place, manifest, null);
  const fake = (text: string) => {
    const file = join(folder(), 'fake.cjs');
    writeFileSync(file, `const fs = require('node:fs'); const read = fs.readFileSync;\n${text}`);
    return ['--require', file];
  };
  const maps = (text: string) => `fs.readFileSync = (path, ...rest) => {
    if (path === '/proc/self/maps') ${text};
    return read(path, ...rest);
  };`;
  // With a log of what the report was told of the network, and is told afterwards.
  const report = (header: string) => `${maps("throw new Error('no access')")}
    process.report.excludeNetwork = false;
    process.report.getReport = () => {
      if (process.report.excludeNetwork !== true) throw new Error('looks up names');
      return { header: ${header} };
    };
    process.on('exit', () => {
      if (process.report.excludeNetwork !== false) process.exitCode = 9;
    });`;
  const reason = (text: string) => infoOf(run(bundleInto(place, 'CommonJS'), fake(text))).reason;

  test.each([
    ['its loader in the memory of the process', maps("return '7f00-7f01 r-xp /lib/ld-musl-x86_64.so.1'")],
    ['a report without a version of glibc', report('{}')],
  ])('%s: looks for the binary of musl', (_, text) => {
    expect(reason(text)).toContain(`no prebuilds/${process.platform}-${process.arch}/axpy.musl.node`);
  });

  test.each([
    [
      'another loader in the memory of the process',
      maps("return '7f00-7f01 r-xp /lib64/ld-linux-x86-64.so.2'"),
    ],
    ['a report with a version of glibc', report("{ glibcVersionRuntime: '2.28' }")],
    [
      'no report',
      `${maps("throw new Error('no access')")} process.report.getReport = () => { throw new Error('none'); };`,
    ],
  ])('%s: looks for that of glibc', (_, text) => {
    expect(reason(text)).toContain(`no prebuilds/${process.platform}-${process.arch}/axpy.glibc.node`);
  });
});

once('a process of several threads', () => {
  const lines = (ran: Ran) => ran.stderr.split('\n').filter((line) => line.startsWith('axpy: ')).length;
  const threads = (before: string) => `
    const { isMainThread, Worker } = require('node:worker_threads');
    const library = ${JSON.stringify(bundleInto(folder(), 'CommonJS'))};
    if (!isMainThread) require(library);
    else {
      ${before};
      const start = (left) => left > 0 && new Worker(__filename).on('exit', () => start(left - 1));
      start(3);
    }`;

  test.each([
    ['says it once where the main thread has the library', 'require(library)', 1],
    ['says it in each thread where nobody before them knows', '', 3],
  ])('%s', (_, before, expected) => {
    const file = join(folder(), 'threads.cjs');
    writeFileSync(file, threads(before));
    const ran = run(file);
    expect(ran.status, ran.stderr).toBe(0);
    expect(lines(ran), ran.stderr).toBe(expected);
  });

  test('says it once for two copies', () => {
    const place = folder();
    const file = join(place, 'copies.cjs');
    const own = bundleInto(folder(), 'CommonJS');
    writeFileSync(
      file,
      `const own = ${JSON.stringify(own)}; require(own); delete require.cache[own]; require(own);`,
    );
    expect(lines(run(file))).toBe(1);
  });
});

once('AXPY_THREADS', () => {
  test.each(['native', 'fallback'])('is checked on %s', (backend) => {
    const place = folder();
    installPackage(place);
    const { status, stderr } = run(bundleInto(place, 'CommonJS'), [], {
      AXPY_THREADS: '0',
      AXPY_BACKEND: backend,
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/ArgumentError: expected AXPY_THREADS to be an integer from 1 to 64, got "0"/);
  });
});

test('the version that a bundle carries is that of the package', () => {
  expect(version).toBe((JSON.parse(manifest) as { version: string }).version);
});

test('no module imports Node or asks for import.meta', () => {
  for (const name of readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })) {
    // The command line runs in Node alone.
    if (!name.endsWith('.ts') || /^cli\b/.test(name)) continue;
    const text = readFileSync(join(root, 'lib', name), 'utf8');
    const imports = text.match(/^(import|\} from|export .* from) .*['"]node:.*|import\.meta|\brequire\(/gm);
    expect(imports, name).toBeNull();
  }
});
