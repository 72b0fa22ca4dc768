import { expect, test } from 'vitest';
import { parseContract } from '../../lib/core/dataset/contract';
import type { Profile } from '../../lib/core/prepare/profile';
import { countServedRows } from '../../lib/core/watch/served';

const CONTRACT = parseContract({
  columns: [
    { name: 'id', type: 'string' },
    { name: 'km', type: 'number' },
    { name: 'city', type: 'string' },
    { name: 'late', type: 'boolean' },
  ],
  key: 'id',
  features: ['km', 'city'],
  target: 'late',
});

const PROFILE: Profile = {
  contractId: 'x',
  rows: 0,
  features: {
    km: { kind: 'number', edges: [10, 20], counts: [0, 0, 0], missing: 0, mean: 0, deviation: 0 },
    city: { kind: 'category', values: ['Bonn'], counts: [0], other: 0, missing: 0 },
  },
  trivial: { mean: 0.5, median: 0 },
  target: { kind: 'number', edges: [1], counts: [0, 0], missing: 0, mean: 0, deviation: 0 },
};

test('counts requests with the edges and values of the training data', () => {
  const served = countServedRows(CONTRACT, PROFILE, [
    ['1', '9.99', 'Bonn'],
    ['2', '10', 'Ulm'],
    ['3', '1e3', ''],
    ['4', '', 'Bonn'],
  ]);

  expect(served).toMatchObject({ rows: 4, malformed: 0, unparsed: {} });
  expect(served.features.km).toMatchObject({ counts: [1, 1, 1], missing: 1 });
  expect(served.features.city).toMatchObject({ counts: [2], other: 1, missing: 1 });
});

test('counts what is no number as missing, and says how often', () => {
  const served = countServedRows(
    CONTRACT,
    PROFILE,
    [' 5', '0x10', 'NaN', 'Infinity', '1,5'].map((km) => ['1', km, 'Bonn']),
  );
  expect(served.unparsed).toEqual({ km: 5 });
  expect(served.features.km).toMatchObject({ counts: [0, 0, 0], missing: 5 });
});

test('leaves out rows with another number of cells', () => {
  expect(
    countServedRows(CONTRACT, PROFILE, [
      ['1', '5'],
      ['1', '5', 'Bonn'],
    ]),
  ).toMatchObject({ rows: 1, malformed: 1 });
});
