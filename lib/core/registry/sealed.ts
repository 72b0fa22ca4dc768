import { ErrorName, PerennialError } from '../errors';
import { parseS3Uri, runKeys } from '../names';

/** What tells one archive from every other that may ever lie under its key. */
export interface Seal {
  /** The object's version; `null` in a bucket that keeps none. */
  readonly versionId: string;
  /** As S3 has it: of the whole object, in base64; of one that was copied in parts, of its parts' checksums, with their number. */
  readonly sha256: string;
}

/** A model's archive where no job may write. */
export interface SealedModel extends Seal {
  /** `s3://bucket/key`. */
  readonly uri: string;
}

/**
 * Where the archive of a training job of a run is sealed.
 *
 * @param archive where the job wrote it, `s3://bucket/runs/<run>/models/<job>/output/model.tar.gz`
 */
export function sealedKey(runId: string, archive: string): string {
  const { key } = parseS3Uri(archive);
  const { models, sealed } = runKeys(runId);
  const [job, ...rest] = key.startsWith(models) ? key.slice(models.length).split('/') : [];
  if (!job || rest.length === 0) {
    throw new PerennialError(
      ErrorName.TRAINING_FAILED,
      `a model's archive must lie below ${models}, where its training job writes, got ${archive}`,
    );
  }
  return `${sealed}${job}/${rest.at(-1)}`;
}

/** The seal in a version's metadata; undefined if there is none. */
export function sealOf({ modelVersionId, modelSha256 }: Readonly<Record<string, string>>): Seal | undefined {
  return modelVersionId && modelSha256 ? { versionId: modelVersionId, sha256: modelSha256 } : undefined;
}

/**
 * Refuses an archive that is not the one that was judged.
 *
 * @param model whose it is, e.g. the ARN of a model package
 * @param found what lies there now; undefined if there is nothing that may be read
 * @throws PerennialError MODEL_CHANGED
 */
export function refuseChanged(model: string, { uri, ...judged }: SealedModel, found: Partial<Seal> | undefined): void {
  if (found?.versionId === judged.versionId && found.sha256 === judged.sha256) return;
  const got = found === undefined ? 'nothing that may be read' : words(found);
  throw new PerennialError(
    ErrorName.MODEL_CHANGED,
    `the archive of ${model}, ${uri}, must be the one that was judged, ${words(judged)}, got ${got}: somebody changed it; delete the versions of the object that are newer, or deploy another version of the model`,
  );
}

function words({ versionId = 'none', sha256 = 'none' }: Partial<Seal>): string {
  return `version ${versionId} with SHA-256 ${sha256}`;
}
