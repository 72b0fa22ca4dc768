import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { linesOf } from '../../lambdas/shared/s3-store';

async function cut(chunks: Uint8Array[], most = 1000): Promise<Array<string | undefined>> {
  const lines: Array<string | undefined> = [];
  for await (const line of linesOf(Readable.from(chunks), most)) lines.push(line && Buffer.from(line).toString());
  return lines;
}

test('cuts bytes into lines, however they come', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.constantFrom('a', 'ü', '\n')), { maxLength: 6 }), async (parts) => {
      const text = parts.flat().join('');
      const whole = text.endsWith('\n') || text === '' ? text.slice(0, -1).split('\n') : text.split('\n');
      const expected = text === '' ? [] : whole;
      expect(await cut(parts.map((part) => Buffer.from(part.join(''))))).toEqual(expected);
    }),
  );
});

test('gives nothing for a line that is too long, and goes on with the next', async () => {
  const long = Array.from({ length: 5 }, () => Buffer.from('x'.repeat(7)));
  expect(await cut([Buffer.from('a\n'), ...long, Buffer.from('\nb\n')], 20)).toEqual(['a', undefined, 'b']);
});
