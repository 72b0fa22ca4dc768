import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LedgerKey } from '../../lib/core/ledger/keys';

const VERSION = 'v'.repeat(32);

describe('a sort key', () => {
  test('fits DynamoDB for any S3 key, and no two files share one', () => {
    const unit = fc.constantFrom('a', '/', 'ä', '€', '😀', '\u0001', '#');
    const keys = fc.uniqueArray(fc.string({ unit, minLength: 1, maxLength: 1024 }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(keys, (names) => {
        const sorted = names.map((name) => LedgerKey.refused(`incoming/${name}`, VERSION));
        for (const key of sorted) {
          expect(Buffer.byteLength(key)).toBeLessThanOrEqual(1024);
          expect(key.startsWith('REFUSED#incoming/')).toBe(true);
        }
        expect(new Set(sorted).size).toBe(names.length);
      }),
    );
  });

  test('of a long name keeps the versions of one file apart, and whole characters', () => {
    const name = `incoming/${'ä'.repeat(503)}.csv`;
    const key = LedgerKey.refused(name, VERSION);

    expect(Buffer.byteLength(name)).toBe(1019);
    expect(Buffer.byteLength(key)).toBeLessThanOrEqual(1024);
    expect(key).not.toContain('\ufffd');
    expect(LedgerKey.refused(name, `${VERSION.slice(1)}w`)).not.toBe(key);
  });

  test('is readable where it fits, and sorted by time whatever comes after it', () => {
    expect(LedgerKey.refused('incoming/a.csv', 'v1')).toBe('REFUSED#incoming/a.csv#v1');
    expect(LedgerKey.decision('2026-03-01T00:00:00.000Z', 'e'.repeat(2000))).toMatch(
      /^DECISION#2026-03-01T00:00:00\.000Z#e+#[0-9a-f]{64}$/,
    );
  });
});
