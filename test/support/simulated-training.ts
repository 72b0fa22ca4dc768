import type { Machine } from '../../engine/src/services/states/definition';
import { Aborted, StatesError } from '../../engine/src/services/states/errors';
import type { TaskCall } from '../../engine/src/services/states/frame';
import { History, Trail } from '../../engine/src/services/states/history';
import { Interpreter } from '../../engine/src/services/states/interpreter';
import { Evaluator } from '../../engine/src/services/states/jsonata';
import type { StateEntry } from '../../engine/src/services/states/progress';
import { type AttemptPorts, attempt } from '../../lambdas/train/attempt.handler';
import type { AttemptRequest } from '../../lib/core/train/documents';
import type { JobFacts } from '../../lib/core/train/failures';
import { instanceOf } from '../../lib/core/train/instances';
import { trainingPrice } from '../../lib/core/train/prices';
import { MemoryLedger, MemoryStore } from './memory';

/** What SageMaker, Step Functions or the world does to one call of CreateTrainingJob. */
export type Fate =
  | { readonly kind: 'fine' }
  | {
      readonly kind: 'capacity' | 'maxWait' | 'algorithm' | 'client' | 'cancelled' | 'nameless';
      readonly after: number;
    }
  | { readonly kind: 'internal'; readonly after: number }
  | { readonly kind: 'interruption'; readonly after: number; readonly back: boolean }
  | { readonly kind: 'quota' | 'throttle' | 'refused' | 'fault' }
  /** The job is made, but the call that made it is cut off. */
  | { readonly kind: 'cutOff' }
  /** The state runs out of time while the job goes on; it is stopped, or the stop is lost as well. */
  | { readonly kind: 'timeout'; readonly after: number; readonly stopped: boolean }
  /** Somebody stops the execution while the job runs, and redrives it later. */
  | { readonly kind: 'redriven'; readonly after: number; readonly later: number; readonly stopped: boolean };

interface Job {
  readonly name: string;
  readonly startedAt: number;
  endsAt: number;
  readonly facts: (
    endedAt: number,
  ) => Omit<JobFacts, 'status'> & { readonly status: 'Completed' | 'Failed' | 'Stopped' };
  readonly perSecond: number;
  /** Set once somebody has asked for its end. */
  stopping?: true;
}

// biome-ignore lint/suspicious/noExplicitAny: requests are SageMaker's own
type Request = any;

const GRACE = 120;

/**
 * The part of the training machine that trains, on simulated jobs and a simulated clock: the interpreter of the engine
 * runs the synthesized states, the function that decides is the real one, and time jumps to wherever something happens.
 */
export class SimulatedTraining {
  readonly ledger = new MemoryLedger('loop');
  readonly store = new MemoryStore();
  readonly jobs = new Map<string, Job>();
  /** What must never happen, and has. */
  readonly violations: string[] = [];
  /** What the execution ended with. */
  ending: { readonly state: string; readonly variables: ReadonlyMap<string, unknown> } | undefined;
  now = Date.parse('2026-03-01T00:00:00Z');
  /** Training seconds that the newest checkpoint saves, by checkpoint folder. */
  private readonly progress = new Map<string, number>();
  private calls = 0;

  /**
   * @param machine the whole training machine, as synthesized
   * @param fates of the calls in their order; later calls are fine
   * @param needed seconds that training takes
   */
  constructor(
    private readonly machine: Machine,
    private readonly fates: readonly Fate[],
    private readonly needed: number,
    /** Makes the function fail at its n-th call and be retried by Step Functions. */
    private readonly crashes: readonly number[] = [],
    private readonly metric: (hyperparameters: Record<string, string>) => number = () => 0.7,
  ) {}

  /** Runs until the model goes on to be scored, or the failure to be recorded. */
  async run(): Promise<this> {
    const { States } = this.machine;
    const machine: Machine = {
      ...this.machine,
      StartAt: 'Next attempt',
      States: {
        ...States,
        'Seal model': { Type: 'Pass', End: true },
        'Record failure': { Type: 'Pass', End: true },
      },
    };
    let place: StateEntry = {
      state: 'Next attempt',
      input: {},
      variables: new Map(Object.entries({ attempt: null, caught: null, data: 's3://bucket/' })),
    };
    for (;;) {
      const scopeVariables = new Map(place.variables);
      const history = new History(() => this.now);
      const aborter = new AbortController();
      this.abort = () => aborter.abort();
      try {
        await new Interpreter(this.host()).run(
          machine,
          place.input,
          {
            variables: scopeVariables,
            trail: new Trail(history),
            signal: aborter.signal,
            context: {
              Execution: { Name: 'data-0123456789ab', StartTime: '2026-03-01T00:00:00.000Z', Input: {} },
              StateMachine: {},
            },
            entering: (entered) => {
              place = entered;
            },
          },
          place.state,
        );
        this.ending = { state: place.state, variables: scopeVariables };
        return this;
      } catch (error) {
        if (!(error instanceof Aborted)) throw error;
        this.now += this.laterMs; // until somebody redrives it
      }
    }
  }

  /** USD that the jobs have really cost, at on-demand prices. */
  get costUsd(): number {
    return [...this.jobs.values()].reduce(
      (sum, job) => sum + (job.facts(job.endsAt).billableSeconds ?? 0) * job.perSecond,
      0,
    );
  }

  private readonly service = {
    find: async (name: string) => this.describe(name),
    stop: async (name: string) => this.stop(name),
  };
  private abort: () => void = () => undefined;
  private laterMs = 0;

  private host() {
    return {
      clock: {
        now: () => this.now,
        sleep: async (ms: number) => {
          this.now += ms;
        },
        advance: () => undefined,
      },
      evaluator: new Evaluator(
        () => 0.5,
        () => this.now,
      ),
      region: 'us-east-1',
      random: () => 0.5,
      task: (call: TaskCall) => this.task(call),
      token: () => {
        throw new Error('no state waits for a token');
      },
      distribute: () => undefined,
      read: async () => [],
      write: async () => undefined,
    };
  }

  private async task(call: TaskCall): Promise<unknown> {
    const given = call.arguments as Request;
    if (call.resource.action === 'createTrainingJob') return this.createJob(given);
    if (!/Attempt/.test(given.FunctionName)) throw new Error(`unexpected call of ${given.FunctionName}`);
    const crash = this.crashes.includes(this.calls++);
    const request = JSON.parse(JSON.stringify(given.Payload)) as AttemptRequest;
    const report = await attempt(this.ports(), request);
    // its work is done, but nobody hears of it
    if (crash) throw new StatesError('Lambda.SdkClientException', 'connection reset');
    return { Payload: JSON.parse(JSON.stringify(report)) };
  }

  private ports(): AttemptPorts {
    return {
      pipeline: 'loop',
      registry: 'models',
      region: 'us-east-1',
      ledger: this.ledger,
      store: this.store,
      jobs: { training: this.service, tuning: this.service },
      lastLines: async () => ['ValueError: what a pity'],
      now: () => new Date(this.now),
    };
  }

  private describe(name: string): JobFacts | undefined {
    const job = this.jobs.get(name);
    if (job === undefined) return undefined;
    if (this.now < job.endsAt) return { status: job.stopping ? 'Stopping' : 'InProgress' };
    return job.facts(job.endsAt);
  }

  private stop(name: string): void {
    const job = this.jobs.get(name) as Job;
    if (this.now >= job.endsAt || job.stopping) return;
    job.stopping = true;
    job.endsAt = Math.min(job.endsAt, this.now + GRACE * 1000);
  }

  private async createJob(request: Request): Promise<unknown> {
    const { TrainingJobName: name, ResourceConfig: machines, StoppingCondition: limits } = request;
    if (this.jobs.has(name)) throw new StatesError('SageMaker.ResourceInUseException', 'the name is in use');
    const fate = this.fates[this.started++] ?? { kind: 'fine' };
    const refusals: Record<string, [string, string]> = {
      quota: [
        'SageMaker.ResourceLimitExceededException',
        "The account-level service limit 'ml.g5.2xlarge for training job usage' is 0 Instances",
      ],
      throttle: [
        'SageMaker.AmazonSageMakerException',
        'Rate exceeded (Service: AmazonSageMaker; Status Code: 400; Error Code: ThrottlingException)',
      ],
      refused: [
        'SageMaker.AmazonSageMakerException',
        '1 validation error detected (Service: AmazonSageMaker; Status Code: 400; Error Code: ValidationException)',
      ],
      fault: [
        'SageMaker.AmazonSageMakerException',
        'null (Service: AmazonSageMaker; Status Code: 500; Error Code: InternalFailure)',
      ],
    };
    const refusal = refusals[fate.kind];
    if (refusal !== undefined) throw new StatesError(...refusal);

    const live = [...this.jobs.values()].filter((job) => this.now < job.endsAt);
    if (live.length > 0) this.violations.push(`${name} began while ${live[0]?.name} was alive`);
    const begun = this.ledger.all('RUN#').filter(({ kind, job }) => kind === 'AttemptStarted' && job === name);
    if (begun.length !== 1) this.violations.push(`${name} began with ${begun.length} reservations`);

    const job = this.makeJob(name, request, fate, limits, machines);
    this.jobs.set(name, job);
    const wait = (seconds: number) => {
      this.now += Math.min(seconds * 1000, job.endsAt - this.now);
    };
    if (fate.kind === 'cutOff') throw new StatesError('SageMaker.SdkClientException', 'the connection was cut off');
    if (fate.kind === 'timeout') {
      wait(fate.after);
      if (this.now < job.endsAt) {
        if (fate.stopped) this.stop(name);
        throw new StatesError('States.Timeout', 'timed out');
      }
    }
    if (fate.kind === 'redriven') {
      wait(fate.after);
      if (this.now < job.endsAt) {
        if (fate.stopped) this.stop(name);
        this.laterMs = fate.later * 1000;
        this.abort();
        throw new Aborted();
      }
    }
    this.now = job.endsAt;
    const facts = this.describe(name) as JobFacts;
    if (facts.status !== 'Completed')
      throw new StatesError(
        'States.TaskFailed',
        JSON.stringify({ TrainingJobName: name, TrainingJobStatus: facts.status }),
      );
    return { TrainingJobName: name, TrainingJobStatus: 'Completed' };
  }

  private started = 0;

  private makeJob(name: string, request: Request, fate: Fate, limits: Request, machines: Request): Job {
    const spot = request.EnableManagedSpotTraining === true;
    const startedAt = this.now;
    const folder = request.CheckpointConfig.S3Uri;
    const saved = this.progress.get(folder) ?? 0;
    const perSecond = pricePerSecond(machines);
    const rest = this.needed - saved;
    const limit = limits.MaxRuntimeInSeconds;
    const after = 'after' in fate ? fate.after : 0;
    const billed = (seconds: number) => Math.ceil(spot ? seconds * 0.4 : seconds);
    const ends = (
      seconds: number,
      facts: Omit<JobFacts, 'status'> & { status: 'Completed' | 'Failed' | 'Stopped' },
      trained: number,
    ): Job => {
      const endsAt = startedAt + seconds * 1000;
      return {
        name,
        startedAt,
        endsAt,
        perSecond,
        facts: (endedAt) => {
          const cut = endedAt < endsAt; // somebody stopped it before
          const trainedFor = Math.max(0, Math.min(trained, (endedAt - startedAt) / 1000));
          this.progress.set(
            folder,
            Math.max(this.progress.get(folder) ?? 0, Math.min(this.needed, saved + trainedFor)),
          );
          const time =
            trained === 0 ? {} : { billableSeconds: billed(trainedFor), trainingSeconds: Math.ceil(trainedFor) };
          return cut ? { status: 'Stopped', secondaryStatus: 'Stopped', ...time } : { ...facts, ...time };
        },
      };
    };
    const done = {
      status: 'Completed' as const,
      secondaryStatus: 'Completed',
      model: `${request.OutputDataConfig.S3OutputPath}${name}/output/model.tar.gz`,
      arn: `arn:aws:sagemaker:us-east-1:123456789012:training-job/${name}`,
      metrics: { 'validation:auc': this.metric(request.HyperParameters) },
    };
    const completes = (): Job =>
      rest <= limit
        ? ends(rest, done, rest)
        : ends(limit + GRACE, { status: 'Stopped', secondaryStatus: 'MaxRuntimeExceeded' }, limit + GRACE);
    const breaks = (reason: string, status: 'Failed' | 'Stopped' = 'Failed', secondaryStatus = 'Failed'): Job =>
      after < Math.min(rest, limit)
        ? ends(after, { status, secondaryStatus, ...(reason && { failureReason: reason }) }, after)
        : completes();
    switch (fate.kind) {
      case 'capacity':
        return ends(
          after,
          {
            status: 'Failed',
            failureReason:
              'CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.',
          },
          0,
        );
      case 'maxWait':
        return spot
          ? ends(limits.MaxWaitTimeInSeconds, { status: 'Stopped', secondaryStatus: 'MaxWaitTimeExceeded' }, 0)
          : completes();
      case 'interruption': {
        if (!spot || after >= Math.min(rest, limit)) return completes();
        if (!fate.back) {
          return ends(
            limits.MaxWaitTimeInSeconds,
            { status: 'Stopped', secondaryStatus: 'MaxWaitTimeExceeded', interruptions: 1 },
            after,
          );
        }
        return completes();
      }
      case 'internal':
        return breaks('InternalServerError: We encountered an internal error. Please try again.');
      case 'nameless':
        return breaks('');
      case 'algorithm':
        return breaks('AlgorithmError: ExecuteUserScriptError: exit code 1');
      case 'client':
        return breaks('ClientError: Data download failed');
      case 'cancelled':
        return breaks('', 'Stopped', 'Stopped');
      default:
        return completes();
    }
  }
}

function pricePerSecond({ InstanceType: type, InstanceCount: count }: Request): number {
  if (instanceOf(type) === undefined) throw new Error(`no instance ${type}`);
  return ((trainingPrice('us-east-1', type)?.usdPerHour ?? 0) * count) / 3600;
}
