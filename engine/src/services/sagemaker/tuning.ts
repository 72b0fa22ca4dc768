import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  CreateHyperParameterTuningJobResponse,
  ListHyperParameterTuningJobsRequest,
  ListHyperParameterTuningJobsResponse,
  ListTrainingJobsForHyperParameterTuningJobRequest,
  ListTrainingJobsForHyperParameterTuningJobResponse,
} from '@aws-sdk/client-sagemaker';
import { ApiError, type Caller, type Operation, type Shape } from '../../service';
import type { Kept } from '../../state/state-store';
import {
  actAs,
  arnOf,
  asEventDetail,
  creationNeeds,
  forgetOldest,
  type Host,
  invalid,
  now,
  page,
  sorted,
} from './host';
import { checkDiskKey } from './keys';
import type { TrainingRequest, TuningRequest } from './requests';
import * as shape from './shape';
import { required } from './shape';
import {
  counters,
  describeTuning,
  hasEnded,
  isGoodEnough,
  judged,
  type KeptTuning,
  keptTuning,
  objectiveOf,
  summary,
  type Trial,
  type TuningJob,
} from './tuning-job';
import { checkTuningRequest, definitionOf, trainingRequest, tuningName } from './tuning-request';
import { candidates, type Point } from './tuning-search';

/** Real milliseconds between looks at the training jobs. */
const POLL_MS = 50;
/** So many training jobs without a value, and none with one, end a tuning job. */
const ATTEMPTS = 5;
const RESOURCE = 'hyper-parameter-tuning-job';
/** SageMaker starts and stops the training jobs itself: nobody is asked for a permission to. */
const ITSELF: Caller = { kind: 'root' };

/** Tuning jobs: training jobs with hyperparameters from ranges, and the best of them. */
export class TuningJobs {
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly jobs = new Map<string, TuningJob>();
  /** The tuning job of a training job, by that one's name. */
  private readonly parents = new Map<string, TuningJob>();

  private readonly kept: Kept<KeptTuning>;

  /** @param describeTraining what DescribeTrainingJob shows */
  constructor(
    private readonly host: Host,
    private readonly describeTraining: Operation,
  ) {
    this.kept = host.context.store.collection('sagemaker/tuning-jobs', {
      ...{ input: 'object', arn: 'string', definition: 'object', CreationTime: 'object', status: 'string' },
      ...{ trials: 'list', ended: 'list' },
    });
    this.restore();
    this.operations = {
      CreateHyperParameterTuningJob: {
        needs: (input) =>
          creationNeeds(
            host,
            'CreateHyperParameterTuningJob',
            RESOURCE,
            input.HyperParameterTuningJobName,
            input,
            input.TrainingJobDefinition?.RoleArn,
          ),
        run: (input, caller) => this.create(input, caller),
      },
      DescribeHyperParameterTuningJob: this.onJob('DescribeHyperParameterTuningJob', (job) =>
        describeTuning(job, now(host)),
      ),
      StopHyperParameterTuningJob: this.onJob('StopHyperParameterTuningJob', (job) => this.stopJob(job)),
      ListTrainingJobsForHyperParameterTuningJob: this.onJob(
        'ListTrainingJobsForHyperParameterTuningJob',
        listTrials,
        LISTING,
      ),
      ListHyperParameterTuningJobs: {
        needs: () => [{ action: 'sagemaker:ListHyperParameterTuningJobs', resource: '*' }],
        run: (input) => this.list(input),
      },
      // a training job's description names the tuning job that it belongs to
      DescribeTrainingJob: {
        needs: describeTraining.needs,
        run: async (input, caller) => {
          const described = await describeTraining.run(input, caller);
          const parent = this.parents.get(input.TrainingJobName);
          return parent === undefined ? described : { ...described, TuningJobArn: parent.arn };
        },
      },
    };
  }

  private onJob(action: string, run: (job: TuningJob, input: Shape) => object, members: shape.Members = {}): Operation {
    return {
      needs: (input) => [
        {
          action: `sagemaker:${action}`,
          resource: arnOf(this.host, RESOURCE, input.HyperParameterTuningJobName ?? ''),
        },
      ],
      run: (input) => {
        shape.validate(input, { HyperParameterTuningJobName: required(tuningName), ...members });
        const { HyperParameterTuningJobName: name } = input;
        const job = this.jobs.get(name);
        if (job === undefined) {
          throw new ApiError('ResourceNotFound', `Amazon SageMaker can't find a tuning job with the name ${name}.`);
        }
        return run(job, input);
      },
    };
  }

  private restore(): void {
    const left: KeptTuning[] = [];
    this.kept.restore((job) => left.push(job));
    left.sort((one, other) => Number(one.CreationTime) - Number(other.CreationTime));
    for (const { ended, ...job } of left) {
      const name = job.input.HyperParameterTuningJobName;
      const restored = { ...job, ended: job.trials.filter((trial) => ended.includes(trial.name)) };
      this.jobs.set(name, restored);
      for (const trial of job.trials) this.parents.set(trial.name, restored);
      if (isOver(restored)) continue;
      this.host.context.recovered(`the tuning job ${name} goes on`);
      this.host.context.whenReady(() => {
        this.host.context.background(`tuning job ${name}`, async () => {
          await this.dropUnborn(restored);
          await this.run(restored);
        });
      });
    }
  }

  /** A trial that was being started when the engine ended may not have become a training job: it is started again. */
  private async dropUnborn(job: TuningJob): Promise<void> {
    const last = job.trials.at(-1);
    if (last === undefined || hasEnded(last)) return;
    try {
      await this.describeTraining.run({ TrainingJobName: last.name }, ITSELF);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      job.trials.pop();
      this.parents.delete(last.name);
    }
  }

  private create(input: TuningRequest, caller: Caller): CreateHyperParameterTuningJobResponse {
    checkTuningRequest(input);
    const { HyperParameterTuningJobName: name, TrainingJobDefinition } = input;
    const arn = arnOf(this.host, RESOURCE, name);
    if (this.jobs.has(name)) {
      throw new ApiError(
        'ResourceInUse',
        `Tuning job names must be unique within an AWS account and region, but a tuning job with this name already exists (${arn})`,
      );
    }
    const role = actAs(this.host, TrainingJobDefinition.RoleArn, arn); // refuses a role that does not let SageMaker in
    const { ResourceConfig, HyperParameterTuningResourceConfig } = TrainingJobDefinition;
    checkDiskKey(this.host, (ResourceConfig ?? HyperParameterTuningResourceConfig)?.VolumeKmsKeyId, caller, role);
    const created = now(this.host);
    const job: TuningJob = {
      ...{ input, arn, definition: definitionOf(input), CreationTime: created, trials: [], ended: [] },
      ...{ status: 'InProgress', modified: created },
    };
    this.jobs.set(name, job);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.enter(job, 'InProgress');
    this.host.context.background(`tuning job ${name}`, () => this.run(job));
    return { HyperParameterTuningJobArn: arn };
  }

  private async run(job: TuningJob): Promise<void> {
    const { input } = job;
    const { ResourceLimits: limits } = input.HyperParameterTuningJobConfig;
    const points = candidates(input.HyperParameterTuningJobConfig, input.HyperParameterTuningJobName);
    for (let begun = 0; begun < job.trials.length; begun++) points.next(); // by an earlier start of the engine
    const until = +job.CreationTime + (limits.MaxRuntimeInSeconds ?? Number.POSITIVE_INFINITY) * 1000;
    let next = points.next();
    while (!this.host.context.signal.aborted) {
      const hopeless = judged(job).length === 0 && job.ended.length >= ATTEMPTS;
      const enough = job.status === 'Stopping' || isGoodEnough(job) || this.host.context.clock.now() >= until;
      const running = job.trials.length - job.ended.length;
      if (enough) await this.stopTrials(job);
      else if (!hopeless && next.done !== true && running < limits.MaxParallelTrainingJobs) {
        await this.start(job, next.value);
        next = points.next();
        continue;
      }
      if (running === 0 && (enough || hopeless || next.done === true)) return this.conclude(job, hopeless);
      await sleep(POLL_MS);
      await this.look(job);
    }
  }

  private async start(job: TuningJob, point: Point): Promise<void> {
    const { HyperParameterTuningJobName: tuning, Tags } = job.input;
    const number = job.trials.length + 1;
    const suffix = createHash('sha256').update(`${job.arn} ${number}`).digest('hex').slice(0, 8);
    const name = `${tuning}-${String(number).padStart(3, '0')}-${suffix}`;
    const trial: Trial = { name, point, arn: arnOf(this.host, 'training-job', name), CreationTime: now(this.host) };
    job.trials.push(trial);
    this.parents.set(name, job);
    this.keep(job);
    const request = trainingRequest(job.definition, name, point, Tags);
    try {
      await this.createTraining(request);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      trial.refused = `${error.code}: ${error.message}`;
      this.close(job, trial);
    }
  }

  private async createTraining(request: TrainingRequest): Promise<void> {
    const { context } = this.host;
    for (;;) {
      try {
        await context.call('sagemaker', 'CreateTrainingJob', request, ITSELF);
        return;
      } catch (error) {
        if ((error as Error).name !== 'ThrottlingException' || context.signal.aborted) throw error;
        await sleep(POLL_MS); // SageMaker asks itself again
      }
    }
  }

  /** Reads how the training jobs are getting on. */
  private async look(job: TuningJob): Promise<void> {
    for (const trial of job.trials) {
      if (hasEnded(trial)) continue;
      trial.described = await this.describeTraining.run({ TrainingJobName: trial.name }, ITSELF);
      if (hasEnded(trial)) this.close(job, trial);
    }
  }

  private close(job: TuningJob, trial: Trial): void {
    const { context } = this.host;
    job.ended.push(trial);
    job.modified = now(this.host);
    this.keep(job);
    const told = objectiveOf(job, trial) ?? trial.refused ?? trial.described?.FailureReason ?? 'no objective metric';
    context.log(
      'sagemaker',
      `tuning job ${job.input.HyperParameterTuningJobName}: ${trial.name}: ${told}`,
      trial.point,
    );
  }

  private async stopTrials(job: TuningJob): Promise<void> {
    for (const trial of job.trials) {
      if (hasEnded(trial)) continue;
      const input = { TrainingJobName: trial.name };
      const { TrainingJobStatus } = await this.describeTraining.run(input, ITSELF);
      if (TrainingJobStatus !== 'InProgress') continue;
      await this.host.context.call('sagemaker', 'StopTrainingJob', input, ITSELF).catch((error) => {
        if (!(error instanceof ApiError)) throw error; // it has just ended by itself
      });
    }
  }

  private conclude(job: TuningJob, hopeless: boolean): void {
    if (job.status === 'InProgress' && judged(job).length === 0) job.failure = failureOf(job, hopeless);
    this.enter(job, job.status === 'Stopping' ? 'Stopped' : job.failure === undefined ? 'Completed' : 'Failed');
  }

  private stopJob(job: TuningJob): object {
    if (job.status !== 'InProgress') {
      throw invalid(`The request was rejected because the hyperparameter tuning job is in status ${job.status}.`);
    }
    this.enter(job, 'Stopping');
    return {};
  }

  private enter(job: TuningJob, status: TuningJob['status']): void {
    const { context } = this.host;
    job.status = status;
    job.modified = now(this.host);
    if (status !== 'InProgress' && status !== 'Stopping') job.end = job.modified;
    context.log('sagemaker', `tuning job ${job.input.HyperParameterTuningJobName}: ${job.failure ?? status}`);
    context.store.together(() => {
      this.keep(job);
      context.emit({
        source: 'aws.sagemaker',
        'detail-type': 'SageMaker HyperParameter Tuning Job State Change',
        resources: [job.arn],
        detail: asEventDetail({ ...describeTuning(job, job.modified), Tags: this.host.tags.get(job.arn) ?? [] }),
      });
    });
    forgetOldest(this.jobs, isOver, (oldest) => this.forget(oldest));
  }

  private keep(job: TuningJob): void {
    this.kept.put(job.input.HyperParameterTuningJobName, keptTuning(job));
  }

  private forget({ input, arn, trials }: TuningJob): void {
    this.jobs.delete(input.HyperParameterTuningJobName);
    this.kept.delete(input.HyperParameterTuningJobName);
    this.host.tags.delete(arn);
    for (const { name } of trials) this.parents.delete(name);
  }

  private list(input: ListHyperParameterTuningJobsRequest): ListHyperParameterTuningJobsResponse {
    const jobs = [...this.jobs.values()].filter(
      (job) =>
        (input.StatusEquals === undefined || job.status === input.StatusEquals) &&
        (input.NameContains === undefined || job.input.HyperParameterTuningJobName.includes(input.NameContains)),
    );
    const { items, NextToken } = page(
      sorted(jobs, { ...BY_NAME, ...input }, (job) => job.input.HyperParameterTuningJobName),
      input,
    );
    const HyperParameterTuningJobSummaries = items.map((job) => ({
      HyperParameterTuningJobName: job.input.HyperParameterTuningJobName,
      HyperParameterTuningJobArn: job.arn,
      HyperParameterTuningJobStatus: job.status,
      Strategy: job.input.HyperParameterTuningJobConfig.Strategy,
      CreationTime: job.CreationTime,
      HyperParameterTuningEndTime: job.end,
      LastModifiedTime: job.modified,
      ...counters(job),
      ResourceLimits: job.input.HyperParameterTuningJobConfig.ResourceLimits,
    }));
    return { HyperParameterTuningJobSummaries, NextToken };
  }
}

function isOver({ status }: TuningJob): boolean {
  return status !== 'InProgress' && status !== 'Stopping';
}

function failureOf({ ended }: TuningJob, hopeless: boolean): string {
  const completed = ended.filter(({ described }) => described?.TrainingJobStatus === 'Completed').length;
  if (completed > 0) {
    return `No objective metrics found after running ${completed} training jobs. Please ensure that the custom algorithm is emitting the objective metric as defined by the regular expression provided.`;
  }
  return hopeless
    ? `No training job succeeded after ${ATTEMPTS} attempts. For additional details, please take a look at the training job failures by listing training jobs for the hyperparameter tuning job.`
    : 'All training jobs failed. Please take a look at the training jobs failures to get more details.';
}

/** How both lists are sorted if the request does not say. */
const BY_NAME = { SortBy: 'Name', SortOrder: 'Ascending' };
const LISTING: shape.Members = {
  NextToken: shape.text({ max: 8192 }),
  MaxResults: shape.whole(1, 100),
  StatusEquals: shape.text({ oneOf: ['InProgress', 'Completed', 'Failed', 'Stopping', 'Stopped', 'Deleting'] }),
  SortBy: shape.text({ oneOf: ['Name', 'CreationTime', 'Status', 'FinalObjectiveMetricValue'] }),
  SortOrder: shape.text({ oneOf: ['Ascending', 'Descending'] }),
};

function listTrials(
  job: TuningJob,
  input: ListTrainingJobsForHyperParameterTuningJobRequest,
): ListTrainingJobsForHyperParameterTuningJobResponse {
  const { SortBy, SortOrder } = { ...BY_NAME, ...input };
  const byValue = SortBy === 'FinalObjectiveMetricValue'; // lists no job without a value
  const rows = job.trials
    .map((trial) => ({ row: summary(job, trial), value: objectiveOf(job, trial) }))
    .filter(({ value }) => !byValue || value !== undefined)
    .filter(({ row }) => input.StatusEquals === undefined || row.TrainingJobStatus === input.StatusEquals)
    .map(({ row, value }) => ({ row, CreationTime: row.CreationTime, status: row.TrainingJobStatus, value }));
  const items = byValue
    ? rows.sort((a, b) => ((a.value as number) - (b.value as number)) * (SortOrder === 'Ascending' ? 1 : -1))
    : sorted(rows, { SortBy, SortOrder }, ({ row }) => row.TrainingJobName ?? '');
  const { items: shown, NextToken } = page(items, input);
  return { TrainingJobSummaries: shown.map(({ row }) => row), NextToken };
}
