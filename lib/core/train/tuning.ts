import { directionOf } from './printed-metric';

/** Hyperparameters as SageMaker takes them: all strings. */
export type Hyperparameters = Readonly<Record<string, string>>;

/** Numbers that a hyperparameter may have, both bounds included. */
export interface NumericRange {
  readonly name: string;
  readonly kind: 'number' | 'integer';
  readonly min: number;
  readonly max: number;
  readonly logarithmic?: boolean;
}

/** Values that a hyperparameter may have. */
export interface ChoiceRange {
  readonly name: string;
  readonly kind: 'choice';
  readonly values: readonly string[];
}

export type Range = NumericRange | ChoiceRange;

/** The bounded search for hyperparameters within a run. */
export interface TuningRules {
  /** What is looked at, as the training job names it, e.g. `validation:auc`; its name tells which way it points. */
  readonly metric: string;
  /** The value that ends the search; absent: all suggestions are tried. */
  readonly target?: number;
  /** What is tried, in order; the first is the trainer's own parameters. */
  readonly suggestions: readonly Hyperparameters[];
}

/** The search that is left to SageMaker. */
export interface SearchRules {
  readonly metric: string;
  readonly target?: number;
  /** Training jobs, at most. */
  readonly maxTrials: number;
}

/** One set of hyperparameters and what it came to. */
export interface Trial {
  readonly iteration: number;
  readonly hyperparameters: Hyperparameters;
  readonly job?: string;
  /** The metric's value; absent if the job failed. */
  readonly value?: number;
  /** Address of the model's archive. */
  readonly model?: string;
  readonly arn?: string;
}

/** The best trial so far; undefined if none has a value. Of equals, the first. */
export function bestTrial({ metric }: Pick<TuningRules, 'metric'>, trials: readonly Trial[]): Trial | undefined {
  const sign = directionOf(metric) ? 1 : -1;
  return trials
    .filter(({ value }) => value !== undefined)
    .reduce<Trial | undefined>(
      (best, trial) =>
        best === undefined || sign * (trial.value as number) > sign * (best.value as number) ? trial : best,
      undefined,
    );
}

/** Whether the target is reached. */
export function isGoodEnough(rules: TuningRules, trials: readonly Trial[]): boolean {
  const best = bestTrial(rules, trials)?.value;
  if (best === undefined || rules.target === undefined) return false;
  return directionOf(rules.metric) ? best >= rules.target : best <= rules.target;
}

/** The first primes: bases of the Halton sequence, one a hyperparameter. */
const PRIMES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71];

/**
 * Sets of hyperparameters that cover the ranges evenly, however many are tried: the Halton sequence.
 *
 * The first set is empty, for the trainer's own values.
 *
 * @see https://doi.org/10.1007/BF01386213
 */
export function suggestions(ranges: readonly Range[], count: number): Hyperparameters[] {
  return Array.from({ length: count }, (_, i) =>
    i === 0
      ? {}
      : Object.fromEntries(
          ranges.map((range, r) => [range.name, valueAt(range, halton(i, PRIMES[r % PRIMES.length] as number))]),
        ),
  );
}

function valueAt(range: Range, share: number): string {
  if (range.kind === 'choice') return range.values[Math.floor(share * range.values.length)] as string;
  const { min, max, logarithmic = false, kind } = range;
  if (kind === 'integer') {
    // every whole number has the same share; on a logarithmic scale, of its width there
    const value = logarithmic ? min * ((max + 1) / min) ** share : min + share * (max + 1 - min);
    return String(Math.min(max, Math.floor(value)));
  }
  const value = logarithmic ? min * (max / min) ** share : min + share * (max - min);
  return String(Math.min(max, Math.max(min, Number(value.toPrecision(6)))));
}

function halton(index: number, base: number): number {
  let [result, fraction, rest] = [0, 1, index];
  while (rest > 0) {
    fraction /= base;
    result += fraction * (rest % base);
    rest = Math.floor(rest / base);
  }
  return result;
}
