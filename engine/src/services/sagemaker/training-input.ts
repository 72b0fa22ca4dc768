import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { below } from '../../engine/paths';
import type { Caller } from '../../service';
import { type Host, s3Uri } from './host';
import { clientSide, JobFailure } from './job-failure';
import type { TrainingRequest } from './requests';
import { download } from './staging';
import { filesBelow } from './tar';
import { CheckpointSync } from './training-checkpoints';
import { resourceConfig } from './training-cluster';
import type { Job, Node } from './training-job';
import { unpack } from './untar';

/**
 * Lays out /opt/ml on a host of a job: channels, checkpoints, code and configuration.
 *
 * @param linked whether objects may be linked, because the job cannot write to its input
 */
export async function prepare(
  host: Host,
  job: Job,
  node: Node,
  nodes: readonly Node[],
  role: Caller,
  linked: boolean,
): Promise<void> {
  const { input } = job;
  const at = (...path: string[]) => join(node.folder, ...path);
  for (const path of ['input/config', 'input/data', 'model', 'output/data', 'checkpoints', 'code']) {
    await mkdir(at(path), { recursive: true });
  }
  const channels: Record<string, object> = {};
  for (const channel of input.InputDataConfig ?? []) {
    const sharers = nodes.filter(({ group }) => receives(group.InstanceGroupName, channel));
    if (!sharers.includes(node)) continue;
    const { S3Uri, S3DataDistributionType: distribution = 'FullyReplicated' } = sourceOf(channel);
    const folder = at('input/data', channel.ChannelName);
    const files = await clientSide('Data download failed', () => download(host, role, S3Uri, folder, linked));
    if (files === 0) {
      throw new JobFailure(
        `ClientError: Data download failed:NoSuchKey: No objects found under S3 URL "${S3Uri}". Please ensure that the bucket exists in the selected region and that objects exist under that S3 prefix.`,
      );
    }
    if (distribution === 'ShardedByS3Key') await keepShare(folder, sharers.indexOf(node), sharers.length);
    channels[channel.ChannelName] = {
      TrainingInputMode: channel.InputMode ?? input.AlgorithmSpecification.TrainingInputMode,
      S3DistributionType: distribution,
      RecordWrapperType: channel.RecordWrapperType ?? 'None',
      ...(channel.ContentType && { ContentType: channel.ContentType }),
    };
  }
  if (input.CheckpointConfig) {
    node.checkpoints = new CheckpointSync(host, input.CheckpointConfig, node.folder);
    await mkdir(node.checkpoints.folder, { recursive: true });
    await node.checkpoints.restore(role);
  }
  await unpackCode(host, job, role, at('code'));
  const config = {
    hyperparameters: input.HyperParameters ?? {},
    inputdataconfig: channels,
    resourceconfig: resourceConfig(node, nodes),
  };
  for (const [name, content] of Object.entries(config)) {
    await writeFile(at('input/config', `${name}.json`), JSON.stringify(content));
  }
}

type Channel = NonNullable<TrainingRequest['InputDataConfig']>[number];

function sourceOf({ ChannelName, DataSource: { S3DataSource } }: Channel) {
  if (S3DataSource === undefined) throw new Error(`the channel ${ChannelName} must have been refused: it is not in S3`);
  return S3DataSource;
}

/** Whether the hosts of a group get a channel. */
function receives(group: string, channel: Channel): boolean {
  return sourceOf(channel).InstanceGroupNames?.includes(group) ?? true;
}

/** Leaves of a channel what one of several hosts gets: every n-th file, in the order of the keys. */
async function keepShare(folder: string, index: number, of: number): Promise<void> {
  const files = await filesBelow(folder);
  for (const path of files.filter((_, i) => i % of !== index)) await rm(join(folder, path));
}

async function unpackCode(host: Host, job: Job, role: Caller, folder: string): Promise<void> {
  const { sagemaker_program: program, sagemaker_submit_directory: source } = job.input.HyperParameters ?? {};
  if (program === undefined || source === undefined) {
    throw new JobFailure(
      `ClientError: the image ${job.input.AlgorithmSpecification.TrainingImage} cannot run on this machine; only script mode can, with the hyperparameters sagemaker_program and sagemaker_submit_directory`,
    );
  }
  const archive = await clientSide('Code download failed', () => fetchCode(host, decoded(source), role));
  try {
    await unpack(archive, folder);
  } catch (error) {
    throw new JobFailure(`AlgorithmError: ${decoded(source)} must be a tar.gz of code: ${(error as Error).message}`);
  }
  refuseProgram(folder, decoded(program));
}

/** Refuses a program that is not a file of the code, or that Python would take for an option. */
function refuseProgram(folder: string, program: string): void {
  try {
    below(folder, program.replace(/^\.\//, ''));
  } catch (error) {
    throw new JobFailure(`AlgorithmError: the hyperparameter sagemaker_program: ${(error as Error).message}`);
  }
  if (program.startsWith('-')) {
    throw new JobFailure(`AlgorithmError: the hyperparameter sagemaker_program must not begin with -, got ${program}`);
  }
}

/** An archive in S3, or an asset of the app: those are not uploaded, but the role must be allowed to read them. */
async function fetchCode(host: Host, source: string, role: Caller): Promise<string> {
  const { context, objects } = host;
  const { bucket, key } = s3Uri(source);
  const asset = context.asset(bucket, key);
  if (asset === undefined) return objects.file(bucket, key, role);
  const resource = `arn:${context.aws.partition}:s3:::${bucket}/${key}`;
  context.authorize(role, { action: 's3:GetObject', resource });
  return asset;
}

/** A hyperparameter that may be written as JSON text, as the SageMaker SDK does. */
function decoded(value: string): string {
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
