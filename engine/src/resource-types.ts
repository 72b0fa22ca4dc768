import { createHash } from 'node:crypto';
import type { AwsEnvironment, Shape } from './service';

/** How CloudFormation names a type's resources, and what `Ref` and `Fn::GetAtt` give. */
interface ResourceType {
  /** The property that names the resource, if it may be named. */
  readonly nameProperty?: string;
  /** Longest legal name. */
  readonly longest?: number;
  /** Makes a generated name legal. */
  readonly legal?: (name: string) => string;
  /** ARN, written with {name}, {partition}, {region}, {account} and {bus}, {group}, {function} from properties. */
  readonly arn?: string;
  /** What `Ref` gives, if it is not the name. */
  readonly ref?: 'arn' | ((named: Named) => string);
  /** Attributes besides `Arn`. */
  readonly attributes?: Readonly<Record<string, (named: Named) => unknown>>;
}

/** What a type's attributes are made from. */
interface Named {
  readonly name: string;
  readonly arn: string;
  readonly properties: Shape;
  readonly aws: AwsEnvironment;
  readonly endpoint: string;
  /** The same for the same stack and logical id. */
  readonly hash: string;
}

export interface Identity {
  readonly physicalId: string;
  readonly arn: string;
  readonly attributes: Readonly<Record<string, (() => unknown) | undefined>>;
}

const regional = (service: string, resource: string) => `arn:{partition}:${service}:{region}:{account}:${resource}`;
const name = ({ name }: Named) => name;
const arn = ({ arn }: Named) => arn;

const sagemaker = (kind: string, word: string, nameAttribute: string): ResourceType => ({
  nameProperty: nameAttribute,
  longest: 63,
  arn: regional('sagemaker', `${word}/{name}`),
  ref: 'arn',
  attributes: { [nameAttribute]: name, [`${kind}Arn`]: arn },
});

const TYPES: Readonly<Record<string, ResourceType>> = {
  'AWS::S3::Bucket': {
    nameProperty: 'BucketName',
    longest: 63,
    legal: (text) => text.toLowerCase().replace(/[^a-z0-9.-]/g, '-'),
    arn: 'arn:{partition}:s3:::{name}',
    attributes: {
      DomainName: ({ name, aws }) => `${name}.s3.${aws.urlSuffix}`,
      RegionalDomainName: ({ name, aws }) => `${name}.s3.${aws.region}.${aws.urlSuffix}`,
      DualStackDomainName: ({ name, aws }) => `${name}.s3.dualstack.${aws.region}.${aws.urlSuffix}`,
      WebsiteURL: ({ name, aws }) => `http://${name}.s3-website-${aws.region}.${aws.urlSuffix}`,
    },
  },
  'AWS::DynamoDB::Table': {
    nameProperty: 'TableName',
    longest: 255,
    arn: regional('dynamodb', 'table/{name}'),
    attributes: { StreamArn: ({ arn }) => `${arn}/stream/2026-01-01T00:00:00.000` },
  },
  'AWS::DynamoDB::GlobalTable': {
    nameProperty: 'TableName',
    longest: 255,
    arn: regional('dynamodb', 'table/{name}'),
    attributes: { StreamArn: ({ arn }) => `${arn}/stream/2026-01-01T00:00:00.000`, TableId: ({ hash }) => uuid(hash) },
  },
  'AWS::SQS::Queue': {
    nameProperty: 'QueueName',
    longest: 80,
    arn: regional('sqs', '{name}'),
    ref: ({ endpoint, aws, name }) => `${endpoint}/${aws.account}/${name}`,
    attributes: { QueueName: name, QueueUrl: ({ endpoint, aws, name }) => `${endpoint}/${aws.account}/${name}` },
  },
  'AWS::SNS::Topic': {
    nameProperty: 'TopicName',
    longest: 256,
    arn: regional('sns', '{name}'),
    ref: 'arn',
    attributes: { TopicArn: arn, TopicName: name },
  },
  'AWS::SNS::Subscription': {
    arn: regional('sns', '{name}'),
    ref: ({ properties, hash }) => `${properties.TopicArn}:${uuid(hash)}`,
  },
  'AWS::CloudWatch::Alarm': { nameProperty: 'AlarmName', longest: 255, arn: regional('cloudwatch', 'alarm:{name}') },
  'AWS::CloudWatch::CompositeAlarm': {
    nameProperty: 'AlarmName',
    longest: 255,
    arn: regional('cloudwatch', 'alarm:{name}'),
  },
  'AWS::CloudWatch::Dashboard': {
    nameProperty: 'DashboardName',
    longest: 255,
    arn: 'arn:{partition}:cloudwatch::{account}:dashboard/{name}',
  },
  'AWS::Events::Rule': { nameProperty: 'Name', longest: 64, arn: regional('events', 'rule/{bus}{name}') },
  'AWS::Events::EventBus': {
    nameProperty: 'Name',
    longest: 256,
    arn: regional('events', 'event-bus/{name}'),
    attributes: { Name: name },
  },
  'AWS::Events::Archive': { nameProperty: 'ArchiveName', longest: 48, arn: regional('events', 'archive/{name}') },
  'AWS::Scheduler::Schedule': {
    nameProperty: 'Name',
    longest: 64,
    arn: regional('scheduler', 'schedule/{group}/{name}'),
  },
  'AWS::Scheduler::ScheduleGroup': {
    nameProperty: 'Name',
    longest: 64,
    arn: regional('scheduler', 'schedule-group/{name}'),
    attributes: { State: () => 'ACTIVE' },
  },
  'AWS::Lambda::Function': { nameProperty: 'FunctionName', longest: 64, arn: regional('lambda', 'function:{name}') },
  'AWS::Lambda::Version': {
    arn: regional('lambda', 'function:{function}:1'),
    ref: 'arn',
    attributes: { Version: () => '1', FunctionArn: arn },
  },
  'AWS::Lambda::Alias': {
    nameProperty: 'Name',
    arn: regional('lambda', 'function:{function}:{name}'),
    ref: 'arn',
    attributes: { AliasArn: arn },
  },
  'AWS::Lambda::LayerVersion': {
    nameProperty: 'LayerName',
    longest: 64,
    arn: regional('lambda', 'layer:{name}:1'),
    ref: 'arn',
    attributes: { LayerVersionArn: arn },
  },
  'AWS::Lambda::EventSourceMapping': {
    ref: ({ hash }) => uuid(hash),
    arn: regional('lambda', 'event-source-mapping:{name}'),
    attributes: {
      Id: ({ hash }) => uuid(hash),
      EventSourceMappingArn: arn,
    },
  },
  'AWS::Lambda::Permission': { attributes: { Id: name } },
  'AWS::StepFunctions::StateMachine': {
    nameProperty: 'StateMachineName',
    longest: 80,
    arn: regional('states', 'stateMachine:{name}'),
    ref: 'arn',
    attributes: { Name: name, StateMachineRevisionId: ({ hash }) => uuid(hash) },
  },
  'AWS::StepFunctions::StateMachineVersion': {
    arn: '{stateMachine}:1',
    ref: 'arn',
  },
  'AWS::StepFunctions::Activity': {
    nameProperty: 'Name',
    longest: 80,
    arn: regional('states', 'activity:{name}'),
    ref: 'arn',
    attributes: { Name: name },
  },
  'AWS::SageMaker::ModelPackageGroup': sagemaker('ModelPackageGroup', 'model-package-group', 'ModelPackageGroupName'),
  'AWS::SageMaker::Model': sagemaker('Model', 'model', 'ModelName'),
  'AWS::SageMaker::EndpointConfig': sagemaker('EndpointConfig', 'endpoint-config', 'EndpointConfigName'),
  'AWS::SageMaker::Endpoint': sagemaker('Endpoint', 'endpoint', 'EndpointName'),
  'AWS::IAM::Role': {
    nameProperty: 'RoleName',
    longest: 64,
    arn: 'arn:{partition}:iam::{account}:role{path}{name}',
    attributes: { RoleId: ({ hash }) => `AROA${hash.slice(0, 17).toUpperCase()}` },
  },
  'AWS::IAM::ManagedPolicy': {
    nameProperty: 'ManagedPolicyName',
    longest: 128,
    arn: 'arn:{partition}:iam::{account}:policy{path}{name}',
    ref: 'arn',
    attributes: { PolicyArn: arn },
  },
  'AWS::IAM::Policy': { nameProperty: 'PolicyName', longest: 128, attributes: { Id: name } },
  'AWS::Logs::LogGroup': { nameProperty: 'LogGroupName', longest: 512, arn: regional('logs', 'log-group:{name}:*') },
  'AWS::KMS::Key': {
    arn: regional('kms', 'key/{uuid}'),
    ref: ({ hash }) => uuid(hash),
    attributes: { KeyId: ({ hash }) => uuid(hash) },
  },
  'AWS::KMS::Alias': { nameProperty: 'AliasName', arn: regional('kms', '{name}') },
  'AWS::SSM::Parameter': {
    nameProperty: 'Name',
    longest: 1011,
    arn: regional('ssm', 'parameter/{name}'),
    attributes: { Value: ({ properties }) => properties.Value, Type: ({ properties }) => properties.Type },
  },
  'AWS::SecretsManager::Secret': { nameProperty: 'Name', arn: regional('secretsmanager', 'secret:{name}'), ref: 'arn' },
};

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

function uuid(hash: string): string {
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
