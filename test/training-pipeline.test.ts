import { Duration } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import {
  DataContract,
  DatasetBucket,
  ModelRegistry,
  Promotion,
  RunLedger,
  Trainer,
  TrainingPipeline,
  type TrainingPipelineProps,
} from '../lib';
import { definitionsOf, type State, statesOf } from './support/definition';
import { CONTRACT, emptyStack } from './support/stacks';

/** The states of the machine of the smallest pipeline. */
function statesWith(props: Partial<TrainingPipelineProps> = {}): Record<string, State> {
  const stack = emptyStack();
  new TrainingPipeline(stack, 'Training', {
    data: new DatasetBucket(stack, 'Dataset').bucket,
    ledger: new RunLedger(stack, 'Ledger'),
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    contract: DataContract.fromObject(CONTRACT),
    trainer: Trainer.xgboost(),
    pipelineName: 'loop',
    ...props,
  });
  const [definition] = Object.values(definitionsOf(Template.fromStack(stack)));
  return Object.fromEntries(statesOf(definition as never));
}

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

  test('replaces a champion by what is not worse within 0.005 at 95 %', () => {
    expect(rulesOf(statesWith())).toEqual({
      margin: 0.005,
      confidence: 0.95,
      firstModel: 0.5,
      promote: ['BETTER', 'NOT_WORSE'],
      minSliceRows: 1000,
    });
  });

  test('judges as told', () => {
    const rules = {
      metric: 'logLoss',
      margin: 0.01,
      confidence: 0.99,
      firstModel: 0.6,
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

  test('passes parameters as the strings that SageMaker takes', () => {
    const trainer = Trainer.xgboost({ hyperparameters: { eta: '0.3' }, seed: 7 });
    const { HyperParameters } = statesWith({ trainer })['Train on offer 1'].Arguments;
    expect(HyperParameters).toMatchObject({ eta: '0.3', seed: '7', problem: 'binary', key: 'id' });
  });

  test.each<[Partial<TrainingPipelineProps>, string]>([
    [{ pipelineName: 'My_Pipeline' }, 'pipelineName must be 1 to 20 lower-case letters, digits and inner hyphens'],
    [{ holdoutShare: 0 }, 'holdoutShare must be 0.01 to 0.9, got 0'],
    [{ validationShare: 0.9 }, 'validationShare must be 0.01 to 0.5, got 0.9'],
    [{ margin: -1 }, 'margin must not be negative, got -1'],
    [{ confidence: 95 }, 'confidence must be 0.5 to 0.9999, got 95'],
    [{ newestFiles: 0 }, 'newestFiles must be 1 to 100000, got 0'],
    [{ minSliceRows: 3 }, 'minSliceRows must be at least 30, got 3'],
    [{ trainer: Trainer.xgboost({ maxDuration: Duration.seconds(5) }) }, 'maxDuration must be 1 minute to 28 days'],
    [
      { trainer: Trainer.xgboost({ hyperparameters: { eta: 'x'.repeat(2501) } }) },
      'at most 2500 characters each, got eta',
    ],
  ])('refuses %o', (props, message) => {
    expect(() => statesWith(props)).toThrow(message);
  });

  test('names every mistake at once', () => {
    expect(() => statesWith({ margin: -1, confidence: 2 })).toThrow(/margin must.*; confidence must/);
  });
});
