import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Contract } from '../../lib/core/dataset/contract';
import type { SnapshotFile } from '../../lib/core/dataset/documents';
import { ErrorName } from '../../lib/core/errors';
import { type CheckedRows, MOST_QUARANTINED, refuseThin, rejectionOf } from '../../lib/core/prepare/rejection';

const files = ['a.csv', 'b.csv', 'c.csv'].map((key) => ({ key, versionId: 'v1', size: 1, etag: 'e' }) as SnapshotFile);
const reasons = ['w', 'x', 'y', 'z'].map((reason) => ({ reason, rows: 5 }));
const byFile = (rows: readonly number[]) => rows.map((rows, file) => ({ file, rows }));

function checked(read: readonly number[], bad: readonly number[]): CheckedRows {
  const worst = byFile(bad)
    .filter(({ rows }) => rows > 0)
    .sort((a, b) => b.rows - a.rows); // as the engine orders them
  return { read: byFile(read), bad: worst, reasons, quarantineKey: 'runs/r/quarantine.jsonl' };
}

describe('rejectionOf', () => {
  test('lets a run go on with as many bad rows as the contract tolerates', () => {
    expect(rejectionOf({ maxBadShare: 0.1 }, files, checked([100, 100, 100], [30, 0, 0]))).toBeUndefined();
  });

  test('says how many rows break the contract, why, where most of them are, and what to do', () => {
    const rejection = rejectionOf({ maxBadShare: 0.1 }, files, checked([100, 100, 100], [1, 30, 0]));
    expect(rejection?.error).toMatchObject({
      name: ErrorName.DATA_REJECTED,
      message:
        '31 of 300 rows (10.3 %) break the contract, and at most 10 % may: w (5 rows); x (5 rows); y (5 rows). ' +
        'Most of them are in b.csv (30 of 100), a.csv (1 of 100). ' +
        'Every row and its reasons lie in runs/r/quarantine.jsonl. Correct the file and upload it again, or widen the contract',
    });
    expect(rejection?.refused).toEqual([{ file: files[1], because: rejection?.error.message }]);
  });

  test('does not claim that the quarantine has every row where it has not', () => {
    const many = MOST_QUARANTINED + 1;
    const rejection = rejectionOf({ maxBadShare: 0.1 }, files, checked([many, 0, 0], [many, 0, 0]));
    expect(rejection?.error.message).toContain('The first rows and their reasons lie in');
  });

  test('refuses the files that are bad beyond the share, and always at least one', () => {
    const file = fc
      .integer({ min: 1, max: 100 })
      .chain((read) => fc.tuple(fc.constant(read), fc.integer({ min: 0, max: read })));
    fc.assert(
      fc.property(fc.tuple(file, file, file), fc.double({ min: 0, max: 1, noNaN: true }), (rows, maxBadShare) => {
        const [read, bad] = [rows.map(([read]) => read), rows.map(([, bad]) => bad)];
        const beyond = rows.flatMap(([read, bad], i) => (bad > maxBadShare * read ? [files[i]?.key] : []));
        const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
        const isRejected = sum(bad) > maxBadShare * sum(read);
        const rejection = rejectionOf({ maxBadShare }, files, checked(read, bad));
        expect(rejection !== undefined).toBe(isRejected);
        expect((rejection?.refused ?? []).map(({ file }) => file.key).sort()).toEqual(isRejected ? beyond : []);
        expect(isRejected && beyond.length === 0).toBe(false);
      }),
    );
  });
});

describe('refuseThin', () => {
  const contract = (problem: 'binary' | 'regression') =>
    ({ target: { name: 'late', sql: 'late', problem } }) as Pick<Contract, 'target'>;

  test('a part without rows', () => {
    const none = { rows: 0, least: 0, most: 0 };
    expect(() => refuseThin(contract('regression'), 'holdout', none)).toThrow(
      'the holdout part must have at least one row',
    );
  });

  test('a part of a binary target with one class', () => {
    const one = { rows: 7, least: 1, most: 1 };
    expect(() => refuseThin(contract('binary'), 'training', one)).toThrow(
      "the target 'late' must have both classes in the training part, but all its 7 rows have 1",
    );
    expect(() => refuseThin(contract('binary'), 'training', { ...one, least: 0 })).not.toThrow();
    expect(() => refuseThin(contract('regression'), 'training', one)).not.toThrow();
  });
});
