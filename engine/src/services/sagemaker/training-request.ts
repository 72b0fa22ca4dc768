import type { Shape } from '../../service';
import { invalid } from './host';
import { groupsOf, hostNames } from './instance-groups';
import { hasLocalDisk } from './instances';
import type { TrainingRequest } from './requests';
import * as shape from './shape';
import { required } from './shape';
import { checkpointFolder } from './training-checkpoints';

/** Refuses a CreateTrainingJob that SageMaker would refuse, or that this engine cannot run. */
export function checkRequest(input: Shape): void {
  shape.validate(input, REQUEST);
  refuseContradictions(input);
}

/** Rules that concern several members. */
function refuseContradictions(input: TrainingRequest): void {
  const { StoppingCondition: stop = {}, EnableManagedSpotTraining: spot = false } = input;
  const { MaxRuntimeInSeconds: runtime = 86_400, MaxWaitTimeInSeconds: wait } = stop;
  if (spot && wait === undefined) {
    throw invalid('MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true.');
  }
  if (!spot && wait !== undefined) {
    throw invalid('Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true');
  }
  if (wait !== undefined && wait < runtime) {
    throw invalid(
      `Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds, got ${wait} and ${runtime}`,
    );
  }
  refuseResources(input.ResourceConfig, spot);
  const { AlgorithmSpecification: algorithm, HyperParameters: parameters, CheckpointConfig: checkpoints } = input;
  if (parameters?.sagemaker_mpi_enabled?.toLowerCase() === 'true') {
    throw invalid(
      'sagemaker_mpi_enabled: this engine has no MPI; it starts several processes by sagemaker_torch_distributed_enabled',
    );
  }
  if (checkpoints !== undefined) checkpointFolder(checkpoints);
  for (const { Name, Regex } of algorithm.MetricDefinitions ?? []) {
    try {
      new RegExp(Regex);
    } catch (error) {
      throw invalid(`MetricDefinitions, ${Name}: ${(error as Error).message}`);
    }
  }
  if ((algorithm.TrainingImage === undefined) === (algorithm.AlgorithmName === undefined)) {
    throw invalid('AlgorithmSpecification must have either TrainingImage or AlgorithmName.');
  }
  const names = (input.InputDataConfig ?? []).map((channel) => channel.ChannelName);
  if (new Set(names).size < names.length) throw invalid(`Channel names must be unique, got ${names.join(', ')}`);
  const nameless = names.find((name: string) => /^\.{1,2}$/.test(name)); // a channel is a folder of that name
  if (nameless !== undefined) throw invalid(`A channel cannot be called ${nameless}`);
  const groups: string[] = groupsOf(input.ResourceConfig).map(({ InstanceGroupName }) => InstanceGroupName);
  for (const { ChannelName, DataSource } of input.InputDataConfig ?? []) {
    if (DataSource.S3DataSource === undefined) {
      throw invalid(`channel ${ChannelName}: this engine reads S3DataSource only`);
    }
    const strange =
      DataSource.S3DataSource.InstanceGroupNames?.filter((group: string) => !groups.includes(group)) ?? [];
    if (strange.length > 0) {
      throw invalid(
        `channel ${ChannelName}: InstanceGroupNames must be of ResourceConfig.InstanceGroups, which has ${groups.join(', ')}, got ${strange.join(', ')}`,
      );
    }
  }
}

/** Rules about the instances. */
function refuseResources(resources: TrainingRequest['ResourceConfig'], isSpot: boolean): void {
  const { InstanceType, InstanceCount, InstanceGroups, VolumeKmsKeyId, KeepAlivePeriodInSeconds = 0 } = resources;
  if (InstanceGroups !== undefined && (InstanceType !== undefined || InstanceCount !== undefined)) {
    throw invalid('ResourceConfig must not have InstanceType or InstanceCount where it has InstanceGroups.');
  }
  if (InstanceGroups === undefined && (InstanceType === undefined || InstanceCount === undefined)) {
    throw invalid('ResourceConfig must have InstanceType and InstanceCount, or InstanceGroups.');
  }
  const groups = groupsOf(resources);
  const names = groups.map(({ InstanceGroupName }) => InstanceGroupName);
  if (new Set(names).size < names.length) {
    throw invalid(`Instance group names must be unique, got ${names.join(', ')}`);
  }
  if (hostNames(groups).length === 0) throw invalid('A training job must have at least one instance, got 0');
  const local = groups.find((group) => hasLocalDisk(group.InstanceType));
  if (local !== undefined && VolumeKmsKeyId !== undefined) {
    throw invalid(`VolumeKmsKeyId is not supported for ${local.InstanceType}, which has local storage.`);
  }
  if (isSpot && KeepAlivePeriodInSeconds > 0) {
    throw invalid(
      `KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is true, got ${KeepAlivePeriodInSeconds}`,
    );
  }
}

const { text, whole, flag, list, map, structure, anything, environment, tags, vpc, name, roleArn, uri } = shape;
const instanceType = text({ pattern: /^ml\.[a-z0-9-]+\.[a-z0-9-]+$/ });
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
            InstanceGroupNames: list(text({ min: 1, max: 64 }), 0, 5),
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
      InstanceType: instanceType,
      InstanceCount: whole(0, 2 ** 31 - 1),
      VolumeSizeInGB: whole(0, 2 ** 31 - 1),
      VolumeKmsKeyId: text({ max: 2048 }),
      KeepAlivePeriodInSeconds: whole(0, 21_600),
      InstanceGroups: list(
        structure({
          InstanceType: required(instanceType),
          InstanceCount: required(whole(0, 2 ** 31 - 1)),
          InstanceGroupName: required(text({ min: 1, max: 64 })),
        }),
        0,
        5,
      ),
      TrainingPlanArn: text({
        min: 50,
        max: 2048,
        pattern: /^arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:training-plan\/.*$/,
      }),
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
