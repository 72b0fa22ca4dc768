import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metric as figure } from '../../../bin/commands/format';
import { performancePlot, verdictPlot } from '../../../bin/report/plots';
import { parseContract } from '../../../lib/core/dataset/contract';
import { inferContract } from '../../../lib/core/dataset/infer';
import { judge } from '../../../lib/core/judge/judge';
import { defaultMargin, type JudgeInput } from '../../../lib/core/judge/judgement';
import { ofLoss, type Scores } from '../../../lib/core/judge/metric';
import { checkAnswers, parseScores } from '../../../lib/core/judge/scores';
import { type LedgerFact, newFact } from '../../../lib/core/ledger/facts';
import { historyOf } from '../../../lib/core/ledger/history';
import { categoryHistogram, countNumbers, type Histogram } from '../../../lib/core/prepare/profile';
import { metricOf, PROBLEMS, type Problem, problemOf } from '../../../lib/core/problem';
import { random } from '../../../lib/core/random';
import { moreIsBetter, validationMetric } from '../../../lib/core/train/printed-metric';
import { assess } from '../../../lib/core/watch/assess';
import { parseCapturedLine } from '../../../lib/core/watch/capture';
import type { Baseline } from '../../../lib/core/watch/documents';
import { changeSetting } from '../../../lib/core/watch/findings';
import { begun } from '../../support/facts';

type Shares = readonly number[];
const CLASSES = ['train', 'bus', 'car'];
const classOf = (shares: Shares) => shares.indexOf(Math.max(...shares));

/** Which of three ways people travel: a file of somebody else's, of which nothing in the product knows. */
const TRAVEL: Problem = {
  name: 'travel',
  suits: ({ type, minimum, maximum }) => (type === 'integer' && minimum === 0 && maximum === 2 ? 'surely' : 'no'),
  labels: {
    are: '0, 1 or 2',
    allows: (label) => [0, 1, 2].includes(label),
    refusedBy: (column) => `${column} NOT IN (0, 1, 2)`,
    lack: (labels) => (new Set(Array.from(labels)).size < 3 ? 'rows of all three ways' : undefined),
    lackIfAlike: 'several ways',
    edges: () => [1, 2],
  },
  scores: {
    are: 'three shares that make one',
    fix: 'let its inference code answer shares',
    read: (values) => (values.length === 3 ? values : undefined),
    allows: (score) =>
      typeof score !== 'number' &&
      score.every((share) => share >= 0) &&
      Math.abs(score.reduce((sum, share) => sum + share, 0) - 1) < 1e-6,
    count(scores, _like?: Histogram) {
      const answers = Array.from(scores as ArrayLike<Shares>, (shares) => CLASSES[classOf(shares)] as string);
      return categoryHistogram(
        CLASSES,
        answers.map((answer) => [answer, 1]),
      );
    },
  },
  metrics: [
    ofLoss('mlogLoss', 'log loss', (label, shares: Shares) => -Math.log(Math.max(1e-15, shares[label] as number))),
    ofLoss('mbrier', 'Brier score', (label, shares: Shares) =>
      shares.reduce((sum, share, i) => sum + (share - Number(i === label)) ** 2, 0),
    ),
  ],
  alsoMeasured: { firstClass: (_, scores) => Array.from(scores as ArrayLike<Shares>, (s) => s[0]).length },
  printed: ['mlogloss', 'merror'],
  alsoPrinted: { merror: false },
  trivialAnswers: ({ histogram: { counts } }) => {
    const rows = counts.reduce((sum, count) => sum + count, 0);
    return [{ what: 'the shares of the ways', score: counts.map((count) => count / rows) }];
  },
};

beforeAll(() => {
  (PROBLEMS as Problem[]).push(TRAVEL);
});
afterAll(() => {
  (PROBLEMS as Problem[]).pop();
});

/** As many travellers, of whom a model knows the more the sharper it is. */
function travellers(sharpness: number, seed = 1, rows = 4000): { labels: number[]; scores: Shares[] } {
  const next = random(seed);
  const labels = Array.from({ length: rows }, () => Math.floor(next() * 3));
  const scores = labels.map((label) => {
    const weights = CLASSES.map((_, i) => next() + (i === label ? sharpness : 0));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  });
  return { labels, scores };
}

const CONTRACT = {
  columns: [
    { name: 'id', type: 'string' },
    { name: 'far', type: 'number' },
    { name: 'way', type: 'integer', minimum: 0, maximum: 2 },
  ],
  key: 'id',
  features: ['far'],
  target: 'way',
};

const RULES = {
  margin: 0.01,
  confidence: 0.95,
  promote: ['BETTER', 'NOT_WORSE'],
  minSliceRows: 100,
} satisfies JudgeInput['rules'];

const judged = (candidate: number, champion?: number) => {
  const { labels, scores } = travellers(candidate);
  return judge({
    problem: 'travel',
    labels,
    candidate: scores,
    ...(champion !== undefined && { champion: { version: 1, scores: travellers(champion).scores } }),
    slices: { coin: { values: ['heads', 'tails'], codes: labels.map((_, i) => i % 2) } },
    rules: RULES,
  });
};

describe('a third problem, from its file and its registration alone', () => {
  it('is a contract’s, by its name or by the target’s column', () => {
    expect(parseContract(CONTRACT).target.problem).toBe('travel');
    expect(() => parseContract({ ...CONTRACT, target: { name: 'way', problem: 'flight' } })).toThrow(
      "problem must be one of binary, regression, travel, got 'flight'",
    );
    const column = { type: 'integer', rows: 30, missing: 0, misfits: 0, distinct: 3 } as const;
    const columns = [
      { ...column, name: 'far', type: 'number' } as const,
      { ...column, name: 'way', minimum: 0, maximum: 2 },
    ];
    expect(inferContract(columns, 'way').contract.target).toEqual({ name: 'way', problem: 'travel' });
  });

  it('says which way its metrics point, and by which setting they are watched', () => {
    expect(metricOf(problemOf('travel')).name).toBe('mlogLoss');
    expect(() => metricOf(problemOf('travel'), 'auc')).toThrow(
      "metric must be one of mlogLoss, mbrier for a travel target, got 'auc'",
    );
    expect(validationMetric(TRAVEL)).toBe('validation:mlogloss');
    expect(['validation:mlogloss', 'validation:merror', 'validation:auc'].map((name) => moreIsBetter(name))).toEqual([
      false,
      false,
      true,
    ]);
    expect(moreIsBetter('validation:auc', [TRAVEL])).toBeUndefined();
    expect(changeSetting(TRAVEL.metrics[0])).toBe('errorIncreaseThreshold');
    expect(defaultMargin(TRAVEL.metrics[0])).toBe(0.01);
  });

  it('judges models by answers of several numbers', () => {
    expect(judged(1)).toMatchObject({ verdict: 'FIRST', problem: 'travel', metric: 'mlogLoss', higherIsBetter: false });
    expect(judged(1).because).toContain('log loss');
    expect(judged(1).because).toContain('of the trivial answer, the shares of the ways, on 4,000 rows');
    expect(judged(1).trivial).toBeCloseTo(Math.log(3), 2);
    expect(judged(0).verdict).toBe('FIRST_REFUSED');
    expect(judged(1.5, 1)).toMatchObject({ verdict: 'BETTER', promote: true });
    expect(judged(0.5, 1)).toMatchObject({ verdict: 'WORSE', promote: false });
    expect(judged(0.5, 1).worseSlices.map(({ feature }) => feature)).toEqual(['coin', 'coin']);
    expect(Object.keys(judged(1).also)).toEqual(['mbrier', 'firstClass']);
  });

  it('takes no model for one that has learnt, if it answers every row alike', () => {
    const { labels } = travellers(1);
    const input = { problem: 'travel', labels, slices: {}, rules: RULES };
    const histogram = countNumbers([1, 2], [0, 1, 1, 1]); // its trivial answer is a bad one
    const alike = judge({
      ...input,
      candidate: labels.map(() => [1 / 3, 1 / 3, 1 / 3]),
      trained: { mean: 1, median: 1, histogram },
    });
    expect(alike.verdict).toBe('FIRST_REFUSED');
    expect(alike.because).toContain('it answers every row alike');
  });

  it.each<[string, number[], Scores, string]>([
    ['labels', [0, 1, 2, 7], [], "the holdout's labels must be 0, 1 or 2, got 7 for row 4"],
    ['a holdout', [0, 1, 1, 0], [], 'the holdout must have rows of all three ways; add data'],
    [
      'shares',
      [0, 1, 2],
      [
        [1, 0, 0],
        [0, 1, 0],
        [1, 1, 0],
      ],
      'must be three shares that make one, got 1,1,0 for row 3; let its',
    ],
    [
      'numbers',
      [0, 1, 2],
      [
        [1, 0, 0],
        [0, Number.NaN, 0],
      ],
      'one score a row: 3, got 2',
    ],
    [
      'numbers',
      [0, 1, 2],
      [
        [1, 0, 0],
        [0, Number.NaN, 0],
        [0, 0, 1],
      ],
      'must be finite numbers, got 0,NaN,0 for row 2',
    ],
  ])('refuses %s that are none', (_, labels, candidate, message) => {
    expect(() => judge({ problem: 'travel', labels, candidate, slices: {}, rules: RULES })).toThrow(message);
  });

  it('reads what batch transform and the endpoint answer, and compares both', () => {
    const batch = parseScores(TRAVEL.scores, '0.5,0.25,0.25\n0,1,0\n');
    expect(batch).toEqual([
      [0.5, 0.25, 0.25],
      [0, 1, 0],
    ]);
    expect(parseScores(TRAVEL.scores, '0.5,0.5\n')).toEqual([Number.NaN]);
    expect(() => checkAnswers(TRAVEL, batch, 2, batch)).not.toThrow();
    expect(() =>
      checkAnswers(
        TRAVEL,
        [
          [0.5, 0.25, 0.25],
          [0.1, 0.9, 0],
        ],
        2,
        batch,
      ),
    ).toThrow('what the model answered when it was judged, 0 ± 0.000001 for row 2 of the holdout, got 0.1');
    expect(() => checkAnswers(TRAVEL, [[0.5, 0.5, 0.5]], 1, batch)).toThrow('must be three shares that make one');
  });

  it.each([
    ['CSV', '0.2,0.7,0.1'],
    ['JSON', '[[0.2,0.7,0.1]]'],
    ['JSON', '{"predictions":[{"score":[0.2,0.7,0.1]}]}'],
  ])('is captured as %s %s', (encoding, answer) => {
    const captured = (data: string) =>
      parseCapturedLine(
        JSON.stringify({
          captureData: { endpointInput: { data: 'a,12' }, endpointOutput: { data, encoding } },
          eventMetadata: { inferenceTime: '2026-03-01T12:00:00Z' },
        }),
        parseContract(CONTRACT),
      );
    expect(captured(answer)).toMatchObject({ rows: [{ key: 'a', features: [12], score: [0.2, 0.7, 0.1] }] });
    expect(captured(answer.replace('0.1', '0.9'))).toEqual({
      unreadable: 'answers must be three shares that make one',
    });
  });
});

describe('the monitor and the report of a third problem', () => {
  const usual = travellers(1);
  const baseline = (): Baseline => ({
    runId: 'r',
    contract: parseContract(CONTRACT),
    profile: {
      contractId: 'c',
      rows: 0,
      features: {},
      target: countNumbers([1, 2], usual.labels),
      trivial: { mean: 1, median: 1 },
    },
    scores: TRAVEL.scores.count(usual.scores),
    judgement: judged(1),
  });
  const seen = ({ labels, scores }: ReturnType<typeof travellers>) =>
    assess(
      {
        rows: labels.length,
        features: {},
        scores: TRAVEL.scores.count(scores, baseline().scores),
        performance: { labels, scores },
      },
      baseline(),
    );
  /** Everybody takes the car, whatever the model said before. */
  const cars = () => ({ labels: usual.labels, scores: usual.scores.map((): Shares => [0.3, 0.3, 0.4]) });

  it('finds what has changed, and nothing else', () => {
    expect(seen(travellers(1, 2)).verdict).toBe('OK');
    const worse = seen(travellers(0.5, 3));
    expect(worse.findings.filter(({ drifted }) => drifted).map(({ family }) => family)).toEqual(['performance']);
    const all = seen(cars()).findings.filter(({ drifted }) => drifted);
    expect(all.map(({ family }) => family)).toEqual(['predictions', 'performance']);
  });

  it('draws its verdicts, and the limit of its metric', async () => {
    const at = '2026-11-23T10:00:00.000Z';
    const { verdict, problem, metric, candidate, trivial, difference, interval, rows, because } = judged(1);
    const run = { runId: 'r', startedAt: at };
    const facts = historyOf('p', [
      ...begun('r', at),
      newFact.runJudged(new Date(at), {
        ...{ ...run, verdict, problem, metric, candidate, trivial, difference, interval, rows, because },
      }),
      newFact.windowJudged(new Date(at), {
        windowId: 'w',
        windowEnd: at,
        modelVersion: 1,
        verdict: 'DRIFT',
        rows,
        summary: 's',
        reportKey: 'k',
      }),
    ] as LedgerFact[]);
    expect((await verdictPlot(facts))?.markup).toContain(
      'mlogLoss of candidate and champion by run: run 1: candidate 0.',
    );
    const { findings } = seen(travellers(0.5, 3));
    const drop = findings.find(({ family }) => family === 'performance');
    expect(drop?.limit).toBeCloseTo(judged(1).candidate * 1.05, 12);
    expect(drop?.value).toBeGreaterThan(drop?.limit as number);
    const plot = (await performancePlot(facts, { w: findings }))?.markup;
    expect(plot).toContain(`limit ${figure(drop?.limit as number)}`);
  });
});
