import { describe, expect, test } from 'vitest';
import { type AttemptPorts, attempt } from '../../lambdas/train/attempt.handler';
import { factsOf } from '../../lambdas/train/training-jobs';
import type { AttemptRules, TrainingProgress } from '../../lib/core/train/attempts';
import type { AttemptRequest } from '../../lib/core/train/documents';
import type { JobFacts } from '../../lib/core/train/failures';
import { Crash, crashing, MemoryLedger, MemoryStore } from '../support/memory';

const rules: AttemptRules = {
  capacityOptions: [
    {
      label: 'ml.g5.2xlarge, spot',
      instances: [{ instanceType: 'ml.g5.2xlarge', count: 2 }],
      spot: true,
      maxRuntimeSeconds: 3600,
      maxWaitSeconds: 600,
    },
    {
      label: 'ml.g5.2xlarge',
      instances: [{ instanceType: 'ml.g5.2xlarge', count: 1 }],
      spot: false,
      maxRuntimeSeconds: 3600,
    },
  ],
  quotaWaitSeconds: 3600,
  maxPasses: 1,
  passIntervalSeconds: 900,
};
const first: AttemptRequest = {
  runId: 'data-1',
  startedAt: '2026-03-01T12:00:00.000Z',
  rules,
  progress: null,
  caught: null,
};

class World implements AttemptPorts {
  readonly pipeline = 'flights';
  readonly registry = 'models';
  readonly region = 'us-east-1';
  readonly ledger = new MemoryLedger();
  readonly store = new MemoryStore();
  readonly stopped: string[] = [];
  lines: string[] = [];
  facts: JobFacts | undefined;
  readonly jobs = { training: this.jobsOf('training'), tuning: this.jobsOf('tuning') };
  private jobsOf(kind: string) {
    return {
      find: async () => this.facts,
      stop: async (job: string) => void this.stopped.push(`${kind} ${job}`),
    };
  }
  async lastLines() {
    return this.lines;
  }
  now() {
    return new Date('2026-03-01T12:00:05.000Z');
  }
}

/** The request after a first job was started. */
async function started(world: World): Promise<AttemptRequest & { progress: TrainingProgress }> {
  const { progress } = await attempt(world, first);
  return { ...first, progress };
}

describe('an attempt', () => {
  test('is recorded with what it may cost before it begins', async () => {
    const world = new World();
    const report = await attempt(world, first);
    expect(report).toMatchObject({
      action: 'TRAIN',
      waitSeconds: 0,
      job: { option: 0, maxRuntimeSeconds: 3600, maxWaitSeconds: 4200, checkpoints: '1/', hyperparameters: {} },
    });
    expect(world.ledger.all('RUN#')).toMatchObject([
      {
        sk: `RUN#2026-03-01T12:00:00.000Z#data-1#STARTED#${report.job?.name}`,
        option: 'ml.g5.2xlarge, spot',
        maxRuntimeSeconds: 3600,
        atMostUsd: (2 * 1.515 * 3720) / 3600,
      },
    ]);
  });

  test('is the same when it is asked for again', async () => {
    const world = new World();
    const report = await attempt(world, first);
    expect(await attempt(world, first)).toEqual(report);
    expect(world.ledger.all('RUN#')).toHaveLength(1);
  });

  test('that has trained is recorded with its machines, seconds and cost', async () => {
    const world = new World();
    const request = await started(world);
    world.facts = {
      status: 'Completed',
      model: 's3://b/m',
      arn: 'arn:job',
      billableSeconds: 600,
      trainingSeconds: 1500,
      interruptions: 1,
      metrics: { 'validation:auc': 0.7 },
    };
    expect(await attempt(world, request)).toMatchObject({
      action: 'TRAINED',
      model: 's3://b/m',
      trainingJobArn: 'arn:job',
    });
    expect(world.ledger.all('RUN#').find(({ kind }) => kind === 'AttemptEnded')).toMatchObject({
      instanceType: 'ml.g5.2xlarge',
      instanceCount: 2,
      spot: true,
      status: 'Completed',
      billableSeconds: 600,
      trainingSeconds: 1500,
      interruptions: 1,
      costUsd: (2 * 1.515 * 600) / 3600,
      metrics: { 'validation:auc': 0.7 },
    });
  });

  test('is left alone while its job is alive, and asked to end where its time is over', async () => {
    const world = new World();
    const request = await started(world);
    world.facts = { status: 'InProgress' };
    const caught = { name: 'SageMaker.SdkClientException', cause: 'cut off' };
    expect(await attempt(world, { ...request, caught })).toMatchObject({
      action: 'LOOK',
      waitSeconds: 60,
      progress: request.progress,
    });
    expect(world.stopped).toEqual([]);
    expect(await attempt(world, { ...request, caught: { name: 'States.Timeout', cause: '' } })).toMatchObject({
      action: 'LOOK',
    });
    expect(world.stopped).toEqual([`training ${request.progress.currentJob?.name}`]);
    world.facts = { status: 'Stopping' };
    await attempt(world, { ...request, caught: { name: 'States.Timeout', cause: '' } });
    expect(world.stopped).toHaveLength(1);
  });

  test('that was stopped because its state ended is no one’s wish: the run goes on', async () => {
    const world = new World();
    const request = await started(world);
    world.facts = { status: 'Stopped', secondaryStatus: 'Stopped', billableSeconds: 60 };
    const again = await attempt(world, { ...request, caught: { name: 'SageMaker.ResourceInUseException', cause: '' } });
    expect(again).toMatchObject({ action: 'TRAIN', job: { option: 0 } });
    const wished = await attempt(new World(), { ...request, caught: null });
    expect(wished.action).toBe('TRAIN'); // there is no such job, so nobody has stopped one
  });

  test('that a script has failed tells the end of its log, once', async () => {
    const world = new World();
    const request = await started(world);
    world.facts = {
      status: 'Failed',
      failureReason: 'AlgorithmError: framework error: exit code 1',
      billableSeconds: 9,
    };
    world.lines = ['reading', '', 'ValueError: 3 classes, got 2'];
    const report = await attempt(world, request);
    expect(report).toMatchObject({ action: 'FAILED', failure: { name: 'Perennial.TrainingFailed' } });
    expect(report.failure?.cause).toContain(`stream ${request.progress.currentJob?.name}`);
    expect(report.failure?.cause).toContain('ValueError: 3 classes, got 2');

    const told = new World();
    const other = await started(told);
    told.facts = { status: 'Failed', failureReason: 'AlgorithmError: ValueError: 3 classes, got 2, exit code: 1' };
    told.lines = ['ValueError: 3 classes, got 2'];
    expect((await attempt(told, other)).failure?.cause).not.toContain('The end of its log');
  });

  test('decides the same wherever its function is cut off', async () => {
    for (let at = 0; at < 8; at++) {
      for (const when of ['before', 'after'] as const) {
        const world = new World();
        const request = await started(world);
        world.facts = { status: 'Failed', failureReason: 'CapacityError: no', billableSeconds: 0 };
        const cut = await attempt(crashing<AttemptPorts>(world, at, when), request).catch((error) => error);
        if (!(cut instanceof Crash)) continue;
        const report = await attempt(world, request);
        expect(report).toMatchObject({ action: 'TRAIN', job: { option: 1 } });
        expect(world.ledger.all('RUN#').map(({ kind }) => kind)).toEqual([
          'AttemptStarted',
          'AttemptEnded',
          'AttemptStarted',
        ]);
      }
    }
  });
});

test('of a description, what matters is kept', () => {
  const job = {
    TrainingJobName: 'j',
    TrainingJobArn: 'arn:j',
    TrainingJobStatus: 'Stopped' as const,
    SecondaryStatus: 'MaxWaitTimeExceeded' as const,
    FailureReason: 'x',
    BillableTimeInSeconds: 1,
    TrainingTimeInSeconds: 2,
    ModelArtifacts: { S3ModelArtifacts: 's3://b/m' },
    SecondaryStatusTransitions: (['Starting', 'Training', 'Interrupted', 'Starting', 'Interrupted'] as const).map(
      (Status) => ({ Status, StartTime: new Date() }),
    ),
    FinalMetricDataList: [{ MetricName: 'validation:auc', Value: 0.7 }],
  };
  expect(factsOf(job as never)).toEqual({
    status: 'Stopped',
    secondaryStatus: 'MaxWaitTimeExceeded',
    failureReason: 'x',
    billableSeconds: 1,
    trainingSeconds: 2,
    interruptions: 2,
    arn: 'arn:j',
    model: 's3://b/m',
    metrics: { 'validation:auc': 0.7 },
  });
  expect(() => factsOf({} as never)).toThrow('must have a status');
});
