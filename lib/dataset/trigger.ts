import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import type { IDataset } from './dataset';

/** What a trigger is told about the controller that it serves. */
export interface TriggerTarget {
  /** The pipeline's name. */
  readonly pipelineName: string;
  /** Where the trigger sends its events. */
  readonly queue: sqs.IQueue;
  /** Where events go that could not be sent. */
  readonly deadLetterQueue: sqs.IQueue;
  /** The pipeline's data. */
  readonly dataset: IDataset;
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
