import { ErrorName, PerennialError } from '../errors';

/** Reads what a model answered in `text/csv`: one score a line; what is no number is NaN. Batches may be parted by empty lines. */
export function parseScores(text: string): Float64Array {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return Float64Array.from(lines, Number);
}

/** How far a served score may be from the score of the same row in the batch transform. */
export const SCORE_TOLERANCE = 1e-6;

/**
 * Refuses an endpoint's answers about rows of the holdout.
 *
 * @param batch scores of the same model for the same rows, made before it was deployed
 */
export function checkAnswers(
  answers: ArrayLike<number>,
  rows: number,
  problem: 'binary' | 'regression',
  batch: ArrayLike<number>,
): void {
  const fail = (message: string) => new PerennialError(ErrorName.SMOKE_TEST_FAILED, message);
  if (answers.length !== rows) {
    throw fail(`the endpoint must answer one score a row, ${rows}, got ${answers.length}; look at its inference code`);
  }
  for (let i = 0; i < rows; i++) {
    const score = answers[i];
    if (!Number.isFinite(score)) {
      throw fail(`the endpoint's scores must be finite numbers, got ${score} for row ${i + 1} of the holdout`);
    }
    if (problem === 'binary' && (score < 0 || score > 1)) {
      throw fail(
        `the endpoint's scores must be probabilities from 0 to 1, got ${score} for row ${i + 1} of the holdout`,
      );
    }
    const allowed = SCORE_TOLERANCE * Math.max(1, Math.abs(batch[i]));
    if (i < batch.length && !(Math.abs(score - batch[i]) <= allowed)) {
      throw fail(
        `the endpoint must answer what the model answered when it was judged, ${batch[i]} ± ${allowed} for row ${i + 1} ` +
          `of the holdout, got ${score}: it serves another model, or another environment than it was judged in`,
      );
    }
  }
}
