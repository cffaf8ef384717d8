/** `npm run test:packaging`: everything that strangers are known to do with the package. */
import { defineConfig } from 'vitest/config';
import { packaging } from '../../vitest.config.ts';

const { test, ...config } = packaging(['test/packaging/*.test.ts']);

export default defineConfig({
  ...config,
  test: { ...test, globalSetup: [...test.globalSetup, 'test/packaging/tools.ts'] },
});
