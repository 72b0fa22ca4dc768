import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { histogramRows } from '../../lib/core/prepare/profile';
import {
  type GroundTruth,
  keysOf,
  observe,
  refusedAfter,
  refusedBecause,
  whyUnjoined,
} from '../../lib/core/watch/ground-truth';
import type { Window } from '../../lib/core/watch/window';
import { capturedOf, predicted, watchedBaseline, watchedContract } from '../support/watched';

const upload = { key: 'ground-truth/march.csv', versionId: 'v1' };
const look: Window = { id: 'w', end: '2026-03-01T12:00:00.000Z' };
const window: Window = { ...look, groundTruth: upload };
const baseline = watchedBaseline();

function truthOf(labels: ReadonlyArray<readonly [string, number]>, rest: Partial<GroundTruth> = {}): GroundTruth {
  return { labels: new Map(labels), rows: labels.length, bad: 0, reasons: [], ...rest };
}

describe('an upload is refused', () => {
  test('at the third attempt, if two have died', () => {
    expect([1, 2].map((readings) => refusedAfter(readings, upload))).toEqual([undefined, undefined]);
    expect(refusedAfter(3, upload)?.refused).toMatch(/^ground-truth\/march.csv cannot be read: 2 tries ended/);
  });

  test.each([ErrorName.DATA_UNREADABLE, ErrorName.DATA_REJECTED])('for %s, in its words', (name) => {
    expect(refusedBecause(new PerennialError(name, 'it is empty'), upload)).toEqual({ refused: 'it is empty' });
  });

  test('if the object cannot be fetched', () => {
    expect(refusedBecause(new Error('x'), upload, 'NoSuchKey: gone')?.refused).toBe(
      'ground-truth/march.csv cannot be read: NoSuchKey: gone; upload it again',
    );
  });

  test('for no other error: another attempt may succeed', () => {
    expect(refusedBecause(new Error('SlowDown'), upload)).toBeUndefined();
    expect(refusedBecause(new PerennialError(ErrorName.INVALID_DOCUMENT, 'x'), upload)).toBeUndefined();
  });
});

describe('observe', () => {
  const captured = capturedOf([0, 1, 2, 3].map((i) => predicted(i)));

  test('a scheduled window is its predictions alone', () => {
    const { rows, seen, groundTruth, refused } = observe(look, baseline, captured);
    expect(rows).toEqual(captured.rows);
    expect(seen).toMatchObject({ rows: 4, features: { distance: { counts: [4, 0, 0, 0] } } });
    expect([seen.performance, groundTruth, refused]).toEqual([undefined, undefined, undefined]);
  });

  test('joins labels with scores by the key', () => {
    const { rows, seen } = observe(
      window,
      baseline,
      captured,
      truthOf([
        ['2', 1],
        ['0', 0],
        ['99', 1],
      ]),
    );
    expect(rows.map(({ key }) => key)).toEqual(['2', '0']);
    expect(seen.performance).toEqual({ labels: [1, 0], scores: [0.002, 0] });
    expect(histogramRows(seen.scores ?? baseline.scores)).toBe(2);
  });

  test('sees nothing where the contract names no key', () => {
    const { key: _, ...contract } = watchedContract;
    const keyless = watchedBaseline(contract);
    const seen = observe(window, keyless, captured);
    expect(seen).toMatchObject({ rows: [], seen: { rows: 0, features: {} } });
    expect(whyUnjoined(window, keyless, seen)).toMatch(
      /cannot be joined with predictions, because the contract names no key/,
    );
  });

  test('of an upload that cannot be read, says why', () => {
    expect(observe(window, baseline, captured, { refused: 'it is empty' })).toMatchObject({
      rows: [],
      refused: 'it is empty',
      seen: { rows: 0 },
    });
  });

  test('refuses an upload with more bad rows than the contract allows, and no other', () => {
    const reasons = ['a', 'b', 'c', 'd'].map((reason) => ({ reason, rows: 1 }));
    const bad = (count: number) =>
      observe(window, baseline, captured, truthOf([['0', 1]], { rows: 40, bad: count, reasons }));
    expect(bad(4).refused).toBeUndefined();
    expect(bad(4).rows).toHaveLength(1);
    expect(bad(5)).toMatchObject({ rows: [], groundTruth: { bad: 5 } });
    expect(bad(5).refused).toBe(
      'ground-truth/march.csv: 5 of 40 rows break the contract (allowed 10 %): a (1 rows); b (1 rows); c (1 rows); ' +
        'neither drift nor a model is judged by it, correct it and upload it again',
    );
  });

  test('each key counts once, with its last prediction, and nothing is made up', () => {
    const key = fc.integer({ min: 0, max: 9 });
    fc.assert(
      fc.property(fc.array(key), fc.uniqueArray(key), (asked, known) => {
        const rows = asked.map((i, at) => ({ ...predicted(i), at, score: at / 100 }));
        const labels = known.map((i) => [String(i), i % 2] as const);
        const joined = observe(window, baseline, capturedOf(rows), truthOf(labels));
        const expected = known.filter((i) => asked.includes(i));
        expect(joined.rows.map((row) => row.key)).toEqual(expected.map(String));
        expect(joined.rows.map(({ at }) => at)).toEqual(expected.map((i) => asked.lastIndexOf(i)));
        expect(joined.seen.performance?.labels ?? []).toEqual(expected.map((i) => i % 2));
        expect(keysOf(capturedOf(rows))).toEqual(new Set(asked.map(String)));
      }),
    );
  });
});

describe('whyUnjoined', () => {
  const captured = capturedOf([predicted(0)]);

  test('names the rows and the predictions that have no key in common', () => {
    const seen = observe(window, baseline, captured, truthOf([], { rows: 5 }));
    expect(whyUnjoined(window, baseline, seen)).toBe(
      'none of the 5 rows of ground-truth/march.csv was predicted by the model in service: ' +
        "its 1 captured predictions have other values of 'id'; it counts as training data alone",
    );
  });

  test('is nothing where rows are joined, and for a scheduled window', () => {
    expect(whyUnjoined(window, baseline, observe(window, baseline, captured, truthOf([['0', 1]])))).toBeUndefined();
    expect(whyUnjoined(look, baseline, observe(look, baseline, capturedOf([])))).toBeUndefined();
  });
});
