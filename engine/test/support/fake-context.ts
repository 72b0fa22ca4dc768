import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkInput } from '../../src/api/input-check';
import { type Clock, ScaledClock } from '../../src/engine/clock';
import {
  ApiError,
  type BusEvent,
  type Caller,
  type Context,
  type RequiredPermission,
  type RoleCaller,
  type Service,
  type Shape,
} from '../../src/service';
import { StateStore } from '../../src/state/state-store';
import { Keyless } from './keyless';

export const PLACE = { account: '111122223333', region: 'eu-west-1', partition: 'aws', urlSuffix: 'amazonaws.com' };
export const ROLE = 'arn:aws:iam::111122223333:role/Role';

/** A context for one service by itself: calls go to the answers given, permissions are granted unless denied. */
export class FakeContext extends Keyless implements Context {
  readonly aws = PLACE;
  readonly stateDir: string;
  store: StateStore;
  readonly recoveries: string[] = [];
  readonly events: BusEvent[] = [];
  readonly metrics: { namespace: string; name: string; value: number; dimensions: object }[] = [];
  readonly lines: string[] = [];
  readonly calls: { service: string; operation: string; input: Shape; caller: Caller }[] = [];
  readonly asked: RequiredPermission[] = [];
  readonly denied = new Set<string>();
  readonly delivery = { copies: 1, shuffle: false };
  readonly answers: Record<string, (input: Shape, caller: Caller) => unknown> = {};
  readonly assets: Record<string, string> = {};
  readonly services: Record<string, Service> = {};
  private readonly stopping = new AbortController();
  readonly signal = this.stopping.signal;
  private readonly working = new Set<Promise<void>>();

  constructor(
    readonly clock: Clock = new ScaledClock(0),
    stateDir?: string,
  ) {
    super();
    this.stateDir = stateDir ?? mkdtempSync(join(tmpdir(), 'fake-'));
    this.store = new StateStore(this.stateDir);
  }

  url = () => 'http://127.0.0.1:1';
  recovered = (what: string) => void this.recoveries.push(what);
  /** At once; a test whose services know each other only later does it later. */
  whenReady = (work: () => void) => work();

  async call(service: string, operation: string, input: Shape, caller: Caller): Promise<Shape> {
    this.calls.push({ service, operation, input, caller });
    const own = this.services[service]?.operations[operation];
    if (own !== undefined) {
      checkInput(service, operation, input);
      for (const need of own.needs(input, caller)) this.authorize(caller, need);
      return await own.run(input, caller);
    }
    const answer = this.answers[`${service}:${operation}`];
    if (answer === undefined) throw new ApiError('NotImplemented', `${service}:${operation} is not faked`, 501);
    return await answer(input, caller);
  }

  authorize(_caller: Caller, need: RequiredPermission): void {
    this.asked.push(need);
    if (this.denied.has(need.action))
      throw new ApiError('AccessDeniedException', `not authorized to perform ${need.action}`, 403);
  }

  assumeRole(roleArn: string, _principal: string, _source?: string, session = 'local'): RoleCaller {
    return { kind: 'role', roleArn, session };
  }

  assumeRoleAs(caller: Caller, { roleArn, session }: { roleArn: string; session: string }): RoleCaller {
    this.authorize(caller, { action: 'sts:AssumeRole', resource: roleArn });
    return { kind: 'role', roleArn, session };
  }

  credentials({ roleArn }: RoleCaller): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: roleArn,
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_REGION: PLACE.region,
      AWS_ENDPOINT_URL: this.url(),
    };
  }

  emit(event: BusEvent): void {
    this.events.push(event);
  }

  metric(namespace: string, name: string, value: number, dimensions: Readonly<Record<string, string>>): void {
    this.metrics.push({ namespace, name, value, dimensions });
  }

  background(_label: string, work: () => Promise<void>): void {
    const running = work()
      .catch((error) => this.log('background', String(error)))
      .finally(() => this.working.delete(running));
    this.working.add(running);
  }

  async idle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet = this.working.size === 0 ? quiet + 1 : 0) {
      await Promise.all(this.working);
      await new Promise((done) => setImmediate(done)); // what ended may have started more
    }
  }

  end(): void {
    this.stopping.abort();
  }

  /** From here on services find what those before them have kept. */
  restart(): void {
    this.store.close();
    this.store = new StateStore(this.stateDir);
  }

  log(_service: string, message: string): void {
    this.lines.push(message);
  }

  asset(bucket: string, key: string): string | undefined {
    return this.assets[`${bucket}/${key}`];
  }

  random(): number {
    return 0.5;
  }
}
