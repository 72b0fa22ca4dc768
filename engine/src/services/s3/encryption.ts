import { ApiError, type Caller, type Context, type Shape } from '../../service';
import { checkKeyUse } from '../kms/service';
import { bucketArn, type S3Request } from './s3-request';
import type { Bucket, Encryption, ObjectVersion } from './store';

/** The key that SageMaker and who names none use. */
const AWS_MANAGED = 'alias/aws/s3';
const SSE = 'x-amz-server-side-encryption';
const NOT_ASKED = 'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption';

/** What a bucket of the template encrypts its objects with; undefined with S3's own keys. */
export function defaultEncryption(context: Context, { BucketEncryption }: Shape): Encryption | undefined {
  const [rule] = BucketEncryption?.ServerSideEncryptionConfiguration ?? [];
  const { SSEAlgorithm, KMSMasterKeyID } = rule?.ServerSideEncryptionByDefault ?? {};
  if (!isKms(SSEAlgorithm)) return undefined;
  const bucketKey = String(rule.BucketKeyEnabled) === 'true';
  return underKey(context, KMSMasterKeyID, { algorithm: SSEAlgorithm, bucketKey });
}

/** The encryption under a key, or S3's one of KMS. */
export function underKey(context: Context, key: string = AWS_MANAGED, more: Partial<Encryption> = {}): Encryption {
  return { algorithm: 'aws:kms', bucketKey: false, ...more, keyArn: context.keyArn(key) };
}

/** The same of a call from inside, where the request's members say so. */
export function askedEncryption(context: Context, input: Shape): Encryption | undefined {
  const { ServerSideEncryption: algorithm, SSEKMSKeyId, BucketKeyEnabled = false } = input;
  return isKms(algorithm) ? underKey(context, SSEKMSKeyId, { algorithm, bucketKey: BucketKeyEnabled }) : undefined;
}

/** What an object is to be encrypted with: as its request says, else as its bucket does. */
export function wantedEncryption(x: S3Request): Encryption | undefined {
  const fallback = x.bucket.settings.encryption;
  const [algorithm, key, bucketKey, context] = ['', '-aws-kms-key-id', '-bucket-key-enabled', '-context'].map((name) =>
    x.header(`${SSE}${name}`),
  );
  if (algorithm === undefined && (key ?? context) === undefined) {
    return fallback && bucketKey !== undefined ? { ...fallback, bucketKey: bucketKey === 'true' } : fallback;
  }
  if (algorithm === 'AES256' && (key ?? context) === undefined) return undefined;
  if (!isKms(algorithm)) throw new ApiError('InvalidArgument', `${NOT_ASKED} : aws:kms`);
  return underKey(x.context, key, {
    algorithm,
    bucketKey: bucketKey === 'true',
    ...(context !== undefined && { context: contextOf(context) }),
  });
}

function isKms(algorithm: string | undefined): algorithm is Encryption['algorithm'] {
  return algorithm === 'aws:kms' || algorithm === 'aws:kms:dsse';
}

function contextOf(header: string): Record<string, string> {
  try {
    return JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
  } catch {
    throw new ApiError(
      'InvalidArgument',
      `The header '${SSE}-context' shall be Base64-encoded UTF-8 string holding JSON`,
    );
  }
}

/**
 * Throws unless the caller may write under a key.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
 */
export function mayEncrypt(context: Context, caller: Caller, bucket: string, key: string, how?: Encryption): void {
  ask(context, caller, bucket, key, how, 'GenerateDataKey');
}

/** Throws unless the caller may read an object as far as its key goes. Also of parts, which S3 reads to put them together. */
export function mayDecrypt(context: Context, caller: Caller, bucket: string, key: string, how?: Encryption): void {
  ask(context, caller, bucket, key, how, 'Decrypt');
}

function ask(
  context: Context,
  caller: Caller,
  bucket: string,
  key: string,
  how: Encryption | undefined,
  action: string,
) {
  if (how === undefined) return;
  const arn = bucketArn(context, bucket, how.bucketKey ? '' : key);
  const of = { ...how.context, 'aws:s3:arn': arn };
  checkKeyUse(context, caller, { key: how.keyArn, actions: [action], via: 's3', context: of });
}

/** Throws unless the caller may read the bytes of an object. */
export function checkReadable(context: Context, caller: Caller, bucket: Bucket, version: ObjectVersion): void {
  mayDecrypt(context, caller, bucket.name, version.key, version.encryption);
}

/** The headers that tell how an object is encrypted. */
export function encryptionHeaders(how: Encryption | undefined): Record<string, string> {
  if (how === undefined) return { [SSE]: 'AES256' };
  return {
    [SSE]: how.algorithm,
    [`${SSE}-aws-kms-key-id`]: how.keyArn,
    ...(how.bucketKey && { [`${SSE}-bucket-key-enabled`]: 'true' }),
  };
}
