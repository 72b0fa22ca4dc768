import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as realSleep } from 'node:timers/promises';
import type { SecondaryStatus } from '@aws-sdk/client-sagemaker';
import { LONGEST_TIMER_MS } from '../../engine/clock';
import { ownPart } from '../../engine/paths';
import type { Context, RoleCaller } from '../../service';
import type { Kept } from '../../state/state-store';
import { LogFile } from '../logs/log-file';
import { type Container, type Containers, HOSTS } from './container';
import { FaultInjection } from './fault-injection';
import { CAPACITY, type Faults, INTERNAL, type ScriptFault, takeAgain } from './faults';
import { asEventDetail, ENGINE_ENDED, type Host, now, s3Uri } from './host';
import { groupsOf } from './instance-groups';
import { clientSide, JobFailure } from './job-failure';
import { putOutput } from './keys';
import type { TrainingRequest } from './requests';
import { uploadFolder, withSlash } from './staging';
import { filesBelow, othersBelow, pack } from './tar';
import { freePort, nodesOf, processesOf } from './training-cluster';
import { prepare } from './training-input';
import {
  describeJob,
  failureText,
  finalMetrics,
  type Job,
  type KeptJob,
  keptJob,
  NO_INSTANCES,
  type Node,
  STATUS_MESSAGES,
  StopReason,
  type StreamName,
} from './training-job';

/** Real milliseconds between looks at the checkpoint folder. */
const CHECKPOINT_SYNC_MS = 10_000;
/** What a container has between SIGTERM and SIGKILL, in the engine's time. */
const GRACE_MS = 120_000;
/** What it has at least, in real time: a fast clock does not make a script save faster. */
const LEAST_GRACE_MS = 5_000;

/** How many lines of its log a script's failure shows. */
const LAST_LINES = 6;

/** The way of training jobs from the wait for instances to their end. */
export class TrainingRuns {
  constructor(
    private readonly host: Host,
    private readonly containers: Containers,
    private readonly faults: Pick<Faults, 'training'>,
    private readonly kept: Kept<KeptJob>,
  ) {}

  async run(job: Job, role: RoleCaller): Promise<void> {
    await this.toItsEnd(job, async () => {
      await this.launch(job);
      await this.trainAndUpload(job, role);
    });
  }

  /**
   * Goes on with a job that an earlier start of the engine left: that its instances are gone is to it what an interruption
   * is on spot instances, and on others a fault of the service.
   */
  async resume(job: Job, role: RoleCaller): Promise<void> {
    await this.toItsEnd(job, async () => {
      if (job.stop === undefined && job.started !== undefined) {
        const kind = job.input.EnableManagedSpotTraining === true ? 'interruption' : 'internal';
        await this.recover(job, { kind }, ENGINE_ENDED);
      }
      await this.trainAndUpload(job, role);
    });
  }

  private async trainAndUpload(job: Job, role: RoleCaller): Promise<void> {
    let trained = false;
    while (!trained && job.stop === undefined) trained = await this.attempt(job, role);
    if (trained) await this.upload(job, role);
  }

  private async toItsEnd(job: Job, work: () => Promise<void>): Promise<void> {
    const { signal } = this.host.context;
    try {
      await work();
      if (!signal.aborted) this.end(job, job.stop === undefined ? 'Completed' : 'Stopped');
    } catch (error) {
      if (signal.aborted) return; // the engine ends: the next start decides what becomes of the job
      const reason = error instanceof JobFailure ? error.message : `InternalServerError: ${(error as Error).message}`;
      if (!(error instanceof JobFailure)) this.log(job, (error as Error).stack ?? String(error));
      this.end(job, job.stop === undefined ? 'Failed' : 'Stopped', reason);
    }
  }

  /** Asks a job to end; what its script has then is kept. */
  stop(job: Job, why: StopReason): void {
    job.stop = why;
    job.status = 'Stopping';
    this.enter(job, 'Stopping');
    job.stopping.abort();
    this.terminate(job);
  }

  /** Waits for the first instances. */
  private async launch(job: Job): Promise<void> {
    const { fault } = job;
    if (fault?.kind === 'capacity') {
      this.say(job, NO_INSTANCES);
      await this.wait(job, fault.afterSeconds ?? 0);
      if (job.stop === undefined) throw new JobFailure(CAPACITY);
    } else if (fault?.kind === 'maxWait') {
      this.say(job, NO_INSTANCES);
      await this.wait(job, Number.POSITIVE_INFINITY);
    } else if (fault?.kind === 'slowStart') {
      this.enter(job, 'Pending');
      await this.wait(job, fault.seconds, pendingLimit(job.input));
    }
  }

  /** Waits for instances, in the engine's time; a job that must not wait as long is stopped. */
  private async wait(job: Job, seconds: number, pending = Number.POSITIVE_INFINITY): Promise<void> {
    const left = Math.min(pending, waitLeft(job));
    const spent = Math.max(0, Math.min(seconds, left));
    const { clock, signal } = this.host.context;
    await clock.sleep(spent * 1000, AbortSignal.any([job.stopping.signal, signal]));
    if (signal.aborted) throw new Error('the engine has ended');
    if (job.stop !== undefined) return;
    job.waited += spent;
    if (seconds > left) job.stop = left === pending ? StopReason.pending : StopReason.wait;
  }

  /**
   * One attempt, from the download to the end of the script.
   *
   * @returns whether training is over; else the job is to start again, or was stopped meanwhile
   */
  private async attempt(job: Job, role: RoleCaller): Promise<boolean> {
    this.enter(job, 'Downloading');
    await rm(job.folder, { recursive: true, force: true });
    job.nodes = nodesOf(job, this.host.context.clock.now());
    const linked = await this.containers.literalPaths(); // there the input is read-only, so objects are safe
    for (const node of job.nodes) await prepare(this.host, job, node, job.nodes, role, linked);
    if (job.stop !== undefined) return false;
    const { TrainingImage: image = '' } = job.input.AlgorithmSpecification;
    const python = await this.containers.python(image, join(this.first(job).folder, 'code')).catch((error: Error) => {
      throw new JobFailure(`ClientError: ${error.message}`);
    });
    if (job.stop !== undefined) return false;
    const injected = await this.train(job, role, python);
    if (injected === undefined || job.stop !== undefined) return true;
    await this.recover(job, injected);
    return false;
  }

  /** Runs the script on all hosts. Gives the fault that ended it, if one did. */
  private async train(job: Job, role: RoleCaller, python: string): Promise<ScriptFault | undefined> {
    this.enter(job, 'Training');
    job.started ??= now(this.host);
    const injection = new FaultInjection(job, (fault) => this.inject(job, fault));
    await this.start(job, role, python, injection);
    const began = performance.now();
    const limit = this.limit(job);
    const sync = setInterval(() => void this.saveCheckpoints(job, role).catch(() => {}), CHECKPOINT_SYNC_MS);
    injection.arm();
    const failed = await this.ended(job, injection);
    clearTimeout(limit);
    clearInterval(sync);
    injection.disarm();
    job.trained += (performance.now() - began) / 1000;
    const reason = failed && `AlgorithmError: ${await failureText(failed.node)}, exit code: ${failed.code}`;
    const { injected } = injection;
    for (const { name, checkpoints } of job.nodes) {
      await checkpoints?.finish(role, injected?.kind === 'nodeLoss' && injected.host === name);
    }
    if (this.host.context.signal.aborted) throw new Error('the engine has ended');
    if (reason) throw new JobFailure(reason);
    return injected;
  }

  private async start(job: Job, role: RoleCaller, python: string, injection: FaultInjection): Promise<void> {
    const env = await this.environment(job, role);
    await Promise.all(
      job.nodes.map(async (node) => {
        job.streams.push(node.stream);
        this.kept.put(job.input.TrainingJobName, keptJob(job));
        node.container = await this.containers.start({
          ...{ folder: node.folder, entry: 'container.py', python, workingFolder: 'code' },
          ...(job.nodes.length > 1 && { hosts: join(job.folder, 'hosts') }),
          env: { ...env, PERENNIAL_PROCESSES: String(processesOf(node, job.nodes)) },
          line: (line) => {
            this.log(job, line, node);
            injection.read(line);
          },
        });
      }),
    );
    if (job.stop !== undefined) this.terminate(job); // asked for while they were being started
  }

  /** Stops a job when it has trained, or waited, as long as it may. */
  private limit(job: Job): NodeJS.Timeout {
    const runtime = (job.input.StoppingCondition?.MaxRuntimeInSeconds ?? 86_400) - job.trained;
    const wait = waitLeft(job);
    const why = wait < runtime ? StopReason.wait : StopReason.runtime;
    return setTimeout(
      () => job.stop === undefined && this.stop(job, why),
      Math.min(Math.max(0, Math.min(wait, runtime)) * 1000, LONGEST_TIMER_MS),
    );
  }

  /** Waits for all hosts. Where one fails by itself, the others are ended, and it is given. */
  private async ended(job: Job, injection: FaultInjection): Promise<{ node: Node; code: number } | undefined> {
    let failed: { node: Node; code: number } | undefined;
    await Promise.all(
      job.nodes.map(async (node) => {
        const code = await node.container?.ended;
        if (code === undefined || code === 0 || job.stop !== undefined || injection.injected !== undefined) return;
        failed ??= { node, code };
        this.kill(job);
      }),
    );
    return failed;
  }

  private inject(job: Job, fault: ScriptFault): void {
    this.log(job, `fault: ${fault.kind}`);
    const lost = job.nodes.find(({ name }) => fault.kind === 'nodeLoss' && name === fault.host);
    if (fault.kind === 'interruption') {
      this.terminate(job);
    } else if (lost === undefined) {
      this.kill(job);
    } else {
      lost.container?.end();
      void lost.container?.ended.then(() => this.kill(job));
    }
  }

  /** Ends the script on all hosts at once. */
  private kill(job: Job): void {
    for (const { container } of job.nodes) container?.end();
  }

  /** After a fault: waits for instances, or tries again as often as the job allows. */
  private async recover(job: Job, fault: ScriptFault, failure = INTERNAL): Promise<void> {
    if (fault.kind === 'interruption') {
      this.enter(job, 'Interrupted');
      const { resumes = true, resumeAfterSeconds = 60 } = fault;
      await this.wait(job, resumes ? resumeAfterSeconds : Number.POSITIVE_INFINITY);
    } else {
      const most = job.input.RetryStrategy?.MaximumRetryAttempts ?? 0;
      if (job.retries >= most || this.host.context.signal.aborted) throw new JobFailure(failure);
      job.retries++;
      this.enter(job, 'Restarting');
    }
    if (job.stop !== undefined) return;
    if (!takeAgain(this.faults.training, fault)) job.fault = undefined;
    this.enter(job, 'Starting');
  }

  private async environment(job: Job, role: RoleCaller): Promise<Record<string, string>> {
    const { input, nodes } = job;
    const resolves = nodes.length > 1 && (await this.containers.literalPaths());
    if (resolves) await writeHosts(job);
    return {
      ...this.host.context.credentials(role),
      ...input.Environment,
      TRAINING_JOB_NAME: input.TrainingJobName,
      TRAINING_JOB_ARN: job.arn,
      PERENNIAL_MASTER_ADDRESS: resolves ? this.first(job).name : '127.0.0.1',
      PERENNIAL_MASTER_PORT: String(await freePort()),
    };
  }

  private async saveCheckpoints(job: Job, role: RoleCaller): Promise<void> {
    for (const { checkpoints } of job.nodes) await checkpoints?.save(role);
  }

  /** Stores the model and the output of the first host. */
  private async upload(job: Job, role: RoleCaller): Promise<void> {
    const { input, folder } = job;
    const first = this.first(job).folder;
    this.enter(job, 'Uploading');
    const { S3OutputPath, CompressionType, KmsKeyId } = input.OutputDataConfig;
    const target = `${withSlash(S3OutputPath)}${input.TrainingJobName}/output/`;
    const put = (local: string, name: string) =>
      putOutput(this.host, role, s3Uri(`${target}${name}`), { file: local }, KmsKeyId);
    await clientSide('Failed to upload model artifacts', async () => {
      const [model, output] = await Promise.all([ownPart(first, 'model'), ownPart(first, 'output/data')]);
      for (const left of [model, output]) {
        for (const other of await othersBelow(left)) {
          this.log(job, `${relative(first, join(left, other))} is neither a file nor a folder, and is left out`);
        }
      }
      if (CompressionType === 'NONE') {
        await uploadFolder(this.host, role, model, `${target}model/`, { kmsKey: KmsKeyId });
        job.model = `${target}model/`;
      } else {
        await pack(model, `${folder}.model.tar.gz`);
        await put(`${folder}.model.tar.gz`, 'model.tar.gz');
        job.model = `${target}model.tar.gz`;
      }
      if ((await filesBelow(output)).length > 0) {
        await pack(output, `${folder}.output.tar.gz`);
        await put(`${folder}.output.tar.gz`, 'output.tar.gz');
      }
    });
  }

  /** Tells all hosts' scripts to end, and gives them some time. */
  private terminate(job: Job): void {
    for (const node of job.nodes) {
      if (node.container === undefined || node.isEnding === true) continue;
      node.isEnding = true;
      node.container.signal('SIGTERM');
      void this.endInTime(job, node.container);
    }
  }

  private async endInTime(job: Job, container: Container): Promise<void> {
    const ended = new AbortController();
    const { signal } = ended;
    void container.ended.then(() => ended.abort());
    await Promise.all([
      this.host.context.clock.sleep(GRACE_MS, signal),
      realSleep(LEAST_GRACE_MS, undefined, { signal, ref: false }).catch(() => {}),
    ]);
    if (signal.aborted) return;
    this.log(job, 'the script has not ended in time after SIGTERM and is killed');
    container.signal('SIGKILL');
  }

  private end(job: Job, status: 'Completed' | 'Failed' | 'Stopped', failure?: string): void {
    job.status = status;
    job.ended = now(this.host);
    if (failure !== undefined) job.failure = failure;
    job.metrics = finalMetrics(job, this.written(job));
    if (status === 'Stopped' && job.stop !== undefined) this.enter(job, job.stop.secondary, job.stop.message);
    else this.enter(job, status);
  }

  /** What all hosts of a job wrote, in its order. */
  private written({ input, streams }: Job): string[] {
    if (input.AlgorithmSpecification.MetricDefinitions === undefined) return [];
    const lines = streams.flatMap((stream) => logOf(this.host.context, stream).read());
    return lines.sort((one, other) => one.at - other.at).map(({ text }) => text);
  }

  /** Takes a job into a secondary status, and tells everybody. */
  enter(job: Job, secondary: SecondaryStatus, message = STATUS_MESSAGES[secondary] ?? secondary): void {
    const at = now(this.host);
    const last = job.transitions.at(-1);
    if (last !== undefined) last.EndTime = at;
    job.secondary = secondary;
    job.modified = at;
    job.transitions.push({
      ...{ Status: secondary, StartTime: at, ...(job.ended !== undefined && { EndTime: at }) },
      StatusMessage: job.failure ?? message,
    });
    const { context } = this.host;
    context.log('sagemaker', `training job ${job.input.TrainingJobName}: ${job.failure ?? secondary}`);
    context.store.together(() => {
      this.kept.put(job.input.TrainingJobName, keptJob(job));
      context.emit({
        source: 'aws.sagemaker',
        'detail-type': 'SageMaker Training Job State Change',
        resources: [job.arn],
        detail: asEventDetail({ ...describeJob(job), Tags: this.host.tags.get(job.arn) ?? [] }),
      });
    });
  }

  /** Changes what the present status says. */
  private say(job: Job, message: string): void {
    const last = job.transitions.at(-1);
    if (last !== undefined) last.StatusMessage = message;
  }

  private log(job: Job, text: string, node?: Node): void {
    const { context } = this.host;
    if (node !== undefined) {
      node.last.push(text);
      if (node.last.length > LAST_LINES) node.last.shift();
      node.log ??= logOf(context, node.stream);
      node.log.append({ at: context.clock.now(), text });
    }
    const host = job.nodes.length > 1 && node !== undefined && { host: node.name };
    context.log('sagemaker', text, { trainingJob: job.input.TrainingJobName, ...host });
  }

  private first(job: Job): Node {
    return job.nodes[0] as Node;
  }
}

/** The log of a host. */
export function logOf(context: Context, { name }: StreamName): LogFile {
  return new LogFile(context, join(context.stateDir, 'logs', 'training', `${name}.jsonl`));
}

/** Seconds for which a spot job may still wait or train. */
function waitLeft({ input, waited, trained }: Job): number {
  return (input.StoppingCondition?.MaxWaitTimeInSeconds ?? Number.POSITIVE_INFINITY) - waited - trained;
}

/** Seconds for which a job may wait for its first instances: a limit that holds for accelerated instances alone. */
function pendingLimit({ ResourceConfig, StoppingCondition }: TrainingRequest): number {
  const types: string[] = groupsOf(ResourceConfig).map(({ InstanceType }) => InstanceType);
  const accelerated = types.some((type) => /^ml\.(p|g|trn)\d/.test(type));
  return (accelerated ? StoppingCondition?.MaxPendingTimeInSeconds : undefined) ?? Number.POSITIVE_INFINITY;
}

/** The machine's names, and the job's hosts, which all run on this machine. */
async function writeHosts(job: Job): Promise<void> {
  const own = await readFile(HOSTS, 'utf8').catch(() => '127.0.0.1 localhost\n');
  const names = job.nodes.map(({ name }) => `127.0.0.1 ${name}\n`).join('');
  await writeFile(join(job.folder, 'hosts'), `${own.trimEnd()}\n${names}`);
}
