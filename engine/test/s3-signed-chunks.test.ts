import { createHash, createHmac } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { S3 } from '../src/services/s3/service';
import { ServedContext } from './support/served-context';
import { signed } from './support/signed';

let context: ServedContext;

beforeEach(async () => {
  context = new ServedContext();
  const s3 = new S3(context);
  s3.ensureBucket('data');
  await context.serve(s3);
});
afterEach(async () => {
  await context.close();
});

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** What may be changed of an upload before it is sent. */
interface Wire {
  readonly chunks: { data: string; signature: string }[];
  readonly trailers: string[];
  headers: Record<string, string>;
}

/** Uploads in chunks of 10 bytes, each signed, as SDKs for streams do over plain HTTP. */
async function upload(text: string, hasTrailer: boolean, change: (wire: Wire) => void = () => {}) {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(text));
  const kind = `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${hasTrailer ? '-TRAILER' : ''}`;
  const [url, { headers: given }] = await signed(context.client, 's3', {
    ...{ method: 'PUT', path: '/data/k' },
    headers: {
      'x-amz-content-sha256': kind,
      'x-amz-decoded-content-length': String(text.length),
      'content-encoding': 'aws-chunked',
      ...(hasTrailer && { 'x-amz-trailer': 'x-amz-checksum-crc32' }),
    },
  });
  const headers = given as Record<string, string>;
  const date = headers['x-amz-date'] ?? '';
  const { credentials, region } = context.client;
  const scope = [date.slice(0, 8), region, 's3', 'aws4_request'];
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  let previous = headers.authorization?.slice(-64) ?? '';
  const sign = (type: string, ...digests: string[]) => {
    const lines = [`AWS4-HMAC-SHA256-${type}`, date, scope.join('/'), previous, ...digests];
    previous = hmac(key as Buffer, lines.join('\n')).toString('hex');
    return previous;
  };
  const parts = [...(text.match(/.{1,10}/gs) ?? []), ''];
  const chunks = parts.map((data) => ({ data, signature: sign('PAYLOAD', sha256(''), sha256(data)) }));
  const trailer = `x-amz-checksum-crc32:${checksum.toString('base64')}`;
  const trailers = hasTrailer ? [trailer, `x-amz-trailer-signature:${sign('TRAILER', sha256(`${trailer}\n`))}`] : [];
  const wire = { chunks, trailers, headers };
  change(wire);
  const body = [
    ...wire.chunks.map(({ data, signature }) => {
      const header = `${data.length.toString(16)}${signature && `;chunk-signature=${signature}`}\r\n`;
      return data === '' ? header : `${header}${data}\r\n`;
    }),
    ...wire.trailers.map((line) => `${line}\r\n`),
    '\r\n',
  ].join('');
  return send(url, wire.headers, body);
}

function send(url: string, headers: Record<string, string>, body: string): Promise<string> {
  return new Promise((done, failed) => {
    const sent = httpRequest(url, { method: 'PUT', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => done(`${response.statusCode} ${/<Code>(.*)<\/Code>/.exec(text)?.[1] ?? ''}`.trim()));
    });
    sent.on('error', failed);
    sent.end(body);
  });
}

const TEXT = 'a text that has more than two chunks';

describe.each([
  ['an upload of signed chunks', false],
  ['an upload of signed chunks and a trailer', true],
])('%s', (_, hasTrailer) => {
  test.each([TEXT, 'short', ''])("is stored: '%s'", async (text) => {
    expect(await upload(text, hasTrailer)).toBe('200');
    const { Body } = await new S3Client(context.client).send(new GetObjectCommand({ Bucket: 'data', Key: 'k' }));
    expect(await Body?.transformToString()).toBe(text);
  });

  test.each<[string, (wire: Wire) => void]>([
    ['with a changed byte', ({ chunks }) => Object.assign(chunks[1] as object, { data: 'x text that' })],
    [
      'with a changed byte of the last chunk',
      ({ chunks }) => Object.assign(chunks.at(-2) as object, { data: 'chunkz' }),
    ],
    ['with chunks in another order', ({ chunks }) => chunks.splice(0, 2, ...chunks.slice(0, 2).reverse())],
    ['with a chunk twice', ({ chunks }) => chunks.splice(1, 1, ...chunks.slice(0, 1))],
    ['without a chunk', ({ chunks }) => chunks.splice(1, 1)],
    ['without the signature of a chunk', ({ chunks }) => Object.assign(chunks[1] as object, { signature: '' })],
    ['without the signature of the end', ({ chunks }) => Object.assign(chunks.at(-1) as object, { signature: '' })],
    [
      'with the signature of another',
      ({ chunks }) => Object.assign(chunks[0] as object, { signature: chunks[1]?.signature }),
    ],
  ])('%s is refused, and nothing is left', async (_, change) => {
    expect(await upload(TEXT, hasTrailer, change)).toBe('403 SignatureDoesNotMatch');
    expect(readdirSync(join(context.stateDir, 's3', 'content'))).toEqual([]);
  });
});

describe('a trailer', () => {
  test.each<[string, string, (wire: Wire) => void]>([
    [
      'that was changed',
      '403 SignatureDoesNotMatch',
      ({ trailers }) => trailers.splice(0, 1, 'x-amz-checksum-crc32:AAAAAA=='),
    ],
    ['that was added to', '403 SignatureDoesNotMatch', ({ trailers }) => trailers.unshift('x-amz-checksum-sha1:AAAA')],
    ['without its signature', '403 SignatureDoesNotMatch', ({ trailers }) => trailers.splice(1, 1)],
    ['that is not there', '403 SignatureDoesNotMatch', ({ trailers }) => trailers.splice(0, 2)],
    [
      'without an end',
      '400 IncompleteBody',
      ({ trailers }) => trailers.unshift(...Array.from({ length: 30 }, (_, i) => `x-${i}: y`)),
    ],
  ])('%s is refused', async (_, code, change) => {
    expect(await upload(TEXT, true, change)).toBe(code);
  });

  test('where none was declared is refused', async () => {
    expect(await upload(TEXT, false, ({ trailers }) => trailers.push('x-amz-meta-a:b'))).toBe('400 IncompleteBody');
  });
});

describe('the size of an upload', () => {
  const put = async (headers: Record<string, string>, body: string) => {
    const [url, init] = await signed(context.client, 's3', { method: 'PUT', path: '/data/k', headers });
    return send(url, { ...(init.headers as object) }, body);
  };
  const plain = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  const chunked = {
    'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'x-amz-trailer': 'x-amz-checksum-crc32',
  };

  test('must be told', async () => {
    expect(await put({ ...plain, 'transfer-encoding': 'chunked' }, 'x')).toBe('411 MissingContentLength');
    expect(await put(chunked, '1\r\nx\r\n0\r\n\r\n')).toBe('411 MissingContentLength');
  });

  test('is 5 GiB at most', async () => {
    const most = 5 * 1024 ** 3;
    const of = (size: number) =>
      put({ ...chunked, 'x-amz-decoded-content-length': String(size) }, '1\r\nx\r\n0\r\n\r\n');
    expect(await of(most)).toBe('400 IncompleteBody'); // taken, but it ends early
    expect(await of(most + 1)).toBe('400 EntityTooLarge');
  });

  test('is not more than was told', async () => {
    const told = { ...chunked, 'x-amz-decoded-content-length': '3' };
    expect(await put(told, '3\r\nabc\r\n0\r\n\r\n')).toBe('200');
    expect(await put(told, '3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n')).toBe('400 IncompleteBody');
    expect(await put(told, 'ffffffffffff\r\nabc')).toBe('400 IncompleteBody');
  });
});
