import { Duration } from 'aws-cdk-lib';
import { ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { describe, expect, test } from 'vitest';
import { DriftTrigger, NewDataTrigger, ScheduleTrigger } from '../lib';
import { parseDeploymentMessage, parseMessage, parseMonitorEvent } from '../lib/core/messages';
import { templateOf, wholeLoop } from './support/stacks';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's shapes
type Json = any;

const { Resources } = templateOf(
  wholeLoop({
    pipelineName: 'loop',
    triggers: [
      new NewDataTrigger(),
      new DriftTrigger(),
      new ScheduleTrigger(ScheduleExpression.rate(Duration.days(1))),
    ],
  }).stack,
).toJSON();
const ofType = (type: string) =>
  Object.entries<Json>(Resources).flatMap(([id, { Type, Properties }]) => (Type === type ? [{ id, Properties }] : []));

/** What an ARN in the template is of, without the hash that CDK adds. */
const named = (arn: Json): string => (arn.Ref ?? arn['Fn::GetAtt'][0]).replace(/[0-9A-F]{8}$/, '');

/** An event's type, and what else a pattern asks of it. */
function described({ 'detail-type': type, detail: { outcome = [], status = [], object } = {} as Json }: Json): string {
  return [...type, ...outcome, ...status, ...(object?.key.map(({ prefix }: Json) => prefix) ?? [])].join(' ');
}

describe('an event', () => {
  test('reaches whom it is for', () => {
    const reached = ofType('AWS::Events::Rule').flatMap(({ Properties: { EventPattern, Targets } }) => {
      const targets = Targets.map(({ Arn }: Json) => named(Arn)).join(', ');
      return (EventPattern.$or ?? [EventPattern]).map((pattern: Json) => `${described(pattern)} → ${targets}`);
    });
    const ended = 'SUCCEEDED FAILED TIMED_OUT ABORTED';
    const people = 'LoopNotificationsTopic';
    expect(reached.sort()).toEqual(
      [
        'Object Created incoming/ → LoopControllerTriggersQueue',
        'Object Created ground-truth/ → LoopMonitorHandlerFunction',
        'Perennial Drift Detected → LoopControllerTriggersQueue',
        'Perennial Drift Detected → LoopMonitorFeedback',
        `Perennial Drift Detected → ${people}`,
        'Perennial Run Ended → LoopControllerTriggersQueue',
        `Perennial Run Ended FAILED → ${people}`,
        `Perennial Run Ended AWAITING_APPROVAL → ${people}`,
        `Perennial Deployment Ended FAILED → ${people}`,
        `Perennial Deployment Ended ROLLED_BACK → ${people}`,
        `Perennial Data Needed → ${people}`,
        `Perennial Budget Reached → ${people}`,
        'SageMaker Model Package State Change → LoopDeploymentApprovalsQueue',
        `Step Functions Execution Status Change ${ended} → LoopControllerTriggersQueue`,
        `Step Functions Execution Status Change ${ended} → LoopDeploymentApprovalsQueue`,
        `Step Functions Execution Status Change TIMED_OUT ABORTED → ${people}`,
      ].sort(),
    );
  });
});

describe('what a schedule sends', () => {
  const at = '2026-03-01T12:00:00.000Z';
  /** As Scheduler fills it in. */
  const sent = (Input: string) =>
    Input.replaceAll('<aws.scheduler.execution-id>', 'occasion-1').replaceAll('<aws.scheduler.scheduled-time>', at);
  const schedules = Object.fromEntries(
    ofType('AWS::Scheduler::Schedule').map(({ Properties: { Target, ScheduleExpression } }) => [
      `${named(Target.Arn)} ${ScheduleExpression}`,
      sent(Target.Input),
    ]),
  );

  test('is understood by who gets it', () => {
    expect(Object.keys(schedules).sort()).toEqual([
      'LoopControllerTriggersQueue rate(1 day)',
      'LoopControllerTriggersQueue rate(1 hour)',
      'LoopDeploymentApprovalsQueue rate(1 hour)',
      'LoopMonitorHandlerFunction rate(1 hour)',
    ]);
    const [daily, hourly, approvals, monitor] = Object.entries(schedules)
      .sort()
      .map(([, text]) => text) as [string, string, string, string];
    expect(parseMessage(daily, 'loop')).toEqual({
      kind: 'trigger',
      evidence: { reason: 'schedule', eventId: expect.any(String), at, detail: expect.anything() },
    });
    expect(parseMessage(hourly, 'loop')).toMatchObject({ kind: 'reconcile' });
    expect(parseDeploymentMessage(approvals, 'models', 'loop')).toEqual({ kind: 'reconcile' });
    expect(parseMonitorEvent(JSON.parse(monitor))).toEqual({ at });
  });
});
