import { OUTCOMES, type Outcome } from '../ledger/documents';
import { type LedgerFact, type NewFact, newFact, type RunEnded, type RunIndex } from '../ledger/facts';
import type { RunEnd } from '../messages';
import type { Spent } from './budget';

/** Stands for the status of a run that Step Functions does not know. */
export const GONE = 'GONE';

/**
 * When a run began that Step Functions reports as ended; undefined if there never was such a run.
 *
 * @param begun the last run of this id, by the ledger
 */
export function beginningOf({ startedAt }: RunEnd, begun: Pick<RunIndex, 'startedAt'> | undefined): string | undefined {
  // a run of old had this id as well, if that one began in another second than the execution
  const isOther = startedAt !== undefined && begun?.startedAt.slice(0, 19) !== startedAt.slice(0, 19);
  return isOther ? startedAt : begun?.startedAt;
}

/** How a run ended that said so itself. */
export function outcomeOf(ended: Pick<RunEnded, 'outcome'>): Outcome {
  return OUTCOMES.find((outcome) => outcome === ended.outcome) ?? 'FAILED';
}

/** The facts about a run that has ended without writing them: it was stopped, or ran out of time. */
export function missingEnd({ runId, status, at }: RunEnd, startedAt: string, now: Date): NewFact[] {
  const error = { name: `Execution.${status}`, cause: `the execution ended as ${status} before it could say how` };
  return [
    newFact.runIndex(now, { runId, startedAt }),
    newFact.runEnded(new Date(at), { runId, startedAt, outcome: 'FAILED', error }),
  ];
}

/** What is spent of a day's budget, by the lease or by the runs that began on that day, whichever is more. */
export function withStarted(spent: Spent, today: readonly LedgerFact[]): Spent {
  const started = today.filter((fact) => fact.kind === 'RunStarted' && fact.reason !== 'manual').length;
  return { ...spent, startedToday: Math.max(spent.startedToday, started) };
}
