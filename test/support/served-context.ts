import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, ScaledClock } from '../../lib/local/clock';
import { readCall, sendError } from '../../lib/local/protocols';
import {
  ApiError,
  type BusEvent,
  type Caller,
  type Context,
  type Delivery,
  type Need,
  type Service,
} from '../../lib/local/service';
import { StateStore } from '../../lib/local/state-store';

/** What a service sees of the engine, with a record of what it did there, and a port on which clients reach it. */
export class ServedContext implements Context {
  readonly place = { account: '111122223333', region: 'eu-west-1', partition: 'aws', urlSuffix: 'amazonaws.com' };
  readonly stateDir = mkdtempSync(join(tmpdir(), 'perennial-test-'));
  store = new StateStore(this.stateDir);
  readonly events: BusEvent[] = [];
  readonly asked: Need[] = [];
  readonly calls: { service: string; operation: string; input: unknown; caller: Caller }[] = [];
  /** Actions that nobody may take. */
  readonly denied = new Set<string>();
  readonly work: Promise<void>[] = [];
  readonly services = new Map<string, Service>();
  readonly stopping = new AbortController();
  readonly signal = this.stopping.signal;
  readonly clock: Clock;
  delivery: Delivery = { copies: 1, shuffle: false };
  random: () => number = () => 0.5;
  private server: Server | undefined;
  private port = 0;

  constructor({ clock = new ScaledClock() }: { readonly clock?: Clock } = {}) {
    this.clock = clock;
  }

  url = () => `http://127.0.0.1:${this.port}`;
  recovered = () => {};
  whenReady = (work: () => void) => work();

  async call(service: string, operation: string, input: unknown, caller: Caller): Promise<unknown> {
    this.calls.push({ service, operation, input, caller });
    const found = this.services.get(service)?.operations[operation];
    if (!found) return {};
    for (const need of found.needs(input, caller)) this.authorize(caller, need);
    return await found.run(input, caller);
  }

  authorize(_caller: Caller, need: Need): void {
    this.asked.push(need);
    if (this.denied.has(need.action)) {
      throw new ApiError('AccessDeniedException', `not authorized to perform: ${need.action}`, 403);
    }
  }

  assumeRole = (roleArn: string): Caller => ({ kind: 'role', roleArn });
  credentials = () => ({});
  emit = (event: BusEvent) => void this.events.push(event);
  metric = () => {};
  background = (_label: string, work: () => Promise<void>) => void this.work.push(work());
  log = () => {};
  asset = () => undefined;

  /** Answers requests for one service, as the gateway would. */
  async serve(service: Service): Promise<void> {
    this.services.set(service.name, service);
    this.server = createServer(async (request, response) => {
      const caller: Caller = { kind: 'root' };
      try {
        const call = service.handle ? undefined : await readCall(request, response);
        if (call) call.reply(await this.call(service.name, call.operation, call.input, caller));
        else await service.handle?.(request, response, new URL(request.url ?? '/', this.url()), caller);
      } catch (error) {
        const known = error instanceof ApiError ? error : new ApiError('InternalFailure', String(error), 500);
        sendError(request, response, known, service.name);
      }
    });
    await new Promise<void>((done) => this.server?.listen(0, '127.0.0.1', done));
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** The options of any SDK client. */
  get client() {
    return {
      endpoint: this.url(),
      region: this.place.region,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      forcePathStyle: true,
      maxAttempts: 1,
    };
  }

  /** From here on services find what those before them have kept. */
  restart(): void {
    this.store.close();
    this.store = new StateStore(this.stateDir);
  }

  async close(): Promise<void> {
    this.store.close();
    this.server?.closeAllConnections();
    await new Promise((done) => (this.server ? this.server.close(done) : done(undefined)));
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}
