import { ErrorName, PerennialError } from '../errors';
import type { Metric } from '../judge/metric';
import { BINARY } from './binary';
import type { Problem, TargetColumn } from './problem';
import { REGRESSION } from './regression';

export type { LabelRules, LabelSummary, Problem, ScoreRules, TargetColumn } from './problem';

/** Every problem that a model can be trained for. A further one is a file beside these and its entry here. */
export const PROBLEMS: readonly Problem[] = [BINARY, REGRESSION];

/**
 * The problem of that name, as contracts have it.
 *
 * @throws PerennialError INVALID_DOCUMENT if there is none
 */
export function problemOf(name: string): Problem {
  const problem = PROBLEMS.find((one) => one.name === name);
  if (problem !== undefined) return problem;
  throw new PerennialError(
    ErrorName.INVALID_DOCUMENT,
    `problem must be one of ${problemNames()}, got ${name}; correct the contract's target`,
  );
}

/** The names of all problems, as they stand in a sentence. */
export function problemNames(): string {
  return PROBLEMS.map(({ name }) => name).join(', ');
}

/**
 * The problem that a target column means; undefined if only its owner can tell.
 *
 * @param likely whether what is only likely will do
 */
export function problemFor(column: TargetColumn, likely = false): Problem | undefined {
  return (
    PROBLEMS.find((problem) => problem.suits(column) === 'surely') ??
    (likely ? PROBLEMS.find((problem) => problem.suits(column) === 'likely') : undefined)
  );
}

/**
 * The metric of that name, or the problem's default.
 *
 * @throws PerennialError INVALID_DOCUMENT if the problem has no such metric
 */
export function metricOf(problem: Problem, name?: string): Metric {
  const metric = findMetric(problem, name);
  if (metric === undefined) throw new PerennialError(ErrorName.INVALID_DOCUMENT, noSuchMetric(problem, name));
  return metric;
}

/** The same; undefined if there is none. */
export function findMetric({ metrics }: Problem, name?: string): Metric | undefined {
  return name === undefined ? metrics[0] : metrics.find((one) => one.name === name);
}

/** What is wrong with a metric that the problem does not have. */
export function noSuchMetric({ name: of, metrics }: Problem, name?: string): string {
  return `metric must be one of ${metrics.map((one) => one.name).join(', ')} for a ${of} target, got '${name}'`;
}
