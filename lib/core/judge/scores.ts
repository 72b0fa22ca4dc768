import { ErrorName, PerennialError } from '../errors';
import type { LabelRules, Problem, ScoreRules } from '../problem';
import type { Score, Scores } from './metric';

/**
 * Reads what a model answered in `text/csv`: one score a line, its numbers with commas between them. Batches may be
 * parted by empty lines.
 *
 * @returns NaN for a row whose answer is no score
 */
export function parseScores({ read }: ScoreRules, text: string): Scores {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => read(line.split(',').map(numberOf)) ?? Number.NaN);
}

function numberOf(field: string): number {
  return field.trim() === '' ? Number.NaN : Number(field);
}

/** How far a served score may be from the score of the same row in the batch transform. */
export const SCORE_TOLERANCE = 1e-6;

/**
 * Refuses an endpoint's answers about rows of the holdout.
 *
 * @param batch scores of the same model for the same rows, made before it was deployed
 */
export function checkAnswers({ scores }: Problem, answers: Scores, rows: number, batch: Scores): void {
  const fail = (message: string) => new PerennialError(ErrorName.SMOKE_TEST_FAILED, message);
  if (answers.length !== rows) {
    throw fail(`the endpoint must answer one score a row, ${rows}, got ${answers.length}; look at its inference code`);
  }
  for (let i = 0; i < rows; i++) {
    const must = mistakeOf(scores, answers[i]);
    if (must !== undefined)
      throw fail(`the endpoint's scores ${must.is}, got ${answers[i]} for row ${i + 1} of the holdout`);
    if (i >= batch.length) continue;
    const [said, judged] = [numbersOf(answers[i]), numbersOf(batch[i])];
    for (const [j, value] of said.entries()) {
      const allowed = SCORE_TOLERANCE * Math.max(1, Math.abs(judged[j]));
      if (Math.abs(value - judged[j]) <= allowed) continue;
      throw fail(
        `the endpoint must answer what the model answered when it was judged, ${judged[j]} ± ${allowed} for row ${i + 1} ` +
          `of the holdout, got ${value}: it serves another model, or another environment than it was judged in`,
      );
    }
  }
}

/**
 * Refuses scores that nothing can be measured on.
 *
 * @param model whose scores they are, for the message
 */
export function refuseScores(model: string, { scores: rules }: Problem, rows: number, scores: Scores): void {
  const fail = (message: string) => new PerennialError(ErrorName.SCORING_FAILED, message);
  if (scores.length !== rows) {
    throw fail(
      `the ${model} must give one score a row: ${rows}, got ${scores.length}; look at the log of its container`,
    );
  }
  for (let i = 0; i < scores.length; i++) {
    const must = mistakeOf(rules, scores[i]);
    if (must !== undefined) {
      throw fail(`the ${model}'s scores ${must.is}, got ${scores[i]} for row ${i + 1}; ${must.fix}`);
    }
  }
}

/** Refuses labels that cannot tell a good model from a bad one. */
export function refuseLabels({ are, allows, lack }: LabelRules, labels: ArrayLike<number>): void {
  const fail = (message: string) => new PerennialError(ErrorName.DATA_REJECTED, message);
  for (let i = 0; i < labels.length; i++) {
    if (allows(labels[i])) continue;
    throw fail(`the holdout's labels must be ${are}, got ${labels[i]} for row ${i + 1}; look at the target's SQL`);
  }
  const lacking = lack(labels);
  if (lacking !== undefined) {
    throw fail(`the holdout must have ${lacking}; add data or hold out more of it`);
  }
  if (labels.length < 2) throw fail(`the holdout must have at least 2 rows, got ${labels.length}; add data`);
}

/** Whether two scores are the same in all their numbers. */
export function sameScore(a: Score, b: Score): boolean {
  if (typeof a === 'number' || typeof b === 'number') return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function numbersOf(score: Score): readonly number[] {
  return typeof score === 'number' ? [score] : score;
}

/** What a score must be, and is not; undefined if it is. */
function mistakeOf({ are, fix, allows }: ScoreRules, score: Score): { is: string; fix: string } | undefined {
  const areFinite = typeof score === 'number' ? Number.isFinite(score) : score.every(Number.isFinite);
  if (!areFinite) {
    return { is: 'must be finite numbers', fix: 'look at its inference code' };
  }
  return allows(score) ? undefined : { is: `must be ${are}`, fix };
}
