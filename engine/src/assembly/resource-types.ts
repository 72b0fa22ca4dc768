import { createHash } from 'node:crypto';
import type { AwsEnvironment, Shape } from '../service';
import { RESOURCES as cloudwatch } from '../services/cloudwatch/resources';
import { RESOURCES as dynamodb } from '../services/dynamodb/resources';
import { RESOURCES as events } from '../services/events/resources';
import { RESOURCES as iam } from '../services/iam/resources';
import { RESOURCES as kms } from '../services/kms/resources';
import { RESOURCES as lambda } from '../services/lambda/resources';
import { RESOURCES as logs } from '../services/logs/resources';
import { RESOURCES as s3 } from '../services/s3/resources';
import { RESOURCES as sagemaker } from '../services/sagemaker/resources';
import { RESOURCES as scheduler } from '../services/scheduler/resources';
import { RESOURCES as sns } from '../services/sns/resources';
import { RESOURCES as sqs } from '../services/sqs/resources';
import { RESOURCES as states } from '../services/states/resources';
import { type Named, type ResourceType, type ResourceTypes, regional, uuid } from './resource-type';
import { UNREAD } from './unread-types';

export interface Identity {
  readonly physicalId: string;
  readonly arn: string;
  readonly attributes: Readonly<Record<string, (() => unknown) | undefined>>;
}

/** All types of which something is known. */
const TYPES: ResourceTypes = Object.assign(
  {},
  UNREAD,
  cloudwatch,
  dynamodb,
  events,
  iam,
  kms,
  lambda,
  logs,
  s3,
  sagemaker,
  scheduler,
  sns,
  sqs,
  states,
);

/** Whether the attributes of this type are known. */
export function isKnownType(type: string): boolean {
  return type in TYPES;
}

/** Whether an account and region can have only one of this type under a name. */
export function hasNameOfItsOwn(type: string): boolean {
  const { nameProperty, arn: pattern } = TYPES[type] ?? {};
  return nameProperty !== undefined && pattern !== undefined;
}

/**
 * The physical id, ARN and attributes of a resource: the same for the same stack and logical id, until the stack is deleted.
 *
 * `properties` is asked only for what a name or attribute needs, so that resources may refer to each other.
 */
export function identify(
  type: string,
  stack: string,
  logicalId: string,
  properties: Shape,
  aws: AwsEnvironment,
  endpoint: string,
  deletions = 0,
): Identity {
  const kind = TYPES[type] ?? {};
  const again = deletions === 0 ? '' : `/${deletions}`;
  const hash = createHash('sha256').update(`${stack}/${logicalId}${again}`).digest('hex');
  const given = kind.nameProperty === undefined ? undefined : properties[kind.nameProperty];
  const name = given === undefined ? generatedName(kind, stack, logicalId, hash, properties) : String(given);
  const arn = arnOf(kind.arn ?? regional(serviceOf(type), '{name}'), name, hash, properties, aws);
  const named: Named = { name, arn, properties, aws, endpoint, hash };
  const physicalId = kind.ref === 'arn' ? arn : (kind.ref?.(named) ?? name);
  const attributes = Object.entries(kind.attributes ?? {}).map(([key, make]) => [key, () => make(named)]);
  return { physicalId, arn, attributes: { Arn: () => arn, ...Object.fromEntries(attributes) } };
}

function generatedName(kind: ResourceType, stack: string, logicalId: string, hash: string, properties: Shape): string {
  const suffix = `-${hash.slice(0, 12)}${properties.FifoQueue === true || properties.FifoTopic === true ? '.fifo' : ''}`;
  const legal = kind.legal ?? ((text: string) => text);
  const stem = legal(`${stack}-${logicalId}`).slice(0, (kind.longest ?? 128) - suffix.length);
  return stem.replace(/-+$/, '') + suffix;
}

function arnOf(template: string, name: string, hash: string, properties: Shape, aws: AwsEnvironment): string {
  const values: Record<string, () => string> = {
    name: () => name.replace(template.includes(':parameter/') ? /^\// : /^$/, ''),
    partition: () => aws.partition,
    region: () => aws.region,
    account: () => aws.account,
    uuid: () => uuid(hash),
    path: () => properties.Path ?? '/',
    bus: () => busOf(properties.EventBusName),
    group: () => properties.GroupName ?? 'default',
    function: () => String(properties.FunctionName).replace(/^.*:function:/, ''),
    stateMachine: () => String(properties.StateMachineArn),
  };
  return template.replace(/\{(\w+)\}/g, (_, key: string) => values[key]?.() ?? '');
}

/** A rule on another bus than the default one has the bus in its ARN. */
function busOf(bus: string | undefined): string {
  const name = bus?.replace(/^.*:event-bus\//, '');
  return name === undefined || name === 'default' ? '' : `${name}/`;
}

function serviceOf(type: string): string {
  return (type.split('::')[1] ?? type).toLowerCase();
}
