import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { random } from '../../../lib/core/random';
import * as s from '../../../lib/core/statistics';

const count = fc.integer({ min: 0, max: 1000 });
const twoCounts = fc
  .array(fc.tuple(count, count), { minLength: 2, maxLength: 12 })
  .filter((bins) => bins.some(([a]) => a > 0) && bins.some(([, b]) => b > 0))
  .map((bins) => [bins.map(([a]) => a), bins.map(([, b]) => b)] as const);
const probabilities = fc.array(fc.double({ min: 1e-12, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 });
/** Rows of both classes with many ties. */
const scored = fc
  .array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 20 })), {
    minLength: 4,
    maxLength: 60,
  })
  .map((rows) => [[0, 3, 9], [0, 11, 4], [1, 10, 8], [1, 2, 16], ...rows])
  .map((rows) => [0, 1, 2].map((column) => rows.map((row) => row[column] / (column === 0 ? 1 : 20))));

const distances = {
  populationStability: s.populationStability,
  jensenShannon: s.jensenShannon,
  largestChange: s.largestChange,
  chiSquare: (a: s.Counts, b: s.Counts) => s.chiSquareTest(a, b).statistic,
  kolmogorovSmirnov: (a: s.Counts, b: s.Counts) => s.kolmogorovSmirnov(a, b).statistic,
};

describe.each(Object.entries(distances))('%s', (_, distance) => {
  it('is symmetric, not negative, and 0 for the same counts', () => {
    fc.assert(
      fc.property(twoCounts, ([a, b]) => {
        expect(distance(a, b)).toBeCloseTo(distance(b, a), 8);
        expect(distance(a, b)).toBeGreaterThanOrEqual(0);
        expect(distance(a, a)).toBeCloseTo(0, 12);
      }),
    );
  });
});

it.each(Object.entries(distances).filter(([name]) => name !== 'kolmogorovSmirnov'))(
  '%s does not depend on the order of the bins',
  (_, distance) => {
    fc.assert(
      fc.property(twoCounts, ([a, b]) => {
        expect(distance([...a].reverse(), [...b].reverse())).toBeCloseTo(distance(a, b), 8);
      }),
    );
  },
);

it.each(Object.entries(distances).filter(([name]) => name !== 'chiSquare'))(
  '%s does not depend on the number of rows',
  (_, distance) => {
    fc.assert(
      fc.property(twoCounts, fc.integer({ min: 2, max: 50 }), ([a, b], times) => {
        expect(
          distance(
            a.map((rows) => rows * times),
            b,
          ),
        ).toBeCloseTo(distance(a, b), 8);
      }),
    );
  },
);

it('keeps the Jensen-Shannon divergence below ln 2 and its distance a metric', () => {
  expect(s.jensenShannon([5, 0], [0, 9])).toBeCloseTo(Math.LN2, 14);
  fc.assert(
    fc.property(fc.array(fc.tuple(count, count, count), { minLength: 2, maxLength: 8 }), (bins) => {
      const [a, b, c] = [0, 1, 2].map((i) => bins.map((bin) => bin[i] + 1));
      const direct = s.jensenShannonDistance(a, c);
      expect(direct).toBeLessThanOrEqual(s.jensenShannonDistance(a, b) + s.jensenShannonDistance(b, c) + 1e-12);
    }),
  );
});

it('merges rare bins without losing a row, until chi-square may be trusted', () => {
  fc.assert(
    fc.property(twoCounts, ([a, b]) => {
      const [x, y] = s.mergeRareBins(a, b);
      const smaller = Math.min(s.total(a), s.total(b)) / (s.total(a) + s.total(b));

      expect([s.total(x), s.total(y)]).toEqual([s.total(a), s.total(b)]);
      expect(x.length === 1 || x.every((rows, i) => (rows + y[i]) * smaller >= 5)).toBe(true);
    }),
  );
});

it('finds nothing where nothing was counted', () => {
  expect(s.chiSquareTest([0, 0], [1, 2])).toMatchObject({ p: 1, degrees: 0 });
  expect(s.kolmogorovSmirnov([0, 0], [1, 2])).toMatchObject({ p: 1 });
  expect(s.chiSquareTest([7], [9]).p).toBe(1);
  expect(s.mcnemar(0, 0)).toEqual({ exact: 1, mid: 1 });
});

it('orders corrections: p ≤ Benjamini-Hochberg ≤ Holm ≤ Bonferroni ≤ 1, and keeps the order of p', () => {
  fc.assert(
    fc.property(probabilities, (p) => {
      const corrected = [p, s.benjaminiHochberg(p), s.holm(p), s.bonferroni(p), p.map(() => 1)];
      for (let i = 1; i < corrected.length; i++) {
        corrected[i].forEach((value, k) => {
          expect(value).toBeGreaterThanOrEqual(corrected[i - 1][k] - 1e-15);
        });
      }
      const rank = p.map((_, i) => i).sort((a, b) => p[a] - p[b]);
      for (const values of corrected) {
        rank.slice(1).forEach((k, i) => {
          expect(values[k]).toBeGreaterThanOrEqual(values[rank[i]]);
        });
      }
    }),
  );
});

describe('AUC', () => {
  it('does not change under a monotone transform or another order of rows', () => {
    fc.assert(
      fc.property(scored, ([labels, scores]) => {
        const usual = s.auc(labels, scores);
        expect(
          s.auc(
            labels,
            scores.map((score) => Math.exp(3 * score) - 7),
          ),
        ).toBe(usual);
        expect(s.auc([...labels].reverse(), [...scores].reverse())).toBe(usual);
      }),
    );
  });

  it('is 1 − AUC for negated scores and for swapped classes, and 1/2 for constant scores', () => {
    fc.assert(
      fc.property(scored, ([labels, scores]) => {
        const usual = s.auc(labels, scores);
        expect(
          s.auc(
            labels,
            scores.map((score) => -score),
          ),
        ).toBeCloseTo(1 - usual, 12);
        expect(
          s.auc(
            labels.map((label) => 1 - label),
            scores,
          ),
        ).toBeCloseTo(1 - usual, 12);
        expect(
          s.auc(
            labels,
            scores.map(() => 0.3),
          ),
        ).toBe(0.5);
      }),
    );
  });

  it('is the share of pairs in the right order, with the variance of its pairwise definition', () => {
    fc.assert(
      fc.property(scored, ([labels, a, b]) => {
        const pairs = pairwise(labels, a, b);
        const one = s.delong(labels, a);
        const other = s.delong(labels, b);

        expect(s.auc(labels, a)).toBeCloseTo(pairs.auc, 12);
        expect(one.auc).toBeCloseTo(pairs.auc, 12);
        expect(s.differenceVariance(one, other)).toBeCloseTo(pairs.variance, 12);
        expect(s.differenceVariance(one, one)).toBe(0);
      }),
    );
  });

  it('takes a million rows in half a second', () => {
    const next = random(1);
    const labels = Float64Array.from({ length: 1_000_000 }, () => (next() < 0.2 ? 1 : 0));
    const scores = labels.map((label) => 0.3 * label + next());
    const start = process.cpuUsage(); // not the clock: other work on the machine does not count

    expect(s.auc(labels, scores)).toBeCloseTo(1 - 0.7 ** 2 / 2, 2);

    expect(process.cpuUsage(start).user / 1000).toBeLessThan(500);
  });
});

it('covers the true mean difference as often as it says, by bootstrap over rows and over groups', () => {
  for (const [rows, groups] of [
    [200, 2000],
    [3000, 300],
  ]) {
    const next = random(rows);
    const experiments = 200;
    let covered = 0;
    for (let i = 0; i < experiments; i++) {
      const hard = Float64Array.from({ length: rows }, () => next());
      const a = hard.map((value) => value + next());
      const b = hard.map((value) => value + next() + 0.1);
      const drawn = s.pairedBootstrap(a, b, (one, other) => other - one, { seed: i, draws: 200, groups });
      if (s.quantile(drawn, 0.025) <= 0.1 && s.quantile(drawn, 0.975) >= 0.1) covered++;
    }
    expect(covered / experiments).toBeGreaterThan(0.89);
    expect(covered / experiments).toBeLessThan(0.99);
  }
});

it('gives p values that are uniform where there is no difference', () => {
  const next = random(99);
  const experiments = 2000;
  let low = 0;
  for (let i = 0; i < experiments; i++) {
    const [a, b] = [1500, 400].map((rows) => {
      const counts = new Array<number>(10).fill(0);
      for (let row = 0; row < rows; row++) counts[Math.floor(next() * 10)]++;
      return counts;
    });
    if (s.chiSquareTest(a, b).p < 0.05) low++;
  }
  expect(low / experiments).toBeGreaterThan(0.035);
  expect(low / experiments).toBeLessThan(0.065);
});

it('gives evidence that grows as p falls, and is 1 on average over uniform p', () => {
  const next = random(5);
  const mean = s.moments(Float64Array.from({ length: 200_000 }, () => s.evidence(1 - next()))).mean;

  expect(mean).toBeGreaterThan(0.95);
  expect(mean).toBeLessThan(1.05);
  expect(s.nextEvidence(3, 0.001)).toBeGreaterThan(s.nextEvidence(3, 0.01));
});

/** AUC and DeLong's variance of a difference straight from their definitions, over all pairs. */
function pairwise(labels: number[], a: number[], b: number[]): { auc: number; variance: number } {
  const rows = labels.map((_, i) => i);
  const positive = rows.filter((i) => labels[i] === 1);
  const negative = rows.filter((i) => labels[i] !== 1);
  const win = (scores: number[], i: number, j: number) => (1 + Math.sign(scores[i] - scores[j])) / 2;
  const gain = (i: number, j: number) => win(a, i, j) - win(b, i, j);
  const mean = (values: number[]) => s.total(values) / values.length;
  const over = positive.map((i) => mean(negative.map((j) => gain(i, j))));
  const under = negative.map((j) => mean(positive.map((i) => gain(i, j))));
  return {
    auc: mean(positive.map((i) => mean(negative.map((j) => win(a, i, j))))),
    variance: s.moments(over).variance / over.length + s.moments(under).variance / under.length,
  };
}
