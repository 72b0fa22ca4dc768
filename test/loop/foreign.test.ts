import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  CreateModelPackageCommand,
  DeleteEndpointCommand,
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  DescribeModelPackageCommand,
  ListTagsCommand,
  ListTrainingJobsCommand,
  ListTransformJobsCommand,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RequiredPermission } from '../../engine/src/service';
import { Iam } from '../../engine/src/services/iam/service';
import type { DeploymentEnded } from '../../lib/core';
import { csv, flights, requests } from './flights';
import { Loop } from './loop';

describe('where somebody else has the endpoint, and other versions are in the registry', () => {
  let loop: Loop;
  let sagemaker: SageMakerClient;
  let registry: string;

  beforeAll(async () => {
    loop = await Loop.start();
    sagemaker = new SageMakerClient(loop.engine.clientConfig);
    registry = loop.output('ModelPackageGroup');
    const primary = { Image: '683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0' };
    const model = { ModelName: 'by-hand', ExecutionRoleArn: loop.role('FlightsDeploymentServingRole') };
    await sagemaker.send(
      new CreateModelCommand({ ...model, PrimaryContainer: { ...primary, ModelDataUrl: 's3://no/no' } }),
    );
    const variant = {
      VariantName: 'main',
      ModelName: 'by-hand',
      InstanceType: 'ml.m5.large',
      InitialInstanceCount: 1,
    } as const;
    await sagemaker.send(
      new CreateEndpointConfigCommand({ EndpointConfigName: 'by-hand', ProductionVariants: [variant] }),
    );
    const theirs = [
      { Key: 'perennial:pipeline', Value: 'flights' },
      { Key: 'perennial:registry', Value: 'of-another-stack' },
      { Key: 'perennial:stack', Value: 'Production' },
    ];
    await sagemaker.send(
      new CreateEndpointCommand({ EndpointName: 'flights', EndpointConfigName: 'by-hand', Tags: theirs }),
    );
    await loop.engine.idle();
  }, 180_000);
  afterAll(() => loop.stop());

  const deployed = async () => (await loop.facts()).deployments.at(-1) as DeploymentEnded;
  const endpointNow = () => sagemaker.send(new DescribeEndpointCommand({ EndpointName: 'flights' }));
  const tagsOf = async (ResourceArn?: string) => {
    const { Tags = [] } = await sagemaker.send(new ListTagsCommand({ ResourceArn }));
    return Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
  };

  test('a deployment is refused by name, says whose the endpoint is, and touches nothing', async () => {
    const before = await endpointNow();
    const { runs, deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));

    expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'PROMOTED' });
    expect(deployments).toMatchObject([{ outcome: 'FAILED', modelVersion: 1, error: { name: 'Perennial.NameTaken' } }]);
    expect(deployments[0]?.error?.cause).toBe(
      `the endpoint flights must be the pipeline flights's with the registry ${registry}, got one of the pipeline ` +
        'flights with the registry of-another-stack, made by the stack Production; give this deployment another ' +
        'endpointName, or delete that endpoint',
    );
    expect(await endpointNow()).toMatchObject({
      EndpointConfigName: 'by-hand',
      CreationTime: before.CreationTime,
      LastModifiedTime: before.LastModifiedTime,
    });
  }, 240_000);

  test('nor would IAM let the machine change or delete it', () => {
    const { aws, resources } = loop.engine.assembly;
    const machine = { kind: 'role', roleArn: loop.role('FlightsDeploymentMachineRole') } as const;
    const input = { EndpointName: 'flights', EndpointConfigName: 'by-hand' };
    for (const action of ['UpdateEndpoint', 'DeleteEndpoint']) {
      const [need] = loop.engine.services.sagemaker.operations[action]?.needs(input, machine) ?? [];
      expect(() => new Iam(aws, resources).authorize(machine, need as RequiredPermission)).toThrow(
        'not authorized to perform',
      );
    }
  });

  test('the version is not at fault: it stays approved, and serves once the endpoint is free', async () => {
    const { modelPackageArn } = await deployed();
    const found = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: modelPackageArn }));
    expect(found.ModelApprovalStatus).toBe('Approved');

    await sagemaker.send(new DeleteEndpointCommand({ EndpointName: 'flights' }));
    await loop.engine.idle();
    loop.engine.advance(60_000);
    const again = { ModelPackageArn: modelPackageArn, ModelApprovalStatus: 'Approved' } as const;
    await sagemaker.send(new UpdateModelPackageCommand(again));
    const { deployments } = await loop.rest();
    expect(deployments.at(-1)).toMatchObject({ outcome: 'DEPLOYED', modelVersion: 1 });
    expect(await loop.ask(await requests(2, 5))).toHaveLength(5);
  }, 240_000);

  test('all that was made at run time tells whose it is', async () => {
    const endpoint = await endpointNow();
    const { EndpointConfigName } = endpoint;
    const config = await sagemaker.send(new DescribeEndpointConfigCommand({ EndpointConfigName }));
    const { modelPackageArn, modelName } = await deployed();
    const { TrainingJobSummaries = [] } = await sagemaker.send(new ListTrainingJobsCommand({}));
    const { TransformJobSummaries = [] } = await sagemaker.send(new ListTransformJobsCommand({}));
    const ours = { 'perennial:pipeline': 'flights', 'perennial:registry': registry, 'perennial:stack': 'Loop' };
    const modelArn = config.EndpointConfigArn?.replace(/endpoint-config\/.*/, `model/${modelName}`);
    for (const arn of [endpoint.EndpointArn, config.EndpointConfigArn, modelArn]) {
      expect(await tagsOf(arn)).toEqual(ours);
    }
    const jobs = [TrainingJobSummaries[0]?.TrainingJobArn, TransformJobSummaries[0]?.TransformJobArn];
    for (const arn of jobs) {
      expect(await tagsOf(arn)).toMatchObject({ ...ours, 'perennial:run': (await loop.facts()).runs[0]?.runId });
    }
    const { CustomerMetadataProperties } = await sagemaker.send(
      new DescribeModelPackageCommand({ ModelPackageName: modelPackageArn }),
    );
    expect(CustomerMetadataProperties).toMatchObject({ pipeline: 'flights' });
  });

  test('the version of another pipeline in the registry is approved without a deployment', async () => {
    const before = await loop.facts();
    const { modelPackageArn } = await deployed();
    const { InferenceSpecification, CustomerMetadataProperties } = await sagemaker.send(
      new DescribeModelPackageCommand({ ModelPackageName: modelPackageArn }),
    );
    const { ModelPackageArn } = await sagemaker.send(
      new CreateModelPackageCommand({
        ModelPackageGroupName: registry,
        InferenceSpecification,
        CustomerMetadataProperties: { ...CustomerMetadataProperties, pipeline: 'another' },
        ModelApprovalStatus: 'PendingManualApproval',
      }),
    );
    await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus: 'Approved' }));

    expect((await loop.rest()).deployments).toEqual(before.deployments);
    const found = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: ModelPackageArn }));
    expect(found.ModelApprovalStatus).toBe('Approved');
  });
});
