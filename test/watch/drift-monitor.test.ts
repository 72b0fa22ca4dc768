import { Duration } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { DatasetBucket, DriftMonitor, type DriftMonitorProps, RunLedger } from '../../lib';
import { ASSESS_DEFAULTS } from '../../lib/core';
import { emptyStack } from '../support/stacks';

function monitor(props: Partial<DriftMonitorProps> = {}) {
  const stack = emptyStack();
  new DriftMonitor(stack, 'Monitor', {
    dataset: new DatasetBucket(stack, 'Dataset'),
    ledger: new RunLedger(stack, 'Ledger'),
    pipelineName: 'loop',
    endpointName: 'loop',
    ...props,
  });
  return Template.fromStack(stack);
}

/** The rules that the function is given. */
function rulesOf(template: Template) {
  const [handler] = Object.values(template.findResources('AWS::Lambda::Function'));
  return JSON.parse(handler?.Properties.Environment.Variables.SETTINGS);
}

describe('DriftMonitor', () => {
  test('judges every hour by the published defaults, and true outcomes at once', () => {
    const template = monitor();
    expect(rulesOf(template)).toEqual({ lookBackDays: 45, assess: ASSESS_DEFAULTS });
    template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(1 hour)' });
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: { source: ['aws.s3'], detail: { object: { key: [{ prefix: 'ground-truth/' }] } } },
    });
  });

  test('judges as told', () => {
    const rules = {
      significanceLevel: 0.01,
      averageRunLength: 100,
      psiThreshold: 0.25,
      scoreDropThreshold: 0.05,
      errorIncreaseThreshold: 0.2,
    };
    const template = monitor({ ...rules, interval: Duration.minutes(30), lookBack: Duration.days(7) });
    expect(rulesOf(template)).toEqual({ lookBackDays: 7, assess: { ...ASSESS_DEFAULTS, ...rules } });
    template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(30 minutes)' });
  });

  test('fires an alarm when nobody watches', () => {
    monitor().hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'WindowsJudged',
      TreatMissingData: 'breaching',
    });
  });

  test.each<[Partial<DriftMonitorProps>, string]>([
    [{ interval: Duration.seconds(10) }, 'interval must be 1 minute to 365 days, got 10 seconds'],
    [{ lookBack: Duration.days(400) }, 'lookBack must be at most 365 days, got 400 days'],
    [{ significanceLevel: 5 }, 'significanceLevel must be 0.000001 to 0.5, got 5'],
    [{ averageRunLength: 0 }, 'averageRunLength must be at least 1, got 0'],
    [{ psiThreshold: 0 }, 'psiThreshold must be above 0, got 0'],
    [{ scoreDropThreshold: 2 }, 'scoreDropThreshold must be above 0 and at most 1, got 2'],
    [{ scoreDropThreshold: Number.NaN }, 'scoreDropThreshold must be above 0 and at most 1, got NaN'],
    [{ errorIncreaseThreshold: 0 }, 'errorIncreaseThreshold must be above 0 and at most 100, got 0'],
    [{ errorIncreaseThreshold: Number.NaN }, 'errorIncreaseThreshold must be above 0 and at most 100, got NaN'],
  ])('refuses %o', (props, message) => {
    expect(() => monitor(props)).toThrow(message);
  });
});
