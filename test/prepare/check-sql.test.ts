import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { ContinuousTraining, DataContract, Trainer } from '../../lib';
import { parseContract } from '../../lib/core/dataset/contract';
import { sqlMistake } from '../../lib/prepare/check-sql';
import { RIDES } from '../support/preparation';

const contractWith = (sql: string) => ({
  ...RIDES,
  slices: [],
  features: ['km', { name: 'x', sql, kind: 'category' }],
});

test.each([
  ['depends on the clock', 'current_date', 'must give the same for the same row, and current_date does not'],
  ['would take all memory', "repeat('a', 2000000000)", 'must not make more than 100000 bytes of a row'],
  ['calls what is not there', 'hours_of(city)', 'hours_of does not exist'],
])('an expression that %s is refused at synthesis', (_, sql, message) => {
  const stack = new Stack(new App(), 'Stack');
  const contract = DataContract.fromObject(contractWith(sql));
  expect(() => new ContinuousTraining(stack, 'Rides', { contract, trainer: Trainer.xgboost() })).toThrow(
    new RegExp(`Stack/Rides.*the contract's SQL is wrong: feature 'x': sql .*${message}`),
  );
});

test('a contract that Step Functions could not hand on is refused at synthesis', () => {
  const columns = Array.from({ length: 2500 }, (_, i) => ({ name: `customer_attribute_number_${i}`, type: 'number' }));
  const contract = DataContract.fromObject({
    columns: [...columns, { name: 'y', type: 'boolean' }],
    features: columns.map(({ name }) => name),
    target: 'y',
  });
  const stack = new Stack(new App(), 'Stack');
  expect(() => new ContinuousTraining(stack, 'Wide', { contract, trainer: Trainer.xgboost() })).toThrow(
    /Stack\/Wide.*contract must be at most 200000 bytes of JSON, .*name fewer columns/,
  );
});

test('no process is started for a contract without SQL', () => {
  const contract = parseContract({ ...RIDES, features: ['km', 'city'] });
  expect(sqlMistake(contract, '/nowhere')).toBeUndefined();
  expect(() => sqlMistake(parseContract(RIDES), '/nowhere')).toThrow("the contract's SQL could not be checked");
});

test('where DuckDB is not installed, the run looks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-test-'));
  cpSync('dist/bin', folder, { recursive: true });
  expect(sqlMistake(parseContract(contractWith('now()')), join(folder, 'check-sql.mjs'))).toBeUndefined();
});
