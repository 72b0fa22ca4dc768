import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SnapshotFile } from '../../lib/core/dataset/documents';
import { batchesOf } from '../../lib/core/prepare/batches';
import { HoldoutCollector } from '../../lib/core/prepare/holdout';
import { afterCut, holdoutRows, inHoldout, partsOf } from '../../lib/core/prepare/split';

describe('the split', () => {
  test('holds out at least one row, and else the share of the rows', () => {
    expect([holdoutRows(0, 0.2), holdoutRows(2, 0.2), holdoutRows(100, 0.2)]).toEqual([1, 1, 20]);
  });

  test('by event time: what is after the cut, and at its moment the smallest hashes', () => {
    expect(afterCut('1700000000000000', '18446744073709551615')).toBe(
      '(t > 1700000000000000 OR t = 1700000000000000 AND h <= 18446744073709551615)',
    );
  });

  test('puts every row into exactly one part', () => {
    /** The conditions on a hash, as JavaScript: `//` divides whole numbers. */
    const holds = (sql: string, h: bigint): boolean =>
      new Function(
        'h',
        `return ${sql.replaceAll('NOT', '!').replaceAll('AND', '&&').replaceAll('//', '/').replace(/\d+/g, '$&n')}`,
      )(h);
    const share = fc.integer({ min: 1, max: 99 }).map((percent) => percent / 100);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), share, share, (h, holdout, validation) => {
        const parts = Object.entries(partsOf(inHoldout(holdout), validation));
        const found = parts.filter(([, sql]) => holds(sql, h)).map(([name]) => name);
        const expected =
          (h / 10_000n) % 10_000n < BigInt(Math.round(10_000 * holdout))
            ? 'holdout'
            : h % 10_000n < BigInt(Math.round(10_000 * validation))
              ? 'validation'
              : 'train';
        expect(found).toEqual([expected]);
      }),
    );
  });
});

describe('batchesOf', () => {
  const MIB = 2 ** 20;

  test('reads small files together and large ones alone, each once and in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 6 * MIB })), (sizes) => {
        const all = sizes.map((size, i) => ({ key: `${i}`, versionId: 'v', size, etag: 'e' }) as SnapshotFile);
        const batches = batchesOf(all, [...all.keys()]);
        expect(batches.flat()).toEqual([...all.keys()]);
        const bytes = batches.map((batch) => batch.reduce((sum, file) => sum + (sizes[file] as number), 0));
        expect(batches.every((batch, i) => batch.length === 1 || (bytes[i] as number) <= 4 * MIB)).toBe(true);
        // no two that follow each other would have fitted together
        const next = batches.slice(1).map((batch, i) => (bytes[i] as number) + (sizes[batch[0] as number] as number));
        expect(next.every((sum) => sum > 4 * MIB)).toBe(true);
      }),
    );
  });

  test('knows the files by their places among all', () => {
    const all = [5, 1, 1].map((mib) => ({ key: 'k', versionId: 'v', size: mib * MIB, etag: 'e' }) as SnapshotFile);
    expect(batchesOf(all, [1, 2])).toEqual([[1, 2]]);
  });
});

describe('HoldoutCollector', () => {
  test('has labels and slices as they came, however they were divided into blocks', () => {
    const row = fc.tuple(
      fc.integer({ min: 0, max: 1 }),
      fc.option(fc.constantFrom('SFO', 'OAK', '')),
      fc.constantFrom('a', 'b'),
    );
    fc.assert(
      fc.property(fc.array(fc.array(row)), (blocks) => {
        const collector = new HoldoutCollector(['origin', 'carrier']);
        for (const rows of blocks) {
          collector.add(
            rows.map(([label]) => label),
            [rows.map(([, origin]) => origin), rows.map(([, , carrier]) => carrier)],
          );
        }
        const { labels, slices } = collector.document;
        const rows = blocks.flat();
        expect(labels).toEqual(rows.map(([label]) => label));
        const decoded = (name: string) => slices[name]?.codes.map((code: number) => slices[name]?.values[code]);
        expect(decoded('origin')).toEqual(rows.map(([, origin]) => origin ?? ''));
        expect(decoded('carrier')).toEqual(rows.map(([, , carrier]) => carrier));
        expect(new Set(slices.origin?.values).size).toBe(slices.origin?.values.length);
      }),
    );
  });
});
