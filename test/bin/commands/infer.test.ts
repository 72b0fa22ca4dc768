import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { infer } from '../../../bin/commands/infer';
import { parseContract } from '../../../lib/core/dataset/contract';
import { csv, Preparation, rides } from '../../support/preparation';

const folder = mkdtempSync(join(tmpdir(), 'perennial-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('writes a contract that accepts every row of its sample', async () => {
  const file = join(folder, 'rides.csv');
  writeFileSync(file, csv(rides(500)));

  const { contract } = await infer(file);

  expect(contract).toMatchObject({ key: 'id', eventTime: 'at', features: ['km', 'city', 'rain'], target: 'late' });
  using preparation = new Preparation({ 'incoming/a.csv': csv(rides(500)) }, parseContract(contract));
  expect((await preparation.prepare()).rows).toMatchObject({ read: 500, quarantined: 0 });
});

test('reads Parquet', async () => {
  const { contract } = await infer(resolve('node_modules/vega-datasets/data/flights-3m.parquet'), { target: 'delay' });
  expect(contract).toMatchObject({
    eventTime: 'date',
    features: ['distance', 'origin', 'destination'],
    target: { name: 'delay', problem: 'regression' },
  });
});

test('takes a type that nearly all values have, and says how many have not', async () => {
  const rows = rides(500);
  rows[7][2] = 'far';
  const file = join(folder, 'dirty.csv');
  writeFileSync(file, csv(rows));
  const { contract, notes } = await infer(file);
  expect(contract.columns).toContainEqual(expect.objectContaining({ name: 'km', type: 'number' }));
  expect(notes).toContain("'km': 1 values are no number; their rows would be quarantined");
});

test('refuses a file that is not there', async () => {
  await expect(infer(join(folder, 'none.csv'))).rejects.toThrow('none.csv must be a file');
});
