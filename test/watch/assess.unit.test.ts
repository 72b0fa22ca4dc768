import { describe, expect, it } from 'vitest';
import type { Contract } from '../../lib/core/dataset/contract';
import { judge } from '../../lib/core/judge/judge';
import { countCategories, countLike, countNumbers, quantileEdges } from '../../lib/core/prepare/profile';
import { random } from '../../lib/core/random';
import { normalQuantile } from '../../lib/core/statistics';
import { assess } from '../../lib/core/watch/assess';
import type { Baseline } from '../../lib/core/watch/documents';
import { ASSESS_DEFAULTS, type Assessment, type MonitoredWindow, NOTHING_SEEN } from '../../lib/core/watch/findings';

const CARRIERS = ['AA', 'DL', 'UA', 'WN', 'B6', 'HA'];

/** What flows through a model; without drift, windows differ from the training data by chance alone. */
interface World {
  /** Shift of the mean of `delay`, in standard deviations. */
  readonly shift?: number;
  /** Share of rows with a carrier never seen. */
  readonly unseen?: number;
  /** Share of rows without a delay. */
  readonly missing?: number;
  /** How well scores follow labels. */
  readonly signal?: number;
}

function draw(rows: number, seed: number, { shift = 0, unseen = 0, missing = 0, signal = 0.5 }: World = {}) {
  const next = random(seed);
  const delay = Array.from({ length: rows }, () =>
    next() < missing ? null : shift + normalQuantile(0.5 + 0.999999 * (next() - 0.5)),
  );
  const carrier = Array.from({ length: rows }, () =>
    next() < unseen ? 'XX' : CARRIERS[Math.floor(CARRIERS.length * next() ** 2)],
  );
  const labels = Float64Array.from({ length: rows }, () => (next() < 0.3 ? 1 : 0));
  const scores = labels.map((label) => (signal * label + next() + next()) / (2 + signal));
  return { delay, carrier, labels, scores };
}

function baselineOf(rows: number, seed = 1): Baseline {
  const { delay, carrier, labels, scores } = draw(rows, seed);
  const contract = { target: { name: 'late', sql: 'late', problem: 'binary' } } as Contract;
  const judgement = judge({
    problem: 'binary',
    labels,
    candidate: scores,
    slices: {},
    rules: { margin: 0.01, confidence: 0.95, firstModelThreshold: 0.5, promote: ['BETTER'], minSliceRows: 100 },
  });
  const features = {
    delay: countNumbers(quantileEdges(delay.map((value) => value ?? Number.NaN)), delay),
    carrier: countCategories(CARRIERS, carrier),
  };
  const profile = {
    contractId: 'c',
    rows,
    features,
    trivial: { mean: 0.5, median: 0 },
    target: countNumbers([1], labels),
  };
  return { runId: 'r', contract, profile, scores: countNumbers(quantileEdges(scores), scores), judgement };
}

function windowOf(
  baseline: Baseline,
  rows: number,
  seed: number,
  world: World = {},
  groundTruth = true,
): MonitoredWindow {
  const { delay, carrier, labels, scores } = draw(rows, seed, world);
  const { features } = baseline.profile;
  return {
    rows,
    features: { delay: countLike(features.delay, delay), carrier: countLike(features.carrier, carrier) },
    scores: countLike(baseline.scores, scores),
    ...(groundTruth ? { performance: { labels, scores } } : {}),
  };
}

const baseline = baselineOf(50_000);

/** Windows one after another, until the first alarm. */
function watch(windows: number, rows: number, world: World): Assessment[] {
  const seen: Assessment[] = [];
  let state = NOTHING_SEEN;
  for (let i = 0; i < windows; i++) {
    seen.push(assess(windowOf(baseline, rows, 1000 + i, world, false), baseline, state));
    state = JSON.parse(JSON.stringify(seen[i].state));
    if (seen[i].verdict === 'DRIFT') break;
  }
  return seen;
}

const drifted = ({ findings }: Assessment) =>
  findings.filter((finding) => finding.drifted).map(({ family, feature, statistic }) => [family, feature, statistic]);

describe('a window', () => {
  it('without drift is OK', () => {
    const assessment = assess(windowOf(baseline, 5000, 2), baseline);

    expect(assessment).toMatchObject({ verdict: 'OK', summary: 'no drift in 5 comparisons of 5,000 rows' });
    expect(assessment.effect).toBeLessThan(1);
  });

  it.each<[string, World, unknown[]]>([
    ['a shifted feature', { shift: 0.5 }, [['inputs', 'delay', 'chiSquare']]],
    ['missing values', { missing: 0.1 }, [['inputs', 'delay', 'chiSquare']]],
    ['categories never seen', { unseen: 0.03 }, [['inputs', 'carrier', 'newCategories']]],
    ['a model that has become worse', { signal: 0.3 }, [['performance', undefined, 'performanceDrop']]],
  ])('finds %s at once, and nothing else', (_, world, expected) => {
    const assessment = assess(windowOf(baseline, 5000, 2, world), baseline);

    expect(assessment.verdict).toBe('DRIFT');
    expect(drifted(assessment)).toEqual(expected);
    expect(assessment.summary).toMatch(
      /^drift in \d of 5 comparisons of 5,000 rows: .+ by 0\.\d+ \(matters from 0\.\d+\)/,
    );
  });

  it('says which way a number has moved', () => {
    const [delay] = assess(windowOf(baseline, 5000, 2, { shift: -0.5 }), baseline).findings;

    expect(delay.meanShift).toBeCloseTo(-0.5, 1);
  });

  it('lets a shift pass that is significant but does not matter', () => {
    const assessment = assess(windowOf(baseline, 50_000, 2, { shift: 0.1 }), baseline);
    const [delay] = assessment.findings;

    expect(delay.p).toBeLessThan(1e-9);
    expect(delay.evidence).toBe(delay.evidenceNeeded);
    expect(assessment.verdict).toBe('OK');
  });

  it('with too few rows is insufficient, and says how many would do', () => {
    const assessment = assess(windowOf(baseline, 60, 2), baseline);
    const needed = Math.max(...assessment.findings.map((finding) => finding.rowsNeeded ?? Infinity));

    expect(assessment.verdict).toBe('INSUFFICIENT');
    expect(assessment.summary).toContain(`${needed.toLocaleString('en-US')} rows would do`);
    expect(assess(windowOf(baseline, needed, 3), baseline).verdict).toBe('OK');
  });

  it('without rows or with a single class is insufficient', () => {
    const oneClass = { ...windowOf(baseline, 5000, 2), performance: { labels: [0, 0], scores: [0.1, 0.2] } };

    expect(assess(windowOf(baseline, 0, 2, {}, false), baseline).verdict).toBe('INSUFFICIENT');
    expect(assess(oneClass, baseline).verdict).toBe('INSUFFICIENT');
    expect(assess({ rows: 0, features: {} }, baseline)).toMatchObject({
      verdict: 'INSUFFICIENT',
      summary: 'nothing to compare in 0 rows',
    });
  });

  it('is insufficient for ever where the baseline has too few rows', () => {
    const small = baselineOf(150);

    expect(assess(windowOf(small, 5000, 2), small).summary).toContain('baseline has too few rows');
  });

  it('with too few rows raises no alarm, however strong the evidence before it', () => {
    const { evidence } = assess(windowOf(baseline, 5000, 2, { shift: 0.1 }), baseline).state;
    const primed = Object.fromEntries(Object.keys(evidence).map((key) => [key, 1e12]));
    const assessment = assess(windowOf(baseline, 100, 2, { shift: 2 }), baseline, { windows: 1, evidence: primed });

    expect(assessment.findings[0].adjusted).toBeLessThan(1e-9);
    expect(assessment.findings[0].effect).toBeGreaterThan(1);
    expect(assessment.verdict).toBe('INSUFFICIENT');
  });

  it('takes off what chance alone adds to the effect', () => {
    const effects = Array.from(
      { length: 50 },
      (_, i) => assess(windowOf(baseline, 300, i + 2), baseline).findings[0].effect,
    );

    expect(effects.reduce((sum, effect) => sum + effect) / effects.length).toBeLessThan(0.015);
  });

  it('cannot prove a drop against a metric that is itself uncertain', () => {
    const small = baselineOf(400);
    const performance = assess(windowOf(small, 50_000, 2), small).findings.at(-1);

    expect(performance).toMatchObject({ family: 'performance', enough: false });
    expect(performance?.limit).toBeCloseTo(small.judgement.candidate - ASSESS_DEFAULTS.scoreDropThreshold, 12);
    expect(performance?.rowsNeeded).toBeUndefined();
  });

  it('must be counted like the baseline', () => {
    const features = { delay: countNumbers([0], [1]) };

    expect(() => assess({ rows: 1, features }, baseline)).toThrow('delay must be counted with the edges or values');
    expect(() => assess({ rows: 1, features: { speed: features.delay } }, baseline)).toThrow('speed must be counted');
  });

  it('gives findings that JSON can carry', () => {
    const assessment = assess(windowOf(baseline, 5000, 2), baseline);

    expect(JSON.parse(JSON.stringify(assessment))).toEqual(assessment);
  });
});

describe('windows in a row', () => {
  it('without drift raise no alarm in a hundred, though some are significant by themselves', () => {
    const seen = watch(100, 2000, {});

    expect(seen.map(({ verdict }) => verdict)).toEqual(new Array(100).fill('OK'));
    expect(seen.filter(({ findings }) => findings.some(({ p }) => p < 0.05)).length).toBeGreaterThan(3);
  });

  it('gather evidence for drift that one window cannot prove', () => {
    const seen = watch(20, 400, { shift: 0.32 });
    const [first] = seen;

    expect(seen.at(-1)?.verdict).toBe('DRIFT');
    expect(seen.length).toBeGreaterThan(1);
    expect(first.findings[0].effect).toBeGreaterThan(first.findings[0].threshold);
    expect(first.findings[0].adjusted).toBeLessThan(ASSESS_DEFAULTS.significanceLevel);
    expect(first.findings[0].evidence).toBeLessThan(first.findings[0].evidenceNeeded);
  });

  it('begin anew after an alarm', () => {
    const { state, verdict } = assess(windowOf(baseline, 5000, 2, { shift: 0.6 }), baseline);

    expect(verdict).toBe('DRIFT');
    expect(state.evidence['inputs/chiSquare/delay']).toBe(0);
  });

  it('bound false alarms by the run length, whatever their effect', () => {
    const rules = { ...ASSESS_DEFAULTS, averageRunLength: 40 };
    const windows = 1500;
    let crossings = 0;
    let state = NOTHING_SEEN;
    for (let i = 0; i < windows; i++) {
      const assessment = assess(windowOf(baseline, 200, 9000 + i, {}, false), baseline, state, rules);
      const crossed = assessment.findings.some((finding) => finding.evidence >= finding.evidenceNeeded);
      if (crossed) crossings++;
      state = crossed ? NOTHING_SEEN : assessment.state;
    }

    expect(crossings).toBeLessThanOrEqual(windows / rules.averageRunLength);
    expect(crossings).toBeGreaterThan(0);
  });

  it('take the chance in a small baseline for no drift, though every window meets it again', () => {
    let alarms = 0;
    for (let i = 0; i < 40; i++) {
      const small = baselineOf(1500, 500 + i);
      let state = NOTHING_SEEN;
      for (let k = 0; k < 5; k++) {
        const assessment = assess(windowOf(small, 2000, 70 * i + k), small, state);
        if (assessment.verdict === 'DRIFT') alarms++;
        state = assessment.state;
      }
    }

    expect(alarms).toBeLessThanOrEqual(40 * ASSESS_DEFAULTS.significanceLevel);
  });
});

describe('the error of a regression', () => {
  const rows = 20_000;
  const answers = (noise: number, seed: number) => {
    const next = random(seed);
    const labels = Float64Array.from({ length: rows }, () => 100 * next());
    return { labels, scores: labels.map((label) => label + noise * (next() - 0.5)) };
  };
  const usual = answers(10, 1);
  const regression: Baseline = {
    ...baseline,
    contract: { target: { name: 'delay', sql: 'delay', problem: 'regression' } } as Contract,
    judgement: judge({
      problem: 'regression',
      labels: usual.labels,
      candidate: usual.scores,
      slices: {},
      rules: { margin: 0, confidence: 0.95, firstModelThreshold: 100, promote: ['BETTER'], minSliceRows: 100 },
    }),
  };

  it.each([
    [10, 'OK'],
    [10.2, 'OK'],
    [11, 'DRIFT'],
    [8, 'OK'],
  ])('that goes from 10 to %d is %s', (noise, verdict) => {
    const assessment = assess({ rows, features: {}, performance: answers(noise, 2) }, regression);

    expect(assessment.verdict).toBe(verdict);
    expect(assessment.findings[0].effect).toBeCloseTo(Math.max(0, noise / 10 - 1), 1);
    // also where the model has become better
    expect(assessment.findings[0].limit).toBeCloseTo(regression.judgement.candidate * 1.05, 9);
  });
});
