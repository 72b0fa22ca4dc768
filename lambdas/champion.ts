import {
  type ContainerDefinition,
  CreateModelCommand,
  DescribeModelCommand,
  DescribeModelPackageCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import type { ChampionReport } from '../lib/core/documents';
import type { DeploymentEnded } from '../lib/core/ledger';
import { EnvName, scoringModelName, shortHash } from '../lib/core/names';
import { env } from './shared/env';
import { dynamoLedger, type Ledger } from './shared/ledger-port';
import { unlessMissing } from './shared/sagemaker';

export interface ChampionPorts {
  readonly ledger: Ledger;
  /** The name of the pipeline, with which models for scoring begin. */
  readonly pipeline: string;
  /** The name of the model package group, and the role under which models score: both go into the names. */
  readonly registry: string;
  readonly role: string;
  /** The containers of a registered version; undefined if it is gone. */
  containersOf(modelPackageArn: string): Promise<Container[] | undefined>;
  /** Whether a SageMaker model exists. */
  modelExists(modelName: string): Promise<boolean>;
  createModel(modelName: string, containers: Container[]): Promise<void>;
}

/** What a model is made from. */
export type Container = Pick<ContainerDefinition, 'Image' | 'ModelDataUrl' | 'Environment'>;

let onAws: ChampionPorts | undefined;

/** Runs {@link findChampion} on the ledger and the registry. */
export async function handler(): Promise<ChampionReport> {
  onAws ??= portsOnAws();
  return findChampion(onAws);
}

function portsOnAws(): ChampionPorts {
  const sagemaker = new SageMakerClient();
  const role = env(EnvName.SCORING_ROLE);
  return {
    ledger: dynamoLedger(),
    pipeline: env(EnvName.PIPELINE),
    registry: env(EnvName.MODEL_PACKAGE_GROUP),
    role,
    containersOf: async (ModelPackageName) => {
      const found = await unlessMissing(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName })));
      return found?.InferenceSpecification?.Containers?.map(({ Image, ModelDataUrl, Environment }) => ({
        Image,
        ModelDataUrl,
        Environment,
      }));
    },
    modelExists: async (ModelName) =>
      (await unlessMissing(sagemaker.send(new DescribeModelCommand({ ModelName })))) !== undefined,
    createModel: async (ModelName, Containers) => {
      await sagemaker.send(new CreateModelCommand({ ModelName, ExecutionRoleArn: role, Containers }));
    },
  };
}

/**
 * Finds the version that was deployed last, whether or not its endpoint is still there, and the model to score it with.
 *
 * That model is not the one that serves: a batch transform runs under its model's own role, and the serving role may
 * not read the holdout. It is made from the version's containers, so that it needs no approval.
 */
export async function findChampion(ports: ChampionPorts): Promise<ChampionReport> {
  const deployed = await inService(ports.ledger);
  if (deployed === undefined) return { note: 'no model has been deployed yet' };
  const { version, modelPackageArn, runId } = deployed;
  if (runId === undefined) return { note: `version ${version} has no run to compare with` };
  const containers = await ports.containersOf(modelPackageArn);
  if (containers === undefined) {
    return {
      note: `version ${version} was in service, but its model package is gone: nothing is left to compare with`,
    };
  }
  const content = shortHash(JSON.stringify({ modelPackageArn, containers, role: ports.role }), 8);
  const modelName = scoringModelName(ports.pipeline, ports.registry, `v${version}-${content}`);
  if (!(await ports.modelExists(modelName))) await ports.createModel(modelName, containers);
  return { champion: { version, modelPackageArn, runId, modelName } };
}

/** The newest deployment that reached service: what is served, unless somebody has intervened by hand. */
export async function inService(ledger: Ledger): Promise<DeploymentEnded | undefined> {
  const deployments = await ledger.query<DeploymentEnded>('DEPLOYMENT#', { newestFirst: true });
  return deployments.find(({ outcome }) => outcome === 'DEPLOYED');
}
