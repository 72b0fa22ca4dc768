import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../src/engine/clock';
import {
  ApiError,
  type BusEvent,
  type Caller,
  type Context,
  type Delivery,
  type RoleCaller,
  type Shape,
} from '../../src/service';
import { StateStore } from '../../src/state/state-store';
import { Keyless } from './keyless';

/** One call that a service made. */
export interface Call {
  readonly service: string;
  readonly operation: string;
  readonly input: Shape;
  readonly caller: Caller;
}

/**
 * A context whose calls are recorded instead of made, on a clock that a test moves.
 *
 * `answer` decides what a call gives; it may throw.
 */
export class RecordingContext extends Keyless implements Context {
  readonly aws = { account: '111111111111', region: 'eu-west-1', partition: 'aws', urlSuffix: 'amazonaws.com' };
  readonly clock = new ManualClock(Date.UTC(2026, 0, 1));
  readonly stateDir = mkdtempSync(join(tmpdir(), 'recording-'));
  readonly store = new StateStore(this.stateDir);
  readonly calls: Call[] = [];
  readonly logged: string[] = [];
  readonly emitted: BusEvent[] = [];
  delivery: Delivery = { copies: 1, shuffle: false };
  answer: (call: Call) => Shape = () => ({});

  private readonly stopping = new AbortController();
  private readonly running = new Set<Promise<void>>();
  private readonly randoms = [0.9, 0.1, 0.5, 0.3];
  private draws = 0;

  readonly signal = this.stopping.signal;
  readonly url = () => 'http://127.0.0.1:4566';
  readonly recovered = () => {};
  readonly whenReady = (work: () => void) => work();

  async call(service: string, operation: string, input: Shape, caller: Caller): Promise<Shape> {
    const call = { service, operation, input, caller };
    this.calls.push(call);
    return this.answer(call);
  }

  authorize(): void {}

  assumeRole(roleArn: string): RoleCaller {
    if (roleArn.endsWith('/untrusting')) {
      throw new ApiError('AccessDenied', `not authorized to perform: sts:AssumeRole on ${roleArn}`, 403);
    }
    return { kind: 'role', roleArn };
  }

  assumeRoleAs(_: Caller, { roleArn }: { roleArn: string }): RoleCaller {
    return this.assumeRole(roleArn);
  }

  credentials(): Record<string, string> {
    return {};
  }

  emit(event: BusEvent): void {
    this.emitted.push(event);
  }

  metric(): void {}

  background(_label: string, work: () => Promise<void>): void {
    const done = work().finally(() => this.running.delete(done));
    this.running.add(done);
  }

  log(_service: string, message: string): void {
    this.logged.push(message);
  }

  asset(): undefined {
    return undefined;
  }

  random(): number {
    return this.randoms[this.draws++ % this.randoms.length] as number;
  }

  /** Waits for everything in the background. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }

  stop(): void {
    this.stopping.abort();
  }
}
