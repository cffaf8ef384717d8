/** Python, where it has what a test compares with: Debian's packages python3-numpy and python3-torch. */
import { execFileSync } from 'node:child_process';

const python = '/usr/bin/python3';

/** Whether it has a module. */
export function has(module: string): boolean {
  try {
    execFileSync(python, ['-c', `import ${module}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export const hasNumpy = has('numpy');
export const hasTorch = hasNumpy && has('torch');

/** Runs a script, and returns what it prints. */
export function runPython(...args: string[]): string {
  return execFileSync(python, ['-B', ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
}
