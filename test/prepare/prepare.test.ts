import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseContract } from '../../lib/core/dataset/contract';
import { ErrorName } from '../../lib/core/errors';
import { runKeys } from '../../lib/core/names';
import { histogramRows } from '../../lib/core/prepare/profile';
import { csv, Preparation, RIDES, RIDES_HEADER, RUN_ID, rides, written } from '../support/preparation';

const FLIGHTS = resolve('node_modules/vega-datasets/data/flights-3m.parquet');

/** Prepares rides, of which a test may change some rows. */
async function prepareRides(change: (rows: string[][]) => void = () => {}, contract: object = {}, count = 200) {
  const rows = rides(count);
  change(rows);
  using preparation = new Preparation({ 'incoming/a.csv': csv(rows) }, parseContract({ ...RIDES, ...contract }));
  return await preparation.run();
}

/** The failure of a preparation, and what it left. */
async function failure(files: Record<string, string | Uint8Array>, contract: object = {}) {
  using preparation = new Preparation(files, parseContract({ ...RIDES, ...contract }));
  const error: Error = await preparation.prepare().then(
    () => Promise.reject(new Error('the preparation must fail')),
    (reason) => reason,
  );
  return { name: error.name, message: error.message, facts: preparation.facts };
}

describe('prepare', () => {
  test('divides good rows into training, validation and holdout, and says how many', async () => {
    const { report, train, validation, holdout, labels, facts } = await prepareRides();

    expect(report.rows).toEqual({
      read: 200,
      quarantined: 0,
      train: train.length,
      validation: validation.length,
      holdout: 40,
    });
    expect(train.length + validation.length + holdout.length).toBe(200);
    expect(labels.labels).toHaveLength(40);
    expect(facts).toEqual([
      expect.objectContaining({ sk: `RUN#2026-03-01T00:00:00.000Z#${RUN_ID}#PREPARED`, runId: RUN_ID, ...report }),
    ]);
  });

  test('holds out the newest rows, and trains on nothing newer than its cutoff', async () => {
    const { holdout, report } = await prepareRides();
    expect(holdout.map(([id]) => Number(id))).toEqual(Array.from({ length: 40 }, (_, i) => 160 + i));
    expect(report.cutoff).toBe('2026-01-01T02:39:00.000Z');
  });

  test('holds out an exact share where many rows have the same time', async () => {
    const { holdout } = await prepareRides((rows) => {
      for (const row of rows) row[1] = '2026-01-01';
    });
    expect(holdout).toHaveLength(40);
  });

  test('holds out rows of the year 9999, which stands for an open end', async () => {
    const { holdout, report } = await prepareRides((rows) => {
      for (const [i, row] of rows.entries()) if (i % 10 < 3) row[1] = '9999-12-31 23:59:59.999999';
    });
    expect(holdout).toHaveLength(40);
    expect(holdout.every(([id]) => Number(id) % 10 < 3)).toBe(true);
    expect(report.rows.read).toBe(200);
    expect(report.cutoff).toBe('9999-12-31T23:59:59.999Z'); // 60 rows have that time, and 40 are held out
  });

  test('holds out by hash where there is no event time', async () => {
    const { holdout, report } = await prepareRides(undefined, { eventTime: undefined }, 2000);
    expect(holdout.length).toBeGreaterThan(340);
    expect(holdout.length).toBeLessThan(460);
    expect(report).not.toHaveProperty('cutoff');
  });

  test('puts a row into validation by the documented hash of its key alone', async () => {
    const { validation } = await prepareRides();
    const expected = rides(160).filter(([id]) => {
      const hash = createHash('md5').update(`perennial\x1f${id}`).digest().readBigUInt64LE(8);
      return hash % 10_000n < 2000n;
    });
    expect(validation.map((row) => row.km)).toEqual(expected.map(([, , km]) => Number(km)));
  });

  test('writes features in the order of the contract, then the target', async () => {
    const { train, holdout, labels } = await prepareRides();
    expect(Object.keys(train[0])).toEqual(['km', 'city', 'rain', 'hour', 'late']);
    expect(train[0]).toMatchObject({ city: 'Bonn', rain: 'true', hour: '0', late: '1' });
    expect(holdout[0]).toEqual(['160', '120.5', 'Köln', 'false', '2']);
    expect(holdout[1]).toEqual(['161', '127.5', 'a "b", c', '', '2']);
    expect(labels.labels.slice(0, 5)).toEqual([1, 0, 0, 0, 1]);
    const { values, codes } = labels.slices.city;
    expect(codes.map((code) => values[code])).toEqual(holdout.map((cells) => cells[2]));
  });

  test('profiles the training rows', async () => {
    const { profile, train } = await prepareRides();
    expect(profile.rows).toBe(train.length);
    expect(Object.keys(profile.features)).toEqual(['km', 'city', 'rain', 'hour']);
    for (const histogram of Object.values(profile.features)) expect(histogramRows(histogram)).toBe(train.length);
    const { km } = profile.features;
    if (km.kind !== 'number') throw new Error('km is a number');
    const values = train.map((row) => row.km as number);
    expect(km.counts).toEqual(
      [...km.edges, Number.POSITIVE_INFINITY].map(
        (edge, i) =>
          values.filter((value) => value < edge && value >= (km.edges[i - 1] ?? Number.NEGATIVE_INFINITY)).length,
      ),
    );
    expect(profile.target).toMatchObject({
      edges: [1],
      counts: [expect.any(Number), train.filter((row) => row.late === '1').length],
    });
  });

  test('gives the same bytes again for the same snapshot', async () => {
    const [first, second] = [
      new Preparation({ 'incoming/a.csv': csv(rides(3000)) }),
      new Preparation({ 'incoming/a.csv': csv(rides(3000)) }),
    ];
    using _first = first;
    using _second = second;
    await first.prepare();
    await second.prepare();
    await second.prepare();
    const { train, validation, holdoutRows, holdoutLabels, profile } = runKeys(RUN_ID);
    for (const key of [`${train}rows.parquet`, `${validation}rows.parquet`, holdoutRows, holdoutLabels, profile]) {
      expect((await second.store.bytes(key)).equals(await first.store.bytes(key)), key).toBe(true);
    }
  });

  test('prepares real flights from Parquet and from CSV alike', async () => {
    const flights = (path: string, format: string) =>
      `COPY (SELECT * FROM read_parquet('${FLIGHTS}') WHERE month(date) = 1 AND hash(date, origin) % 20 = 0) TO '${path}' (FORMAT ${format})`;
    const contract = parseContract({
      columns: [
        { name: 'date', type: 'timestamp' },
        { name: 'delay', type: 'integer' },
        { name: 'distance', type: 'integer', minimum: 0 },
        { name: 'origin', type: 'string' },
        { name: 'destination', type: 'string' },
      ],
      eventTime: 'date',
      features: [{ name: 'hour', sql: 'hour(date)', kind: 'number' }, 'distance', 'origin', 'destination'],
      target: { name: 'late', sql: 'delay > 15', problem: 'binary' },
    });
    using parquet = new Preparation(
      { 'incoming/a.parquet': await written((path) => flights(path, 'parquet')) },
      contract,
    );
    using text = new Preparation(
      { 'incoming/a.csv.gz': gzipSync(await written((path) => flights(path, 'csv'))) },
      contract,
    );

    const [fromParquet, fromText] = [await parquet.run(), await text.run()];

    expect(fromParquet.report.rows.read).toBeGreaterThan(20_000);
    expect(fromParquet.report.rows.quarantined).toBe(0);
    expect(fromText.report).toEqual(fromParquet.report);
    expect(fromText.train).toEqual(fromParquet.train);
    expect(fromText.holdout).toEqual(fromParquet.holdout);
    expect(fromText.profile).toEqual(fromParquet.profile);
  });
});

describe('a bad row', () => {
  const cases: ReadonlyArray<[what: string, column: string, value: string, reason: string]> = [
    ['a decimal for an integer', 'id', '1.7', "id: must be an integer, got '1.7'"],
    ['a hexadecimal number', 'id', '0x10', "id: must be an integer, got '0x10'"],
    ['digits with an underscore', 'id', '1_000', "id: must be an integer, got '1_000'"],
    ['an exponent for an integer', 'id', '1e2', "id: must be an integer, got '1e2'"],
    ['more than 64 bits', 'id', '9223372036854775808', "id: must be an integer, got '9223372036854775808'"],
    ['an empty key', 'id', '', 'id: must not be empty, got nothing'],
    ['a blank before a number', 'km', ' 5', "km: must be a number, got ' 5'"],
    ['an infinite number', 'km', '1e400', "km: must be a number, got '1e400'"],
    ['a word for a number', 'km', 'nan', "km: must be a number, got 'nan'"],
    ['a number below its range', 'km', '-0.1', "km: must be at least 0, got '-0.1'"],
    ['a number above its range', 'km', '1e3', "km: must be at most 500, got '1e3'"],
    ['a new category', 'city', 'Ulm', `city: must be one of Bonn, Köln, a "b", c, got 'Ulm'`],
    ['a word for a boolean', 'rain', 'yes', "rain: must be true or false, got 'yes'"],
    ['a date that does not exist', 'at', '2026-02-30', "at: must be an ISO timestamp, got '2026-02-30'"],
    ['a date without zeros', 'at', '2026-1-2', "at: must be an ISO timestamp, got '2026-1-2'"],
    ['an American date', 'at', '01/02/2026', "at: must be an ISO timestamp, got '01/02/2026'"],
    ['a repeated key', 'id', '3', "id: must be unique, got '3', as in incoming/a.csv:5"],
  ];

  test.each(cases)('is quarantined for %s', async (_, column, value, reason) => {
    const position = RIDES_HEADER.indexOf(column);
    const { quarantine, report } = await prepareRides((rows) => {
      rows[50][position] = value;
    });

    expect(quarantine).toHaveLength(1);
    expect(quarantine[0]).toMatchObject({ file: 'incoming/a.csv', line: 52, reasons: [reason] });
    expect(quarantine[0].row[column]).toBe(value === '' ? null : value);
    expect(report.quarantine).toEqual([{ reason: reason.slice(0, reason.lastIndexOf(', got')), rows: 1 }]);
  });

  test.each(['1e2', '.5', '2.', '-0', '4.99E+2'])('is not made by the number %s', async (value) => {
    const { report } = await prepareRides((rows) => {
      rows[50][2] = value;
    });
    expect(report.rows.quarantined).toBe(0);
  });

  test('keeps zones: a time with an offset is the same moment in UTC', async () => {
    const { holdout } = await prepareRides((rows) => {
      rows[199][1] = '2026-01-01T05:19:00+02:00';
    });
    expect(holdout[39]).toEqual(['199', expect.anything(), expect.anything(), expect.anything(), '3']);
  });

  test('has all its reasons', async () => {
    const { quarantine } = await prepareRides((rows) => {
      rows[7] = ['x', '2026-01-01', '-1', 'Ulm', '', 'true'];
    });
    expect(quarantine[0].reasons).toEqual([
      "id: must be an integer, got 'x'",
      "km: must be at least 0, got '-1'",
      `city: must be one of Bonn, Köln, a "b", c, got 'Ulm'`,
    ]);
  });

  test('is named by its line, also below line breaks inside quotes, empty lines and lines that are no rows', async () => {
    const lines = csv(rides(100)).split('\n');
    lines[10] = `9,2026-01-01,1,"a ""b"", c",,true`;
    lines[20] = '19,2026-01-01,1,"Bonn\r\n(Rhein)",,true'; // lines 21 and 22
    lines[30] = '';
    lines[40] = '39,2026-01-01';
    lines[50] = '49,"2026-01-01,never closed';
    lines[60] = 'x,2026-01-01,1,Bonn,,true';
    using preparation = new Preparation({ 'incoming/a.csv': lines.join('\n') });

    const { quarantine, report } = await preparation.run();

    expect(report.rows.read).toBe(99);
    expect(quarantine.map(({ line, reasons }) => [line, reasons])).toEqual([
      [21, [expect.stringContaining('city: must be one of')]],
      [42, [expect.stringMatching(/^the line: must have 6 fields .*, has 2 fields$/)]],
      [52, [expect.stringMatching(/^the line: .* quote/)]],
      [62, ["id: must be an integer, got 'x'"]],
    ]);
    expect(quarantine[1].row).toEqual({ text: '39,2026-01-01' });
  });

  test('is quarantined if the target cannot be known', async () => {
    const target = { name: 'far', sql: 'CASE WHEN km <> 357.5 THEN km > 250 END', problem: 'binary' };
    const { quarantine } = await prepareRides(undefined, { target });
    expect(quarantine.map(({ line, reasons }) => [line, reasons])).toEqual([
      [53, ['far: must be known, for it is the target, got nothing']],
    ]);
  });

  test('is quarantined if a derived feature is not finite', async () => {
    const features = [{ name: 'inverse', sql: '1 / (km - 7.5)::DOUBLE', kind: 'number' }];
    const { quarantine, report } = await prepareRides(undefined, { features, slices: [] });
    expect(report.rows.quarantined + report.rows.train + report.rows.validation + report.rows.holdout).toBe(200);
    for (const { reasons } of quarantine)
      expect(reasons).toEqual([expect.stringMatching(/^inverse: must be a finite number, got 'inf/)]);
  });

  test('of 3 % of the rows does not stop a run', async () => {
    const { report, quarantine } = await prepareRides((rows) => {
      for (let i = 0; i < 6; i++) rows[i * 30][2] = 'many';
    });
    expect(report.rows.quarantined).toBe(6);
    expect(report.quarantine).toEqual([{ reason: 'km: must be a number', rows: 6 }]);
    expect(quarantine.map(({ line }) => line)).toEqual([2, 32, 62, 92, 122, 152]);
  });

  test('in every row of a file ends the run, after the quarantine was written', async () => {
    const rows = rides(100);
    for (const row of rows) row[2] = 'far';
    using preparation = new Preparation({ 'incoming/bad.csv': csv(rows) });

    await expect(preparation.prepare()).rejects.toMatchObject({
      name: ErrorName.DATA_REJECTED,
      message: expect.stringMatching(
        /^100 of 100 rows \(100 %\) break the contract, and at most 50 % may: km: must be a number \(100 rows\)\..*incoming\/bad\.csv \(100 of 100\).*quarantine\/rows\.jsonl.*upload it again/,
      ),
    });
    expect(await preparation.quarantine()).toHaveLength(100);
    expect(preparation.facts).toEqual([expect.objectContaining({ sk: 'REFUSED#incoming/bad.csv#v1', runId: RUN_ID })]);
    const { sk } = preparation.besideRun[0] ?? {};
    expect(preparation.besideRun).toEqual([{ ...preparation.facts[0], sk }]);
    expect(sk).toMatch(new RegExp(`^RUN#.*#${RUN_ID}#REFUSED#`));
  });
});

describe('a file', () => {
  const good = csv(rides(100));
  const unreadable: ReadonlyArray<[what: string, key: string, body: string | Uint8Array, message: string]> = [
    ['is empty', 'a.csv', '', 'a.csv cannot be read: it is empty'],
    ['is empty inside gzip', 'a.csv.gz', gzipSync(''), 'it is empty'],
    ['holds only line breaks', 'a.csv', '\n\n', 'it holds only empty lines'],
    ['is Parquet by name only', 'a.parquet', good, 'its name promises Parquet, but it is text'],
    [
      'is CSV by name only',
      'a.csv',
      new Uint8Array([80, 65, 82, 49, 0, 1]),
      'its name promises CSV, but it is Parquet',
    ],
    ['is gzip without saying so', 'a.csv', gzipSync(good), 'its name promises CSV, but it is gzip'],
    ['says gzip and is not', 'a.csv.gz', good, 'its name promises gzipped CSV, but it is text'],
    ['is cut off inside gzip', 'a.csv.gz', gzipSync(good).subarray(0, 400), 'its gzip data is damaged or cut off'],
    ['is an archive', 'a.csv.gz', gzipSync(`x.csv${'\0'.repeat(200)}ustar`), 'but it is binary data'],
    ['is JSON', 'a.csv', '[{"id": 1}]', 'but it is JSON'],
    ['is HTML', 'a.csv', '<!DOCTYPE html><html>', 'but it is HTML or XML'],
    ['is UTF-16', 'a.csv', Buffer.from(`\ufeff${good}`, 'utf16le'), 'save it as UTF-8'],
    ['is a workbook', 'a.csv', 'PK\x03\x04\x14\0', 'a zip archive (Excel, perhaps)'],
    ['is of an unknown kind', 'a.xlsx', 'PK', 'its name must end with .csv, .csv.gz or .parquet'],
    ['has no row', 'a.csv', csv([]), 'there is a header, but no row'],
  ];
  test.each(unreadable)('that %s is refused', async (_, key, body, message) => {
    const result = await failure({ [`incoming/${key}`]: body });
    expect(result).toMatchObject({ name: ErrorName.DATA_UNREADABLE, message: expect.stringContaining(message) });
    expect(result.message).toContain(`incoming/${key}`);
  });

  test('that cannot be used is recorded, so that no later run trips over it', async () => {
    const { facts } = await failure({ 'incoming/a.csv': good, 'incoming/b.csv': '', 'incoming/c.parquet': good });
    expect(facts.map((fact) => fact.sk)).toEqual(['REFUSED#incoming/b.csv#v1', 'REFUSED#incoming/c.parquet#v1']);
  });

  test('of Parquet that was cut off is refused', async () => {
    const whole = await written((path) => `COPY (SELECT 1 AS id) TO '${path}' (FORMAT parquet)`);
    const { name, message } = await failure({ 'incoming/a.parquet': whole.subarray(0, whole.length - 3) });
    expect([name, message]).toEqual([ErrorName.DATA_UNREADABLE, expect.stringContaining('the upload was cut off')]);
  });

  const drop = (name: string, rows: string[][]) => {
    const position = RIDES_HEADER.indexOf(name);
    return csv(
      rows.map((row) => row.toSpliced(position, 1)),
      RIDES_HEADER.toSpliced(position, 1),
    );
  };
  const mismatched: ReadonlyArray<[what: string, body: string, message: string]> = [
    ['lacks a column', drop('km', rides(9)), "column 'km' is missing"],
    [
      'has a column too many',
      csv(
        rides(9).map((row) => [...row, '1']),
        [...RIDES_HEADER, 'fare'],
      ),
      "'fare' must not be there",
    ],
    ['has renamed a column', good.replace('rain', 'raining'), "column 'rain' is missing: is 'raining' meant?"],
    ['has no header', csv(rides(9)).split('\n').slice(1).join('\n'), 'its first line must name the columns id, at, km'],
    ['names one column, and gives it no name', '""', "rain, late, got ''. Correct"],
    ['uses semicolons', good.replaceAll(',', ';'), 'its fields must be separated by commas, got semicolons'],
    [
      'names a column twice',
      csv(
        rides(9).map((row) => [...row, '1']),
        [...RIDES_HEADER, 'km'],
      ),
      "'km' must be there only once",
    ],
  ];
  test.each(mismatched)('that %s is refused by name', async (_, body, message) => {
    const result = await failure({ 'incoming/a.csv': body });
    expect(result).toMatchObject({ name: ErrorName.DATA_REJECTED, message: expect.stringContaining(message) });
    expect(result.message).toContain('incoming/a.csv');
    expect(result.facts).toEqual([expect.objectContaining({ sk: 'REFUSED#incoming/a.csv#v1' })]);
  });

  const moment = "TIMESTAMP '2026-01-01' + to_minutes(i)";
  const odd: ReadonlyArray<[what: string, at: string, otherwise: string]> = [
    ['infinity', "TIMESTAMP 'infinity'", moment],
    ['a year of six digits', "TIMESTAMP '290000-01-01'", moment],
    ['a time zone beyond the year 9999', "TIMESTAMPTZ '9999-12-31 23:59:59-08'", moment],
    ['a date beyond all timestamps', "DATE '5000000-01-01'", "DATE '2026-01-01' + i::INTEGER"],
  ];
  test.each(odd)('of Parquet with %s for a time loses these rows alone', async (_, at, otherwise) => {
    const body = await written(
      (path) =>
        `COPY (SELECT i AS id, CASE WHEN i % 10 = 0 THEN ${at} ELSE ${otherwise} END AS at, ` +
        `(i*7%500)::DOUBLE AS km, 'Bonn' AS city, i%3=0 AS rain, i%4=0 AS late FROM range(200) t(i)) TO '${path}' (FORMAT parquet)`,
    );
    using preparation = new Preparation({ 'incoming/a.parquet': body });
    const { report } = await preparation.run();
    expect(report.quarantine).toEqual([{ reason: 'at: must be an ISO timestamp', rows: 20 }]);
    expect(report.rows).toMatchObject({ read: 200, quarantined: 20, holdout: 36 });
  });

  test('of Parquet with bytes that are no text is refused in words of the upload', async () => {
    const whole = await written(
      (path) =>
        `COPY (SELECT i AS id, TIMESTAMP '2026-01-01' + to_minutes(i) AS at, 1.5 AS km, 'Koeln' AS city, true AS rain, i%4=0 AS late ` +
        `FROM range(200) t(i)) TO '${path}' (FORMAT parquet, COMPRESSION uncompressed)`,
    );
    const body = Buffer.from(Buffer.from(whole).toString('latin1').replaceAll('Koeln', 'K\xf6\xf6ln'), 'latin1');
    const { name, message } = await failure({ 'incoming/a.parquet': body });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toBe(
      'incoming/a.parquet cannot be read: it holds text that is not UTF-8. Correct it and upload it again, or delete it',
    );
  });

  test('of Parquet that is damaged inside is refused without a path of the function', async () => {
    const whole = await written(
      (path) =>
        `COPY (SELECT i AS id, TIMESTAMP '2026-01-01' + to_minutes(i) AS at, i / 2 AS km, 'Bonn' AS city, true AS rain, true AS late FROM range(2000) t(i)) TO '${path}' (FORMAT parquet)`,
    );
    const body = Buffer.concat([whole.subarray(0, 200), whole.subarray(whole.length - 1200)]);
    const { name, message } = await failure({ 'incoming/a.parquet': body });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toMatch(/^incoming\/a\.parquet cannot be read: its data is damaged \(/);
    expect(message).not.toContain('perennial-');
  });

  test('of Parquet with a type that can never fit is refused', async () => {
    const body = await written(
      (path) =>
        `COPY (SELECT 1 AS id, TIMESTAMP '2026-01-01' AS at, [1] AS km, 'Bonn' AS city, true AS rain, true AS late) TO '${path}' (FORMAT parquet)`,
    );
    const { message } = await failure({ 'incoming/a.parquet': body });
    expect(message).toContain("column 'km' must hold numbers, got INTEGER[]");
  });

  test('with CRLF, a byte order mark and no last line break reads like any other', async () => {
    using plain = new Preparation({ 'incoming/a.csv': good });
    using odd = new Preparation({ 'incoming/a.csv': `\ufeff${good.trimEnd().replaceAll('\n', '\r\n')}` });
    expect((await odd.run()).train).toEqual((await plain.run()).train);
  });

  test('with its columns in another order gives the same data', async () => {
    const order = [5, 3, 0, 4, 2, 1];
    const reordered = csv(
      rides(100).map((row) => order.map((i) => row[i])),
      order.map((i) => RIDES_HEADER[i]),
    );
    using plain = new Preparation({ 'incoming/a.csv': good });
    using shuffled = new Preparation({ 'incoming/a.csv': reordered });
    const [expected, actual] = [await plain.run(), await shuffled.run()];
    expect(actual.train).toEqual(expected.train);
    expect(actual.holdout).toEqual(expected.holdout);
    expect(actual.labels).toEqual(expected.labels);
  });
});

describe('a target', () => {
  test.each([
    ['training', (id: number) => id < 160],
    ['holdout', (id: number) => id >= 160],
  ])('with one class in the %s part ends the run', async (part, same) => {
    const rows = rides(200);
    for (const row of rows) if (same(Number(row[0]))) row[5] = 'false';
    const { name, message, facts } = await failure({ 'incoming/a.csv': csv(rows) });
    expect(name).toBe(ErrorName.DATA_REJECTED);
    expect(message).toContain(`the target 'late' must have both classes in the ${part} part`);
    expect(facts).toEqual([]);
  });
});

describe('SQL of a contract', () => {
  const cases: ReadonlyArray<[what: string, sql: string, message: string]> = [
    ['does not parse', 'hour("at"', 'parenthesis'],
    ['names a column that is not there', 'hour(att)', 'Referenced column "att" not found'],
    ['calls a function that is not there', 'hours_of("at")', 'hours_of does not exist'],
    ['gives a text for a number', 'city', 'must give a number or true/false, got VARCHAR'],
    ['looks at other rows', 'avg(km)', 'must look at one row, and avg() looks at many'],
    ['orders rows', 'row_number() OVER ()', 'must not hold a window'],
    ['asks another table', '(SELECT count(*) FROM loaded)', 'must not hold a subquery'],
    ['depends on chance', 'random()', 'must give the same for the same row, and random() does not'],
    ['depends on the time', 'year(now())', 'now() does not'],
    ['reads files', "(SELECT count(*) FROM read_csv('/etc/passwd'))", 'must not hold a subquery'],
    ['fails on the data', 'CAST(city AS INTEGER)', "fails on the data: feature 'x'"],
  ];
  test.each(cases)('that %s is refused', async (_, sql, message) => {
    const features = [{ name: 'x', sql, kind: 'number' }];
    const result = await Promise.resolve()
      .then(() => failure({ 'incoming/a.csv': csv(rides(50)) }, { features, slices: [] }))
      .catch((error) => error);
    expect(result).toMatchObject({ name: ErrorName.INVALID_DOCUMENT, message: expect.stringContaining(message) });
  });
});

describe('laws', () => {
  const someRows = fc.array(fc.nat(400), { minLength: 60, maxLength: 120 });

  test('what is read is kept or quarantined, whatever the rows', { timeout: 60_000 }, async () => {
    const cell = fc.oneof(
      fc.constantFrom('', 'x', '1', '-1', '"', ',', 'true', '\n', '1.5', '2026-01-01', 'Bonn'),
      fc.string({ maxLength: 3 }),
    );
    const bad = fc.array(fc.array(cell, { minLength: 6, maxLength: 6 }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(bad, async (rows) => {
        using preparation = new Preparation({ 'incoming/a.csv': csv([...rides(100), ...rows]) });
        const { report, train, validation, holdout, quarantine } = await preparation.run();
        expect(report.rows.read).toBe(100 + rows.length);
        expect(train.length + validation.length + holdout.length + quarantine.length).toBe(report.rows.read);
      }),
      { numRuns: 12 },
    );
  });

  test('a row is on the same side in any order and any division into files', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(someRows, fc.nat(59), async (order, cut) => {
        const rows = rides(60);
        const shuffled = rows
          .map((row, i) => ({ row, by: order[i] }))
          .sort((a, b) => a.by - b.by)
          .map(({ row }) => row);
        using one = new Preparation({ 'incoming/a.csv': csv(rows) });
        using two = new Preparation({
          'incoming/a.csv': csv(shuffled.slice(0, cut)),
          'incoming/b.csv': csv(shuffled.slice(cut)),
        });
        const [expected, actual] = [await one.run(), await two.run()];
        const sorted = (list: unknown[]) => list.map((each) => JSON.stringify(each)).sort();
        expect(sorted(actual.train)).toEqual(sorted(expected.train));
        expect(sorted(actual.validation)).toEqual(sorted(expected.validation));
        expect(sorted(actual.holdout)).toEqual(sorted(expected.holdout));
        expect(actual.profile).toEqual(expected.profile);
      }),
      { numRuns: 8 },
    );
  });
});
