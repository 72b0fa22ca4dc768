import type * as sdk from '@aws-sdk/client-sagemaker';
import type { Checked } from '../../api/checked';

/** With members that the API's model lets be absent, and the engine refuses a request without. */
type Given<T, K extends keyof T> = T & { readonly [P in K]-?: NonNullable<T[P]> };

/** Requests as the operations get them, once they have been checked. */
export type TrainingRequest = Given<Checked<sdk.CreateTrainingJobRequest>, 'AlgorithmSpecification' | 'ResourceConfig'>;
export type TuningConfig = Given<
  Checked<sdk.HyperParameterTuningJobConfig>,
  'HyperParameterTuningJobObjective' | 'ParameterRanges'
>;
export type TuningDefinition = Checked<sdk.HyperParameterTrainingJobDefinition>;
export type TuningRequest = Given<Checked<sdk.CreateHyperParameterTuningJobRequest>, 'TrainingJobDefinition'> & {
  readonly HyperParameterTuningJobConfig: TuningConfig;
};
export type ParameterRanges = Checked<sdk.ParameterRanges>;
export type TransformRequest = Checked<sdk.CreateTransformJobRequest>;
export type ModelRequest = Given<Checked<sdk.CreateModelInput>, 'ExecutionRoleArn'>;
export type EndpointConfigRequest = Checked<sdk.CreateEndpointConfigInput> & {
  readonly ProductionVariants: VariantConfig[];
};
/** Of a variant on instances: the engine has no serverless ones, nor inference components. */
export type VariantConfig = Given<Checked<sdk.ProductionVariant>, 'ModelName'>;
export type EndpointRequest = Checked<sdk.CreateEndpointInput>;
export type EndpointUpdate = Checked<sdk.UpdateEndpointInput>;
export type WeightsUpdate = Checked<sdk.UpdateEndpointWeightsAndCapacitiesInput>;
export type DeploymentConfig = Checked<sdk.DeploymentConfig>;
export type Size = Checked<sdk.CapacitySize>;
export type CategoricalRange = Checked<sdk.CategoricalParameterRange>;
export type CapturesConfig = Checked<sdk.DataCaptureConfig>;
export type GroupRequest = Checked<sdk.CreateModelPackageGroupInput>;
export type PackageRequest = Checked<sdk.CreateModelPackageInput>;
export type PackageUpdate = Checked<sdk.UpdateModelPackageInput>;

/** What is kept of them, with what SageMaker adds. */
export type KeptConfig = EndpointConfigRequest & { readonly EndpointConfigArn: string; readonly CreationTime: Date };
export type KeptModel = ModelRequest & {
  readonly ModelArn: string;
  readonly CreationTime: Date;
};
export type ModelPackage = PackageRequest &
  Pick<sdk.ModelPackage, 'ModelPackageStatus' | 'ModelPackageStatusDetails' | 'CreatedBy' | 'LastModifiedBy'> & {
    readonly ModelPackageGroupName: string;
    readonly ModelPackageVersion: number;
    readonly ModelPackageArn: string;
    readonly CreationTime: Date;
    LastModifiedTime: Date;
  };
