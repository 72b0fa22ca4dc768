import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/setup.mjs',
    isolate: false, // aws-cdk-lib takes seconds to load: load it once a worker, not once a file
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
