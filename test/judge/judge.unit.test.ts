import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge } from '../../lib/core/judge/judge';
import { defaultMargin, type JudgeInput, type JudgeRules } from '../../lib/core/judge/judgement';
import { countNumbers } from '../../lib/core/prepare/profile';
import { PROBLEMS } from '../../lib/core/problem';
import { random } from '../../lib/core/random';

const METRICS = PROBLEMS.flatMap(({ name: problem, metrics }) => metrics.map((metric) => ({ ...metric, problem })));

const RULES: JudgeRules = {
  margin: 0.01,
  confidence: 0.95,
  firstModelThreshold: 0.6,
  promote: ['BETTER', 'NOT_WORSE'],
  minSliceRows: 500,
};

/** A binary holdout on which scores are better the stronger the signal; both models share some of the noise. */
function binary(signals: { candidate: number; champion?: number }, rows = 20_000, seed = 1): JudgeInput {
  const next = random(seed);
  const labels = Float64Array.from({ length: rows }, () => (next() < 0.3 ? 1 : 0));
  const shared = labels.map(() => next());
  const scores = (signal: number) => labels.map((label, i) => (signal * label + shared[i] + next()) / (2 + signal));
  const candidate = scores(signals.candidate);
  const champion = signals.champion === undefined ? undefined : { version: 1, scores: scores(signals.champion) };
  return { problem: 'binary', labels, candidate, champion, slices: {}, rules: RULES };
}

function regression(noise: { candidate: number; champion?: number }, rows = 20_000): JudgeInput {
  const next = random(3);
  const labels = Float64Array.from({ length: rows }, () => 100 * next());
  const scores = (width: number) => labels.map((label) => label + width * (next() - 0.5));
  const candidate = scores(noise.candidate);
  const champion = noise.champion === undefined ? undefined : { version: 4, scores: scores(noise.champion) };
  return {
    problem: 'regression',
    labels,
    candidate,
    champion,
    slices: {},
    rules: { ...RULES, firstModelThreshold: 10 },
  };
}

describe('a first model', () => {
  it('is taken if it is better than the base rate and reaches the required AUC', () => {
    const judgement = judge(binary({ candidate: 0.5 }));

    expect(judgement).toMatchObject({ verdict: 'FIRST', promote: true, metric: 'auc', higherIsBetter: true });
    expect(judgement.trivial).toBe(0.5);
    expect(judgement.difference).toBeCloseTo(judgement.candidate - 0.5, 12);
    expect(judgement.because).toMatch(
      /^AUC 0\.8\d+ against 0\.5 of the trivial answer, the base rate, on 20,000 rows: difference 0\.3\d+ \[0\.\d+, 0\.\d+\] at 95 %: enough for a first model$/,
    );
  });

  it('is refused if it does not reach it', () => {
    const judgement = judge(binary({ candidate: 0.05 }));

    expect(judgement).toMatchObject({ verdict: 'FIRST_REFUSED', promote: false });
    expect(judgement.interval[0]).toBeGreaterThan(0);
    expect(judgement.because).toMatch(
      /a first model must be better than the trivial answer beyond doubt and have at least 0\.6$/,
    );
  });

  it('must not exceed the allowed RMSE', () => {
    expect(judge(regression({ candidate: 20 })).verdict).toBe('FIRST');
    const judgement = judge(regression({ candidate: 60 }));
    expect(judgement.verdict).toBe('FIRST_REFUSED');
    expect(judgement.because).toMatch(/and have at most 10$/);
  });

  it.each([
    ['mean', 'rmse', { mean: 50, median: 40 }],
    ['median', 'rmse', { mean: 90, median: 50 }],
    ['mean', 'mae', { mean: 50, median: 40 }],
    ['median', 'mae', { mean: 90, median: 50 }],
  ])("must be better than the training rows' %s, the better constant by %s of %o", (of, metric, trivial) => {
    const { firstModelThreshold: _, ...rules } = RULES;
    const constant = trivial[of as 'mean' | 'median'];
    const trained = { ...trivial, histogram: countNumbers([], []) };
    const input = { ...regression({ candidate: 60 }), trained, rules: { ...rules, metric } };
    const judgement = judge(input);

    expect(judgement).toMatchObject({ verdict: 'FIRST', promote: true });
    const errors = Array.from(input.labels, (label) => Math.abs(label - constant));
    const expected =
      metric === 'mae'
        ? errors.reduce((sum, error) => sum + error, 0) / errors.length
        : Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
    expect(judgement.trivial).toBeCloseTo(expected, 9);
    expect(judgement.difference).toBeCloseTo(expected - judgement.candidate, 9);
    expect(judgement.because).toContain(`of the trivial answer, the training rows' ${of}, on`);
    // the same numbers, of which none goes with its row
    expect(judge({ ...input, candidate: Array.from(input.candidate).reverse() }).verdict).toBe('FIRST_REFUSED');
  });

  it('that answers one constant is refused by every metric', () => {
    const { firstModelThreshold: _, ...rules } = RULES;
    for (const { name, problem } of METRICS) {
      const input = problem === 'binary' ? binary({ candidate: 0 }, 2000) : regression({ candidate: 0 }, 2000);
      const mean = Array.from(input.labels).reduce((sum, label) => sum + label, 0) / 2000;
      const constant = { ...input, candidate: Array(2000).fill(mean), rules: { ...rules, metric: name } };
      const judgement = judge(constant);
      expect(judgement.verdict, name).toBe('FIRST_REFUSED');
      expect(judgement.because).toContain('it answers every row alike');
    }
  });

  it('of pure noise is taken in 1 of 40 at most, not in every second', () => {
    const { firstModelThreshold: _, ...rules } = RULES;
    const taken = Array.from({ length: 400 }, (_, seed) => {
      const next = random(seed + 1);
      const labels = Array.from({ length: 400 }, () => (next() < 0.3 ? 1 : 0));
      const noise = { problem: 'binary', labels, candidate: labels.map(() => next()), slices: {}, rules } as const;
      return judge(noise).promote;
    }).filter(Boolean);
    expect(taken.length).toBeLessThan(400 * (0.025 + 3 * Math.sqrt((0.025 * 0.975) / 400)));
  });
});

describe('the unit of a regression', () => {
  const UNITS = [1e-6, 1e-3, 1, 60, 1e9];
  const scaled = (input: JudgeInput, unit: number): JudgeInput => {
    const scale = (values: ArrayLike<unknown>) =>
      Float64Array.from(values as ArrayLike<number>, (value) => value * unit);
    const { labels, candidate, champion } = input;
    return {
      ...input,
      labels: scale(labels),
      candidate: scale(candidate),
      champion: champion && { ...champion, scores: scale(champion.scores) },
    };
  };

  it.each([
    [0.9, 'BETTER'],
    [1, 'NOT_WORSE'],
    [1.005, 'NOT_WORSE'],
    [1.015, 'WORSE'],
    [5, 'WORSE'],
  ])('changes no verdict on a model with %d times the error', (times, verdict) => {
    const { champion, labels, ...rest } = regression({ candidate: 30, champion: 30 }, 5000);
    const scores = champion?.scores ?? [];
    const candidate = Float64Array.from(labels, (label, i) => label + times * ((scores[i] as number) - label));
    for (const metric of ['rmse', 'mae']) {
      const input = { ...rest, champion, labels, candidate, rules: { ...RULES, metric } };
      const one = judge(input);
      expect(one.verdict, metric).toBe(verdict);
      for (const unit of UNITS) {
        const judgement = judge(scaled(input, unit));
        expect(judgement.verdict, `${metric} × ${unit}`).toBe(verdict);
        expect(judgement.margin / unit).toBeCloseTo(one.margin, 9);
        expect(judgement.difference / unit).toBeCloseTo(one.difference, 9);
      }
    }
  });

  it('changes no verdict on a first model', () => {
    const { firstModelThreshold: _, ...rules } = RULES;
    for (const unit of UNITS) {
      expect(judge({ ...scaled(regression({ candidate: 60 }), unit), rules }).verdict).toBe('FIRST');
      const reverse = scaled(regression({ candidate: 60 }), unit);
      expect(judge({ ...reverse, candidate: Array.from(reverse.candidate).reverse(), rules }).verdict).toBe(
        'FIRST_REFUSED',
      );
    }
  });

  it('is the default margin’s: a hundredth of the champion’s error, and half a hundredth of AUC', () => {
    const { margin, champion = 0 } = judge(regression({ candidate: 30, champion: 30 }));
    expect(margin).toBe(0.01 * champion);
    expect(METRICS.map((metric) => [metric.name, defaultMargin(metric)])).toEqual([
      ['auc', 0.005],
      ['logLoss', 0.01],
      ['brier', 0.01],
      ['accuracy', 0.005],
      ['rmse', 0.01],
      ['mae', 0.01],
    ]);
  });
});

describe('against a champion', () => {
  it('better is better, and said so with numbers', () => {
    const judgement = judge(binary({ candidate: 0.6, champion: 0.4 }));

    expect(judgement).toMatchObject({ verdict: 'BETTER', promote: true, championVersion: 1, rows: 20_000 });
    expect(judgement.difference).toBeCloseTo(judgement.candidate - (judgement.champion ?? 0), 12);
    expect(judgement.because).toMatch(
      /^AUC 0\.\d+ against 0\.\d+ of version 1 on 20,000 rows: better by 0\.\d+ \[0\.\d+, 0\.\d+\] at 95 %$/,
    );
  });

  it('about as good is not worse', () => {
    expect(judge(binary({ candidate: 0.5, champion: 0.5 })).verdict).toBe('NOT_WORSE');
  });

  it('the same scores are not worse, but not better without a margin either', () => {
    const input = binary({ candidate: 0.5 });
    const same = { ...input, champion: { version: 2, scores: input.candidate } };

    expect(judge(same)).toMatchObject({ verdict: 'NOT_WORSE', difference: 0, interval: [0, 0] });
    expect(judge({ ...same, rules: { ...RULES, margin: 0 } }).verdict).toBe('INCONCLUSIVE');
  });

  it('worse keeps the champion', () => {
    const judgement = judge(binary({ candidate: 0.3, champion: 0.5 }));

    expect(judgement).toMatchObject({ verdict: 'WORSE', promote: false });
    expect(judgement.interval[1]).toBeLessThan(0);
    expect(judgement.because).toContain('worse by');
  });

  it('too few rows are inconclusive and keep the champion', () => {
    expect(judge(binary({ candidate: 0.5, champion: 0.5 }, 200))).toMatchObject({
      verdict: 'INCONCLUSIVE',
      promote: false,
    });
  });

  it('a verdict that the rules do not promote keeps the champion', () => {
    const input = binary({ candidate: 0.5, champion: 0.5 });

    expect(judge({ ...input, rules: { ...RULES, promote: ['BETTER'] } }).promote).toBe(false);
  });

  it.each(METRICS.map(({ name, problem }) => [name, problem] as const))(
    'swapping both models flips the difference and its interval by %s (%s)',
    (metric, problem) => {
      const input =
        problem === 'binary'
          ? binary({ candidate: 0.6, champion: 0.4 }, 3000)
          : regression({ candidate: 20, champion: 30 }, 3000);
      const rules = { ...input.rules, metric };
      const there = judge({ ...input, rules });
      const back = judge({
        ...input,
        rules,
        candidate: input.champion?.scores ?? [],
        champion: { version: 1, scores: input.candidate },
      });

      expect(there.verdict).toBe('BETTER');
      expect(back.difference).toBeCloseTo(-there.difference, 12);
      expect(back.interval[0]).toBeCloseTo(-there.interval[1], 9);
      expect(back.interval[1]).toBeCloseTo(-there.interval[0], 9);
      expect([back.candidate, back.champion]).toEqual([there.champion, there.candidate]);
    },
  );

  it('says the other metrics of both models', () => {
    const { also } = judge(binary({ candidate: 0.6, champion: 0.4 }));

    expect(Object.keys(also)).toEqual(['logLoss', 'brier', 'accuracy', 'calibrationError']);
    expect(also.accuracy.champion).toBeGreaterThan(0.3);
  });

  it('is rarely called better when it is the same: one time in forty at 95 %', () => {
    let better = 0;
    for (let seed = 0; seed < 400; seed++) {
      const judgement = judge(binary({ candidate: 0.5, champion: 0.5 }, 500, seed));
      if (judgement.verdict === 'BETTER') better++;
    }

    expect(better).toBeLessThan(400 * 0.055);
  });

  it('takes 300,000 rows by two metrics in four seconds', () => {
    const input = binary({ candidate: 0.6, champion: 0.4 }, 300_000);
    const start = process.cpuUsage(); // not the clock: other work on the machine does not count

    judge(input);
    judge({ ...input, rules: { ...RULES, metric: 'logLoss' } });

    expect(process.cpuUsage(start).user / 1000).toBeLessThan(4000);
  });
});

describe('slices', () => {
  /** The candidate is better in all but one of four slices. */
  function sliced(rules: Partial<JudgeRules> = {}): JudgeInput {
    const input = binary({ candidate: 0.8, champion: 0.4 });
    const codes = Array.from(input.labels, (_, i) => i % 4);
    const champion = { version: 1, scores: input.champion?.scores ?? [] };
    const candidate = input.candidate as Float64Array;
    const broken = candidate.map((score, i) => (codes[i] === 2 ? 1 - score : score));
    const slices = { carrier: { values: ['AA', 'DL', 'UA', 'WN'], codes } };
    return { ...input, candidate: broken, champion, slices, rules: { ...RULES, ...rules } };
  }

  it('one that is worse blocks a better model and is named', () => {
    const judgement = judge(sliced({ margin: 0.3 }));

    expect(judgement.verdict).toBe('NOT_WORSE');
    expect(judgement.promote).toBe(false);
    expect(judgement.worseSlices).toMatchObject([{ feature: 'carrier', value: 'UA', rows: 5000 }]);
    expect(judgement.worseSlices[0].p).toBeLessThan(1e-6);
    expect(judgement.because).toMatch(/; but worse by 0\.\d+ where carrier is UA \(5,000 rows\)$/);
  });

  it('one that is worse by less than the margin does not block', () => {
    expect(judge(sliced({ margin: 0.9 })).worseSlices).toEqual([]);
  });

  it('one with few rows is not judged', () => {
    expect(judge(sliced({ margin: 0.3, minSliceRows: 5001 })).worseSlices).toEqual([]);
  });

  it('one with a single class is not judged by AUC', () => {
    const input = binary({ candidate: 0.3, champion: 0.5 });
    const slices = { late: { values: ['no', 'yes'], codes: Array.from(input.labels) } };

    expect(judge({ ...input, slices }).worseSlices).toEqual([]);
  });

  it('many equal ones raise no false alarm', () => {
    const input = binary({ candidate: 0.5, champion: 0.5 });
    const slices = {
      hour: { values: Array.from({ length: 24 }, String), codes: Array.from(input.labels, (_, i) => i % 24) },
    };

    expect(judge({ ...input, slices, rules: { ...RULES, margin: 0 } }).worseSlices).toEqual([]);
  });

  it('must have a code for every row', () => {
    const slices = { hour: { values: ['0'], codes: [0, 0] } };

    expect(() => judge({ ...binary({ candidate: 0.5, champion: 0.5 }), slices })).toThrow(
      'slice hour must have one code a row: 20000, got 2',
    );
  });
});

describe('refuses', () => {
  const good: JudgeInput = {
    problem: 'binary',
    labels: [0, 1, 0, 1],
    candidate: [0.1, 0.9, 0.2, 0.8],
    slices: {},
    rules: RULES,
  };

  it.each<[string, Partial<JudgeInput>, string, string]>([
    ['fewer scores than rows', { candidate: [0.1] }, 'Perennial.ScoringFailed', 'one score a row: 4, got 1'],
    [
      'a score that is no number',
      { candidate: [0.1, Number.NaN, 0, 0] },
      'Perennial.ScoringFailed',
      'got NaN for row 2',
    ],
    ['a score that is no probability', { candidate: [0, 0, 0, 7] }, 'Perennial.ScoringFailed', 'got 7 for row 4'],
    [
      'what is wrong with the champion',
      { champion: { version: 3, scores: [] } },
      'Perennial.ScoringFailed',
      'the champion (version 3) must give one score a row',
    ],
    ['a single class', { labels: [0, 0, 0, 0] }, 'Perennial.DataRejected', 'got 0 of 1 and 4 of 0'],
    ['labels beyond 0 and 1', { labels: [0, 1, 2, 1] }, 'Perennial.DataRejected', 'got 2 for row 3'],
    ['an empty holdout', { problem: 'regression', labels: [], candidate: [] }, 'Perennial.DataRejected', 'got 0'],
    ['an unknown metric', { rules: { ...RULES, metric: 'f1' } }, 'Perennial.InvalidDocument', 'auc, logLoss, brier'],
  ])('%s', (_, change, name, message) => {
    const attempt = () => judge({ ...good, ...change });

    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ name }));
  });
});

it('gives the verdict that its interval stands for', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.double({ min: 0, max: 0.2, noNaN: true }), (seed, margin) => {
      const input = binary({ candidate: 0.5, champion: 0.4 }, 300, seed);
      const { verdict, interval, difference } = judge({ ...input, rules: { ...RULES, margin } });
      const [low, high] = interval;

      expect(low <= difference && difference <= high).toBe(true);
      expect(verdict === 'BETTER').toBe(low > 0);
      expect(verdict === 'NOT_WORSE').toBe(low <= 0 && low > -margin);
      expect(verdict === 'WORSE').toBe(low <= -margin && high < 0);
    }),
    { numRuns: 50 },
  );
});
