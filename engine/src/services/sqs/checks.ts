import { createHash, randomBytes } from 'node:crypto';
import { ApiError } from '../../service';
import type { BatchEntry, MessageAttributes, Sent } from './requests';

const LARGEST_BATCH = 1_048_576;
const MOST_ATTRIBUTES = 10;
const LONGEST_DELAY = 900;
/** In seconds: 12 hours. */
export const LONGEST_VISIBILITY = 43_200;

function invalid(message: string): ApiError {
  return new ApiError('InvalidParameterValue', message);
}

/** A whole number in a request; undefined if it is not given. Older clients send it as text. */
export function wholeIn<T>(
  input: T,
  name: keyof T & string,
  least: number,
  most: number,
  reason = `Must be >= ${least} and <= ${most}, if provided.`,
): number | undefined {
  const given: unknown = input[name];
  if (given === undefined) return undefined;
  const value = Number(given);
  if (given !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(`Value ${given} for parameter ${name} is invalid. Reason: ${reason}`);
}

export function missing(parameter: string): ApiError {
  return new ApiError('MissingParameter', `The request must contain the parameter ${parameter}.`);
}

/** How many bytes of a handle are chance; the others say which queue gave it. */
const CHANCE = 24;

/** A receipt handle, which its queue knows as one of its own whatever becomes of the message. */
export function newHandle(queueArn: string): string {
  const chance = randomBytes(CHANCE);
  return Buffer.concat([chance, sealOf(queueArn, chance)]).toString('base64url');
}

/** Refuses a handle that this queue has never given. */
export function checkedHandle(handle: unknown, queueArn: string): string {
  if (handle === undefined) throw missing('ReceiptHandle');
  const bytes = Buffer.from(String(handle), 'base64url');
  const seal = sealOf(queueArn, bytes.subarray(0, CHANCE));
  if (bytes.toString('base64url') === handle && seal.equals(bytes.subarray(CHANCE))) return handle;
  throw new ApiError('ReceiptHandleIsInvalid', `The input receipt handle "${handle}" is not a valid receipt handle.`);
}

function sealOf(queueArn: string, chance: Buffer): Buffer {
  return createHash('sha256').update(queueArn).update(chance).digest().subarray(0, 12);
}

/** Refuses a batch that the API would refuse as a whole. */
export function checkEntries(action: string, entries: readonly BatchEntry[]): void {
  if (entries.length === 0) {
    throw new ApiError('EmptyBatchRequest', `There should be at least one ${action}BatchRequestEntry in the request.`);
  }
  if (entries.length > 10) {
    throw new ApiError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are 10. You have sent ${entries.length}.`,
    );
  }
  const ids = entries.map(({ Id }) => Id ?? '');
  const without = entries.findIndex(({ Id }) => Id === undefined);
  if (without >= 0) throw missing(`${action}BatchRequestEntry.${without + 1}.Id`);
  if (!ids.every((id) => /^[\w-]{1,80}$/.test(id))) {
    throw new ApiError(
      'InvalidBatchEntryId',
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
    );
  }
  const repeated = ids.find((id, index) => ids.indexOf(id) < index);
  if (repeated !== undefined) throw new ApiError('BatchEntryIdsNotDistinct', `Id ${repeated} repeated.`);
  const bytes = entries.reduce(
    (sum, { MessageBody = '', MessageAttributes }) => sum + sizeOf(MessageBody, MessageAttributes),
    0,
  );
  if (bytes > LARGEST_BATCH) {
    throw new ApiError(
      'BatchRequestTooLong',
      `Batch requests cannot be longer than ${LARGEST_BATCH} bytes. You have sent ${bytes} bytes.`,
    );
  }
}

/** The bytes of a message as its limit counts them. */
export function sizeOf(body: string, attributes: MessageAttributes = {}): number {
  let size = Buffer.byteLength(body);
  for (const [name, { DataType = '', StringValue = '', BinaryValue = '' }] of Object.entries(attributes)) {
    size += Buffer.byteLength(name) + Buffer.byteLength(DataType) + Buffer.byteLength(StringValue);
    size += Buffer.byteLength(BinaryValue, 'base64');
  }
  return size;
}

/** Refuses a message that no queue takes, or none of this kind, or that is larger than this one takes. */
export function checkMessage(input: Sent, fifo: boolean, maximumSize: number): void {
  const { MessageBody, MessageAttributes = {} } = input;
  if (typeof MessageBody !== 'string' || MessageBody === '') throw missing('MessageBody');
  const forbidden = forbiddenCharacter(MessageBody);
  if (forbidden !== undefined) {
    throw new ApiError(
      'InvalidMessageContents',
      `Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF; got ${forbidden}`,
    );
  }
  checkAttributes(MessageAttributes);
  if (sizeOf(MessageBody, MessageAttributes) > maximumSize) {
    throw invalid(`One or more parameters are invalid. Reason: Message must be shorter than ${maximumSize} bytes.`);
  }
  wholeIn(input, 'DelaySeconds', 0, LONGEST_DELAY, `DelaySeconds must be >= 0 and <= ${LONGEST_DELAY}.`);
  for (const name of ['MessageGroupId', 'MessageDeduplicationId'] as const) checkId(name, input[name]);
  const wrong = fifo ? 'DelaySeconds' : 'MessageDeduplicationId';
  if (input[wrong] !== undefined && !(fifo && Number(input[wrong]) === 0)) {
    throw invalid(
      `Value ${input[wrong]} for parameter ${wrong} is invalid. Reason: The request include parameter that is not valid for this queue type.`,
    );
  }
}

/** The first character that no message may hold, as its code. */
function forbiddenCharacter(text: string): string | undefined {
  const found = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.exec(text);
  return found === null ? undefined : `#x${(found[0].codePointAt(0) as number).toString(16).toUpperCase()}`;
}

function checkId(name: string, value: unknown): void {
  if (value === undefined || /^[\x21-\x7e]{1,128}$/.test(String(value))) return;
  throw invalid(
    `Value ${value} for parameter ${name} is invalid. Reason: ${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
  );
}

function checkAttributes(attributes: MessageAttributes): void {
  const names = Object.keys(attributes);
  if (names.length > MOST_ATTRIBUTES) {
    throw invalid(`Number of message attributes [${names.length}] exceeds the allowed maximum [${MOST_ATTRIBUTES}].`);
  }
  for (const [name, attribute] of Object.entries(attributes)) checkAttribute(name, attribute);
}

function checkAttribute(
  name: string,
  { DataType = '', StringValue = '', BinaryValue = '' }: MessageAttributes[string],
): void {
  const lawful = /^(?!aws\.|amazon\.|\.)(?!.*\.(\.|$))[\w.-]{1,256}$/i;
  if (!lawful.test(name)) {
    throw invalid(
      `The message attribute name '${name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters.`,
    );
  }
  const said = (rest: string) => invalid(`The message attribute '${name}' ${rest}`);
  if (DataType === '') throw said('must contain non-empty message attribute type.');
  const [kind] = String(DataType).split('.');
  if (kind !== 'String' && kind !== 'Number' && kind !== 'Binary') {
    throw said(
      'has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.',
    );
  }
  if ((kind === 'Binary' ? BinaryValue : StringValue).length === 0) {
    throw said(`must contain non-empty message attribute value for message attribute type '${kind}'.`);
  }
  if (kind === 'Number' && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(StringValue)) {
    throw invalid(`Could not cast message attribute '${name}' value to number.`);
  }
  const forbidden = kind === 'Binary' ? undefined : forbiddenCharacter(StringValue);
  if (forbidden !== undefined) throw said(`must not contain the character ${forbidden}.`);
}
