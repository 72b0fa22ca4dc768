import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What trains, installs or runs the whole loop comes first: a long file that begins last keeps one core waiting. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) =>
      /\/test\/(training|loop)\/|own-app|engine\/test\/python/.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    include: ['{test,engine/test}/**/*.test.ts'],
    globalSetup: 'test/support/setup.mjs',
    setupFiles: 'test/support/seed.ts',
    sequence: { sequencer: LongestFirst },
    maxWorkers: 3, // on two cores: much of the time a worker waits for processes, installations and the engine's clock
    isolate: false, // aws-cdk-lib takes seconds to load: load it once a worker, not once a file
    testTimeout: 180_000, // a slow machine is no fault; what hangs is found all the same
    hookTimeout: 240_000,
  },
});
