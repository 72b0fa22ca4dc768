import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  contentOfAll,
  createSnapshot,
  isData,
  type ListedFile,
  parseSnapshot,
  snapshotBytes,
} from '../../lib/core/dataset/snapshot';
import { ErrorName } from '../../lib/core/errors';

function file(key: string, day = 1, versionId = 'v1'): ListedFile {
  return { key, versionId, size: 10, etag: `e-${key}`, lastModified: new Date(Date.UTC(2026, 0, day)) };
}

describe('createSnapshot', () => {
  test('lists data in key order, and its version does not depend on the order of the listing', () => {
    const files = fc.uniqueArray(
      fc.string({ minLength: 1, maxLength: 5 }).map((name) => `incoming/f${name.replaceAll('/', '')}x`),
    );
    fc.assert(
      fc.property(files, (keys) => {
        const listing = keys.map((key) => file(key));
        const there = createSnapshot(listing);
        const back = createSnapshot([...listing].reverse());
        expect(back).toEqual(there);
        expect(there.files.map(({ key }) => key)).toEqual([...keys].sort());
      }),
    );
  });

  test('gives another version when a file has changed, come or gone', () => {
    const before = createSnapshot([file('incoming/a.csv')]).dataVersion;

    expect(createSnapshot([file('incoming/a.csv', 1, 'v2')]).dataVersion).not.toBe(before);
    expect(createSnapshot([file('incoming/a.csv'), file('ground-truth/b.csv')]).dataVersion).not.toBe(before);
    expect(createSnapshot([]).dataVersion).not.toBe(before);
    expect(createSnapshot([file('incoming/a.csv', 9)]).dataVersion).toBe(before); // uploaded when, does not matter
  });

  test('takes the oldest of files with the same content, and names the others', () => {
    const copy = (of: string, key: string, day: number) => ({ ...file(of, day), key, versionId: `v-${key}` });
    const [a, b] = [file('incoming/a.csv', 2), file('incoming/b.csv', 3)];
    const listing = [
      copy('incoming/a.csv', 'incoming/0.csv', 5),
      a,
      b,
      copy('incoming/b.csv', 'ground-truth/b.csv', 4),
    ];

    const { files, alike, dataVersion } = createSnapshot(listing, { newestFiles: 2 });
    expect(files.map(({ key }) => key)).toEqual(['incoming/a.csv', 'incoming/b.csv']);
    expect(alike).toEqual(['ground-truth/b.csv', 'incoming/0.csv']);
    expect(createSnapshot([a, b])).toMatchObject({ dataVersion });
    expect(createSnapshot([a, b]).alike).toBeUndefined();
    // of which no run can use the one, the other is taken
    expect(createSnapshot(listing.slice(0, 2), { refused: [a] }).files.map(({ key }) => key)).toEqual([
      'incoming/0.csv',
    ]);
    // a size that differs makes another content, whatever the ETag says
    expect(createSnapshot([a, { ...a, key: 'incoming/c.csv', size: 11 }]).files).toHaveLength(2);
  });

  test('knows the content of files whatever their names, versions and number', () => {
    const [a, b] = [file('incoming/a.csv'), file('incoming/b.csv')];
    const renamed = { ...a, key: 'ground-truth/z.csv', versionId: 'v9' };

    expect(contentOfAll([renamed, b, a])).toBe(contentOfAll([a, b]));
    expect(contentOfAll([a])).not.toBe(contentOfAll([a, b]));
    expect(contentOfAll([{ ...a, etag: 'other' }])).not.toBe(contentOfAll([a]));
    expect(contentOfAll([{ ...a, size: 11 }])).not.toBe(contentOfAll([a]));
  });

  test('leaves out what is no data', () => {
    const { files } = createSnapshot([
      file('incoming/'),
      file('incoming/2026/'),
      file('runs/x.csv'),
      file('ground-truth/a.csv'),
    ]);

    expect(files.map(({ key }) => key)).toEqual(['ground-truth/a.csv']);
  });

  test.each([
    'incoming/folder/',
    'incoming/date=2026-01-02/_SUCCESS',
    'incoming/._SUCCESS.crc',
    'incoming/date=2026_$folder$',
    'incoming/_temporary/0/part-0.csv',
    'incoming/_delta_log/00000000000000000010.checkpoint.parquet',
    'ground-truth/.hive-staging_1/part-0.csv',
    'incoming/a.csv._COPYING_',
    'incoming/.DS_Store',
    'capture/a.csv',
  ])('does not take %s for data', (key) => {
    expect(isData(key)).toBe(false);
  });

  test.each(['incoming/a.csv', 'ground-truth/a_b/x.y/c.csv', 'incoming/_day=1/part-0.csv'])(
    'takes %s for data',
    (key) => {
      expect(isData(key)).toBe(true);
    },
  );

  test('leaves out a refused version and names it, but takes the next version of the same file', () => {
    const refused = [{ key: 'incoming/bad.csv', versionId: 'v1' }];

    const first = createSnapshot([file('incoming/bad.csv'), file('incoming/good.csv')], { refused });
    expect(first.files.map(({ key }) => key)).toEqual(['incoming/good.csv']);
    expect(first.leftOut).toEqual(['incoming/bad.csv']);

    const mended = createSnapshot([file('incoming/bad.csv', 1, 'v2'), file('incoming/good.csv')], { refused });
    expect(mended.files).toHaveLength(2);
    expect(mended.leftOut).toBeUndefined();
  });

  test('takes the newest files, of equally new ones the last by key, and lists them in key order', () => {
    const listing = [file('incoming/a.csv', 3), file('incoming/b.csv', 1), file('incoming/c.csv', 1)];

    expect(createSnapshot(listing, { newestFiles: 2 }).files.map(({ key }) => key)).toEqual([
      'incoming/a.csv',
      'incoming/c.csv',
    ]);
  });

  test('does not let a refused file take the place of a good one among the newest', () => {
    const listing = [file('incoming/a.csv', 1), file('incoming/bad.csv', 2)];
    const refused = [{ key: 'incoming/bad.csv', versionId: 'v1' }];

    expect(createSnapshot(listing, { refused, newestFiles: 1 }).files.map(({ key }) => key)).toEqual([
      'incoming/a.csv',
    ]);
  });
});

describe('parseSnapshot', () => {
  const snapshot = createSnapshot([file('incoming/a.csv'), file('incoming/b.csv')]);

  test('gives back what was stored', () => {
    expect(parseSnapshot(JSON.parse(JSON.stringify(snapshot)), 'snapshots/x.json')).toEqual(snapshot);
    expect(snapshotBytes(snapshot)).toBe(20);
  });

  test('refuses a document that was edited', () => {
    const edited = { ...snapshot, files: snapshot.files.slice(1) };

    expect(() => parseSnapshot(edited, 'snapshots/x.json')).toThrow(
      expect.objectContaining({ name: ErrorName.INVALID_DOCUMENT, message: expect.stringContaining('never edited') }),
    );
  });

  test.each([
    null,
    1,
    {},
    { dataVersion: 'x' },
    { dataVersion: 'x', files: [{}] },
    { dataVersion: 'x', files: [null] },
  ])('refuses %j', (document) => {
    expect(() => parseSnapshot(document, 'runs/x.json')).toThrow('runs/x.json must be a snapshot');
  });
});
