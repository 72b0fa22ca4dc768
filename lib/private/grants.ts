import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { grantKey, keyStatement } from './keys';

/**
 * What an action on an object asks of the key that the object is under.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
 */
const KEY_ACTIONS: Readonly<Record<string, string>> = {
  's3:GetObject': 'kms:Decrypt',
  's3:GetObjectVersion': 'kms:Decrypt',
  's3:PutObject': 'kms:GenerateDataKey',
  // who ends multipart uploads begins them, and S3 decrypts their parts to put them together
  's3:AbortMultipartUpload': 'kms:Decrypt',
};

/**
 * Allows exact actions on the objects below some prefixes, and what they ask of the bucket's key. The bucket's own grants would
 * give `s3:GetObject*`, `s3:GetBucket*` and `s3:List*`, of which ours use one or two.
 *
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
 */
export function grantObjects(
  grantee: iam.IGrantable,
  bucket: s3.IBucket,
  actions: string[],
  prefixes: string[],
): iam.Grant {
  const ofKey = actions.map((action) => KEY_ACTIONS[action]).filter((action) => action !== undefined);
  grantKey(grantee, bucket.encryptionKey, bucket, 's3', [...new Set(ofKey)]);
  const resourceArns = prefixes.map((prefix) => bucket.arnForObjects(`${prefix}*`));
  return iam.Grant.addToPrincipal({ grantee, actions, resourceArns });
}

/**
 * Allows what SageMaker asks of a job's role besides, where the job's request names the key of its output.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
 */
export function grantOutputKey(role: iam.Role, bucket: s3.IBucket): void {
  if (bucket.encryptionKey !== undefined) role.addToPolicy(keyStatement(bucket.encryptionKey, ['kms:Encrypt']));
}

/** Allows to list (current objects or versions) below some prefixes. */
export function grantList(
  grantee: iam.IGrantable,
  bucket: s3.IBucket,
  prefixes: string[],
  actions: string[] = ['s3:ListBucket'],
): void {
  grantee.grantPrincipal.addToPrincipalPolicy(
    new iam.PolicyStatement({
      actions,
      resources: [bucket.bucketArn],
      conditions: { StringLike: { 's3:prefix': prefixes.map((prefix) => `${prefix}*`) } },
    }),
  );
}

/** Allows actions on SageMaker resources of this account and region, e.g. `training-job/flights-*`. */
export function grantSageMaker(grantee: iam.IGrantable, scope: Stack, actions: string[], resources: string[]): void {
  grantee.grantPrincipal.addToPrincipalPolicy(
    new iam.PolicyStatement({ actions, resources: resources.map((resource) => sageMakerArn(scope, resource)) }),
  );
}

/** Allows what lists; the API knows no resource for it. */
export function listOf(...actions: string[]): iam.PolicyStatement {
  return new iam.PolicyStatement({ actions, resources: ['*'] });
}

/** The ARN of a SageMaker resource of this account and region; SageMaker's policies see names in lower case. */
export function sageMakerArn(stack: Stack, resource: string): string {
  return `arn:${stack.partition}:sagemaker:${stack.region}:${stack.account}:${resource}`;
}

/** Allows to hand a role to SageMaker. */
export function passRoleToSageMaker(role: iam.IRole): iam.PolicyStatement {
  return new iam.PolicyStatement({
    actions: ['iam:PassRole'],
    resources: [role.roleArn],
    conditions: { StringEquals: { 'iam:PassedToService': 'sagemaker.amazonaws.com' } },
  });
}

/** A role that SageMaker takes on, in this account only. */
export function sageMakerPrincipal(stack: Stack): iam.IPrincipal {
  return new iam.ServicePrincipal('sagemaker.amazonaws.com', {
    conditions: {
      StringEquals: { 'aws:SourceAccount': stack.account },
      ArnLike: { 'aws:SourceArn': sageMakerArn(stack, '*') },
    },
  });
}

/** Allows to send events to the default bus. */
export function allowEvents(role: iam.Role): void {
  const bus = Stack.of(role).formatArn({ service: 'events', resource: 'event-bus', resourceName: 'default' });
  role.addToPolicy(new iam.PolicyStatement({ actions: ['events:PutEvents'], resources: [bus] }));
}
