import { Annotations, type IResource, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { type Construct, type IConstruct, Node } from 'constructs';
import { hasLocalDisk } from '../core/train/instances';
import { refuse } from './validate';

/** The services whose resources are encrypted, by the name that `kms:ViaService` has of them. */
type Service = 's3' | 'sqs' | 'dynamodb';

/** What SQS asks of who sends to an encrypted queue: a new data key, and to read the one that is in use. */
export const SEND_ENCRYPTED = ['kms:GenerateDataKey', 'kms:Decrypt'];

type Conditions = Record<string, Record<string, unknown>>;

/**
 * Allows to use the key of a resource, through the resource's service and no other way.
 *
 * Counts where the key's policy leaves the decision to the account's IAM policies, as the CDK's own does.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
 */
export function grantKey(
  grantee: iam.IGrantable,
  key: kms.IKey | undefined,
  encrypted: IResource,
  service: Service,
  actions: string[],
): void {
  if (key === undefined || actions.length === 0) return;
  const { region, urlSuffix } = Stack.of(encrypted);
  const via = { StringEquals: { 'kms:ViaService': `${service}.${region}.${urlSuffix}` } };
  grantee.grantPrincipal.addToPrincipalPolicy(keyStatement(key, actions, via));
}

/** Allows to send to a queue as far as its key goes. */
export function grantKeyToSend(grantee: iam.IGrantable, queue: sqs.IQueue): void {
  grantKey(grantee, queue.encryptionMasterKey, queue, 'sqs', SEND_ENCRYPTED);
}

/**
 * Allows to let SageMaker use a key for the disks of its instances.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html
 */
export function diskKeyStatements(key: kms.IKey | undefined): iam.PolicyStatement[] {
  if (key === undefined) return [];
  return [keyStatement(key, ['kms:CreateGrant'], { Bool: { 'kms:GrantIsForAWSResource': 'true' } })];
}

/** Allows actions on a key under conditions. Policies know a key by its own ARN, and not by that of an alias. */
export function keyStatement(key: kms.IKey, actions: string[], conditions: Conditions = {}): iam.PolicyStatement {
  const target = keyBehind(key);
  if (target !== undefined) return new iam.PolicyStatement({ actions, resources: [target.keyArn], conditions });
  return new iam.PolicyStatement({
    actions,
    resources: [Stack.of(key).formatArn({ service: 'kms', resource: 'key', resourceName: '*' })],
    conditions: { ...conditions, 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': key.keyId } },
  });
}

/** The key for the disk of an instance; undefined where it has a local drive, for SageMaker refuses a key for that. */
export function diskKey(instanceType: string, key: kms.IKey | undefined): kms.IKey | undefined {
  return hasLocalDisk(instanceType) ? undefined : key;
}

/** A request's member that names a key, if there is one. */
export function kmsKeyId(key: kms.IKey | undefined): { KmsKeyId?: string } {
  return key === undefined ? {} : { KmsKeyId: key.keyArn };
}

/**
 * Lets a service use a key in its own name, which the key's policy alone can. Warns where that is not ours to write.
 */
export function letService(
  scope: Construct,
  key: kms.IKey | undefined,
  service: string,
  actions: string[],
  conditions: Conditions,
): void {
  if (key === undefined) return;
  const statement = new iam.PolicyStatement({
    actions,
    principals: [new iam.ServicePrincipal(service)],
    resources: ['*'], // the key whose policy it is
    conditions,
  });
  if (key.addToResourcePolicy(statement, true).statementAdded) return;
  Annotations.of(scope).addWarningV2(
    `perennial:key-policy-${service.split('.')[0]}`,
    `the policy of ${Node.of(key as IConstruct).path} is not in this app: see that it lets ${service} ${actions.join(', ')}, ` +
      `if ${JSON.stringify(Stack.of(scope).resolve(conditions))}`,
  );
}

/** The log groups of the account may be under the key. @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html */
export function letLogs(scope: Construct, key: kms.IKey | undefined): void {
  const stack = Stack.of(scope);
  const groups = `arn:${stack.partition}:logs:${stack.region}:${stack.account}:log-group:*`;
  const actions = ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'];
  letService(scope, key, `logs.${stack.region}.amazonaws.com`, actions, {
    ArnLike: { 'kms:EncryptionContext:aws:logs:arn': groups },
  });
}

/** Rules of the account may send to queues under the key. The queue's own policy says which rule. */
export function letRulesSend(scope: Construct, queue: sqs.IQueue): void {
  letService(scope, queue.encryptionMasterKey, 'events.amazonaws.com', SEND_ENCRYPTED, {
    StringEquals: { 'aws:SourceAccount': Stack.of(scope).account },
  });
}

/**
 * Rules of the account may publish to topics under the key. The topic's own policy says which rule: of the source
 * EventBridge tells KMS nothing when it publishes, so that a condition on it would let nothing through.
 *
 * @see https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
 */
export function letRulesPublish(scope: Construct, key: kms.IKey | undefined): void {
  const stack = Stack.of(scope);
  letService(scope, key, 'events.amazonaws.com', ['kms:GenerateDataKey*', 'kms:Decrypt'], {
    ArnLike: { 'kms:EncryptionContext:aws:sns:topicArn': stack.formatArn({ service: 'sns', resource: '*' }) },
  });
}

/**
 * Alarms of the account may publish to topics under the key. Of these the source is known to KMS.
 *
 * @see https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
 */
export function letAlarmsPublish(scope: Construct, key: kms.IKey | undefined, alarms: string): void {
  letService(scope, key, 'cloudwatch.amazonaws.com', ['kms:GenerateDataKey*', 'kms:Decrypt'], {
    StringEquals: { 'aws:SourceAccount': Stack.of(scope).account },
    ArnLike: { 'aws:SourceArn': alarms },
  });
}

/** The key behind an alias; undefined where the alias was imported by its name. */
function keyBehind(key: kms.IKey): kms.IKey | undefined {
  if (!('aliasTargetKey' in key)) return key;
  try {
    return (key as kms.IAlias).aliasTargetKey;
  } catch {
    return undefined; // the CDK's way to say that it does not know
  }
}

/** The key that is meant, of which log groups take no alias; refuses an alias whose key nobody knows. */
export function keyOf(scope: Construct, key: kms.IKey | undefined): kms.IKey | undefined {
  if (key === undefined) return undefined;
  const target = keyBehind(key);
  refuse(scope, [
    target === undefined &&
      `encryptionKey must be a key, got the alias ${key.keyId}, whose key is not known; import the key itself (Key.fromKeyArn or Key.fromLookup)`,
  ]);
  return target;
}
