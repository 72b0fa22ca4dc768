import { createHash } from 'node:crypto';
import { RedriveExecutionCommand, SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { Duration } from 'aws-cdk-lib';
import { afterEach, describe, expect, test } from 'vitest';
import { CapacityOption, Trainer } from '../../lib';
import { runKeys } from '../../lib/core';
import type { Run } from '../../lib/core/ledger/history';
import { csv, flights, requests } from './flights';
import { Loop, type LoopOptions } from './loop';

const OPTIONS = [
  CapacityOption.spot('ml.g5.2xlarge'),
  CapacityOption.spot('ml.g5.xlarge', { maxWait: Duration.minutes(10) }),
  CapacityOption.spot('ml.g4dn.xlarge', { maxWait: Duration.minutes(10) }),
  CapacityOption.onDemand('ml.g6.2xlarge'),
  CapacityOption.onDemand('ml.g5.2xlarge'),
];
const trainer = Trainer.xgboost({
  compute: OPTIONS,
  maxDuration: Duration.minutes(20),
  hyperparameters: { num_round: '60', max_depth: '4', checkpoint_rounds: '10', early_stopping_rounds: '0' },
});
const january = csv(await flights(1, 8000));

describe('a run whose capacity options fail', () => {
  let loop: Loop | undefined;
  afterEach(() => loop?.stop());

  async function start(options: Partial<LoopOptions> = {}): Promise<Loop> {
    loop = await Loop.start({ trainer, retryPolicy: { quotaWait: Duration.minutes(0), maxPasses: 1 }, ...options });
    return loop;
  }

  test('one after another ends with one model, which has gone on from the checkpoints, and a record of every attempt', async () => {
    const { engine } = await start();
    // #region faults
    engine.faults.training.push(
      { kind: 'capacity', afterSeconds: 900, match: { instanceType: 'ml.g5.2xlarge', spot: true } },
      { kind: 'interruption', afterLine: 'round 20:', resumes: false, match: { instanceType: 'ml.g5.xlarge' } },
      { kind: 'maxWait', match: { instanceType: 'ml.g4dn.xlarge' } },
      { kind: 'quota', match: { instanceType: 'ml.g6.2xlarge' } },
    );
    // #endregion
    const { runs, deployments } = await (loop as Loop).upload('incoming/january.csv', january);

    const [run] = runs as [Run];
    expect(runs).toHaveLength(1);
    expect(run.attempts).toMatchObject([
      { option: 'ml.g5.2xlarge, spot', status: 'Failed', failureKind: 'CAPACITY', costUsd: 0 },
      { option: 'ml.g5.xlarge, spot', status: 'Stopped', failureKind: 'SPOT_TIMEOUT', interruptions: 1 },
      { option: 'ml.g4dn.xlarge, spot', status: 'Stopped', failureKind: 'SPOT_TIMEOUT' },
      { option: 'ml.g6.2xlarge', status: 'Refused', failureKind: 'QUOTA' },
      { option: 'ml.g5.2xlarge', status: 'Completed' },
    ]);
    expect(run.requested.map(({ job }) => job)).toEqual(run.attempts.map(({ job }) => job));
    expect(run.attempts[1]?.billableSeconds).toBeGreaterThan(0);
    expect(run.attempts[1]?.failure).toContain('taken away (once)');
    expect(run.attempts[3]?.failure).toContain('ml.g6.2xlarge for training job usage');
    expect(run.attempts[4]?.costUsd).toBeGreaterThan(0);
    expect(
      engine.log.map(({ message }) => message).filter((line) => /going on after round 2\d/.test(line)),
    ).toHaveLength(1);
    expect(run.ended?.outcome).toBe('PROMOTED');
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
    expect(await (loop as Loop).ask(await requests(2, 5))).toHaveLength(5);

    const models = (await (loop as Loop).keys(runKeys(run.runId).models)).filter((key) => key.endsWith('model.tar.gz'));
    const sum = async (from: Loop, key: string) =>
      createHash('sha256')
        .update(await from.bytes(key))
        .digest('hex');
    const resumed = await sum(loop as Loop, models.at(-1) as string);
    expect(models.at(-1)).toContain(`${run.attempts[4]?.job}/`);
    await (loop as Loop).stop();

    const untroubled = await start();
    await untroubled.upload('incoming/january.csv', january);
    const [key] = (await untroubled.keys('runs/')).filter((one) => one.endsWith('model.tar.gz'));
    expect(await sum(untroubled, key as string)).toBe(resumed);
  }, 240_000);

  test('and is stopped and redriven goes on with a new job from where the last was', async () => {
    const { engine } = await start();
    const sfn = new SFNClient(engine.clientConfig);
    await (loop as Loop).put('incoming/january.csv', january);
    await until(() => engine.log.some(({ message }) => /^round 10:/.test(message)));
    const { runs } = await (loop as Loop).facts();
    const executionArn = `${(loop as Loop).output('TrainingMachine').replace(':stateMachine:', ':execution:')}:${runs[0]?.runId}`;
    await sfn.send(new StopExecutionCommand({ executionArn }));
    await sfn.send(new RedriveExecutionCommand({ executionArn }));

    const [run] = (await (loop as Loop).rest()).runs as [Run];
    expect(run.attempts).toMatchObject([
      { option: 'ml.g5.2xlarge, spot', status: 'Stopped', failureKind: 'INTERNAL' },
      { option: 'ml.g5.2xlarge, spot', status: 'Completed' },
    ]);
    expect(engine.log.map(({ message }) => message).filter((line) => /going on after round/.test(line))).toHaveLength(
      1,
    );
  }, 240_000);

  test('tells the whole log, and what the script said', async () => {
    await start({
      trainer: Trainer.xgboost({ compute: OPTIONS.slice(0, 2), hyperparameters: { max_depth: 'deep' } }),
      faults: { training: [{ kind: 'capacity' }] },
    });
    const { runs } = await (loop as Loop).upload('incoming/january.csv', january);
    const { name, cause = '' } = runs[0]?.ended?.error ?? {};
    expect(name).toBe('Perennial.TrainingFailed');
    expect(cause).toContain('max_depth');
    expect(cause).toContain('Before that: ');
    expect(cause).toContain('CapacityError');
  }, 240_000);

  test('is not begun where the money does not allow it', async () => {
    await start({
      trainer: Trainer.xgboost({ compute: [CapacityOption.onDemand('ml.g5.2xlarge')] }),
      budget: { maxCostPerRun: 0.05 },
    });
    const { runs, deployments } = await (loop as Loop).upload('incoming/january.csv', january);
    expect(runs[0]).toMatchObject({
      requested: [],
      attempts: [],
      ended: { outcome: 'FAILED', error: { name: 'Perennial.BudgetExceeded' } },
    });
    expect(runs[0]?.ended?.error?.cause).toContain('is left of 0.05 USD a run');
    expect(deployments).toEqual([]);
  }, 240_000);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}
