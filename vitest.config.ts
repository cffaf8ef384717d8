import { defineConfig } from 'vitest/config';

/** The whole suite runs twice, once on each implementation of the kernels; test/backend.test.ts asserts which. */
function project(name: 'native' | 'fallback') {
  return {
    test: {
      name,
      include: ['test/**/*.test.ts'],
      env: { AXPY_BACKEND: name },
      // A process per file: a fault in the addon then takes one file down and says which.
      pool: 'forks' as const,
      testTimeout: 60_000,
    },
  };
}

export default defineConfig({
  test: { projects: [project('native'), project('fallback')] },
});
