import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { captureFolders, captureRange, isCapturedIn, type Window, windowOf } from '../../lib/core/watch/window';

const DAY = 86_400_000;
const iso = (time: number) => new Date(time).toISOString();
const YEAR = { min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) };

describe('windowOf', () => {
  const at = '2026-03-01T12:00:00.000Z';
  const upload = { key: 'ground-truth/march.csv', versionId: 'v1' };

  test('names a window of captured predictions by its end', () => {
    const window = windowOf({ at });
    expect(window).toEqual({ id: expect.stringMatching(/^[0-9a-f]+$/), end: at });
    expect(windowOf({ at })).toEqual(window);
    expect(windowOf({ at: '2026-03-01T13:00:00.000Z' })?.id).not.toBe(window?.id);
  });

  test('names a window of ground truth by the version of the object, whenever the event comes', () => {
    const window = windowOf({ at, upload });
    expect(window).toMatchObject({ end: at, groundTruth: upload });
    expect(windowOf({ at: '2026-03-02T00:00:00.000Z', upload })?.id).toBe(window?.id);
    expect(windowOf({ at, upload: { ...upload, versionId: 'v2' } })?.id).not.toBe(window?.id);
  });

  test.each(['ground-truth/', 'ground-truth/_SUCCESS', 'ground-truth/day_$folder$'])('has none for %s', (key) => {
    expect(windowOf({ at, upload: { key, versionId: 'v1' } })).toBeUndefined();
  });
});

describe('captureRange', () => {
  const look: Window = { id: 'w', end: '2026-03-10T00:00:00.000Z' };
  const truth: Window = { ...look, groundTruth: { key: 'ground-truth/a.csv', versionId: 'v1' } };
  const end = Date.parse(look.end);

  test('begins with the model, at the whole second', () => {
    const deployed = Date.UTC(2026, 2, 8, 1, 2, 3);
    expect(captureRange(look, iso(deployed + 999), 45)).toEqual({ from: deployed, to: end, asked: deployed });
  });

  test('looks back so many days at most', () => {
    expect(captureRange(look, '2025-01-01T00:00:00Z', 3)).toEqual({
      from: end - 3 * DAY,
      to: end,
      asked: end - 3 * DAY,
    });
  });

  test('a scheduled window begins where the last one ended; its rows may be older than its files', () => {
    const until = end - DAY;
    expect(captureRange(look, '2025-01-01T00:00:00Z', 3, iso(until))).toEqual({
      from: until,
      to: end,
      asked: end - 3 * DAY,
    });
  });

  test('an upload of ground truth looks at all predictions, whatever has been judged', () => {
    expect(captureRange(truth, '2025-01-01T00:00:00Z', 3, iso(end - DAY)).from).toBe(end - 3 * DAY);
  });

  test('every file belongs to exactly one of the windows that follow each other', () => {
    const times = fc.uniqueArray(fc.integer({ min: 1, max: 20 * 24 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(times, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (hours, share) => {
        const deployed = YEAR.min;
        const ends = hours.sort((a, b) => a - b).map((hour) => deployed + hour * 3_600_000);
        const ranges = ends.map((to, i) =>
          captureRange({ id: 'w', end: iso(to) }, iso(deployed), 45, i === 0 ? undefined : iso(ends[i - 1] as number)),
        );
        const written = new Date(deployed + Math.floor(share * ((ends.at(-1) as number) - deployed)));
        expect(ranges.filter((range) => isCapturedIn(range, 'a.jsonl', written))).toHaveLength(1);
      }),
    );
  });
});

describe('captureFolders', () => {
  test('names the days, and the one before the first', () => {
    const range = { from: Date.UTC(2026, 2, 1, 5), to: Date.UTC(2026, 2, 2, 1), asked: 0 };
    expect(captureFolders('flights', range)).toEqual([
      'capture/flights/main/2026/02/28/',
      'capture/flights/main/2026/03/01/',
      'capture/flights/main/2026/03/02/',
    ]);
  });

  test('miss no file that was begun up to a day before it was written in the range', () => {
    fc.assert(
      fc.property(
        fc.integer(YEAR),
        fc.integer({ min: 1, max: 40 * DAY }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 0, max: DAY }),
        (from, length, share, begun) => {
          const range = { from, to: from + length, asked: from };
          const written = from + Math.floor(share * length);
          const folder = iso(written - begun)
            .slice(0, 10)
            .replaceAll('-', '/');
          expect(captureFolders('e', range)).toContain(`capture/e/main/${folder}/`);
          expect(isCapturedIn(range, 'a.jsonl', new Date(written))).toBe(true);
        },
      ),
    );
  });
});

describe('isCapturedIn', () => {
  const range = { from: 1000, to: 2000, asked: 0 };

  test.each([
    ['a.jsonl', 1000, true],
    ['a.jsonl', 1999, true],
    ['a.jsonl', 999, false],
    ['a.jsonl', 2000, false],
    ['a.tmp', 1500, false],
  ])('%s, written at %i: %s', (key, written, expected) => {
    expect(isCapturedIn(range, key, new Date(written))).toBe(expected);
  });
});
