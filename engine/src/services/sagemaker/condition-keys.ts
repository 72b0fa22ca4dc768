import type { RequiredPermission, Shape } from '../../service';

type Keys = Readonly<Record<string, unknown>>;

/** Keys of everything that runs in a VPC, or cut off from the network. */
function network({ VpcConfig, EnableNetworkIsolation }: Shape): Keys {
  return {
    VpcSubnets: VpcConfig?.Subnets,
    VpcSecurityGroupIds: VpcConfig?.SecurityGroupIds,
    NetworkIsolation: EnableNetworkIsolation,
  };
}

/** Keys of a training job, and of those that a tuning job starts. */
function training(input: Shape): Keys {
  const { ResourceConfig = {}, OutputDataConfig, StoppingCondition, EnableInterContainerTrafficEncryption } = input;
  const { InstanceType, InstanceGroups = [], VolumeKmsKeyId, KeepAlivePeriodInSeconds } = ResourceConfig;
  const types = [InstanceType, ...InstanceGroups.map((group: Shape) => group.InstanceType)];
  return {
    ...network(input),
    InstanceTypes: types.filter((type) => type !== undefined),
    VolumeKmsKey: VolumeKmsKeyId,
    OutputKmsKey: OutputDataConfig?.KmsKeyId,
    MaxRuntimeInSeconds: StoppingCondition?.MaxRuntimeInSeconds,
    KeepAlivePeriod: KeepAlivePeriodInSeconds,
    InterContainerTrafficEncryption: EnableInterContainerTrafficEncryption,
  };
}

function modelPackage({ ModelApprovalStatus, CustomerMetadataProperties, ...input }: Shape): Keys {
  const facts = Object.entries(CustomerMetadataProperties ?? {});
  return {
    ModelApprovalStatus,
    CustomerMetadataPropertiesToRemove: input.CustomerMetadataPropertiesToRemove,
    ...Object.fromEntries(facts.map(([name, value]) => [`CustomerMetadataProperties/${name}`, value])),
  };
}

/** What actions tell policies of their requests; the names are `sagemaker:…`. */
const KEYS: Readonly<Record<string, (input: Shape) => Keys>> = {
  'sagemaker:CreateTrainingJob': training,
  'sagemaker:CreateHyperParameterTuningJob': ({ TrainingJobDefinition = {} }) => {
    const { HyperParameterTuningResourceConfig: resources = {}, ...definition } = TrainingJobDefinition;
    const { InstanceConfigs = [], ...config } = resources;
    return training({ ResourceConfig: { ...config, InstanceGroups: InstanceConfigs }, ...definition });
  },
  'sagemaker:CreateTransformJob': ({ TransformResources, TransformOutput }) => ({
    InstanceTypes: [TransformResources?.InstanceType],
    VolumeKmsKey: TransformResources?.VolumeKmsKeyId,
    OutputKmsKey: TransformOutput?.KmsKeyId,
  }),
  'sagemaker:CreateModel': network,
  'sagemaker:CreateEndpointConfig': ({ ProductionVariants = [], KmsKeyId, ...input }) => ({
    ...network(input),
    InstanceTypes: ProductionVariants.flatMap(({ InstanceType }: Shape) => InstanceType ?? []),
    VolumeKmsKey: KmsKeyId,
  }),
  'sagemaker:CreateModelPackage': modelPackage,
  'sagemaker:UpdateModelPackage': modelPackage,
};

/**
 * The condition keys that SageMaker sends with an action: those that its request has a value for.
 *
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
 */
export function conditionKeys(action: string, input: Shape): NonNullable<RequiredPermission['conditions']> {
  const sent = Object.entries(KEYS[action]?.(input) ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(sent.map(([name, value]) => [`sagemaker:${name}`, textOf(value)]));
}

function textOf(value: unknown): string | string[] {
  return Array.isArray(value) ? value.map(String) : String(value);
}
