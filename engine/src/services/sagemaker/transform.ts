import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  CreateTransformJobResponse,
  DescribeTransformJobResponse,
  ListTransformJobsRequest,
  ListTransformJobsResponse,
} from '@aws-sdk/client-sagemaker';
import { ApiError, type Caller, type Operation, type RoleCaller } from '../../service';
import type { Kept } from '../../state/state-store';
import type { Containers } from './container';
import { CAPACITY, INTERNAL, refuseCall, type TransformFault, takeServingFault, waitOf } from './faults';
import {
  actAs,
  arnOf,
  asEventDetail,
  creationNeeds,
  ENGINE_ENDED,
  forgetOldest,
  type Host,
  invalid,
  now,
  page,
  s3Uri,
  sorted,
} from './host';
import { checkDiskKey, putOutput } from './keys';
import { ModelServer } from './model-server';
import type { Models } from './models';
import type { TransformRequest } from './requests';
import * as shape from './shape';
import { required } from './shape';
import { withSlash } from './staging';

const MEGABYTE = 1024 ** 2;
/** Real time in which a transform's container must answer `/ping`. */
const START_MS = 60_000;

class TransformFailure extends Error {}

interface Job {
  readonly input: TransformRequest;
  readonly arn: string;
  readonly CreationTime: Date;
  status: 'InProgress' | 'Stopping' | 'Completed' | 'Failed' | 'Stopped';
  started?: Date;
  ended?: Date;
  failure?: string;
  server?: ModelServer;
  /** What goes wrong with it. */
  readonly fault?: TransformFault;
  /** Ends its wait for instances. */
  readonly stopping?: AbortController;
}

/** Batch transform: the serving container of a model, asked about whole objects. */
export class TransformJobs {
  private readonly jobs = new Map<string, Job>();
  private readonly kept: Kept<Job>;

  constructor(
    private readonly host: Host,
    private readonly containers: Containers,
    private readonly models: Models,
  ) {
    this.kept = host.context.store.collection('sagemaker/transform-jobs', {
      ...{ input: 'object', arn: 'string', CreationTime: 'object', status: 'string' },
    });
    this.restore();
  }

  private restore(): void {
    const left: Job[] = [];
    this.kept.restore((job) => left.push(job));
    left.sort((one, other) => Number(one.CreationTime) - Number(other.CreationTime));
    for (const job of left) {
      this.jobs.set(job.input.TransformJobName, job);
      if (hasEnded(job)) continue;
      const { context } = this.host;
      context.recovered(
        `the transform job ${job.input.TransformJobName} ran when the engine ended: it has ${job.status === 'Stopping' ? 'stopped' : 'failed with InternalServerError'}`,
      );
      context.whenReady(() => this.end(job, 'Failed', ENGINE_ENDED));
    }
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateTransformJob: {
      needs: (input) => creationNeeds(this.host, 'CreateTransformJob', 'transform-job', input.TransformJobName, input),
      run: (input, caller) => this.create(input, caller),
    },
    DescribeTransformJob: this.onJob('DescribeTransformJob', (job) => this.describe(job)),
    StopTransformJob: this.onJob('StopTransformJob', (job) => {
      if (job.status !== 'InProgress') {
        throw invalid(`The request was rejected because the transform job is in status ${job.status}.`);
      }
      job.status = 'Stopping';
      this.announce(job);
      job.stopping?.abort();
      void job.server?.end();
      return {};
    }),
    ListTransformJobs: {
      needs: () => [{ action: 'sagemaker:ListTransformJobs', resource: '*' }],
      run: (input) => this.list(input),
    },
  };

  private onJob(action: string, run: (job: Job) => object): Operation {
    return {
      needs: (input) => [
        { action: `sagemaker:${action}`, resource: arnOf(this.host, 'transform-job', input.TransformJobName ?? '') },
      ],
      run: (input) => {
        const job = this.jobs.get(input.TransformJobName);
        if (job === undefined) throw invalid('Requested resource not found.');
        return run(job);
      },
    };
  }

  private create(input: TransformRequest, caller: Caller): CreateTransformJobResponse {
    shape.validate(input, REQUEST);
    const { TransformJobName: name, ModelName } = input;
    const arn = arnOf(this.host, 'transform-job', name);
    if (this.jobs.has(name)) {
      throw new ApiError('ResourceInUse', `A transform job with this name already exists (${arn})`);
    }
    if (input.BatchStrategy === 'MultiRecord' && (input.TransformInput.SplitType ?? 'None') === 'None') {
      throw invalid('SplitType must be set (e.g. to Line) when BatchStrategy is MultiRecord.');
    }
    const { ExecutionRoleArn } = this.models.get(ModelName);
    const role = actAs(this.host, ExecutionRoleArn, arn);
    checkDiskKey(this.host, input.TransformResources.VolumeKmsKeyId, caller, role);
    const fault = this.meet(input);
    const stopping = new AbortController();
    const job: Job = { input, arn, CreationTime: now(this.host), status: 'InProgress', fault, stopping };
    this.jobs.set(name, job);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.announce(job);
    this.host.context.background(`transform job ${name}`, () => this.run(job, role));
    return { TransformJobArn: arn };
  }

  /** The fault of a job; a call that is not to be is refused. */
  private meet({ TransformJobName: job, TransformResources }: TransformRequest): TransformFault | undefined {
    const { InstanceType: type, InstanceCount: instances } = TransformResources;
    const others = [...this.jobs.values()].filter(
      (other) => !hasEnded(other) && other.input.TransformResources.InstanceType === type,
    );
    const inUse = others.reduce((sum, { input }) => sum + input.TransformResources.InstanceCount, 0);
    const asked = { job, types: [type], instances, inUse };
    const fault = takeServingFault(this.host.options.faults?.transform ?? [], 'transform', asked);
    return refuseCall(fault, `${type} for transform job usage`, asked);
  }

  private async run(job: Job, role: RoleCaller): Promise<void> {
    const { context } = this.host;
    const { TransformJobName: name, ModelName } = job.input;
    const folder = join(context.stateDir, 'sagemaker', 'transform', name);
    try {
      await this.awaitInstances(job);
      const model = this.models.container(ModelName);
      const env = { ...model.Environment, ...job.input.Environment };
      job.server = await ModelServer.start(this.host, this.containers, {
        ...{ folder: join(folder, 'ml'), role, startMs: START_MS },
        model: { ...model, Environment: env },
        line: (line) => context.log('sagemaker', line, { transformJob: name }),
      }).catch((error: Error) => {
        throw new TransformFailure(`ClientError: the container of model ${ModelName} ${error.message}`);
      });
      job.started = now(this.host);
      await this.transformAll(job, job.server, role, folder);
      if (!context.signal.aborted) this.end(job, 'Completed');
    } catch (error) {
      if (context.signal.aborted) return; // the next start ends it
      const { name: kind, message } = error as Error;
      const reason = error instanceof TransformFailure ? message : `ClientError: ${kind}: ${message}`;
      this.end(job, 'Failed', reason);
    } finally {
      await job.server?.end();
    }
  }

  private async awaitInstances({ fault, stopping }: Job): Promise<void> {
    const seconds = fault && waitOf(fault);
    if (seconds !== undefined) await this.host.context.clock.sleep(seconds * 1000, stopping?.signal);
    if (stopping?.signal.aborted) throw new TransformFailure('it was stopped');
    if (fault?.kind === 'capacity') throw new TransformFailure(CAPACITY);
    if (fault?.kind === 'internal') throw new TransformFailure(INTERNAL);
  }

  private async transformAll(job: Job, server: ModelServer, role: Caller, folder: string): Promise<void> {
    const { TransformInput, TransformOutput } = job.input;
    const { bucket, key: prefix } = s3Uri(TransformInput.DataSource.S3DataSource.S3Uri);
    const objects = (await this.host.objects.list(bucket, prefix, role)).filter(({ key }) => !key.endsWith('/'));
    if (objects.length === 0) {
      throw new TransformFailure(`ClientError: No objects found under ${TransformInput.DataSource.S3DataSource.S3Uri}`);
    }
    const target = withSlash(TransformOutput.S3OutputPath);
    await mkdir(folder, { recursive: true });
    for (const { key } of objects) {
      const relative = key.slice(prefix.lastIndexOf('/') + 1);
      const out = join(folder, 'out');
      await this.transform(job, server, await this.host.objects.file(bucket, key, role), relative, out);
      if (job.status !== 'InProgress') return;
      await putOutput(this.host, role, s3Uri(`${target}${relative}.out`), { file: out }, TransformOutput.KmsKeyId);
    }
  }

  private async transform(job: Job, server: ModelServer, source: string, name: string, out: string): Promise<void> {
    const { TransformInput, TransformOutput, BatchStrategy = 'MultiRecord', MaxPayloadInMB = 6 } = job.input;
    const headers = {
      ...(TransformInput.ContentType && { 'content-type': TransformInput.ContentType }),
      ...(TransformOutput.Accept && { accept: TransformOutput.Accept }),
    };
    const limit = (MaxPayloadInMB || 100) * MEGABYTE;
    const split = (TransformInput.SplitType ?? 'None') === 'Line' ? (BatchStrategy as string) : 'None';
    const file = await open(out, 'w');
    try {
      for await (const payload of payloads(source, split, limit, name)) {
        if (job.status !== 'InProgress') return;
        const { status, body } = await server.invoke(payload, headers).catch((error: Error) => {
          throw new TransformFailure(`AlgorithmError: the model's container broke off at ${name}: ${error.message}`);
        });
        if (status !== 200) {
          const kind = status < 500 ? 'ClientError' : 'AlgorithmError';
          throw new TransformFailure(
            `${kind}: the model answered ${status} to ${name}: ${body.toString().slice(0, 900)}`,
          );
        }
        await append(file, body, TransformOutput.AssembleWith === 'Line');
      }
    } finally {
      await file.close();
    }
  }

  private end(job: Job, status: 'Completed' | 'Failed', failure?: string): void {
    const stopped = job.status === 'Stopping';
    job.status = stopped ? 'Stopped' : status;
    job.ended = now(this.host);
    if (failure !== undefined && !stopped) job.failure = failure;
    this.announce(job);
    forgetOldest(this.jobs, hasEnded, ({ input, arn }) => {
      this.jobs.delete(input.TransformJobName);
      this.kept.delete(input.TransformJobName);
      this.host.tags.delete(arn);
    });
  }

  private announce(job: Job): void {
    const { context } = this.host;
    const { server: _, fault: __, stopping: ___, ...kept } = job;
    context.log('sagemaker', `transform job ${job.input.TransformJobName}: ${job.failure ?? job.status}`);
    context.store.together(() => {
      this.kept.put(job.input.TransformJobName, kept);
      context.emit({
        source: 'aws.sagemaker',
        'detail-type': 'SageMaker Transform Job State Change',
        resources: [job.arn],
        detail: asEventDetail({ ...this.describe(job), Tags: this.host.tags.get(job.arn) ?? [] }),
      });
    });
  }

  private describe(job: Job): Partial<DescribeTransformJobResponse> {
    const { Tags: _, ...echoed } = job.input;
    return {
      ...echoed,
      TransformJobArn: job.arn,
      TransformJobStatus: job.status,
      CreationTime: job.CreationTime,
      ...(job.started && { TransformStartTime: job.started }),
      ...(job.ended && { TransformEndTime: job.ended }),
      ...(job.failure !== undefined && { FailureReason: job.failure }),
    };
  }

  private list(input: ListTransformJobsRequest): ListTransformJobsResponse {
    const jobs = [...this.jobs.values()].filter(
      (job) =>
        (input.StatusEquals === undefined || job.status === input.StatusEquals) &&
        (input.NameContains === undefined || job.input.TransformJobName.includes(input.NameContains)),
    );
    const { items, NextToken } = page(
      sorted(jobs, input, (job) => job.input.TransformJobName),
      input,
    );
    const TransformJobSummaries = items.map((job) => ({
      TransformJobName: job.input.TransformJobName,
      TransformJobArn: job.arn,
      CreationTime: job.CreationTime,
      TransformEndTime: job.ended,
      TransformJobStatus: job.status,
      FailureReason: job.failure,
    }));
    return { TransformJobSummaries, NextToken };
  }
}

function hasEnded({ status }: Job): boolean {
  return status !== 'InProgress' && status !== 'Stopping';
}

/** The requests that a file is cut into: whole, line by line, or as many whole lines as a payload may hold. */
async function* payloads(file: string, split: string, limit: number, name: string): AsyncGenerator<Buffer> {
  const tooLong = () =>
    new TransformFailure(
      `ClientError: ${name} has ${split === 'None' ? '' : 'a line of '}more than ${limit / MEGABYTE} MB, MaxPayloadInMB`,
    );
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: Math.min(limit, MEGABYTE) })) {
    let pending = Buffer.concat([rest, chunk as Buffer]);
    while (split !== 'None' && (split === 'SingleRecord' || pending.length > limit)) {
      const from = split === 'SingleRecord' ? pending.indexOf(10) : pending.lastIndexOf(10, limit - 1);
      if (from < 0) break;
      yield pending.subarray(0, from + 1);
      pending = pending.subarray(from + 1);
    }
    if (pending.length > limit) throw tooLong();
    rest = pending;
  }
  if (rest.length > 0) yield rest;
}

/** Adds an answer; with `lines`, each ends with exactly one line break. */
async function append(file: FileHandle, body: Buffer, lines: boolean): Promise<void> {
  await file.write(body);
  if (lines && body.at(-1) !== 10) await file.write('\n');
}

const { text, whole, structure, anything, map, tags, name, uri } = shape;
const REQUEST: shape.Members = {
  TransformJobName: required(name),
  ModelName: required(name),
  MaxConcurrentTransforms: whole(0, 2 ** 31 - 1),
  ModelClientConfig: structure({ InvocationsTimeoutInSeconds: whole(1, 3600), InvocationsMaxRetries: whole(0, 3) }),
  MaxPayloadInMB: whole(0, 100),
  BatchStrategy: text({ oneOf: ['MultiRecord', 'SingleRecord'] }),
  Environment: map(text({ max: 1024 }), text({ max: 10_240 }), 16),
  TransformInput: required(
    structure({
      DataSource: required(
        structure({
          S3DataSource: required(
            structure({ S3DataType: required(text({ oneOf: ['S3Prefix'] })), S3Uri: required(uri) }),
          ),
        }),
      ),
      ContentType: text({ max: 256 }),
      CompressionType: text({ oneOf: ['None'] }),
      SplitType: text({ oneOf: ['None', 'Line'] }),
    }),
  ),
  TransformOutput: required(
    structure({
      S3OutputPath: required(uri),
      Accept: text({ max: 256 }),
      AssembleWith: text({ oneOf: ['None', 'Line'] }),
      KmsKeyId: text({ max: 2048 }),
    }),
  ),
  DataCaptureConfig: anything,
  TransformResources: required(
    structure({
      InstanceType: required(text({ pattern: /^ml\.[a-z0-9-]+\.[a-z0-9-]+$/ })),
      InstanceCount: required(whole(1, 2 ** 31 - 1)),
      VolumeKmsKeyId: text({ max: 2048 }),
      TransformAmiVersion: text(),
    }),
  ),
  DataProcessing: anything,
  Tags: tags,
  ExperimentConfig: anything,
};
