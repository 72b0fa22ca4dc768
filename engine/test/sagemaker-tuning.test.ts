import { readFileSync } from 'node:fs';
import { DescribeHyperParameterTuningJobCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../src/engine/engine';
import type { Shape } from '../src/service';
import { candidates } from '../src/services/sagemaker/tuning-search';
import { mistakesIn } from './support/api-shape';
import { assemblyOf } from './support/assembly';
import { ROLE } from './support/fake-context';
import { BUCKET, IMAGE, Lab } from './support/sagemaker';

const METRIC = 'validation:auc';
const auc = [{ Name: METRIC, Regex: 'validation:auc=([0-9.]+)' }];

/** A script that scores what it is given: 0.5 for fast, 0.9 for slow, and more for more rounds. */
const SCORES = `
import json, os
given = json.loads(os.environ['SM_HPS'])
if given.get('pace') == 'broken': raise SystemExit(3)
if given.get('pace') != 'silent': print(f"validation:auc={(0.9 if given['pace'] == 'slow' else 0.5) + given['rounds'] / 1000}")
`;

const choices = (Name: string, ...Values: string[]) => ({ Name, Values });

/** A grid over these choices. */
function tuningRequest(
  name: string,
  code: string,
  grid: readonly object[],
  changes: { config?: Shape; definition?: Shape; limits?: Shape } & Shape = {},
): Shape {
  const { config, definition, limits, ...others } = changes;
  return {
    HyperParameterTuningJobName: name,
    HyperParameterTuningJobConfig: {
      Strategy: 'Grid',
      HyperParameterTuningJobObjective: { Type: 'Maximize', MetricName: METRIC },
      ResourceLimits: { MaxParallelTrainingJobs: 2, ...limits },
      ParameterRanges: { CategoricalParameterRanges: grid },
      ...config,
    },
    TrainingJobDefinition: {
      StaticHyperParameters: { sagemaker_program: 'train.py', sagemaker_submit_directory: code },
      AlgorithmSpecification: { TrainingImage: IMAGE, TrainingInputMode: 'File', MetricDefinitions: auc },
      RoleArn: ROLE,
      OutputDataConfig: { S3OutputPath: `s3://${BUCKET}/models` },
      ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 10 },
      StoppingCondition: { MaxRuntimeInSeconds: 60 },
      ...definition,
    },
    ...others,
  };
}

describe('a tuning job', () => {
  const lab = new Lab();
  let code: string;
  beforeAll(async () => {
    code = await lab.archive('code/scores.tar.gz', { 'train.py': SCORES });
  });
  afterAll(() => lab.stop());

  const start = (...request: Parameters<typeof tuningRequest>) =>
    lab.call('CreateHyperParameterTuningJob', tuningRequest(...request));
  const describeJob = (name: string) =>
    lab.call('DescribeHyperParameterTuningJob', { HyperParameterTuningJobName: name });
  const trialsOf = (name: string, more: Shape = {}): Promise<Shape[]> =>
    lab
      .call('ListTrainingJobsForHyperParameterTuningJob', {
        HyperParameterTuningJobName: name,
        MaxResults: 100,
        ...more,
      })
      .then(({ TrainingJobSummaries }) => TrainingJobSummaries);
  const finished = async (name: string) => {
    await lab.context.idle();
    return describeJob(name);
  };

  it('trains every point of a grid, each a training job of its own, and names the best', async () => {
    const request = tuningRequest('grid', code, [choices('pace', 'slow', 'fast'), choices('rounds', '1', '2')], {
      Tags: [{ Key: 'team', Value: 'a' }],
      definition: { CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints` } },
    });
    expect(mistakesIn('CreateHyperParameterTuningJob', request)).toEqual([]);

    const { HyperParameterTuningJobArn } = await lab.call('CreateHyperParameterTuningJob', request);
    const job = await finished('grid');

    expect(HyperParameterTuningJobArn).toBe('arn:aws:sagemaker:eu-west-1:111122223333:hyper-parameter-tuning-job/grid');
    const asked = lab.context.calls.filter(({ operation }) => operation === 'CreateTrainingJob');
    expect(asked.map(({ input }) => input.HyperParameters)).toEqual(
      [
        { pace: 'slow', rounds: '1' },
        { pace: 'slow', rounds: '2' },
        { pace: 'fast', rounds: '1' },
        { pace: 'fast', rounds: '2' },
      ].map((point) => ({
        sagemaker_program: 'train.py',
        sagemaker_submit_directory: code,
        _tuning_objective_metric: METRIC,
        ...point,
      })),
    );
    const names = asked.map(({ input }) => input.TrainingJobName);
    names.forEach((name, index) => {
      expect(name).toMatch(new RegExp(`^grid-00${index + 1}-[0-9a-f]{8}$`));
    });
    for (const { input } of asked) {
      expect(mistakesIn('CreateTrainingJob', input)).toEqual([]);
      expect(input.CheckpointConfig).toEqual({ S3Uri: `s3://${BUCKET}/checkpoints/${input.TrainingJobName}/` });
      expect(input.Tags).toEqual([{ Key: 'team', Value: 'a' }]);
    }
    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      TrainingJobStatusCounters: { Completed: 4, InProgress: 0, RetryableError: 0, NonRetryableError: 0, Stopped: 0 },
      ObjectiveStatusCounters: { Succeeded: 4, Pending: 0, Failed: 0 },
      BestTrainingJob: {
        TrainingJobName: names[1],
        TrainingJobArn: `arn:aws:sagemaker:eu-west-1:111122223333:training-job/${names[1]}`,
        TunedHyperParameters: { pace: 'slow', rounds: '2' },
        FinalHyperParameterTuningJobObjectiveMetric: { MetricName: METRIC, Value: 0.902 },
        TrainingJobStatus: 'Completed',
        ObjectiveStatus: 'Succeeded',
      },
      TrainingJobDefinition: { StaticHyperParameters: { _tuning_objective_metric: METRIC } },
      ConsumedResources: { RuntimeInSeconds: expect.any(Number) },
    });
    expect(job.FailureReason).toBeUndefined();
    expect(job.Tags).toBeUndefined();
    const trained = await lab.call('DescribeTrainingJob', { TrainingJobName: names[0] });
    expect(trained.TuningJobArn).toBe(HyperParameterTuningJobArn);
    expect(trained.ModelArtifacts.S3ModelArtifacts).toBe(`s3://${BUCKET}/models/${names[0]}/output/model.tar.gz`);
  });

  it('tells of its states by events, which carry its tags', () => {
    const events = lab.context.events.filter(({ resources }) => resources?.[0]?.endsWith('tuning-job/grid'));
    expect(events.map(({ detail }) => detail.HyperParameterTuningJobStatus)).toEqual(['InProgress', 'Completed']);
    expect(events[1]).toMatchObject({
      source: 'aws.sagemaker',
      'detail-type': 'SageMaker HyperParameter Tuning Job State Change',
      detail: { Tags: [{ Key: 'team', Value: 'a' }], HyperParameterTuningEndTime: expect.any(Number) },
    });
  });

  it('asks for the job, its tags and to pass the role, and not for the training jobs', async () => {
    lab.context.asked.length = 0;
    lab.context.calls.length = 0;
    await start('needs', code, [choices('pace', 'fast')], {
      Tags: [{ Key: 'a', Value: 'b' }],
      definition: {
        StaticHyperParameters: { sagemaker_program: 'train.py', sagemaker_submit_directory: code, rounds: '1' },
      },
    });

    const resource = 'arn:aws:sagemaker:eu-west-1:111122223333:hyper-parameter-tuning-job/needs';
    const tags = { 'aws:RequestTag/a': 'b', 'aws:TagKeys': ['a'] };
    const asked = { 'sagemaker:InstanceTypes': ['ml.m5.large'], 'sagemaker:MaxRuntimeInSeconds': '60' };
    expect(lab.context.asked.slice(0, 3)).toEqual([
      { action: 'sagemaker:CreateHyperParameterTuningJob', resource, conditions: { ...tags, ...asked } },
      { action: 'sagemaker:AddTags', resource, conditions: tags },
      { action: 'iam:PassRole', resource: ROLE, conditions: { 'iam:PassedToService': 'sagemaker.amazonaws.com' } },
    ]);
    await finished('needs');
    const training = lab.context.calls.filter(({ operation }) => operation === 'CreateTrainingJob');
    expect(training.map(({ caller }) => caller)).toEqual([{ kind: 'root' }]); // SageMaker itself
  });

  it('runs no more at once than it may', async () => {
    await start('parallel', code, [choices('pace', 'fast'), choices('rounds', '1', '2', '3', '4', '5')]);
    await lab.context.idle();

    let [running, most] = [0, 0];
    for (const { resources, detail } of lab.context.events) {
      if (!resources?.[0]?.includes(':training-job/parallel-')) continue;
      running += { Starting: 1, Completed: -1 }[detail.SecondaryStatus as string] ?? 0;
      most = Math.max(most, running);
    }
    expect([running, most]).toEqual([0, 2]);
  });

  it('minimizes, and takes the first of equals', async () => {
    await start('minimize', code, [choices('pace', 'slow', 'fast', 'other'), choices('rounds', '1')], {
      limits: { MaxParallelTrainingJobs: 1 },
      config: { HyperParameterTuningJobObjective: { Type: 'Minimize', MetricName: METRIC } },
    });

    const { BestTrainingJob } = await finished('minimize');

    expect(BestTrainingJob.TunedHyperParameters).toEqual({ pace: 'fast', rounds: '1' });
  });

  it('counts a training job without the metric, and one that fails, as failed', async () => {
    await start('mixed', code, [choices('pace', 'fast', 'silent', 'broken'), choices('rounds', '1')]);

    const job = await finished('mixed');

    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      TrainingJobStatusCounters: { Completed: 2, NonRetryableError: 1 },
      ObjectiveStatusCounters: { Succeeded: 1, Pending: 0, Failed: 2 },
      BestTrainingJob: { TunedHyperParameters: { pace: 'fast' } },
    });
    const [, silent, broken] = await trialsOf('mixed');
    expect(silent).toMatchObject({ TrainingJobStatus: 'Completed', ObjectiveStatus: 'Failed' });
    expect(silent.FinalHyperParameterTuningJobObjectiveMetric).toBeUndefined();
    expect(broken).toMatchObject({
      TrainingJobStatus: 'Failed',
      ObjectiveStatus: 'Failed',
      FailureReason: expect.stringContaining('exit code: 3'),
    });
  });

  it.each([
    ['broken', 2, 2, /^All training jobs failed\. Please take a look at the training jobs failures/],
    ['broken', 9, 5, /^No training job succeeded after 5 attempts\./],
    ['silent', 1, 1, /^No objective metrics found after running 1 training jobs\./],
  ])('fails if every job is %s, of %i points after %i', async (pace, points, tried, reason) => {
    const rounds = Array.from({ length: points }, (_, round) => String(round));
    const name = `fails-${pace}-${points}`;
    await start(name, code, [choices('pace', pace), choices('rounds', ...rounds)], {
      limits: { MaxParallelTrainingJobs: 1 },
    });

    const job = await finished(name);

    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Failed',
      FailureReason: expect.stringMatching(reason),
    });
    expect(job.BestTrainingJob).toBeUndefined();
    expect(await trialsOf(name)).toHaveLength(tried);
  });

  it('tells of training jobs that could not be started', async () => {
    lab.context.denied.add('sagemaker:CreateTrainingJob');
    await start('refused', code, [choices('pace', 'fast'), choices('rounds', '1')]);

    const job = await finished('refused');
    lab.context.denied.clear();

    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Failed',
      TrainingJobStatusCounters: { NonRetryableError: 1 },
    });
    expect(await trialsOf('refused')).toMatchObject([
      { TrainingJobStatus: 'Failed', FailureReason: expect.stringContaining('AccessDeniedException') },
    ]);
  });

  it('ends once the target is reached', async () => {
    await start('target', code, [choices('pace', 'fast', 'slow'), choices('rounds', '1', '2', '3', '4')], {
      limits: { MaxParallelTrainingJobs: 1 },
      config: { TuningJobCompletionCriteria: { TargetObjectiveMetricValue: 0.9 } },
    });

    const job = await finished('target');

    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      TrainingJobStatusCounters: { Completed: 5, Stopped: 0 },
      BestTrainingJob: { TunedHyperParameters: { pace: 'slow', rounds: '1' } },
    });
  });

  it('ends once enough jobs in a row were no better by 1 %', async () => {
    await start('stagnant', code, [choices('pace', 'fast'), choices('rounds', '10', '11', '12', '13', '90')], {
      limits: { MaxParallelTrainingJobs: 1 },
      config: {
        TuningJobCompletionCriteria: { BestObjectiveNotImproving: { MaxNumberOfTrainingJobsNotImproving: 3 } },
      },
    });

    const job = await finished('stagnant');

    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      TrainingJobStatusCounters: { Completed: 4 },
      TuningJobCompletionDetails: { NumberOfTrainingJobsObjectiveNotImproving: 3 },
    });
  });

  describe('with jobs that do not end by themselves', () => {
    let endless: string;
    const running = async (name: string) => {
      const told = () => lab.context.lines.filter((line) => line === `at work ${name}`).length;
      for (const end = Date.now() + 20_000; told() < 2 && Date.now() < end; )
        await new Promise((go) => setTimeout(go, 20));
    };
    beforeAll(async () => {
      endless = await lab.archive('code/endless.tar.gz', {
        'train.py': `
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('validation:auc=0.7'); print('at work', os.environ['TRAINING_JOB_NAME'].rsplit('-', 2)[0])
time.sleep(60)
`,
      });
    });

    it('stops them when it is stopped, and starts no others', async () => {
      await start('stopped', endless, [choices('n', '1', '2', '3')]);
      await running('stopped');
      await lab.call('StopHyperParameterTuningJob', { HyperParameterTuningJobName: 'stopped' });
      expect(await describeJob('stopped')).toMatchObject({ HyperParameterTuningJobStatus: 'Stopping' });

      const job = await finished('stopped');

      expect(job).toMatchObject({
        HyperParameterTuningJobStatus: 'Stopped',
        TrainingJobStatusCounters: { Stopped: 2, InProgress: 0 },
        ObjectiveStatusCounters: { Succeeded: 2, Pending: 0 },
      });
      expect(await trialsOf('stopped')).toHaveLength(2);
      const again = lab.call('StopHyperParameterTuningJob', { HyperParameterTuningJobName: 'stopped' });
      await expect(again).rejects.toThrow('the hyperparameter tuning job is in status Stopped');
    });

    it('stops them when its time is over', async () => {
      await start('late', endless, [choices('n', '1', '2', '3')], { limits: { MaxRuntimeInSeconds: 120 } });
      await running('late');
      expect(await describeJob('late')).toMatchObject({ HyperParameterTuningJobStatus: 'InProgress' });
      lab.context.clock.advance(121_000);

      const job = await finished('late');

      expect(job).toMatchObject({
        HyperParameterTuningJobStatus: 'Completed',
        TrainingJobStatusCounters: { Stopped: 2 },
      });
    });
  });

  it('gives training jobs the resources that are meant for tuning', async () => {
    const [InstanceType, InstanceCount, VolumeSizeInGB] = ['ml.c5.xlarge', 1, 7];
    const other = { InstanceType: 'ml.m5.xlarge', InstanceCount, VolumeSizeInGB };
    const first = { InstanceType, InstanceCount, VolumeSizeInGB };
    const grid = [choices('pace', 'fast'), choices('rounds', '1')];
    const resources = (HyperParameterTuningResourceConfig: Shape) => ({
      definition: { ResourceConfig: undefined, HyperParameterTuningResourceConfig },
    });
    await start('one-kind', code, grid, resources(first));
    await start(
      'many-kinds',
      code,
      grid,
      resources({ AllocationStrategy: 'Prioritized', InstanceConfigs: [first, other] }),
    );
    await lab.context.idle();

    for (const name of ['one-kind', 'many-kinds']) {
      const [{ TrainingJobName }] = await trialsOf(name);
      expect(await lab.call('DescribeTrainingJob', { TrainingJobName })).toMatchObject({ ResourceConfig: first });
    }
  });

  it('lists its training jobs by name, by value, by status', async () => {
    const values = async (more: Shape) =>
      (await trialsOf('mixed', more)).map(({ TunedHyperParameters }) => TunedHyperParameters.pace);
    expect(await values({})).toEqual(['fast', 'silent', 'broken']);
    expect(await values({ SortOrder: 'Descending' })).toEqual(['broken', 'silent', 'fast']);
    expect(await values({ StatusEquals: 'Completed' })).toEqual(['fast', 'silent']);
    expect(await values({ SortBy: 'FinalObjectiveMetricValue' })).toEqual(['fast']);
    const rounds = await trialsOf('grid', { SortBy: 'FinalObjectiveMetricValue', SortOrder: 'Descending' });
    expect(rounds.map((one) => one.FinalHyperParameterTuningJobObjectiveMetric.Value)).toEqual([
      ...[0.902, 0.901, 0.502, 0.501],
    ]);
    const input = { HyperParameterTuningJobName: 'grid', MaxResults: 3 };
    const { NextToken, TrainingJobSummaries } = await lab.call('ListTrainingJobsForHyperParameterTuningJob', input);
    expect(TrainingJobSummaries).toHaveLength(3);
    const rest = await lab.call('ListTrainingJobsForHyperParameterTuningJob', { ...input, NextToken });
    expect(rest.TrainingJobSummaries).toHaveLength(1);
  });

  it('is listed', async () => {
    const list = (input: Shape): Promise<Shape> => lab.call('ListHyperParameterTuningJobs', input);
    const { HyperParameterTuningJobSummaries: found } = await list({ NameContains: 'fails-', MaxResults: 2 });
    expect(found.map((one: Shape) => one.HyperParameterTuningJobName)).toEqual(['fails-broken-2', 'fails-broken-9']);
    expect(found[0]).toMatchObject({
      HyperParameterTuningJobStatus: 'Failed',
      Strategy: 'Grid',
      TrainingJobStatusCounters: { NonRetryableError: 2 },
      ResourceLimits: { MaxParallelTrainingJobs: 1 },
    });
    const { HyperParameterTuningJobSummaries: stopped } = await list({ StatusEquals: 'Stopped' });
    expect(stopped.map((one: Shape) => one.HyperParameterTuningJobName)).toEqual(['stopped']);
  });

  it('has a name of its own, and no other is found', async () => {
    await expect(start('grid', code, [choices('pace', 'fast')])).rejects.toMatchObject({ code: 'ResourceInUse' });
    for (const operation of ['Describe', 'Stop', 'ListTrainingJobsFor']) {
      const call = lab.call(`${operation}HyperParameterTuningJob`, { HyperParameterTuningJobName: 'none' });
      await expect(call).rejects.toMatchObject({
        code: 'ResourceNotFound',
        message: "Amazon SageMaker can't find a tuning job with the name none.",
      });
    }
  });

  const integer = (changes: Shape = {}) => ({
    Strategy: 'Random',
    ParameterRanges: { IntegerParameterRanges: [{ Name: 'depth', MinValue: '1', MaxValue: '9', ...changes }] },
  });
  it.each<[string, Shape, RegExp]>([
    [
      'a long name',
      { HyperParameterTuningJobName: 'x'.repeat(33) },
      /'hyperParameterTuningJobName'.*less than or equal to 32/,
    ],
    ['Hyperband', { config: { Strategy: 'Hyperband' } }, /Value 'Hyperband' at .*strategy.*\[Bayesian, Random, Grid\]/],
    [
      'a warm start',
      {
        WarmStartConfig: {
          ParentHyperParameterTuningJobs: [{ HyperParameterTuningJobName: 'other' }],
          WarmStartType: 'TransferLearning',
        },
      },
      /'warmStartConfig' is not supported by this engine/,
    ],
    [
      'several definitions',
      { TrainingJobDefinitions: [tuningRequest('other', 's3://bucket/code', []).TrainingJobDefinition] },
      /'trainingJobDefinitions' is not supported/,
    ],
    ['Autotune', { Autotune: { Mode: 'Enabled' } }, /'autotune' is not supported/],
    ['an unknown member', { definition: { Image: 'x' } }, /Unknown member 'Image' in 'trainingJobDefinition'/],
    [
      'no objective',
      { config: { HyperParameterTuningJobObjective: undefined } },
      /hyperParameterTuningJobObjective.*not be null/,
    ],
    [
      'a metric that nothing defines',
      { definition: { AlgorithmSpecification: { TrainingImage: IMAGE, TrainingInputMode: 'File' } } },
      /objective metric validation:auc must be one of the MetricDefinitions, got none/,
    ],
    ['no ranges', { config: { ParameterRanges: {} } }, /at least one range/],
    [
      'a range of a static parameter',
      { definition: { StaticHyperParameters: { pace: '1' } } },
      /Hyperparameter pace must have one range/,
    ],
    [
      'numbers in a grid',
      { config: { ...integer(), Strategy: 'Grid' } },
      /Grid takes CategoricalParameterRanges alone, got a range for depth/,
    ],
    [
      'another number than the grid’s',
      { limits: { MaxNumberOfTrainingJobs: 3 } },
      /grid's 2 combinations, or be left out; got 3/,
    ],
    ['no number of jobs', { config: integer() }, /MaxNumberOfTrainingJobs is required for Random/],
    [
      'bounds out of order',
      { config: integer({ MaxValue: '0' }) },
      /MinValue and MaxValue of depth must be integers in order, got 1 and 0/,
    ],
    ['bounds that are no integers', { config: integer({ MinValue: '0.5' }) }, /must be integers in order, got 0.5/],
    [
      'a logarithm of nothing',
      { config: integer({ MinValue: '0', ScalingType: 'Logarithmic' }) },
      /greater than 0, got 0 for depth/,
    ],
    [
      'integers in reverse',
      { config: integer({ ScalingType: 'ReverseLogarithmic' }) },
      /needs a continuous range within 0 <= x < 1/,
    ],
    [
      'neither resources',
      { definition: { ResourceConfig: undefined } },
      /either ResourceConfig or HyperParameterTuningResourceConfig/,
    ],
    [
      'what training refuses',
      { definition: { EnableManagedSpotTraining: true } },
      /^TrainingJobDefinition: MaxWaitTimeInSeconds must be specified/,
    ],
    [
      'what training’s shape refuses',
      { definition: { OutputDataConfig: {} } },
      /'trainingJobDefinition.outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must not be null/,
    ],
  ])('is refused with %s', async (_, changes, message) => {
    const refused = start('not-made', code, [choices('pace', 'slow', 'fast')], changes);
    await expect(refused).rejects.toMatchObject({
      code: 'ValidationException',
      message: expect.stringMatching(message),
    });
    await expect(describeJob('not-made')).rejects.toMatchObject({ code: 'ResourceNotFound' });
  });
});

describe('faults', () => {
  it('of the service cost a trial, but for throttling, and are told apart', async () => {
    const faulty = new Lab({
      faults: {
        training: [
          { kind: 'throttle', match: { job: 'hit-001' }, times: 2 },
          { kind: 'quota', match: { job: 'hit-002' } },
          { kind: 'internal', match: { job: 'hit-003' } },
        ],
      },
    });
    const code = await faulty.archive('code/scores.tar.gz', { 'train.py': SCORES });
    const grid = [choices('pace', 'fast'), choices('rounds', '1', '2', '3')];
    await faulty.call('CreateHyperParameterTuningJob', tuningRequest('hit', code, grid));
    await faulty.context.idle();
    const HyperParameterTuningJobName = 'hit';

    const job = await faulty.call('DescribeHyperParameterTuningJob', { HyperParameterTuningJobName });
    const { TrainingJobSummaries } = await faulty.call('ListTrainingJobsForHyperParameterTuningJob', {
      HyperParameterTuningJobName,
    });
    await faulty.stop();

    expect(job).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      TrainingJobStatusCounters: { Completed: 1, RetryableError: 1, NonRetryableError: 1 },
      BestTrainingJob: { TunedHyperParameters: { rounds: '1' } },
    });
    expect(TrainingJobSummaries.map(({ FailureReason }: Shape) => FailureReason)).toEqual([
      undefined,
      expect.stringMatching(/^ResourceLimitExceeded: /),
      expect.stringMatching(/^InternalServerError/),
    ]);
  });
});

describe('the search', () => {
  const config = (changes: Shape = {}): Shape => ({
    Strategy: 'Random',
    ResourceLimits: { MaxNumberOfTrainingJobs: 200 },
    ParameterRanges: {
      IntegerParameterRanges: [{ Name: 'depth', MinValue: '2', MaxValue: '5' }],
      ContinuousParameterRanges: [
        { Name: 'eta', MinValue: '0.0001', MaxValue: '1', ScalingType: 'Logarithmic' },
        { Name: 'momentum', MinValue: '0', MaxValue: '0.9999', ScalingType: 'ReverseLogarithmic' },
        { Name: 'lambda', MinValue: '-1', MaxValue: '1' },
      ],
      CategoricalParameterRanges: [choices('booster', 'gbtree', 'dart')],
    },
    ...changes,
  });
  const points = (changes: Shape = {}, name = 'job') => [...candidates(config(changes), name)];

  it('draws from the whole of every range, on its scale', () => {
    const drawn = points();
    expect(drawn).toHaveLength(200);
    expect(new Set(drawn.map(({ depth }) => depth))).toEqual(new Set(['2', '3', '4', '5']));
    expect(new Set(drawn.map(({ booster }) => booster))).toEqual(new Set(['gbtree', 'dart']));
    const share = (name: string, fits: (value: number) => boolean) =>
      drawn.filter((point) => fits(Number(point[name]))).length / drawn.length;
    expect(share('eta', (value) => value >= 0.0001 && value <= 1)).toBe(1);
    expect(share('eta', (value) => value < 0.01)).toBeGreaterThan(0.4); // half of the scale
    expect(share('eta', (value) => value > 0.01)).toBeGreaterThan(0.4);
    expect(share('momentum', (value) => value >= 0 && value <= 0.9999)).toBe(1);
    expect(share('momentum', (value) => value > 0.99)).toBeGreaterThan(0.35);
    expect(share('lambda', (value) => value >= -1 && value < 1)).toBe(1);
    expect(share('lambda', (value) => value < 0)).toBeGreaterThan(0.35);
  });

  it('is the same for the same seed, or name', () => {
    expect(points({ RandomSeed: 7 }, 'a')).toEqual(points({ RandomSeed: 7 }, 'b'));
    expect(points({}, 'a')).toEqual(points({}, 'a'));
    expect(points({}, 'a')).not.toEqual(points({}, 'b'));
    expect(points({ RandomSeed: 7 })).not.toEqual(points({ RandomSeed: 8 }));
    expect(points({ Strategy: 'Bayesian' })).toEqual(points()); // draws at random, as the README says
  });

  it('tries no point twice while there are others', () => {
    const ParameterRanges = { IntegerParameterRanges: [{ Name: 'n', MinValue: '1', MaxValue: '6' }] };
    const tried = points({ ParameterRanges, ResourceLimits: { MaxNumberOfTrainingJobs: 6 } }).map(({ n }) => n);
    expect(tried.sort()).toEqual(['1', '2', '3', '4', '5', '6']);
  });
});

describe('a state machine', () => {
  const trust = (Service: string) => ({
    Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service } }],
  });
  const job = (action: string) => ({
    Effect: 'Allow',
    Action: action,
    Resource: 'arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/tune-*',
  });
  const rule = 'arn:aws:events:us-east-1:000000000000:rule/StepFunctionsGetEventsForSageMakerTuningJobsRule';
  const request = tuningRequest('-', `s3://${BUCKET}/code.tar.gz`, [], {
    HyperParameterTuningJobName: '{% $states.input.name %}',
    config: {
      ParameterRanges: { CategoricalParameterRanges: [choices('pace', 'fast', 'slow'), choices('rounds', '1')] },
    },
    definition: { RoleArn: '${JobRole.Arn}' },
  });
  const template = {
    Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: BUCKET } },
    JobRole: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: trust('sagemaker.amazonaws.com'),
        Policies: [
          {
            PolicyName: 'data',
            PolicyDocument: {
              Statement: [
                { Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject'], Resource: `arn:aws:s3:::${BUCKET}/*` },
              ],
            },
          },
        ],
      },
    },
    MachineRole: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: trust('states.amazonaws.com'),
        Policies: [
          {
            PolicyName: 'tune',
            PolicyDocument: {
              Statement: [
                job('sagemaker:CreateHyperParameterTuningJob'),
                job('sagemaker:DescribeHyperParameterTuningJob'),
                job('sagemaker:StopHyperParameterTuningJob'),
                job('sagemaker:AddTags'),
                {
                  Effect: 'Allow',
                  Action: 'iam:PassRole',
                  Resource: { 'Fn::GetAtt': ['JobRole', 'Arn'] },
                  Condition: { StringEquals: { 'iam:PassedToService': 'sagemaker.amazonaws.com' } },
                },
                {
                  Effect: 'Allow',
                  Action: ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
                  Resource: rule,
                },
              ],
            },
          },
        ],
      },
    },
    Machine: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: 'tune',
        RoleArn: { 'Fn::GetAtt': ['MachineRole', 'Arn'] },
        DefinitionString: {
          'Fn::Sub': JSON.stringify({
            QueryLanguage: 'JSONata',
            StartAt: 'Tune',
            States: {
              Tune: {
                Type: 'Task',
                Resource: 'arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync',
                Arguments: request,
                Output: '{% $states.result.BestTrainingJob.TunedHyperParameters.pace %}',
                End: true,
              },
            },
          }),
        },
      },
    },
  };

  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.start({ assembly: assemblyOf(template), python: { interpreter: 'python3' } });
  });
  afterAll(() => engine.stop());

  const run = async (name: string) => {
    const sfn = new SFNClient(engine.clientConfig);
    const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:tune';
    const input = JSON.stringify({ name });
    const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input }));
    await engine.idle();
    return await sfn.send(new DescribeExecutionCommand({ executionArn }));
  };

  it('fails with the reason if all training jobs do', async () => {
    const { status, error, cause } = await run('tune-nothing'); // there is no code yet

    expect({ status, error }).toEqual({ status: 'FAILED', error: 'States.TaskFailed' });
    expect(JSON.parse(cause as string)).toMatchObject({
      HyperParameterTuningJobStatus: 'Failed',
      FailureReason: expect.stringMatching(/^All training jobs failed/),
      TrainingJobStatusCounters: { NonRetryableError: 2 },
    });
  });

  it('waits for a tuning job under its own role, and gives the best', async () => {
    const lab = new Lab();
    await lab.archive('code.tar.gz', { 'train.py': SCORES });
    const archive = readFileSync(await lab.file('code.tar.gz'));
    await lab.stop();
    await engine.services.s3.put(BUCKET, 'code.tar.gz', archive, { kind: 'root' });

    expect(await run('tune-it')).toMatchObject({ status: 'SUCCEEDED', output: '"slow"' });

    const sagemaker = new SageMakerClient(engine.clientConfig);
    const described = await sagemaker.send(
      new DescribeHyperParameterTuningJobCommand({ HyperParameterTuningJobName: 'tune-it' }),
    );
    expect(described).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      CreationTime: expect.any(Date),
      HyperParameterTuningEndTime: expect.any(Date),
      BestTrainingJob: { TrainingStartTime: expect.any(Date) },
    });
  });

  it('may start only what its role allows', async () => {
    const { status, error, cause } = await run('other');

    expect({ status, error }).toEqual({ status: 'FAILED', error: 'SageMaker.AmazonSageMakerException' });
    expect(cause).toMatch(/hyper-parameter-tuning-job\/other/);
  });
});
