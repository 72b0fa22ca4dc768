import { describe, expect, test } from 'vitest';
import { parseCapturedLine } from '../../lib/core/capture';
import type { Contract } from '../../lib/core/contract';
import { SMOKE_TEST_ID } from '../../lib/core/names';

const contract: Contract = {
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
        { key: '8', features: [2, ''], score: 1, at },
      ],
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
  ])('says why it cannot read %s', (_, text, reason) => {
    expect(parseCapturedLine(text, contract)).toEqual({ unreadable: expect.stringContaining(reason) });
  });
});
