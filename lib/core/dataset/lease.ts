import type { DeploymentInput } from '../deploy/documents';
import { OUTCOMES, type Outcome } from '../ledger/documents';
import type { DecisionMade, RefusedFile } from '../ledger/facts';
import type { DeploymentLease, Lease } from '../ledger/rows';
import { listed } from '../listed';
import { DEPLOYMENT_INPUT, executionName } from '../messages';
import { REASONS } from '../names';
import {
  count,
  fitting,
  flag,
  isObject,
  isoTime,
  items,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  own,
  type Shape,
  text,
} from '../shape';
import type { SpentDay } from './budget';
import type { Evidence, TrainingInput } from './documents';
import { remember } from './waiting';

/** A lease that nobody has held yet. */
export const FREE: Lease = { pending: [], startedToday: 0, unpromoted: 0 };

/** A deployment lease that nobody has held yet. */
export const NOTHING: DeploymentLease = {};

/** A row as it was read: whole, or what could be read of it. */
export interface Mended<T> {
  readonly value: T;
  /** What could not be read; empty if the row is whole. */
  readonly wrong: readonly string[];
}

const textOrNumber: Shape<string | number> = {
  is: 'a text or a number',
  read: (value, at, mistakes) => (typeof value === 'number' ? value : text.read(value, at, mistakes)),
};
const day = fitting(text, 'the form of a date', (value) => /^\d{4}-\d\d-\d\d$/.test(value));
const evidence = object<Evidence>({
  reason: oneOf(REASONS),
  eventId: text,
  at: isoTime,
  detail: mapOf(textOrNumber),
});
const trainingInput = object<TrainingInput>({
  reason: oneOf(REASONS),
  evidence: listOf(evidence),
  snapshotKey: optional(text),
  replay: optional(flag),
  more: optional(count),
});
const decision = object<DecisionMade>({
  sk: text,
  at: isoTime,
  eventId: text,
  reason: oneOf(REASONS),
  decided: oneOf(['STARTED', 'REMEMBERED', 'IGNORED']),
  because: text,
});

const LEASE: { readonly [Name in keyof Required<Lease>]: Shape<Lease[Name]> } = {
  holder: optional(executionName),
  pending: listOf(evidence),
  lastEndedAt: optional(isoTime),
  day: optional(day),
  startedToday: count,
  otherDays: optional(listOf(object<SpentDay>({ day, started: count }))),
  unpromoted: count,
  trained: optional(
    object<NonNullable<Lease['trained']>>({
      runId: executionName,
      dataVersion: text,
      content: text,
      outcome: optional(oneOf(OUTCOMES)) as Shape<Outcome | undefined>,
    }),
  ),
  lastRun: optional(
    object<NonNullable<Lease['lastRun']>>({
      runId: executionName,
      input: trainingInput,
      outcome: optional(oneOf(OUTCOMES)) as Shape<Outcome | undefined>,
      requeued: optional(flag),
    }),
  ),
  seen: optional(object<NonNullable<Lease['seen']>>({ snapshotKey: text, before: optional(text) })),
  unstarted: optional(flag),
  outbox: optional(listOf(decision)),
};

const DEPLOYMENT: { readonly [Name in keyof Required<DeploymentLease>]: Shape<DeploymentLease[Name]> } = {
  holder: optional(executionName),
  wanted: optional(DEPLOYMENT_INPUT) as Shape<DeploymentInput | undefined>,
  last: optional(DEPLOYMENT_INPUT) as Shape<DeploymentInput | undefined>,
  endpoint: optional(text),
  lookedAt: optional(isoTime),
  unordered: optional(flag),
  unstarted: optional(flag),
};

/** Reads the row of the training lease. What cannot be read is left out: of lists, the items alone. */
export function mendedLease(row: unknown): Mended<Lease> {
  return mended(LEASE, FREE, row);
}

/** Reads the row of the deployment lease, as {@link mendedLease} does. */
export function mendedDeploymentLease(row: unknown): Mended<DeploymentLease> {
  return mended(DEPLOYMENT, NOTHING, row);
}

function mended<T extends object>(
  shapes: { readonly [Name in keyof Required<T>]: Shape<T[Name]> },
  nothing: T,
  row: unknown,
): Mended<T> {
  const wrong: string[] = [];
  const read: Record<string, unknown> = { ...(nothing as object) };
  for (const [name, shape] of Object.entries(shapes) as Array<[string, Shape<unknown>]>) {
    const member = isObject(row) ? own(row, name) : undefined;
    if (member === undefined && shape.optional) continue;
    const mistakes: string[] = [];
    const value = shape.read(member, name, mistakes);
    if (mistakes.length === 0) read[name] = value;
    else if (Array.isArray(member) && fits(shape, [])) read[name] = items(member).filter((item) => fits(shape, [item]));
    wrong.push(...mistakes);
  }
  return { value: read as T, wrong: wrong.length === 0 ? [] : [listed(wrong, 10, '; ')] };
}

function fits(shape: Shape<unknown>, value: unknown): boolean {
  const mistakes: string[] = [];
  shape.read(value, '', mistakes);
  return mistakes.length === 0;
}

/** The lease after a run has ended: free, if the run held it. An end that comes again changes nothing more. */
export function release(lease: Lease, end: { runId: string; outcome: Outcome; at: string }): Lease {
  const { holder, ...rest } = lease;
  const { lastRun } = lease;
  const isOpen = lastRun?.runId === end.runId && lastRun.outcome === undefined;
  if (holder !== end.runId && !isOpen) return lease;
  const free = { ...rest, ...(holder !== end.runId && { holder }), lastEndedAt: end.at };
  if (!isOpen) return free;
  const promoted = end.outcome === 'PROMOTED' || end.outcome === 'AWAITING_APPROVAL';
  const { trained } = lease;
  return {
    ...free,
    // a replay says nothing of the data as it is
    ...(lastRun.input.replay !== true && { unpromoted: promoted ? 0 : lease.unpromoted + 1 }),
    lastRun: { ...lastRun, outcome: end.outcome },
    ...(trained?.runId === end.runId && { trained: { ...trained, outcome: end.outcome } }),
  };
}

/** The lease after a run of which there is no trace: what it was to train on has not been trained on. */
export function disown(lease: Lease, end: { runId: string; at: string }): Lease {
  const { trained, ...rest } = withoutTheLast(release(lease, { ...end, outcome: 'FAILED' }), end.runId);
  return { ...rest, ...(trained !== undefined && trained.runId !== end.runId && { trained }) };
}

function withoutTheLast(lease: Lease, runId: string): Lease {
  const { seen, ...rest } = lease;
  const { lastRun } = lease;
  if (seen === undefined || lastRun?.runId !== runId || seen.snapshotKey !== lastRun.input.snapshotKey) return lease;
  return { ...rest, ...(seen.before !== undefined && { seen: { snapshotKey: seen.before } }) };
}

/** The run that is under way, for all that the lease says: its holder, or the last one, if its end is not known. */
export function openRun({ holder, lastRun }: Lease): string | undefined {
  return holder ?? (lastRun?.outcome === undefined ? lastRun?.runId : undefined);
}

/**
 * Lets the uploads wait again that a failed run was to train on, if other files were the cause:
 * who uploads a good file beside a bad one need not upload it twice.
 */
export function requeue(
  lease: Lease,
  runId: string,
  refused: ReadonlyArray<Pick<RefusedFile, 'key' | 'versionId' | 'runId'>>,
): Lease {
  const run = lease.lastRun;
  if (run?.runId !== runId || run.requeued || run.outcome !== 'FAILED') return lease;
  if (!refused.some((file) => file.runId === runId)) return lease;
  const good = run.input.evidence.filter(
    ({ reason, detail }) =>
      reason === 'data' && !refused.some(({ key, versionId }) => key === detail.key && versionId === detail.versionId),
  );
  return {
    ...withoutTheLast(lease, runId), // whoever looks finds what no evidence names
    pending: remember(lease.pending, good).pending,
    lastRun: { ...run, requeued: true },
  };
}
