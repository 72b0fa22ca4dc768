import type { AttemptEnded } from '../../lib/core/ledger/facts';
import type { Run } from '../../lib/core/ledger/history';
import { usd } from '../../lib/core/train/prices';
import { duration, metric, several } from './format';

/** What a run's training was expected to cost before it began; undefined if it never was to begin. */
export function estimate({ requested: [first] }: Run): string | undefined {
  if (first === undefined) return undefined;
  const { expectedUsd, atMostUsd } = first;
  if (atMostUsd === undefined) return `unknown: no price is known for ${first.option}`;
  const most = `at most ${usd(atMostUsd)}`;
  return expectedUsd === undefined
    ? `${most}; no earlier run tells how long it takes`
    : `${usd(expectedUsd)} as the last runs took, ${most}`;
}

/** What a run's training jobs have cost at on-demand prices, as far as prices are known. */
export function cost({ attempts, requested }: Run): string | undefined {
  if (requested.length === 0) return undefined;
  const known = attempts.filter(({ costUsd }) => costUsd !== undefined);
  const sum = usd(spentUsd(known));
  const open = requested.length - attempts.length;
  const jobs = several(attempts.length, 'job');
  if (open > 0) return `${sum} so far, in ${jobs}; one is under way`;
  if (known.length === 0) return `unknown, in ${jobs}`;
  return known.length < attempts.length ? `at least ${sum}, in ${jobs}; some prices are unknown` : `${sum} in ${jobs}`;
}

/** USD that jobs have cost; those of unknown price count nothing. */
export function spentUsd(attempts: readonly AttemptEnded[]): number {
  return attempts.reduce((sum, { costUsd }) => sum + (costUsd ?? 0), 0);
}

/** How a job ended: SageMaker's word, and what kind of failure that was. */
export function endedAs({ status, failureKind }: AttemptEnded): string {
  return failureKind === undefined ? status : `${status}: ${failureKind.toLowerCase().replaceAll('_', ' ')}`;
}

/** Its billed time; with how often a spot machine was taken away. */
export function billed({ billableSeconds, interruptions }: AttemptEnded): string {
  if (billableSeconds === undefined) return '–';
  const taken =
    interruptions === undefined ? '' : `, taken away ${interruptions === 1 ? 'once' : `${interruptions} times`}`;
  return `${duration(billableSeconds * 1000)}${taken}`;
}

/** What was tried and what it came to, where hyperparameters were searched for; else why the job failed. */
export function noteOf({ iteration, hyperparameters = {}, metrics = {}, failure }: AttemptEnded): string {
  if (failure !== undefined) return failure;
  if (iteration === undefined) return '';
  const values = Object.entries(hyperparameters).map(([name, value]) => `${name} ${value}`);
  const reached = Object.entries(metrics)
    .filter(([name]) => name.startsWith('validation:'))
    .map(([name, value]) => `${name.slice('validation:'.length)} ${metric(value)}`);
  return `${values.join(', ') || "the trainer's own parameters"}: ${reached.join(', ')}`;
}
