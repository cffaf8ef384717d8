/** Bundlers, package managers and runtimes to try the package in, installed when somebody wants them. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { root } from './pack.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Their node_modules. */
    tools: string;
  }
}

export default function setup(project: TestProject): void {
  const folder = join(root, 'build/packaging');
  const wanted = (name: string) => join(root, 'test/packaging', name);
  const installed = join(folder, 'installed.json');
  const same =
    existsSync(installed) && readFileSync(installed).equals(readFileSync(wanted('package-lock.json')));
  if (!same) {
    mkdirSync(folder, { recursive: true });
    for (const name of ['package.json', 'package-lock.json']) copyFileSync(wanted(name), join(folder, name));
    const quiet = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    execFileSync('npm', ['ci', ...quiet], { cwd: folder, stdio: 'inherit' });
    copyFileSync(wanted('package-lock.json'), installed);
  }
  project.provide('tools', join(folder, 'node_modules'));
}
