import { join } from 'node:path';
import { ApiError, type Operation, type Shape } from '../service';
import type { Containers } from './container';
import { type Faults, takeFault } from './faults';
import { actAs, arnOf, creationNeeds, type Host, invalid, now, page, sorted } from './host';
import * as shape from './shape';
import { required } from './shape';
import { groupsOf } from './training-cluster';
import { describeJob, type Job, type LogStream, StopReason } from './training-job';
import { checkRequest } from './training-request';
import { TrainingRuns } from './training-run';

/** Training jobs: a script under SageMaker's container contract, as a child process. */
export class TrainingJobs {
  private readonly jobs = new Map<string, Job>();
  private readonly faults: Faults;
  private readonly runs: TrainingRuns;

  constructor(
    private readonly host: Host,
    containers: Containers,
  ) {
    this.faults = host.options.faults ?? { training: [] };
    this.runs = new TrainingRuns(host, containers, this.faults);
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateTrainingJob: {
      needs: (input) =>
        creationNeeds(this.host, 'CreateTrainingJob', 'training-job', input.TrainingJobName, input, input.RoleArn),
      run: (input) => this.create(input),
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
    return [...this.jobs.values()].flatMap(({ streams }) => streams);
  }

  private onJob(action: string, run: (job: Job) => Shape): Operation {
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

  private create(input: Shape): Shape {
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
    const fault = takeFault(this.faults.training, input);
    if (fault?.kind === 'throttle') throw new ApiError('ThrottlingException', 'Rate exceeded');
    if (fault?.kind === 'quota') throw new ApiError('ResourceLimitExceeded', quotaMessage(input));
    const created = now(this.host);
    const job: Job = {
      ...{ input, arn, folder: join(this.host.context.stateDir, 'sagemaker', 'training', name), CreationTime: created },
      ...{ status: 'InProgress', secondary: 'Starting', modified: created, metrics: [], transitions: [], lines: [] },
      ...{ streams: [], nodes: [], trained: 0, waited: 0, retries: 0, stopping: new AbortController(), fault },
    };
    this.jobs.set(name, job);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.runs.enter(job, 'Starting');
    this.host.context.background(`training job ${name}`, () => this.runs.run(job, role));
    return { TrainingJobArn: arn };
  }

  private stopJob(job: Job): Shape {
    if (job.status !== 'InProgress') {
      throw invalid(`The request was rejected because the training job is in status ${job.status}.`);
    }
    this.runs.stop(job, StopReason.asked);
    return {};
  }

  private list(input: Shape): Shape {
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

function quotaMessage({ ResourceConfig, EnableManagedSpotTraining: isSpot }: Shape): string {
  const [{ InstanceType, InstanceCount }] = groupsOf(ResourceConfig);
  const limit = `${InstanceType} for ${isSpot ? 'spot training' : 'training'} job usage`;
  return `The account-level service limit '${limit}' is 0 Instances, with current utilization of 0 Instances and a request delta of ${InstanceCount} Instances. Please use AWS Service Quotas to request an increase for this quota.`;
}
