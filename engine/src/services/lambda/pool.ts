import { ApiError } from '../../service';
import { Environment, type EnvironmentOptions, type Outcome } from './environment';
import type { LambdaFunction } from './function';

/** Environments that a function has at most on this machine, whatever AWS would give it. */
const MOST_ENVIRONMENTS = 4;

/** A function's execution environments: warm ones are used again, more are started while all are busy. */
export class Pool {
  private environments: Environment[] = [];
  private readonly queue: (() => void)[] = [];
  private running = 0;
  private stopped = false;

  constructor(
    readonly made: LambdaFunction,
    private readonly options: (made: LambdaFunction) => EnvironmentOptions,
  ) {}

  /**
   * Runs one invocation.
   *
   * @param patient waits when reserved concurrency is used up, as queues and retries do; else that is an error
   */
  async invoke(payload: string, patient: boolean): Promise<Outcome> {
    const { reserved, name } = this.made;
    const throttled = reserved !== undefined && this.running >= reserved;
    if (throttled && (!patient || reserved === 0)) {
      throw new ApiError(
        'TooManyRequestsException',
        `Rate Exceeded. The function ${name} runs ${reserved} times at once at most.`,
        429,
        { Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' },
      );
    }
    while (this.running >= Math.min(reserved ?? MOST_ENVIRONMENTS, MOST_ENVIRONMENTS)) {
      await new Promise<void>((resolve) => this.queue.push(resolve));
    }
    if (this.stopped) throw new ApiError('ServiceException', 'the local engine was stopped', 500);
    this.running += 1;
    try {
      return await this.environment().invoke(payload);
    } finally {
      this.running -= 1;
      this.queue.shift()?.();
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.environments.map((environment) => environment.stop()));
  }

  private environment(): Environment {
    this.environments = this.environments.filter(({ dead }) => !dead);
    const idle = this.environments.find((environment) => environment.idle);
    if (idle !== undefined) return idle;
    const started = new Environment(this.options(this.made));
    this.environments.push(started);
    return started;
  }
}
