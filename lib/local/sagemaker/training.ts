import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError, type Caller, type Operation, type Shape } from '../service';
import type { Container, Containers } from './container';
import { actAs, arnOf, asEventDetail, creationNeeds, type Host, invalid, now, page, s3Uri, sorted } from './host';
import * as shape from './shape';
import { required } from './shape';
import { uploadFolder, withSlash } from './staging';
import { filesBelow, pack } from './tar';
import { prepare } from './training-input';
import {
  clientSide,
  describeJob,
  failureText,
  finalMetrics,
  type Job,
  JobFailure,
  STATUS_MESSAGES,
} from './training-job';
import { checkRequest } from './training-request';

/** Real milliseconds between looks at the checkpoint folder. */
const CHECKPOINT_SYNC_MS = 10_000;
/** What a container has between SIGTERM and SIGKILL, in the engine's time. */
const GRACE_MS = 120_000;

/** Training jobs: a script under SageMaker's container contract, as a child process. */
export class TrainingJobs {
  private readonly jobs = new Map<string, Job>();

  constructor(
    private readonly host: Host,
    private readonly containers: Containers,
  ) {}

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
    const created = now(this.host);
    const job: Job = {
      ...{ input, arn, folder: join(this.host.context.stateDir, 'sagemaker', 'training', name), CreationTime: created },
      ...{ status: 'InProgress', secondary: 'Starting', modified: created, metrics: [], transitions: [], lines: [] },
      checkpoints: new Map(),
    };
    this.jobs.set(name, job);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.enter(job, 'Starting');
    this.host.context.background(`training job ${name}`, () => this.run(job, role));
    return { TrainingJobArn: arn };
  }

  private async run(job: Job, role: Caller): Promise<void> {
    try {
      this.enter(job, 'Downloading');
      const linked = await this.containers.literalPaths(); // there the input is read-only, so objects are safe
      const code = await prepare(this.host, job, role, linked);
      if (job.stop === undefined) await this.train(job, code);
      await this.upload(job, role);
      this.end(job, job.stop === undefined ? 'Completed' : 'Stopped');
    } catch (error) {
      const reason = error instanceof JobFailure ? error.message : `InternalServerError: ${(error as Error).message}`;
      if (!(error instanceof JobFailure)) this.log(job, (error as Error).stack ?? String(error));
      this.end(job, job.stop === undefined ? 'Failed' : 'Stopped', reason);
    }
  }

  private async train(job: Job, code: string): Promise<void> {
    const { input, folder } = job;
    const { context } = this.host;
    const image = input.AlgorithmSpecification.TrainingImage;
    const python = await this.containers.python(image, code).catch((error: Error) => {
      throw new JobFailure(`ClientError: ${error.message}`);
    });
    this.enter(job, 'Training');
    job.started = now(this.host);
    const container = await this.containers.start({
      ...{ folder, entry: 'container.py', python, workingFolder: 'code' },
      env: {
        ...context.credentials(input.RoleArn, 'SageMaker'),
        ...input.Environment,
        TRAINING_JOB_NAME: input.TrainingJobName,
        TRAINING_JOB_ARN: job.arn,
      },
      line: (line) => this.log(job, line),
    });
    job.container = container;
    if (job.stop !== undefined) this.terminate(job, container); // asked for while it was being started
    const longest = (input.StoppingCondition?.MaxRuntimeInSeconds ?? 86_400) * 1000;
    const limit = setTimeout(() => this.beginStop(job, 'MaxRuntimeExceeded'), Math.min(longest, 2 ** 31 - 1));
    const sync = setInterval(() => void this.saveCheckpoints(job).catch(() => {}), CHECKPOINT_SYNC_MS);
    const exitCode = await container.ended;
    clearTimeout(limit);
    clearInterval(sync);
    await writeFile(`${folder}.log`, `${job.lines.join('\n')}\n`);
    const failed = exitCode !== 0 && job.stop === undefined;
    const reason = failed && `AlgorithmError: ${await failureText(job)}, exit code: ${exitCode}`;
    await this.saveCheckpoints(job);
    if (reason) throw new JobFailure(reason);
  }

  private async saveCheckpoints(job: Job): Promise<void> {
    const { CheckpointConfig, RoleArn } = job.input;
    if (CheckpointConfig === undefined) return;
    const role = actAs(this.host, RoleArn, job.arn);
    await clientSide('Checkpoint upload failed', () =>
      uploadFolder(
        this.host,
        role,
        join(job.folder, 'checkpoints'),
        withSlash(CheckpointConfig.S3Uri),
        job.checkpoints,
      ),
    );
  }

  private async upload(job: Job, role: Caller): Promise<void> {
    const { input, folder } = job;
    this.enter(job, 'Uploading');
    const { S3OutputPath, CompressionType } = input.OutputDataConfig;
    const target = `${withSlash(S3OutputPath)}${input.TrainingJobName}/output/`;
    const put = (local: string, name: string) => {
      const { bucket, key } = s3Uri(`${target}${name}`);
      return this.host.objects.put(bucket, key, { file: local }, role);
    };
    await clientSide('Failed to upload model artifacts', async () => {
      if (CompressionType === 'NONE') {
        await uploadFolder(this.host, role, join(folder, 'model'), `${target}model/`);
        job.model = `${target}model/`;
      } else {
        await pack(join(folder, 'model'), `${folder}.model.tar.gz`);
        await put(`${folder}.model.tar.gz`, 'model.tar.gz');
        job.model = `${target}model.tar.gz`;
      }
      if ((await filesBelow(join(folder, 'output', 'data'))).length > 0) {
        await pack(join(folder, 'output', 'data'), `${folder}.output.tar.gz`);
        await put(`${folder}.output.tar.gz`, 'output.tar.gz');
      }
    });
  }

  private stopJob(job: Job): Shape {
    if (job.status !== 'InProgress') {
      throw invalid(`The request was rejected because the training job is in status ${job.status}.`);
    }
    this.beginStop(job, 'Stopped');
    return {};
  }

  private beginStop(job: Job, why: 'Stopped' | 'MaxRuntimeExceeded'): void {
    job.stop = why;
    job.status = 'Stopping';
    this.enter(job, 'Stopping');
    if (job.container !== undefined) this.terminate(job, job.container);
  }

  private terminate(job: Job, container: Container): void {
    container.signal('SIGTERM');
    const ended = new AbortController();
    void container.ended.then(() => ended.abort());
    void this.host.context.clock.sleep(GRACE_MS, ended.signal).then(() => {
      if (ended.signal.aborted) return;
      this.log(job, 'the script has not ended in time after SIGTERM and is killed');
      container.signal('SIGKILL');
    });
  }

  private end(job: Job, status: 'Completed' | 'Failed' | 'Stopped', failure?: string): void {
    job.status = status;
    job.ended = now(this.host);
    if (failure !== undefined) job.failure = failure;
    job.metrics = finalMetrics(job);
    this.enter(job, status === 'Stopped' ? (job.stop ?? 'Stopped') : status);
  }

  private enter(job: Job, secondary: string): void {
    const at = now(this.host);
    const last = job.transitions.at(-1);
    if (last !== undefined) last.EndTime = at;
    job.secondary = secondary;
    job.modified = at;
    const final = ['Completed', 'Failed', 'Stopped', 'MaxRuntimeExceeded'].includes(secondary);
    job.transitions.push({
      ...{ Status: secondary, StartTime: at, ...(final && { EndTime: at }) },
      StatusMessage: job.failure ?? STATUS_MESSAGES[secondary] ?? secondary,
    });
    const { context } = this.host;
    context.log('sagemaker', `training job ${job.input.TrainingJobName}: ${job.failure ?? secondary}`);
    context.emit({
      source: 'aws.sagemaker',
      'detail-type': 'SageMaker Training Job State Change',
      resources: [job.arn],
      detail: asEventDetail({ ...describeJob(job), Tags: this.host.tags.get(job.arn) ?? [] }),
    });
  }

  private log(job: Job, line: string): void {
    job.lines.push(line);
    if (job.lines.length > 10_000) job.lines.splice(0, 1_000);
    this.host.context.log('sagemaker', line, { trainingJob: job.input.TrainingJobName });
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
