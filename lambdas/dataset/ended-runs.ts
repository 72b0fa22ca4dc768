import { GONE, outcomeOf } from '../../lib/core/dataset/ended';
import { disown, openRun, release } from '../../lib/core/dataset/lease';
import type { Outcome } from '../../lib/core/ledger/documents';
import type { Lease, RunEnded, RunStarted } from '../../lib/core/ledger/ledger';
import type { RunEnd } from '../../lib/core/messages';
import type { CandidateModels } from '../judge/candidate-models';
import { changeLease, type Ledger, stableJson, TRAINING_LEASE } from '../ledger/ledger-port';
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
  const outcome = await recordedOutcome(ledger, end);
  await changeLease(ledger, TRAINING_LEASE, now(), (lease) =>
    end.status === GONE ? disown(lease, end) : release(lease, { ...end, outcome }),
  );
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
async function recordedOutcome(ledger: Ledger, end: RunEnd): Promise<Outcome> {
  // the rows of the second in which it began are its own: however many attempts it made, its end is among them
  const begun = end.startedAt === undefined ? { limit: 200 } : undefined;
  const facts = await ledger.query<RunStarted | RunEnded>(`RUN#${end.startedAt?.slice(0, 19) ?? ''}`, {
    newestFirst: true,
    ...begun,
  });
  const { outcome, missing } = outcomeOf(end, facts);
  if (missing !== undefined) await ledger.append<RunEnded>(missing);
  return outcome;
}
