import { beginningOf, GONE, missingEnd, outcomeOf } from '../../lib/core/dataset/ended';
import { disown, openRun, release, requeue } from '../../lib/core/dataset/lease';
import { versionsOf } from '../../lib/core/dataset/run-data';
import type { Outcome } from '../../lib/core/ledger/documents';
import { LedgerKey } from '../../lib/core/ledger/keys';
import type { Lease } from '../../lib/core/ledger/rows';
import type { RunEnd } from '../../lib/core/messages';
import type { CandidateModels } from '../judge/candidate-models';
import { changeLease, findFact, findRun, type Ledger, stableJson, TRAINING_LEASE } from '../ledger/ledger';
import { refusedAmong, refusedByRun } from '../ledger/refused';
import { type Executions, hasEnded, startAlone } from '../shared/executions';

/** What settling the end of a run reaches. */
export interface EndPorts {
  readonly ledger: Ledger;
  /** Of the training machine. */
  readonly executions: Executions;
  /** Of the pipeline's runs; absent where no registry gives their names. */
  readonly candidates?: CandidateModels;
  now(): Date;
}

/** How the run ended that holds the lease; undefined if none does, or if it is under way. */
export async function endOf({ executions }: EndPorts, lease: Lease, now: Date): Promise<RunEnd | undefined> {
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

/** Frees the lease of a run of which Step Functions says that it has ended. */
export async function settleEnd({ ledger, now }: EndPorts, end: RunEnd): Promise<void> {
  const outcome = await recordedOutcome(ledger, end, now());
  await changeLease(ledger, TRAINING_LEASE, now(), (lease) =>
    end.status === GONE ? disown(lease, end) : release(lease, { ...end, outcome }),
  );
}

/** The lease with the good files of the last run, if bad ones made it fail. */
export async function goodFilesWait(ledger: Ledger, lease: Lease): Promise<Lease> {
  const { lastRun } = lease;
  if (lastRun?.outcome !== 'FAILED' || lastRun.requeued) return lease;
  const refused = await refusedByRun(ledger, lastRun.runId);
  if (refused.length === 0) return lease;
  const uploads = versionsOf(lastRun.input.evidence);
  return requeue(lease, lastRun.runId, [...refused, ...(await refusedAmong(ledger, uploads))]);
}

/** Takes away the candidates' models of runs that were stopped, or ran out of time, before they could do so. */
export async function takeAwayOrphans({ candidates, executions }: EndPorts): Promise<void> {
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

/** How a run ended that Step Functions reports; written here if the run could not do so itself. */
async function recordedOutcome(ledger: Ledger, end: RunEnd, now: Date): Promise<Outcome> {
  const startedAt = beginningOf(end, await findRun(ledger, end.runId));
  if (startedAt === undefined) return 'FAILED'; // there never was such a run
  const ended = await findFact(ledger, LedgerKey.run(startedAt, end.runId, 'END'), 'RunEnded');
  if (ended !== undefined) return outcomeOf(ended);
  for (const fact of missingEnd(end, startedAt, now)) await ledger.append(fact);
  return 'FAILED';
}
