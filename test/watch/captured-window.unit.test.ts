import { describe, expect, test } from 'vitest';
import type { Contract } from '../../lib/core/dataset/contract';
import { CaptureCollector, describeUnread } from '../../lib/core/watch/captured-window';

const contract: Contract = {
  kind: 'table',
  columns: [],
  key: 'id',
  features: [{ name: 'distance', kind: 'number', sql: 'distance' }],
  target: { name: 'late', sql: 'late', problem: 'binary' },
  slices: [],
  maxBadShare: 0.1,
};
const noon = Date.UTC(2026, 2, 1, 12);

/** A line as SageMaker writes it. */
function line(key: string, time: number, distance = '100'): Buffer {
  return Buffer.from(
    JSON.stringify({
      captureData: {
        endpointInput: { data: `${key},${distance}`, encoding: 'CSV' },
        endpointOutput: { data: '0.5', encoding: 'CSV' },
      },
      eventMetadata: { inferenceTime: new Date(time).toISOString() },
    }),
  );
}

describe('CaptureCollector', () => {
  test('has rows in the order of their times, without those that were requested before the model was in service', () => {
    const collector = new CaptureCollector(contract, noon);
    for (const [key, time] of [
      ['c', 2],
      ['old', -1],
      ['a', 0],
      ['b', 1],
    ] as const) {
      collector.addLine(line(key, noon + time * 1000));
    }
    expect(collector.window.rows.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  });

  test('counts lines that cannot be read by their reason, the most frequent first', () => {
    const collector = new CaptureCollector(contract, noon);
    collector.addLine(undefined);
    for (const text of ['{"half', '{']) collector.addLine(Buffer.from(text));
    expect(collector.window).toEqual({
      rows: [],
      unreadable: [
        { reason: expect.stringContaining('no JSON'), rows: 2 },
        { reason: 'the line is longer than 128 MiB', rows: 1 },
      ],
      unavailable: { files: 0, named: [] },
    });
  });

  test('counts a hundred reasons separately, and the rest together', () => {
    const features = Array.from({ length: 102 }, (_, i) => ({ name: `f${i}`, kind: 'number', sql: 'x' }) as const);
    const collector = new CaptureCollector({ ...contract, features }, noon);
    for (const i of features.keys()) {
      collector.addLine(line('k', noon, features.map((_, j) => (i === j ? 'x' : '1')).join(',')));
    }
    collector.addLine(line('k', noon, features.map((_, j) => (j === 0 ? 'x' : '1')).join(',')));
    const { unreadable } = collector.window;
    expect(unreadable).toHaveLength(101);
    expect(unreadable.slice(0, 2)).toEqual([
      { reason: "'f0' must be a finite number or empty", rows: 2 },
      { reason: 'other reasons', rows: 2 },
    ]);
  });

  test('names twenty files that are missing, and counts all', () => {
    const collector = new CaptureCollector(contract, noon);
    for (let i = 0; i < 25; i++) collector.addMissing(`${i}.jsonl`, 'NoSuchKey: it is gone');
    const { files, named } = collector.window.unavailable;
    expect(files).toBe(25);
    expect(named).toHaveLength(20);
    expect(named[0]).toEqual({ key: '0.jsonl', because: 'NoSuchKey: it is gone' });
  });
});

describe('describeUnread', () => {
  const none = { rows: [], unreadable: [], unavailable: { files: 0, named: [] } };

  test('is empty where everything was read', () => {
    expect(describeUnread(none)).toBe('');
  });

  test('counts all lines and names the most frequent reason; counts files and names one', () => {
    const unreadable = [
      { reason: 'a', rows: 3 },
      { reason: 'b', rows: 1 },
    ];
    const named = [{ key: 'x.jsonl', because: 'y'.repeat(300) }];
    expect(describeUnread({ rows: [], unreadable, unavailable: { files: 4, named } })).toBe(
      `; 4 captured lines cannot be read, most often because a; 4 capture files cannot be had, e.g. x.jsonl (${'y'.repeat(200)})`,
    );
  });
});
