import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Caller, Shape } from '../service';
import { type Host, s3Uri } from './host';
import { download, timesBelow, withSlash } from './staging';
import { unpack } from './tar';
import { clientSide, type Job, JobFailure } from './training-job';

/**
 * Lays out /opt/ml: channels, checkpoints, code and configuration.
 *
 * @param linked whether objects may be linked, because the job cannot write to its input
 * @returns the folder of the code
 */
export async function prepare(host: Host, job: Job, role: Caller, linked: boolean): Promise<string> {
  const { input, folder } = job;
  const at = (...path: string[]) => join(folder, ...path);
  for (const path of ['input/config', 'input/data', 'model', 'output/data', 'checkpoints', 'code']) {
    await mkdir(at(path), { recursive: true });
  }
  const channels: Record<string, Shape> = {};
  for (const channel of input.InputDataConfig ?? []) {
    const { S3Uri } = channel.DataSource.S3DataSource;
    const files = await clientSide('Data download failed', () =>
      download(host, role, S3Uri, at('input/data', channel.ChannelName), linked),
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
      download(host, role, withSlash(input.CheckpointConfig.S3Uri), at('checkpoints'), false),
    );
    job.checkpoints = await timesBelow(at('checkpoints'));
  }
  await unpackCode(host, job, role, at('code'));
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
}

/** An archive in S3, or an asset of the app: those are not uploaded, but the role must be allowed to read them. */
async function fetchCode(host: Host, source: string, role: Caller): Promise<string> {
  const { context, objects } = host;
  const { bucket, key } = s3Uri(source);
  const asset = context.asset(bucket, key);
  if (asset === undefined) return objects.file(bucket, key, role);
  const resource = `arn:${context.place.partition}:s3:::${bucket}/${key}`;
  context.authorize(role, { action: 's3:GetObject', resource });
  return asset;
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
