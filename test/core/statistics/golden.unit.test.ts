import { describe, expect, it } from 'vitest';
import { countNumbers } from '../../../lib/core/prepare/profile';
import { random } from '../../../lib/core/random';
import * as s from '../../../lib/core/statistics';
import golden from '../../golden/statistics.json';

/** Equal to SciPy's value but for the last few of 16 digits. */
function near(value: number, expected: number, relative = 1e-12): void {
  expect(Math.abs(value - expected), `${value} for ${expected}`).toBeLessThanOrEqual(
    relative * Math.abs(expected) + 1e-300,
  );
}

describe('agrees with SciPy', () => {
  it('on random numbers of a seed', () => {
    const next = random(42);

    expect(golden.random42.map(() => next())).toEqual(golden.random42);
  });

  it.each(golden.functions.normalTail)('on the normal tail above %d', (z, tail) => near(s.normalTail(z), tail));
  it.each(golden.functions.normalQuantile)('on the normal quantile of %d', (p, z) => near(s.normalQuantile(p), z));
  it.each(golden.functions.chiSquareTail)('on the chi-square tail above %d of %d degrees', (x, degrees, tail) =>
    near(s.chiSquareTail(x, degrees), tail, 1e-11),
  );
  it.each(golden.functions.chiSquareLimit)('on the chi-square limit of %d for %d degrees', (p, degrees, limit) =>
    near(s.chiSquareLimit(p, degrees), limit, 1e-11),
  );
  it.each(golden.functions.betaShare)('on the incomplete beta function of %d, %d at %d', (a, b, x, share) =>
    near(s.betaShare(a, b, x), share, 2e-11),
  );
  it.each(golden.functions.logGamma)('on the gamma function of %d', (x, value) =>
    expect(s.logGamma(x)).toBeCloseTo(value, 11),
  );
  it.each(golden.functions.kolmogorovTail)('on the Kolmogorov tail above %d', (x, tail) =>
    near(s.kolmogorovTail(x), tail),
  );

  it('on numbers in bins', () => {
    const { edges, reference, current, referenceCounts, currentCounts } = golden.numbers;
    const before = countNumbers(edges, reference);
    const now = countNumbers(edges, current);

    expect(before.counts).toEqual(referenceCounts);
    expect(now.counts).toEqual(currentCounts);
    near(before.deviation, golden.numbers.deviation);
    near(s.meanShift(before, now), golden.numbers.meanShift);
    near(s.populationStability(before.counts, now.counts), golden.numbers.stability);
    near(s.kolmogorovSmirnov(before.counts, now.counts).statistic, golden.numbers.ksOfBins);
  });

  it('on categories, one gone and one new', () => {
    const { before, now, chiSquare, largestChange, jensenShannonDistance } = golden.categories;
    const test = s.chiSquareTest(before, now);

    near(test.statistic, chiSquare.statistic);
    near(test.p, chiSquare.p);
    expect(test.degrees).toBe(chiSquare.degrees);
    near(s.largestChange(before, now), largestChange);
    near(s.jensenShannonDistance(before, now), jensenShannonDistance);
  });

  it('on corrections for many tests', () => {
    const { p, bonferroni, holm, bh } = golden.multiplicity;

    s.bonferroni(p).forEach((value, i) => {
      near(value, bonferroni[i]);
    });
    s.holm(p).forEach((value, i) => {
      near(value, holm[i]);
    });
    s.benjaminiHochberg(p).forEach((value, i) => {
      near(value, bh[i]);
    });
  });

  it.each(golden.mcnemar)('on McNemar of $first and $second', ({ first, second, exact, mid }) => {
    near(s.mcnemar(first, second).exact, exact);
    near(s.mcnemar(first, second).mid, mid);
  });

  it('on running evidence', () => {
    let running = 0;
    const path = golden.evidence.p.map((p) => {
      running = s.nextEvidence(running, p);
      return running;
    });

    path.forEach((value, i) => {
      near(value, golden.evidence.path[i]);
    });
  });

  it.each(golden.limits)('on what chance makes of $bins bins and $rows rows', (limit) => {
    near(s.expectedStability(limit), limit.expected);
    near(s.stabilityLimit(limit.alpha, limit), limit.stability, 1e-11);
    near(s.jensenShannonLimit(limit.alpha, limit), limit.jensenShannon, 1e-11);
    near(s.kolmogorovLimit(limit.alpha, limit.rows, limit.otherRows), limit.kolmogorov);
  });

  it('on two models over the same rows', () => {
    const { labels, candidate, champion, delong, onlyOneRight, accuracyInterval } = golden.paired;
    const a = s.delong(labels, candidate);
    const b = s.delong(labels, champion);
    const mistakes = [candidate, champion].map((scores) => s.rowLosses(s.LOSSES.mistake, labels, scores));
    const drawn = s.pairedBootstrap(mistakes[0], mistakes[1], (one, other) => other - one);

    near(a.auc, delong.auc[0]);
    near(s.auc(labels, champion), delong.auc[1]);
    near(Math.sqrt(a.variance), delong.errors[0]);
    near(Math.sqrt(b.variance), delong.errors[1]);
    near((a.auc - b.auc) / Math.sqrt(s.differenceVariance(a, b)), delong.z);
    expect(mistakes[0].filter((wrong, i) => wrong < mistakes[1][i])).toHaveLength(onlyOneRight[0]);
    expect(s.quantile(drawn, 0.025)).toBeCloseTo(accuracyInterval[0], 12);
    expect(s.quantile(drawn, 0.975)).toBeCloseTo(accuracyInterval[1], 12);
  });

  it('on losses', () => {
    const { labels, candidate, logLoss, brier, rmse, mae, calibrationError } = golden.paired;
    const mean = (loss: s.Loss) => s.moments(s.rowLosses(loss, labels, candidate)).mean;

    near(mean(s.LOSSES.logLoss), logLoss);
    near(mean(s.LOSSES.brier), brier);
    near(Math.sqrt(mean(s.LOSSES.squared)), rmse);
    near(mean(s.LOSSES.absolute), mae);
    near(s.calibrationError(labels, candidate), calibrationError);
  });
});
