import { release } from '../../lib/core/dataset/lease';
import type { FinishRequest, RunEndedDetail } from '../../lib/core/ledger/documents';
import { newFact } from '../../lib/core/ledger/facts';
import { EnvName, Events } from '../../lib/core/names';
import { noticeOfRun } from '../../lib/core/notices';
import { type CandidateModels, candidateModels } from '../judge/candidate-models';
import { defaultBus, type Send } from '../shared/bus';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { dynamoLedger } from './dynamo-ledger';
import { changeLease, findFact, type Ledger, TRAINING_LEASE } from './ledger';

export interface FinishPorts {
  readonly pipeline: string;
  readonly ledger: Ledger;
  readonly send: Send;
  readonly candidates: CandidateModels;
  now(): Date;
}

/** Runs {@link finish} on the ledger and the default bus. */
export async function handler(request: FinishRequest): Promise<RunEndedDetail> {
  return finish(onAws(), request);
}

const onAws = lazy((): FinishPorts => {
  const pipeline = env(EnvName.PIPELINE);
  return {
    pipeline,
    ledger: dynamoLedger(),
    send: defaultBus(),
    candidates: candidateModels({ pipeline, registry: env(EnvName.MODEL_PACKAGE_GROUP) }),
    now: () => new Date(),
  };
});

/**
 * Writes how a run ended, frees the lease, says so, and takes away the candidate's model; the first end that was written
 * is the one that counts.
 */
export async function finish(ports: FinishPorts, request: FinishRequest): Promise<RunEndedDetail> {
  const { ledger, pipeline } = ports;
  const { runId, startedAt, outcome, modelPackageArn, error } = request;
  const now = ports.now();
  await ledger.append(newFact.runIndex(now, { runId, startedAt }));
  const fact = newFact.runEnded(now, { runId, startedAt, outcome, modelPackageArn, error });
  const isNew = await ledger.append(fact);
  const end = isNew ? fact : ((await findFact(ledger, fact.sk, 'RunEnded')) ?? fact);

  await changeLease(ledger, TRAINING_LEASE, ports.now(), (lease) =>
    release(lease, { runId, outcome: end.outcome, at: end.at }),
  );
  const detail: RunEndedDetail = { pipeline, runId, outcome: end.outcome, summary: noticeOfRun(end) };
  await ports.send(Events.RUN_ENDED, detail);
  await takeAway(ports.candidates, request.candidateModel);
  return detail;
}

async function takeAway(candidates: CandidateModels, modelName: string): Promise<void> {
  try {
    // IAM refuses to delete by its tags what is not there
    if ((await candidates.list()).includes(modelName)) await candidates.delete(modelName);
  } catch (error) {
    // the run has ended all the same; the controller's next look makes it good
    console.error(JSON.stringify({ left: modelName, error: String(error) }));
  }
}
