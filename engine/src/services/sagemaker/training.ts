import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type {
  CreateTrainingJobResponse,
  ListTrainingJobsRequest,
  ListTrainingJobsResponse,
} from '@aws-sdk/client-sagemaker';
import { ApiError, type Caller, type Operation } from '../../service';
import type { Kept } from '../../state/state-store';
import type { LogStream } from '../logs/service';
import type { Containers } from './container';
import { type Faults, quotaMessage, takeFault } from './faults';
import { actAs, arnOf, creationNeeds, forgetOldest, type Host, invalid, now, page, sorted } from './host';
import { groupsOf, hostNames } from './instance-groups';
import { checkDiskKey } from './keys';
import type { TrainingRequest } from './requests';
import * as shape from './shape';
import { required } from './shape';
import { describeJob, type Job, type KeptJob, StopReason } from './training-job';
import { checkRequest } from './training-request';
import { logOf, TrainingRuns } from './training-run';

/** Training jobs: a script under SageMaker's container contract, as a child process. */
export class TrainingJobs {
  private readonly jobs = new Map<string, Job>();
  private readonly faults: Pick<Faults, 'training'>;
  private readonly runs: TrainingRuns;
  private readonly kept: Kept<KeptJob>;
  private readonly running = new Set<Promise<void>>();

  constructor(
    private readonly host: Host,
    containers: Containers,
  ) {
    this.faults = { training: host.options.faults?.training ?? [] };
    this.kept = host.context.store.collection('sagemaker/training-jobs', {
      ...{ input: 'object', arn: 'string', CreationTime: 'object', status: 'string', secondary: 'string' },
      ...{ transitions: 'list', streams: 'list', trained: 'number', waited: 'number', retries: 'number' },
    });
    this.runs = new TrainingRuns(host, containers, this.faults, this.kept);
    this.restore();
  }

  private restore(): void {
    const left: KeptJob[] = [];
    this.kept.restore((job) => left.push(job));
    left.sort((one, other) => Number(one.CreationTime) - Number(other.CreationTime));
    for (const kept of left) {
      const name = kept.input.TrainingJobName;
      const job = { ...kept, folder: this.folder(name), nodes: [], stopping: new AbortController() };
      this.jobs.set(name, job);
      if (!hasEnded(job)) this.goOn(job);
    }
  }

  /** Goes on with a job that ran when the engine ended. */
  private goOn(job: Job): void {
    const { context } = this.host;
    const name = job.input.TrainingJobName;
    context.whenReady(() => {
      const role = actAs(this.host, job.input.RoleArn, job.arn);
      this.background(name, async () => {
        await this.runs.resume(job, role);
        const { status, secondary, failure } = job;
        context.log(
          'sagemaker',
          `training job ${name}, which ran when the engine ended: ${failure ?? secondary ?? status}`,
        );
      });
    });
    context.recovered(`the training job ${name} ran when the engine ended: ${fateOf(job)}`);
  }

  /** Resolves once no job writes anything any more; for the end of an engine. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.running);
  }

  private background(name: string, work: () => Promise<void>): void {
    this.host.context.background(`training job ${name}`, async () => {
      const running = work().finally(() => {
        this.running.delete(running);
        forgetOldest(this.jobs, hasEnded, (job) => this.forget(job));
      });
      this.running.add(running);
      await running;
    });
  }

  private forget({ input, arn, folder, streams }: Job): void {
    this.jobs.delete(input.TrainingJobName);
    this.host.tags.delete(arn);
    this.kept.delete(input.TrainingJobName);
    if (streams.length > 0) rmSync(join(this.host.context.stateDir, 'logs', 'training', input.TrainingJobName), GONE);
    rmSync(folder, GONE);
  }

  private folder(name: string): string {
    return join(this.host.context.stateDir, 'sagemaker', 'training', name);
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateTrainingJob: {
      needs: (input) =>
        creationNeeds(this.host, 'CreateTrainingJob', 'training-job', input.TrainingJobName, input, input.RoleArn),
      run: (input, caller) => this.create(input, caller),
    },
    DescribeTrainingJob: this.onJob('DescribeTrainingJob', describeJob),
    StopTrainingJob: this.onJob('StopTrainingJob', (job) => this.stopJob(job)),
    ListTrainingJobs: {
      needs: () => [{ action: 'sagemaker:ListTrainingJobs', resource: '*' }],
      run: (input) => this.list(input),
    },
  };

  /** The logs of the jobs' hosts, in the order in which they began. */
  logStreams(): readonly LogStream[] {
    const { context } = this.host;
    return [...this.jobs.values()].flatMap(({ streams }) =>
      streams.map((stream) => ({ ...stream, read: () => logOf(context, stream).read() })),
    );
  }

  private onJob(action: string, run: (job: Job) => object): Operation {
    return {
      needs: (input) => [
        { action: `sagemaker:${action}`, resource: arnOf(this.host, 'training-job', input.TrainingJobName ?? '') },
      ],
      run: (input) => {
        shape.validate(input, { TrainingJobName: required(shape.name) });
        const job = this.jobs.get(input.TrainingJobName);
        if (job === undefined) throw invalid('Requested resource not found.');
        return run(job);
      },
    };
  }

  private create(input: TrainingRequest, caller: Caller): CreateTrainingJobResponse {
    checkRequest(input);
    const { TrainingJobName: name } = input;
    const arn = arnOf(this.host, 'training-job', name);
    if (this.jobs.has(name)) {
      throw new ApiError(
        'ResourceInUse',
        `Training job names must be unique within an AWS account and region, but a training job with this name already exists (${arn})`,
      );
    }
    const role = actAs(this.host, input.RoleArn, arn);
    checkDiskKey(this.host, input.ResourceConfig.VolumeKmsKeyId, caller, role);
    const groups = groupsOf(input.ResourceConfig);
    const fault = takeFault(this.faults.training, {
      job: input.TrainingJobName,
      types: groups.map(({ InstanceType }) => InstanceType),
      spot: input.EnableManagedSpotTraining === true,
      hosts: hostNames(groups),
    });
    if (fault?.kind === 'throttle') throw new ApiError('ThrottlingException', 'Rate exceeded');
    if (fault?.kind === 'quota') {
      const [limit, instances] = limitOf(input);
      throw new ApiError('ResourceLimitExceeded', quotaMessage(limit, 0, 0, instances));
    }
    const created = now(this.host);
    const job: Job = {
      ...{ input, arn, folder: this.folder(name), CreationTime: created },
      ...{ status: 'InProgress', secondary: 'Starting', modified: created, metrics: [], transitions: [] },
      ...{ streams: [], nodes: [], trained: 0, waited: 0, retries: 0, stopping: new AbortController(), fault },
    };
    this.jobs.set(name, job);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.runs.enter(job, 'Starting');
    this.background(name, () => this.runs.run(job, role));
    return { TrainingJobArn: arn };
  }

  private stopJob(job: Job): object {
    if (job.status !== 'InProgress') {
      throw invalid(`The request was rejected because the training job is in status ${job.status}.`);
    }
    this.runs.stop(job, StopReason.asked);
    return {};
  }

  private list(input: ListTrainingJobsRequest): ListTrainingJobsResponse {
    const jobs = [...this.jobs.values()].filter(
      (job) =>
        (input.StatusEquals === undefined || job.status === input.StatusEquals) &&
        (input.NameContains === undefined || job.input.TrainingJobName.includes(input.NameContains)),
    );
    const { items, NextToken } = page(
      sorted(jobs, input, (job) => job.input.TrainingJobName),
      input,
    );
    const TrainingJobSummaries = items.map((job) => ({
      TrainingJobName: job.input.TrainingJobName,
      TrainingJobArn: job.arn,
      CreationTime: job.CreationTime,
      TrainingEndTime: job.ended,
      LastModifiedTime: job.modified,
      TrainingJobStatus: job.status,
      SecondaryStatus: job.secondary,
    }));
    return { TrainingJobSummaries, NextToken };
  }
}

const GONE = { recursive: true, force: true };

function hasEnded({ status }: Job): boolean {
  return status !== 'InProgress' && status !== 'Stopping';
}

/** What becomes of a job that ran when the engine ended, for a person. */
function fateOf({ status, started, input, retries }: Job): string {
  if (status === 'Stopping') return 'it is stopped, as was asked';
  if (started === undefined) return 'it had not trained yet, and begins again';
  if (input.EnableManagedSpotTraining === true) return 'it counts as interrupted, and goes on from its checkpoints';
  const isRetried = retries < (input.RetryStrategy?.MaximumRetryAttempts ?? 0);
  return isRetried ? 'it is restarted from its checkpoints' : 'it has failed with InternalServerError';
}

function limitOf({
  ResourceConfig,
  EnableManagedSpotTraining: isSpot,
}: TrainingRequest): [limit: string, instances: number] {
  const [{ InstanceType, InstanceCount }] = groupsOf(ResourceConfig);
  return [`${InstanceType} for ${isSpot ? 'spot training' : 'training'} job usage`, InstanceCount];
}
