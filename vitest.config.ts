import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** The whole suite runs twice, once on each implementation of the kernels; test/backend.test.ts asserts which. */
function project(name: 'native' | 'fallback') {
  return {
    // The examples import the package by its name; the tests mean its sources.
    resolve: { alias: { axpy: fileURLToPath(new URL('./lib/index.ts', import.meta.url)) } },
    test: {
      name,
      include: ['test/**/*.test.ts'],
      // What the addon alone has, and what holds both against each other.
      exclude: name === 'native' ? [] : ['test/**/*.native.test.ts'],
      // Workspaces of kernels lie between zones that are looked at after every call (native/workspaces.h).
      env: { AXPY_BACKEND: name, AXPY_GUARD: '1' },
      // A process per file: a fault in the addon then takes one file down and says which.
      pool: 'forks' as const,
      testTimeout: 60_000,
    },
  };
}

export default defineConfig({
  // Of two cores by default one would be left to Vite, which has next to nothing to do.
  test: { maxWorkers: '100%', projects: [project('native'), project('fallback')] },
});
