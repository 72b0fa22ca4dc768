import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createVitest } from 'vitest/node';

// Runs the specifications of the file that PERENNIAL_MUTANTS names, each a test file and the number of a mutant, in one
// process that has loaded the library once: `{ specifications: [[file, number]], mutants: [id], events: file, red: [test],
// whole: whether a mutant runs on that was noticed }`. What happens is written to `events`, a line each.
const { specifications } = JSON.parse(readFileSync(process.env.PERENNIAL_MUTANTS, 'utf8'));
const vitest = await createVitest('test', {
  config: 'vitest.config.mts',
  watch: false,
  reporters: [{}],
  silent: true,
  globalSetup: [],
  runner: 'test/mutation/runner.ts',
  sequence: { sequencer: InOrder },
  maxWorkers: 1,
  testTimeout: 60_000,
  hookTimeout: 120_000,
});
const project = vitest.getRootProject();
await vitest.runTestSpecifications(
  specifications.map(([file, number]) => project.createSpecification(`${resolve(file)}?mutant=${number}`)),
);
await vitest.close();
process.exit(0);

function InOrder() {
  this.sort = (files) => files;
  this.shard = (files) => files;
}
