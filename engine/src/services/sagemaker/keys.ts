import { ApiError, type Caller, type StoredObject } from '../../service';
import { checkKeyUse } from '../kms/service';
import type { Host } from './host';

/**
 * Throws unless a key may be used for the disks of instances: who asks may let SageMaker use it, or else the job's role.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html
 */
export function checkDiskKey({ context }: Host, key: string | undefined, caller: Caller, role?: Caller): void {
  if (!key) return;
  const check = (who: Caller) => checkKeyUse(context, who, { key, actions: ['CreateGrant'], via: 'sagemaker' });
  try {
    check(caller);
  } catch (error) {
    if (role === undefined || !(error instanceof ApiError)) throw error;
    check(role);
  }
}

/**
 * Stores what a job leaves. Under a key that its request names, SageMaker asks its role for more than S3 does.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
 */
export async function putOutput(
  { context, objects }: Host,
  role: Caller,
  { bucket, key }: { bucket: string; key: string },
  body: Buffer | { readonly file: string },
  kmsKey: string | undefined,
): Promise<StoredObject> {
  if (!kmsKey) return objects.put(bucket, key, body, role);
  checkKeyUse(context, role, { key: kmsKey, actions: ['Encrypt'], via: 'sagemaker' });
  return objects.put(bucket, key, body, role, kmsKey);
}
