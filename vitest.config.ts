import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (file: string) => fileURLToPath(new URL(`./lib/${file}`, import.meta.url));

/** What holds loops against BLAS, which takes all cores. */
const timed = ['test/notes/0{5,6,7}-*.test.ts'];

/** What the tarball does in other people's projects; by default the core of it, `npm run test:packaging` runs all. */
export function packaging(include: string[]) {
  return {
    root: fileURLToPath(new URL('.', import.meta.url)),
    test: {
      name: 'packaging',
      include,
      globalSetup: ['test/packaging/pack.ts'],
      testTimeout: 300_000,
      hookTimeout: 600_000,
      maxWorkers: 1,
    },
  };
}

/**
 * The whole suite runs twice, once on each implementation of the kernels; test/backend.test.ts asserts which. What is timed
 * runs when nothing else does.
 */
function project(backend: 'native' | 'fallback', isTimed: boolean) {
  return {
    // The examples import the package by its name; the tests mean its sources.
    resolve: {
      alias: {
        'axpy/dashboard': source('dashboard/index.ts'),
        'axpy/mpi': source('mpi/index.ts'),
        'axpy/runs': source('runs/index.ts'),
        axpy: source('index.ts'),
      },
    },
    test: {
      name: isTimed ? `${backend}-timed` : backend,
      include: isTimed ? timed : ['test/**/*.test.ts'],
      // What the addon alone has, what holds both against each other, and what no kernel has a part in.
      exclude: isTimed
        ? []
        : ['test/packaging/**', ...(backend === 'native' ? timed : ['test/**/*.native.test.ts'])],
      // Workspaces of kernels lie between zones that are looked at after every call (native/workspaces.h).
      env: { AXPY_BACKEND: backend, AXPY_GUARD: '1' },
      // Files share processes, as starting and loading was a sixth of the time. A fault in the addon takes down all that are
      // left of a process; `--isolate` then says which file it was.
      pool: 'forks' as const,
      isolate: false,
      testTimeout: 60_000,
      // Of two cores by default one would be left to Vite, which has next to nothing to do.
      maxWorkers: isTimed ? 1 : ('100%' as const),
      sequence: { groupOrder: isTimed ? 1 : 0 },
    },
  };
}

export default defineConfig({
  test: {
    // `npm run coverage`; what other reports there are is made from the JSON.
    coverage: {
      include: ['lib/**'],
      // What runs in a browser is counted by nobody.
      exclude: ['lib/dashboard/page/**', 'lib/dashboard/built.js'],
      reporter: ['html', 'json'],
      reportsDirectory: 'coverage/lib',
      reportOnFailure: true,
    },
    projects: [
      project('native', false),
      project('fallback', false),
      project('native', true),
      packaging(['core', 'contents', 'shaking', 'types'].map((name) => `test/packaging/${name}.test.ts`)),
    ],
  },
});
