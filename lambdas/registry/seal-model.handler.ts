import { S3Client } from '@aws-sdk/client-s3';
import { parseS3Uri } from '../../lib/core/names';
import type { SealReport, SealRequest } from '../../lib/core/registry/documents';
import { type Seal, sealedKey } from '../../lib/core/registry/sealed';
import { lazy } from '../shared/lazy';
import { copyVersion, newestVersion, type Source } from './archives';

export interface SealPorts {
  newestVersion(bucket: string, key: string): Promise<Source>;
  copyVersion(source: Source, key: string): Promise<Seal>;
}

/** Runs {@link sealModel} on S3. */
export async function handler(request: SealRequest): Promise<SealReport> {
  return sealModel(onAws(), request);
}

const onAws = lazy((): SealPorts => {
  const s3 = new S3Client();
  return {
    newestVersion: (bucket, key) => newestVersion(s3, bucket, key),
    copyVersion: (source, key) => copyVersion(s3, source, key),
  };
});

/**
 * Copies a trained model to where no job may write, so that what is judged is what is deployed.
 *
 * Every job of every run may write below the `models/` of every run: IAM knows the jobs' role and not their run.
 */
export async function sealModel(ports: SealPorts, { runId, model }: SealRequest): Promise<SealReport> {
  const { bucket, key } = parseS3Uri(model);
  const to = sealedKey(runId, model);
  const seal = await ports.copyVersion(await ports.newestVersion(bucket, key), to);
  return { uri: `s3://${bucket}/${to}`, ...seal };
}
