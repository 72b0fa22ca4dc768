import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { listen, loopbackServer, refuseStrangers } from '../../gateway/loopback';

/** Answers larger than this fail the invocation. */
export const RESPONSE_LIMIT = 6_291_556;

/** An execution environment, as the Runtime API sees it. */
export interface Guest {
  /** Asks for work; the answer is given once there is some. */
  next(response: ServerResponse): void;
  /** The invocation's result, or its error. */
  settle(requestId: string, body: string, failed: boolean): void;
  /** The handler could not be loaded. */
  initFailed(body: string): void;
}

/** The Lambda Runtime API for all environments; each has a path of its own, which is its secret. */
export class RuntimeApi {
  private readonly guests = new Map<string, Guest>();
  private readonly server: Server;
  private port: Promise<number> | undefined;

  constructor() {
    this.server = loopbackServer((request, response) => void this.serve(request, response));
    this.server.keepAliveTimeout = 0;
  }

  /** Lets an environment in; gives its `AWS_LAMBDA_RUNTIME_API`. */
  async admit(id: string, guest: Guest): Promise<string> {
    this.port ??= listen(this.server, 0);
    const port = await this.port;
    this.guests.set(id, guest);
    return `127.0.0.1:${port}/${id}`;
  }

  dismiss(id: string): void {
    this.guests.delete(id);
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, id = '', rest = ''] = /^\/([^/]+)\/2018-06-01\/runtime\/(.+)$/.exec(request.url ?? '') ?? [];
    const guest = this.guests.get(id);
    try {
      refuseStrangers(request, (await this.port) as number);
    } catch {
      return void response.writeHead(403).end();
    }
    if (guest === undefined) return void response.writeHead(404).end();
    if (rest === 'invocation/next') return guest.next(response);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request) {
      if (size <= RESPONSE_LIMIT) chunks.push(chunk); // the rest changes nothing: the answer is too large
      size += (chunk as Buffer).length;
    }
    const body = Buffer.concat(chunks).toString('utf8');
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
    const [, requestId, outcome] = /^invocation\/([^/]+)\/(response|error)$/.exec(rest) ?? [];
    if (requestId !== undefined) guest.settle(requestId, body, outcome === 'error');
    else if (rest === 'init/error') guest.initFailed(body);
  }
}
