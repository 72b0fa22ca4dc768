import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  ApiError,
  type Caller,
  type Context,
  type Operation,
  type Resource,
  type Service,
  type Shape,
} from '../../service';
import { KeptMap } from '../../state/state-store';
import { checkKeyUse } from '../kms/service';
import { LogFile, type LogLine } from './log-file';
import { RESOURCES } from './resources';

/** One stream of a log group. */
export interface LogStream {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** Reads its newest lines, oldest first. */
  readonly read: () => readonly LogLine[];
}

/** A stream, read. */
type ReadStream = Omit<LogStream, 'read'> & { readonly lines: readonly LogLine[] };

const TRAINING_JOBS = '/aws/sagemaker/TrainingJobs';
/** What CloudWatch Logs does with the key of a group. */
const KEY_ACTIONS = ['Encrypt', 'Decrypt', 'ReEncryptFrom', 'ReEncryptTo', 'GenerateDataKey', 'DescribeKey'];
/** The most events that one answer has. */
const EVENTS = 10_000;
/** The most streams that one answer has. */
const STREAMS = 50;

/** What functions write, one stream each: hands Lambda a context that also keeps their lines. */
export class FunctionLogs {
  readonly context: Context;
  private readonly streams: KeptMap<{ readonly name: string; readonly created: number }>;
  private readonly files = new Map<string, LogFile>();

  constructor(context: Context) {
    const log: Context['log'] = (service, message, detail) => {
      // the service's own remark about an invocation comes with its duration
      if (typeof detail?.function === 'string' && detail.milliseconds === undefined)
        this.keep(detail.function, message);
      context.log(service, message, detail);
    };
    this.context = { ...context, log };
    this.streams = new KeptMap(context.store, 'logs/functions', { name: 'string', created: 'number' });
  }

  /** The stream of a function; none before it has written anything. */
  of(name: string): LogStream | undefined {
    const stream = this.streams.get(name);
    return stream && { ...stream, read: () => this.file(name).read() };
  }

  private keep(name: string, text: string): void {
    const at = this.context.clock.now();
    if (!this.streams.has(name)) this.streams.set(name, { name: streamName(name, at), created: at });
    this.file(name).append({ at, text });
  }

  private file(name: string): LogFile {
    const known = this.files.get(name);
    if (known !== undefined) return known;
    const made = new LogFile(this.context, join(this.context.stateDir, 'logs', 'functions', `${name}.jsonl`));
    this.files.set(name, made);
    return made;
  }
}

function streamName(name: string, at: number): string {
  const day = new Date(at).toISOString().slice(0, 10).replaceAll('-', '/');
  return `${day}/[$LATEST]${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
}

/** CloudWatch Logs, the part that reads: the lines of training jobs and of functions. */
export class Logs implements Service {
  readonly name = 'logs';
  /** Functions too: where they write. */
  readonly resourceTypes = [...Object.keys(RESOURCES), 'AWS::Lambda::Function'];
  readonly operations: Readonly<Record<string, Operation>>;
  /** Whether the template has a group, and the functions that write to it. */
  private readonly groups = new Map<string, { readonly made: boolean; readonly functions: readonly string[] }>();

  constructor(
    private readonly context: Context,
    private readonly functions: FunctionLogs,
    private readonly trainingJobs: () => readonly LogStream[],
  ) {
    this.operations = {
      DescribeLogStreams: this.onGroup('DescribeLogStreams', (input, group) => this.describeStreams(input, group)),
      GetLogEvents: this.onGroup('GetLogEvents', (input, group) => this.getEvents(input, group)),
      FilterLogEvents: this.onGroup('FilterLogEvents', (input, group) => this.filterEvents(input, group)),
    };
  }

  load(resources: readonly Resource[]): void {
    for (const resource of resources) {
      if (resource.type !== 'AWS::Logs::LogGroup') continue;
      this.groups.set(resource.physicalId, { made: true, functions: [] });
      this.checkKey(resource);
    }
    for (const { type, physicalId, properties } of resources) {
      if (type !== 'AWS::Lambda::Function') continue;
      const group = properties.LoggingConfig?.LogGroup ?? `/aws/lambda/${physicalId}`;
      const { made = false, functions = [] } = this.groups.get(group) ?? {};
      this.groups.set(group, { made, functions: [...functions, physicalId] });
    }
  }

  /**
   * Throws unless the group's key lets CloudWatch Logs use it: AWS makes no group under another.
   *
   * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
   */
  private checkKey({ stack, path, physicalId, properties: { KmsKeyId: key } }: Resource): void {
    if (key === undefined) return;
    const { partition, region, account } = this.context.aws;
    const arn = `arn:${partition}:logs:${region}:${account}:log-group:${physicalId}`;
    const caller: Caller = { kind: 'service', principal: `logs.${region}.amazonaws.com`, sourceArn: arn };
    try {
      checkKeyUse(this.context, caller, { key, actions: KEY_ACTIONS, via: 'logs', context: { 'aws:logs:arn': arn } });
    } catch (error) {
      const refused = `The specified KMS key does not exist or is not allowed to be used with Arn '${arn}'`;
      throw new Error(`stack ${stack}, log group ${path}: ${refused}: ${(error as Error).message}`);
    }
  }

  /** IAM judges all of them by a stream's ARN, which has no name if the request is about the group. */
  private onGroup(action: string, run: (input: Shape, group: string) => Shape): Operation {
    return {
      needs: (input) => [{ action: `logs:${action}`, resource: this.arnOf(groupOf(input), input.logStreamName ?? '') }],
      run: (input) => {
        const given = [input.logGroupName, input.logGroupIdentifier].filter((one) => one !== undefined);
        if (given.length !== 1) {
          throw invalid('Either logGroupName or logGroupIdentifier must be given, and not both.');
        }
        return run(input, groupOf(input));
      },
    };
  }

  private arnOf(group: string, stream: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:logs:${region}:${account}:log-group:${group}:log-stream:${stream}`;
  }

  /** A group is there if the template has it, or once something was written to it. */
  private streams(group: string): LogStream[] {
    const jobs = group === TRAINING_JOBS ? this.trainingJobs() : [];
    const { made = false, functions = [] } = this.groups.get(group) ?? {};
    const streams = [...jobs, ...functions.flatMap((name) => this.functions.of(name) ?? [])];
    if (streams.length === 0 && !made) throw missing('group');
    return streams.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  private describeStreams(input: Shape, group: string): Shape {
    const { logStreamNamePrefix: prefix, orderBy = 'LogStreamName', descending = false, nextToken } = input;
    if (!['LogStreamName', 'LastEventTime'].includes(orderBy)) {
      throw invalid(
        `1 validation error detected: Value '${orderBy}' at 'orderBy' failed to satisfy constraint: Member must satisfy enum value set: [LogStreamName, LastEventTime]`,
      );
    }
    if (orderBy === 'LastEventTime' && prefix !== undefined) {
      throw invalid('Cannot order by LastEventTime with a logStreamNamePrefix.');
    }
    const found = this.streams(group)
      .filter(({ name }) => name.startsWith(prefix ?? ''))
      .map(readAll);
    const last = ({ lines }: ReadStream) => lines.at(-1)?.at ?? 0;
    const ordered = orderBy === 'LastEventTime' ? found.sort((a, b) => last(a) - last(b)) : found;
    if (descending) ordered.reverse();
    const start = positionOf(nextToken);
    const end = start + limitOf(input, STREAMS);
    const logStreams = ordered.slice(start, end).map((stream) => ({
      logStreamName: stream.name,
      creationTime: stream.created,
      ...(stream.lines.length > 0 && {
        firstEventTimestamp: stream.lines[0]?.at,
        lastEventTimestamp: last(stream),
        lastIngestionTime: last(stream),
      }),
      arn: this.arnOf(group, stream.name),
      storedBytes: 0, // as AWS tells it of every stream
    }));
    return { logStreams, ...(end < ordered.length && { nextToken: token(end) }) };
  }

  private getEvents(input: Shape, group: string): Shape {
    const { logStreamName, startTime = 0, endTime = Number.POSITIVE_INFINITY, startFromHead = false } = input;
    const stream = this.streams(group).find(({ name }) => name === logStreamName);
    if (stream === undefined) throw missing('stream');
    const events = linesOf(stream).filter(({ at }) => at >= startTime && at < endTime);
    const limit = limitOf(input, EVENTS);
    const [, direction, position] = /^([fb])\/(\d+)$/.exec(input.nextToken ?? '') ?? [];
    if (input.nextToken !== undefined && position === undefined) throw invalid('The specified nextToken is invalid.');
    const forward = direction === undefined ? startFromHead : direction === 'f';
    const from = position === undefined ? (forward ? 0 : events.length) : Math.min(Number(position), events.length);
    const [start, end] = forward ? [from, Math.min(from + limit, events.length)] : [Math.max(0, from - limit), from];
    return {
      events: events.slice(start, end).map(({ at, text }) => ({ timestamp: at, message: text, ingestionTime: at })),
      nextForwardToken: `f/${token(end)}`,
      nextBackwardToken: `b/${token(start)}`,
    };
  }

  private filterEvents(input: Shape, group: string): Shape {
    const { logStreamNames: names, logStreamNamePrefix: prefix, filterPattern = '', nextToken } = input;
    const { startTime = 0, endTime = Number.POSITIVE_INFINITY } = input;
    if (names !== undefined && prefix !== undefined) {
      throw invalid('Only one of logStreamNames and logStreamNamePrefix can be specified.');
    }
    const matches = compileFilter(filterPattern);
    const events = this.streams(group)
      .filter(({ name }) => name.startsWith(prefix ?? '') && (names === undefined || names.includes(name)))
      .flatMap((stream) => linesOf(stream).map((line, index) => ({ ...line, stream: stream.name, index })))
      .filter(({ at, text }) => at >= startTime && at <= endTime && matches(text))
      .sort((a, b) => a.at - b.at);
    const start = positionOf(nextToken);
    const end = start + limitOf(input, EVENTS);
    return {
      events: events.slice(start, end).map(({ at, text, stream, index }) => ({
        logStreamName: stream,
        timestamp: at,
        message: text,
        ingestionTime: at,
        eventId: eventId(stream, index),
      })),
      searchedLogStreams: [], // as AWS answers since 2020
      ...(end < events.length && { nextToken: token(end) }),
    };
  }
}

/** Events are never empty. */
function linesOf({ read }: LogStream): readonly LogLine[] {
  return read().filter(({ text }) => text !== '');
}

function readAll({ read, ...stream }: LogStream): ReadStream {
  return { ...stream, lines: read() };
}

/**
 * A filter of words and quoted phrases, in the case given: all of them, but none after `-`, and one of those
 * after `?` if there are such.
 */
function compileFilter(pattern: string): (text: string) => boolean {
  if (/^\s*[{[%]/.test(pattern)) {
    throw invalid(`the local engine filters by words and "phrases", got ${pattern}`);
  }
  const terms = [...pattern.matchAll(/([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))/g)].map(([, sign, phrase, word]) => {
    const [wrong] = /\W/.exec(word ?? '') ?? [];
    if (wrong !== undefined) throw invalid(`Invalid character(s) in term '${wrong}'`);
    return { sign, text: word ?? (phrase as string).replace(/\\(.)/g, '$1') };
  });
  const having = (sign: string) => terms.filter((term) => term.sign === sign).map((term) => term.text);
  const [all, none, any] = [having(''), having('-'), having('?')];
  return (text) =>
    all.every((term) => text.includes(term)) &&
    !none.some((term) => text.includes(term)) &&
    (any.length === 0 || any.some((term) => text.includes(term)));
}

function groupOf({ logGroupName, logGroupIdentifier }: Shape): string {
  const given = String(logGroupName ?? logGroupIdentifier ?? '');
  return /^arn:[^:]+:logs:[^:]*:[^:]*:log-group:([^:]+)/.exec(given)?.[1] ?? given;
}

function limitOf({ limit }: Shape, most: number): number {
  if (limit === undefined) return most;
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return limit;
  throw invalid(
    `1 validation error detected: Value '${limit}' at 'limit' failed to satisfy constraint: Member must have value between 1 and ${most}`,
  );
}

/** Tokens say a position; what was written before it stays where it is. */
function token(position: number): string {
  return String(position).padStart(56, '0');
}

function positionOf(nextToken: string | undefined): number {
  if (nextToken === undefined) return 0;
  if (!/^\d+$/.test(nextToken)) throw invalid('The specified nextToken is invalid.');
  return Number(nextToken);
}

function eventId(stream: string, index: number): string {
  const prefix = createHash('sha256').update(stream).digest().readBigUInt64BE(0);
  return `${String(prefix).padStart(36, '0')}${String(index).padStart(20, '0')}`;
}

function missing(what: 'group' | 'stream'): ApiError {
  return new ApiError('ResourceNotFoundException', `The specified log ${what} does not exist.`);
}

function invalid(message: string): ApiError {
  return new ApiError('InvalidParameterException', message);
}
