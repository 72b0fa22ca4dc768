import type { AttemptEnded, AttemptStarted, LedgerFact } from '../ledger/facts';
import type { AttemptContext } from './attempts';

/** How long the completed jobs of other runs took; the newest first, as the facts are. */
export function historyOf(facts: readonly LedgerFact[], runId: string): AttemptContext['history'] {
  return ended(facts)
    .filter((attempt) => attempt.status === 'Completed' && attempt.runId !== runId)
    .map(({ instanceType, trainingSeconds, billableSeconds = 0 }) => ({
      instanceType,
      seconds: trainingSeconds ?? billableSeconds,
    }));
}

/** USD that the jobs of other runs have cost; one without an end yet counts with the most that it may cost. */
export function spentByOthers(facts: readonly LedgerFact[], runId: string): number {
  const others = facts.filter((fact) => !('runId' in fact) || fact.runId !== runId);
  const attempts = ended(others);
  const jobs = new Set(attempts.map(({ job }) => job));
  const started = others.filter((fact): fact is AttemptStarted => fact.kind === 'AttemptStarted');
  const open = started.filter(({ job }) => !jobs.has(job));
  return sum(attempts.map(({ costUsd }) => costUsd)) + sum(open.map(({ atMostUsd }) => atMostUsd));
}

function ended(facts: readonly LedgerFact[]): AttemptEnded[] {
  return facts.filter((fact) => fact.kind === 'AttemptEnded');
}

function sum(amounts: ReadonlyArray<number | undefined>): number {
  return amounts.reduce<number>((total, amount) => total + (amount ?? 0), 0);
}
