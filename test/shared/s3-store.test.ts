import { Readable } from 'node:stream';
import { NoSuchKey, type S3Client } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { s3Data } from '../../lambdas/dataset/data';
import { linesOf, S3Store } from '../../lambdas/shared/s3-store';

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

test('lists current versions, as old as their content is', async () => {
  const version = (Key: string, VersionId: string, day: number, ETag: string, IsLatest = false, Size = 1) => ({
    ...{ Key, VersionId, ETag: `"${ETag}"`, IsLatest, Size },
    LastModified: new Date(Date.UTC(2026, 0, day)),
  });
  const pages = [
    {
      Versions: [
        version('again', 'v4', 9, 'x', true),
        version('again', 'v3', 8, 'x'), // uploaded again without a change
        version('again', 'v2', 7, 'y'),
        version('again', 'v1', 6, 'x'), // and once more before it was changed and changed back
        version('changed', 'v2', 5, 'x', true, 2),
      ],
      NextKeyMarker: 'changed',
      NextVersionIdMarker: 'v2',
    },
    {
      Versions: [
        version('changed', 'v1', 4, 'x'),
        version('deleted', 'v1', 3, 'x'),
        version('new', 'v1', 2, 'x', true),
      ],
    },
  ];
  const s3 = { send: async () => pages.shift() } as unknown as S3Client;

  const found = await new S3Store(s3, 'bucket').listVersions('');
  expect(found.map(({ key, versionId, lastModified }) => [key, versionId, lastModified.getUTCDate()])).toEqual([
    ['again', 'v4', 8],
    ['changed', 'v2', 5],
    ['new', 'v1', 2],
  ]);
});

test.each([
  ['that is no JSON is a text, for another try would fail alike', () => body('{"files": ['), 'no JSON'],
  ['that is there is read', () => body('{"files": []}'), { files: [] }],
  ['that is not there is undefined', () => Promise.reject(noSuchKey), undefined],
])('a snapshot %s', async (_, send, read) => {
  const data = s3Data(new S3Store({ send } as unknown as S3Client, 'bucket'));
  expect(await data.read('snapshots/0123456789ab.json')).toEqual(read);
});

test('a snapshot that cannot be read for now is an error, so that it is read again', async () => {
  const send = () => Promise.reject(new Error('SlowDown'));
  const data = s3Data(new S3Store({ send } as unknown as S3Client, 'bucket'));
  await expect(data.read('snapshots/0123456789ab.json')).rejects.toThrow('SlowDown');
});

const body = async (text: string) => ({ Body: Readable.from([Buffer.from(text)]) });
const noSuchKey = new NoSuchKey({ message: 'The specified key does not exist.', $metadata: {} });
