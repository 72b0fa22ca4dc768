import { Duration } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

export interface TriggerQueueProps {
  /** The function that handles the events, several at once. */
  readonly handler: lambda.Function;
  /** How long events are collected. */
  readonly batchingWindow: Duration;
  /** What encrypts the queue; SQS's own key without it. */
  readonly encryptionKey: kms.IKey | undefined;
}

/** A queue that is encrypted, and open to TLS alone. */
export function encryptedQueue(scope: Construct, id: string, key: kms.IKey | undefined, props: sqs.QueueProps) {
  return new sqs.Queue(scope, id, {
    ...(key === undefined
      ? { encryption: sqs.QueueEncryption.SQS_MANAGED }
      : { encryption: sqs.QueueEncryption.KMS, encryptionMasterKey: key }),
    enforceSSL: true,
    ...props,
  });
}

/** A queue between rules and a function that must not be run twice for one cause. */
export class TriggerQueue extends Construct {
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.Queue;

  constructor(scope: Construct, id: string, props: TriggerQueueProps) {
    super(scope, id);
    this.deadLetterQueue = encryptedQueue(this, 'DeadLetters', props.encryptionKey, {
      retentionPeriod: Duration.days(14),
    });
    this.queue = encryptedQueue(this, 'Queue', props.encryptionKey, {
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
