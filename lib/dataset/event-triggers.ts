import * as events from 'aws-cdk-lib/aws-events';
import type { Construct } from 'constructs';
import { Events, Prefix } from '../core/names';
import { QueueTarget } from '../private/targets';
import type { ITrigger, TriggerTarget } from './trigger';

/** Starts a run when data is uploaded to `incoming/`. */
export class NewDataTrigger implements ITrigger {
  public bind(scope: Construct, target: TriggerTarget): void {
    rule(scope, 'NewData', 'An upload of labelled data starts a run', target, {
      source: ['aws.s3'],
      detailType: ['Object Created'],
      detail: { bucket: { name: [target.dataset.bucket.bucketName] }, object: { key: [{ prefix: Prefix.INCOMING }] } },
    });
  }
}

/** Starts a run when the monitor has found drift. */
export class DriftTrigger implements ITrigger {
  public bind(scope: Construct, target: TriggerTarget): void {
    rule(scope, 'Drift', 'A drift verdict starts a run', target, {
      source: [Events.SOURCE],
      detailType: [Events.DRIFT_DETECTED],
      detail: { pipeline: [target.pipelineName] },
    });
  }
}

/** Starts a run when somebody asks for one: `perennial start`. */
export class RequestTrigger implements ITrigger {
  public bind(scope: Construct, target: TriggerTarget): void {
    rule(scope, 'Request', 'A request by hand starts a run', target, {
      source: [Events.SOURCE],
      detailType: [Events.RUN_REQUESTED],
      detail: { pipeline: [target.pipelineName] },
    });
  }
}

function rule(
  scope: Construct,
  id: string,
  description: string,
  target: TriggerTarget,
  eventPattern: events.EventPattern,
): void {
  new events.Rule(scope, id, {
    description,
    eventPattern,
    targets: [new QueueTarget(target.queue, target.deadLetterQueue)],
  });
}
