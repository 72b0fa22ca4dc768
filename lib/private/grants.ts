import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as s3 from 'aws-cdk-lib/aws-s3';

/**
 * Allows exact actions on the objects below some prefixes. The bucket's own grants would
 * give `s3:GetObject*`, `s3:GetBucket*` and `s3:List*`, of which ours use one or two.
 *
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
 */
export function grantObjects(grantee: iam.IGrantable, bucket: s3.IBucket, actions: string[], prefixes: string[]): void {
  grantee.grantPrincipal.addToPrincipalPolicy(
    new iam.PolicyStatement({ actions, resources: prefixes.map((prefix) => bucket.arnForObjects(`${prefix}*`)) }),
  );
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
