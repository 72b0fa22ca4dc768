import { ErrorName, PerennialError } from '../errors';
import { PROBLEMS, type Problem } from '../problem';

/** What the end of a name says, whatever the problem, as in scikit-learn. */
const ENDINGS: Readonly<Record<string, boolean>> = { loss: false, error: false, score: true };

/** What the metrics of a problem are called, in small letters, and whether more of them is better. */
function namesOf({ metrics, alsoPrinted }: Problem): ReadonlyMap<string, boolean> {
  const own = metrics.map(({ name, higherIsBetter }) => [name.toLowerCase(), higherIsBetter] as const);
  return new Map([...own, ...Object.entries(alsoPrinted)]);
}

/** How the name of a metric may end that is looked at for a problem, as it stands in a sentence. */
export function printedNames(problem: Problem): string {
  return [...namesOf(problem).keys(), ...Object.keys(ENDINGS)].join(', ');
}

/**
 * Whether more of a metric is better, by the name that a training script prints, e.g. `validation:rmse` or `val_loss`:
 * its last word says so, and `neg` in front turns it round, as in `neg_mean_squared_error`.
 *
 * @param problems of which it may be a metric
 * @returns undefined if the name does not tell
 */
export function moreIsBetter(name: string, problems: readonly Problem[] = PROBLEMS): boolean | undefined {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  const last = words.at(-1) ?? '';
  const known = new Map(problems.flatMap((problem) => [...namesOf(problem)]));
  // a brier_score is a Brier score: less is better
  const specific = known.get(last) ?? (last === 'score' ? known.get(words.at(-2) ?? '') : undefined);
  const isHigher = specific ?? (Object.hasOwn(ENDINGS, last) ? ENDINGS[last] : undefined);
  if (isHigher === undefined) return undefined;
  return words.includes('neg') ? !isHigher : isHigher;
}

/**
 * Which way a metric of a search points.
 *
 * @throws PerennialError INVALID_DOCUMENT if its name does not tell
 */
export function directionOf(metric: string): boolean {
  const isHigher = moreIsBetter(metric);
  if (isHigher !== undefined) return isHigher;
  throw new PerennialError(
    ErrorName.INVALID_DOCUMENT,
    `the metric of a search must have a name that tells which way it points, got '${metric}'; end it in _score, _loss or _error`,
  );
}

/** The metric that the product's own training scripts print and that says most of a problem. */
export function validationMetric({ printed }: Problem): string {
  return `validation:${printed[0]}`;
}
