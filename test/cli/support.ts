/** The command line as people have it: a process for each call, on the backend of the test run. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../files/temporary.ts';

export const bin = fileURLToPath(new URL('../../dist/cli/main.cjs', import.meta.url));

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Call {
  input?: string;
  env?: NodeJS.ProcessEnv;
  /** Sends a signal when this is said on standard error. */
  interruptAt?: RegExp;
}

/** Runs `axpy …args` to its end. */
export function axpy(
  folder: string,
  args: string[],
  { input, env, interruptAt }: Call = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // Guard zones cost time, and are the matter of other tests.
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: folder,
      env: { ...process.env, AXPY_GUARD: '', ...env },
    });
    let isInterrupted = false;
    const outcome: Outcome = { code: null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      outcome.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      outcome.stderr += text;
      if (isInterrupted || !interruptAt?.test(outcome.stderr)) return;
      isInterrupted = true;
      child.kill('SIGINT');
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...outcome, code }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}

/** A folder with files of these texts in it. */
export function folderOf(files: Record<string, string | Uint8Array>): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Numbers in [0, 1) that are the same every time (Steele, Lea & Flood's splitmix, 32 bits of it). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Rows as CSV. */
export const csvOf = (rows: readonly (readonly (string | number)[])[], delimiter = ','): string =>
  rows.map((row) => row.join(delimiter)).join('\n');

/** Trains small and quickly. */
export const quick = ['--networks', '1', '--epochs', '4', '--hidden', '8'];

/** Houses: price from size, age and city, with noise. */
export function houses(n: number, seed = 1): (string | number)[][] {
  const next = randomNumbers(seed);
  return Array.from({ length: n }, () => {
    const size = 50 + 150 * next();
    const age = Math.floor(80 * next());
    const city = ['Aalen', 'Bonn', 'Celle'][Math.floor(3 * next())];
    const price = 1000 * size - 300 * age + (city === 'Bonn' ? 30_000 : 0) + 5000 * (next() - 0.5);
    return [size.toFixed(2), age, city, price.toFixed(2)];
  });
}

export const houseNames = ['size', 'age', 'city', 'price'];

/** Flowers of three kinds by two measures. */
export function flowers(n: number, seed = 1): (string | number)[][] {
  const next = randomNumbers(seed);
  return Array.from({ length: n }, (_, i) => {
    const kind = i % 3;
    return [(kind + next()).toFixed(3), (2 * kind + 3 * next()).toFixed(3), ['red', 'white', 'blue'][kind]];
  });
}

export const flowerNames = ['width', 'length', 'colour'];
