import { ErrorName, PerennialError } from '../errors';
import { holm, normalTail } from '../statistics';
import type { JudgeInput, Judgement } from './judgement';
import { type Metric, marginOf, type Scores } from './metric';

type WorseSlice = Judgement['worseSlices'][number];

/**
 * The slices on which the candidate is significantly worse than the champion, and by more than the margin.
 *
 * A slice is judged if it has `minSliceRows` rows and, for a metric that needs them, both classes; its `p`
 * is one-sided and corrected (Holm) for all slices judged.
 */
export function findWorseSlices(metric: Metric, input: JudgeInput, champion: Scores): WorseSlice[] {
  const { labels, candidate, slices, rules } = input;
  const judged: Array<WorseSlice & { readonly margin: number }> = [];
  for (const [feature, { values, codes }] of Object.entries(slices)) {
    if (codes.length !== labels.length) {
      throw new PerennialError(
        ErrorName.INVALID_DOCUMENT,
        `slice ${feature} must have one code a row: ${labels.length}, got ${codes.length}`,
      );
    }
    const rowsOf = values.map((): number[] => []);
    codes.forEach((code, row) => {
      rowsOf[code]?.push(row); // a row without a value is in no slice
    });
    rowsOf.forEach((rows, code) => {
      if (rows.length < Math.max(2, rules.minSliceRows)) return;
      const pick = <T>(from: ArrayLike<T>) => rows.map((row) => from[row]);
      const [groundTruth, known] = [pick(labels), pick(champion)];
      const { difference, error } = metric.compare(groundTruth, pick(candidate), known);
      if (Number.isNaN(error)) return;
      const margin = marginOf(metric, rules.margin, metric.measure(groundTruth, known).value);
      const slice = { feature, value: values[code] as string, rows: rows.length, difference };
      judged.push({ ...slice, p: worse(difference, error), margin });
    });
  }
  const corrected = holm(judged.map((slice) => slice.p));
  return judged
    .map((slice, i) => ({ ...slice, p: corrected[i] as number }))
    .filter(({ p, difference, margin }) => p <= 1 - rules.confidence && difference < -margin)
    .sort((a, b) => a.p - b.p || a.difference - b.difference)
    .map(({ margin: _, ...slice }) => slice);
}

/** The chance of a difference so low if the candidate is not worse. */
function worse(difference: number, error: number): number {
  if (error === 0) return difference < 0 ? 0 : 1;
  return normalTail(-difference / error);
}
