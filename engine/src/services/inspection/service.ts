import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context, Service } from '../../service';

/** What the engine tells about itself: `GET /_perennial/permissions`, signed for the service `perennial`. */
export class Inspection implements Service {
  readonly name = 'perennial';
  readonly operations = {};

  constructor(private readonly context: Context) {}

  async handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
    if (request.method !== 'GET' || url.pathname !== '/_perennial/permissions') return false;
    const body = JSON.stringify({ unused: this.context.unusedPermissions?.() ?? [] });
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    return true;
  }
}
