import { S3Client } from '@aws-sdk/client-s3';
import { type Spent, spentOn } from '../../lib/core/dataset/budget';
import {
  CONTROLLER_DEFAULTS,
  type ControllerRules,
  decide,
  type Frozen,
  type NextRun,
  nameOf,
  nextRun,
} from '../../lib/core/dataset/controller';
import {
  type BudgetReachedDetail,
  type DataNeededDetail,
  type Evidence,
  NEEDS,
} from '../../lib/core/dataset/documents';
import { disown, openRun, release, requeue } from '../../lib/core/dataset/lease';
import { contentOfAll, parseSnapshot } from '../../lib/core/dataset/snapshot';
import { includes } from '../../lib/core/dataset/waiting';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { OUTCOMES, type Outcome } from '../../lib/core/ledger/documents';
import {
  type Decision,
  type Lease,
  LedgerKey,
  type RefusedFile,
  type RunEnded,
  type RunStarted,
} from '../../lib/core/ledger/ledger';
import { parseMessage, type RunEnd } from '../../lib/core/messages';
import { EnvName, Events } from '../../lib/core/names';
import { type CandidateModels, candidateModels } from '../judge/candidate-models';
import {
  changeLease,
  dynamoLedger,
  type Ledger,
  type Pause,
  type ReadLease,
  readLease,
  same,
  stableJson,
  TRAINING_LEASE,
  untilDone,
} from '../ledger/ledger-port';
import { defaultBus, type Send } from '../shared/bus';
import { env, settings } from '../shared/env';
import { awsExecutions, type Executions, hasEnded, startAlone } from '../shared/executions';
import { lazy } from '../shared/lazy';
import { S3Store } from '../shared/s3-store';
import { type Batch, type BatchReply, eachRecord } from '../shared/sqs';
import { type Data, freezeNow, noData, s3Data, unseenUploads } from './data';

/** What the controller reaches; tests have it in memory. */
export interface ControllerPorts {
  readonly pipeline: string;
  readonly rules: ControllerRules;
  readonly ledger: Ledger;
  readonly data: Data;
  /** Of the training machine. */
  readonly executions: Executions;
  /** Of the pipeline's runs; absent where no registry tells their names. */
  readonly candidates?: CandidateModels;
  readonly send: Send;
  now(): Date;
  /** Waits before another try; a real wait, if absent. */
  readonly pause?: Pause;
}

/** Stands for the status of a run of which Step Functions knows nothing. */
const GONE = 'GONE';

/** Runs {@link control} on the ledger and the data bucket. */
export async function handler(batch: Batch): Promise<BatchReply> {
  return control(onAws(), batch);
}

const onAws = lazy((): ControllerPorts => {
  const [pipeline, registry] = [env(EnvName.PIPELINE), process.env[EnvName.MODEL_PACKAGE_GROUP]];
  return {
    pipeline,
    rules: settings(CONTROLLER_DEFAULTS),
    ledger: dynamoLedger(),
    data: s3Data(new S3Store(new S3Client(), env(EnvName.DATA_BUCKET))),
    executions: awsExecutions(env(EnvName.TRAINING_MACHINE)),
    ...(registry !== undefined && { candidates: candidateModels({ pipeline, registry }) }),
    send: defaultBus(),
    now: () => new Date(),
  };
});

/**
 * Decides about a batch of triggers and ends of runs, in whatever order and however often they come; and about what has
 * changed without a message. A message that is no good fails alone.
 */
export async function control(ports: ControllerPorts, batch: Batch): Promise<BatchReply> {
  const triggers = new Map<string, Evidence>();
  let look = false;
  let orphans = false;
  const read = await eachRecord(batch, async (body, messageId) => {
    const message = parseMessage(body, ports.pipeline);
    if (message.kind === 'trigger') triggers.set(messageId, message.evidence);
    else if (message.kind === 'reconcile') look = true;
    else if (message.kind === 'other') console.log(JSON.stringify({ ignored: message.because }));
    else if (message.end.status !== undefined) {
      await settleEnd(ports, message.end);
      orphans ||= message.end.status !== 'SUCCEEDED';
    }
  });
  if (look || orphans) await takeAwayOrphans(ports); // before the next run begins
  const crowded = await settle(ports, [...triggers.values()], look);
  if (crowded.length === 0) return read;
  const full = new PerennialError(
    ErrorName.TOO_MANY_WAIT,
    `at most a hundred requests for snapshots of their own can wait, got ${crowded.length} more: they come again, and in the end lie in the dead-letter queue`,
  );
  console.error(JSON.stringify({ error: String(full) }));
  const again = [...triggers].filter(([, trigger]) => includes(crowded, trigger));
  return {
    batchItemFailures: [...read.batchItemFailures, ...again.map(([itemIdentifier]) => ({ itemIdentifier }))],
  };
}

/**
 * Decides until nothing is left to decide. A crash after any line is made good by the next message, whichever it is.
 *
 * @param look whether uploads are looked for of which no event has told
 * @returns the triggers for which there was no room
 */
function settle(ports: ControllerPorts, triggers: readonly Evidence[], look: boolean): Promise<readonly Evidence[]> {
  const { ledger, rules } = ports;
  const { sk } = TRAINING_LEASE;
  let missed = look;
  return untilDone(
    sk,
    async () => {
      const { value, revision, torn } = await flush(ports);
      missed ||= torn; // what waited in it may be lost
      const now = ports.now();
      // nor does a row that is torn, or of another day, say what this day has seen
      const isToday = !torn && value.day === now.toISOString().slice(0, 10);
      const lease = isToday ? value : { ...value, ...(await spentBy(ledger, value, now)) };
      const end = await endOf(ports, lease, now);
      if (end !== undefined) {
        await settleEnd(ports, end);
        return true;
      }
      const good = await goodFilesWait(ledger, lease);
      if (good !== lease) return ledger.swap(sk, revision, good);
      const undecided = await withoutDecision(ledger, triggers);
      const found = missed && rules.uploads ? await unseenUploads(ports, rules.newestFiles, lease, undecided) : [];
      const news = [...undecided, ...found];
      const next = nextRun(lease, news, { now, rules });
      const [underWay] = next === undefined ? [] : await ports.executions.running();
      const frozen = next && underWay === undefined ? await frozenData(ports, next) : undefined;
      const decided = decide(lease, news, { now, rules, underWay, frozen });

      if (same(decided.lease, value) && !torn) {
        await record(ports, decided.decisions);
        // what asked for a run in vain has its decision; others may have waited behind it
        const wentFirst = next !== undefined && underWay === undefined && undecided.length > decided.crowded.length;
        return wentFirst || { done: decided.crowded };
      }
      return ledger.swap(sk, revision, { ...decided.lease, outbox: decided.decisions } satisfies Lease);
    },
    ports.pause,
  );
}

/** Does what has been decided: starts the execution, writes the decisions. */
function flush(ports: ControllerPorts): Promise<ReadLease<Lease>> {
  const { ledger, executions } = ports;
  return untilDone(
    TRAINING_LEASE.sk,
    async () => {
      const read = await readLease(ledger, TRAINING_LEASE, ports.now());
      const { unstarted, outbox = [], ...lease } = read.value;
      if (!unstarted && outbox.length === 0) return { done: { ...read, value: lease } };

      // one that has ended already is found to be so when it is looked at
      const run = unstarted ? lease.lastRun : undefined;
      if (run !== undefined) await startAlone(executions, run.runId, stableJson(run.input));
      await record(ports, outbox);
      return ledger.swap(TRAINING_LEASE.sk, read.revision, lease);
    },
    ports.pause,
  );
}

/** Appends decisions, and tells people of those that they must see to: twice rather than never. */
async function record({ ledger, send, pipeline }: ControllerPorts, decisions: readonly Decision[]): Promise<void> {
  for (const needs of NEEDS) {
    const first = decisions.find((decision) => decision.needs === needs);
    if (first === undefined) continue;
    const { because: summary, at } = first;
    if (needs !== 'BUDGET') await send(Events.DATA_NEEDED, { pipeline, needs, summary } satisfies DataNeededDetail);
    else {
      const day = at.slice(0, 10);
      await send(Events.BUDGET_REACHED, { pipeline, day, summary } satisfies BudgetReachedDetail);
    }
  }
  for (const decision of decisions) await ledger.append(decision);
}

/** How the run ended that holds the lease; undefined if none does, or if it is under way. */
async function endOf({ executions }: ControllerPorts, lease: Lease, now: Date): Promise<RunEnd | undefined> {
  const runId = openRun(lease);
  if (runId === undefined) return undefined;
  const execution = await executions.find(runId);
  if (execution !== undefined) {
    const { status, startedAt, endedAt } = execution;
    return hasEnded(execution) ? { runId, status, startedAt, at: endedAt ?? now.toISOString() } : undefined;
  }
  // what was begun a moment ago may not be seen yet; to start it once more has no effect
  const { holder, lastRun } = lease;
  const isOwn = holder === runId && lastRun?.runId === runId;
  if (isOwn && (await startAlone(executions, runId, stableJson(lastRun.input)))) return undefined;
  return { runId, status: GONE, at: now.toISOString() };
}

/** The lease with the good files of the last run, if bad ones made it fail. */
async function goodFilesWait(ledger: Ledger, lease: Lease): Promise<Lease> {
  const { lastRun } = lease;
  if (lastRun?.outcome !== 'FAILED' || lastRun.requeued) return lease;
  return requeue(lease, lastRun.runId, await ledger.query<RefusedFile>('REFUSED#'));
}

async function withoutDecision(ledger: Ledger, triggers: readonly Evidence[]): Promise<Evidence[]> {
  const decided = await Promise.all(triggers.map(({ at, eventId }) => ledger.find(LedgerKey.decision(at, eventId))));
  return triggers.filter((_, i) => decided[i] === undefined);
}

async function frozenData({ data, ledger, rules, executions }: ControllerPorts, next: NextRun): Promise<Frozen> {
  const ranBefore = async (dataVersion: string) => (await executions.find(nameOf(next, dataVersion))) !== undefined;
  const { snapshotKey } = next;
  if (snapshotKey === undefined) {
    const { snapshot, key } = await freezeNow(data, ledger, rules.newestFiles);
    const { dataVersion, files, leftOut = [], alike = [] } = snapshot;
    if (files.length === 0) return { missing: noData(snapshot) };
    return {
      dataVersion,
      content: contentOfAll(files),
      snapshotKey: key,
      files: files.length,
      leftOut: leftOut.length,
      alike: alike.length,
      ranBefore: await ranBefore(dataVersion),
    };
  }
  const document = await data.read(snapshotKey);
  if (document === undefined)
    return { missing: `snapshotKey must name a snapshot, got ${snapshotKey}: no such object` };
  try {
    const { dataVersion, files } = parseSnapshot(document, snapshotKey);
    return {
      dataVersion,
      content: contentOfAll(files),
      snapshotKey,
      files: files.length,
      leftOut: 0,
      alike: 0,
      ranBefore: await ranBefore(dataVersion),
    };
  } catch (error) {
    if (error instanceof PerennialError) return { missing: error.message };
    throw error;
  }
}

/** Frees the lease of a run of which Step Functions says that it has ended. */
async function settleEnd({ ledger, now }: ControllerPorts, end: RunEnd): Promise<void> {
  const outcome = await recordedOutcome(ledger, end);
  await changeLease(ledger, TRAINING_LEASE, now(), (lease) =>
    end.status === GONE ? disown(lease, end) : release(lease, { ...end, outcome }),
  );
}

/** Takes away the candidates' models of runs that were stopped, or ran out of time, before they could do so. */
async function takeAwayOrphans({ candidates, executions }: ControllerPorts): Promise<void> {
  if (candidates === undefined) return;
  try {
    const models = await candidates.list();
    // what was there before nothing ran belongs to a run that has ended
    if (models.length === 0 || (await executions.running()).length > 0) return;
    for (const model of models) await candidates.delete(model);
  } catch (error) {
    // no message is to come again for it: the next look makes it good
    console.error(JSON.stringify({ left: 'models of candidates', error: String(error) }));
  }
}

/** What is spent of the day's budget, by the lease or by the runs that have begun, whichever is more. */
async function spentBy(ledger: Ledger, lease: Lease, now: Date): Promise<Spent> {
  const spent = spentOn(now, lease);
  const today = await ledger.query<RunStarted>(`RUN#${spent.day}`);
  const started = today.filter(({ sk, reason }) => sk.endsWith('#START') && reason !== 'manual').length;
  return { ...spent, startedToday: Math.max(spent.startedToday, started) };
}

/** How a run ended that Step Functions reports; written here if the run could not do so itself. */
async function recordedOutcome(ledger: Ledger, end: RunEnd): Promise<Outcome> {
  const { runId, status, at } = end;
  // the rows of the second in which it began are its own: however many attempts it made, its end is among them
  const begun = end.startedAt === undefined ? { limit: 200 } : undefined;
  const facts = await ledger.query<RunStarted | RunEnded>(`RUN#${end.startedAt?.slice(0, 19) ?? ''}`, {
    newestFirst: true,
    ...begun,
  });
  const own = facts.filter((fact) => fact.runId === runId);
  const ended = own.find((fact): fact is RunEnded => fact.sk.endsWith('#END'));
  if (ended !== undefined) return OUTCOMES.find((outcome) => outcome === ended.outcome) ?? 'FAILED';
  const startedAt = own[0]?.sk.split('#')[1] ?? end.startedAt;
  if (startedAt === undefined) return 'FAILED'; // there never was such a run
  await ledger.append<RunEnded>({
    sk: LedgerKey.run(startedAt, runId, 'END'),
    at,
    runId,
    outcome: 'FAILED',
    error: { name: `Execution.${status}`, cause: `the execution ended as ${status} before it could say how` },
  });
  return 'FAILED';
}
