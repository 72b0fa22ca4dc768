import { Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

export interface TriggerQueueProps {
  /** The function that handles the events, several at once. */
  readonly handler: lambda.Function;
  /** How long events are collected. */
  readonly batchingWindow: Duration;
}

/** A queue between rules and a function that must not be run twice for one cause. */
export class TriggerQueue extends Construct {
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.Queue;

  constructor(scope: Construct, id: string, props: TriggerQueueProps) {
    super(scope, id);
    this.deadLetterQueue = new sqs.Queue(this, 'DeadLetters', {
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    this.queue = new sqs.Queue(this, 'Queue', {
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // six times the function's timeout, and the batching window, as Lambda asks
      visibilityTimeout: Duration.seconds((props.handler.timeout?.toSeconds() ?? 3) * 6).plus(props.batchingWindow),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: 5 },
    });
    props.handler.addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: props.batchingWindow.toSeconds() > 0 ? 100 : 10, // without a window Lambda allows no more
        maxBatchingWindow: props.batchingWindow,
        reportBatchItemFailures: true,
        maxConcurrency: 2,
      }),
    );
  }
}
