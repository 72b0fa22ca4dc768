import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** What a trigger is told about the controller that it serves. */
export interface TriggerTarget {
  /** The pipeline's name. */
  readonly pipelineName: string;
  /** Where the trigger sends its events. */
  readonly queue: sqs.IQueue;
  /** Where events go that could not be sent. */
  readonly deadLetterQueue: sqs.IQueue;
  /** The bucket of the pipeline's data. */
  readonly data: s3.IBucket;
}

/** A cause of runs. */
export interface ITrigger {
  /**
   * Makes the rule or schedule that sends events to the controller's queue.
   *
   * @param scope this trigger's alone, so that several of a kind live together
   */
  bind(scope: Construct, target: TriggerTarget): void;
}
