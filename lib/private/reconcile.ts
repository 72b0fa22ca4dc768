import type { Duration } from 'aws-cdk-lib';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as targets from 'aws-cdk-lib/aws-scheduler-targets';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { Events } from '../core/names';
import { scheduleInput } from './schedule-input';
import { outside } from './validate';

export interface ReconcileProps {
  readonly scheduleName: string;
  readonly pipelineName: string;
  readonly every: Duration;
  readonly queue: IQueue;
  readonly deadLetterQueue: IQueue;
}

/** Has those who are fed by a queue look, every so often, for what no event has told of. */
export function reconcileSchedule(scope: Construct, props: ReconcileProps): scheduler.Schedule {
  const { scheduleName, pipelineName, every, queue, deadLetterQueue } = props;
  return new scheduler.Schedule(scope, 'Reconcile', {
    scheduleName,
    description: 'Looks for what no event has told of',
    schedule: scheduler.ScheduleExpression.rate(every),
    target: new targets.SqsSendMessage(queue, {
      deadLetterQueue,
      input: scheduleInput(pipelineName, Events.RECONCILE),
    }),
  });
}

/** What is wrong with how often is looked. */
export function reconcileMistake(every: Duration): string | false {
  return (
    outside(every.toMinutes({ integral: false }), 1, 24 * 60) &&
    `reconcileEvery must be 1 minute to 1 day, got ${every.toHumanString()}`
  );
}
