import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Keys } from '../src/gateway/keys';
import { SignedChunks } from '../src/gateway/signature';
import type { Caller, Service } from '../src/service';
import { Door } from './support/door';
import { encode, presigned, signed, type Unsigned } from './support/signed';

/** Says who asked, and with what. */
const echo = (name: string): Service => ({
  name,
  operations: {},
  handle: async (request, response, _, { caller, body }) => {
    response.end(JSON.stringify({ url: request.url, caller, body: body.toString() }));
    return true;
  },
});
const services = new Map(['s3', 'lambda', 'sns', 'states', 'monitoring'].map((name) => [name, echo(name)]));

/** The engine's clock, as in a replay of the year 2001. */
let engineTime = Date.parse('2001-02-01T06:00:00Z');
const door = new Door({ services, call: async (_, operation) => ({ operation }) }, () => engineTime);
const ROLE = 'arn:aws:iam::000000000000:role/worker';
const MINUTE = 60_000;

beforeAll(() => door.gateway.listen(0));
afterAll(() => door.gateway.close());

async function ask(service: string, request: Unsigned = {}, keys: Keys = door.keys.root, change: RequestInit = {}) {
  const [url, init] = await signed(door.clientWith(keys), service, request);
  return answer(url, { ...init, ...change, headers: { ...init.headers, ...change.headers } as Record<string, string> });
}

async function answer(url: string, init?: RequestInit): Promise<{ status: number; text: string; caller?: Caller }> {
  const response = await fetch(url, init);
  const text = await response.text();
  return { status: response.status, text, ...(response.ok && text !== '' && { caller: JSON.parse(text).caller }) };
}

describe('a signature', () => {
  const part = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }).filter((text) => !/^\.+$/.test(text));
  const request = fc.record({
    method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD'),
    path: fc.array(part, { maxLength: 3 }).map((parts) => `/${parts.map(encode).join('/')}`),
    query: fc.dictionary(fc.stringMatching(/^[\w.~-]{1,8}$/), fc.string({ unit: 'grapheme', maxLength: 8 }), {
      maxKeys: 3,
    }),
    headers: fc.dictionary(
      fc.stringMatching(/^x-(amz-meta-)?[a-z0-9]{1,8}$/),
      fc.stringMatching(/^[!-~]([ -~]{0,10}[!-~])?$/),
      { maxKeys: 3 },
    ),
  });

  test('is believed whatever the request, and never once a part of it has changed', async () => {
    await fc.assert(
      fc.asyncProperty(
        request,
        fc.constantFrom('s3', 'lambda'),
        fc.string({ maxLength: 20 }),
        async (given, service, text) => {
          const body = ['PUT', 'POST'].includes(given.method) && service !== 's3' ? text : undefined;
          const whole = { ...given, ...(body !== undefined && { body }) };
          const [url, init] = await signed(door.client, service, whole);
          expect((await answer(url, init)).status).toBe(200);
          const headers = init.headers as Record<string, string>;
          const other = given.method === 'DELETE' ? 'GET' : 'DELETE';
          expect((await answer(url, { ...init, method: other, body: undefined })).status).toBe(403);
          expect((await answer(`${url}${url.includes('?') ? '&' : '?'}versionId=1`, init)).status).toBe(403);
          expect((await answer(url.replace(/(\?|$)/, 'x$1'), init)).status).toBe(403);
          expect((await answer(url, { ...init, headers: { ...headers, 'x-amz-meta-more': '1' } })).status).toBe(403);
          expect(
            (await answer(url, { ...init, headers: { ...headers, 'x-amz-date': '20010201T060001Z' } })).status,
          ).toBe(403);
          const authorization = headers.authorization?.replace(/.$/, (last) => (last === '0' ? '1' : '0')) ?? '';
          expect((await answer(url, { ...init, headers: { ...headers, authorization } })).status).toBe(403);
          if (body !== undefined) expect((await answer(url, { ...init, body: `${body}x` })).status).toBe(403);
        },
      ),
      { numRuns: 25 },
    );
  });

  test.each([
    ['s3', 'SignatureDoesNotMatch'],
    ['sns', 'SignatureDoesNotMatch'],
    ['states', 'InvalidSignatureException'],
  ])('by a wrong secret is refused in the words of %s: %s', async (service, code) => {
    const { status, text } = await ask(service, {}, { ...door.keys.root, secretAccessKey: 'wrong' });
    expect(status).toBe(403);
    expect(text).toContain(code);
  });

  test.each([
    ['s3', 'InvalidAccessKeyId'],
    ['sns', 'InvalidClientTokenId'],
    ['states', 'UnrecognizedClientException'],
  ])('by keys of another start is refused in the words of %s: %s', async (service, code) => {
    const { status, text } = await ask(service, {}, new Door({ services, call: async () => ({}) }).keys.root);
    expect(status).toBe(403);
    expect(text).toContain(code);
    expect(text).toContain('whose keys are made anew at every start');
  });

  test('must be there, whole, and once', async () => {
    const { url } = door.gateway;
    expect(await answer(url)).toMatchObject({
      status: 403,
      text: expect.stringContaining('the request is not signed'),
    });
    for (const authorization of [
      'Bearer x',
      'AWS local:signature',
      'AWS4-HMAC-SHA256 Credential=a/b',
      'AWS4-ECDSA-P256-SHA256 x',
    ]) {
      expect((await answer(url, { headers: { authorization } })).status).toBe(403);
    }
    const twice = await presigned(door.client, 's3', 60);
    const [, init] = await signed(door.client, 's3');
    expect(await answer(twice, init)).toMatchObject({ status: 403, text: expect.stringContaining('Only one auth') });
  });

  test('must cover the host and all headers of AWS', async () => {
    const [url, init] = await signed(door.client, 'lambda');
    const headers = init.headers as Record<string, string>;
    for (const name of ['host;', ';x-amz-date']) {
      const authorization = headers.authorization?.replace(name, '') ?? '';
      expect(await answer(url, { headers: { ...headers, authorization } })).toMatchObject({
        status: 403,
        text: expect.stringContaining('were not signed'),
      });
    }
  });

  test('of S3 must tell what the body is', async () => {
    const signedHash = (hash: string) => ask('s3', { headers: { 'x-amz-content-sha256': hash } });
    expect((await signedHash('UNSIGNED-PAYLOAD')).status).toBe(200);
    for (const hash of ['', 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'none']) {
      expect((await signedHash(hash)).status).toBe(400);
    }
  });
});

describe('the time of a signature', () => {
  const at = (time: number, keys?: Keys) => ask('states', { at: new Date(time) }, keys);

  test('may be a quarter of an hour off', async () => {
    for (const minutes of [-14, 0, 14]) expect((await at(Date.now() + minutes * MINUTE)).status).toBe(200);
    for (const minutes of [-16, 16, 100_000]) {
      expect(await at(Date.now() + minutes * MINUTE)).toMatchObject({
        status: 403,
        text: expect.stringContaining('difference between the request time and the current time is too large'),
      });
    }
    const ofS3 = await ask('s3', { at: new Date(0) });
    expect(ofS3.text).toContain('RequestTimeTooSkewed');
  });

  test("may be the engine's for its children alone, since their work began", async () => {
    const child = door.keys.issue(ROLE, 'fn');
    const began = engineTime;
    expect((await at(engineTime)).status).toBe(403); // the person at the keyboard has no such clock
    expect((await at(engineTime, child)).status).toBe(200);
    engineTime += 3 * 86_400_000; // its invocation began before, and sees the time of its beginning
    for (const time of [began, engineTime, Date.now()]) expect((await at(time, child)).status).toBe(200);
    for (const time of [began - 16 * MINUTE, engineTime + 16 * MINUTE])
      expect((await at(time, child)).status).toBe(403);
  });
});

describe('a presigned URL', () => {
  const of = (seconds: number, request: Unsigned = {}, keys: Keys = door.keys.root) =>
    presigned(door.clientWith(keys), 's3', seconds, { path: '/b/k', ...request });

  test.each(['GET', 'HEAD', 'PUT', 'POST', 'DELETE'])(
    'is good for S3 and %s, and for no other method',
    async (method) => {
      const url = await of(60, { method });
      expect((await answer(url, { method })).status).toBe(200);
      const other = method === 'DELETE' ? 'PUT' : 'DELETE';
      expect((await answer(url, { method: other })).status).toBe(403);
    },
  );

  test('is good for no other service', async () => {
    const reply = await answer(await presigned(door.client, 'lambda', 60));
    expect(reply).toMatchObject({
      status: 403,
      text: expect.stringContaining('a signature in the query is for S3 alone'),
    });
  });

  test('cannot be changed', async () => {
    const url = await of(60);
    for (const [from, to] of [
      ['/b/k?', '/b/l?'],
      ['X-Amz-Expires=60', 'X-Amz-Expires=61'],
      [/X-Amz-Signature=./, 'X-Amz-Signature=x'],
      [/X-Amz-Signature=\w+/, 'X-Amz-Signature=%C3%A4'],
      [/$/, '&versionId=1'],
    ] as const) {
      expect((await answer(url.replace(from, to))).status).toBe(403);
    }
    expect((await answer(url, { headers: { 'x-amz-acl': 'public-read' } })).status).toBe(403);
  });

  test('ends, by the real time or for children by the engine’s', async () => {
    const ago = (seconds: number, now = Date.now()) => ({ at: new Date(now - seconds * 1000) });
    expect((await answer(await of(60, ago(50)))).status).toBe(200);
    expect(await answer(await of(60, ago(61)))).toMatchObject({
      status: 403,
      text: expect.stringContaining('Request has expired'),
    });
    expect((await answer(await of(60, ago(50, engineTime), door.keys.issue(ROLE, 'fn')))).status).toBe(200);
    expect((await answer(await of(60, ago(61, engineTime), door.keys.issue(ROLE, 'fn')))).status).toBe(403);
    expect((await answer(await of(3600, ago(-1000)))).status).toBe(403); // signed for a time to come
  });

  test('holds for a week at most', async () => {
    expect((await answer(await of(604_800))).status).toBe(200);
    for (const seconds of [0, -1, 1.5]) expect((await answer(await of(seconds))).status).toBe(403);
    const longer = (await of(604_800)).replace('604800', '604801');
    expect(await answer(longer)).toMatchObject({ status: 403, text: expect.stringContaining('from 1 to 604800') });
  });
});

describe("a role's session", () => {
  test('is known by its key and its token together, until it ends', async () => {
    const keys = door.keys.issue(ROLE, 'fn');
    expect((await ask('lambda', {}, keys)).caller).toEqual({
      kind: 'role',
      roleArn: ROLE,
      session: 'fn',
      since: expect.any(Number),
    });
    const other = door.keys.issue(ROLE, 'fn');
    const { sessionToken: _, ...without } = keys;
    for (const wrong of [
      without,
      { ...keys, sessionToken: other.sessionToken },
      { ...door.keys.root, sessionToken: 'x' },
    ]) {
      expect((await ask('lambda', {}, wrong)).status).toBe(403);
    }
    expect(await ask('lambda', {}, door.keys.issue(ROLE, 'fn', Date.now() - 1))).toMatchObject({
      status: 403,
      text: expect.stringContaining('ExpiredToken'),
    });
  });

  test('has keys like no other', () => {
    const all = Array.from({ length: 1000 }, () => door.keys.issue(ROLE, 'fn'));
    for (const member of ['accessKeyId', 'secretAccessKey', 'sessionToken'] as const) {
      expect(new Set(all.map((keys) => keys[member])).size).toBe(1000);
    }
    expect(all[0]?.accessKeyId).toMatch(/^LSIA[A-Z2-7]{16}$/);
    expect(door.keys.root.secretAccessKey).toMatch(/^[\w+/]{40}$/);
  });
});

describe('the signatures of chunks', () => {
  // The examples of the S3 API Reference, "Signature calculations … transferring payload in multiple chunks"
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const digest = (text: string) => createHash('sha256').update(text).digest('hex');
  const secret = 'AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  const key = ['20130524', 'us-east-1', 's3', 'aws4_request'].reduce<string | Buffer>(hmac, secret) as Buffer;
  const scope = '20130524/us-east-1/s3/aws4_request';
  const chain = (seed: string) => new SignedChunks(key, '20130524T000000Z', scope, seed);
  const chunks = ['a'.repeat(65_536), 'a'.repeat(1024), ''].map(digest);

  test('are those of the example', () => {
    const next = chain('4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9');
    const signatures = [
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ];
    expect(chunks.map((chunk, i) => next.isChunkSigned(chunk, signatures[i] as string))).toEqual([true, true, true]);
  });

  test('are those of the example with a trailer', () => {
    const next = chain('106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e');
    const signatures = [
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ];
    expect(chunks.map((chunk, i) => next.isChunkSigned(chunk, signatures[i] as string))).toEqual([true, true, true]);
    const trailer = 'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435';
    expect(next.isTrailerSigned('x-amz-checksum-crc32c:sOO8/Q==\n', trailer)).toBe(true);
  });

  test('are wrong in another order', () => {
    const next = chain('4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9');
    const second = '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497';
    expect(next.isChunkSigned(chunks[1] as string, second)).toBe(false);
  });
});
