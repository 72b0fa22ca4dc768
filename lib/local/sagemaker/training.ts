import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError, type Caller, type Operation, type Shape } from '../service';
import type { Container, Containers } from './container';
import { actAs, arnOf, asEventDetail, creationNeeds, type Host, invalid, now, page, s3Uri, sorted } from './host';
import * as shape from './shape';
import { required } from './shape';
import { download, timesBelow, uploadFolder } from './staging';
import { filesBelow, pack, unpack } from './tar';

/** Real milliseconds between looks at the checkpoint folder. */
const CHECKPOINT_SYNC_MS = 10_000;
/** What a container has between SIGTERM and SIGKILL, in the engine's time. */
const GRACE_MS = 120_000;

const STATUS_MESSAGES: Readonly<Record<string, string>> = {
  Starting: 'Starting the training job',
  Downloading: 'Downloading input data',
  Training: 'Training image download completed. Training in progress.',
  Uploading: 'Uploading generated training model',
  Stopping: 'Stopping the training job',
  Completed: 'Training job completed',
  Failed: 'Training job failed',
  Stopped: 'Training job stopped',
  MaxRuntimeExceeded: 'Training job runtime exceeded MaxRuntimeInSeconds provided',
};

/** A job ends for this reason; the text is its FailureReason. */
class JobFailure extends Error {}

interface Job {
  readonly input: Shape;
  readonly arn: string;
  readonly folder: string;
  readonly CreationTime: Date;
  status: 'InProgress' | 'Stopping' | 'Completed' | 'Failed' | 'Stopped';
  secondary: string;
  modified: Date;
  started?: Date;
  ended?: Date;
  failure?: string;
  model?: string;
  metrics: Shape[];
  readonly transitions: Shape[];
  container?: Container;
  /** Set when somebody or the clock asks for its end; says which. */
  stop?: 'Stopped' | 'MaxRuntimeExceeded';
  /** The checkpoints that S3 has, by their times. */
  checkpoints: Map<string, number>;
  /** Its own log, the newest lines. */
  readonly lines: string[];
}

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
    DescribeTrainingJob: this.onJob('DescribeTrainingJob', (job) => this.describe(job)),
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
    shape.validate(input, REQUEST);
    const { TrainingJobName: name } = input;
    refuseContradictions(input);
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
      const code = await this.prepare(job, role);
      if (job.stop === undefined) await this.train(job, code);
      await this.upload(job, role);
      this.end(job, job.stop === undefined ? 'Completed' : 'Stopped');
    } catch (error) {
      const reason = error instanceof JobFailure ? error.message : `InternalServerError: ${(error as Error).message}`;
      if (!(error instanceof JobFailure)) this.log(job, (error as Error).stack ?? String(error));
      this.end(job, job.stop === undefined ? 'Failed' : 'Stopped', reason);
    }
  }

  /** Lays out /opt/ml; gives the folder of the code. */
  private async prepare(job: Job, role: Caller): Promise<string> {
    const { input, folder } = job;
    const at = (...path: string[]) => join(folder, ...path);
    this.enter(job, 'Downloading');
    for (const path of ['input/config', 'input/data', 'model', 'output/data', 'checkpoints', 'code']) {
      await mkdir(at(path), { recursive: true });
    }
    const linked = await this.containers.literalPaths(); // there the input is read-only, so objects are safe
    const channels: Record<string, Shape> = {};
    for (const channel of input.InputDataConfig ?? []) {
      const { S3Uri } = channel.DataSource.S3DataSource;
      const files = await clientSide('Data download failed', () =>
        download(this.host, role, S3Uri, at('input/data', channel.ChannelName), linked),
      );
      if (files === 0) {
        throw new JobFailure(
          `ClientError: Data download failed:NoSuchKey: No objects found under S3 URL "${S3Uri}". Please ensure that the bucket exists in the selected region and that objects exist under that S3 prefix.`,
        );
      }
      channels[channel.ChannelName] = {
        TrainingInputMode: channel.InputMode ?? input.AlgorithmSpecification.TrainingInputMode,
        S3DistributionType: channel.DataSource.S3DataSource.S3DataDistributionType ?? 'FullyReplicated',
        RecordWrapperType: channel.RecordWrapperType ?? 'None',
        ...(channel.ContentType && { ContentType: channel.ContentType }),
      };
    }
    if (input.CheckpointConfig) {
      await clientSide('Checkpoint download failed', () =>
        download(this.host, role, withSlash(input.CheckpointConfig.S3Uri), at('checkpoints'), false),
      );
      job.checkpoints = await timesBelow(at('checkpoints'));
    }
    await this.unpackCode(job, role, at('code'));
    const { InstanceType } = input.ResourceConfig;
    const config = {
      hyperparameters: input.HyperParameters ?? {},
      inputdataconfig: channels,
      resourceconfig: cluster(InstanceType),
    };
    for (const [name, content] of Object.entries(config)) {
      await writeFile(at('input/config', `${name}.json`), JSON.stringify(content));
    }
    return at('code');
  }

  private async unpackCode(job: Job, role: Caller, folder: string): Promise<void> {
    const { sagemaker_program: program, sagemaker_submit_directory: source } = job.input.HyperParameters ?? {};
    if (program === undefined || source === undefined) {
      throw new JobFailure(
        `ClientError: the image ${job.input.AlgorithmSpecification.TrainingImage} cannot run on this machine; only script mode can, with the hyperparameters sagemaker_program and sagemaker_submit_directory`,
      );
    }
    const archive = await clientSide('Code download failed', () => this.code(decoded(source), role));
    try {
      await unpack(archive, folder);
    } catch (error) {
      throw new JobFailure(`AlgorithmError: ${decoded(source)} must be a tar.gz of code: ${(error as Error).message}`);
    }
  }

  /** An archive in S3, or an asset of the app: those are not uploaded, but the role must be allowed to read them. */
  private async code(source: string, role: Caller): Promise<string> {
    const { context, objects } = this.host;
    const { bucket, key } = s3Uri(source);
    const asset = context.asset(bucket, key);
    if (asset === undefined) return objects.file(bucket, key, role);
    const resource = `arn:${context.place.partition}:s3:::${bucket}/${key}`;
    context.authorize(role, { action: 's3:GetObject', resource });
    return asset;
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
      detail: asEventDetail({ ...this.describe(job), Tags: this.host.tags.get(job.arn) ?? [] }),
    });
  }

  private log(job: Job, line: string): void {
    job.lines.push(line);
    if (job.lines.length > 10_000) job.lines.splice(0, 1_000);
    this.host.context.log('sagemaker', line, { trainingJob: job.input.TrainingJobName });
  }

  private describe(job: Job): Shape {
    const { Tags: _, ...echoed } = job.input;
    const seconds = job.started && job.ended ? Math.max(1, Math.round((+job.ended - +job.started) / 1000)) : undefined;
    return {
      ...echoed,
      TrainingJobArn: job.arn,
      TrainingJobStatus: job.status,
      SecondaryStatus: job.secondary,
      ModelArtifacts: { S3ModelArtifacts: job.model },
      EnableNetworkIsolation: echoed.EnableNetworkIsolation ?? false,
      EnableInterContainerTrafficEncryption: echoed.EnableInterContainerTrafficEncryption ?? false,
      EnableManagedSpotTraining: echoed.EnableManagedSpotTraining ?? false,
      CreationTime: job.CreationTime,
      LastModifiedTime: job.modified,
      SecondaryStatusTransitions: job.transitions.map((transition) => ({ ...transition })),
      ...(job.started && { TrainingStartTime: job.started }),
      ...(job.ended && { TrainingEndTime: job.ended }),
      ...(seconds !== undefined && { TrainingTimeInSeconds: seconds, BillableTimeInSeconds: seconds }),
      ...(job.metrics.length > 0 && { FinalMetricDataList: job.metrics }),
      ...(job.failure !== undefined && { FailureReason: job.failure }),
    };
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

/** What the job's script says about itself: its failure file, else what it last wrote, as the toolkit would. */
async function failureText(job: Job): Promise<string> {
  const file = join(job.folder, 'output', 'failure');
  const told = await readFile(file, 'utf8').catch(() => '');
  if (told !== '') return told.slice(0, 1024);
  const last = job.lines.slice(-6).join('\n');
  return `ExecuteUserScriptError: ${last}`.slice(0, 1024);
}

/** The last value of each metric that its definition finds in the log. */
function finalMetrics(job: Job): Shape[] {
  const found: Shape[] = [];
  for (const { Name, Regex } of job.input.AlgorithmSpecification.MetricDefinitions ?? []) {
    const pattern = new RegExp(Regex, 'g');
    const value = job.lines.flatMap((line) => [...line.matchAll(pattern)]).at(-1)?.[1];
    if (value !== undefined && Number.isFinite(Number(value))) {
      found.push({ MetricName: Name, Value: Number(value), Timestamp: job.ended });
    }
  }
  return found;
}

/** Failures of S3 on behalf of a job end it as SageMaker's do. */
async function clientSide<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof JobFailure) throw error;
    throw new JobFailure(`ClientError: ${what}: ${(error as Error).name}: ${(error as Error).message}`);
  }
}

function cluster(instanceType: string): Shape {
  const group = 'homogeneousCluster';
  return {
    current_host: 'algo-1',
    current_instance_type: instanceType,
    current_group_name: group,
    hosts: ['algo-1'],
    instance_groups: [{ instance_group_name: group, instance_type: instanceType, hosts: ['algo-1'] }],
    network_interface_name: 'lo',
  };
}

/** A hyperparameter that may be written as JSON text, as the SageMaker SDK does. */
function decoded(value: string): string {
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

function withSlash(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}

/** Rules that concern several members. */
function refuseContradictions(input: Shape): void {
  const { StoppingCondition: stop = {}, EnableManagedSpotTraining: spot = false } = input;
  const { MaxRuntimeInSeconds: runtime = 86_400, MaxWaitTimeInSeconds: wait } = stop;
  if (spot && wait === undefined) {
    throw invalid('MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true.');
  }
  if (!spot && wait !== undefined) {
    throw invalid('MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true.');
  }
  if (wait !== undefined && wait < runtime) {
    throw invalid(
      `Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds, got ${wait} and ${runtime}`,
    );
  }
  const { ResourceConfig: resources, AlgorithmSpecification: algorithm } = input;
  if (
    resources.InstanceGroups === undefined &&
    (resources.InstanceType === undefined || resources.InstanceCount === undefined)
  ) {
    throw invalid('ResourceConfig must have InstanceType and InstanceCount, or InstanceGroups.');
  }
  if (/^ml\.(g4dn|g5|g6e?|g7e|p4de?|p5e?n?|p6)/.test(resources.InstanceType ?? '') && resources.VolumeKmsKeyId) {
    throw invalid(`VolumeKmsKeyId is not supported for ${resources.InstanceType}, which has local storage.`);
  }
  if ((algorithm.TrainingImage === undefined) === (algorithm.AlgorithmName === undefined)) {
    throw invalid('AlgorithmSpecification must have either TrainingImage or AlgorithmName.');
  }
  const names = (input.InputDataConfig ?? []).map((channel: Shape) => channel.ChannelName);
  if (new Set(names).size < names.length) throw invalid(`Channel names must be unique, got ${names.join(', ')}`);
  for (const channel of input.InputDataConfig ?? []) {
    if (channel.DataSource.S3DataSource === undefined) {
      throw invalid(`channel ${channel.ChannelName}: this engine reads S3DataSource only`);
    }
  }
}

const { text, whole, flag, list, map, structure, anything, environment, tags, vpc, name, roleArn, uri } = shape;
const INPUT_MODES = ['Pipe', 'File', 'FastFile'];
const REQUEST: shape.Members = {
  TrainingJobName: required(name),
  RoleArn: required(roleArn),
  AlgorithmSpecification: required(
    structure({
      TrainingImage: text({ max: 255 }),
      AlgorithmName: text({ max: 170 }),
      TrainingInputMode: required(text({ oneOf: INPUT_MODES })),
      MetricDefinitions: list(
        structure({ Name: required(text({ min: 1, max: 255 })), Regex: required(text({ min: 1, max: 500 })) }),
        0,
        40,
      ),
      EnableSageMakerMetricsTimeSeries: flag,
      ContainerEntrypoint: anything,
      ContainerArguments: anything,
      TrainingImageConfig: anything,
    }),
  ),
  HyperParameters: map(text({ max: 256 }), text({ max: 2500 }), 100),
  InputDataConfig: list(
    structure({
      ChannelName: required(text({ min: 1, max: 64, pattern: /^[A-Za-z0-9.\-_]+$/ })),
      DataSource: required(
        structure({
          S3DataSource: structure({
            S3DataType: required(text({ oneOf: ['S3Prefix'] })),
            S3Uri: required(uri),
            S3DataDistributionType: text({ oneOf: ['FullyReplicated', 'ShardedByS3Key'] }),
            AttributeNames: anything,
            InstanceGroupNames: anything,
          }),
          FileSystemDataSource: anything,
        }),
      ),
      ContentType: text({ max: 256 }),
      CompressionType: text({ oneOf: ['None'] }),
      RecordWrapperType: text({ oneOf: ['None'] }),
      InputMode: text({ oneOf: ['File', 'FastFile'] }),
      ShuffleConfig: anything,
    }),
    1,
    20,
  ),
  OutputDataConfig: required(
    structure({
      S3OutputPath: required(uri),
      KmsKeyId: text({ max: 2048 }),
      CompressionType: text({ oneOf: ['GZIP', 'NONE'] }),
    }),
  ),
  ResourceConfig: required(
    structure({
      InstanceType: text({ pattern: /^ml\.[a-z0-9-]+\.[a-z0-9-]+$/ }),
      InstanceCount: whole(0, 2 ** 31 - 1),
      VolumeSizeInGB: whole(0, 2 ** 31 - 1),
      VolumeKmsKeyId: text({ max: 2048 }),
      KeepAlivePeriodInSeconds: whole(0, 21_600),
      InstanceGroups: anything,
      TrainingPlanArn: text(),
      InstancePlacementConfig: anything,
    }),
  ),
  StoppingCondition: structure({
    MaxRuntimeInSeconds: whole(1, 28 * 86_400),
    MaxWaitTimeInSeconds: whole(1, 2 ** 31 - 1),
    MaxPendingTimeInSeconds: whole(7_200, 2_419_200),
  }),
  VpcConfig: vpc,
  Tags: tags,
  EnableNetworkIsolation: flag,
  EnableInterContainerTrafficEncryption: flag,
  EnableManagedSpotTraining: flag,
  CheckpointConfig: structure({ S3Uri: required(uri), LocalPath: text({ max: 4096 }) }),
  Environment: environment(512),
  RetryStrategy: structure({ MaximumRetryAttempts: required(whole(1, 30)) }),
  DebugHookConfig: anything,
  DebugRuleConfigurations: anything,
  TensorBoardOutputConfig: anything,
  ExperimentConfig: anything,
  ProfilerConfig: anything,
  ProfilerRuleConfigurations: anything,
  RemoteDebugConfig: anything,
  InfraCheckConfig: anything,
  SessionChainingConfig: anything,
  MlflowConfig: anything,
  ModelPackageConfig: anything,
};
