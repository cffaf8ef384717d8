/**
 * Holds the binaries under prebuilds/ against what they may need and weigh: `tsx scripts/prebuilds.ts` all that the package
 * brings, of which none may be missing; with names of targets, those.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { binaries } from './binaries.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What they may weigh together, in bytes. The package may weigh 40 MB, packed 14 (test/packaging/contents.test.ts). */
const limits = { unpacked: 37e6, packed: 13.3e6 };

/** The libraries that every system of the kind has where Node runs. */
const libraries: Record<string, RegExp> = {
  linux: /^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libgcc_s\.so\.1|libstdc\+\+\.so\.6|ld-linux-\S+)$/,
  linuxmusl: /^libc\.so$/,
  win32: /^(KERNEL32\.dll|msvcrt\.dll)$/i,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/,
};

/** The newest version of a symbol that may be asked for: glibc's of CentOS 7, libstdc++'s of Red Hat 8 (GCC 8). */
const newest: Record<string, number[]> = {
  GLIBC: [2, 17],
  GLIBCXX: [3, 4, 25],
  CXXABI: [1, 3, 11],
  GCC: [4, 8],
};

/** What Node looks for, and nothing else. */
const exported = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

/** On macOS also the C++ runtime's own allocation, as zig's linker takes no list; whichever is taken, it is malloc's. */
const runtime = /^(_Z(n|d)[aw]?\w*|_mh_dylib_header|__dso_handle)$/;

interface Needs {
  libraries: string[];
  /** As in GLIBC_2.17. */
  versions: string[];
  exports: string[];
  hasSymbolTable: boolean;
  /** Which some systems refuse to load. */
  hasExecutableStack: boolean;
}

const run = (command: string, args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
const matches = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((m) => m[1]))];

function elf(path: string): Needs {
  const dynamic = run('readelf', ['--wide', '--dynamic', path]);
  const symbols = run('readelf', ['--wide', '--dyn-syms', path]);
  return {
    libraries: matches(dynamic, /\(NEEDED\).*\[(.+)\]/g),
    versions: matches(symbols, /@(\w+_[\d.]+)/g),
    exports: matches(symbols, /(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+\s+(\w+)/g),
    hasSymbolTable: /\.symtab|\.debug_/.test(run('readelf', ['--wide', '--sections', path])),
    hasExecutableStack: !/GNU_STACK .* RW {2}/.test(run('readelf', ['--wide', '--segments', path])),
  };
}

function pe(path: string): Needs {
  const text = run('x86_64-w64-mingw32-objdump', ['--private-headers', path]);
  const table = text.slice(text.indexOf('[Ordinal/Name Pointer] Table'));
  return {
    libraries: matches(text, /DLL Name: (\S+)/g),
    versions: [],
    exports: matches(table, /^\s*\[\s*\d+\](?: \+base\[\s*\d+\])?\s+(?:\w+ )?(\w+)$/gm),
    hasSymbolTable: !/has no symbols|no symbols/.test(
      run('x86_64-w64-mingw32-objdump', ['--syms', path]).toLowerCase(),
    ),
    hasExecutableStack: false,
  };
}

/** Mach-O, 64 bits, by its load commands (Apple's mach-o/loader.h). */
function machO(path: string): Needs {
  const bytes = readFileSync(path);
  const needs: Needs = {
    libraries: [],
    versions: [],
    exports: [],
    hasSymbolTable: false,
    hasExecutableStack: false,
  };
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error(`${path} is not for macOS`);
  const text = (start: number) => bytes.toString('latin1', start, bytes.indexOf(0, start));
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++, at += bytes.readUInt32LE(at + 4)) {
    const command = bytes.readUInt32LE(at);
    if (command === 0xc) needs.libraries.push(text(at + bytes.readUInt32LE(at + 8)));
    if (command !== 0x2) continue;
    const [symbols, count, strings] = [8, 12, 16].map((field) => bytes.readUInt32LE(at + field));
    for (let j = 0; j < count; j++) {
      const entry = symbols + 16 * j;
      const type = bytes[entry + 4];
      // N_STAB: debugging; then those that are external and lie in a section of this file.
      if (type & 0xe0) needs.hasSymbolTable = true;
      else if ((type & 0x1f) === 0x0f) needs.exports.push(text(strings + bytes.readUInt32LE(entry)).slice(1));
    }
  }
  return needs;
}

function isNewer(version: string): boolean {
  const [name, numbers] = version.split('_');
  const limit = newest[name];
  if (!limit) return true;
  const own = numbers.split('.').map(Number);
  for (let i = 0; i < limit.length; i++) {
    if ((own[i] ?? 0) !== limit[i]) return (own[i] ?? 0) > limit[i];
  }
  return false;
}

/** What is wrong with the binary of a target. */
function faults(target: string): string[] {
  const file = binaries[target];
  if (!file) return [`there is no such target: ${Object.keys(binaries).join(', ')}`];
  const path = join(root, 'prebuilds', file);
  if (!existsSync(path)) return [`prebuilds/${file} is missing: run scripts/prebuild.sh ${target}`];
  const [system] = target.split('-');
  const needs = system.startsWith('linux') ? elf(path) : system === 'win32' ? pe(path) : machO(path);
  const allowed = libraries[system];
  const result = [
    ...needs.libraries.filter((name) => !allowed.test(name)).map((name) => `it needs ${name}`),
    ...needs.versions.filter(isNewer).map((version) => `it needs ${version}`),
    ...needs.exports
      .filter((name) => !exported.includes(name) && !(system === 'darwin' && runtime.test(name)))
      .map((name) => `it exports ${name}`),
    ...exported.filter((name) => !needs.exports.includes(name)).map((name) => `it does not export ${name}`),
  ];
  if (needs.hasSymbolTable) result.push('it is not stripped');
  if (needs.hasExecutableStack) result.push('it wants an executable stack');
  const text = readFileSync(path, 'latin1');
  for (const folder of [root, process.env.HOME ?? root]) {
    if (folder.length > 1 && text.includes(`${folder.replace(/\/$/, '')}/`)) {
      result.push(`there are paths below ${folder} in it`);
    }
  }
  return result;
}

const wanted = process.argv.slice(2);
const all = wanted.length === 0 ? Object.keys(binaries) : wanted;
let failed = false;
let [unpacked, packed] = [0, 0];
for (const target of all) {
  const wrong = faults(target);
  for (const fault of wrong) console.error(`prebuilds: ${target}: ${fault}`);
  failed ||= wrong.length > 0;
  const path = join(root, 'prebuilds', binaries[target] ?? '');
  if (!binaries[target] || !existsSync(path)) continue;
  const [size, small] = [statSync(path).size, gzipSync(readFileSync(path), { level: 9 }).length];
  unpacked += size;
  packed += small;
  console.log(
    `${target.padEnd(16)} ${(size / 1e6).toFixed(1).padStart(5)} MB, packed ${(small / 1e6).toFixed(1)}`,
  );
}
if (unpacked > limits.unpacked || packed > limits.packed) {
  console.error(
    `prebuilds: they weigh ${unpacked} bytes, packed ${packed}; it may be ${limits.unpacked}, packed ${limits.packed}`,
  );
  failed = true;
}
if (failed) process.exit(1);
