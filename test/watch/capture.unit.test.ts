import { describe, expect, test } from 'vitest';
import type { Contract } from '../../lib/core/dataset/contract';
import { SMOKE_TEST_ID } from '../../lib/core/names';
import { parseCapturedLine } from '../../lib/core/watch/capture';

const contract: Contract = {
  kind: 'table',
  columns: [],
  key: 'id',
  features: [
    { name: 'distance', kind: 'number', sql: 'distance' },
    { name: 'origin', kind: 'category', sql: 'origin' },
  ],
  target: { name: 'late', sql: 'late', problem: 'binary' },
  slices: [],
  maxBadShare: 0.1,
};

/** A line as SageMaker writes it. */
function line(input: string, output: string, encoding = 'CSV', metadata: object = {}): string {
  return JSON.stringify({
    captureData: {
      endpointInput: { observedContentType: 'text/csv', mode: 'INPUT', data: input, encoding },
      endpointOutput: { observedContentType: 'text/csv; charset=utf-8', mode: 'OUTPUT', data: output, encoding },
    },
    eventMetadata: { eventId: 'e', inferenceTime: '2026-03-01T12:00:00Z', ...metadata },
    eventVersion: '0',
  });
}

const base64 = (text: string) => Buffer.from(text).toString('base64');
const at = Date.UTC(2026, 2, 1, 12);

describe('parseCapturedLine', () => {
  const rows = [
    { key: '7', features: [100.5, 'OAK'], score: 0.25, at },
    { key: '8', features: [null, null], score: 0.5, at },
  ];

  test.each([
    ['CSV', '7,100.5,OAK\n8,,\n', '0.25\n0.5\n', 'CSV'],
    ['CSV with Windows line ends', '7,100.5,OAK\r\n8,,\r\n', '0.25\r\n0.5', 'CSV'],
    ['base64', base64('7,100.5,OAK\n8,,'), base64('0.25\n0.5\n'), 'BASE64'],
    ['JSON lists', '[[7,100.5,"OAK"],[8,null,null]]', '[0.25,0.5]', 'JSON'],
    [
      'JSON instances',
      '{"instances":[{"features":[7,100.5,"OAK"]},{"features":["8",null,null]}]}',
      '{"predictions":[{"score":0.25},{"score":0.5}]}',
      'JSON',
    ],
  ])('pairs questions and answers captured as %s', (_, input, output, encoding) => {
    expect(parseCapturedLine(line(input, output, encoding), contract)).toEqual({ rows });
  });

  test('reads quoted fields, with commas, quotes and line ends in them', () => {
    const parsed = parseCapturedLine(line('7,1,"a, ""b""\nc"\n"8","2",""\n', '0\n1\n'), contract);

    expect(parsed).toEqual({
      rows: [
        { key: '7', features: [1, 'a, "b"\nc'], score: 0, at },
        { key: '8', features: [2, null], score: 1, at },
      ],
    });
  });

  test.each([
    ['an inch mark in a field without quotes', '7,1,5" pipe', '5" pipe'],
    ['what follows a quoted field', '7,1,"a" ', 'a '],
    ['a quoted empty field as missing', '7,1,""', null],
    ['the last field without a line end', '7,1,', null],
    ['a NUL in a text', '7,1,a\0b', 'a\0b'],
  ])('reads %s as it was served', (_, input, origin) => {
    expect(parseCapturedLine(line(input, '0.5\n'), contract)).toEqual({
      rows: [{ key: '7', features: [1, origin], score: 0.5, at }],
    });
  });

  test('reads a quoted field of a million quotes', () => {
    const long = 'x""'.repeat(1e6);
    expect(parseCapturedLine(line(`7,1,"${long}"`, '0.5'), contract)).toHaveProperty(
      'rows.0.features.1',
      'x"'.repeat(1e6),
    );
  });

  test('takes an empty line for a missing value where a row has one field alone', () => {
    const { key: _, ...keyless } = { ...contract, features: contract.features.slice(0, 1) };
    expect(parseCapturedLine(line('1\n\n2\n', '0\n0.5\n1\n'), keyless)).toEqual({
      rows: [
        { features: [1], score: 0, at },
        { features: [null], score: 0.5, at },
        { features: [2], score: 1, at },
      ],
    });
  });

  test('takes any finite number for the score of a regression', () => {
    const regression = { ...contract, target: { ...contract.target, problem: 'regression' } } as const;
    expect(parseCapturedLine(line('7,1,OAK', '-1.5e3'), regression)).toHaveProperty('rows.0.score', -1500);
    expect(parseCapturedLine(line('7,1,OAK', '-1.5e3'), contract)).toEqual({
      unreadable: 'answers must be probabilities from 0 to 1',
    });
  });

  test('needs no key where the contract names none', () => {
    const { key: _, ...keyless } = contract;

    expect(parseCapturedLine(line('1,OAK', '0.5'), keyless)).toEqual({
      rows: [{ features: [1, 'OAK'], score: 0.5, at }],
    });
  });

  test("skips the product's own questions", () => {
    const own = line('7,1,OAK', '0.5', 'CSV', { inferenceId: SMOKE_TEST_ID });

    expect(parseCapturedLine(own, contract)).toEqual({ skipped: true });
  });

  test.each([
    ['half a line', '{"captureData":', 'no JSON'],
    ['a line without a time', line('7,1,OAK', '0.5', 'CSV', { inferenceTime: undefined }), 'inferenceTime'],
    [
      'a question that was not captured',
      JSON.stringify({ eventMetadata: { inferenceTime: '2026-03-01T12:00:00Z' } }),
      'not captured',
    ],
    ['more questions than answers', line('7,1,OAK\n8,1,OAK', '0.5'), 'differ in number'],
    ['a row with a field too few', line('7,1', '0.5'), 'must have 3 fields, got 2'],
    ['an answer that is no number', line('7,1,OAK', 'oops'), 'no finite number'],
    ['JSON that is none', line('7,1,OAK', '0.5', 'JSON'), 'captured as JSON'],
    ['null', 'null', 'inferenceTime'],
    ['a number', '7', 'inferenceTime'],
    ['a time that is an object', line('7,1,OAK', '0.5', 'CSV', { inferenceTime: {} }), 'inferenceTime'],
    ['a time that is a word', line('7,1,OAK', '0.5', 'CSV', { inferenceTime: '5' }), 'inferenceTime'],
    ['predictions that are a text', line('[[7,1,"OAK"]]', '{"predictions":"x"}', 'JSON'), 'must be a list of scores'],
    ['predictions that are an object', line('[[7,1,"OAK"]]', '{"predictions":{}}', 'JSON'), 'must be a list of scores'],
    ['an answer null', line('[[7,1,"OAK"]]', '[null]', 'JSON'), 'no finite number'],
    ['an answer null alone', line('[[7,1,"OAK"]]', 'null', 'JSON'), 'no finite number'],
    ['a score null', line('[[7,1,"OAK"]]', '{"predictions":[{"score":null}]}', 'JSON'), 'no finite number'],
    ['an answer true', line('[[7,1,"OAK"]]', '[true]', 'JSON'), 'no finite number'],
    ['an answer that is a text', line('[[7,1,"OAK"]]', '["0.5"]', 'JSON'), 'no finite number'],
    ['an answer that is a list', line('[[7,1,"OAK"]]', '[[0.5]]', 'JSON'), 'no finite number'],
    ['an answer 1e400', line('[[7,1,"OAK"]]', '[1e400]', 'JSON'), 'no finite number'],
    ['an answer NaN', line('7,1,OAK', 'nan\n'), 'no finite number'],
    ['an empty answer', line('7,1,OAK\n8,1,OAK', '\n0.5\n'), 'no finite number'],
    ['an answer in another base', line('7,1,OAK', '0x1'), 'no finite number'],
    ['no row', line('', ''), 'no row'],
    ['an open quote, which swallows a row', line('7,3,"5 pipe\n8,4,a\n', '0.5'), 'a quote is not closed'],
    ['a number that is none', line('7,far,OAK', '0.5'), "'distance' must be a finite number"],
    ['a number that is infinite', line('7,1e400,OAK', '0.5'), "'distance' must be a finite number"],
    ['a field that is an object', line('[[7,1,{}]]', '[0.5]', 'JSON'), 'a field of a JSON question'],
    ['a key that has lost digits', line('[[12345678901234567890,1,"OAK"]]', '[0.5]', 'JSON'), 'below 2^53'],
    ['an encoding nobody knows', line('7,1,OAK', '0.5', 'GZIP'), 'CSV, JSON or BASE64'],
    ['an encoding that is an object', line('7,1,OAK', '0.5', {} as string), 'CSV, JSON or BASE64'],
    ['base64 that is none', line('7,1,OAK', '0.5', 'BASE64'), 'no base64'],
    ['base64 of no text', line('/////w==', '/////w==', 'BASE64'), 'not in UTF-8'],
    ['a question that is null', line(null as unknown as string, '0.5'), 'the question was not captured'],
    ['an answer captured as a number', line('7,1,OAK', 7 as unknown as string), 'must be captured as a text'],
  ])('says why it cannot read %s', (_, text, reason) => {
    expect(parseCapturedLine(text, contract)).toEqual({ unreadable: expect.stringContaining(reason) });
    expect(parseCapturedLine(Buffer.from(text), contract)).toEqual(parseCapturedLine(text, contract));
  });

  test('says so of bytes that are no UTF-8', () => {
    const bytes = Buffer.from(line('7,1,Köln', '0.5'), 'latin1');
    expect(parseCapturedLine(bytes, contract)).toEqual({ unreadable: 'the text is not in UTF-8' });
  });
});
