import { afterEach, describe, expect, test } from 'vitest';
import { CapacityOption, HyperparameterRange, Trainer, Tuning } from '../../lib';
import { runKeys, type TuningDocument } from '../../lib/core';
import type { Run } from '../../lib/core/ledger/history';
import { csv, flights } from './flights';
import { Loop } from './loop';

const january = csv(await flights(1, 4000));
const trainer = Trainer.xgboost({
  compute: [CapacityOption.spot('ml.g4dn.xlarge'), CapacityOption.onDemand('ml.m5.xlarge')],
  hyperparameters: { num_round: '5', max_depth: '2' },
});
const ranges = [HyperparameterRange.integer('max_depth', 3, 6), HyperparameterRange.number('eta', 0.1, 0.6)];

describe('a run that searches for hyperparameters', () => {
  let loop: Loop;
  afterEach(() => loop.stop());

  async function run(tuning: Tuning): Promise<{ run: Run; tuned: TuningDocument }> {
    loop = await Loop.start({ trainer, tuning, faults: { training: [{ kind: 'capacity' }] } });
    const { runs } = await loop.upload('incoming/january.csv', january);
    const [first] = runs as [Run];
    expect(first.ended, JSON.stringify(first.ended)).toMatchObject({ outcome: 'PROMOTED' });
    expect(loop.engine.log.filter(({ message }) => /AccessDenied/.test(message))).toEqual([]);
    return { run: first, tuned: JSON.parse(await loop.read(runKeys(first.runId).tuning)) };
  }

  test('one after another takes the best, records each, and keeps what was chosen', async () => {
    const { run: made, tuned } = await run(Tuning.oneByOne({ ranges, maxTrials: 3 }));
    expect(made.attempts).toMatchObject([
      { iteration: 1, hyperparameters: {}, failureKind: 'CAPACITY' },
      { iteration: 1, hyperparameters: {}, status: 'Completed', option: 'ml.m5.xlarge' },
      { iteration: 2, status: 'Completed', option: 'ml.m5.xlarge', hyperparameters: { max_depth: '5' } },
      { iteration: 3, status: 'Completed', hyperparameters: { max_depth: '4' } },
    ]);
    expect(tuned.trials.map(({ iteration }) => iteration)).toEqual([1, 2, 3]);
    const best = Math.max(...tuned.trials.map(({ value = 0 }) => value));
    expect(tuned.trials.find(({ iteration }) => iteration === tuned.chosen)?.value).toBe(best);
    expect(tuned.chosen).toBeGreaterThan(1); // five rounds of depth 2 are not the best there is
    expect(tuned.hyperparameters).toEqual(tuned.trials[tuned.chosen - 1]?.hyperparameters);
    for (const { iteration, metrics = {} } of made.attempts.slice(1)) {
      expect(metrics['validation:auc']).toBe(tuned.trials.find((trial) => trial.iteration === iteration)?.value);
    }
  }, 240_000);

  test('by a tuning job of SageMaker’s takes its best training job', async () => {
    const { run: made, tuned } = await run(Tuning.sageMaker({ ranges, maxTrials: 3, trialsAtOnce: 1 }));
    expect(made.attempts).toMatchObject([{ option: 'ml.g4dn.xlarge, spot', status: 'Completed' }]);
    expect(made.attempts[0]?.billableSeconds).toBeGreaterThanOrEqual(2);
    expect(tuned.trials).toHaveLength(3);
    expect(tuned.trials.filter(({ value }) => value !== undefined)).toHaveLength(2); // one had no machine
    expect(Object.keys(tuned.hyperparameters).sort()).toEqual(['eta', 'max_depth']);
    const [key] = (await loop.keys(runKeys(made.runId).models)).filter((one) =>
      one.includes(tuned.trials[tuned.chosen - 1]?.job ?? '?'),
    );
    expect(key).toMatch(/model\.tar\.gz$/);
  }, 240_000);
});
