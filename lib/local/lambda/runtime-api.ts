import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An execution environment, as the Runtime API sees it. */
export interface Guest {
  /** Asks for work; the answer is given once there is some. */
  next(response: ServerResponse): void;
  /** The invocation's result, or its error. */
  settle(requestId: string, body: string, failed: boolean): void;
  /** The handler could not be loaded. */
  initFailed(body: string): void;
}

/** The Lambda Runtime API for all environments; each has a path of its own. */
export class RuntimeApi {
  private readonly guests = new Map<string, Guest>();
  private readonly server: Server;
  private ready: Promise<void> | undefined;

  constructor() {
    this.server = createServer((request, response) => void this.serve(request, response));
    this.server.keepAliveTimeout = 0;
    this.server.requestTimeout = 0;
  }

  /** Lets an environment in; gives its `AWS_LAMBDA_RUNTIME_API`. */
  async admit(id: string, guest: Guest): Promise<string> {
    this.ready ??= new Promise((done, failed) => {
      this.server.once('error', failed);
      this.server.listen(0, '127.0.0.1', done);
    });
    await this.ready;
    this.guests.set(id, guest);
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}/${id}`;
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
    if (guest === undefined) return void response.writeHead(404).end();
    if (rest === 'invocation/next') return guest.next(response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString('utf8');
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
    const [, requestId, outcome] = /^invocation\/([^/]+)\/(response|error)$/.exec(rest) ?? [];
    if (requestId !== undefined) guest.settle(requestId, body, outcome === 'error');
    else if (rest === 'init/error') guest.initFailed(body);
  }
}
