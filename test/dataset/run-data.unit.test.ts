import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../lib/core/dataset/documents';
import { dataOfSnapshot, eventsOf, namedSnapshot, tooManyWait } from '../../lib/core/dataset/run-data';
import { createSnapshot } from '../../lib/core/dataset/snapshot';
import { ErrorName } from '../../lib/core/errors';
import type { DecisionMade } from '../../lib/core/ledger/facts';
import { Events } from '../../lib/core/names';

const file = { key: 'incoming/a.csv', versionId: 'v1', size: 1, etag: 'e' };
const snapshot: Snapshot = {
  dataVersion: '0123456789ab',
  files: [file],
  leftOut: ['incoming/b.csv'],
  alike: ['incoming/c.csv'],
};
const key = 'snapshots/0123456789ab.json';

describe('the data as it is', () => {
  test('is counted with what is left out', () => {
    expect(dataOfSnapshot({ snapshot, key })).toEqual({
      dataVersion: '0123456789ab',
      content: expect.any(String),
      snapshotKey: key,
      files: 1,
      leftOut: 1,
      alike: 1,
    });
  });

  test('that has no file says what to upload, and which files could not be used', () => {
    expect(dataOfSnapshot({ snapshot: { ...snapshot, files: [] }, key })).toEqual({
      missing: expect.stringMatching(
        /got none but 1 that could not be used \(incoming\/b.csv\); upload labelled data to incoming\//,
      ),
    });
  });
});

describe('a snapshot that is asked for', () => {
  test('is counted as it is: nothing is left out of it', () => {
    const stored = createSnapshot([{ ...file, lastModified: new Date(0) }]);
    const { dataVersion } = stored;
    expect(namedSnapshot(key, stored)).toMatchObject({ dataVersion, snapshotKey: key, files: 1, leftOut: 0, alike: 0 });
  });

  test.each([
    ['does not exist', undefined, /got snapshots\/0123456789ab.json: no such object/],
    ['is not a snapshot', 'no JSON', /snapshots\/0123456789ab.json/],
  ])('is missing if it %s', (_, document, message) => {
    expect(namedSnapshot(key, document)).toEqual({ missing: expect.stringMatching(message) });
  });
});

test('one event is sent for each need, about its first decision', () => {
  const decision = (because: string, needs?: DecisionMade['needs']) =>
    ({ because, at: '2026-03-01T12:00:00Z', ...(needs && { needs }) }) as DecisionMade;
  const decisions = [decision('a'), decision('b', 'BUDGET'), decision('c', 'NEWER_DATA'), decision('d', 'BUDGET')];
  const events = eventsOf('flights', decisions);
  expect(events).toHaveLength(2);
  expect(events).toContainEqual({
    type: Events.DATA_NEEDED,
    detail: { pipeline: 'flights', needs: 'NEWER_DATA', summary: 'c' },
  });
  expect(events).toContainEqual({
    type: Events.BUDGET_REACHED,
    detail: { pipeline: 'flights', day: '2026-03-01', summary: 'b' },
  });
});

test('requests without room are counted', () => {
  const crowded = [1, 2].map((i) => ({
    reason: 'manual' as const,
    eventId: `${i}`,
    at: '2026-03-01T12:00:00Z',
    detail: {},
  }));
  expect(tooManyWait(crowded)).toMatchObject({
    name: ErrorName.TOO_MANY_WAIT,
    message: expect.stringContaining('got 2 more'),
  });
});
