/**
 * Tries one binary on the platform that it is for:
 *
 *     tsx test/packaging/platform.ts [prebuilds/win32-x64/axpy.node -- wine64 node.exe]
 *
 * The program (platform.child.ts) runs under the command after `--`; by default it is this Node, with the binary for it. It
 * makes the calls of the contract, the gradients, and a training. Its losses must be those of losses.json, which `--write`
 * makes with the binary for linux-x64.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundle } from '../bundle.ts';
import type { Report } from './platform.child.ts';

const expected = fileURLToPath(new URL('losses.json', import.meta.url));

/** How far losses may be apart, by dtype: sums in another order change the last bits, and each update carries them on. */
const tolerances = { float32: 1e-4, float64: 1e-10 };

export interface Trial {
  /** What is wrong; empty when nothing is. */
  problems: string[];
  report?: Report;
  /** The largest difference of a loss, by dtype, relative to it. */
  apart: { float32: number; float64: number };
}

/** Runs the program with a binary, under `command`. */
export function tryBinary(binary: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): Trial {
  const folder = mkdtempSync(join(tmpdir(), 'axpy-platform-'));
  const apart = { float32: 0, float64: 0 };
  try {
    const file = join(folder, 'report.json');
    const [program, ...parameters] = command;
    // What this machine says to OpenBLAS is about another one.
    const own = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('OPENBLAS_')),
    );
    const { status, signal, stderr, error } = spawnSync(
      program,
      [...parameters, bundle('test/packaging/platform.child.ts'), file],
      {
        encoding: 'utf8',
        env: {
          ...own,
          ...env,
          AXPY_BINARY: resolve(binary),
          AXPY_BACKEND: 'native',
          AXPY_GUARD: '1',
        },
        timeout: 30 * 60_000,
      },
    );
    if (!existsSync(file)) {
      return { problems: [`it ended with ${signal ?? status}: ${error?.message ?? stderr}`], apart };
    }
    const report: Report = JSON.parse(readFileSync(file, 'utf8'));
    const problems = [...report.problems];
    const known: Report['losses'] = JSON.parse(readFileSync(expected, 'utf8'));
    for (const [network, losses] of Object.entries(known)) {
      const dtype = network.endsWith('float64') ? 'float64' : 'float32';
      losses.forEach((loss, epoch) => {
        const own = report.losses[network]?.[epoch];
        const difference = Math.abs(own - loss) / loss;
        apart[dtype] = Math.max(apart[dtype], difference);
        if (!(difference <= tolerances[dtype])) {
          problems.push(`${network}, epoch ${epoch + 1}: expected a loss of ${loss}, got ${own}`);
        }
      });
    }
    return { problems, report, apart };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One line about a trial. */
export function describeTrial({ problems, report, apart }: Trial): string {
  if (!report) return problems.join('\n');
  const { backend, calls, gradients, seconds } = report;
  return [
    `${backend.simd}, ${backend.blas}: ${calls} calls and ${gradients} gradients in ${seconds.toFixed(0)} s;`,
    `losses within ${apart.float32.toExponential(1)} and ${apart.float64.toExponential(1)} (float64)`,
    ...problems.slice(0, 20).map((problem) => `\n  ${problem}`),
  ].join(' ');
}

/** The binary of the package for the platform that this runs on. */
function ownBinary(): string {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const libc = process.platform !== 'linux' ? '' : header.glibcVersionRuntime ? '.glibc' : '.musl';
  return `prebuilds/${process.platform}-${process.arch}/axpy${libc}.node`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [binary = ownBinary(), ...rest] = process.argv.slice(2);
  const command = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [process.execPath];
  if (rest[0] === '--write') writeFileSync(expected, '{}\n');
  const trial = tryBinary(binary, command);
  console.log(describeTrial(trial));
  if (rest[0] === '--write') writeFileSync(expected, `${JSON.stringify(trial.report?.losses, null, 2)}\n`);
  if (trial.problems.length > 0) process.exit(1);
}
