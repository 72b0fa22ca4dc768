import { randomUUID } from 'node:crypto';
import { ApiError } from '../../service';
import { StatesError } from './errors';
import type { PendingToken } from './frame';

interface Waiting {
  readonly machineArn: string;
  readonly pending: PendingToken;
  lastSign: number;
  succeed(output: unknown): void;
  fail(error: StatesError): void;
}

/** The task tokens that are out, each awaited by a state. */
export class Tokens {
  private readonly waiting = new Map<string, Waiting>();

  /** @param token of an earlier start of the engine, if it is still out */
  issue(machineArn: string, token: string = randomUUID()): PendingToken {
    let settle: Pick<Waiting, 'succeed' | 'fail'> | undefined;
    const result = new Promise<unknown>((succeed, fail) => {
      settle = { succeed, fail };
    });
    result.catch(() => undefined); // reported to the state; nobody else need handle it
    const pending: PendingToken = {
      token,
      result,
      lastSign: () => entry.lastSign,
      forget: () => this.waiting.delete(token),
    };
    const lastSign = Date.now();
    const entry: Waiting = { machineArn, pending, lastSign, ...(settle as Pick<Waiting, 'succeed' | 'fail'>) };
    this.waiting.set(token, entry);
    return pending;
  }

  /** The state machine that waits for a token; `*` if none does. */
  machineOf(token: string): string {
    return this.waiting.get(token)?.machineArn ?? '*';
  }

  succeed(token: string, output: string): void {
    const entry = this.of(token);
    let value: unknown;
    try {
      value = JSON.parse(output);
    } catch {
      throw new ApiError('InvalidOutput', `Invalid Output: the output must be JSON, got '${output.slice(0, 100)}'`);
    }
    entry.pending.reported?.({ output: value });
    this.waiting.delete(token);
    entry.succeed(value);
  }

  fail(token: string, error?: string, cause?: string): void {
    const entry = this.of(token);
    entry.pending.reported?.({ error, ...(cause !== undefined && { cause }) });
    this.waiting.delete(token);
    entry.fail(new StatesError(error, cause));
  }

  heartbeat(token: string): void {
    this.of(token).lastSign = Date.now();
  }

  private of(token: string): Waiting {
    const entry = this.waiting.get(token);
    if (entry === undefined) {
      throw new ApiError('TaskTimedOut', 'Task Timed Out: the token belongs to no task that is still waiting');
    }
    return entry;
  }
}
