import { S3Client } from '@aws-sdk/client-s3';
import { type Spent, spentOn } from '../../lib/core/dataset/budget';
import {
  CONTROLLER_DEFAULTS,
  type ControllerRules,
  decide,
  type NextRun,
  nameOf,
  nextRun,
  type RunData,
} from '../../lib/core/dataset/controller';
import type { Evidence } from '../../lib/core/dataset/documents';
import { withStarted } from '../../lib/core/dataset/ended';
import { dataOfSnapshot, eventsOf, namedSnapshot, tooManyWait } from '../../lib/core/dataset/run-data';
import { includes } from '../../lib/core/dataset/waiting';
import { type DecisionMade, newFact } from '../../lib/core/ledger/facts';
import { LedgerKey, LedgerPrefix } from '../../lib/core/ledger/keys';
import type { Lease } from '../../lib/core/ledger/rows';
import { parseMessage } from '../../lib/core/messages';
import { EnvName } from '../../lib/core/names';
import { candidateModels } from '../judge/candidate-models';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import {
  type Ledger,
  type Pause,
  queryFacts,
  type ReadLease,
  readLease,
  same,
  stableJson,
  TRAINING_LEASE,
  untilDone,
} from '../ledger/ledger';
import { defaultBus, type Send } from '../shared/bus';
import { env, settings } from '../shared/env';
import { awsExecutions, startAlone } from '../shared/executions';
import { lazy } from '../shared/lazy';
import { S3Store } from '../shared/s3-store';
import { type Batch, type BatchReply, eachRecord } from '../shared/sqs';
import { type Data, s3Data, saveSnapshot, unseenUploads } from './data';
import { type EndPorts, endOf, goodFilesWait, settleEnd, takeAwayOrphans } from './ended-runs';

/** What the controller reaches; tests have it in memory. */
export interface ControllerPorts extends EndPorts {
  readonly pipeline: string;
  readonly rules: ControllerRules;
  readonly data: Data;
  readonly send: Send;
  /** Waits before another try; a real wait, if absent. */
  readonly pause?: Pause;
}

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
  const full = tooManyWait(crowded);
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
      if (good !== lease) return ledger.swap(TRAINING_LEASE, revision, good);
      const undecided = await withoutDecision(ledger, triggers);
      const found = missed && rules.uploads ? await unseenUploads(ports, rules.newestFiles, lease, undecided) : [];
      const news = [...undecided, ...found];
      const next = nextRun(lease, news, { now, rules });
      const [underWay] = next === undefined ? [] : await ports.executions.running();
      const runData = next && underWay === undefined ? await dataOf(ports, next) : undefined;
      const decided = decide(lease, news, { now, rules, underWay, runData });

      if (same(decided.lease, value) && !torn) {
        await record(ports, decided.decisions);
        // what asked for a run in vain has its decision; others may have waited behind it
        const wentFirst = next !== undefined && underWay === undefined && undecided.length > decided.crowded.length;
        return wentFirst || { done: decided.crowded };
      }
      return ledger.swap(TRAINING_LEASE, revision, { ...decided.lease, outbox: decided.decisions } satisfies Lease);
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
      return ledger.swap(TRAINING_LEASE, read.revision, lease);
    },
    ports.pause,
  );
}

/** Appends decisions, and sends events about those that people must act on: twice rather than never. */
async function record({ ledger, send, pipeline }: ControllerPorts, decisions: readonly DecisionMade[]): Promise<void> {
  for (const { type, detail } of eventsOf(pipeline, decisions)) await send(type, detail);
  for (const decision of decisions) await ledger.append(newFact.decision(decision));
}

async function withoutDecision(ledger: Ledger, triggers: readonly Evidence[]): Promise<Evidence[]> {
  const keyOf = ({ at, eventId }: Evidence) => LedgerKey.decision(at, eventId);
  const decided = new Set((await ledger.findAll(triggers.map(keyOf))).map(({ sk }) => sk));
  return triggers.filter((trigger) => !decided.has(keyOf(trigger)));
}

/** The data that a run would train on: the snapshot that is asked for, or the data as it is. */
async function dataOf({ data, ledger, rules, executions }: ControllerPorts, next: NextRun): Promise<RunData> {
  const found =
    next.snapshotKey === undefined
      ? dataOfSnapshot(await saveSnapshot(data, ledger, rules.newestFiles))
      : namedSnapshot(next.snapshotKey, await data.read(next.snapshotKey));
  if ('missing' in found) return found;
  return { ...found, ranBefore: (await executions.find(nameOf(next, found.dataVersion))) !== undefined };
}

/** What is spent of the day's budget, by the lease or by the runs that have begun, whichever is more. */
async function spentBy(ledger: Ledger, lease: Lease, now: Date): Promise<Spent> {
  const spent = spentOn(now, lease);
  return withStarted(spent, await queryFacts(ledger, `${LedgerPrefix.RUNS}${spent.day}`));
}
