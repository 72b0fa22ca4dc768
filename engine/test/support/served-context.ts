import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkInput } from '../../src/api/input-check';
import { type Clock, ScaledClock } from '../../src/engine/clock';
import {
  ApiError,
  type BusEvent,
  type Caller,
  type Context,
  type Delivery,
  type RequiredPermission,
  type RoleCaller,
  type Service,
} from '../../src/service';
import { StateStore } from '../../src/state/state-store';
import { Door } from './door';
import { Keyless } from './keyless';

/** What a service sees of the engine, with a record of what it did there, and a port on which clients reach it. */
export class ServedContext extends Keyless implements Context {
  readonly aws = { account: '111122223333', region: 'eu-west-1', partition: 'aws', urlSuffix: 'amazonaws.com' };
  readonly stateDir = mkdtempSync(join(tmpdir(), 'perennial-test-'));
  store = new StateStore(this.stateDir);
  readonly events: BusEvent[] = [];
  readonly asked: RequiredPermission[] = [];
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
  private listening: Promise<void> | undefined;
  private readonly door = new Door({ services: this.services, call: (...call) => this.call(...call) });

  constructor({ clock = new ScaledClock() }: { readonly clock?: Clock } = {}) {
    super();
    this.clock = clock;
  }

  url = () => this.door.gateway.url;
  recovered = () => {};
  whenReady = (work: () => void) => work();

  async call(service: string, operation: string, input: unknown, caller: Caller): Promise<unknown> {
    this.calls.push({ service, operation, input, caller });
    const found = this.services.get(service)?.operations[operation];
    if (!found) return {};
    checkInput(service, operation, input);
    for (const need of found.needs(input, caller)) this.authorize(caller, need);
    return await found.run(input, caller);
  }

  authorize(_caller: Caller, need: RequiredPermission): void {
    this.asked.push(need);
    if (this.denied.has(need.action)) {
      throw new ApiError('AccessDeniedException', `not authorized to perform: ${need.action}`, 403);
    }
  }

  assumeRole = (roleArn: string): RoleCaller => ({ kind: 'role', roleArn });
  assumeRoleAs = (_: Caller, { roleArn }: { roleArn: string }) => this.assumeRole(roleArn);
  credentials = () => ({});
  emit = (event: BusEvent) => void this.events.push(event);
  metric = () => {};
  background = (_label: string, work: () => Promise<void>) => void this.work.push(work());
  log = () => {};
  asset = () => undefined;

  /** Answers requests for one service. */
  async serve(service: Service): Promise<void> {
    this.services.set(service.name, service);
    this.listening ??= this.door.gateway.listen(0);
    await this.listening;
  }

  /** The options of any SDK client. */
  get client(): Door['client'] {
    return { ...this.door.client, region: this.aws.region };
  }

  /** From here on services find what those before them have kept. */
  restart(): void {
    this.store.close();
    this.store = new StateStore(this.stateDir);
  }

  async close(): Promise<void> {
    this.store.close();
    await this.door.gateway.close();
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}
