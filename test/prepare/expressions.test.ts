import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkExpressions } from '../../lambdas/data-engine/derive';
import { Database } from '../../lambdas/data-engine/duckdb';
import { createTables } from '../../lambdas/data-engine/reader';
import { parseContract } from '../../lib/core/dataset/contract';
import { ErrorName } from '../../lib/core/errors';
import { RIDES } from '../support/preparation';

/** Rides with more columns: some are named like functions that look at the clock. */
const COLUMNS = [
  ...RIDES.columns,
  { name: 'current_date', type: 'date', nullable: true },
  { name: 'user', type: 'string', nullable: true },
  { name: 'stars', type: 'integer', nullable: true, minimum: 0, maximum: 5 },
  { name: 'note', type: 'string', nullable: true },
];

let database: Database;
beforeAll(async () => {
  database = await Database.open();
  await createTables(database, parseContract({ ...RIDES, columns: COLUMNS }));
});
afterAll(() => database.close());

/** Checks one expression; undefined, or why it is refused. */
async function refusal(sql: string, kind: 'number' | 'category' = 'category'): Promise<string | undefined> {
  const contract = parseContract({ ...RIDES, columns: COLUMNS, slices: [], features: [{ name: 'x', sql, kind }] });
  try {
    await checkExpressions(database, contract);
    return undefined;
  } catch (error) {
    expect((error as Error).name).toBe(ErrorName.INVALID_DOCUMENT);
    return (error as Error).message;
  }
}

describe('an honest expression is taken', () => {
  const honest = [
    // parts of times
    'hour("at")',
    'dayofweek("at")',
    'month("at") IN (6, 7, 8)',
    'extract(year FROM "at")',
    'date_part(\'week\', "at")',
    'date_trunc(\'month\', "at")',
    "date_diff('day', DATE '2020-01-01', \"at\")",
    'age("at", TIMESTAMP \'2020-01-01\')',
    'epoch("at") / 3600',
    '"at" - INTERVAL 3 DAY',
    '"at" + to_minutes(5)',
    'strftime("at", \'%Y-%m\')',
    'dayname("at")',
    'last_day("at"::DATE)',
    'isodow("at") >= 6',
    'time_bucket(INTERVAL 6 HOUR, "at")',
    '"at" AT TIME ZONE \'Europe/Berlin\'',
    'minute("at") + 60 * hour("at")',
    '"current_date"',
    'current_date',
    'year(current_date)',
    "strptime(note, '%d.%m.%Y')",
    "try_strptime(note, ['%Y-%m-%d', '%d.%m.%Y'])",
    // numbers
    'km',
    'km * 1.609',
    'km / nullif(stars, 0)',
    'round(km, 1)',
    'ln(km + 1)',
    'sqrt(abs(km)) + power(km, 2)',
    'greatest(km, 10)',
    'least(coalesce(km, 0), 100)',
    'floor(km / 10)::INTEGER',
    'km BETWEEN 5 AND 10',
    'CASE WHEN km < 1 THEN 0 WHEN km < 10 THEN 1 ELSE 2 END',
    'if(rain, 1, 0)',
    'rain::INTEGER + late::INTEGER',
    'TRY_CAST(note AS DOUBLE)',
    'isfinite(km)',
    'sin(2 * pi() * hour("at") / 24)',
    'mod(id, 10)',
    'id % 7',
    'id & 255',
    'bit_count(id)',
    'gcd(id, 12)',
    // texts
    'upper(city)',
    "city || '-' || note",
    'concat_ws(\'/\', city, note, "user")',
    'trim(lower(note))',
    'length(note)',
    'left(city, 2)',
    'substring(note, 2, 5)',
    "replace(replace(replace(city, 'ö', 'oe'), 'ä', 'ae'), 'ü', 'ue')",
    "regexp_extract(note, '([0-9]+)', 1)",
    "regexp_replace(note, '[^a-z]', '', 'g')",
    "regexp_replace(regexp_replace(regexp_replace(note, '\\d+', '#', 'g'), '\\s+', ' ', 'g'), '^ ', '')",
    "regexp_matches(note, '(a+)+$')",
    "city LIKE 'B%'",
    "city ILIKE '%öl%'",
    "starts_with(note, 'x')",
    "contains(note, 'delay')",
    "split_part(note, '-', 2)",
    "lpad(id::VARCHAR, 10, '0')",
    "repeat('*', stars)",
    'reverse(city)',
    'ascii(city)',
    'md5(note)',
    'sha256(note)',
    'levenshtein(city, note)',
    "printf('%05d', id)",
    "format('{:.2f}', km)",
    'strip_accents(city)',
    "coalesce(nullif(note, ''), 'none')",
    "'7 days'",
    "note = 'today'",
    '"user"',
    'note.upper().trim()',
    // lists
    "len(string_split(note, ' '))",
    "string_split(note, ' ')[1]",
    "list_contains(string_split(note, ','), city)",
    "list_sort(string_split(note, ','))[-1]",
    "array_to_string(list_transform(string_split(note, ' '), lambda word: upper(word)), ' ')",
    "list_sum(list_transform(string_split(note, ','), lambda part: coalesce(TRY_CAST(part AS DOUBLE), 0)))",
    "len(list_filter(string_split(note, ' '), word -> length(word) > 3))",
    'list_max([km, stars, 3])',
    'list_unique([city, note])',
    "list_aggregate(string_split(note, ' '), 'max')",
    'list_sum(range(stars))',
    "list_reduce(string_split(note, ' '), (a, b) -> a || '-' || b)",
    "[part for part in string_split(note, ',') if part <> '']::VARCHAR",
    "{'a': km}.a",
    "map(['Bonn', 'Köln'], [1, 2])[city]",
    // JSON
    "note::JSON ->> '$.a'",
    "json_extract_string(note, '$.a.b')",
    "TRY_CAST(json_extract(note, '$.n') AS DOUBLE)",
  ];

  test.each(honest)('%s', async (sql) => {
    expect(await refusal(sql)).toBeUndefined();
  });

  test('of all of these there are more than 60', () => {
    expect(honest.length).toBeGreaterThan(60);
  });
});

describe('an expression that gives something else another day is refused', () => {
  test.each([
    'current_timestamp::VARCHAR',
    'year(CURRENT_TIMESTAMP)',
    '"current_timestamp"',
    'current_time',
    'localtimestamp',
    'LocalTime',
    'now()',
    'today() - "at"::DATE',
    'age("at")',
    '"at".age()',
    'current_localtimestamp()',
    'current_localtime()',
    'get_current_time()',
    'get_current_timestamp()',
    'transaction_timestamp()',
    'ago(INTERVAL 1 DAY)',
    'pg_postmaster_start_time()',
    'pg_conf_load_time()',
    "'now'::TIMESTAMP",
    "DATE 'today'",
    "TRY_CAST('Tomorrow' AS DATE)",
    'CAST(\' yesterday \' AS TIMESTAMP) < "at"',
    "upper(localtimestamp -> '$')",
    'list_transform([1], lambda x: current_timestamp)',
    'CASE WHEN km > 1 THEN epoch(now()) END',
    'random()',
    'uuid()',
    'uuidv7()',
    'gen_random_uuid()',
    "nextval('s')",
    "currval('s')",
    "current_setting('threads')",
    "getvariable('x')",
    "getenv('HOME')",
    'version()',
    'current_user',
    'session_user',
    'current_schema',
    'current_database()',
    'current_query()',
    'txid_current()',
    'current_transaction_id()',
    "in_search_path('a', 'b')",
    'stats(km)',
    'vector_type(km)',
    'hash(city)',
    'rowid',
    'setseed(0.5)',
  ])('%s', async (sql) => {
    expect(await refusal(sql)).toMatch(/feature 'x': sql must (give the same|name columns)/);
  });
});

describe('an expression that looks at more than its row is refused', () => {
  test.each([
    ['avg(km)', 'must look at one row, and avg() looks at many'],
    ['geomean(km)', 'must look at one row'],
    ['wavg(km, stars)', 'must look at one row'],
    ['row_number() OVER ()', 'must not hold a window'],
    ['(SELECT max(km) FROM loaded)', 'must not hold a subquery'],
    ['EXISTS (SELECT 1)', 'must not hold a subquery'],
    ['unnest([1, 2])', 'must give one value'],
    ["COLUMNS('k.*')", 'must not hold a star'],
    ['grouping(km)', 'must be computed from its own row alone'],
    ['#1', 'must not hold a column by position'],
    ['$1', 'must not hold a parameter'],
    ['loaded.km', 'must name columns by their own names alone'],
    ['speed', 'Referenced column "speed" not found'],
    ['citty', "did you mean 'city'?"],
  ])('%s', async (sql, message) => {
    expect(await refusal(sql)).toContain(message);
  });
});

describe('an expression that may take all memory or all time is refused, and does not hang', () => {
  test.each([
    "repeat('a', 2000000000)",
    'repeat(city, 1000000000)',
    "repeat(repeat(repeat(repeat('a', 1000), 1000), 1000), 1000)",
    "repeat('a', id)",
    "repeat('a', stars * 1000000)",
    "repeat('a', (1e9)::BIGINT)",
    "repeat('a', 1 + 2000000000 - 1)",
    "repeat('a', greatest(5, 2000000000))",
    "repeat('a', CASE WHEN rain THEN 1 ELSE 2000000000 END)",
    "length(repeat('a', 2000000000))",
    "lpad('a', 2000000000, 'x')",
    "rpad(city, 2000000000, 'x')",
    'len(range(1, 2000000000))',
    'len(range(2000000000))',
    'list_sum(generate_series(0, 2000000000, 1))',
    'len(range(id))',
    'len(range("at", TIMESTAMP \'9999-01-01\', INTERVAL 1 SECOND))',
    'list_resize([1], 2000000000, 0)',
    'array_resize([1], 2000000000)',
    "printf('%2000000000d', 1)",
    "printf('%*d', 2000000000, 1)",
    "format('{:>2000000000}', city)",
    "format('{:>{}}', city, 2000000000)",
    'bar(km, 0, 500, 2000000000)',
    "bitstring('1', 2000000000)",
    'to_base(id, 2, 2000000000)',
    'equi_width_bins(0, 500, 2000000000, true)',
    'len(list_transform(range(10000), lambda x: range(10000)))',
    'list_sum(list_transform(range(1000), lambda x: list_sum(list_transform(range(1000), lambda y: x * y))))',
    'length(list_reduce(range(60)::VARCHAR[], lambda a, b: a || a))',
    'length(list_reduce([city, city, city], lambda a, b: a || a || a || a || b))',
    `length(${'replace('.repeat(8)}'aaaaaaaaaa'${", 'a', 'aaaaaaaaaa')".repeat(8)})`,
    "regexp_replace(repeat('a', 1000), '', repeat('b', 1000), 'g')",
    `length(${'hex('.repeat(40)}city${')'.repeat(40)})`,
    `length(${'json_quote('.repeat(20)}city${')'.repeat(20)})`,
    "list_aggregate(range(1000)::VARCHAR[], 'string_agg', repeat('x', 1000))",
    "array_to_string(range(1000), repeat('x', 1000))",
    'repeat([1, 2, 3], 2000000000)',
    'city.repeat(2000000000)',
  ])('%s', async (sql) => {
    const began = performance.now();
    expect(await refusal(sql)).toMatch(/must (not make more than|take at most|not make more of)/);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test.each([
    ['deep calls', `${'abs('.repeat(2500)}1${')'.repeat(2500)}`],
    ['deep negations', `${'NOT '.repeat(4000)}true`],
    ['deep lists', `${'['.repeat(5000)}1${']'.repeat(5000)}`],
    ['a long chain', `1${'+1'.repeat(9000)}`],
    ['a pattern that repeats repeats', "regexp_matches(city, '((a{1000}){1000}){1000}')"],
    ['too long a text', `'${'a'.repeat(30_000)}'`],
  ])('%s', async (_, sql) => {
    const began = performance.now();
    let message: string | undefined;
    try {
      message = await refusal(sql, 'number');
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/feature 'x': sql /);
    expect(message?.length).toBeLessThan(5000);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

test('every mistake is named at once', async () => {
  const features = [
    { name: 'a', sql: 'now()', kind: 'category' },
    { name: 'b', sql: 'upper(cty)', kind: 'category' },
    { name: 'c', sql: 'upper(km, 3)', kind: 'category' },
    { name: 'd', sql: 'hour("at")', kind: 'number' },
  ];
  const contract = parseContract({ ...RIDES, columns: COLUMNS, slices: [], features });
  await expect(checkExpressions(database, contract)).rejects.toThrow(
    /feature 'a': sql must give the same.*feature 'b': sql must name columns.*feature 'c': sql Binder Error/,
  );
});
