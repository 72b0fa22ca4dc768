import { App, Duration, RemovalPolicy, Size, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { describe, expect, test } from 'vitest';
import {
  ContinuousTraining,
  DataContract,
  HyperparameterRange,
  Promotion,
  ScheduleTrigger,
  Trainer,
  Tuning,
} from '../lib';
import { definitionsOf, statesOf } from './support/definition';
import { CONTRACT, templateOf, wholeLoop } from './support/stacks';

const REGRESSION = DataContract.fromObject({ ...CONTRACT, features: ['kind'], target: 'size' });

describe('ContinuousTraining', () => {
  test('keeps data, ledger and registry when the stack is deleted, unless told otherwise', () => {
    for (const type of ['AWS::S3::Bucket', 'AWS::DynamoDB::Table', 'AWS::SageMaker::ModelPackageGroup']) {
      templateOf(wholeLoop().stack).hasResource(type, { DeletionPolicy: Match.stringLikeRegexp('^Retain') });
      templateOf(wholeLoop({ removalPolicy: RemovalPolicy.DESTROY }).stack).hasResource(type, {
        DeletionPolicy: 'Delete',
      });
    }
  });

  test('tells the command line where everything is', () => {
    const outputs = Object.keys(templateOf(wholeLoop().stack).toJSON().Outputs);
    const names = [
      'Pipeline',
      'DataBucket',
      'LedgerTable',
      'TrainingMachine',
      'DeploymentMachine',
      'ModelPackageGroup',
      'Endpoint',
    ];
    for (const name of names) expect(outputs.filter((key) => key.includes(name))).toHaveLength(1);
  });

  test('passes on what it is told', () => {
    const { stack } = wholeLoop({
      pipelineName: 'shop',
      newestFiles: 3,
      preparationMemory: Size.gibibytes(4),
      promotion: Promotion.BETTER,
      autoApprove: false,
      servingInstanceType: 'ml.m5.xlarge',
      servingInstanceCount: 4,
      triggers: [new ScheduleTrigger(ScheduleExpression.rate(Duration.days(1)))],
      monitorInterval: Duration.hours(6),
      scoreDropThreshold: 0.05,
    });
    const template = templateOf(stack);
    const states = Object.fromEntries(Object.values(definitionsOf(template)).flatMap(statesOf));
    expect(states.Snapshot.Arguments.Payload.newestFiles).toBe(3);
    template.hasResourceProperties('AWS::Lambda::Function', { Handler: 'prepare.handler', MemorySize: 4096 });
    expect(states.Judge.Arguments.Payload).toContain('"promote":["BETTER"]');
    expect(states).not.toHaveProperty('Approve');
    expect(states['Create endpoint configuration'].Arguments.ProductionVariants[0]).toMatchObject({
      InstanceType: 'ml.m5.xlarge',
      InitialInstanceCount: 4,
    });
    expect(states['Create endpoint'].Arguments.EndpointName).toBe('shop');
    const settings = Object.values(template.findResources('AWS::Lambda::Function'))
      .map(({ Properties }) => JSON.parse(Properties.Environment?.Variables?.SETTINGS ?? '{}'))
      .find(({ assess }) => assess !== undefined);
    expect(settings.assess.scoreDropThreshold).toBe(0.05);
    for (const rate of ['rate(1 day)', 'rate(6 hours)']) {
      template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: rate });
    }
  });

  test('passes on how a number is judged and watched', () => {
    const { stack } = wholeLoop({
      contract: REGRESSION,
      metric: 'mae',
      margin: 0.03,
      firstModelThreshold: 12,
      errorIncreaseThreshold: 0.2,
      tuning: Tuning.oneByOne({ ranges: [HyperparameterRange.integer('max_depth', 3, 9)], maxTrials: 2 }),
    });
    const template = templateOf(stack);
    const states = Object.fromEntries(Object.values(definitionsOf(template)).flatMap(statesOf));
    expect(states.Judge.Arguments.Payload).toContain(
      '"metric":"mae","margin":0.03,"confidence":0.95,"firstModelThreshold":12',
    );
    expect(states['Next attempt'].Arguments.Payload.rules.tuning).toMatchObject({
      metric: 'validation:rmse',
    });
    const settings = Object.values(template.findResources('AWS::Lambda::Function'))
      .map(({ Properties }) => JSON.parse(Properties.Environment?.Variables?.SETTINGS ?? '{}'))
      .find(({ assess }) => assess !== undefined);
    expect(settings.assess.errorIncreaseThreshold).toBe(0.2);
  });

  test.each([
    [
      { contract: REGRESSION, scoreDropThreshold: 0.1 },
      'scoreDropThreshold must not be set for rmse, of which less is better: set errorIncreaseThreshold',
    ],
    [
      { metric: 'brier', scoreDropThreshold: 0.1 },
      'scoreDropThreshold must not be set for brier, of which less is better: set errorIncreaseThreshold',
    ],
    [
      { errorIncreaseThreshold: 0.1 },
      'errorIncreaseThreshold must not be set for auc, of which more is better: set scoreDropThreshold',
    ],
  ])('refuses a setting of the monitor that the metric would ignore: %o', (props, message) => {
    expect(() => wholeLoop(props)).toThrow(message);
  });

  test('is the same template every time it is synthesized', () => {
    expect(templateOf(wholeLoop().stack).toJSON()).toEqual(templateOf(wholeLoop().stack).toJSON());
  });

  test('uses the image of the region, and refuses a region without one', () => {
    const inRegion = (region: string) => {
      const stack = new Stack(new App(), 'Stack', { env: { region, account: '123456789012' } });
      new ContinuousTraining(stack, 'Loop', {
        contract: DataContract.fromObject(CONTRACT),
        trainer: Trainer.xgboost(),
      });
      return JSON.stringify(Template.fromStack(stack).toJSON());
    };
    expect(inRegion('eu-west-1')).toContain('141502667606.dkr.ecr.eu-west-1.');
    expect(() => inRegion('mars-north-1')).toThrow(/region, got mars-north-1, allowed af-south-1/);
  });
});
