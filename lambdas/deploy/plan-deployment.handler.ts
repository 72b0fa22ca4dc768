import { S3Client } from '@aws-sdk/client-s3';
import {
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  type DescribeEndpointConfigOutput,
  DescribeModelCommand,
  type DescribeModelOutput,
  DescribeModelPackageCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { type DeploymentNames, deployableOf, type Found, planDeployment } from '../../lib/core/deploy/deployment';
import type { DeploymentPlan, PlanDeploymentRequest } from '../../lib/core/deploy/documents';
import { versionInName } from '../../lib/core/names';
import { refuseChanged, sealOf } from '../../lib/core/registry/sealed';
import { readSealAt } from '../registry/archives';
import { tagsOf, unlessMissing } from '../shared/sagemaker';

export interface PlanPorts {
  readonly sagemaker: SageMakerClient;
  readonly s3: S3Client;
}

let onAws: PlanPorts | undefined;

/** Decides what is to be made, by what the registry, the endpoint and the names that it needs are like now. */
export async function handler(request: PlanDeploymentRequest): Promise<DeploymentPlan> {
  onAws ??= { sagemaker: new SageMakerClient(), s3: new S3Client() };
  return plan(onAws, request);
}

/** As {@link handler}. */
export async function plan({ sagemaker, s3 }: PlanPorts, request: PlanDeploymentRequest): Promise<DeploymentPlan> {
  const ModelPackageName = request.modelPackageArn;
  const found = await unlessMissing(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName })));
  const metadata = found?.CustomerMetadataProperties;
  const { names, archive } = deployableOf(
    request,
    found && {
      approval: found.ModelApprovalStatus,
      pipeline: metadata?.pipeline,
      runId: metadata?.runId,
      container: found.InferenceSpecification?.Containers?.[0],
      seal: metadata && sealOf(metadata),
    },
  );
  refuseChanged(ModelPackageName, archive, await readSealAt(s3, archive.uri));
  const [endpoint, model, config] = await Promise.all([
    findEndpoint(sagemaker, request),
    findModel(sagemaker, names, request),
    findConfig(sagemaker, names, request),
  ]);
  return planDeployment(request, names, { endpoint, model, config });
}

async function findEndpoint(
  sagemaker: SageMakerClient,
  { endpointName: EndpointName, owner }: PlanDeploymentRequest,
): Promise<Found['endpoint']> {
  const endpoint = await unlessMissing(sagemaker.send(new DescribeEndpointCommand({ EndpointName })));
  if (endpoint === undefined) return undefined;
  const { EndpointStatus = '', EndpointConfigName: configName } = endpoint;
  // a configuration of somebody else's is not ours to look at
  const isOurs = configName !== undefined && versionInName(EndpointName, owner.registry, configName) !== undefined;
  const [tags, config] = await Promise.all([
    tagsOf(sagemaker, endpoint.EndpointArn),
    isOurs ? describeConfig(sagemaker, configName) : undefined,
  ]);
  return {
    tags,
    status: EndpointStatus,
    configName,
    pending: endpoint.PendingDeploymentSummary !== undefined,
    configExists: config !== undefined,
  };
}

async function findModel(
  sagemaker: SageMakerClient,
  { modelName: ModelName }: DeploymentNames,
  { modelPackageArn, servingRole }: PlanDeploymentRequest,
): Promise<Found['model']> {
  const model = await unlessMissing(sagemaker.send(new DescribeModelCommand({ ModelName })));
  if (model === undefined) return undefined;
  const isEqual =
    model.ExecutionRoleArn === servingRole &&
    containersOf(model).every(({ ModelPackageName }) => ModelPackageName === modelPackageArn);
  return { tags: await tagsOf(sagemaker, model.ModelArn), isEqual };
}

function containersOf({ PrimaryContainer, Containers }: DescribeModelOutput) {
  return PrimaryContainer === undefined ? (Containers ?? []) : [PrimaryContainer];
}

async function findConfig(
  sagemaker: SageMakerClient,
  { endpointConfigName, modelName }: DeploymentNames,
  request: PlanDeploymentRequest,
): Promise<Found['config']> {
  const config = await describeConfig(sagemaker, endpointConfigName);
  if (config === undefined) return undefined;
  const tags = await tagsOf(sagemaker, config.EndpointConfigArn);
  return { tags, isEqual: isAsRequested(config, modelName, request) };
}

/** SageMaker describes a configuration with all that was asked for, and more. */
function isAsRequested(
  described: DescribeEndpointConfigOutput,
  modelName: string,
  { configuration }: PlanDeploymentRequest,
): boolean {
  const { ProductionVariants, ...others } = configuration;
  const variants = ProductionVariants.map((variant) => ({ ...variant, ModelName: modelName }));
  return holds(described, { ...others, ProductionVariants: variants });
}

function holds(value: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return value === wanted;
  if (Array.isArray(wanted) && wanted.length !== (value as unknown[] | undefined)?.length) return false;
  return Object.entries(wanted).every(([key, member]) =>
    holds((value as Record<string, unknown> | undefined)?.[key], member),
  );
}

function describeConfig(sagemaker: SageMakerClient, EndpointConfigName: string) {
  return unlessMissing(sagemaker.send(new DescribeEndpointConfigCommand({ EndpointConfigName })));
}
