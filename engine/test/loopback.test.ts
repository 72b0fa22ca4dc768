import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RuntimeApi } from '../src/services/lambda/runtime-api';
import { Door } from './support/door';
import { signed, type Unsigned } from './support/signed';

const door = new Door({
  services: new Map(['events', 'sns'].map((name) => [name, { name, operations: {} }])),
  call: async () => ({}),
});
let port: number;

beforeAll(async () => {
  await door.gateway.listen(0);
  port = Number(new URL(door.gateway.url).port);
});
afterAll(() => door.gateway.close());

/** Sends a rightly signed request for a host of that name, with further headers; gives the status, or that it is refused. */
async function send(host: string, more: Record<string, string> = {}, change: Partial<Unsigned> = {}, path = '/') {
  const [, init] = await signed(door.client, 'events', {
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'X.PutEvents', host },
    ...{ body: '{}', ...change },
  });
  const headers = { ...(init.headers as Record<string, string>), ...more, host };
  return await new Promise<number | 'refused' | undefined>((done, failed) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      const isRefused = () => response.statusCode === 403 && text.includes('the local engine refuses the request');
      response.on('end', () => done(isRefused() ? 'refused' : response.statusCode));
    });
    sent.on('error', failed).end(init.body);
  });
}

describe('the engine answers', () => {
  test.each(['127.0.0.1', 'localhost', 'LocalHost', '[::1]'])('to its own name %s', async (name) => {
    expect(await send(`${name}:${port}`)).toBe(200);
  });

  test.each([
    ...['evil.example', 'localhost.evil.example', 'evil.localhost', 'localhost.', '127.0.0.2', '0.0.0.0', '0', '[::]'],
    ...[
      '127.1',
      '2130706433',
      '0x7f000001',
      'data.s3.localhost',
      '169.254.169.254',
      '[::ffff:127.0.0.1]',
      'user@127.0.0.1',
    ],
  ])('to no other: %s', async (name) => {
    expect(await send(`${name}:${port}`)).toBe('refused');
  });

  test('to no other port and none that is left out', async () => {
    for (const host of ['127.0.0.1', 'localhost', '127.0.0.1:80', `localhost:${port}0`, `localhost: ${port}`]) {
      expect(await send(host)).toBe('refused');
    }
  });

  test('to no address that names another host', async () => {
    expect(await send(`127.0.0.1:${port}`, {}, {}, `http://evil.example:${port}/`)).toBe('refused');
  });

  test('on this machine alone', async () => {
    const others = Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .filter(({ internal }) => !internal);
    for (const { address } of others.filter(({ family }) => family === 'IPv4')) {
      await expect(
        new Promise((done, failed) => connect(port, address, () => done('connected')).on('error', failed)),
      ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
  });

  test('to one host, not to two or none', async () => {
    const raw = (text: string) =>
      new Promise<string>((done) => {
        const socket = connect(port, '127.0.0.1', () => socket.end(text));
        let reply = '';
        socket.on('data', (chunk) => (reply += chunk));
        socket.on('close', () => done(reply.split('\r\n')[0] ?? ''));
      });
    expect(await raw('GET / HTTP/1.1\r\nConnection: close\r\n\r\n')).toBe('HTTP/1.1 400 Bad Request');
    expect(await raw('GET / HTTP/1.0\r\n\r\n')).toBe('HTTP/1.1 403 Forbidden');
    const two = `GET / HTTP/1.1\r\nHost: localhost:${port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n`;
    expect(await raw(two)).toMatch(/^HTTP\/1.1 40[03] /);
  });
});

describe('a browser', () => {
  const to = (more: Record<string, string>) => send(`127.0.0.1:${port}`, more);

  test.each(['none', 'same-origin'])('is answered when the user asks: Sec-Fetch-Site: %s', async (site) => {
    expect(await to({ 'sec-fetch-site': site })).toBe(200);
  });

  test.each(['cross-site', 'same-site', 'anything'])('is refused for a page: Sec-Fetch-Site: %s', async (site) => {
    expect(await to({ 'sec-fetch-site': site })).toBe('refused');
  });

  test('is refused for a page of another origin', async () => {
    expect(await to({ origin: `http://localhost:${port}` })).toBe(200);
    const others = [
      'null',
      'http://evil.example',
      'http://localhost',
      `https://localhost:${port}`,
      `http://localhost:${port}.evil.example`,
    ];
    for (const origin of others) expect(await to({ origin })).toBe('refused');
  });
});

describe('what is too much', () => {
  const MOST = 16 * 1024 ** 2;

  test('of a body is refused, whether its size is told or not', async () => {
    const of = (size: number) => JSON.stringify({ a: 'x'.repeat(size - 8) });
    expect(await send(`localhost:${port}`, {}, { body: of(MOST) })).toBe(200);
    expect(await send(`localhost:${port}`, {}, { body: of(MOST + 1) })).toBe(413);
    expect(await send(`localhost:${port}`, { 'transfer-encoding': 'chunked' }, { body: of(MOST + 1) })).toBe(413);
  });

  test('of headers is refused', async () => {
    expect(await send(`localhost:${port}`, { 'x-much': 'x'.repeat(8_000) })).toBe(200);
    expect(await send(`localhost:${port}`, { 'x-much': 'x'.repeat(20_000) })).toBe(431);
  });

  test('from somebody without keys is not even read to its end', async () => {
    const size = 1024 ** 3;
    const sent = httpRequest({ host: '127.0.0.1', port, method: 'POST', headers: { 'content-length': size } });
    let written = 0;
    const status = await new Promise((done) => {
      let answer: number | undefined;
      sent.on('response', (response) => (answer = response.statusCode)).on('error', () => {});
      sent.on('close', () => done(answer));
      const piece = Buffer.alloc(1024 ** 2);
      const more = () => {
        if (sent.destroyed) return;
        written += piece.length;
        sent.write(piece, more);
      };
      more();
    });
    expect(status).toBe(403);
    expect(written).toBeLessThan(size / 4);
  });

  test('of depth in a form is refused', async () => {
    const [url, init] = await signed(door.client, 'sns', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `Action=Publish&${'a.'.repeat(100_000)}b=1`,
    });
    const reply = await fetch(url, init);
    expect([reply.status, await reply.text()]).toEqual([400, expect.stringContaining('MalformedQueryString')]);
  });

  test.each(['null', '[]', '"x"', '1'])('or too little for an input is refused: %s', async (body) => {
    expect(await send(`localhost:${port}`, {}, { body })).toBe(400);
  });
});

describe('the runtime API of functions', () => {
  test('is for who knows the path, and for no page', async () => {
    const api = new RuntimeApi();
    const guest = {
      next: (response: { end(text: string): void }) => response.end('work'),
      settle() {},
      initFailed() {},
    };
    const address = await api.admit('secret', guest as never);
    const ask = (path: string, headers: Record<string, string> = {}) =>
      new Promise((done, failed) => {
        httpRequest(`http://${path}/2018-06-01/runtime/invocation/next`, { headers }, (response) => {
          response.resume().on('end', () => done(response.statusCode));
        })
          .on('error', failed)
          .end();
      });
    expect(await ask(address)).toBe(200);
    expect(await ask(address.replace('secret', 'guess'))).toBe(404);
    expect(await ask(address, { host: 'evil.example' })).toBe(403);
    expect(await ask(address, { origin: 'http://evil.example' })).toBe(403);
    expect(await ask(address, { 'sec-fetch-site': 'cross-site' })).toBe(403);
    api.close();
  });
});
