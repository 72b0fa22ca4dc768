import { ApiError } from '../../service';
import { settingsOf } from './queue';

/** The attributes that a queue can have. */
const SETTABLE = [
  ...['ContentBasedDeduplication', 'DeduplicationScope', 'DelaySeconds', 'FifoQueue', 'FifoThroughputLimit'],
  ...['KmsDataKeyReusePeriodSeconds', 'KmsMasterKeyId', 'MaximumMessageSize', 'MessageRetentionPeriod', 'Policy'],
  ...['ReceiveMessageWaitTimeSeconds', 'RedriveAllowPolicy', 'RedrivePolicy', 'SqsManagedSseEnabled'],
  'VisibilityTimeout',
];

/** What can be asked of a queue, even where it has none. */
export const KNOWN_ATTRIBUTES: readonly string[] = [
  ...SETTABLE,
  ...['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesDelayed', 'ApproximateNumberOfMessagesNotVisible'],
  ...['CreatedTimestamp', 'LastModifiedTimestamp', 'QueueArn'],
];

export function checkQueueName(name: unknown, attributes: Readonly<Record<string, unknown>>): void {
  const fifo = String(attributes.FifoQueue) === 'true';
  const lawful = fifo ? /^[\w-]{1,75}\.fifo$/ : /^[\w-]{1,80}$/;
  if (lawful.test(String(name))) return;
  throw new ApiError(
    'InvalidParameterValue',
    fifo
      ? `The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length. Got '${name}'`
      : `Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length. Got '${name}'${/\.fifo$/.test(String(name)) ? ', and the attribute FifoQueue is not true' : ''}`,
  );
}

/** Refuses attributes that no queue can have, and values that they cannot have. */
export function checkAttributes(
  attributes: Readonly<Record<string, unknown>>,
  exists: (queueArn: string) => boolean,
): void {
  const unknown = Object.keys(attributes).find((name) => !SETTABLE.includes(name));
  if (unknown !== undefined) throw new ApiError('InvalidAttributeName', `Unknown Attribute ${unknown}.`);
  if (String(attributes.FifoQueue) === 'false') {
    throw new ApiError(
      'InvalidAttributeValue',
      'Invalid value for the parameter FifoQueue. Reason: it can only be true, or absent.',
    );
  }
  settingsOf({ ...attributes, RedrivePolicy: undefined });
  const { RedrivePolicy: redrive } = attributes;
  if (redrive !== undefined && redrive !== '') checkRedrive(redrive, exists);
}

function checkRedrive(given: unknown, exists: (queueArn: string) => boolean): void {
  const text = typeof given === 'string' ? given : JSON.stringify(given);
  const wrong = (reason: string) =>
    new ApiError('InvalidParameterValue', `Value ${text} for parameter RedrivePolicy is invalid. Reason: ${reason}`);
  let policy: { readonly deadLetterTargetArn?: unknown; readonly maxReceiveCount?: unknown } | null;
  try {
    policy = JSON.parse(text);
  } catch {
    throw wrong('Redrive policy is not a valid JSON map.');
  }
  const { deadLetterTargetArn: arn, maxReceiveCount: most } = policy ?? {};
  if (arn === undefined) throw wrong('Redrive policy does not contain mandatory attribute: deadLetterTargetArn.');
  if (most === undefined) throw wrong('Redrive policy does not contain mandatory attribute: maxReceiveCount.');
  if (!Number.isInteger(Number(most)) || Number(most) < 1 || Number(most) > 1000) {
    throw wrong(`Invalid value for maxReceiveCount: ${most}, valid values are from 1 to 1000 both inclusive.`);
  }
  if (!exists(String(arn))) throw wrong('Dead letter target does not exist.');
}
