import { App, Duration, Size, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { mistakesIn } from '../engine/test/support/api-shape';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  HyperparameterRange,
  ModelRegistry,
  Promotion,
  RunLedger,
  SearchStrategy,
  Trainer,
  TrainingPipeline,
  type TrainingPipelineProps,
  Tuning,
} from '../lib';
import { definitionsOf, type State, statesOf } from './support/definition';
import { CONTRACT, emptyStack } from './support/stacks';

/** The machine of the smallest pipeline. */
function definitionWith(props: Partial<TrainingPipelineProps> = {}, stack: Stack = emptyStack()): State {
  new TrainingPipeline(stack, 'Training', {
    dataset: new DatasetBucket(stack, 'Dataset'),
    ledger: new RunLedger(stack, 'Ledger'),
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    contract: DataContract.fromObject(CONTRACT),
    trainer: Trainer.xgboost(),
    pipelineName: 'loop',
    ...props,
  });
  const [definition] = Object.values(definitionsOf(Template.fromStack(stack)));
  return definition as never;
}

/** Its states. */
function statesWith(props: Partial<TrainingPipelineProps> = {}): Record<string, State> {
  return Object.fromEntries(statesOf(definitionWith(props)));
}

/** The contract with another kind of target. */
const predicting = (problem: 'binary' | 'regression') =>
  DataContract.fromObject(problem === 'binary' ? CONTRACT : { ...CONTRACT, features: ['kind'], target: 'size' });

/** The rules in the payload of the judging state. */
function rulesOf(states: Record<string, State>) {
  const [, rules] = /'rules': (\{.*\})\} %\}$/.exec(states.Judge.Arguments.Payload) ?? [];
  return JSON.parse(rules as string);
}

describe('TrainingPipeline', () => {
  test('splits off a fifth to judge on and a tenth of the rest to stop early, from all files', () => {
    const { Payload } = statesWith().Snapshot.Arguments;
    expect(Payload.split).toEqual({ holdout: 0.2, validation: 0.1 });
    expect(Payload).not.toHaveProperty('newestFiles');
    expect(Payload.contract.key).toBe('id');
  });

  test('splits as told, from as many files as told', () => {
    const states = statesWith({ holdoutShare: 0.3, validationShare: 0.05, newestFiles: 4 });
    expect(states.Snapshot.Arguments.Payload).toMatchObject({
      split: { holdout: 0.3, validation: 0.05 },
      newestFiles: 4,
    });
  });

  test.each([
    ['binary', undefined, 0.005],
    ['binary', 'accuracy', 0.005],
    ['binary', 'logLoss', 0.01],
    ['binary', 'brier', 0.01],
    ['regression', undefined, 0.01],
    ['regression', 'mae', 0.01],
  ] as const)(
    'replaces a champion of a %s target, by %s, by what is not worse by more than %d at 95 %%',
    (problem, metric, margin) => {
      expect(rulesOf(statesWith({ contract: predicting(problem), ...(metric && { metric }) }))).toEqual({
        ...(metric && { metric }),
        margin,
        confidence: 0.95,
        promote: ['BETTER', 'NOT_WORSE'],
        minSliceRows: 1000,
      });
    },
  );

  test('prepares with 3,008 MiB of memory, or as told, and tells the function how large its disk is', () => {
    const memories = [{}, { preparationMemory: Size.gibibytes(8) }].map((props) => {
      const stack = emptyStack();
      definitionWith(props, stack);
      const [prepare] = Object.values(
        Template.fromStack(stack).findResources('AWS::Lambda::Function', {
          Properties: { Handler: 'prepare.handler' },
        }),
      );
      const { MemorySize, EphemeralStorage, Environment } = prepare?.Properties ?? {};
      expect(EphemeralStorage.Size).toBe(Number(Environment.Variables.STORAGE_MIB));
      return MemorySize;
    });
    expect(memories).toEqual([3008, 8192]);
  });

  test('tries a preparation that ended without a word again, and one that named a file or a fault never', () => {
    const [, named, anything] = statesWith().Prepare.Retry;
    expect(named).toMatchObject({ MaxAttempts: 0 });
    expect(named.ErrorEquals).toEqual(
      expect.arrayContaining(['Perennial.DataUnreadable', 'Perennial.DataRejected', 'Perennial.PreparationFailed']),
    );
    expect(named.ErrorEquals).not.toContain('Perennial.PrepareAgain');
    expect(anything).toMatchObject({ ErrorEquals: ['States.ALL'], MaxAttempts: 35 });
  });

  test('judges as told', () => {
    const rules = {
      metric: 'logLoss',
      margin: 0.01,
      confidence: 0.99,
      firstModelThreshold: 0.6,
      minSliceRows: 500,
    };
    expect(rulesOf(statesWith({ ...rules, promotion: Promotion.BETTER }))).toEqual({ ...rules, promote: ['BETTER'] });
    expect(rulesOf(statesWith({ metric: rules.metric, margin: 0, confidence: 0.9, minSliceRows: 30 }))).toMatchObject({
      margin: 0,
      confidence: 0.9,
    });
  });

  test('approves by rule unless a person is to', () => {
    expect(statesWith().Register.Next).toBe('Approve');
    expect(statesWith({ autoApprove: false })).not.toHaveProperty('Approve');
    expect(statesWith({ autoApprove: false }).Register.Next).toBe('Finish');
  });

  test('scores on the instance it is told', () => {
    const resources = (states: Record<string, State>) => states['Score champion'].Arguments.TransformResources;
    expect(resources(statesWith())).toEqual({ InstanceType: 'ml.m5.large', InstanceCount: 1 });
    expect(resources(statesWith({ scoringInstanceType: 'ml.g5.xlarge' })).InstanceType).toBe('ml.g5.xlarge');
  });

  test('has a state for each capacity option, which waits longer than its job may take', () => {
    const trainer = Trainer.xgboost({
      compute: [
        CapacityOption.spot('ml.g4dn.xlarge', { maxWait: Duration.hours(3) }),
        CapacityOption.onDemand('ml.g5.xlarge', { maxPending: Duration.hours(5) }),
        CapacityOption.onDemand('ml.g5.xlarge'),
      ],
      maxDuration: Duration.hours(2),
    });
    const states = statesWith({ trainer });
    expect([1, 2, 3].map((n) => states[`Train on option ${n}`].TimeoutSeconds / 3600)).toEqual([
      2 + 3 + 1,
      2 + 5 + 1,
      2 + 24 + 1,
    ]);
    expect(states['Train on option 1'].Arguments).toMatchObject({
      EnableManagedSpotTraining: true,
      ResourceConfig: { InstanceType: 'ml.g4dn.xlarge', InstanceCount: 1, VolumeSizeInGB: 30 },
      StoppingCondition: {
        MaxRuntimeInSeconds: '{% $attempt.job.maxRuntimeSeconds %}',
        MaxWaitTimeInSeconds: '{% $attempt.job.maxWaitSeconds %}',
      },
    });
    expect(states['Train on option 2'].Arguments.StoppingCondition).toEqual({
      MaxRuntimeInSeconds: '{% $attempt.job.maxRuntimeSeconds %}',
      MaxPendingTimeInSeconds: 5 * 3600,
    });
    const { capacityOptions } = states['Next attempt'].Arguments.Payload.rules;
    expect(capacityOptions).toMatchObject([
      { label: 'ml.g4dn.xlarge, spot', spot: true, maxRuntimeSeconds: 7200, maxWaitSeconds: 10_800 },
      { label: 'ml.g5.xlarge', spot: false },
      { spot: false },
    ]);
  });

  test('waits for machines as told, and spends as told', () => {
    const rules = (props: Partial<TrainingPipelineProps>) => statesWith(props)['Next attempt'].Arguments.Payload.rules;
    expect(rules({})).toMatchObject({ quotaWaitSeconds: 3600, maxPasses: 3, passIntervalSeconds: 900 });
    expect(rules({})).not.toHaveProperty('maxCostPerRun');
    const retryPolicy = { quotaWait: Duration.minutes(0), maxPasses: 1, passInterval: Duration.minutes(1) };
    const budget = { maxCostPerRun: 5, maxCostPerMonth: 50, prices: { 'ml.g6.2xlarge': 1.2 } };
    expect(rules({ retryPolicy, budget })).toMatchObject({
      quotaWaitSeconds: 0,
      maxPasses: 1,
      passIntervalSeconds: 60,
      maxCostPerRun: 5,
      maxCostPerMonth: 50,
      prices: { 'ml.g6.2xlarge': 1.2 },
    });
  });

  test('never gives up a run before its jobs have', () => {
    const timeout = (props: Partial<TrainingPipelineProps>) => definitionWith(props).TimeoutSeconds;
    const long = Trainer.xgboost({
      compute: [CapacityOption.onDemand('ml.g5.xlarge')],
      maxDuration: Duration.days(10),
    });
    expect(timeout({ trainer: long })).toBeGreaterThan(Duration.days(30).toSeconds());
    const longest = Trainer.xgboost({ maxDuration: Duration.days(28) });
    expect(timeout({ trainer: longest })).toBe(Duration.days(365).toSeconds());
  });

  test('leaves the search for hyperparameters to a tuning job where it is told to', () => {
    const ranges = [
      HyperparameterRange.integer('max_depth', 3, 10),
      HyperparameterRange.number('eta', 0.01, 0.3, true),
      HyperparameterRange.choice('grow_policy', ['depthwise', 'lossguide']),
    ];
    const trainer = Trainer.xgboost({ hyperparameters: { eta: '0.1', num_round: '50' } });
    const tuning = Tuning.sageMaker({
      ranges,
      maxTrials: 10,
      trialsAtOnce: 3,
      target: 0.8,
      strategy: SearchStrategy.RANDOM,
    });
    const { Arguments, Resource, TimeoutSeconds } = statesWith({ trainer, tuning })['Tune on option 1'];
    expect(Resource).toMatch(/:createHyperParameterTuningJob\.sync$/);
    expect(Arguments.HyperParameterTuningJobConfig).toEqual({
      Strategy: 'Random',
      HyperParameterTuningJobObjective: { Type: 'Maximize', MetricName: 'validation:auc' },
      ResourceLimits: { MaxNumberOfTrainingJobs: 10, MaxParallelTrainingJobs: 3 },
      ParameterRanges: {
        IntegerParameterRanges: [{ Name: 'max_depth', MinValue: '3', MaxValue: '10', ScalingType: 'Linear' }],
        ContinuousParameterRanges: [{ Name: 'eta', MinValue: '0.01', MaxValue: '0.3', ScalingType: 'Logarithmic' }],
        CategoricalParameterRanges: [{ Name: 'grow_policy', Values: ['depthwise', 'lossguide'] }],
      },
      TuningJobCompletionCriteria: { TargetObjectiveMetricValue: 0.8 },
      RandomSeed: 42,
    });
    const { StaticHyperParameters } = Arguments.TrainingJobDefinition;
    expect(StaticHyperParameters).toMatchObject({ num_round: '50', problem: 'binary', sagemaker_program: 'train.py' });
    expect(StaticHyperParameters).not.toHaveProperty('eta');
    expect(TimeoutSeconds).toBe(4 * (4 + 1) * 3600 + 3600);
    expect(mistakesIn('CreateHyperParameterTuningJob', Arguments)).toEqual([]);
    const least = Tuning.sageMaker({ ranges, maxTrials: 2, metric: 'validation:logloss' });
    expect(statesWith({ tuning: least })['Tune on option 1'].Arguments.HyperParameterTuningJobConfig).toMatchObject({
      Strategy: 'Bayesian',
      HyperParameterTuningJobObjective: { Type: 'Minimize', MetricName: 'validation:logloss' },
      ResourceLimits: { MaxParallelTrainingJobs: 2 },
    });
  });

  test('passes parameters as the strings that SageMaker takes', () => {
    const trainer = Trainer.xgboost({ hyperparameters: { eta: '0.3' }, seed: 7 });
    const { HyperParameters } = statesWith({ trainer })['Train on option 1'].Arguments;
    expect(HyperParameters).toMatchObject({ eta: '0.3', seed: '7', problem: 'binary', key: 'id' });
  });

  test.each<[Partial<TrainingPipelineProps>, string]>([
    [{ pipelineName: 'My_Pipeline' }, 'pipelineName must be 1 to 20 lower-case letters, digits and inner hyphens'],
    [{ holdoutShare: 0 }, 'holdoutShare must be 0.01 to 0.9, got 0'],
    [{ validationShare: 0.9 }, 'validationShare must be 0.01 to 0.5, got 0.9'],
    [{ margin: -1 }, 'margin must be 0 to 1, got -1'],
    [{ margin: Number.NaN }, 'margin must be 0 to 1, got NaN'],
    [{ metric: 'logLoss', margin: 5 }, "margin must be 0 to 1, a share of the champion's log loss, got 5"],
    [{ firstModelThreshold: Number.NaN }, 'firstModelThreshold must be 0 to 1, got NaN'],
    [{ firstModelThreshold: 70 }, 'firstModelThreshold must be 0 to 1, got 70'],
    [{ metric: 'rmse' }, "metric must be one of auc, logLoss, brier, accuracy for a binary target, got 'rmse'"],
    [{ metric: 'AUC' }, "metric must be one of auc, logLoss, brier, accuracy for a binary target, got 'AUC'"],
    [{ metric: '' }, "metric must be one of auc, logLoss, brier, accuracy for a binary target, got ''"],
    [
      { contract: predicting('regression'), metric: 'auc' },
      "metric must be one of rmse, mae for a regression target, got 'auc'",
    ],
    [{ contract: predicting('regression'), firstModelThreshold: -1 }, 'firstModelThreshold must be at least 0, got -1'],
    [
      { contract: predicting('regression'), firstModelThreshold: Number.POSITIVE_INFINITY },
      'must be at least 0, got Infinity',
    ],
    [{ confidence: 95 }, 'confidence must be 0.5 to 0.9999, got 95'],
    [{ newestFiles: 0 }, 'newestFiles must be a whole number from 1 to 100000, got 0'],
    [{ newestFiles: 1.5 }, 'newestFiles must be a whole number from 1 to 100000, got 1.5'],
    [{ scoringInstanceType: 'banana' }, "scoringInstanceType must look like ml.m5.large, got 'banana'"],
    [{ metric: 'nonsense' }, 'metric must be one of'],
    [{ firstModelThreshold: Number.NaN }, 'got NaN'],
    [{ preparationMemory: Size.mebibytes(512) }, 'preparationMemory must be 1024 to 10240 MiB, got 512'],
    [{ preparationMemory: Size.gibibytes(11) }, 'preparationMemory must be 1024 to 10240 MiB, got 11264'],
    [{ minSliceRows: 3 }, 'minSliceRows must be a whole number of at least 30, got 3'],
    [{ retryPolicy: { quotaWait: Duration.days(2) } }, 'retryPolicy.quotaWait must be 0 to 24 hours, got 2 days'],
    [{ retryPolicy: { maxPasses: 0 } }, 'retryPolicy.maxPasses must be a whole number from 1 to 100, got 0'],
    [{ retryPolicy: { passInterval: Duration.days(2) } }, 'retryPolicy.passInterval must be 0 to 24 hours, got 2 days'],
    [{ budget: { maxCostPerRun: 0 } }, 'budget.maxCostPerRun must be at least 0.01 USD, got 0'],
    [{ budget: { maxCostPerMonth: -1 } }, 'budget.maxCostPerMonth must be at least 0.01 USD, got -1'],
    [{ budget: { prices: { 'ml.g5.xlarge': -1 } } }, 'budget.prices must be USD an hour, got -1 for ml.g5.xlarge'],
    [
      {
        tuning: Tuning.oneByOne({
          ranges: [HyperparameterRange.integer('max_depth', 1, 5)],
          maxTrials: 3,
          metric: 'x_score',
        }),
      },
      'tuning.metric must be one that the trainer prints (train:auc, ',
    ],
    [{ trainer: Trainer.xgboost({ maxDuration: Duration.seconds(5) }) }, 'maxDuration must be 1 minute to 28 days'],
    [
      { trainer: Trainer.xgboost({ hyperparameters: { eta: 'x'.repeat(2501) } }) },
      'at most 2500 characters each, got eta',
    ],
  ])('refuses %o', (props, message) => {
    expect(() => statesWith(props)).toThrow(message);
  });

  test('refuses a ceiling where the region has no price for a capacity option, unless it is told', () => {
    const stack = () => new Stack(new App(), 'Stack', { env: { region: 'eu-west-1', account: '123456789012' } });
    const trainer = Trainer.xgboost({ compute: [CapacityOption.onDemand('ml.g5.xlarge')] });
    const budget = { maxCostPerRun: 5 };
    expect(() => definitionWith({ trainer, budget }, stack())).toThrow(
      'budget: the price of ml.g5.xlarge in eu-west-1 is unknown, and a ceiling needs one; tell it in budget.prices',
    );
    expect(() =>
      definitionWith({ trainer, budget: { ...budget, prices: { 'ml.g5.xlarge': 1.6 } } }, stack()),
    ).not.toThrow();
    expect(() => definitionWith({ trainer }, stack())).not.toThrow();
  });

  test('names every mistake at once', () => {
    expect(() => statesWith({ margin: -1, confidence: 2 })).toThrow(/margin must.*; confidence must/);
  });
});
