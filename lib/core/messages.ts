import type { Evidence, RunRequestedDetail } from './dataset/documents';
import type { DeploymentInput } from './deploy/documents';
import { ErrorName, PerennialError } from './errors';
import type { Outcome, RunEndedDetail } from './ledger/documents';
import { OUTCOMES } from './ledger/documents';
import { shortened } from './listed';
import { Events, Prefix, type Reason } from './names';
import {
  count,
  fitting,
  isObject,
  isoTime,
  listOf,
  object,
  oneOf,
  optional,
  own,
  readDocument,
  type Shape,
  show,
  text,
} from './shape';
import type { DriftDetail } from './watch/documents';

/** What a message of the controller's queue says. */
export type Message =
  | { readonly kind: 'trigger'; readonly evidence: Evidence }
  | { readonly kind: 'ended'; readonly end: RunEnd }
  /** The time has come to look for what no event has told of. */
  | { readonly kind: 'reconcile' }
  | { readonly kind: 'other'; readonly because: string };

/** A run has ended; said by the run itself, or, without an outcome, by Step Functions. */
export interface RunEnd {
  readonly runId: string;
  /** ISO. */
  readonly at: string;
  readonly outcome?: Outcome;
  /** ISO time at which the execution began; only from Step Functions. */
  readonly startedAt?: string;
  /** The execution's status; only from Step Functions. */
  readonly status?: string;
}

/** What a message of the deployments' queue says. */
export type DeploymentMessage =
  | { readonly kind: 'approved'; readonly input: DeploymentInput }
  | {
      readonly kind: 'ended';
      readonly deploymentId: string;
      readonly at: string;
      /** Only from Step Functions, which says it of every end. */
      readonly execution?: { readonly status: string; readonly startedAt: string; readonly input?: DeploymentInput };
    }
  | { readonly kind: 'reconcile' }
  | { readonly kind: 'other'; readonly because: string };

/** What the monitor is asked to look at. */
export interface MonitorMessage {
  /** ISO time of the event. */
  readonly at: string;
  /** An upload of true outcomes; absent if it is to look at what was captured. */
  readonly upload?: { readonly key: string; readonly versionId: string };
}

/** The statuses with which an execution ends. */
export const ENDED = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'] as const;

/** What people write is kept so far, in characters: many such messages must fit into one item of the ledger. */
const LONGEST = { person: 100, note: 300, summary: 500 };

const matching = (pattern: RegExp, has: string) => fitting(text, has, (value) => pattern.test(value));
const id = matching(/^[!-~]{1,100}$/, '1 to 100 printable ASCII characters, without blanks');
/** As Step Functions names executions. */
export const executionName = matching(/^[A-Za-z0-9_-]{1,80}$/, '1 to 80 letters, digits, _ and -');
const key = fitting(text, '1 to 1,024 bytes', (value) => value !== '' && Buffer.byteLength(value) <= 1024);
/** Milliseconds, up to the year 9999. */
const moment = fitting(count, 'a year of four digits in UTC', (value) => value < 253_402_300_800_000);
const time = fitting(isoTime, 'a year of four digits in UTC', (value) => /^\d{4}-/.test(iso(value)));
export const modelPackageArn = matching(
  /^arn:[^:]+:sagemaker:[^:]*:[^:]*:model-package\/.+\/[1-9]\d{0,8}$/,
  'the form of the ARN of a version in a group',
);
const pipeline = text;

const UPLOAD = object<{
  id: string;
  time: string;
  detail: { object: { key: string; 'version-id'?: string; size?: number } };
}>({
  id,
  time,
  detail: object({ object: object({ key, 'version-id': optional(key), size: optional(count) }) }),
});
const LOOK = object<{ time: string }>({ time });
const GROUND_TRUTH = object<{ time: string; detail: { object: { key: string; 'version-id'?: string } } }>({
  time,
  detail: object({ object: object({ key, 'version-id': optional(key) }) }),
});
const EXECUTION = object<{
  time: string;
  detail: { name: string; status: string; startDate?: number; stopDate?: number | null };
}>({
  time,
  detail: object({
    name: executionName,
    status: text,
    startDate: optional(moment),
    stopDate: optional(orNull(moment)),
  }),
});
const DRIFT = object<{ time: string; detail: DriftDetail }>({
  time,
  detail: object({ pipeline, windowId: id, windowEnd: time, modelVersion: count, reportKey: key, summary: text }),
});
const REQUEST = object<{ id: string; time: string; detail: RunRequestedDetail }>({
  id,
  time,
  detail: object({
    pipeline,
    requestedBy: text,
    note: optional(text),
    snapshotKey: optional(fitting(key, `${Prefix.SNAPSHOTS} in front`, (value) => value.startsWith(Prefix.SNAPSHOTS))),
  }),
});
const OCCASION = object<{ time: string; detail: { pipeline: string } }>({ time, detail: object({ pipeline }) });
const RUN_ENDED = object<{ time: string; detail: Pick<RunEndedDetail, 'pipeline' | 'runId' | 'outcome'> }>({
  time,
  detail: object({ pipeline, runId: executionName, outcome: oneOf(OUTCOMES) }),
});
const DEPLOYMENT_ENDED = object<{ time: string; detail: { deploymentId: string } }>({
  time,
  detail: object({ pipeline, deploymentId: executionName }),
});
const APPROVAL = object<{ time: string; detail: { ModelPackageArn: string; UpdatedModelPackageFields?: string[] } }>({
  time,
  detail: object({
    ModelPackageArn: modelPackageArn,
    UpdatedModelPackageFields: optional(listOf(text) as Shape<string[]>),
  }),
});
export const DEPLOYMENT_INPUT = object<DeploymentInput>({ modelPackageArn, approvedAt: time });

/**
 * Reads the body of a message: an EventBridge event, or what Scheduler sends.
 *
 * @throws PerennialError INVALID_DOCUMENT that says which member must be what, and what it is
 */
export function parseMessage(body: string, ofPipeline: string): Message {
  const event = inBody(body);
  const { source, type } = event;
  const trigger = (reason: Reason, eventId: string, at: string, detail: Evidence['detail']): Message => ({
    kind: 'trigger',
    evidence: { reason, eventId, at: iso(at), detail },
  });

  if (source === 'aws.s3' && type === 'Object Created') {
    const { id, time, detail } = event.as(UPLOAD);
    const { key, 'version-id': versionId, size = 0 } = detail.object;
    return trigger('data', id, time, { key, ...(versionId !== undefined && { versionId }), size });
  }
  if (source === 'aws.states') {
    const { time, detail } = event.as(EXECUTION);
    const { name, status, startDate } = detail;
    if (!isEnd(status)) return { kind: 'other', because: `the execution is ${shortened(status, 40)}` };
    const end = { runId: name, status, at: iso(detail.stopDate ?? time), startedAt: iso(startDate ?? time) };
    return { kind: 'ended', end };
  }
  const stranger = strange(event, ofPipeline);
  if (stranger !== undefined) return { kind: 'other', because: stranger };
  switch (type) {
    case Events.DRIFT_DETECTED: {
      // a window may be reported twice, under ids and times of their own: the window is what counts
      const { windowId, windowEnd, modelVersion, reportKey, summary } = event.as(DRIFT).detail;
      return trigger('drift', windowId, windowEnd, {
        modelVersion,
        reportKey,
        summary: shortened(summary, LONGEST.summary),
      });
    }
    case Events.RUN_REQUESTED: {
      const { id, time, detail } = event.as(REQUEST);
      const { requestedBy, note, snapshotKey } = detail;
      return trigger('manual', id, time, {
        requestedBy: shortened(requestedBy, LONGEST.person),
        ...(note !== undefined && { note: shortened(note, LONGEST.note) }),
        ...(snapshotKey !== undefined && { snapshotKey }),
      });
    }
    case Events.SCHEDULE: {
      const { time } = event.as(OCCASION);
      return trigger('schedule', `schedule-${iso(time)}`, time, {}); // Scheduler's own id changes with every attempt
    }
    case Events.RECONCILE:
      event.as(OCCASION);
      return { kind: 'reconcile' };
    case Events.RUN_ENDED: {
      const { time, detail } = event.as(RUN_ENDED);
      return { kind: 'ended', end: { runId: detail.runId, at: iso(time), outcome: detail.outcome } };
    }
    default:
      return { kind: 'other', because: `no trigger: ${shortened(type, 100)}` };
  }
}

/** Reads the body of a message of the deployments' queue, as {@link parseMessage} does. */
export function parseDeploymentMessage(body: string, modelPackageGroup: string, ofPipeline: string): DeploymentMessage {
  const event = inBody(body);
  const { source, type, detail } = event;
  if (source === 'aws.sagemaker') {
    const group = own(detail, 'ModelPackageGroupName');
    if (group !== modelPackageGroup) return { kind: 'other', because: `of the group ${show(group)}` };
    const status = own(detail, 'ModelApprovalStatus');
    if (status !== 'Approved') return { kind: 'other', because: `the version is ${show(status)}` };
    const { time, detail: approval } = event.as(APPROVAL);
    const { ModelPackageArn, UpdatedModelPackageFields: updated } = approval;
    // updates of anything else are sent again with the status Approved: acting on them would deploy for ever
    if (updated !== undefined && !updated.includes('ModelApprovalStatus')) {
      return { kind: 'other', because: `no approval, but an update of ${show(updated)}` };
    }
    return { kind: 'approved', input: { modelPackageArn: ModelPackageArn, approvedAt: iso(time) } };
  }
  if (source === 'aws.states') {
    const { time, detail: execution } = event.as(EXECUTION);
    const { name, status, startDate } = execution;
    if (!isEnd(status)) return { kind: 'other', because: `the execution is ${shortened(status, 40)}` };
    const input = inputOf(own(detail, 'input'));
    return {
      kind: 'ended',
      deploymentId: name,
      at: iso(execution.stopDate ?? time),
      execution: { status, startedAt: iso(startDate ?? time), ...(input !== undefined && { input }) },
    };
  }
  const stranger = strange(event, ofPipeline);
  if (stranger !== undefined) return { kind: 'other', because: stranger };
  if (type === Events.DEPLOYMENT_ENDED) {
    const { time, detail: ended } = event.as(DEPLOYMENT_ENDED);
    return { kind: 'ended', deploymentId: ended.deploymentId, at: iso(time) };
  }
  if (type === Events.RECONCILE) {
    event.as(OCCASION);
    return { kind: 'reconcile' };
  }
  return { kind: 'other', because: `nothing to do with deployments: ${shortened(type, 100)}` };
}

/**
 * Reads an event that the monitor is invoked with.
 *
 * @throws PerennialError INVALID_DOCUMENT that says which member must be what, and what it is
 */
export function parseMonitorEvent(event: unknown): MonitorMessage {
  const { 'detail-type': type } = readDocument(
    object<{ 'detail-type': string }>({ 'detail-type': text }),
    event,
    'what the monitor is asked must be an event',
    FIX,
  );
  const what = `an event '${shortened(type, 100)}'`;
  if (type === Events.SCHEDULE) return { at: iso(readDocument(LOOK, event, what, FIX).time) };
  const { time, detail } = readDocument(GROUND_TRUTH, event, what, FIX);
  const { key, 'version-id': versionId = 'null' } = detail.object; // as S3 calls the versions of a bucket without any
  return { at: iso(time), upload: { key, versionId } };
}

/** What an execution was started with, if it was one of ours. */
export function inputOf(input: unknown): DeploymentInput | undefined {
  if (typeof input !== 'string') return undefined;
  try {
    return readDocument(DEPLOYMENT_INPUT, JSON.parse(input), 'the input', '');
  } catch {
    return undefined; // somebody started the machine by hand
  }
}

interface AnyEvent {
  readonly source: string;
  readonly type: string;
  readonly detail: Readonly<Record<string, unknown>>;
  /** The event, if it is what its kind must be. */
  as<T>(shape: Shape<T>): T;
}

const FIX = 'send it as EventBridge or Scheduler would';

function inBody(body: string): AnyEvent {
  let event: unknown;
  try {
    event = JSON.parse(body);
  } catch {
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `a message must be JSON, got ${show(body)}; ${FIX}`);
  }
  const { source, 'detail-type': type } = readDocument(
    object<{ source: string; 'detail-type': string }>({ source: text, 'detail-type': text }),
    event,
    'a message must be an event',
    FIX,
  );
  const detail = isObject(event) ? own(event, 'detail') : undefined;
  return {
    source,
    type,
    detail: isObject(detail) ? detail : {},
    as: (shape) => readDocument(shape, event, `a message '${shortened(type, 100)}' of ${shortened(source, 100)}`, FIX),
  };
}

/** Why an event is none of this pipeline's; undefined if it is. */
function strange({ source, type, detail }: AnyEvent, ofPipeline: string): string | undefined {
  if (source !== Events.SOURCE) return `nothing of ours: ${shortened(type, 100)} of ${shortened(source, 100)}`;
  const pipeline = own(detail, 'pipeline');
  return typeof pipeline === 'string' && pipeline !== ofPipeline ? `for the pipeline ${show(pipeline)}` : undefined;
}

function isEnd(status: string): boolean {
  return (ENDED as readonly string[]).includes(status);
}

function orNull<T>(of: Shape<T>): Shape<T | null> {
  const is = `${of.is} or null`;
  return { is, read: (value, at, mistakes) => (value === null ? null : of.read(value, at, mistakes)) };
}

/** Times come as ISO with or without milliseconds, and from Step Functions as milliseconds. */
function iso(time: string | number): string {
  return new Date(time).toISOString();
}
