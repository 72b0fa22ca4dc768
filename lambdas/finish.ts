import type { FinishRequest, RunEndedDetail } from '../lib/core/documents';
import { release } from '../lib/core/lease';
import { LedgerKey, type RunEnded } from '../lib/core/ledger';
import { EnvName, Events } from '../lib/core/names';
import { noticeOfRun } from '../lib/core/notices';
import { defaultBus, type Send } from './shared/bus';
import { env } from './shared/env';
import { changeLease, dynamoLedger, type Ledger, TRAINING_LEASE } from './shared/ledger-port';

export interface FinishPorts {
  readonly pipeline: string;
  readonly ledger: Ledger;
  readonly send: Send;
  now(): Date;
}

let onAws: FinishPorts | undefined;

/** Runs {@link finish} on the ledger and the default bus. */
export async function handler(request: FinishRequest): Promise<RunEndedDetail> {
  onAws ??= {
    pipeline: env(EnvName.PIPELINE),
    ledger: dynamoLedger(),
    send: defaultBus(),
    now: () => new Date(),
  };
  return finish(onAws, request);
}

/** Writes how a run ended, frees the lease, and says so; the first end that was written is the one that counts. */
export async function finish(ports: FinishPorts, request: FinishRequest): Promise<RunEndedDetail> {
  const { ledger, pipeline } = ports;
  const { runId, startedAt, outcome, modelPackageArn, error } = request;
  const sk = LedgerKey.run(startedAt, runId, 'END');
  const fact: Omit<RunEnded, 'pk'> = { sk, at: ports.now().toISOString(), runId, outcome, modelPackageArn, error };
  const isNew = await ledger.append<RunEnded>(fact);
  const end = isNew ? fact : ((await ledger.find<RunEnded>(sk)) ?? fact);

  await changeLease(ledger, TRAINING_LEASE, ports.now(), (lease) =>
    release(lease, { runId, outcome: end.outcome, at: end.at }),
  );
  const detail: RunEndedDetail = { pipeline, runId, outcome: end.outcome, summary: noticeOfRun(end) };
  await ports.send(Events.RUN_ENDED, detail);
  return detail;
}
