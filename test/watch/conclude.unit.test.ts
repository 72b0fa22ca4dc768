import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { shortHash } from '../../lib/core/names';
import type { CapturedWindow } from '../../lib/core/watch/captured-window';
import { type Conclusion, conclude, driftDetail, UNWATCHED, type Watch } from '../../lib/core/watch/conclude';
import { ASSESS_DEFAULTS } from '../../lib/core/watch/findings';
import { observe } from '../../lib/core/watch/ground-truth';
import type { Window } from '../../lib/core/watch/window';
import { capturedOf, predicted, watchedBaseline } from '../support/watched';

const baseline = watchedBaseline();
const look: Window = { id: 'w', end: '2026-03-01T12:00:00.000Z' };
const truth: Window = { ...look, groundTruth: { key: 'ground-truth/march.csv', versionId: 'v1' } };
const rows = (count: number, shift = 0) => capturedOf(Array.from({ length: count }, (_, i) => predicted(i, shift)));
const unreadable: CapturedWindow = { ...rows(0), unreadable: [{ reason: 'it is odd', rows: 2 }] };

function concluded(window: Window, seen: ReturnType<typeof observe>, watch: Watch = UNWATCHED): Conclusion | undefined {
  const rules = { lookBackDays: 45, assess: ASSESS_DEFAULTS };
  const now = new Date('2026-03-01T12:30:00Z');
  return conclude({ pipeline: 'flights', window, modelVersion: 3, runId: 'r', baseline, rules, now }, seen, watch);
}

function looked(captured: CapturedWindow, window = look, watch?: Watch): Conclusion | undefined {
  return concluded(window, observe(window, baseline, captured), watch);
}

describe('a scheduled window', () => {
  test('that holds nothing needs no judgement', () => {
    expect(looked(rows(0))).toBeUndefined();
  });

  test('of usual predictions is OK; its evidence goes on, and the next window begins at its end', () => {
    expect(looked(rows(4000))).toMatchObject({
      fact: {
        sk: LedgerKey.monitor(look.end, 'w'),
        at: '2026-03-01T12:30:00.000Z',
        windowId: 'w',
        modelVersion: 3,
        verdict: 'OK',
        rows: 4000,
        reportKey: 'monitor/w.json',
      },
      report: { pipeline: 'flights', runId: 'r', windowEnd: look.end, captured: 4000, quarantine: [] },
      watch: { until: look.end, captured: { windows: 1 }, groundTruth: { windows: 0 }, judged: [{ windowId: 'w' }] },
      metrics: { WindowsJudged: 1, DriftEffect: expect.any(Number) },
      refused: [],
    });
  });

  test('of other predictions is drift, which its event names', () => {
    const fact = looked(rows(4000, 900))?.fact as Conclusion['fact'];
    expect(fact.verdict).toBe('DRIFT');
    expect(driftDetail('flights', look, fact)).toEqual({
      pipeline: 'flights',
      windowId: 'w',
      windowEnd: look.end,
      modelVersion: 3,
      reportKey: 'monitor/w.json',
      summary: fact.summary,
    });
  });

  test('with too few rows leaves the evidence as it was: the next window contains them again', () => {
    const after = looked(rows(5));
    expect(after?.fact).toMatchObject({ verdict: 'INSUFFICIENT', rows: 5 });
    expect(after?.watch).toEqual({ ...UNWATCHED, judged: [after?.fact] });
  });

  test('in which nothing could be read says so, is not begun again, and sends no metric', () => {
    const after = looked(unreadable);
    expect(after?.fact.summary).toMatch(/; 2 captured lines cannot be read, most often because it is odd$/);
    expect(after?.watch.until).toBe(look.end);
    expect(after?.metrics).toEqual({});
  });
});

describe('an upload of ground truth', () => {
  test('goes into evidence of its own, and moves no scheduled window', () => {
    const labels = new Map(Array.from({ length: 1000 }, (_, i) => [String(i), i > 500 ? 1 : 0]));
    const seen = observe(truth, baseline, rows(1000), { labels, rows: 1000, bad: 0, reasons: [] });
    const after = concluded(truth, seen);
    expect(after?.report).toMatchObject({ groundTruth: truth.groundTruth, rows: 1000 });
    expect(after?.watch).toMatchObject({ groundTruth: { windows: 1 }, captured: { windows: 0 } });
    expect(after?.watch.until).toBeUndefined();
  });

  test('that is refused is bad data, is kept out of training, and is no evidence', () => {
    const after = concluded(truth, observe(truth, baseline, rows(10), { refused: 'it is empty' }));
    expect(after).toMatchObject({
      fact: { verdict: 'BAD_DATA', summary: 'it is empty', rows: 0 },
      refused: [
        LedgerKey.refusedInWindow(look.end, 'w', shortHash('ground-truth/march.csv v1')),
        LedgerKey.refused('ground-truth/march.csv', 'v1'),
      ].map((sk) => ({
        ...{ kind: 'RefusedFile', sk, key: 'ground-truth/march.csv', versionId: 'v1' },
        ...{ runId: 'monitor-w', because: 'it is empty' },
      })),
      watch: { groundTruth: { windows: 0 } },
      metrics: { DriftEffect: 0 },
    });
  });

  test('that joins nothing says so', () => {
    const seen = observe(truth, baseline, rows(10), { labels: new Map(), rows: 7, bad: 0, reasons: [] });
    expect(concluded(truth, seen)?.fact).toMatchObject({
      verdict: 'INSUFFICIENT',
      summary: expect.stringMatching(/^none of the 7 rows of ground-truth\/march.csv was predicted/),
    });
  });

  test('has a summary of a thousand characters at most, before what could not be read', () => {
    const seen = observe(truth, baseline, unreadable, { refused: 'x'.repeat(5000) });
    expect(concluded(truth, seen)?.fact.summary).toMatch(/^x{1000}; 2 captured lines/);
  });
});

test('the windows of a version are remembered, the newest first and fifty at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), (count) => {
      let watch = UNWATCHED;
      for (let i = 0; i < count; i++) watch = looked(unreadable, { ...look, id: `w${i}` }, watch)?.watch ?? watch;
      expect(watch.judged.map(({ windowId }) => windowId)).toEqual(
        Array.from({ length: Math.min(50, count) }, (_, i) => `w${count - 1 - i}`),
      );
    }),
    { numRuns: 10 },
  );
});
