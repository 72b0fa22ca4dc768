import {
  DeleteEndpointConfigCommand,
  DeleteModelCommand,
  DescribeEndpointCommand,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import { outOfUse, releaseDeployment } from '../../lib/core/deploy/deployment';
import type { DeploymentEndedDetail, FinishDeploymentRequest } from '../../lib/core/deploy/documents';
import { ErrorName } from '../../lib/core/errors';
import { newFact } from '../../lib/core/ledger/facts';
import { EnvName, Events, ownPrefix, packageVersion } from '../../lib/core/names';
import { noticeOfDeployment } from '../../lib/core/notices';
import { isOwn, type Owner, type Tags, whose } from '../../lib/core/ownership';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import { changeLease, DEPLOYMENT_LEASE, findFact, type Ledger } from '../ledger/ledger';
import { recordServing } from '../ledger/serving';
import { defaultBus, type Send } from '../shared/bus';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { configsNamed, modelsNamed, type Named, tagsOf, unlessMissing } from '../shared/sagemaker';

export interface FinishDeploymentPorts {
  readonly owner: Owner;
  readonly endpointName: string;
  readonly ledger: Ledger;
  readonly send: Send;
  /** Marks a version as rejected. */
  reject(modelPackageArn: string, because: string): Promise<void>;
  /** The configuration in service; undefined if there is no endpoint. */
  liveConfig(): Promise<string | undefined>;
  /** All models and configurations whose names are the endpoint's. */
  models(): Promise<Named[]>;
  configs(): Promise<Named[]>;
  tagsOf(arn: string): Promise<Tags>;
  deleteModel(name: string): Promise<void>;
  deleteConfig(name: string): Promise<void>;
  now(): Date;
}

/** Failures that are not the version's: it stays approved. */
const NOT_ITS_FAULT: readonly string[] = [ErrorName.NOT_DEPLOYABLE, ErrorName.NAME_TAKEN, ErrorName.NO_MACHINES];

/** Runs {@link finishDeployment} on the ledger, the registry and SageMaker. */
export async function handler(request: FinishDeploymentRequest): Promise<DeploymentEndedDetail> {
  return finishDeployment(onAws(), request);
}

const onAws = lazy((): FinishDeploymentPorts => {
  const sagemaker = new SageMakerClient();
  const endpointName = env(EnvName.ENDPOINT_NAME);
  const owner = { pipeline: env(EnvName.PIPELINE), registry: env(EnvName.MODEL_PACKAGE_GROUP) };
  const named = ownPrefix(endpointName, owner.registry);
  return {
    owner,
    endpointName,
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
    models: () => modelsNamed(sagemaker, named),
    configs: () => configsNamed(sagemaker, named),
    tagsOf: (arn) => tagsOf(sagemaker, arn),
    async deleteModel(ModelName) {
      await unlessMissing(sagemaker.send(new DeleteModelCommand({ ModelName })));
    },
    async deleteConfig(EndpointConfigName) {
      await unlessMissing(sagemaker.send(new DeleteEndpointConfigCommand({ EndpointConfigName })));
    },
    now: () => new Date(),
  };
});

/** Writes how a deployment ended, rejects a version that failed, frees the lease, says so, and clears up. */
export async function finishDeployment(
  ports: FinishDeploymentPorts,
  request: FinishDeploymentRequest,
): Promise<DeploymentEndedDetail> {
  const { ledger, owner } = ports;
  const { deploymentId, startedAt, modelPackageArn, plan, outcome, error } = request;
  const fact = newFact.deploymentEnded(ports.now(), {
    deploymentId,
    startedAt,
    endpointName: ports.endpointName,
    modelPackageArn,
    modelVersion: packageVersion(modelPackageArn),
    runId: plan?.runId,
    modelName: plan?.modelName,
    endpointConfigName: plan?.endpointConfigName,
    outcome,
    error,
  });
  const isNew = await ledger.append(fact);
  await recordServing(ledger, isNew ? fact : ((await findFact(ledger, fact.sk, 'DeploymentEnded')) ?? fact));
  const failed = outcome === 'FAILED' || outcome === 'ROLLED_BACK';
  if (failed && !NOT_ITS_FAULT.includes(error?.name ?? '')) {
    // a description is one line
    const cause = (error?.cause ?? 'no cause given').replace(/\s+/g, ' ');
    const because = `Deployment ${deploymentId} ended as ${outcome}: ${cause}`;
    await ports.reject(modelPackageArn, `${because.slice(0, 960)} - approve again to try again`);
  }
  await changeLease(ledger, DEPLOYMENT_LEASE, ports.now(), (lease) => releaseDeployment(lease, deploymentId));
  const summary = noticeOfDeployment(request);
  const detail: DeploymentEndedDetail = {
    pipeline: owner.pipeline,
    deploymentId,
    outcome,
    modelPackageArn,
    summary,
  };
  await ports.send(Events.DEPLOYMENT_ENDED, detail);
  // what serves elsewhere than on an endpoint has no configurations
  if (outcome === 'DEPLOYED' && plan?.endpointConfigName !== undefined) {
    await clearUp(ports, [plan.endpointConfigName, plan.previousConfigName]);
  }
  return detail;
}

/** Deletes the models and configurations of old versions; a configuration goes before its model. */
async function clearUp(ports: FinishDeploymentPorts, used: ReadonlyArray<string | undefined>): Promise<void> {
  const [live, models, configs] = await Promise.all([ports.liveConfig(), ports.models(), ports.configs()]);
  const inUse = [live, ...used].filter((name) => name !== undefined);
  for (const name of await ownOutOfUse(ports, configs, inUse)) await ports.deleteConfig(name);
  for (const name of await ownOutOfUse(ports, models, inUse)) await ports.deleteModel(name);
}

/** A name is no proof: what somebody else has made under one like ours stays. */
async function ownOutOfUse(
  { owner, endpointName, tagsOf }: FinishDeploymentPorts,
  found: readonly Named[],
  inUse: readonly string[],
): Promise<string[]> {
  const names = found.map(({ name }) => name);
  const own: string[] = [];
  for (const name of outOfUse({ endpointName, registry: owner.registry }, names, inUse)) {
    const tags = await tagsOf(found.find((one) => one.name === name)?.arn ?? '');
    if (isOwn(tags, owner)) own.push(name);
    else console.log(JSON.stringify({ kept: name, because: `it is ${whose(tags)}` }));
  }
  return own;
}
