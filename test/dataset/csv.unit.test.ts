import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CsvCleaner, parseCsv } from '../../lib/core/dataset/csv';

/** Cleans a text that comes in pieces of some bytes. */
function clean(text: string | Buffer, step = 2 ** 16): { header: string[]; records: string[][] } {
  let header: string[] = [];
  const cleaner = new CsvCleaner((names) => {
    header = names;
  });
  const bytes = Buffer.from(text);
  const out: Buffer[] = [];
  for (let i = 0; i < bytes.length; i += step) out.push(cleaner.push(bytes.subarray(i, i + step)));
  out.push(cleaner.end());
  return { header, records: parseCsv(Buffer.concat(out).toString()) };
}

describe('parseCsv', () => {
  test('reads quotes, doubled quotes, line breaks in quotes and empty fields', () => {
    expect(parseCsv('a,"b ""x"" \n",c\r\n1,,\n')).toEqual([
      ['a', 'b "x" \n', 'c'],
      ['1', '', ''],
    ]);
  });

  test('skips empty lines', () => {
    expect(parseCsv('\n\na\n\r\nb')).toEqual([['a'], ['b']]);
  });

  test('reads what was written, whatever it is', () => {
    const record = fc.array(fc.string(), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(record), (records) => {
        const text = records.map(
          (fields) => `${fields.map((field) => `"${field.replaceAll('"', '""')}"`).join(',')}\r\n`,
        );
        expect(parseCsv(text.join(''))).toEqual(records);
      }),
    );
  });
});

describe('CsvCleaner', () => {
  test('numbers records by the line on which they begin', () => {
    const { header, records } = clean('\ufeffa,b\r\n1,2\n"x\r\ny",3\r\n\n4,5');
    expect(header).toEqual(['a', 'b']);
    expect(records).toEqual([
      ['2', '', '1', '2'],
      ['3', '', 'x\r\ny', '3'],
      ['6', '', '4', '5'],
    ]);
  });

  test.each([
    ['has another number of fields', '4,5,6', 'has 3 fields'],
    ['has a quote inside a field', 'z"q,2', 'has a quote inside a field that is not quoted as a whole'],
    ['goes on after a closing quote', '"z"q,2', 'has a quote inside a field that is not quoted as a whole'],
  ])('says what is wrong with a record that %s', (_, line, problem) => {
    expect(clean(`a,b\n${line}\n7,8`).records).toEqual([
      ['2', problem, line, ''],
      ['3', '', '7', '8'],
    ]);
  });

  test('keeps a quote that is never closed from swallowing the lines below it', () => {
    const { records } = clean(`a,b\n"open,1\n${'2,3\n'.repeat(400_000)}`);
    expect(records).toHaveLength(400_001);
    expect(records[0]).toEqual(['2', 'has a quote that is never closed, or more than 1 MiB', '"open,1', '']);
    expect(records[400_000]).toEqual(['400002', '', '2', '3']);
  });

  test.each([
    [2 ** 15, 1],
    [2 ** 17, 2 ** 20],
    [2 ** 20 + 1, 2 ** 20],
    [2 ** 26, 2 ** 20 - 2],
  ])('counts a line of more than 1 MiB as one record, in pieces of %i bytes', (step, length) => {
    const size = length < 10 ? 2 ** 20 + length : 3 * length;
    const text = `a,b\n1,2\n${'x'.repeat(size)}\r\n3,"${'y'.repeat(size)}"\n4,5`;
    const records = clean(text, step).records.map(([line, problem, first, second]) => [
      line,
      problem,
      first.length,
      second,
    ]);
    expect(records).toEqual([
      ['2', '', 1, '2'],
      ['3', 'is longer than 1 MiB', 1000, ''],
      ['4', 'is longer than 1 MiB', 1000, ''],
      ['5', '', 1, '5'],
    ]);
  });

  test('takes a record of exactly 1 MiB, however it is cut', () => {
    const text = `a,b\n1,"${'x'.repeat(2 ** 20 - 4)}"\r\n2,3\n`;
    for (const step of [2 ** 20 - 1, 2 ** 20, 2 ** 20 + 4, 2 ** 20 + 5, 2 ** 20 + 6, 2 ** 22]) {
      expect(clean(text, step).records.map(([line, problem]) => [line, problem])).toEqual([
        ['2', ''],
        ['3', ''],
      ]);
    }
  });

  test('refuses a record of bytes that are not UTF-8, or are NUL', () => {
    const bytes = Buffer.concat([Buffer.from('a,b\nK'), Buffer.from([0xf6]), Buffer.from('ln,1\nx\0,2\nKöln,3\n')]);
    expect(clean(bytes).records.map(([line, problem]) => [line, problem])).toEqual([
      ['2', 'is not UTF-8 text'],
      ['3', 'is not UTF-8 text'],
      ['4', ''],
    ]);
  });

  test('gives the same however the bytes are cut into pieces', () => {
    const piece = fc.constantFrom('"', ',', '\n', '\r', '\r\n', 'a', 'ö', '""', '","', '\n1,2\n');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 7 }), (pieces, step) => {
        const text = `a,b\n${pieces.join('')}`;
        expect(clean(text, step)).toEqual(clean(text));
      }),
      { numRuns: 500 },
    );
  });
});
