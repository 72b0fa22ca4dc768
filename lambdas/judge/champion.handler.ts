import { S3Client } from '@aws-sdk/client-s3';
import { DescribeModelPackageCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import type { ChampionReport, ChampionRequest, ModelContainer } from '../../lib/core/judge/documents';
import { EnvName, scoringModelName, shortHash } from '../../lib/core/names';
import { type Owner, refuseForeign } from '../../lib/core/ownership';
import { refuseChanged, type Seal, sealOf } from '../../lib/core/registry/sealed';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import type { Ledger } from '../ledger/ledger';
import { findServing } from '../ledger/serving';
import { readSealAt } from '../registry/archives';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { unlessMissing } from '../shared/sagemaker';
import { type ScoringModels, scoringModels } from './scoring-models';

export interface ChampionPorts {
  readonly ledger: Ledger;
  readonly owner: Owner;
  /** ARN of the role under which models score. */
  readonly role: string;
  /** What a registered version is made of; undefined if it is gone. */
  find(modelPackageArn: string): Promise<Registered | undefined>;
  /** What an archive is now; undefined if there is none that may be read. */
  sealAt(uri: string): Promise<Partial<Seal> | undefined>;
  readonly models: ScoringModels;
}

/** A version, and what its archive was when it was judged. */
interface Registered {
  readonly container: ModelContainer;
  readonly seal?: Seal;
}

/** Runs {@link findChampion} on the ledger and the registry. */
export async function handler(request: ChampionRequest): Promise<ChampionReport> {
  return findChampion(onAws(), request);
}

const onAws = lazy((): ChampionPorts => {
  const sagemaker = new SageMakerClient();
  const s3 = new S3Client();
  const owner = { pipeline: env(EnvName.PIPELINE), registry: env(EnvName.MODEL_PACKAGE_GROUP) };
  const role = env(EnvName.SCORING_ROLE);
  return {
    ledger: dynamoLedger(),
    owner,
    role,
    async find(ModelPackageName) {
      const found = await unlessMissing(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName })));
      const container = found?.InferenceSpecification?.Containers?.[0];
      return container && { container, seal: sealOf(found.CustomerMetadataProperties ?? {}) };
    },
    sealAt: (uri) => readSealAt(s3, uri),
    models: scoringModels(sagemaker, role),
  };
});

/**
 * Finds the version that was deployed last, whether or not its endpoint is still there, and the model to score it with.
 *
 * That model is not the one that serves: a batch transform runs under its model's own role, and the serving role may
 * not read the holdout. It is made from the version's container, so that it needs no approval.
 *
 * Refuses a champion whose archive is not the one that was judged any more, and a model under the candidate's or the champion's name that is somebody else's, or made of something else.
 */
export async function findChampion(
  ports: ChampionPorts,
  { candidate, tags }: ChampionRequest,
): Promise<ChampionReport> {
  await refuseOthers(ports, candidate.modelName, candidate.container);
  const serving = await findServing(ports.ledger);
  if (serving === undefined) return { note: 'no model has been deployed yet' };
  const { modelVersion: version, modelPackageArn, runId } = serving;
  const registered = await ports.find(modelPackageArn);
  if (registered === undefined) {
    return {
      note: `version ${version} was in service, but its model package is gone: nothing is left to compare with`,
    };
  }
  const { container, seal } = registered;
  const { ModelDataUrl: uri } = container;
  if (seal === undefined || uri === undefined) {
    throw new PerennialError(
      ErrorName.MODEL_CHANGED,
      `${modelPackageArn} must name its archive in its metadata (modelVersionId, modelSha256), got none: somebody changed it; bring it back, or deploy another version`,
    );
  }
  refuseChanged(modelPackageArn, { uri, ...seal }, await ports.sealAt(uri));
  const { owner, models, role } = ports;
  const content = shortHash(JSON.stringify({ modelPackageArn, container: essence(container), seal, role }), 8);
  const modelName = scoringModelName(owner.pipeline, owner.registry, `v${version}-${content}`);
  if (!(await refuseOthers(ports, modelName, container))) {
    await models.create(modelName, container, tags);
    await refuseOthers(ports, modelName, container);
  }
  return { champion: { version, modelPackageArn, runId, modelName } };
}

/** @returns whether there is a model of this name, which is ours and made of this */
async function refuseOthers(ports: ChampionPorts, modelName: string, container: ModelContainer): Promise<boolean> {
  const found = await ports.models.find(modelName);
  if (found === undefined) return false;
  const isEqual = found.role === ports.role && essence(found.container) === essence(container);
  refuseForeign(`the model ${modelName}`, { tags: found.tags, isEqual }, ports.owner, 'delete it, and train again');
  return true;
}

/** What tells two containers apart, as a text. */
function essence({ Image, ModelDataUrl, Environment = {} }: ModelContainer): string {
  const entries = Object.entries(Environment).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([Image, ModelDataUrl, entries]);
}
