import { expect, test } from 'vitest';
import { type PlanPorts, planOf } from '../../lambdas/deploy/plan-deployment.handler';
import { deployableOf, endpointNames } from '../../lib/core/deploy/deployment';
import type { PlanEndpointRequest } from '../../lib/core/deploy/documents';
import { ErrorName } from '../../lib/core/errors';
import { endpointConfigName } from '../../lib/core/names';
import { ownerTags } from '../../lib/core/ownership';

const owner = { pipeline: 'flights', registry: 'models' };
const request: PlanEndpointRequest = {
  modelPackageArn: 'arn:aws:sagemaker:eu-west-1:1:model-package/models/3',
  endpointName: 'flights',
  owner,
  versionsOf: 'flights',
  configuration: {
    ProductionVariants: [{ VariantName: 'main', InstanceType: 'ml.m5.large', InitialInstanceCount: 1 }],
    DataCaptureConfig: { DestinationS3Uri: 's3://bucket/capture' },
  },
  servingRole: 'role',
};
const container = { Image: 'image', ModelDataUrl: 's3://bucket/model.tar.gz' };
const seal = { versionId: 'v1', sha256: 'sum' };
const deployable = deployableOf(request, { approval: 'Approved', pipeline: 'flights', runId: 'r', container, seal });
const names = { ...deployable.plan, ...endpointNames(request, deployable) };
const before = endpointConfigName('flights', 'models', 2, 'settings');

/** SageMaker with an approved version, and an endpoint that serves the version before it. */
function ports(changed: Partial<PlanPorts> = {}): PlanPorts {
  return {
    findPackage: async () => ({
      ModelPackageName: 'models',
      ModelPackageArn: request.modelPackageArn,
      CreationTime: new Date(0),
      ModelPackageStatus: 'Completed',
      ModelPackageStatusDetails: { ValidationStatuses: [] },
      ModelApprovalStatus: 'Approved',
      CustomerMetadataProperties: { pipeline: 'flights', runId: 'r', modelVersionId: 'v1', modelSha256: 'sum' },
      InferenceSpecification: { Containers: [container], SupportedContentTypes: [], SupportedResponseMIMETypes: [] },
    }),
    findEndpoint: async (name) => ({
      EndpointName: name,
      EndpointArn: 'arn:endpoint',
      EndpointStatus: 'InService',
      EndpointConfigName: before,
      CreationTime: new Date(0),
      LastModifiedTime: new Date(0),
    }),
    findModel: async () => undefined,
    findConfig: async (name) =>
      name === before
        ? {
            EndpointConfigName: name,
            EndpointConfigArn: 'arn:config',
            ProductionVariants: [],
            CreationTime: new Date(0),
          }
        : undefined,
    tagsOf: async () => ownerTags(owner, 'Stack'),
    sealAt: async () => seal,
    ...changed,
  };
}

test('updates the endpoint, and names the configuration to go back to', async () => {
  expect(await planOf(ports(), request)).toEqual({
    ...names,
    previousConfigName: before,
    exists: { model: false, config: false },
    action: 'update',
  });
});

test('creates the endpoint where there is none', async () => {
  const plan = await planOf(ports({ findEndpoint: async () => undefined }), request);
  expect(plan).toEqual({ ...names, exists: { model: false, config: false }, action: 'create' });
});

test('makes no model again that is there, is ours, and is of the version', async () => {
  const model = {
    ModelName: names.modelName,
    ModelArn: 'arn:model',
    CreationTime: new Date(0),
    ExecutionRoleArn: 'role',
  };
  const found = { ...model, PrimaryContainer: { ModelPackageName: request.modelPackageArn } };
  expect(await planOf(ports({ findModel: async () => found }), request)).toMatchObject({ exists: { model: true } });
  const stranger = { ...found, ExecutionRoleArn: 'of somebody else' };
  await expect(planOf(ports({ findModel: async () => stranger }), request)).rejects.toMatchObject({
    name: ErrorName.NAME_TAKEN,
  });
});

test("asks for no configuration that is not the endpoint's own, and refuses it", async () => {
  const asked: string[] = [];
  const byHand = ports({
    findEndpoint: async (name) => ({
      EndpointName: name,
      EndpointArn: 'arn:endpoint',
      EndpointStatus: 'InService',
      EndpointConfigName: 'by-hand',
      CreationTime: new Date(0),
      LastModifiedTime: new Date(0),
    }),
    findConfig: async (name) => {
      asked.push(name);
      return undefined;
    },
  });
  await expect(planOf(byHand, request)).rejects.toMatchObject({ name: ErrorName.NAME_TAKEN });
  expect(asked).toEqual([names.endpointConfigName]);
});

test('refuses an archive that is not the one that was judged', async () => {
  await expect(planOf(ports({ sealAt: async () => ({ ...seal, sha256: 'other' }) }), request)).rejects.toMatchObject({
    name: ErrorName.MODEL_CHANGED,
  });
});

test('of a version that is to serve elsewhere, looks at the version and its archive alone', async () => {
  const never = () => {
    throw new Error('SageMaker must not be asked about endpoints, got a question');
  };
  const elsewhere = ports({ findEndpoint: never, findModel: never, findConfig: never, tagsOf: never });
  const { modelPackageArn, versionsOf } = request;
  const archive = { uri: container.ModelDataUrl, ...seal };
  expect(await planOf(elsewhere, { modelPackageArn, versionsOf })).toEqual({ version: 3, runId: 'r', archive });

  const changed = { ...elsewhere, sealAt: async () => ({ ...seal, versionId: 'v2' }) };
  await expect(planOf(changed, { modelPackageArn, versionsOf })).rejects.toMatchObject({
    name: ErrorName.MODEL_CHANGED,
  });
});
