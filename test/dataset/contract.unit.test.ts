import { describe, expect, test } from 'vitest';
import { contractId, parseContract } from '../../lib/core/dataset/contract';
import { ErrorName } from '../../lib/core/errors';

const SMALLEST = {
  columns: [
    { name: 'distance', type: 'number' },
    { name: 'late', type: 'boolean' },
  ],
  features: ['distance'],
  target: 'late',
};

const FULL = {
  columns: [
    { name: 'id', type: 'string' },
    { name: 'date', type: 'timestamp', minimum: '1987-01-01' },
    { name: 'delay', type: 'integer', minimum: -60, maximum: 3000, nullable: true },
    { name: 'origin', type: 'string', allowed: ['BOS', 'JFK'] },
    { name: 'distance', type: 'number' },
  ],
  key: 'id',
  eventTime: 'date',
  features: ['distance', 'origin', { name: 'hour', sql: 'hour(date)', kind: 'number' }],
  target: { name: 'late', sql: 'delay > 15', problem: 'binary' },
  slices: ['origin'],
  maxBadShare: 0.1,
};

/** The message with which a contract is refused that differs from the full one. */
function refusal(change: object): string {
  try {
    parseContract({ ...FULL, ...change });
  } catch (error) {
    expect((error as Error).name).toBe(ErrorName.INVALID_DOCUMENT);
    return (error as Error).message;
  }
  throw new Error('the contract must be refused');
}

describe('parseContract', () => {
  test('fills in the defaults', () => {
    expect(parseContract(SMALLEST)).toEqual({
      kind: 'table',
      columns: [
        { name: 'distance', type: 'number', nullable: false, unique: false },
        { name: 'late', type: 'boolean', nullable: false, unique: false },
      ],
      features: [{ name: 'distance', kind: 'number', sql: '"distance"' }],
      target: { name: 'late', sql: '"late"', problem: 'binary' },
      slices: [],
      maxBadShare: 0.5,
    });
  });

  test('makes the key unique', () => {
    expect(parseContract(FULL).columns[0]).toEqual({ name: 'id', type: 'string', nullable: false, unique: true });
  });

  test('takes a text for a category and a number for a quantity, unless told', () => {
    const features = ['origin', 'distance', { name: 'delay', kind: 'category' }];
    expect(parseContract({ ...FULL, features }).features.map(({ kind }) => kind)).toEqual([
      'category',
      'number',
      'category',
    ]);
  });

  test.each([
    [{ type: 'boolean' }, 'binary'],
    [{ type: 'number' }, 'regression'],
    [{ type: 'integer', minimum: 0, maximum: 1 }, 'binary'],
    [{ type: 'integer', allowed: [0, 1] }, 'binary'],
  ])('takes a target of %j as %s', (column, problem) => {
    const columns = [SMALLEST.columns[0], { name: 'late', ...column }];
    expect(parseContract({ ...SMALLEST, columns }).target.problem).toBe(problem);
  });

  test('reads what it has read', () => {
    const contract = parseContract(FULL);
    expect(parseContract(JSON.parse(JSON.stringify(contract)))).toEqual(contract);
  });

  test('names every mistake at once', () => {
    const message = refusal({ key: 'idd', eventTime: 'delay', slices: ['distance'], maxBadShare: 2, color: 'red' });
    expect(message).toBe(
      'the contract has 6 mistakes: ' +
        "the contract must have only kind, columns, key, eventTime, features, target, slices, maxBadShare, got 'color'; " +
        "key must name a column, got 'idd'; did you mean 'id'?; " +
        "eventTime must not be nullable, but column 'delay' is; " +
        "eventTime must be a timestamp or a date, but column 'delay' is of type integer; " +
        "slices must name features of kind 'category', but 'distance' is a number; " +
        'maxBadShare must be above 0 and at most 1, got 2',
    );
  });

  const column = (change: object) => ({
    columns: [...FULL.columns.slice(0, 4), { name: 'distance', type: 'number', ...change }],
  });
  const feature = (change: unknown) => ({ features: [change], slices: [] });
  const cases: ReadonlyArray<[what: string, change: object, message: string]> = [
    ['an unknown type', column({ type: 'float' }), "column 'distance': type must be one of string, integer"],
    ['a mistyped member', column({ minimun: 0 }), "got 'minimun'; did you mean 'minimum'?"],
    ['a minimum that is a text', column({ minimum: '0' }), "column 'distance': minimum must be a number, got '0'"],
    ['a range upside down', column({ minimum: 2, maximum: 1 }), 'minimum must not exceed maximum, got 2 and 1'],
    ['values allowed of a number', column({ allowed: [1] }), 'allowed is for strings and integers, not for a number'],
    ['a nullable that is a text', column({ nullable: 'yes' }), "nullable must be true or false, got 'yes'"],
    ['a name with a quote', column({ name: 'dis"tance' }), 'must be a name of 1 to 100 characters without quotes'],
    [
      'names that differ by case alone',
      column({ name: 'Origin' }),
      "columns must have different names, got 'Origin' twice",
    ],
    ['no columns', { columns: [] }, 'columns must name at least one column'],
    ['no features', { features: [], slices: [] }, 'features must name at least one feature'],
    [
      'a mistyped feature',
      feature('distanc'),
      "feature 'distanc' must name a column or have a 'sql'; did you mean 'distance'?",
    ],
    [
      'a time as a feature',
      feature('date'),
      "feature 'date' is a timestamp: derive a number or a category from it by 'sql'",
    ],
    ['SQL without a kind', feature({ name: 'x', sql: 'distance * 2' }), "kind must be given with 'sql'"],
    ['two statements', feature({ name: 'x', sql: '1; DROP TABLE data', kind: 'number' }), 'without a semicolon'],
    ['an open parenthesis', feature({ name: 'x', sql: 'hour(date', kind: 'number' }), 'must close every parenthesis'],
    ['an open quote', feature({ name: 'x', sql: "origin = 'BOS", kind: 'number' }), 'must close every quote'],
    ['a comment', feature({ name: 'x', sql: 'distance -- km', kind: 'number' }), 'must not hold a comment'],
    ['two features of one name', { features: ['origin', 'distance', 'distance'] }, "got 'distance' twice"],
    [
      'the target as a feature',
      { ...feature('delay'), target: { name: 'y', sql: '"delay"', problem: 'regression' } },
      "'delay' is the target itself",
    ],
    ['a text as target', { target: 'origin' }, "target 'origin' is a string: make it true/false or a number by 'sql'"],
    [
      'an integer target without a problem',
      { target: 'delay' },
      'problem must be one of binary, regression, got nothing',
    ],
    ['no target', { target: undefined }, 'target must name a column, or be {name, sql, problem}'],
    ['a kind of data set that there is not', { kind: 'tabel' }, "kind must be one of table, got 'tabel'"],
    ['a nullable key', { key: 'delay' }, "key must not be nullable, but column 'delay' is"],
  ];
  test.each(cases)('refuses %s', (_, change, message) => {
    expect(refusal(change)).toContain(message);
  });

  test('takes semicolons, quotes and parentheses inside of quotes for what they are', () => {
    const features = [{ name: 'x', sql: `origin = 'a;(''b' OR "origin" = '--'`, kind: 'number' }];
    expect(parseContract({ ...FULL, features, slices: [] }).features[0].sql).toBe(features[0].sql);
  });

  test.each([[null], [[]], ['x'], [7], [undefined]])('refuses %j, which is no object', (value) => {
    expect(() => parseContract(value)).toThrow('the contract must be an object');
  });
});

describe('contractId', () => {
  test('is the same for contracts that mean the same', () => {
    const { target, columns, ...rest } = FULL;
    expect(contractId(parseContract({ target, ...rest, columns }))).toBe(contractId(parseContract(FULL)));
  });

  test('differs where a rule differs', () => {
    expect(contractId(parseContract({ ...FULL, maxBadShare: 0.2 }))).not.toBe(contractId(parseContract(FULL)));
  });
});
