import {
  CreateModelCommand,
  DescribeModelCommand,
  DescribeModelPackageCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import type { ChampionReport } from '../lib/core/documents';
import type { DeploymentEnded } from '../lib/core/ledger';
import { EnvName } from '../lib/core/names';
import { env } from './shared/env';
import { dynamoLedger, type Ledger } from './shared/ledger-port';
import { unlessMissing } from './shared/sagemaker';

export interface ChampionPorts {
  readonly ledger: Ledger;
  packageExists(modelPackageArn: string): Promise<boolean>;
  modelExists(modelName: string): Promise<boolean>;
  createModel(modelName: string, modelPackageArn: string): Promise<void>;
}

let onAws: ChampionPorts | undefined;

/** Runs {@link findChampion} on the ledger and the registry. */
export async function handler(): Promise<ChampionReport> {
  onAws ??= portsOnAws();
  return findChampion(onAws);
}

function portsOnAws(): ChampionPorts {
  const sagemaker = new SageMakerClient();
  const role = env(EnvName.SCORING_ROLE);
  const exists = async (description: Promise<unknown>) => (await unlessMissing(description)) !== undefined;
  return {
    ledger: dynamoLedger(),
    packageExists: (ModelPackageName) => exists(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName }))),
    modelExists: (ModelName) => exists(sagemaker.send(new DescribeModelCommand({ ModelName }))),
    createModel: async (ModelName, ModelPackageName) => {
      const Containers = [{ ModelPackageName }];
      await sagemaker.send(new CreateModelCommand({ ModelName, ExecutionRoleArn: role, Containers }));
    },
  };
}

/**
 * Finds the model that was deployed last, whether or not its endpoint is still there.
 * Its SageMaker model is made again from the registry if somebody has deleted it.
 */
export async function findChampion(ports: ChampionPorts): Promise<ChampionReport> {
  const deployed = await inService(ports.ledger);
  if (deployed === undefined) return { note: 'no model has been deployed yet' };
  const { version, modelPackageArn, runId, modelName } = deployed;
  if (runId === undefined || modelName === undefined) return { note: `version ${version} has no run to compare with` };
  if (!(await ports.packageExists(modelPackageArn))) {
    return {
      note: `version ${version} was in service, but its model package is gone: nothing is left to compare with`,
    };
  }
  const champion = { version, modelPackageArn, runId, modelName };
  if (await ports.modelExists(modelName)) return { champion };
  await ports.createModel(modelName, modelPackageArn);
  return { champion, note: `the model ${modelName} was gone and has been made again from its package` };
}

/** The newest deployment that reached service: what is served, unless somebody has intervened by hand. */
export async function inService(ledger: Ledger): Promise<DeploymentEnded | undefined> {
  const deployments = await ledger.query<DeploymentEnded>('DEPLOYMENT#', { newestFirst: true });
  return deployments.find(({ outcome }) => outcome === 'DEPLOYED');
}
