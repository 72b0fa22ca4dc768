import {
  DeleteEndpointConfigCommand,
  DeleteModelCommand,
  DescribeEndpointCommand,
  paginateListEndpointConfigs,
  paginateListModels,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import { outOfUse, releaseDeployment } from '../lib/core/deployment';
import type { DeploymentEndedDetail, FinishDeploymentRequest } from '../lib/core/documents';
import { ErrorName } from '../lib/core/errors';
import { type DeploymentEnded, type DeploymentLease, LedgerKey } from '../lib/core/ledger';
import { EnvName, Events, ownPrefix, packageVersion } from '../lib/core/names';
import { noticeOfDeployment } from '../lib/core/notices';
import { defaultBus, type Send } from './shared/bus';
import { env } from './shared/env';
import { change, dynamoLedger, type Ledger } from './shared/ledger-port';
import { unlessMissing } from './shared/sagemaker';

export interface FinishDeploymentPorts {
  readonly pipeline: string;
  readonly endpointName: string;
  /** The name of the model package group. */
  readonly registry: string;
  readonly ledger: Ledger;
  readonly send: Send;
  /** Marks a version as rejected. */
  reject(modelPackageArn: string, because: string): Promise<void>;
  /** The configuration in service; undefined if there is no endpoint. */
  liveConfig(): Promise<string | undefined>;
  /** All models and configurations of the endpoint's versions. */
  models(): Promise<string[]>;
  configs(): Promise<string[]>;
  deleteModel(name: string): Promise<void>;
  deleteConfig(name: string): Promise<void>;
  now(): Date;
}

let onAws: FinishDeploymentPorts | undefined;

/** Runs {@link finishDeployment} on the ledger, the registry and SageMaker. */
export async function handler(request: FinishDeploymentRequest): Promise<DeploymentEndedDetail> {
  onAws ??= portsOnAws();
  return finishDeployment(onAws, request);
}

function portsOnAws(): FinishDeploymentPorts {
  const sagemaker = new SageMakerClient();
  const endpointName = env(EnvName.ENDPOINT_NAME);
  const registry = env(EnvName.MODEL_PACKAGE_GROUP);
  const NameContains = ownPrefix(endpointName, registry);
  return {
    pipeline: env(EnvName.PIPELINE),
    endpointName,
    registry,
    ledger: dynamoLedger(),
    send: defaultBus(),
    async reject(ModelPackageArn, ApprovalDescription) {
      const update = { ModelPackageArn, ModelApprovalStatus: 'Rejected', ApprovalDescription } as const;
      await unlessMissing(sagemaker.send(new UpdateModelPackageCommand(update)));
    },
    async liveConfig() {
      const endpoint = await unlessMissing(sagemaker.send(new DescribeEndpointCommand({ EndpointName: endpointName })));
      return endpoint?.EndpointConfigName;
    },
    async models() {
      const names: string[] = [];
      for await (const { Models = [] } of paginateListModels({ client: sagemaker }, { NameContains })) {
        names.push(...Models.map(({ ModelName = '' }) => ModelName));
      }
      return names;
    },
    async configs() {
      const names: string[] = [];
      for await (const { EndpointConfigs = [] } of paginateListEndpointConfigs(
        { client: sagemaker },
        { NameContains },
      )) {
        names.push(...EndpointConfigs.map(({ EndpointConfigName = '' }) => EndpointConfigName));
      }
      return names;
    },
    async deleteModel(ModelName) {
      await unlessMissing(sagemaker.send(new DeleteModelCommand({ ModelName })));
    },
    async deleteConfig(EndpointConfigName) {
      await unlessMissing(sagemaker.send(new DeleteEndpointConfigCommand({ EndpointConfigName })));
    },
    now: () => new Date(),
  };
}

/** Writes how a deployment ended, rejects a version that failed, frees the lease, says so, and clears up. */
export async function finishDeployment(
  ports: FinishDeploymentPorts,
  request: FinishDeploymentRequest,
): Promise<DeploymentEndedDetail> {
  const { ledger, pipeline } = ports;
  const { deploymentId, startedAt, modelPackageArn, plan, outcome, error } = request;
  await ledger.append<DeploymentEnded>({
    sk: LedgerKey.deployment(startedAt, deploymentId),
    at: ports.now().toISOString(),
    deploymentId,
    startedAt,
    modelPackageArn,
    version: packageVersion(modelPackageArn),
    runId: plan?.runId,
    modelName: plan?.modelName,
    endpointConfigName: plan?.endpointConfigName,
    outcome,
    error,
  });
  const failed = outcome === 'FAILED' || outcome === 'ROLLED_BACK';
  if (failed && error?.name !== ErrorName.NOT_DEPLOYABLE) {
    // a description is one line
    const cause = (error?.cause ?? 'no cause given').replace(/\s+/g, ' ');
    const because = `Deployment ${deploymentId} ended as ${outcome}: ${cause}`;
    await ports.reject(modelPackageArn, `${because.slice(0, 960)} - approve again to try again`);
  }
  await change<DeploymentLease>(ledger, LedgerKey.lease('deployment'), {}, (lease) =>
    releaseDeployment(lease, deploymentId),
  );
  const summary = noticeOfDeployment(request);
  const detail: DeploymentEndedDetail = { pipeline, deploymentId, outcome, modelPackageArn, summary };
  await ports.send(Events.DEPLOYMENT_ENDED, detail);
  if (outcome === 'DEPLOYED') await clearUp(ports, [plan?.endpointConfigName, plan?.previousConfigName]);
  return detail;
}

/** Deletes the models and configurations of old versions; a configuration goes before its model. */
async function clearUp(ports: FinishDeploymentPorts, used: ReadonlyArray<string | undefined>): Promise<void> {
  const [live, models, configs] = await Promise.all([ports.liveConfig(), ports.models(), ports.configs()]);
  const inUse = [live, ...used].filter((name) => name !== undefined);
  for (const name of outOfUse(ports, configs, inUse)) await ports.deleteConfig(name);
  for (const name of outOfUse(ports, models, inUse)) await ports.deleteModel(name);
}
