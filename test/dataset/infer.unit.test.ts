import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseContract } from '../../lib/core/dataset/contract';
import { type ColumnSummary, inferContract, roomAround } from '../../lib/core/dataset/infer';

const column = (name: string, change: Partial<ColumnSummary>): ColumnSummary => ({
  name,
  type: 'string',
  rows: 1000,
  missing: 0,
  misfits: 0,
  distinct: 500,
  ...change,
});

const RIDES = [
  column('ride_id', { distinct: 1000 }),
  column('at', { type: 'timestamp', minimum: '2024-03-05 10:00:00', maximum: '2024-04-05 10:00:00' }),
  column('km', { type: 'number', minimum: 0.3, maximum: 41.5, missing: 3 }),
  column('city', { distinct: 2, values: ['Bonn', 'Köln'] }),
  column('late', { type: 'boolean', distinct: 2 }),
];

describe('inferContract', () => {
  test('finds key, event time, ranges, lists, features and target', () => {
    const { contract, notes } = inferContract(RIDES);
    expect(contract).toEqual({
      columns: [
        { name: 'ride_id', type: 'string' },
        { name: 'at', type: 'timestamp', minimum: '2024-01-01' },
        { name: 'km', type: 'number', nullable: true, minimum: 0, maximum: 70 },
        { name: 'city', type: 'string', allowed: ['Bonn', 'Köln'] },
        { name: 'late', type: 'boolean' },
      ],
      key: 'ride_id',
      eventTime: 'at',
      features: ['km', 'city'],
      target: 'late',
    });
    expect(notes).toContain("target: 'late' is a guess; name another by --target");
    expect(() => parseContract(contract)).not.toThrow();
  });

  test('takes the target that it is told', () => {
    const { contract, notes } = inferContract(RIDES, 'km');
    expect(contract).toMatchObject({ target: 'km', features: ['city', 'late'] });
    expect(notes.join()).not.toContain('--target');
  });

  test('takes an integer target of 0 and 1 for two classes, else for a number', () => {
    const label = (maximum: number) => [RIDES[2], column('y', { type: 'integer', minimum: 0, maximum })];
    expect(inferContract(label(1)).contract.target).toEqual({ name: 'y', problem: 'binary' });
    expect(inferContract(label(9)).contract.target).toEqual({ name: 'y', problem: 'regression' });
  });

  test('allows any text where values are seen too seldom to know them all', () => {
    const { contract } = inferContract([column('city', { rows: 30, distinct: 2, values: ['a', 'b'] }), RIDES[4]]);
    expect(contract.columns).toEqual([{ name: 'city', type: 'string' }, expect.anything()]);
  });

  test('refuses a target that is not there, or is a text', () => {
    expect(() => inferContract(RIDES, 'latte')).toThrow("got 'latte'; did you mean 'late'?");
    expect(() => inferContract(RIDES, 'city')).toThrow("got 'city', a string");
  });

  test('says in few words what is wrong, however long the names are and however many', () => {
    expect(() => inferContract(RIDES, 'x'.repeat(100_000))).toThrow(/got 'x{100}… \(99,900 more characters\)'$/);
    const texts = Array.from({ length: 2000 }, (_, i) => column(`${'x'.repeat(1000)}${i}`, {}));
    expect(() => inferContract(texts)).toThrow(/x… \(901 more characters\)' \(string\) and 1,990 more$/);
  });
});

test('the room around a range holds it, and keeps its sign', () => {
  const number = fc.double({ min: -1e9, max: 1e9, noNaN: true });
  fc.assert(
    fc.property(number, number, (a, b) => {
      const [minimum, maximum] = [Math.min(a, b), Math.max(a, b)];
      const [least, most] = roomAround(minimum, maximum);
      expect(least).toBeLessThanOrEqual(minimum);
      expect(most).toBeGreaterThanOrEqual(maximum);
      if (minimum >= 0) expect(least).toBeGreaterThanOrEqual(0);
      if (maximum <= 0) expect(most).toBeLessThanOrEqual(0);
    }),
  );
});

test('sets no range for the key: the next file has other keys', () => {
  const key = column('ride', { type: 'integer', minimum: 1, maximum: 1000, distinct: 1000, rows: 1000 });
  const { contract } = inferContract([
    key,
    column('km', { type: 'number', minimum: 0, maximum: 9 }),
    RIDES[RIDES.length - 1],
  ]);
  expect(contract.key).toBe('ride');
  expect((contract.columns as object[])[0]).toEqual({ name: 'ride', type: 'integer' });
});
