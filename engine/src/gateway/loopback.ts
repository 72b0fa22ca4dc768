import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError } from '../service';

/** Bytes of all headers together, the request's line included. */
const MOST_HEADERS = 16_384;
/** What is read and dropped of a body that nobody wants, so that its sender gets to read why. */
const MOST_DROPPED = 16 * 1024 ** 2;

/** The names of this machine by which its own clients call it. */
const OWN_NAMES = ['127.0.0.1', 'localhost', '[::1]'];

/** An HTTP server of this machine for itself: it listens on 127.0.0.1 alone. */
export function loopbackServer(listener: RequestListener): Server {
  const server = createServer({ maxHeaderSize: MOST_HEADERS }, listener);
  server.requestTimeout = 0; // uploads of many GB, and Lambda's long polls
  return server;
}

/** @param port 0 takes any free one */
export async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(port, '127.0.0.1', done);
  });
  return (server.address() as AddressInfo).port;
}

/**
 * Throws unless a request is meant for this machine and no web page of another origin sent it: a page may send
 * simple requests to any address, and any at all where a name of its own is made to point here (DNS rebinding).
 */
export function refuseStrangers({ headers, url = '' }: IncomingMessage, port: number): void {
  const own = OWN_NAMES.map((name) => (port === 80 ? name : `${name}:${port}`)); // clients leave out HTTP's own port
  const { host = '', origin, 'sec-fetch-site': site } = headers;
  if (!own.includes(host.toLowerCase()) || !url.startsWith('/')) {
    throw refused(`it answers to ${own.join(', ')} alone, and this one is for ${url.startsWith('/') ? host : url}`);
  }
  if (origin !== undefined && !own.some((name) => origin === `http://${name}`)) {
    throw refused(`a page of ${origin} sent it`);
  }
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw refused(`a page of another site sent it (Sec-Fetch-Site: ${site})`);
  }
}

function refused(why: string): ApiError {
  return new ApiError('AccessDenied', `the local engine refuses the request: ${why}`, 403);
}

/** Reads a whole body; throws 413 where it is larger than allowed. */
export async function readBody(request: IncomingMessage, most: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  if (Number(request.headers['content-length']) > most) throw tooLarge(most, request.headers['content-length']);
  // leaving the loop must not end the connection, on which the answer goes back
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += (chunk as Buffer).length;
    if (size > most) throw tooLarge(most, `${size} and more`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function tooLarge(most: number, got: unknown): ApiError {
  return new ApiError('RequestEntityTooLargeException', `a request must have at most ${most} bytes, got ${got}`, 413);
}

/** Drops what nobody read, so that the connection can be used again; ends it where that is too much. */
export function drop(request: IncomingMessage): void {
  if (request.readableEnded || request.destroyed) return;
  let left = MOST_DROPPED;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.resume();
}
