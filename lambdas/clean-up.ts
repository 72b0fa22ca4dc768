import { setTimeout } from 'node:timers/promises';
import {
  DeleteEndpointCommand,
  DeleteEndpointConfigCommand,
  DeleteModelCommand,
  DeleteModelPackageCommand,
  DescribeEndpointCommand,
  paginateListEndpointConfigs,
  paginateListModelPackages,
  paginateListModels,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { ownPrefix } from '../lib/core/names';
import { unlessMissing } from './shared/sagemaker';

/** What CloudFormation sends to a custom resource. */
export interface CleanUpEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  /** Pre-signed: the answer is put there. */
  readonly ResponseURL: string;
  readonly StackId: string;
  readonly RequestId: string;
  readonly LogicalResourceId: string;
  readonly PhysicalResourceId?: string;
  readonly ResourceProperties: {
    readonly EndpointName: string;
    readonly ModelPackageGroupName: string;
    /** Whether the registered versions go as well. */
    readonly DeleteModelPackages: 'true' | 'false';
  };
}

export interface CleanUpPorts {
  /** The endpoint's status; undefined once it is gone. */
  endpointStatus(name: string): Promise<string | undefined>;
  deleteEndpoint(name: string): Promise<void>;
  configs(prefix: string): Promise<string[]>;
  deleteConfig(name: string): Promise<void>;
  models(prefix: string): Promise<string[]>;
  deleteModel(name: string): Promise<void>;
  packages(group: string): Promise<string[]>;
  deletePackage(arn: string): Promise<void>;
  answer(url: string, body: string): Promise<void>;
  wait(milliseconds: number): Promise<void>;
}

/** Looks at an endpoint that is being deleted: 12 minutes, which Lambda's 15 leave time for. */
const LOOKS = 72;
const BETWEEN_LOOKS = 10_000;

let onAws: CleanUpPorts | undefined;

/** Runs {@link cleanUp} on SageMaker. */
export async function handler(event: CleanUpEvent): Promise<void> {
  onAws ??= portsOnAws();
  await cleanUp(onAws, event);
}

function portsOnAws(): CleanUpPorts {
  const client = new SageMakerClient();
  return {
    async endpointStatus(EndpointName) {
      const endpoint = await unlessMissing(client.send(new DescribeEndpointCommand({ EndpointName })));
      return endpoint?.EndpointStatus;
    },
    async deleteEndpoint(EndpointName) {
      await unlessMissing(client.send(new DeleteEndpointCommand({ EndpointName })));
    },
    async configs(NameContains) {
      const names: string[] = [];
      for await (const { EndpointConfigs = [] } of paginateListEndpointConfigs({ client }, { NameContains })) {
        names.push(...EndpointConfigs.map(({ EndpointConfigName = '' }) => EndpointConfigName));
      }
      return names;
    },
    async deleteConfig(EndpointConfigName) {
      await unlessMissing(client.send(new DeleteEndpointConfigCommand({ EndpointConfigName })));
    },
    async models(NameContains) {
      const names: string[] = [];
      for await (const { Models = [] } of paginateListModels({ client }, { NameContains })) {
        names.push(...Models.map(({ ModelName = '' }) => ModelName));
      }
      return names;
    },
    async deleteModel(ModelName) {
      await unlessMissing(client.send(new DeleteModelCommand({ ModelName })));
    },
    async packages(ModelPackageGroupName) {
      const arns: string[] = [];
      for await (const page of paginateListModelPackages({ client }, { ModelPackageGroupName })) {
        arns.push(...(page.ModelPackageSummaryList ?? []).map(({ ModelPackageArn = '' }) => ModelPackageArn));
      }
      return arns;
    },
    async deletePackage(ModelPackageName) {
      await unlessMissing(client.send(new DeleteModelPackageCommand({ ModelPackageName })));
    },
    async answer(url, body) {
      const reply = await fetch(url, { method: 'PUT', body, headers: { 'content-type': '' } });
      if (!reply.ok) throw new Error(`CloudFormation did not take the answer: ${reply.status} ${await reply.text()}`);
    },
    wait: (milliseconds) => setTimeout(milliseconds),
  };
}

/**
 * Deletes what the deployment machine has made, when the stack is deleted, and answers CloudFormation
 * in any case: without an answer the stack would hang for an hour.
 */
export async function cleanUp(ports: CleanUpPorts, event: CleanUpEvent): Promise<void> {
  const { RequestType, ResponseURL, StackId, RequestId, LogicalResourceId, ResourceProperties } = event;
  const PhysicalResourceId = event.PhysicalResourceId ?? `${ResourceProperties.EndpointName}-clean-up`;
  let outcome: { Status: 'SUCCESS' | 'FAILED'; Reason?: string } = { Status: 'SUCCESS' };
  try {
    if (RequestType === 'Delete') await removeAll(ports, ResourceProperties);
  } catch (error) {
    console.error(JSON.stringify({ error: String(error) }));
    outcome = { Status: 'FAILED', Reason: String(error).slice(0, 1000) };
  }
  const answer = { ...outcome, PhysicalResourceId, StackId, RequestId, LogicalResourceId };
  await ports.answer(ResponseURL, JSON.stringify(answer));
}

async function removeAll(ports: CleanUpPorts, properties: CleanUpEvent['ResourceProperties']): Promise<void> {
  const { EndpointName, ModelPackageGroupName, DeleteModelPackages } = properties;
  await removeEndpoint(ports, EndpointName);
  const prefix = `${ownPrefix(EndpointName, ModelPackageGroupName)}v`;
  const ours = (name: string) => name.startsWith(prefix);
  for (const name of (await ports.configs(prefix)).filter(ours)) await ports.deleteConfig(name);
  for (const name of (await ports.models(prefix)).filter(ours)) await ports.deleteModel(name);
  if (DeleteModelPackages === 'true') {
    for (const arn of await ports.packages(ModelPackageGroupName)) await ports.deletePackage(arn);
  }
}

/** An endpoint can be deleted only while it does not change, and its role must outlive it: hence the waiting. */
async function removeEndpoint(ports: CleanUpPorts, name: string): Promise<void> {
  for (let look = 0; look < LOOKS; look++) {
    const status = await ports.endpointStatus(name);
    if (status === undefined) return;
    if (['InService', 'OutOfService', 'Failed', 'UpdateRollbackFailed'].includes(status)) {
      await ports.deleteEndpoint(name);
    }
    await ports.wait(BETWEEN_LOOKS);
  }
  throw new Error(
    `the endpoint ${name} must be gone within ${(LOOKS * BETWEEN_LOOKS) / 60_000} minutes, but is still there; delete it by hand, then delete the stack again`,
  );
}
