import { Duration } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { DefinitionBody, Pass, StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { describe, expect, test } from 'vitest';
import {
  DatasetBucket,
  DriftTrigger,
  type ITrigger,
  NewDataTrigger,
  RetrainController,
  type RetrainControllerProps,
  RunLedger,
  ScheduleTrigger,
} from '../../lib';
import { emptyStack } from '../support/stacks';

function control(props: Partial<RetrainControllerProps> = {}) {
  const stack = emptyStack();
  new RetrainController(stack, 'Controller', {
    dataset: new DatasetBucket(stack, 'Dataset'),
    ledger: new RunLedger(stack, 'Ledger'),
    pipelineName: 'loop',
    machine: new StateMachine(stack, 'Machine', {
      definitionBody: DefinitionBody.fromChainable(new Pass(stack, 'Pass')),
    }),
    ...props,
  });
  return Template.fromStack(stack);
}

/** The rules that the function is given. */
function rulesOf(template: Template) {
  const [handler] = Object.values(template.findResources('AWS::Lambda::Function'));
  return JSON.parse(handler?.Properties.Environment.Variables.SETTINGS);
}

describe('RetrainController', () => {
  test('collects a minute, cools an hour, and gives up on drift after three runs that did not help', () => {
    const template = control();
    expect(rulesOf(template)).toMatchObject({
      cooldownMinutes: 60,
      maxRunsPerDay: 24,
      maxRunsWithoutPromotion: 3,
      uploads: true,
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      MaximumBatchingWindowInSeconds: 60,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
  });

  test('decides by the rules it is given', () => {
    const template = control({
      batchingWindow: Duration.seconds(10),
      cooldown: Duration.minutes(90),
      maxRunsPerDay: 2,
      maxRunsWithoutPromotion: 5,
      newestFiles: 2,
    });
    expect(rulesOf(template)).toMatchObject({
      cooldownMinutes: 90,
      maxRunsPerDay: 2,
      maxRunsWithoutPromotion: 5,
      newestFiles: 2,
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', { MaximumBatchingWindowInSeconds: 10 });
  });

  test('takes no more messages at once than Lambda allows where none are collected', () => {
    const template = control({ batchingWindow: Duration.seconds(0) });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      MaximumBatchingWindowInSeconds: 0,
      BatchSize: 10,
    });
  });

  test('is triggered by new data, drift and requests, and told of every end', () => {
    const template = control();
    template.resourceCountIs('AWS::Events::Rule', 4);
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: { source: ['aws.s3'], detail: { object: { key: [{ prefix: 'incoming/' }] } } },
    });
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: { 'detail-type': ['Perennial Drift Detected'], detail: { pipeline: ['loop'] } },
    });
  });

  test('is triggered by what it is given instead', () => {
    const template = control({ triggers: [new ScheduleTrigger(ScheduleExpression.rate(Duration.days(7)))] });
    template.resourceCountIs('AWS::Events::Rule', 1);
    template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(7 days)',
      Target: { Input: Match.stringLikeRegexp('aws.scheduler.scheduled-time') },
    });
  });

  test('may have several triggers of a kind, and those that somebody else wrote', () => {
    const own: ITrigger = {
      bind(scope, { queue }) {
        const eventPattern = { source: ['own'] };
        new Rule(scope, 'NewData', { eventPattern, targets: [new SqsQueue(queue)] });
      },
    };
    const every = (days: number) => new ScheduleTrigger(ScheduleExpression.rate(Duration.days(days)));
    const template = control({ triggers: [every(1), every(7), new NewDataTrigger(), own] });
    for (const rate of ['rate(1 day)', 'rate(7 days)']) {
      template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: rate });
    }
    for (const source of ['aws.s3', 'own']) {
      template.hasResourceProperties('AWS::Events::Rule', { EventPattern: { source: [source] } });
    }
  });

  test('looks for what no event has told of, once an hour or as often as it is told', () => {
    for (const [reconcileEvery, rate] of [
      [undefined, 'rate(1 hour)'],
      [Duration.minutes(10), 'rate(10 minutes)'],
    ] as const) {
      control({ reconcileEvery }).hasResourceProperties('AWS::Scheduler::Schedule', {
        Name: 'loop-controller',
        ScheduleExpression: rate,
        Target: {
          Arn: { 'Fn::GetAtt': [Match.stringLikeRegexp('ControllerTriggersQueue'), 'Arn'] },
          DeadLetterConfig: { Arn: Match.anyValue() },
          Input: Match.stringLikeRegexp('"detail-type":"Perennial Reconcile".*"pipeline":"loop"'),
        },
      });
    }
  });

  test('does not look for uploads where they are no trigger', () => {
    expect(rulesOf(control({ triggers: [new DriftTrigger()] })).uploads).toBe(false);
  });

  test('keeps what could not be handled, and says so', () => {
    const template = control();
    template.hasResourceProperties('AWS::SQS::Queue', { RedrivePolicy: { maxReceiveCount: 5 } });
    for (const MetricName of ['ApproximateNumberOfMessagesVisible', 'Errors']) {
      template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName, Threshold: 1 });
    }
  });

  test.each<[Partial<RetrainControllerProps>, string]>([
    [{ batchingWindow: Duration.minutes(6) }, 'batchingWindow must be 0 to 300 seconds, got 6 minutes'],
    [{ maxRunsPerDay: 0 }, 'maxRunsPerDay must be a whole number from 1 to 1000, got 0'],
    [{ maxRunsPerDay: 1.5 }, 'maxRunsPerDay must be a whole number from 1 to 1000, got 1.5'],
    [{ maxRunsWithoutPromotion: 0 }, 'maxRunsWithoutPromotion must be a whole number from 1 to 1000, got 0'],
    [{ newestFiles: 1.5 }, 'newestFiles must be a whole number from 1 to 100000, got 1.5'],
    [{ newestFiles: Number.NaN }, 'newestFiles must be a whole number from 1 to 100000, got NaN'],
    [{ reconcileEvery: Duration.seconds(1) }, 'reconcileEvery must be 1 minute to 1 day, got 1 second'],
    [{ reconcileEvery: Duration.days(2) }, 'reconcileEvery must be 1 minute to 1 day, got 2 days'],
  ])('refuses %o', (props, message) => {
    expect(() => control(props)).toThrow(message);
  });
});
