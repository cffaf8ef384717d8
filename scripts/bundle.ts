/**
 * What the package has beside the modules of tsc, which bundlers take: for Node the library in one file, which `require` gets
 * and `import` too; for browsers in both formats; and `axpy/linux-x64` and its like, the library with one binary by a path
 * that bundlers follow; and parts of the library that have a subpath of their own, `axpy/runs` and its like, and load when they are imported; and
 * the command line, `axpy`.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { binaries } from './binaries.ts';
import { buildPage } from './page.ts';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const manifest = new URL('../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };

// Before the file that scripts/setup.sh compares with lib/.
const page = await buildPage();
writeFileSync(`${dist}dashboard/built.js`, page);

/** Browsers have no addons, and no terminal for a bar. */
const forBrowsers: Plugin = {
  name: 'for browsers',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/native\.js$/ }, () => ({ path: `${dist}kernels/native.browser.js` }));
    onResolve({ filter: /^cli-progress$/ }, ({ path }) => ({ path, namespace: 'nothing' }));
    onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'export default {};' }));
  },
};

const common: BuildOptions = {
  entryPoints: [`${dist}index.js`],
  bundle: true,
  logLevel: 'warning',
};
const browser: BuildOptions = { ...common, platform: 'browser', target: 'es2022', plugins: [forBrowsers] };
/** A plain object, without `__esModule`: a default import of it is the whole library, as compilers take it to be. */
const footer = { js: 'module.exports = { ...module.exports };' };
/**
 * What copies only the files that a program reads, as Next.js does for `standalone`, learns of the binaries by such an
 * expression. Nobody calls it.
 */
const traced = {
  js: `${footer.js}
// For tools that copy the files which a program reads: these too.
{
  const traced = (file) => require('node:path').join(__dirname, '../prebuilds', file);
}`,
};

const [inBrowsers] = await Promise.all([
  build({ ...browser, format: 'esm', outfile: `${dist}browser.js`, metafile: true }),
  // Bundlers cannot leave anything out of this one, so that it needs no annotations, nor anything to read.
  build({ ...browser, format: 'cjs', minifyWhitespace: true, footer, outfile: `${dist}browser.cjs` }),
  build({
    ...common,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    footer: traced,
    outfile: `${dist}index.cjs`,
  }),
]);

// Named one by one, as not every host sees the names of what is CommonJS. Node looks for them in all of its text before it
// runs it, which takes as long as the rest: not through a variable.
const { exports: names } = Object.values(inBrowsers.metafile.outputs)[0];
function writeImport(entry: string, names: readonly string[]): void {
  writeFileSync(
    `${dist}${entry}.import.cjs`,
    `'use strict';\nconst axpy = require('./${entry}.cjs');\nmodule.exports = axpy;\n`,
  );
  writeFileSync(
    `${dist}${entry}.mjs`,
    `import axpy from './${entry}.import.cjs';\nexport const {\n  ${names.join(',\n  ')},\n} = axpy;\n`,
  );
}
writeImport('index', names);

/**
 * For bundlers, which give ES modules to `require` as well: compilers then take a default import from the default export. A
 * module of its own, so that what nobody uses can still be left out.
 */
const whole = (path: string) => `export * from '${path}';\nexport * as default from '${path}';\n`;
/**
 * Nitro copies what a bundler would have resolved, and leaves an import in which Node takes another file. What traces takes a
 * function without parameters for one to be evaluated where it is called, and sees nothing in it.
 */
const inNode = (name: string) =>
  `// For such tools as copy this file because of its condition: Node takes another.
const traced = (_file) => [\`\${__dirname}/${name}.mjs\`];
`;
writeFileSync(`${dist}index.module.js`, whole('./index.js') + inNode('index'));
writeFileSync(`${dist}browser.module.js`, whole('./browser.js'));

const folder = `${dist}targets/`;
mkdirSync(folder, { recursive: true });
for (const [target, file] of Object.entries(binaries)) {
  const write = (suffix: string, text: string) => writeFileSync(`${folder}${target}${suffix}`, text);
  // The binary is not loaded before the library wants it, and one that is not there is no reason to stop a bundler.
  write(
    '.binary.cjs',
    `'use strict';
const offers = (globalThis[Symbol.for('axpy.binaries')] ??= { list: [] });
const load = () => {
  try {
    return require('../../prebuilds/${file}');
  } catch (error) {
    throw error;
  }
};
const offer = { version: '${version}', target: '${target}', load };
offers.list.push(offer);
offers.late?.(offer);
`,
  );
  const offer = `import './${target}.binary.cjs';\n`;
  write('.module.js', `${offer}${whole('../index.js')}${inNode(target)}`);
  write('.mjs', `${offer}export * from '../index.mjs';\n`);
  write(
    '.cjs',
    `'use strict';\nrequire('./${target}.binary.cjs');\nmodule.exports = require('../index.cjs');\n`,
  );
  write('.d.ts', `export * from '../index.js';\n`);
  write('.d.cts', `export * from '../index.cjs';\n`);
}

/** Parts of the library with a subpath of their own, each a folder of lib/. */
const parts = ['runs', 'dashboard', 'mpi'];
/** What a part may have a copy of, as it holds no state of the library's. */
const copied =
  /^(arguments|platform|version|files\/(bytes|crc32|disk|kinds)|onnx\/protobuf|runs\/(?!tensorBoard)\w+)\.js$/;

/** In Node a part takes the library itself, and its errors, from the one file in which they are. */
const besideLibrary: Plugin = {
  name: 'beside the library',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
      const file = relative(dist, resolve(resolveDir, path));
      return /^(index|errors)\.js$/.test(file) ? { path: './index.cjs', external: true } : undefined;
    });
  },
};

for (const part of parts) {
  const entryPoints = [`${dist}${part}/index.js`];
  const [{ metafile }, modules] = await Promise.all([
    build({
      ...common,
      entryPoints,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      packages: 'external',
      plugins: [besideLibrary],
      footer,
      metafile: true,
      outfile: `${dist}${part}.cjs`,
    }),
    build({
      ...common,
      entryPoints,
      format: 'esm',
      bundle: false,
      write: false,
      metafile: true,
      outfile: `${dist}x.js`,
    }),
  ]);
  const [{ inputs }] = Object.values(metafile.outputs);
  const used = Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  const files = used.map(([file]) => relative(dist, resolve(file)));
  const strange = files.filter((file) => !file.startsWith(`${part}/`) && !copied.test(file));
  if (strange.length > 0) throw new Error(`axpy/${part} would have copies of ${strange.join(', ')}`);
  writeImport(part, Object.values(modules.metafile.outputs)[0].exports);
  writeFileSync(`${dist}${part}.module.js`, whole(`./${part}/index.js`) + inNode(part));
  writeFileSync(`${dist}${part}.d.ts`, `export * from './types/lib/${part}/index.js';\n`);
  writeFileSync(`${dist}${part}.d.cts`, `export * from './types/lib/${part}/index.js';\n`);
}

/** The command line, file by file: it runs in Node alone, and takes the library and its parts as programs do. */
const commands = fileURLToPath(new URL('../lib/cli/', import.meta.url));
const besideCommands: Plugin = {
  name: 'beside the commands',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
      // What it uses of others is taken along, and the version.
      if (resolve(resolveDir) !== resolve(commands) || path === '../version.ts') return undefined;
      // The library is one file, and so is each of its parts: ../runs/index.ts is ../runs.cjs.
      const file = path === '../index.ts' ? '../index' : path.replace(/(\/index)?\.ts$/, '');
      return { path: `${file}.cjs`, external: true };
    });
  },
};
/** The parser of CSV is taken into the file that uses it, with its licence, so that the package depends on nothing for it. */
const licence = readFileSync(new URL('../node_modules/csv-parse/LICENSE', import.meta.url), 'utf8');
await Promise.all(
  readdirSync(commands)
    .filter((file) => file.endsWith('.ts'))
    .map((file) =>
      build({
        entryPoints: [`${commands}${file}`],
        bundle: true,
        logLevel: 'warning',
        platform: 'node',
        target: 'node20',
        format: 'cjs',
        plugins: [besideCommands],
        minify: file === 'csv.ts',
        outfile: `${dist}cli/${file.replace(/\.ts$/, '.cjs')}`,
        banner: {
          js:
            file === 'main.ts'
              ? '#!/usr/bin/env node'
              : file === 'csv.ts'
                ? `/* csv-parse:\n${licence.trim()}\n*/`
                : '',
        },
      }),
    ),
);
