import { S3Client } from '@aws-sdk/client-s3';
import {
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  type DescribeEndpointConfigOutput,
  type DescribeEndpointOutput,
  DescribeModelCommand,
  type DescribeModelOutput,
  DescribeModelPackageCommand,
  type DescribeModelPackageOutput,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { isConfigAsRequested, isModelAsRequested } from '../../lib/core/deploy/as-requested';
import {
  deployableOf,
  type EndpointNames,
  endpointNames,
  type Found,
  planEndpoint,
} from '../../lib/core/deploy/deployment';
import type { DeploymentPlan, PlanDeploymentRequest, PlanEndpointRequest } from '../../lib/core/deploy/documents';
import { versionInName } from '../../lib/core/names';
import type { Tags } from '../../lib/core/ownership';
import { refuseChanged, type Seal, sealOf } from '../../lib/core/registry/sealed';
import { readSealAt } from '../registry/archives';
import { lazy } from '../shared/lazy';
import { tagsOf, unlessMissing } from '../shared/sagemaker';

/** What SageMaker says of things by name; undefined of what does not exist. */
export interface PlanPorts {
  findPackage(modelPackageArn: string): Promise<DescribeModelPackageOutput | undefined>;
  findEndpoint(name: string): Promise<DescribeEndpointOutput | undefined>;
  findModel(name: string): Promise<DescribeModelOutput | undefined>;
  findConfig(name: string): Promise<DescribeEndpointConfigOutput | undefined>;
  tagsOf(arn: string | undefined): Promise<Tags>;
  /** What an archive is now; undefined if there is none that may be read. */
  sealAt(uri: string): Promise<Partial<Seal> | undefined>;
}

/** Runs {@link planOf} on SageMaker and S3. */
export async function handler(request: PlanDeploymentRequest): Promise<DeploymentPlan> {
  return planOf(onAws(), request);
}

const onAws = lazy((): PlanPorts => {
  const [sagemaker, s3] = [new SageMakerClient(), new S3Client()];
  return {
    findPackage: (ModelPackageName) =>
      unlessMissing(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName }))),
    findEndpoint: (EndpointName) => unlessMissing(sagemaker.send(new DescribeEndpointCommand({ EndpointName }))),
    findModel: (ModelName) => unlessMissing(sagemaker.send(new DescribeModelCommand({ ModelName }))),
    findConfig: (EndpointConfigName) =>
      unlessMissing(sagemaker.send(new DescribeEndpointConfigCommand({ EndpointConfigName }))),
    tagsOf: (arn) => tagsOf(sagemaker, arn),
    sealAt: (uri) => readSealAt(s3, uri),
  };
});

/**
 * Refuses a version that may not be deployed, or whose archive is not the one that was judged; where an endpoint is to
 * serve it, decides what is to be made, by what the endpoint and the names that it needs are like now.
 */
export async function planOf(ports: PlanPorts, request: PlanDeploymentRequest): Promise<DeploymentPlan> {
  const { modelPackageArn } = request;
  const found = await ports.findPackage(modelPackageArn);
  const metadata = found?.CustomerMetadataProperties;
  const deployable = deployableOf(
    request,
    found && {
      approval: found.ModelApprovalStatus,
      pipeline: metadata?.pipeline,
      runId: metadata?.runId,
      container: found.InferenceSpecification?.Containers?.[0],
      seal: metadata && sealOf(metadata),
    },
  );
  const { archive } = deployable.plan;
  refuseChanged(modelPackageArn, archive, await ports.sealAt(archive.uri));
  if (!('endpointName' in request)) return deployable.plan;
  const names = endpointNames(request, deployable);
  const [endpoint, model, config] = await Promise.all([
    endpointOf(ports, request),
    modelOf(ports, names, request),
    configOf(ports, names, request),
  ]);
  return planEndpoint(request, deployable, { endpoint, model, config });
}

async function endpointOf(ports: PlanPorts, { endpointName, owner }: PlanEndpointRequest): Promise<Found['endpoint']> {
  const endpoint = await ports.findEndpoint(endpointName);
  if (endpoint === undefined) return undefined;
  const {
    EndpointStatus: status = '',
    EndpointConfigName: configName,
    EndpointArn,
    PendingDeploymentSummary,
  } = endpoint;
  // no permission to look at a configuration that is not ours
  const isOurs = configName !== undefined && versionInName(endpointName, owner.registry, configName) !== undefined;
  const [tags, config] = await Promise.all([
    ports.tagsOf(EndpointArn),
    isOurs ? ports.findConfig(configName) : undefined,
  ]);
  return {
    tags,
    status,
    configName,
    pending: PendingDeploymentSummary !== undefined,
    configExists: config !== undefined,
  };
}

async function modelOf(
  ports: PlanPorts,
  { modelName }: EndpointNames,
  request: PlanEndpointRequest,
): Promise<Found['model']> {
  const model = await ports.findModel(modelName);
  if (model === undefined) return undefined;
  return { tags: await ports.tagsOf(model.ModelArn), isEqual: isModelAsRequested(model, request) };
}

async function configOf(
  ports: PlanPorts,
  { endpointConfigName, modelName }: EndpointNames,
  request: PlanEndpointRequest,
): Promise<Found['config']> {
  const config = await ports.findConfig(endpointConfigName);
  if (config === undefined) return undefined;
  const tags = await ports.tagsOf(config.EndpointConfigArn);
  return { tags, isEqual: isConfigAsRequested(config, modelName, request) };
}
