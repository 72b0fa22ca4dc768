import { createHash, randomUUID } from 'node:crypto';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { readCall, sendError } from './protocols';
import { ApiError, type Caller, type Service, type Shape } from './service';

export interface GatewayOptions {
  /** The services by their signing name. */
  readonly services: ReadonlyMap<string, Service>;
  /** Runs an operation for a caller, permission asked first. */
  readonly call: (service: string, operation: string, input: Shape, caller: Caller) => Promise<Shape>;
  /** The roles that may sign requests. */
  readonly roles: () => readonly string[];
  /** Other emulators, by the signing name of the service that they stand in for. */
  readonly delegates: Readonly<Record<string, string>>;
  /** Told of failures that are the engine's own fault. */
  readonly failed: (service: string, error: unknown) => void;
}

/** Who signed a request, as far as we look: any secret is accepted, the key tells who it is. */
interface Signature {
  readonly accessKeyId: string;
  readonly service: string;
  readonly token: string | undefined;
}

/** The engine's one HTTP port: finds the service by the request's signature, and the protocol by its shape. */
export class Gateway {
  private readonly server: Server;
  private readonly callers = new Map<string, string>();
  private port = 0;

  constructor(private readonly options: GatewayOptions) {
    this.server = createServer((request, response) => void this.serve(request, response));
    this.server.keepAliveTimeout = 60_000; // longer than the SDK's own, which would else meet closed sockets
    this.server.requestTimeout = 0; // uploads of many GB, and Lambda's long polls
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @param port 0 takes any free one */
  async listen(port: number): Promise<void> {
    await new Promise<void>((done, fail) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        const taken = error.code === 'EADDRINUSE';
        fail(taken ? new Error(`port ${port} is in use: choose another, or 0 for any free one`) : error);
      });
      this.server.listen(port, '127.0.0.1', done);
    });
    this.port = (this.server.address() as AddressInfo).port;
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
    try {
      if (this.options.services.size === 0) throw STARTING;
      const url = new URL(request.url ?? '/', this.url);
      const signature = signatureOf(request, url);
      if (signature === undefined) return await this.unsigned(request, response, url);
      name = signature.service;
      const delegate = this.options.delegates[name];
      if (delegate !== undefined) return await pass(request, response, new URL(request.url ?? '/', delegate));
      await this.route(name, request, response, url, this.callerOf(signature));
    } catch (error) {
      if (!(error instanceof ApiError)) this.options.failed(name, error);
      sendError(request, response, error instanceof ApiError ? error : internal(error), name);
    } finally {
      request.resume(); // what nobody read, so that the connection can be used again
    }
  }

  private async route(
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    caller: Caller,
  ): Promise<void> {
    const service = this.options.services.get(name);
    const call = name === 's3' ? undefined : await readCall(request, response);
    if (service === undefined) throw notImplemented(name, call?.operation, [...this.options.services.keys()]);
    if (call !== undefined) {
      call.reply(await this.options.call(name, call.operation, call.input, caller));
    } else if (!(await service.handle?.(request, response, url, caller))) {
      throw notImplemented(name, `${request.method} ${url.pathname}`);
    }
  }

  /** Children of the engine need no signature where a service says so; nobody else goes without. */
  private async unsigned(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    for (const service of this.options.services.values()) {
      if (service.unsigned?.test(url.pathname) === true) {
        if (await service.handle?.(request, response, url, { kind: 'root' })) return;
      }
    }
    throw new ApiError(
      'MissingAuthenticationToken',
      'the request is not signed: use an AWS SDK or the AWS CLI, with any access key and AWS_ENDPOINT_URL set to this address',
      403,
    );
  }

  private callerOf({ accessKeyId, token }: Signature): Caller {
    if (!accessKeyId.startsWith(KEY_PREFIX)) return { kind: 'root' };
    if (!this.callers.has(accessKeyId)) {
      for (const role of this.options.roles()) this.callers.set(accessKeyOf(role), role);
    }
    const roleArn = this.callers.get(accessKeyId);
    if (roleArn === undefined) {
      throw new ApiError('UnrecognizedClientException', `no role of this app has the access key ${accessKeyId}`, 403);
    }
    return {
      kind: 'role',
      roleArn,
      session: token?.startsWith(TOKEN_PREFIX) ? token.slice(TOKEN_PREFIX.length) : 'local',
    };
  }
}

/** The answer before there are services. */
const STARTING = new ApiError('ServiceUnavailable', 'the engine is starting: try again', 503);
const KEY_PREFIX = 'LKIA';
const TOKEN_PREFIX = 'local-session-';

/** The access key by which a role is known: the same in every run. */
export function accessKeyOf(roleArn: string): string {
  const digest = createHash('sha256').update(roleArn).digest();
  return KEY_PREFIX + [...digest.subarray(0, 16)].map((byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte & 31]).join('');
}

/** The session token that carries a session's name. */
export function sessionToken(session: string): string {
  return TOKEN_PREFIX + session.replace(/[^\w+=,.@-]/g, '-');
}

/** Reads the credential scope from the header, or from a presigned URL. */
function signatureOf(request: IncomingMessage, url: URL): Signature | undefined {
  const header = /Credential=([^/,\s]+)\/\d+\/[^/]+\/([^/]+)\/aws4_request/.exec(request.headers.authorization ?? '');
  if (header !== null) {
    const [, accessKeyId = '', service = ''] = header;
    const token = request.headers['x-amz-security-token'];
    return { accessKeyId, service, token: typeof token === 'string' ? token : undefined };
  }
  const credential = url.searchParams.get('X-Amz-Credential')?.split('/');
  if (credential?.length !== 5) return undefined;
  checkExpiry(url);
  const [accessKeyId = '', , , service = ''] = credential;
  return { accessKeyId, service, token: url.searchParams.get('X-Amz-Security-Token') ?? undefined };
}

function checkExpiry(url: URL): void {
  const signed = url.searchParams
    .get('X-Amz-Date')
    ?.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const expires = Date.parse(signed ?? '') + Number(url.searchParams.get('X-Amz-Expires')) * 1000;
  if (!(expires > Date.now())) throw new ApiError('AccessDenied', 'Request has expired', 403);
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

async function pass(request: IncomingMessage, response: ServerResponse, to: URL): Promise<void> {
  await new Promise<void>((done, fail) => {
    const { method, headers } = request;
    const onward = httpRequest(to, { method, headers: { ...headers, host: to.host } }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response).on('finish', done).on('error', fail);
    });
    onward.on('error', (error) =>
      fail(new ApiError('BadGateway', `the delegate at ${to.origin} does not answer: ${error.message}`, 502)),
    );
    request.pipe(onward);
  });
}
