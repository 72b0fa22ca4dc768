import { randomUUID } from 'node:crypto';
import { request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ApiError, type Caller, type Sent, type Service, type Shape, type Verified } from '../service';
import { type Claim, readClaim } from './claim';
import { drop, listen, loopbackServer, readBody, refuseStrangers } from './loopback';
import { readCall, sendError } from './protocols';
import type { Signatures } from './signature';

/** Bytes that a request may have: the most that any service here takes, DynamoDB in its batches. S3 has its own limits. */
const MOST_BODY = 16 * 1024 ** 2;

export interface GatewayOptions {
  /** The services by their signing name. */
  readonly services: ReadonlyMap<string, Service>;
  /** Runs an operation for a caller, permission asked first. */
  readonly call: (service: string, operation: string, input: Shape, caller: Caller) => Promise<Shape>;
  readonly signatures: Signatures;
  /** Other emulators, by the signing name of the service that they stand in for. */
  readonly delegates: Readonly<Record<string, string>>;
  /** Told of failures that are the engine's own fault. */
  readonly failed: (service: string, error: unknown) => void;
}

/**
 * The engine's one HTTP port. Lets in what its own clients signed, finds the service by the signature, and the
 * protocol by the request's shape.
 */
export class Gateway {
  private readonly server: Server;
  private port = 0;

  constructor(private readonly options: GatewayOptions) {
    this.server = loopbackServer((request, response) => void this.serve(request, response));
    this.server.on('checkContinue', (request, response) => void this.serve(request, response));
    this.server.keepAliveTimeout = 60_000; // longer than the SDK's own, which would else meet closed sockets
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @param port 0 takes any free one */
  async listen(port: number): Promise<void> {
    try {
      this.port = await listen(this.server, port);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      throw isTaken ? new Error(`port ${port} is in use: choose another, or 0 for any free one`) : error;
    }
  }

  async close(): Promise<void> {
    if (!this.server.listening) return;
    await new Promise<void>((done) => {
      this.server.close(() => done());
      this.server.closeAllConnections();
    });
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = randomUUID();
    response.setHeader('x-amzn-requestid', id);
    response.setHeader('x-amz-request-id', id);
    let name = 's3';
    let verified: Verified | undefined;
    try {
      refuseStrangers(request, this.port);
      if (this.options.services.size === 0) throw STARTING;
      const [path = '/', search = ''] = (request.url as string).split(/\?(.*)/s, 2);
      const query = new URLSearchParams(search);
      const claim = readClaim(request, query);
      name = claim.service;
      const body = await this.body(claim, request, response);
      verified = await this.options.signatures.verify(claim, request, path, query, body);
      if (body === undefined && isAsked(request)) response.writeContinue();
      await this.route(name, request, response, { body: body ?? NOTHING, ...verified });
    } catch (error) {
      if (!(error instanceof ApiError)) this.options.failed(name, error);
      sendError(request, response, error instanceof ApiError ? error : internal(error), name);
    } finally {
      if (verified === undefined) drop(request);
      else request.resume(); // what nobody read, so that the connection can be used again
    }
  }

  /** A request's body, once the key is known to be the engine's; none for S3, whose bodies are streams. */
  private async body(claim: Claim, request: IncomingMessage, response: ServerResponse): Promise<Buffer | undefined> {
    this.options.signatures.keysOf(claim);
    if (claim.service === 's3') return undefined;
    if (isAsked(request)) response.writeContinue();
    return readBody(request, MOST_BODY);
  }

  private async route(name: string, request: IncomingMessage, response: ServerResponse, sent: Sent): Promise<void> {
    const delegate = this.options.delegates[name];
    if (delegate !== undefined) return await pass(request, response, new URL(delegate), sent);
    const service = this.options.services.get(name);
    const call = name === 's3' ? undefined : readCall(name, request, response, sent.body);
    if (service === undefined) throw notImplemented(name, call?.operation, [...this.options.services.keys()]);
    if (call !== undefined) {
      call.reply(await this.options.call(name, call.operation, call.input, sent.caller));
      return;
    }
    const url = new URL(this.url + request.url);
    if (!(await service.handle?.(request, response, url, sent))) {
      throw notImplemented(name, `${request.method} ${url.pathname}`);
    }
  }
}

/** The answer before there are services. */
const STARTING = new ApiError('ServiceUnavailable', 'the engine is starting: try again', 503);
const NOTHING = Buffer.alloc(0);

/** Whether the client waits for a sign before it sends its body. */
function isAsked({ headers }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue';
}

/** The answer to what the engine does not do; says what, and how to go on. */
export function notImplemented(service: string, what?: string, known?: readonly string[]): ApiError {
  const name = what === undefined ? service : `${service}:${what}`;
  const have = known === undefined ? '' : ` (its services: ${known.join(', ')})`;
  const next = `to go on, pass the service to another emulator: delegates: { ${/^\w+$/.test(service) ? service : `'${service}'`}: 'http://127.0.0.1:…' }`;
  return new ApiError('NotImplemented', `the local engine does not do ${name}${have}; ${next}`, 501);
}

function internal(error: unknown): ApiError {
  return new ApiError('InternalFailure', error instanceof Error ? error.message : String(error), 500);
}

async function pass(request: IncomingMessage, response: ServerResponse, to: URL, { body }: Sent): Promise<void> {
  await new Promise<void>((done, fail) => {
    const { method, url: path } = request;
    const { expect: _, ...headers } = request.headers;
    const { host, origin } = to;
    const options = { method, path, headers: { ...headers, host } };
    const onward = httpRequest(to, options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response).on('finish', done).on('error', fail);
    });
    onward.on('error', (error) =>
      fail(new ApiError('BadGateway', `the delegate at ${origin} does not answer: ${error.message}`, 502)),
    );
    if (request.readableEnded) onward.end(body);
    else request.pipe(onward);
  });
}
