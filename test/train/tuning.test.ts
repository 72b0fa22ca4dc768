import { Lazy, Token } from 'aws-cdk-lib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HyperparameterRange, SearchStrategy, Tuning, type TuningProps } from '../../lib';
import { PROBLEMS, problemOf } from '../../lib/core/problem';
import { moreIsBetter } from '../../lib/core/train/printed-metric';
import {
  bestTrial,
  isGoodEnough,
  type Range,
  suggestions,
  type Trial,
  type TuningRules,
} from '../../lib/core/train/tuning';
import { emptyStack } from '../support/stacks';

const { number, integer, choice } = HyperparameterRange;
const DEPTH = integer('max_depth', 3, 10);

/** The rules of a search one by one. */
const rulesOf = (props: Partial<TuningProps> = {}, problem = 'binary'): TuningRules =>
  Tuning.oneByOne({ ranges: [DEPTH], maxTrials: 4, ...props })._rules(emptyStack(), problemOf(problem))
    .tuning as TuningRules;

describe('Tuning.oneByOne', () => {
  test("tries the trainer's own values first, then others, and takes more of validation:auc for better", () => {
    expect(rulesOf()).toEqual({
      metric: 'validation:auc',
      suggestions: [{}, { max_depth: '7' }, { max_depth: '5' }, { max_depth: '9' }],
    });
    expect(Tuning.oneByOne({ ranges: [DEPTH], maxTrials: 4 })._request(problemOf('binary'))).toBeUndefined();
  });

  test('looks at what it is told, until that is good enough', () => {
    expect(rulesOf({ metric: 'validation:logloss', target: 0 })).toMatchObject({
      metric: 'validation:logloss',
      target: 0,
    });
  });

  test.each<[string, string | undefined, string, boolean]>([
    ['binary', undefined, 'validation:auc', true],
    ['regression', undefined, 'validation:rmse', false],
    ['regression', 'validation:rmse', 'validation:rmse', false],
    ['regression', 'validation:mae', 'validation:mae', false],
    ['regression', 'val_r2', 'val_r2', true],
    ['binary', 'validation:logloss', 'validation:logloss', false],
    ['binary', 'eval_loss', 'eval_loss', false],
    ['binary', 'Validation-Accuracy', 'Validation-Accuracy', true],
    ['binary', 'val_f1_score', 'val_f1_score', true],
    ['binary', 'brier_score', 'brier_score', false],
    ['binary', 'd2_log_loss_score', 'd2_log_loss_score', true],
    ['regression', 'neg_mean_squared_error', 'neg_mean_squared_error', true],
    ['regression', 'my_own_score', 'my_own_score', true],
    ['regression', 'my_own_loss', 'my_own_loss', false],
  ])('knows of a %s target and %s which way the metric points', (problem, metric, expected, higherIsBetter) => {
    const props = { ranges: [DEPTH], maxTrials: 4, ...(metric !== undefined && { metric }) };
    expect(rulesOf(props, problem).metric).toBe(expected);
    expect(moreIsBetter(expected)).toBe(higherIsBetter);
    expect(Tuning.sageMaker(props)._request(problemOf(problem))?.config.HyperParameterTuningJobObjective).toEqual({
      Type: higherIsBetter ? 'Maximize' : 'Minimize',
      MetricName: expected,
    });
  });

  test('finds no name that points two ways', () => {
    const names = PROBLEMS.map(({ metrics, printed, alsoPrinted }) => [
      ...metrics.map(({ name }) => name),
      ...printed,
      ...Object.keys(alsoPrinted),
    ]);
    for (const [i, problem] of PROBLEMS.entries()) {
      for (const name of names[i]) expect(moreIsBetter(name, [problem]), name).toBe(moreIsBetter(name));
    }
    expect(names.flat()).toContain('f1');
  });
});

describe('Tuning.sageMaker', () => {
  const ranges = [DEPTH, number('eta', 0.01, 0.3, true), number('gamma', 0, 1), choice('booster', ['gbtree', 'dart'])];

  test('asks SageMaker for as many jobs, two at once, by what has been tried so far', () => {
    const tuning = Tuning.sageMaker({ ranges, maxTrials: 20 });
    expect(tuning._rules(emptyStack(), problemOf('binary'))).toEqual({
      search: { metric: 'validation:auc', maxTrials: 20 },
    });
    expect(tuning._request(problemOf('binary'))).toEqual({
      names: ['max_depth', 'eta', 'gamma', 'booster'],
      maxTrials: 20,
      atOnce: 2,
      config: {
        Strategy: 'Bayesian',
        HyperParameterTuningJobObjective: { Type: 'Maximize', MetricName: 'validation:auc' },
        ResourceLimits: { MaxNumberOfTrainingJobs: 20, MaxParallelTrainingJobs: 2 },
        ParameterRanges: {
          IntegerParameterRanges: [{ Name: 'max_depth', MinValue: '3', MaxValue: '10', ScalingType: 'Linear' }],
          ContinuousParameterRanges: [
            { Name: 'eta', MinValue: '0.01', MaxValue: '0.3', ScalingType: 'Logarithmic' },
            { Name: 'gamma', MinValue: '0', MaxValue: '1', ScalingType: 'Linear' },
          ],
          CategoricalParameterRanges: [{ Name: 'booster', Values: ['gbtree', 'dart'] }],
        },
        RandomSeed: 42,
      },
    });
  });

  test('asks for what it is told', () => {
    const tuning = Tuning.sageMaker({
      ranges,
      maxTrials: 3,
      trialsAtOnce: 10,
      strategy: SearchStrategy.RANDOM,
      metric: 'validation:rmse',
      target: 0.5,
    });
    expect(tuning._request(problemOf('regression'))).toMatchObject({
      atOnce: 3,
      config: {
        Strategy: 'Random',
        HyperParameterTuningJobObjective: { Type: 'Minimize', MetricName: 'validation:rmse' },
        ResourceLimits: { MaxNumberOfTrainingJobs: 3, MaxParallelTrainingJobs: 3 },
        TuningJobCompletionCriteria: { TargetObjectiveMetricValue: 0.5 },
      },
    });
  });

  test.each([0, 11])('refuses %i at once', (trialsAtOnce) => {
    expect(() =>
      Tuning.sageMaker({ ranges, maxTrials: 5, trialsAtOnce })._rules(emptyStack(), problemOf('binary')),
    ).toThrow(`tuning: trialsAtOnce must be a whole number from 1 to 10, got ${trialsAtOnce}`);
  });
});

describe('a search', () => {
  test.each<[Partial<TuningProps>, string]>([
    [{ ranges: [] }, 'Stack: tuning: ranges must be 1 to 20, got 0'],
    [{ ranges: Array.from({ length: 21 }, (_, i) => integer(`n${i}`, 1, 2)) }, 'ranges must be 1 to 20, got 21'],
    [
      { metric: 'surprise' },
      'tuning: metric must end in one of auc, logloss, brier, accuracy, f1, precision, recall, loss, error, score ' +
        "for a binary target, got 'surprise'",
    ],
    [{ metric: 'false_negative_rate' }, "for a binary target, got 'false_negative_rate'"],
    [{ metric: 'validation:rmse' }, "for a binary target, got 'validation:rmse'"],
    [{ metric: 'constructor' }, "for a binary target, got 'constructor'"],
    [{ target: Number.NaN }, 'tuning: target must be a number, got NaN'],
    [{ maxTrials: 1 }, 'tuning: maxTrials must be a whole number from 2 to 100, got 1'],
    [{ maxTrials: 101 }, 'tuning: maxTrials must be a whole number from 2 to 100, got 101'],
    [{ maxTrials: 2.5 }, 'tuning: maxTrials must be a whole number from 2 to 100, got 2.5'],
    [{ ranges: [DEPTH, DEPTH] }, 'tuning: each hyperparameter must have one range, got max_depth, max_depth'],
    [{ ranges: [integer('', 1, 2)] }, "tuning: ranges: a hyperparameter's name must be 1 to 256 letters, got ''"],
    [{ ranges: [integer('a b', 1, 2)] }, "got 'a b'"],
    [
      { ranges: [choice('problem', ['x', 'y'])] },
      'tuning: ranges: problem must not be varied, the pipeline sets it itself',
    ],
    [
      { ranges: [choice('a', ['x', '{% $x %}'])] },
      "tuning: ranges: values of a must be up to 256 characters and no JSONata, got '{% $x %}'",
    ],
    [{ ranges: [choice('a', ['x'])] }, 'tuning: ranges: a must have 2 to 30 values, got 1'],
    [{ ranges: [number('a', 2, 1)] }, 'tuning: ranges: a must have a minimum below its maximum, got 2 and 1'],
    [{ ranges: [number('a', 1, 1)] }, 'got 1 and 1'],
    [{ ranges: [number('a', Number.NaN, 1)] }, 'got NaN and 1'],
    [{ ranges: [number('a', 0, 1, true)] }, 'a must be above 0 to be logarithmic, got a minimum of 0'],
    [{ ranges: [integer('a', 0, 9, true)] }, 'a must be above 0 to be logarithmic, got a minimum of 0'],
    [{ ranges: [integer('a', 1.5, 3)] }, 'a must have whole bounds, got 1.5 and 3'],
  ])('refuses %o', (props, message) => {
    expect(() => rulesOf(props)).toThrow(message);
  });

  test('says all that is wrong at once', () => {
    expect(() => rulesOf({ maxTrials: 0, ranges: [integer('a', 2, 1), choice('b', [])] })).toThrow(
      /maxTrials must.*; tuning: ranges: a must.*; tuning: ranges: b must/,
    );
  });

  test('does not look into bounds that are known only at deployment', () => {
    const later = Token.asNumber(Lazy.number({ produce: () => 3 }));
    expect(number('a', later, 1)._mistakes).toEqual([]);
  });
});

const name = fc.stringMatching(/^[a-z_]{1,12}$/);
const bounds = (least: number) =>
  fc
    .uniqueArray(fc.integer({ min: least, max: 10_000 }), { minLength: 2, maxLength: 2 })
    .map((two) => two.sort((a, b) => a - b));
const range: fc.Arbitrary<Range> = fc.oneof(
  fc
    .tuple(name, fc.constantFrom('number' as const, 'integer' as const), bounds(-10_000))
    .map(([n, kind, [min, max]]) => ({ name: n, kind, min: min as number, max: max as number })),
  fc
    .tuple(name, fc.constantFrom('number' as const, 'integer' as const), bounds(1))
    .map(([n, kind, [min, max]]) => ({ name: n, kind, min: min as number, max: max as number, logarithmic: true })),
  fc
    .tuple(name, fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 8 }))
    .map(([n, values]) => ({ name: n, kind: 'choice' as const, values })),
);
const ranges = fc.uniqueArray(range, { minLength: 1, maxLength: 20, selector: (r) => r.name });

describe('suggestions', () => {
  test('lie in their ranges, bounds included, and are text', () => {
    fc.assert(
      fc.property(ranges, fc.integer({ min: 2, max: 100 }), (all, count) => {
        const made = suggestions(all, count);
        expect(made).toHaveLength(count);
        expect(made[0]).toEqual({});
        for (const set of made.slice(1)) {
          expect(Object.keys(set)).toEqual(all.map((r) => r.name));
          for (const r of all) {
            const value = set[r.name] as string;
            if (r.kind === 'choice') {
              expect(r.values).toContain(value);
              continue;
            }
            expect(Number(value)).toBeGreaterThanOrEqual(r.min);
            expect(Number(value)).toBeLessThanOrEqual(r.max);
            if (r.kind === 'integer') expect(value).toMatch(/^-?\d+$/);
          }
        }
      }),
    );
  });

  test('are the same every time, and more of them begin with the same', () => {
    fc.assert(
      fc.property(ranges, fc.integer({ min: 2, max: 50 }), fc.nat(50), (all, count, more) => {
        expect(suggestions(all, count + more).slice(0, count)).toEqual(suggestions(all, count));
      }),
    );
  });

  test('cover a range evenly: as many fall in each half, quarter and eighth', () => {
    const made = suggestions([{ name: 'a', kind: 'number', min: 0, max: 1 }], 65).slice(1);
    for (const parts of [2, 4, 8]) {
      const counts = Array.from({ length: parts }, () => 0);
      for (const { a } of made) (counts[Math.min(parts - 1, Math.floor(Number(a) * parts))] as number)++;
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
  });

  test('cover a logarithmic range evenly in its powers of ten', () => {
    const made = suggestions([{ name: 'a', kind: 'number', min: 0.001, max: 1, logarithmic: true }], 61).slice(1);
    const powers = made.map(({ a }) => Math.floor(-Math.log10(Number(a))));
    for (const power of [0, 1, 2]) expect(powers.filter((p) => p === power).length).toBeCloseTo(20, -1);
  });

  test('give every whole number and every value the same share', () => {
    const made = suggestions(
      [
        { name: 'whole', kind: 'integer', min: 1, max: 4 },
        { name: 'word', kind: 'choice', values: ['a', 'b', 'c'] },
      ],
      97,
    ).slice(1);
    const share = (of: string, value: string) => made.filter((set) => set[of] === value).length / made.length;
    for (const value of ['1', '2', '3', '4']) expect(share('whole', value)).toBeCloseTo(1 / 4, 1);
    for (const value of ['a', 'b', 'c']) expect(share('word', value)).toBeCloseTo(1 / 3, 1);
  });

  test('of two ranges do not depend on each other: every quarter of the square has its part', () => {
    const made = suggestions(
      [
        { name: 'a', kind: 'number', min: 0, max: 1 },
        { name: 'b', kind: 'number', min: 0, max: 1 },
      ],
      37,
    ).slice(1);
    const quarters = made.map(({ a, b }) => `${Number(a) < 0.5}${Number(b) < 0.5}`);
    for (const quarter of new Set(quarters)) {
      expect(quarters.filter((q) => q === quarter).length).toBeGreaterThanOrEqual(7);
    }
    expect(new Set(quarters).size).toBe(4);
  });

  test('write numbers as Python reads them', () => {
    const made = suggestions([{ name: 'a', kind: 'number', min: 1e-9, max: 1e-7, logarithmic: true }], 5).slice(1);
    for (const { a } of made) expect(a).toMatch(/^\d(\.\d+)?e-\d+$/);
  });
});

describe('the best trial', () => {
  const trial = (iteration: number, value?: number): Trial => ({
    iteration,
    hyperparameters: {},
    ...(value !== undefined && { value }),
  });
  const higher = { metric: 'validation:auc' };
  const lower = { metric: 'validation:rmse' };

  test('has the most, or the least, of the metric', () => {
    const trials = [trial(1, 0.5), trial(2, 0.9), trial(3, 0.1)];
    expect(bestTrial(higher, trials)?.iteration).toBe(2);
    expect(bestTrial(lower, trials)?.iteration).toBe(3);
  });

  test('is the first of equals', () => {
    const trials = [trial(1, 0.1), trial(2, 0.5), trial(3, 0.5), trial(4, 0.1)];
    expect(bestTrial(higher, trials)?.iteration).toBe(2);
    expect(bestTrial(lower, trials)?.iteration).toBe(1);
  });

  test('is none that failed', () => {
    expect(bestTrial(higher, [trial(1), trial(2, -3), trial(3)])?.iteration).toBe(2);
    expect(bestTrial(lower, [trial(1), trial(2, 0), trial(3)])?.iteration).toBe(2);
    expect(bestTrial(higher, [trial(1)])).toBeUndefined();
    expect(bestTrial(higher, [])).toBeUndefined();
  });

  test('is as good as any other', () => {
    const trials = fc.array(fc.option(fc.double({ noNaN: true }), { nil: undefined }));
    fc.assert(
      fc.property(trials, fc.boolean(), (values, higherIsBetter) => {
        const all = values.map((value, i) => trial(i + 1, value));
        const known = values.filter((value) => value !== undefined);
        const best = bestTrial(higherIsBetter ? higher : lower, all)?.value;
        if (known.length === 0) expect(best).toBeUndefined();
        // -0 and 0 are the same
        else expect((best as number) + 0).toBe((higherIsBetter ? Math.max : Math.min)(...known) + 0);
      }),
    );
  });

  test('is good enough once it reaches the target', () => {
    const rules = (target?: number, higherIsBetter = true): TuningRules => ({
      ...(higherIsBetter ? higher : lower),
      suggestions: [],
      ...(target !== undefined && { target }),
    });
    expect(isGoodEnough(rules(0.75), [trial(1, 0.7), trial(2, 0.75)])).toBe(true);
    expect(isGoodEnough(rules(0.75), [trial(1, 0.7)])).toBe(false);
    expect(isGoodEnough(rules(0, false), [trial(1, 0)])).toBe(true);
    expect(isGoodEnough(rules(0.2, false), [trial(1, 0.3)])).toBe(false);
    expect(isGoodEnough(rules(0.5), [trial(1)])).toBe(false);
    expect(isGoodEnough(rules(), [trial(1, 1)])).toBe(false);
    expect(() => isGoodEnough({ ...rules(1), metric: 'm' }, [trial(1, 1)])).toThrow(
      "the metric of a search must have a name that tells which way it points, got 'm'",
    );
  });
});

test('suggestions stay within their range, however narrow', () => {
  const values = suggestions([{ name: 'eta', kind: 'number', min: 0.1234567, max: 0.1234569 }], 20).slice(1);
  for (const { eta } of values) {
    expect(Number(eta)).toBeGreaterThanOrEqual(0.1234567);
    expect(Number(eta)).toBeLessThanOrEqual(0.1234569);
  }
});
