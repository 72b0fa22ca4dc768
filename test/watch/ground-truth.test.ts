import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readGroundTruth } from '../../lambdas/watch/ground-truth';
import { parseContract } from '../../lib/core/dataset/contract';
import { ErrorName } from '../../lib/core/errors';
import { csv, RIDES, rides } from '../support/preparation';

const folder = mkdtempSync(join(tmpdir(), 'perennial-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Reads rides as ground truth, of which a test may change some rows. */
function groundTruth(wanted: string[], change: (rows: string[][]) => void = () => {}, contract: object = {}) {
  const rows = rides(100);
  change(rows);
  const file = join(folder, 'ground truth.csv');
  writeFileSync(file, csv(rows));
  return readGroundTruth(file, parseContract({ ...RIDES, ...contract }), new Set(wanted), 'ground-truth/a.csv');
}

test('gives the target of the wanted keys', async () => {
  const { labels, rows, bad, reasons } = await groundTruth(['4', '5', '1000']);
  expect([...labels]).toEqual([
    ['4', 1],
    ['5', 0],
  ]);
  expect({ rows, bad, reasons }).toEqual({ rows: 100, bad: 0, reasons: [] });
});

test('computes a derived target', async () => {
  const { labels } = await groundTruth(['4', '5'], undefined, {
    target: { name: 'far', sql: 'km * 2', problem: 'regression' },
  });
  expect([...labels.values()]).toEqual([57, 71]);
});

test('gives no label for bad rows, repeated keys and unknown targets, and counts them', async () => {
  const nullable = RIDES.columns.map((column) => (column.name === 'late' ? { ...column, nullable: true } : column));
  const result = await groundTruth(
    ['4', '5', '6', '7'],
    (rows) => {
      rows[4][2] = 'far';
      rows[5][5] = '';
      rows[50][0] = '6';
    },
    { columns: nullable },
  );
  expect([...result.labels.keys()]).toEqual(['6', '7']);
  expect(result.bad).toBe(3);
  expect(result.reasons).toEqual([
    { reason: 'id: must be unique', rows: 1 },
    { reason: 'km: must be a number', rows: 1 },
    { reason: 'late: must be known', rows: 1 },
  ]);
});

test('refuses a file with other columns by the name of its object', async () => {
  const file = join(folder, 'other.csv');
  writeFileSync(file, 'a,b\n1,2\n');
  await expect(readGroundTruth(file, parseContract(RIDES), new Set(), 'ground-truth/other.csv')).rejects.toMatchObject({
    name: ErrorName.DATA_REJECTED,
    message: expect.stringContaining('ground-truth/other.csv'),
  });
});

test('refuses a contract without a key', async () => {
  await expect(groundTruth([], undefined, { key: undefined })).rejects.toThrow('the contract must name a key');
});
