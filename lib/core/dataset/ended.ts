import { OUTCOMES, type Outcome } from '../ledger/documents';
import { LedgerKey, type RunEnded, type RunStarted } from '../ledger/ledger';
import type { RunEnd } from '../messages';
import type { Spent } from './budget';

/** Stands for the status of a run that Step Functions does not know. */
export const GONE = 'GONE';

/**
 * How a run ended that Step Functions reports, and the fact to write if the run did not write one: it was stopped, or
 * ran out of time.
 *
 * @param facts of runs that began in the same second, or of the last runs where its beginning is not known
 */
export function outcomeOf(
  { runId, status, at, startedAt: reported }: RunEnd,
  facts: ReadonlyArray<RunStarted | RunEnded>,
): { readonly outcome: Outcome; readonly missing?: Omit<RunEnded, 'pk'> } {
  const own = facts.filter((fact) => fact.runId === runId);
  const ended = own.find((fact): fact is RunEnded => fact.sk.endsWith('#END'));
  if (ended !== undefined) return { outcome: OUTCOMES.find((outcome) => outcome === ended.outcome) ?? 'FAILED' };
  const startedAt = own[0]?.sk.split('#')[1] ?? reported;
  if (startedAt === undefined) return { outcome: 'FAILED' }; // there never was such a run
  const error = { name: `Execution.${status}`, cause: `the execution ended as ${status} before it could say how` };
  return {
    outcome: 'FAILED',
    missing: { sk: LedgerKey.run(startedAt, runId, 'END'), at, runId, outcome: 'FAILED', error },
  };
}

/** What is spent of a day's budget, by the lease or by the runs that began on that day, whichever is more. */
export function withStarted(spent: Spent, today: readonly RunStarted[]): Spent {
  const started = today.filter(({ sk, reason }) => sk.endsWith('#START') && reason !== 'manual').length;
  return { ...spent, startedToday: Math.max(spent.startedToday, started) };
}
