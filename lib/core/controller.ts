import type { Evidence, Outcome, RunEndedDetail, RunRequestedDetail } from './documents';
import type { Decision, Lease, RefusedFile } from './ledger';
import { LedgerKey } from './ledger';
import { Events, REASONS, type Reason, runId } from './names';
import { isData } from './snapshot';

/** When the controller starts a run by itself. */
export interface ControllerRules {
  /** Minutes after the end of a run in which drift does not start the next one. */
  readonly cooldownMinutes: number;
  /** Runs a day (UTC), not counting those that somebody asks for by hand. */
  readonly maxRunsPerDay: number;
  /** After so many runs in a row without a better model, drift and schedule start none until new data comes. */
  readonly breakAfter: number;
  /** Hours after which it is looked whether a run is still under way that has not reported its end. */
  readonly leaseHours: number;
  /** Train on the newest so many files; all, if absent. */
  readonly newestFiles?: number;
}

export const CONTROLLER_DEFAULTS: ControllerRules = {
  cooldownMinutes: 60,
  maxRunsPerDay: 24,
  breakAfter: 3,
  leaseHours: 48,
};

/** A lease that nobody has held yet. */
export const FREE: Lease = { pending: [], startedToday: 0, unpromoted: 0 };

/** Of a burst, the ledger keeps so many triggers as a run's evidence; the data of the others is in its snapshot too. */
const MOST_EVIDENCE = 100;

/** What a message of the controller's queue says. */
export type Message =
  | { readonly kind: 'trigger'; readonly evidence: Evidence }
  | { readonly kind: 'ended'; readonly end: RunEnd }
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

/** The data that a run would train on, or why there is none. */
export type Frozen =
  | { readonly dataVersion: string; readonly snapshotKey: string; readonly files: number; readonly leftOut: number }
  | { readonly missing: string };

/** What is to be done: a lease to write (if it differs from the one given), and decisions to append. */
export interface Decided {
  readonly lease: Lease;
  readonly decisions: readonly Decision[];
}

/** Reads the body of a message: an EventBridge event, or what Scheduler sends. */
export function parseMessage(body: string, pipeline: string): Message {
  const event = parseEvent(body);
  if (event === undefined) return { kind: 'other', because: 'the message is no event' };
  const { source, 'detail-type': type, id, time, detail } = event;
  const trigger = (reason: Reason, eventId: string, at: string, facts: Evidence['detail']): Message => ({
    kind: 'trigger',
    evidence: { reason, eventId, at: iso(at), detail: facts },
  });

  if (source === 'aws.s3' && type === 'Object Created') {
    const { key, 'version-id': versionId, size } = detail.object;
    return trigger('data', id, time, { key, ...(versionId !== undefined && { versionId }), size: size ?? 0 });
  }
  if (source === 'aws.states') {
    const { name, status, startDate, stopDate } = detail;
    const at = iso(stopDate ?? time);
    return { kind: 'ended', end: { runId: name, at, status, startedAt: iso(startDate ?? time) } };
  }
  if (source !== Events.SOURCE) return { kind: 'other', because: `no trigger: ${type} of ${source}` };
  if (detail.pipeline !== undefined && detail.pipeline !== pipeline) {
    return { kind: 'other', because: `for the pipeline ${detail.pipeline}` };
  }
  switch (type) {
    case Events.DRIFT_DETECTED: {
      // a window may be reported twice, under ids and times of their own: the window is what counts
      const { windowId, windowEnd, version, reportKey, summary } = detail;
      return trigger('drift', windowId, windowEnd ?? time, { version, reportKey, summary });
    }
    case Events.RUN_REQUESTED: {
      const { requestedBy, note, snapshotKey } = detail as RunRequestedDetail;
      return trigger('manual', id, time, {
        requestedBy,
        ...(note !== undefined && { note }),
        ...(snapshotKey !== undefined && { snapshotKey }),
      });
    }
    case Events.SCHEDULE: // Scheduler's own id changes with every attempt
      return trigger('schedule', `schedule-${time}`, time, {});
    case Events.RUN_ENDED: {
      const { runId, outcome } = detail as RunEndedDetail;
      return { kind: 'ended', end: { runId, at: iso(time), outcome } };
    }
    default:
      return { kind: 'other', because: `no trigger: ${type}` };
  }
}

/** Whether a run holds the lease. */
export function held(lease: { readonly holder?: string; readonly expiresAt?: string }, now: Date): boolean {
  return lease.holder !== undefined && lease.expiresAt !== undefined && Date.parse(lease.expiresAt) > now.getTime();
}

/** The lease of a run that takes longer than was thought. */
export function extended(lease: Lease, now: Date, { leaseHours }: ControllerRules): Lease {
  return { ...lease, expiresAt: new Date(now.getTime() + leaseHours * 3_600_000).toISOString() };
}

/** The run that could start now, as far as it is known before its data is frozen; undefined if none may. */
export function nextRun(
  lease: Lease,
  triggers: readonly Evidence[],
  now: Date,
  rules: ControllerRules,
): { readonly reason: Reason; readonly evidence: readonly Evidence[]; readonly snapshotKey?: string } | undefined {
  if (held(lease, now)) return undefined;
  const waiting = [...lease.pending, ...triggers.filter((trigger) => !isMarker(trigger))].sort(byStrength);
  const leader = waiting.find((trigger) => refusal(trigger, lease, now, rules) === undefined);
  if (leader === undefined) return undefined;
  const snapshotKey = snapshotOf(leader);
  // whoever asks for a snapshot of old gets that alone; all others want the data as it is
  const evidence = waiting.filter((trigger) => snapshotOf(trigger) === snapshotKey);
  return { reason: leader.reason, evidence, ...(snapshotKey !== undefined && { snapshotKey }) };
}

/**
 * Decides about new triggers, and about those that wait.
 *
 * At most one run is under way; what comes meanwhile waits for one more run that serves it all.
 * The lease that results holds the decisions in its outbox: written first, it makes everything
 * that follows (starting the execution, appending the decisions) repeatable.
 *
 * @param triggers none of which has been decided on
 * @param frozen the data of {@link nextRun}; not needed if that is undefined
 */
export function decide(
  lease: Lease,
  triggers: readonly Evidence[],
  now: Date,
  rules: ControllerRules,
  frozen?: Frozen,
): Decided {
  const fresh = triggers.filter((trigger, i) => !includes([...lease.pending, ...triggers.slice(0, i)], trigger));
  const news = fresh.filter((trigger) => !isMarker(trigger));
  const { lease: next, notes } = held(lease, now)
    ? wait(lease, news)
    : (start(lease, news, now, rules, frozen) ?? postpone(lease, news, now, rules));
  const markers = fresh
    .filter(isMarker)
    .map((trigger): Note => [trigger, 'IGNORED', `${trigger.detail.key} is a folder's marker or no training data`]);

  const decisions = [...markers, ...notes].map(
    ([trigger, decided, because, run]): Decision => ({
      pk: '', // the ledger's to fill in
      sk: (includes(lease.pending, trigger) ? LedgerKey.decisionLater : LedgerKey.decision)(
        trigger.at,
        trigger.eventId,
      ),
      at: now.toISOString(),
      eventId: trigger.eventId,
      reason: trigger.reason,
      decided,
      ...(run !== undefined && { runId: run }),
      because,
    }),
  );
  return { lease: next, decisions };
}

/** What is decided about one trigger: what, why, and by which run it is served. */
type Note = readonly [trigger: Evidence, decided: Decision['decided'], because: string, runId?: string];

/** A run is under way: what comes waits for the next. */
function wait(lease: Lease, news: readonly Evidence[]): { lease: Lease; notes: Note[] } {
  const because = `the run ${lease.holder} is under way; one more run afterwards serves this`;
  return {
    lease: { ...lease, pending: remember(lease.pending, news) },
    notes: news.map((trigger) => [trigger, 'REMEMBERED', because]),
  };
}

/** A run may start: everything that waits or comes is served by it, unless its data would be the same again. */
function start(
  lease: Lease,
  news: readonly Evidence[],
  now: Date,
  rules: ControllerRules,
  frozen?: Frozen,
): { lease: Lease; notes: Note[] } | undefined {
  const next = nextRun(lease, news, now, rules);
  if (next === undefined) return undefined;
  if (frozen === undefined) throw new Error('the data of the next run must be frozen before it is decided on');
  const { reason, evidence: served } = next;
  const others = [...lease.pending, ...news].filter((trigger) => !includes(served, trigger));
  const pending = remember([], others);
  const remembered = others
    .filter((trigger) => !includes(lease.pending, trigger))
    .map((trigger): Note => [trigger, 'REMEMBERED', 'another run comes first; one more run afterwards serves this']);

  const vain = 'missing' in frozen ? frozen.missing : alreadyTrained(lease, reason, frozen.dataVersion);
  if (vain !== undefined || 'missing' in frozen) {
    const ignored = served.map((trigger): Note => [trigger, 'IGNORED', vain ?? '']);
    return { lease: { ...lease, pending }, notes: [...ignored, ...remembered] };
  }

  const id = runId(reason, frozen.dataVersion, reason === 'data' ? undefined : served[0].eventId);
  const day = now.toISOString().slice(0, 10);
  const started = served
    .filter((trigger) => !includes(lease.pending, trigger)) // those that waited stand in the run's evidence
    .map((trigger): Note => [trigger, 'STARTED', `${count(served.length, 'trigger')}, ${describe(frozen)}`, id]);
  return {
    lease: {
      ...lease,
      holder: id,
      expiresAt: extended(lease, now, rules).expiresAt,
      pending,
      day,
      startedToday: (lease.day === day ? lease.startedToday : 0) + 1,
      // new data, or a person who knows why, is a new chance
      unpromoted: reason === 'data' || reason === 'manual' ? 0 : lease.unpromoted,
      lastDataVersion: frozen.dataVersion,
      lastRun: {
        runId: id,
        input: { reason, evidence: served.slice(0, MOST_EVIDENCE), snapshotKey: frozen.snapshotKey },
      },
      unstarted: true,
    },
    notes: [...started, ...remembered],
  };
}

/** No trigger may start a run now: new data waits for a day with budget, the rest is ignored. */
function postpone(
  lease: Lease,
  news: readonly Evidence[],
  now: Date,
  rules: ControllerRules,
): { lease: Lease; notes: Note[] } {
  const pending: Evidence[] = [];
  const notes: Note[] = [];
  for (const trigger of [...lease.pending, ...news]) {
    const because = refusal(trigger, lease, now, rules) ?? 'no run may start now';
    const waits = includes(lease.pending, trigger);
    const stays = trigger.reason === 'data' || (waits && budgetSpent(lease, now, rules));
    if (stays) pending.push(trigger);
    if (!(stays && waits)) notes.push([trigger, stays ? 'REMEMBERED' : 'IGNORED', because]);
  }
  return { lease: { ...lease, pending: remember([], pending) }, notes };
}

/** The lease after a run has ended: free, if the run held it. */
export function release(lease: Lease, end: { runId: string; outcome: Outcome; at: string }): Lease {
  if (lease.holder !== end.runId) return lease;
  const { holder: _holder, expiresAt: _expiresAt, ...rest } = lease;
  const promoted = end.outcome === 'PROMOTED' || end.outcome === 'AWAITING_APPROVAL';
  return {
    ...rest,
    lastEndedAt: end.at,
    unpromoted: promoted ? 0 : lease.unpromoted + 1,
    ...(lease.lastRun?.runId === end.runId && { lastRun: { ...lease.lastRun, outcome: end.outcome } }),
  };
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
  return { ...lease, pending: remember(lease.pending, good), lastRun: { ...run, requeued: true } };
}

/** Why a trigger may start no run now; undefined if it may. */
function refusal(trigger: Evidence, lease: Lease, now: Date, rules: ControllerRules): string | undefined {
  const { reason } = trigger;
  if (reason === 'manual') return undefined;
  if (budgetSpent(lease, now, rules)) {
    return `${count(rules.maxRunsPerDay, 'run')} were started today, which is the limit; new data waits for the first trigger after midnight (UTC)`;
  }
  if (reason === 'data') return undefined;
  if (lease.unpromoted >= rules.breakAfter) {
    return (
      `${count(lease.unpromoted, 'run')} in a row brought no better model (allowed ${rules.breakAfter}): training again ` +
      'is not the cure; look at the data, then upload new data or start a run by hand'
    );
  }
  if (reason === 'drift' && lease.lastEndedAt !== undefined && !includes(lease.pending, trigger)) {
    const minutes = (now.getTime() - Date.parse(lease.lastEndedAt)) / 60_000;
    if (minutes < rules.cooldownMinutes) {
      return `the last run ended ${Math.floor(minutes)} min ago, and drift starts none within ${rules.cooldownMinutes} min`;
    }
  }
  return undefined;
}

function budgetSpent(lease: Lease, now: Date, rules: ControllerRules): boolean {
  return lease.day === now.toISOString().slice(0, 10) && lease.startedToday >= rules.maxRunsPerDay;
}

/** Why a run on this data would find nothing new; undefined if it might. */
function alreadyTrained(lease: Lease, reason: Reason, dataVersion: string): string | undefined {
  if (reason === 'manual' || lease.lastDataVersion !== dataVersion) return undefined;
  const run = lease.lastRun;
  if (reason === 'data') return `already trained on: the run ${run?.runId} began with exactly this data`;
  if (run?.outcome === 'FAILED') return undefined;
  return (
    `no data has come since the run ${run?.runId}, and the same data would give the same model; ` +
    'upload newer data, or start a run by hand'
  );
}

function remember(pending: readonly Evidence[], triggers: readonly Evidence[]): Evidence[] {
  const remembered = [...pending];
  for (const trigger of triggers) {
    // beyond that many, the run that serves the others serves these as well
    const full = remembered.length >= MOST_EVIDENCE && trigger.reason !== 'manual';
    if (!full && !includes(remembered, trigger)) remembered.push(trigger);
  }
  return remembered;
}

/** Strongest reason first, then oldest first. */
function byStrength(a: Evidence, b: Evidence): number {
  return REASONS.indexOf(a.reason) - REASONS.indexOf(b.reason) || order(a.at, b.at) || order(a.eventId, b.eventId);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function includes(triggers: readonly Evidence[], { eventId, at }: Evidence): boolean {
  return triggers.some((other) => other.eventId === eventId && other.at === at);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function describe({ files, leftOut }: { readonly files: number; readonly leftOut: number }): string {
  return count(files, 'file') + (leftOut === 0 ? '' : `, without ${leftOut} that could not be used`);
}

function isMarker({ reason, detail }: Evidence): boolean {
  return reason === 'data' && !isData(String(detail.key));
}

function snapshotOf({ detail }: Evidence): string | undefined {
  return detail.snapshotKey === undefined ? undefined : String(detail.snapshotKey);
}

/** Times come as ISO with or without milliseconds, and from Step Functions as milliseconds. */
function iso(time: string | number): string {
  return new Date(time).toISOString();
}

interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly id: string;
  readonly time: string;
  // biome-ignore lint/suspicious/noExplicitAny: each kind of event has its own detail
  readonly detail: any;
}

function parseEvent(body: string): BusEvent | undefined {
  try {
    const event = JSON.parse(body);
    return typeof event?.source === 'string' ? { ...event, detail: event.detail ?? {} } : undefined;
  } catch {
    return undefined;
  }
}
