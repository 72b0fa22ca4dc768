import { defineConfig } from 'vitest/config';

/** What is pure: no bundles are made first, and nothing is started. */
export default defineConfig({
  test: {
    include: ['test/**/*.unit.test.ts'],
    setupFiles: 'test/support/seed.ts',
    isolate: false,
    testTimeout: 60_000,
  },
});
