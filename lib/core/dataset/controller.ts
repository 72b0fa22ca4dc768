import type { Decision, DecisionMade } from '../ledger/facts';
import { LedgerKey } from '../ledger/keys';
import type { Lease } from '../ledger/rows';
import { shortened } from '../listed';
import { type Reason, runId } from '../names';
import { charged, isBehind, spentOn } from './budget';
import type { Evidence, Need } from './documents';
import { isData } from './snapshot';
import { asEvidence, byStrength, includes, remember, snapshotOf } from './waiting';

/** When the controller starts a run by itself. */
export interface ControllerRules {
  /** Minutes after the end of a run in which drift does not start the next one. */
  readonly cooldownMinutes: number;
  /** Runs per day (UTC), not counting those that are started by hand. */
  readonly maxRunsPerDay: number;
  /** After so many runs in a row without a better model, drift and schedule start none until new data comes. */
  readonly maxRunsWithoutPromotion: number;
  /** Train on the newest so many files; all, if absent. */
  readonly newestFiles?: number;
  /** Whether uploads start runs, so that those are looked for without an event. */
  readonly uploads: boolean;
}

export const CONTROLLER_DEFAULTS: ControllerRules = {
  cooldownMinutes: 60,
  maxRunsPerDay: 24,
  maxRunsWithoutPromotion: 3,
  uploads: true,
};

/** The data that a run would train on, or why there is none. */
export type RunData =
  | {
      readonly dataVersion: string;
      /** What the files hold, as `contentOfAll` computes it. */
      readonly content: string;
      readonly snapshotKey: string;
      readonly files: number;
      readonly leftOut: number;
      /** Files that are not trained on because others have the same content. */
      readonly alike: number;
      /** Whether an execution of the name that the run would have has begun before. */
      readonly ranBefore?: boolean;
    }
  | { readonly missing: string };

/** In what situation is decided. */
export interface Situation {
  readonly now: Date;
  readonly rules: ControllerRules;
  /** An execution of the training machine that is under way without the lease: somebody started it, or redrove it. */
  readonly underWay?: string;
  /** The data of {@link nextRun}; needed if that is a run. */
  readonly runData?: RunData;
}

/** What is to be done: a lease to write (if it differs from the one given), and decisions to append. */
export interface Decided {
  readonly lease: Lease;
  readonly decisions: readonly DecisionMade[];
  /** Triggers for which there is no room: nothing is decided about them, and they must come again. */
  readonly crowded: readonly Evidence[];
}

/** A run that may start. */
export interface NextRun {
  readonly reason: Reason;
  /** The triggers that it serves, the strongest first. */
  readonly evidence: readonly Evidence[];
  /** The earlier snapshot that is requested; without one, the run is to train on the data as it is. */
  readonly snapshotKey?: string;
}

/** The run that could start now, as far as it is known before there is a snapshot of its data; undefined if none may. */
export function nextRun(
  lease: Lease,
  triggers: readonly Evidence[],
  { now, rules, underWay }: Situation,
): NextRun | undefined {
  if (lease.holder !== undefined || underWay !== undefined) return undefined;
  const waiting = [...lease.pending, ...triggers.filter((trigger) => !isMarker(trigger))].sort(byStrength);
  const leader = waiting.find((trigger) => refusal(trigger, lease, now, rules) === undefined);
  if (leader === undefined) return undefined;
  const snapshotKey = snapshotOf(leader);
  // a request for an earlier snapshot gets that alone; all others want the data as it is
  const evidence = waiting.filter((trigger) => snapshotOf(trigger) === snapshotKey);
  return { reason: leader.reason, evidence, ...(snapshotKey !== undefined && { snapshotKey }) };
}

/** The name of a run on some data. */
export function nameOf({ reason, evidence }: NextRun, dataVersion: string): string {
  const leader = evidence.find((trigger) => trigger.reason === reason);
  return runId(reason, dataVersion, reason === 'data' ? undefined : leader?.eventId);
}

/**
 * Decides about new triggers, and about those that wait.
 *
 * At most one run is under way; what comes meanwhile waits for one more run that serves it all.
 * The lease that results holds the decisions in its outbox: written first, it makes everything
 * that follows (starting the execution, appending the decisions) repeatable.
 *
 * @param triggers none of which has been decided on
 */
export function decide(lease: Lease, triggers: readonly Evidence[], situation: Situation): Decided {
  const { now } = situation;
  const fresh = triggers.filter((trigger, i) => !includes([...lease.pending, ...triggers.slice(0, i)], trigger));
  const news = fresh.filter((trigger) => !isMarker(trigger));
  const today = { ...lease, ...(isBehind(lease, now) && spentOn(now, lease)) };
  const busy = lease.holder ?? situation.underWay;
  const course =
    busy !== undefined ? wait(today, news, busy) : (start(today, news, situation) ?? postpone(today, news, situation));
  const markers = fresh
    .filter(isMarker)
    .map((trigger): Note => [trigger, 'IGNORED', `${shortened(String(trigger.detail.key), 100)} is no training data`]);

  const decisions = [...markers, ...course.notes].map(
    ([trigger, decided, because, { run, needs } = {}]): DecisionMade => ({
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
      ...(needs !== undefined && { needs }),
    }),
  );
  return { lease: course.lease, decisions, crowded: course.crowded };
}

/** What is decided about one trigger: what, why, by which run it is served, and what else it needs. */
type Note = readonly [
  trigger: Evidence,
  decided: Decision['decided'],
  because: string,
  more?: { readonly run?: string; readonly needs?: Need },
];

interface Course {
  readonly lease: Lease;
  readonly notes: readonly Note[];
  readonly crowded: readonly Evidence[];
}

/** A run is under way: what comes waits for the next. */
function wait(lease: Lease, news: readonly Evidence[], busy: string): Course {
  return remembered(lease, lease.pending, news, `the run ${busy} is under way; one more run afterwards serves this`);
}

/** The lease with more that waits, and what is said of it. */
function remembered(
  lease: Lease,
  pending: readonly Evidence[],
  news: readonly Evidence[],
  because: string,
  needs?: Need,
): Course {
  const all = remember(pending, news);
  const notes = news
    .filter((trigger) => !all.crowded.includes(trigger))
    .map((trigger): Note => {
      const standIn = all.standIns.get(trigger);
      const stood =
        standIn === undefined
          ? because
          : `${because}; as too many wait to keep each, ${standIn.eventId} waits for this too: what becomes of it becomes of this`;
      return [trigger, 'REMEMBERED', stood, { needs }];
    });
  return { lease: { ...lease, pending: all.pending }, notes, crowded: all.crowded };
}

/** A run may start: everything that waits or comes is served by it, unless its data would be the same again. */
function start(lease: Lease, news: readonly Evidence[], situation: Situation): Course | undefined {
  const next = nextRun(lease, news, situation);
  if (next === undefined) return undefined;
  const { now, runData } = situation;
  if (runData === undefined) throw new Error('the next run must have a snapshot of its data before it is decided on');
  const { reason, evidence: served } = next;
  const stays = (trigger: Evidence) => !includes(served, trigger);
  const rest = (of: Lease) =>
    remembered(
      of,
      lease.pending.filter(stays),
      news.filter(stays),
      'another run comes first; one more run afterwards serves this',
    );

  if ('missing' in runData) {
    const others = rest(lease);
    return {
      ...others,
      notes: [...served.map((trigger): Note => [trigger, 'IGNORED', runData.missing]), ...others.notes],
    };
  }
  const id = nameOf(next, runData.dataVersion);
  const seen =
    next.snapshotKey === undefined && lease.seen?.snapshotKey !== runData.snapshotKey
      ? { seen: { snapshotKey: runData.snapshotKey, ...(lease.seen && { before: lease.seen.snapshotKey }) } }
      : {};
  if (isRepeat(lease, reason, runData)) {
    const others = rest({ ...lease, ...seen });
    const ignored = served.map((trigger): Note => {
      const { because, needs } = whyRepeat(lease, trigger, id, runData);
      return [trigger, 'IGNORED', because, { needs }];
    });
    return { ...others, notes: [...ignored, ...others.notes] };
  }

  const { evidence, more } = asEvidence(served);
  const replay = next.snapshotKey !== undefined;
  const others = rest({
    ...lease,
    ...seen,
    holder: id,
    ...(reason !== 'manual' && charged(now, lease)),
    ...(!replay && {
      // new data, or a person who knows why, is a new chance
      unpromoted: reason === 'data' || reason === 'manual' ? 0 : lease.unpromoted,
      trained: { runId: id, dataVersion: runData.dataVersion, content: runData.content },
    }),
    lastRun: {
      runId: id,
      input: {
        reason,
        evidence,
        snapshotKey: runData.snapshotKey,
        ...(replay && { replay }),
        ...(more > 0 && { more }),
      },
    },
    unstarted: true,
  });
  const started = served
    // those that waited stand in the run's evidence, if there is room
    .filter((trigger) => !includes(lease.pending, trigger) || !evidence.includes(trigger))
    .map(
      (trigger): Note => [trigger, 'STARTED', `${count(served.length, 'trigger')}, ${describe(runData)}`, { run: id }],
    );
  return { ...others, notes: [...started, ...others.notes] };
}

/** No trigger may start a run now: what the day's budget is too small for waits for the next day, the rest is ignored. */
function postpone(lease: Lease, news: readonly Evidence[], { now, rules }: Situation): Course {
  const waits = (trigger: Evidence) =>
    trigger.reason === 'data' || refusal(trigger, lease, now, rules)?.needs === 'BUDGET';
  const leaves = [...lease.pending, ...news].filter((trigger) => !waits(trigger));
  const { because = 'no run may start now', needs } = refusal(DATA, lease, now, rules) ?? {};
  const waiting = lease.pending.filter(waits);
  const told = waiting.length > 0; // by the first that waited, people were
  const stay = remembered(lease, waiting, news.filter(waits), because, told ? undefined : needs);
  const ignored = leaves.map((trigger): Note => {
    const refused = refusal(trigger, lease, now, rules);
    return [trigger, 'IGNORED', refused?.because ?? 'no run may start now', { needs: refused?.needs }];
  });
  return { ...stay, notes: [...stay.notes, ...ignored] };
}

const DATA: Evidence = { reason: 'data', eventId: '', at: '', detail: {} };

/** Why a trigger may not do what it asks for, and what people could do about it. */
interface Refusal {
  readonly because: string;
  readonly needs?: Need;
}

/** Why a trigger may start no run now; undefined if it may. */
function refusal(trigger: Evidence, lease: Lease, now: Date, rules: ControllerRules): Refusal | undefined {
  const { reason } = trigger;
  if (reason === 'manual') return undefined;
  if (spentOn(now, lease).startedToday >= rules.maxRunsPerDay) {
    return {
      because: `${count(rules.maxRunsPerDay, 'run')} a day may start without being asked for, and today's have; one run after midnight (UTC) serves this`,
      needs: 'BUDGET',
    };
  }
  if (reason === 'data') return undefined;
  if (lease.unpromoted >= rules.maxRunsWithoutPromotion) {
    return {
      because:
        `${count(lease.unpromoted, 'run')} in a row brought no better model (allowed ${rules.maxRunsWithoutPromotion}): training again ` +
        'is not the cure; look at the data, then upload new data or start a run by hand',
      needs: 'BETTER_DATA',
    };
  }
  if (reason === 'drift' && lease.lastEndedAt !== undefined && !includes(lease.pending, trigger)) {
    const minutes = (now.getTime() - Date.parse(lease.lastEndedAt)) / 60_000;
    // before the end: the clock has gone back, and says nothing of how long ago it was
    if (minutes >= 0 && minutes < rules.cooldownMinutes) {
      return {
        because: `the last run ended ${Math.floor(minutes)} min ago, and drift starts none within ${rules.cooldownMinutes} min`,
      };
    }
  }
  return undefined;
}

/** Whether a run on this data would find nothing new. */
function isRepeat(lease: Lease, reason: Reason, runData: Exclude<RunData, { missing: string }>): boolean {
  if (runData.ranBefore) return true;
  const { trained, lastRun } = lease; // a lease that has lost its last run cannot say whether that ever began
  if (reason === 'manual' || lastRun === undefined || trained?.content !== runData.content) return false;
  // who uploads the same files again after a failure asks for another try; an event that comes again does not
  return (reason === 'data' && trained.dataVersion === runData.dataVersion) || trained.outcome !== 'FAILED';
}

/** Why a trigger comes to nothing whose run would find nothing new. */
function whyRepeat(
  lease: Lease,
  { reason }: Evidence,
  id: string,
  runData: Exclude<RunData, { missing: string }>,
): Refusal {
  const run = runData.ranBefore ? id : lease.trained?.runId;
  if (reason === 'data') {
    const isSame = runData.ranBefore || lease.trained?.dataVersion === runData.dataVersion;
    return {
      because: isSame
        ? `already trained on: the run ${run} began with exactly this data`
        : `already trained on: byte for byte the data of the run ${run}, uploaded again; upload changed data, or start a run by hand`,
    };
  }
  if (runData.ranBefore) return { because: `already done: the run ${run} was started for this` };
  if (reason === 'drift') {
    return {
      because:
        `drift was found, but no labelled data has come since the run ${run}, and the same data would give the same ` +
        'model: the drift stays until newer data is uploaded, or a run is started by hand',
      needs: 'NEWER_DATA',
    };
  }
  return {
    because:
      `no data has come since the run ${run}, and the same data would give the same model; ` +
      'upload newer data, or start a run by hand',
  };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function describe({ files, leftOut, alike }: Exclude<RunData, { missing: string }>): string {
  const unused = leftOut === 0 ? '' : `, without ${leftOut} that could not be used`;
  return count(files, 'file') + unused + (alike === 0 ? '' : `, without ${alike} that another is like, byte for byte`);
}

function isMarker({ reason, detail }: Evidence): boolean {
  return reason === 'data' && !isData(String(detail.key));
}
