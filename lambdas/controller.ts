import { S3Client } from '@aws-sdk/client-s3';
import { SFNClient } from '@aws-sdk/client-sfn';
import {
  CONTROLLER_DEFAULTS,
  type ControllerRules,
  decide,
  extended,
  FREE,
  type Frozen,
  held,
  nextRun,
  parseMessage,
  type RunEnd,
  release,
  requeue,
} from '../lib/core/controller';
import type { Evidence, Outcome } from '../lib/core/documents';
import { type Lease, LedgerKey, type RefusedFile, type RunEnded, type RunStarted } from '../lib/core/ledger';
import { EnvName } from '../lib/core/names';
import { parseSnapshot } from '../lib/core/snapshot';
import { type Data, freezeNow, noData, s3Data } from './shared/data';
import { env, settings } from './shared/env';
import { type Current, change, current, dynamoLedger, type Ledger, same, stableJson } from './shared/ledger-port';
import { S3Store } from './shared/s3-store';
import { type Batch, type BatchReply, eachRecord } from './shared/sqs';
import { startExecution } from './shared/start-execution';

/** What the controller reaches; tests have it in memory. */
export interface ControllerPorts {
  readonly pipeline: string;
  readonly rules: ControllerRules;
  readonly ledger: Ledger;
  readonly data: Data;
  now(): Date;
  /** Starts the training machine; false if an execution of this name has ended already. */
  start(name: string, input: string): Promise<boolean>;
}

const LEASE = LedgerKey.lease('training');

let onAws: ControllerPorts | undefined;

/** Runs {@link control} on the ledger and the data bucket. */
export async function handler(batch: Batch): Promise<BatchReply> {
  onAws ??= portsOnAws();
  return control(onAws, batch);
}

function portsOnAws(): ControllerPorts {
  const sfn = new SFNClient();
  const machine = env(EnvName.TRAINING_MACHINE);
  return {
    pipeline: env(EnvName.PIPELINE),
    rules: settings(CONTROLLER_DEFAULTS),
    ledger: dynamoLedger(),
    data: s3Data(new S3Store(new S3Client(), env(EnvName.DATA_BUCKET))),
    now: () => new Date(),
    start: (name, input) => startExecution(sfn, machine, name, input),
  };
}

/** Decides about a batch of triggers and ends of runs; in whatever order and however often they come. */
export async function control(ports: ControllerPorts, batch: Batch): Promise<BatchReply> {
  const triggers: Evidence[] = [];
  const reply = await eachRecord(batch, async (body) => {
    const message = parseMessage(body, ports.pipeline);
    if (message.kind === 'trigger') triggers.push(message.evidence);
    else if (message.kind === 'ended') await settleEnd(ports, message.end);
    else console.log(JSON.stringify({ ignored: message.because }));
  });
  await settle(ports, triggers);
  return reply;
}

/** Decides until nothing is left to decide. A crash after any line is made good by the next message, whichever it is. */
async function settle(ports: ControllerPorts, triggers: readonly Evidence[]): Promise<void> {
  const { ledger, rules } = ports;
  for (;;) {
    const { value: lease, revision } = await flush(ports);
    const undecided = await withoutDecision(ledger, triggers);
    const now = ports.now();
    if (await outlivesItsLease(ports, lease, now)) {
      await ledger.swap(LEASE, revision, extended(lease, now, rules));
      continue;
    }
    const next = nextRun(lease, undecided, now, rules);
    const frozen = next && (await frozenData(ports, next.snapshotKey));
    const decided = decide(lease, undecided, now, rules, frozen);

    if (same(decided.lease, lease)) {
      for (const decision of decided.decisions) await ledger.append(decision);
      return;
    }
    await ledger.swap(LEASE, revision, { ...decided.lease, outbox: decided.decisions } satisfies Lease);
  }
}

/** Does what has been decided: starts the execution, writes the decisions. */
async function flush(ports: ControllerPorts): Promise<Current<Lease>> {
  const { ledger } = ports;
  for (;;) {
    const { value, revision } = await current(ledger, LEASE, FREE);
    const { unstarted, outbox = [], ...lease } = value;
    if (!unstarted && outbox.length === 0) return { value, revision };

    const run = unstarted ? lease.lastRun : undefined;
    const ended = run !== undefined && !(await ports.start(run.runId, stableJson(run.input)));
    for (const decision of outbox) await ledger.append(decision);
    const { holder, expiresAt, ...free } = lease;
    await ledger.swap(LEASE, revision, ended && holder === run.runId ? free : lease);
  }
}

/** Whether the run that holds a lease is still under way after it; a name that runs can be started again without effect. */
async function outlivesItsLease({ start }: ControllerPorts, lease: Lease, now: Date): Promise<boolean> {
  const { holder, lastRun } = lease;
  if (holder === undefined || holder !== lastRun?.runId || held(lease, now)) return false;
  return start(holder, stableJson(lastRun.input));
}

async function withoutDecision(ledger: Ledger, triggers: readonly Evidence[]): Promise<Evidence[]> {
  const decided = await Promise.all(triggers.map(({ at, eventId }) => ledger.find(LedgerKey.decision(at, eventId))));
  return triggers.filter((_, i) => decided[i] === undefined);
}

async function frozenData({ data, ledger, rules }: ControllerPorts, snapshotKey?: string): Promise<Frozen> {
  if (snapshotKey === undefined) {
    const { snapshot, key } = await freezeNow(data, ledger, rules.newestFiles);
    const { dataVersion, files, leftOut = [] } = snapshot;
    if (files.length === 0) return { missing: noData(snapshot) };
    return { dataVersion, snapshotKey: key, files: files.length, leftOut: leftOut.length };
  }
  const document = await data.read(snapshotKey);
  if (document === undefined)
    return { missing: `snapshotKey must name a snapshot, got ${snapshotKey}: no such object` };
  try {
    const { dataVersion, files } = parseSnapshot(document, snapshotKey);
    return { dataVersion, snapshotKey, files: files.length, leftOut: 0 };
  } catch (error) {
    return { missing: (error as Error).message };
  }
}

/** Frees the lease of a run that has ended, and lets its good files wait again if bad ones made it fail. */
async function settleEnd(ports: ControllerPorts, end: RunEnd): Promise<void> {
  const { ledger } = ports;
  const { runId, at } = end;
  const outcome = end.outcome ?? (await recordedOutcome(ports, end));
  const refused = outcome === 'FAILED' ? await ledger.query<RefusedFile>('REFUSED#') : [];
  await change(ledger, LEASE, FREE, (lease) => requeue(release(lease, { runId, outcome, at }), runId, refused));
}

/** How a run ended that Step Functions reports; written here if the run could not do so itself. */
async function recordedOutcome({ ledger }: ControllerPorts, end: RunEnd): Promise<Outcome> {
  const facts = (await ledger.query<RunStarted | RunEnded>('RUN#', { newestFirst: true, limit: 200 })).filter(
    ({ runId }) => runId === end.runId,
  );
  const ended = facts.find((fact): fact is RunEnded => fact.sk.endsWith('#END'));
  if (ended !== undefined) return ended.outcome;
  const startedAt = facts[0]?.sk.split('#')[1] ?? end.startedAt ?? end.at;
  await ledger.append<RunEnded>({
    sk: LedgerKey.run(startedAt, end.runId, 'END'),
    at: end.at,
    runId: end.runId,
    outcome: 'FAILED',
    error: { name: `Execution.${end.status}`, cause: `the execution ended as ${end.status} before it could say how` },
  });
  return 'FAILED';
}
