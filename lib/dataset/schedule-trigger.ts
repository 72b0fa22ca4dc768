import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as targets from 'aws-cdk-lib/aws-scheduler-targets';
import type { Construct } from 'constructs';
import { scheduleInput } from '../private/schedule-input';
import type { ITrigger, TriggerTarget } from './trigger';

/** Starts a run at given times, whether or not anything has changed. */
export class ScheduleTrigger implements ITrigger {
  /** @param schedule when, e.g. `ScheduleExpression.rate(Duration.days(7))` */
  constructor(private readonly schedule: scheduler.ScheduleExpression) {}

  public bind(scope: Construct, target: TriggerTarget): void {
    new scheduler.Schedule(scope, 'Schedule', {
      description: 'Starts a run at given times',
      schedule: this.schedule,
      target: new targets.SqsSendMessage(target.queue, {
        deadLetterQueue: target.deadLetterQueue,
        input: scheduleInput(target.pipelineName),
      }),
    });
  }
}
