import type { Contract } from '../../lib/core/dataset/contract';
import { judge } from '../../lib/core/judge/judge';
import { countCategories, countNumbers } from '../../lib/core/prepare/profile';
import type { CapturedRow } from '../../lib/core/watch/capture';
import type { CapturedWindow } from '../../lib/core/watch/captured-window';
import type { Baseline } from '../../lib/core/watch/documents';

/** A contract of two features, with a key. */
export const watchedContract: Contract = {
  kind: 'table',
  columns: [{ name: 'id', type: 'integer', nullable: false, unique: true }],
  key: 'id',
  features: [
    { name: 'distance', kind: 'number', sql: 'distance' },
    { name: 'origin', kind: 'category', sql: 'origin' },
  ],
  target: { name: 'late', sql: 'late', problem: 'binary' },
  slices: [],
  maxBadShare: 0.1,
};

/** A model version that was judged on 1,000 rows: the higher its score, the more often it is right. */
export function watchedBaseline(contract: Contract = watchedContract): Baseline {
  const scores = Array.from({ length: 1000 }, (_, i) => i / 1000);
  const labels = scores.map((score, i) => ((i * 104729) % 1000 < score * 1000 ? 1 : 0));
  return {
    runId: 'r',
    contract,
    profile: {
      contractId: 'c',
      rows: 1000,
      features: {
        distance: countNumbers(
          [500, 1000, 2000],
          scores.map((score) => score * 2500),
        ),
        origin: countCategories(
          ['OAK', 'SFO'],
          scores.map((_, i) => (i % 2 === 0 ? 'OAK' : 'SFO')),
        ),
      },
      trivial: { mean: 0.5, median: 0 },
      target: countNumbers([1], labels),
    },
    scores: countNumbers([0.25, 0.5, 0.75], scores),
    judgement: judge({
      problem: 'binary',
      labels,
      candidate: scores,
      slices: {},
      rules: { margin: 0.01, confidence: 0.95, firstModelThreshold: 0.5, promote: ['BETTER'], minSliceRows: 1000 },
    }),
  };
}

/** A prediction like those that the baseline was made of. */
export function predicted(i: number, shift = 0): CapturedRow {
  const score = (i % 1000) / 1000;
  return { key: String(i), features: [score * 2500 + shift, i % 2 === 0 ? 'OAK' : 'SFO'], score, at: i };
}

/** A window in which everything could be read. */
export function capturedOf(rows: readonly CapturedRow[]): CapturedWindow {
  return { rows, unreadable: [], unavailable: { files: 0, named: [] } };
}
