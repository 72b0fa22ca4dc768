import { Duration } from 'aws-cdk-lib';
import { describe, expect, test } from 'vitest';
import type { Machine } from '../../engine/src/services/states/definition';
import { StatesError } from '../../engine/src/services/states/errors';
import { CapacityOption, type ContinuousTrainingProps, HyperparameterRange, Trainer, Tuning } from '../../lib';
import { type Answers, converse, golden } from '../support/conversation';
import { machinesOf } from '../support/definition';
import { templateOf, wholeLoop } from '../support/stacks';

const compute = [
  CapacityOption.spot('ml.g5.xlarge', { maxWait: Duration.hours(1) }),
  CapacityOption.onDemand('ml.g5.xlarge', { maxPending: Duration.hours(2) }),
  CapacityOption.onDemand('ml.g6e.xlarge'),
];
const ranges = [
  HyperparameterRange.integer('max_depth', 3, 9),
  HyperparameterRange.number('eta', 0.01, 0.3, true),
  HyperparameterRange.choice('grow_policy', ['depthwise', 'lossguide']),
];

function training(props: Partial<ContinuousTrainingProps> = {}): Machine {
  const { stack } = wholeLoop({ pipelineName: 'loop', trainer: Trainer.xgboost({ compute }), ...props });
  return machinesOf(templateOf(stack)).training as unknown as Machine;
}

const plain = training();

const job = (option: number) => ({
  name: `job-${option}`,
  option,
  maxRuntimeSeconds: 600,
  maxWaitSeconds: 900,
  checkpoints: `checkpoints/${option}/`,
  hyperparameters: { max_depth: '4' },
});
/** Each capacity option is tried once; the last one trains. */
const attempt = (options: number) => (_: unknown, before: number) =>
  before < options
    ? { action: 'TRAIN', waitSeconds: before === 1 ? 60 : 0, progress: { tried: before }, job: job(before) }
    : { action: 'TRAINED', waitSeconds: 0, progress: {}, model: 's3://made/model.tar.gz', trainingJobArn: 'arn:job' };
const noMachine = (options: number) => (_: unknown, before: number) => {
  if (before < options - 1) throw new StatesError('States.TaskFailed', '{"FailureReason":"CapacityError: none"}');
  return {};
};
const champion = { version: 1, modelPackageArn: 'arn:package/1', runId: 'old', modelName: 'loop-v1' };
const judged = (promote: boolean, verdict: string) => ({ promote, verdict, because: `it is ${verdict}` });

const ANSWERS: Answers = {
  Snapshot: { dataVersion: 'data-1' },
  Attempt: attempt(3),
  createTrainingJob: noMachine(3),
  Seal: { uri: 's3://sealed/model.tar.gz', versionId: 'version-1', sha256: 'sum' },
  Champion: { champion },
  Judge: judged(true, 'BETTER'),
  createModelPackage: { ModelPackageArn: 'arn:package/2' },
};
const INPUT = { reason: 'data', evidence: [{ reason: 'data' }] };
const WHAT_FOLLOWS = ['Finish', 'createModelPackage', 'updateModelPackage'];
const finished = (outcome: string) => expect.objectContaining({ outcome });

describe('a run, from the first request to the last', () => {
  test('asks for what the golden file says, in its order', async () => {
    const { asked, end } = await converse(plain, INPUT, ANSWERS);
    expect(end).toBe('Done');
    await expect(golden(asked)).toMatchFileSnapshot('../golden/training-run.json');
  });

  test.each([
    ['one by one', Tuning.oneByOne({ ranges, maxTrials: 3, target: 0.8 }), 'createTrainingJob', 3],
    [
      'by SageMaker',
      Tuning.sageMaker({ ranges, maxTrials: 6, trialsAtOnce: 2, target: 0.8 }),
      'createHyperParameterTuningJob',
      3,
    ],
  ])(
    'that searches for hyperparameters %s asks for its jobs as the golden file says',
    async (how, tuning, action, jobs) => {
      const answers = { ...ANSWERS, [action]: noMachine(jobs) };
      const { of, end } = await converse(training({ tuning }), INPUT, answers);
      expect(end).toBe('Done');
      expect(of(action)).toHaveLength(jobs);
      const some = { firstAttempt: of('Attempt')[0], jobs: of(action) };
      const file = `../golden/tuning-${how.replaceAll(' ', '-').toLowerCase()}.json`;
      await expect(golden(some)).toMatchFileSnapshot(file);
    },
  );
});

describe('a candidate', () => {
  test('that is better is registered with its lineage, its metrics and the baseline of its drift, and approved by rule', async () => {
    const { of, asked } = await converse(plain, INPUT, ANSWERS);
    const document = (name: string) => ({
      Statistics: { ContentType: 'application/json', S3Uri: `s3://LoopDataset/runs/data-0123456789ab/${name}` },
    });
    expect(of('createModelPackage')).toMatchObject([
      {
        ModelPackageGroupName: expect.any(String),
        ModelPackageDescription: 'it is BETTER',
        ModelApprovalStatus: 'PendingManualApproval',
        ModelMetrics: { ModelQuality: document('judgement.json'), ModelDataQuality: document('profile.json') },
        DriftCheckBaselines: { ModelDataQuality: document('baseline.json') },
        MetadataProperties: { GeneratedBy: 'arn:job' },
        CustomerMetadataProperties: {
          pipeline: 'loop',
          runId: 'data-0123456789ab',
          reason: 'data',
          dataVersion: 'data-1',
          verdict: 'BETTER',
          modelVersionId: 'version-1',
          modelSha256: 'sum',
        },
      },
    ]);
    expect(of('updateModelPackage')).toEqual([
      {
        ModelPackageArn: 'arn:package/2',
        ModelApprovalStatus: 'Approved',
        ApprovalDescription: 'By rule: it is BETTER',
      },
    ]);
    expect(asked.at(-1)?.request).toMatchObject({ outcome: 'PROMOTED', modelPackageArn: 'arn:package/2' });
  });

  test('that is rejected is never registered', async () => {
    const { asked, end } = await converse(plain, INPUT, { ...ANSWERS, Judge: judged(false, 'WORSE') });
    expect(end).toBe('Done');
    const after = asked.filter(({ what }) => WHAT_FOLLOWS.includes(what));
    expect(after).toEqual([{ what: 'Finish', request: finished('REJECTED') }]);
    expect(after[0]?.request).not.toHaveProperty('modelPackageArn');
  });

  test('waits for its approval where a person is to approve', async () => {
    const { asked, end } = await converse(training({ autoApprove: false }), INPUT, ANSWERS);
    expect(end).toBe('Done');
    const after = asked.filter(({ what }) => WHAT_FOLLOWS.includes(what));
    expect(after.map(({ what }) => what)).toEqual(['createModelPackage', 'Finish']);
    expect(after[1]?.request).toMatchObject({ outcome: 'AWAITING_APPROVAL', modelPackageArn: 'arn:package/2' });
  });

  test.each([true, false])('of a replay is never registered (promote: %s)', async (promote) => {
    const answers = { ...ANSWERS, Judge: judged(promote, 'BETTER') };
    const { asked } = await converse(plain, { ...INPUT, replay: true }, answers);
    const after = asked.filter(({ what }) => WHAT_FOLLOWS.includes(what));
    expect(after).toEqual([{ what: 'Finish', request: finished('REPLAYED') }]);
  });

  test('with no champion to compare with is scored alone, and a model that is there already is used', async () => {
    const answers: Answers = {
      ...ANSWERS,
      Champion: {},
      createModel: () => {
        throw new StatesError('SageMaker.SageMakerException', 'Cannot create already existing model');
      },
    };
    const { of, end } = await converse(plain, INPUT, answers);
    expect(end).toBe('Done');
    expect(of('createTransformJob')).toHaveLength(1);
    expect(of('Judge')).toEqual([expect.not.objectContaining({ champion: expect.anything() })]);
  });
});

describe('a run that fails', () => {
  const fails = (name: string) => () => {
    throw new StatesError(name, `${name}: because`);
  };
  test.each(['Snapshot', 'Prepare', 'Attempt', 'Seal', 'createModel', 'Champion', 'createTransformJob', 'Judge'])(
    'at %s records why, and goes no further',
    async (what) => {
      const { asked, end } = await converse(plain, INPUT, { ...ANSWERS, [what]: fails('Mine') });
      expect(end).toBe('Run failed');
      expect(asked.at(-1)).toMatchObject({
        what: 'Finish',
        request: { outcome: 'FAILED', error: { cause: expect.stringContaining('because') } },
      });
      expect(asked.filter(({ what }) => what === 'createModelPackage')).toEqual([]);
    },
  );

  test.each(['createModelPackage', 'updateModelPackage'])('at %s is recorded, with no other end', async (what) => {
    const { of, end } = await converse(plain, INPUT, { ...ANSWERS, [what]: fails('Mine') });
    expect(end).toBe('Run failed');
    expect(of('Finish')).toMatchObject([{ outcome: 'FAILED', error: { name: 'Mine', cause: 'Mine: because' } }]);
  });

  test('because nothing trains any more says what was tried', async () => {
    const failure = { name: 'Perennial.TrainingFailed', cause: 'no machines' };
    const answers = { ...ANSWERS, Attempt: { action: 'FAILED', waitSeconds: 0, progress: {}, failure } };
    const { of, end } = await converse(plain, INPUT, answers);
    expect(end).toBe('Run failed');
    expect(of('Finish')).toMatchObject([{ outcome: 'FAILED', error: failure }]);
    expect(of('Seal')).toEqual([]);
  });
});
