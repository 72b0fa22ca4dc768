import type { Score, Scores } from '../judge/metric';
import { countNumbers, type Histogram, quantileEdges } from '../prepare/profile';

/** Reads a score that is a single number. */
export function oneNumber(values: readonly number[]): Score | undefined {
  return values.length === 1 ? values[0] : undefined;
}

/** Counts scores that are single numbers, in bins of about equally many rows. */
export function countScores(scores: Scores, like?: Histogram): Histogram {
  const numbers = scores as ArrayLike<number>;
  return countNumbers(like?.kind === 'number' ? like.edges : quantileEdges(numbers), numbers);
}
