import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import { Events } from '../core/names';

/** What Scheduler sends: our own event, told apart from the next by the time for which it was planned. */
export function scheduleInput(pipelineName: string, type: string = Events.SCHEDULE): scheduler.ScheduleTargetInput {
  return scheduler.ScheduleTargetInput.fromObject({
    source: Events.SOURCE,
    'detail-type': type,
    id: scheduler.ContextAttribute.executionId,
    time: scheduler.ContextAttribute.scheduledTime,
    detail: { pipeline: pipelineName },
  });
}
