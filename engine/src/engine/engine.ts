import { chmodSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { checkInput } from '../api/input-check';
import { Assembly, environmentOf } from '../assembly/assembly';
import { Gateway, notImplemented } from '../gateway/gateway';
import { KeyRing, type Keys } from '../gateway/keys';
import { Signatures } from '../gateway/signature';
import { signingName } from '../gateway/signing-names';
import {
  ApiError,
  type AwsEnvironment,
  type Caller,
  type Context,
  type Delivery,
  type LogEntry,
  type RequiredPermission,
  type Service,
  type Shape,
} from '../service';
import { CustomResources } from '../services/cloudformation/custom-resources';
import { Deletions } from '../services/cloudformation/deletions';
import { callerName, Iam, type UnusedPermission } from '../services/iam/service';
import { Kms } from '../services/kms/service';
import { checkFaults, type Faults } from '../services/sagemaker/faults';
import { lockState } from '../state/state-lock';
import { StateStore } from '../state/state-store';
import { type Clock, ScaledClock } from './clock';
import { random } from './random';
import { makeServices, type ServiceOptions, type Services } from './services';
import { listed } from './text';

/** How to start an {@link Engine}. */
export interface EngineOptions extends ServiceOptions {
  /** The folder that `cdk synth` wrote, e.g. `cdk.out`. */
  readonly assembly: string;
  /**
   * The folder of the engine's state: objects, tables, queues, jobs, logs. A start on the same folder goes on where the
   * last one ended, however that was. It must be the engine's own, and is safe to delete once the engine has stopped.
   *
   * @default a fresh temporary folder
   */
  readonly stateDir?: string;
  /** The port on 127.0.0.1. @default any free one */
  readonly port?: number;
  /** Account and region. @default those that the app's stacks are bound to, else 000000000000 in us-east-1 */
  readonly aws?: Partial<AwsEnvironment>;
  /** Values of template parameters that have no default, by `<stack>.<parameter>` or `<parameter>`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** What a wait of 1 second takes: 0.01 makes a minute's wait last 0.6 s. @default 1 */
  readonly timeScale?: number;
  /**
   * The time at which the engine's clock begins, if it is not later already where an earlier start on the same folder ended.
   *
   * @default now, or where that start's clock is by now
   */
  readonly startAt?: Date;
  /** The engine's time, for tests that move it by hand. @default real time, scaled by `timeScale` */
  readonly clock?: Clock;
  /** Seed of everything random: jitter, the order of shuffled deliveries. @default 1 */
  readonly seed?: number;
  /** Delivers every event and message so often, and in random order. @default once, in order */
  readonly delivery?: Delivery;
  /** False if schedules are to fire only by {@link Engine.fire}. @default true */
  readonly schedules?: boolean;
  /** Told of everything that happens, as it happens. */
  readonly log?: (entry: LogEntry) => void;
  /**
   * Services of your own, each made once the engine's are: they answer requests signed for them, tasks of state machines
   * and whatever else calls them, each call judged by IAM first.
   */
  readonly services?: readonly ((context: Context) => Service)[];
  /** Other emulators for services that the engine does not have: their address by signing name, e.g. `kinesis`. */
  readonly delegates?: Readonly<Record<string, string>>;
}

/** A part of the template that does nothing here. */
export interface InertResource {
  readonly path: string;
  readonly type: string;
  readonly why: string;
}

/** What an SDK v3 client's constructor takes. */
export interface ClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: Keys;
  readonly forcePathStyle: true;
}

/** The oldest log entries are dropped beyond this many. */
const LOG_LIMIT = 20_000;

/**
 * Runs a synthesized CDK app on this machine: no account, no Docker.
 *
 * ```ts
 * const engine = await Engine.start({ assembly: 'cdk.out' });
 * await new S3Client(engine.clientConfig).send(new PutObjectCommand({ Bucket: engine.outputs.App.Bucket, … }));
 * await engine.idle();
 * await engine.stop();
 * ```
 */
export class Engine {
  /** Everything that happened, oldest first. */
  readonly log: LogEntry[] = [];
  /** Faults to inject into jobs and endpoints that are still to be created or updated; more may be pushed at any time. */
  readonly faults: Faults;
  /** The parts by themselves, for tests that look inside. */
  readonly services: Services;
  private readonly ownServices: readonly Service[];
  private readonly byName: Map<string, Service>;
  private readonly iam: Iam;
  private readonly kms: Kms;
  private readonly customResources: CustomResources;
  private readonly working = new Map<number, string>();
  private readonly stopping = new AbortController();
  private stopped: Promise<void> | undefined;
  private jobs = 0;
  private readonly recovery: string[] = [];
  /** What waits for the end of the start; nothing does after it. */
  private waiting: (() => void)[] | undefined = [];

  private constructor(
    readonly assembly: Assembly,
    private readonly options: EngineOptions,
    private readonly gateway: Gateway,
    private readonly clock: Clock,
    private readonly keys: KeyRing,
    private readonly state: State,
    private readonly deletions: Deletions,
  ) {
    this.iam = new Iam(assembly.aws, assembly.resources, () => clock.now());
    this.kms = new Kms(assembly.aws, assembly.resources);
    const { training, transform, endpoints } = checkFaults(options.faults ?? {});
    this.faults = { training: [...training], transform: [...transform], endpoints: [...endpoints] };
    const context = this.context();
    this.services = makeServices(context, { ...options, faults: this.faults });
    this.customResources = new CustomResources(context);
    this.ownServices = (options.services ?? []).map((make) => make(context));
    this.byName = new Map();
    for (const service of this.all()) {
      if (this.byName.has(service.name))
        throw new Error(`there must be one service of the name '${service.name}', got two`);
      this.byName.set(service.name, service);
    }
  }

  /** Reads the assembly, makes its resources, and answers from then on. */
  static async start(options: EngineOptions): Promise<Engine> {
    const services = new Map<string, Service>();
    const state = openState(options.stateDir ?? mkdtempSync(join(tmpdir(), 'perennial-')));
    const clock = options.clock ?? keptClock(state.store, options);
    const keys = new KeyRing(() => clock.now());
    let engine: Engine | undefined;
    const running = () => {
      if (engine === undefined) throw new ApiError('ServiceUnavailable', 'the engine is starting: try again', 503);
      return engine;
    };
    const gateway = new Gateway({
      services,
      call: (service, operation, input, caller) => running().call(service, operation, input, caller),
      signatures: new Signatures(keys, () => clock.now()),
      delegates: options.delegates ?? {},
      failed: (service, error) => running().record(service, `failed: ${(error as Error)?.stack ?? error}`),
    });
    try {
      await gateway.listen(options.port ?? 0);
      const aws = { ...environmentOf(options.assembly), ...options.aws };
      const { parameters } = options;
      const deletions = new Deletions(state.store);
      const assembly = Assembly.load(resolve(options.assembly), aws, {
        endpoint: gateway.url,
        deletions: deletions.count,
        ...(parameters && { parameters }),
      });
      engine = new Engine(assembly, options, gateway, clock, keys, state, deletions);
      await engine.load();
      for (const [name, service] of engine.byName) services.set(name, service);
      engine.goOn();
      return engine;
    } catch (error) {
      if (engine === undefined) {
        await gateway.close();
        state.close();
      } else await engine.stop();
      throw error;
    }
  }

  /** Where clients find the engine: their `AWS_ENDPOINT_URL`. */
  get url(): string {
    return this.gateway.url;
  }

  /** The folder of the engine's state. */
  get stateDir(): string {
    return this.state.folder;
  }

  /** What has become of what an earlier start on the same folder left: what goes on, what was ended, what was set aside. */
  get recovered(): readonly string[] {
    return [...this.recovery, ...this.state.store.aside.told];
  }

  /** The stacks' outputs: `outputs[stack][key]`. */
  get outputs(): Assembly['outputs'] {
    return this.assembly.outputs;
  }

  /** The environment in which any AWS SDK, and the AWS CLI, speak to the engine. Its keys are made at every start. */
  get environment(): Record<string, string> {
    return this.environmentOf(this.keys.root);
  }

  /** For the constructors of SDK v3 clients. */
  get clientConfig(): ClientConfig {
    return this.configOf(this.keys.root);
  }

  /** For clients that are to be one of the template's roles, as its functions and jobs are. */
  clientConfigAs(roleArn: string, session = 'local'): ClientConfig {
    return this.configOf(this.keys.issue(roleArn, session));
  }

  private configOf(credentials: Keys): ClientConfig {
    return { endpoint: this.url, region: this.assembly.aws.region, credentials, forcePathStyle: true };
  }

  private environmentOf({ accessKeyId, secretAccessKey, sessionToken }: Keys): Record<string, string> {
    const { region } = this.assembly.aws;
    return {
      AWS_ENDPOINT_URL: this.url,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken !== undefined && { AWS_SESSION_TOKEN: sessionToken }),
    };
  }

  /** The types of resources that are read from templates: what the services declare, yours among them. */
  get resourceTypes(): ReadonlySet<string> {
    const readers = [this.iam, this.kms, this.customResources, ...this.all()];
    return new Set(readers.flatMap(({ resourceTypes = [] }) => resourceTypes));
  }

  /** What of the template does nothing here, and why. */
  get inert(): InertResource[] {
    const inert: InertResource[] = [];
    const read = this.resourceTypes;
    for (const { path, type } of this.assembly.resources) {
      if (read.has(type) || type === 'AWS::CDK::Metadata') continue;
      const custom = /^Custom::|^AWS::CloudFormation::CustomResource$/.test(type);
      inert.push({
        path,
        type,
        why: custom ? 'this custom resource is not run' : 'the engine does nothing with this type',
      });
    }
    for (const { role, policy } of this.iam.unknownPolicies) {
      inert.push({ path: role, type: 'AWS::IAM::Role', why: `unknown to the engine, grants nothing: ${policy}` });
    }
    for (const path of this.kms.strangers) {
      const why = 'not in the template: its policy is taken to leave the decision to IAM, and to let services in';
      inert.push({ path, type: 'AWS::KMS::Key', why });
    }
    return inert;
  }

  /**
   * Waits until nothing is in flight: no execution, delivery, batch or job.
   *
   * @param timeoutMs real milliseconds, after which it throws with a list of what still runs
   */
  async idle(timeoutMs = 60_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    for (let quiet = 0; quiet < 3; ) {
      // work that just ended may have started other work behind a promise or a socket
      await new Promise((done) => (this.working.size === 0 ? setImmediate(done) : setTimeout(done, 5)));
      quiet = this.working.size === 0 ? quiet + 1 : 0;
      if (Date.now() > end && this.working.size > 0) throw new Error(this.stillRunning(timeoutMs));
    }
  }

  /** The engine's time. */
  now(): Date {
    return new Date(this.clock.now());
  }

  /** Lets time pass at once, for everything in the engine that looks at a clock. */
  advance(milliseconds: number): void {
    this.clock.advance(milliseconds);
  }

  /** Fires a schedule now, by its name, whatever the time. */
  fire(schedule: string): void {
    this.services.scheduler.fire(schedule);
  }

  /** What the roles were granted and have not used in this run. */
  unusedPermissions(): UnusedPermission[] {
    return this.iam.unused();
  }

  /**
   * Does what `cdk destroy` would do, and stops: what runs the template's functions is told to take away what it has
   * made, then buckets, tables and groups are deleted that the template does not retain. A later start on the same
   * folder deploys anew, under other generated names; what is retained stays under the old ones.
   *
   * @throws Error what keeps a stack from being deleted, as a bucket that is not empty; the engine then runs on
   */
  async destroy(): Promise<void> {
    const { resources } = this.assembly;
    this.services.scheduler.stop();
    await this.services.lambda.stopFeeding();
    await this.customResources.deleteAll(resources);
    const services: readonly Service[] = this.all();
    const [gone, retained] = [true, false].map((isGone) =>
      resources.filter(({ deletionPolicy = 'Delete' }) => (deletionPolicy === 'Delete') === isGone),
    );
    for (const resource of gone ?? []) for (const service of services) service.unload?.(resource);
    this.stopped ??= this.end(() => this.deletions.record(retained ?? []));
    await this.stopped;
  }

  /** Ends every child and the server. May be called twice. */
  stop(): Promise<void> {
    this.stopped ??= this.end();
    return this.stopped;
  }

  private all(): Service[] {
    return [...Object.values(this.services), ...this.ownServices];
  }

  private async load(): Promise<void> {
    const { resources } = this.assembly;
    this.deletions.refuseRetained(resources, this.all());
    for (const service of this.all()) {
      const { resourceTypes = [] } = service;
      await service.load?.(resources.filter(({ type }) => resourceTypes.includes(type)));
    }
    this.customResources.load(resources);
    await this.publish();
    const inert = new Map<string, string[]>();
    for (const { type, why, path } of this.inert) {
      inert.set(`${type}: ${why}`, [...(inert.get(`${type}: ${why}`) ?? []), path]);
    }
    for (const [why, paths] of inert) this.record('engine', why, { paths });
  }

  /** Uploads assets as `cdk deploy` does, but for folders: functions read theirs where they lie. */
  private async publish(): Promise<void> {
    const { s3 } = this.services;
    for (const { bucket, key, path } of this.assembly.files()) {
      s3.ensureBucket(bucket);
      await s3.put(bucket, key, { file: path }, { kind: 'root' });
    }
  }

  /** Lets what waits for the start go on. */
  private goOn(): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    for (const work of waiting) work();
    for (const what of this.recovered) this.record('engine', what, { recovered: true });
    this.state.store.aside.listener = (what) => this.record('engine', what); // logs are read only when they are used
  }

  private async end(last = () => {}): Promise<void> {
    this.stopping.abort();
    await this.gateway.close(); // who is not answered knows that nothing was promised
    const ended = await Promise.allSettled(
      this.all()
        .reverse()
        .map((service) => service.stop?.()),
    );
    this.clock.stop?.();
    last();
    this.state.close();
    const failure = ended.find((one) => one.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }

  private async call(name: string, operation: string, input: Shape, caller: Caller): Promise<Shape> {
    const service = this.byName.get(signingName(name));
    const known = service?.operations[operation];
    if (service === undefined || known === undefined) throw notImplemented(name, operation);
    const by = callerName(caller, this.assembly.aws);
    try {
      checkInput(service.name, operation, input);
      for (const need of known.needs(input, caller)) this.iam.authorize(caller, need);
      const output = await known.run(input, caller);
      this.record(service.name, operation, { by });
      return output;
    } catch (error) {
      const { name: code, message } = error as Error;
      this.record(service.name, `${operation} failed: ${code}: ${message}`, { by });
      throw error;
    }
  }

  private record(service: string, message: string, detail?: Readonly<Record<string, unknown>>): void {
    const entry = { at: new Date(this.clock.now()), service, message, ...(detail && { detail }) };
    this.log.push(entry);
    if (this.log.length > LOG_LIMIT) this.log.splice(0, LOG_LIMIT / 10);
    this.options.log?.(entry);
  }

  private background(label: string, work: () => Promise<void>): void {
    const id = this.jobs++;
    this.working.set(id, label);
    const failed = (error: unknown) => {
      if (!this.stopping.signal.aborted) this.record('engine', `${label} failed: ${(error as Error)?.stack ?? error}`);
    };
    void Promise.resolve()
      .then(work)
      .catch(failed)
      .finally(() => this.working.delete(id));
  }

  private stillRunning(timeoutMs: number): string {
    const labels = [...this.working.values()];
    const shown = labels.slice(0, 20).map((label) => `\n- ${label}`);
    const more = labels.length > 20 ? `\n- and ${labels.length - 20} more` : '';
    return `still busy after ${timeoutMs} ms; in flight:${shown.join('')}${more}`;
  }

  private context(): Context {
    const { options, clock } = this;
    const { aws } = this.assembly;
    const { copies = 1, shuffle = false } = options.delivery ?? {};
    return {
      aws,
      clock,
      stateDir: this.stateDir,
      store: this.state.store,
      recovered: (what) => void this.recovery.push(what),
      whenReady: (work) => (this.waiting === undefined ? work() : void this.waiting.push(work)),
      url: () => this.url,
      call: (service, operation, input, caller) => this.call(service, operation, input, caller),
      authorize: (caller: Caller, need: RequiredPermission) => this.iam.authorize(caller, need),
      assumeRole: (...role) => this.iam.assumeRole(...role),
      assumeRoleAs: (...asked) => this.iam.assumeRoleAs(...asked),
      userId: (caller) => this.iam.userId(caller),
      keyNeeds: (use) => this.kms.needs(use),
      keyArn: (key) => this.kms.arnOf(key),
      credentials: (caller, until) => this.environmentOf(this.keys.issueTo(caller, until)),
      emit: (event) => this.services.events.accept(event),
      metric: (...value) => this.services.cloudwatch.record(...value),
      background: (label, work) => this.background(label, work),
      log: (service, message, detail) => this.record(service, message, detail),
      asset: (bucket, key) => this.assembly.asset(bucket, key),
      random: random(options.seed ?? 1),
      delivery: { copies, shuffle },
      signal: this.stopping.signal,
      outputs: this.outputs,
      unusedPermissions: () => this.unusedPermissions(),
      schedules: options.schedules ?? true,
    };
  }
}

/** A folder that this engine alone has. */
interface State {
  readonly folder: string;
  readonly store: StateStore;
  close(): void;
}

/** The engine's clock, which never falls behind what an earlier start on the same folder has shown. */
function keptClock(store: StateStore, { timeScale = 1, startAt }: EngineOptions): Clock {
  const kept = store.collection<{ readonly lead: number }>('clock', { lead: 'number' });
  let begin = startAt;
  kept.restore(({ lead }) => {
    const reached = Date.now() + lead;
    if (begin === undefined || begin.getTime() < reached) begin = new Date(reached);
  });
  return new ScaledClock(timeScale, begin, (lead) => kept.put('lead', { lead }));
}

/** What an engine may find in its folder before it has begun to keep anything. */
const BEGINNING = /^\.|^lock\.|^journal\.jsonl\.next$/;

function openState(stateDir: string): State {
  const folder = resolve(stateDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const others = StateStore.isIn(folder) ? [] : readdirSync(folder).filter((name) => !BEGINNING.test(name));
  if (others.length > 0) {
    throw new Error(
      `the folder of the engine's state must be empty or an engine's own, got ${folder} with ${listed(others)}: name another folder, or delete what is there`,
    );
  }
  chmodSync(folder, 0o700); // it has the user's data
  const unlock = lockState(folder);
  try {
    const store = new StateStore(folder);
    const close = () => {
      store.close();
      unlock();
    };
    return { folder, store, close };
  } catch (error) {
    unlock();
    throw error;
  }
}
