import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, CfnOutput, CfnResource, Fn, NestedStack, Stack, Stage } from 'aws-cdk-lib';
import { Bucket, CfnBucket, EventType } from 'aws-cdk-lib/aws-s3';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { SqsDestination } from 'aws-cdk-lib/aws-s3-notifications';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { describe, expect, test } from 'vitest';
import { Assembly, DEFAULT_PLACE, environmentOf } from '../src/assembly/assembly';
import { ASSET_BUCKET, assemblyOf, assemblyOfStacks } from './support/assembly';

/** What the intrinsics in these properties come to, in a stack with this template. */
function resolved(properties: Record<string, unknown>, rest: Record<string, unknown> = {}, resources = {}) {
  const Probe = { Type: 'AWS::Test::Probe', Properties: properties };
  const assembly = Assembly.load(assemblyOf({ ...rest, Resources: { ...resources, Probe } }));
  return assembly.ofType('AWS::Test::Probe')[0]?.properties;
}

/** One property, resolved. */
const value = (raw: unknown, rest = {}, resources = {}) => resolved({ value: raw }, rest, resources).value;

const QUEUE = { Type: 'AWS::SQS::Queue', Properties: {} };

describe('intrinsics', () => {
  test.each<[string, unknown, unknown]>([
    ['Fn::Join', { 'Fn::Join': ['-', ['a', { Ref: 'AWS::Region' }, 'c']] }, 'a-us-east-1-c'],
    ['Fn::Sub', { 'Fn::Sub': 'x/${AWS::AccountId}/${!Literal}' }, 'x/000000000000/${Literal}'],
    ['Fn::Sub with variables', { 'Fn::Sub': ['${A}.${A}', { A: { Ref: 'AWS::Partition' } }] }, 'aws.aws'],
    ['Fn::Select and Fn::Split', { 'Fn::Select': ['1', { 'Fn::Split': [':', 'a:b:c'] }] }, 'b'],
    ['Fn::Base64', { 'Fn::Base64': 'hi' }, 'aGk='],
    ['Fn::GetAZs', { 'Fn::GetAZs': '' }, ['us-east-1a', 'us-east-1b', 'us-east-1c']],
    ['Fn::FindInMap', { 'Fn::FindInMap': ['Sizes', { Ref: 'AWS::Region' }, 'small'] }, 3],
    ['Fn::If', { 'Fn::If': ['InVirginia', 'yes', 'no'] }, 'yes'],
    ['conditions of conditions', { 'Fn::If': ['Elsewhere', 'yes', 'no'] }, 'no'],
    ['parameters', { Ref: 'Count' }, '4'],
    ['lists of parameters', { Ref: 'Names' }, ['a', 'b']],
    ['Fn::ToJsonString', { 'Fn::ToJsonString': { a: [{ Ref: 'AWS::Region' }] } }, '{"a":["us-east-1"]}'],
    ['Fn::Length', { 'Fn::Length': ['a', 'b'] }, 2],
    ['Fn::Cidr', { 'Fn::Cidr': ['10.0.0.0/16', 2, '8'] }, ['10.0.0.0/24', '10.0.1.0/24']],
  ])('%s', (_, raw, expected) => {
    const rest = {
      Mappings: { Sizes: { 'us-east-1': { small: 3 } } },
      Parameters: { Count: { Type: 'Number', Default: '4' }, Names: { Type: 'CommaDelimitedList', Default: 'a, b' } },
      Conditions: {
        InVirginia: { 'Fn::Equals': [{ Ref: 'AWS::Region' }, 'us-east-1'] },
        Elsewhere: {
          'Fn::Or': [
            { 'Fn::Not': [{ Condition: 'InVirginia' }] },
            { 'Fn::And': [{ Condition: 'InVirginia' }, { 'Fn::Equals': ['a', 'b'] }] },
          ],
        },
      },
    };
    expect(value(raw, rest)).toEqual(expected);
  });

  test('AWS::NoValue removes the property or element that it stands for', () => {
    expect(resolved({ a: { Ref: 'AWS::NoValue' }, b: ['x', { Ref: 'AWS::NoValue' }] })).toEqual({ b: ['x'] });
  });

  test('a policy statement keeps its Condition', () => {
    const statement = { Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } } };
    expect(value(statement)).toEqual({ Condition: { StringEquals: { 'aws:SourceAccount': '000000000000' } } });
  });

  test('resources whose condition is false are left out', () => {
    const Conditions = { Never: { 'Fn::Equals': ['a', 'b'] } };
    const assembly = Assembly.load(
      assemblyOf({ Conditions, Resources: { Q: QUEUE, R: { ...QUEUE, Condition: 'Never' } } }),
    );
    expect(assembly.resources.map(({ logicalId }) => logicalId)).toEqual(['Q']);
  });
});

describe('names', () => {
  const one = (type: string, Properties: Record<string, unknown> = {}, logicalId = 'MyThing') =>
    Assembly.load(assemblyOf({ [logicalId]: { Type: type, Properties } })).resources[0];

  test('are the same at every load and differ between resources', () => {
    expect(one('AWS::IAM::Role')?.physicalId).toBe(one('AWS::IAM::Role')?.physicalId);
    expect(one('AWS::IAM::Role')?.physicalId).not.toBe(one('AWS::IAM::Role', {}, 'Other')?.physicalId);
  });

  test.each<[string, RegExp]>([
    ['AWS::S3::Bucket', /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/],
    ['AWS::IAM::Role', /^[\w+=,.@-]{1,64}$/],
    ['AWS::Lambda::Function', /^[\w-]{1,64}$/],
    ['AWS::Events::Rule', /^[\w.-]{1,64}$/],
    ['AWS::Scheduler::Schedule', /^[\w.-]{1,64}$/],
    ['AWS::DynamoDB::Table', /^[\w.-]{3,255}$/],
  ])('of %s are legal, however long the logical id', (type, legal) => {
    expect(one(type, {}, `Long${'Long'.repeat(40)}`)?.physicalId).toMatch(legal);
  });

  test('of FIFO queues end in .fifo and fit', () => {
    const queue = one('AWS::SQS::Queue', { FifoQueue: true }, 'Q'.repeat(100));
    expect(queue?.arn).toMatch(/:[\w-]{1,75}\.fifo$/);
  });

  test('given in the template are kept, with their intrinsics', () => {
    const bucket = one('AWS::S3::Bucket', { BucketName: { 'Fn::Sub': 'data-${AWS::AccountId}' } });
    expect(bucket?.physicalId).toBe('data-000000000000');
    expect(bucket?.arn).toBe('arn:aws:s3:::data-000000000000');
  });
});

describe('Ref and GetAtt', () => {
  const account = 'us-east-1:000000000000';
  test.each<[string, Record<string, unknown>, unknown, string]>([
    ['AWS::SQS::Queue', { QueueName: 'q' }, { Ref: 'It' }, 'http://127.0.0.1:4566/000000000000/q'],
    ['AWS::SQS::Queue', { QueueName: 'q' }, { 'Fn::GetAtt': ['It', 'Arn'] }, `arn:aws:sqs:${account}:q`],
    ['AWS::SNS::Topic', { TopicName: 't' }, { Ref: 'It' }, `arn:aws:sns:${account}:t`],
    ['AWS::SNS::Topic', { TopicName: 't' }, { 'Fn::GetAtt': 'It.TopicName' }, 't'],
    [
      'AWS::Lambda::Function',
      { FunctionName: 'f' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      `arn:aws:lambda:${account}:function:f`,
    ],
    ['AWS::Lambda::Version', { FunctionName: 'f' }, { Ref: 'It' }, `arn:aws:lambda:${account}:function:f:1`],
    [
      'AWS::StepFunctions::StateMachine',
      { StateMachineName: 'm' },
      { Ref: 'It' },
      `arn:aws:states:${account}:stateMachine:m`,
    ],
    ['AWS::StepFunctions::StateMachine', { StateMachineName: 'm' }, { 'Fn::GetAtt': ['It', 'Name'] }, 'm'],
    [
      'AWS::IAM::Role',
      { RoleName: 'r', Path: '/a/' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      'arn:aws:iam::000000000000:role/a/r',
    ],
    [
      'AWS::Events::Rule',
      { Name: 'r', EventBusName: 'b' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      `arn:aws:events:${account}:rule/b/r`,
    ],
    [
      'AWS::Scheduler::Schedule',
      { Name: 's', GroupName: 'g' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      `arn:aws:scheduler:${account}:schedule/g/s`,
    ],
    [
      'AWS::SageMaker::ModelPackageGroup',
      { ModelPackageGroupName: 'g' },
      { Ref: 'It' },
      `arn:aws:sagemaker:${account}:model-package-group/g`,
    ],
    [
      'AWS::Logs::LogGroup',
      { LogGroupName: '/a' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      `arn:aws:logs:${account}:log-group:/a:*`,
    ],
    ['AWS::SSM::Parameter', { Name: '/a/b', Value: 'v' }, { 'Fn::GetAtt': ['It', 'Value'] }, 'v'],
    [
      'AWS::DynamoDB::Table',
      { TableName: 't' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      `arn:aws:dynamodb:${account}:table/t`,
    ],
    [
      'AWS::CloudWatch::Alarm',
      { AlarmName: 'a' },
      { 'Fn::GetAtt': ['It', 'Arn'] },
      `arn:aws:cloudwatch:${account}:alarm:a`,
    ],
  ])('of %s %j: %j', (Type, Properties, raw, expected) => {
    expect(value(raw, {}, { It: { Type, Properties } })).toBe(expected);
  });

  test('two resources may refer to each other', () => {
    const A = { Type: 'AWS::Test::A', Properties: { other: { Ref: 'B' } } };
    const B = { Type: 'AWS::Test::B', Properties: { other: { 'Fn::GetAtt': ['A', 'Arn'] } } };
    const [a, b] = Assembly.load(assemblyOf({ A, B })).resources;
    expect(a?.properties.other).toBe(b?.physicalId);
    expect(b?.properties.other).toBe(a?.arn);
  });
});

describe('refuses', () => {
  const load = (template: Record<string, unknown>) => () => Assembly.load(assemblyOf(template));

  test('a folder without an assembly', () => {
    expect(() => Assembly.load('/nowhere/cdk.out')).toThrow(
      'no synthesized app in /nowhere/cdk.out (no manifest.json): run `cdk synth` first',
    );
  });

  test('a manifest that is not JSON', () => {
    const folder = mkdtempSync(join(tmpdir(), 'assembly-'));
    writeFileSync(join(folder, 'manifest.json'), '{');
    expect(() => Assembly.load(folder)).toThrow(/cannot read .*manifest.json: .*; run `cdk synth` again/);
  });

  test('a second resource under a name that an account has once', () => {
    const Topic = { Type: 'AWS::SNS::Topic', Properties: { TopicName: 'news' } };
    expect(() =>
      Assembly.load(assemblyOfStacks({ One: { Resources: { A: Topic } }, Two: { Resources: { B: Topic } } })),
    ).toThrow(/^B: .*news of type AWS::SNS::Topic already exists, made by A: give one of them another name$/);
    const Policy = { Type: 'AWS::IAM::Policy', Properties: { PolicyName: 'p', Roles: [] } };
    expect(load({ A: Policy, B: Policy })).not.toThrow();
  });

  test('an unknown intrinsic', () => {
    expect(() => value({ 'Fn::Transform': {} })).toThrow(
      /^stack Stack, Probe: Fn::Transform is not known to the engine; it knows Ref/,
    );
  });

  test('a reference to nothing', () => {
    expect(() => value({ Ref: 'Gone' })).toThrow('stack Stack, Probe: nothing here is called Gone');
  });

  test('an attribute that it does not know', () => {
    expect(() => value({ 'Fn::GetAtt': ['Q', 'Nope'] }, {}, { Q: QUEUE })).toThrow(
      'stack Stack, Probe: the engine does not know Nope of AWS::SQS::Queue; it knows Arn, QueueName, QueueUrl',
    );
  });

  test('an attribute of a custom resource', () => {
    const Custom = { Type: 'Custom::Thing', Properties: {} };
    expect(() => value({ 'Fn::GetAtt': ['Custom', 'Answer'] }, {}, { Custom })).toThrow(
      'Custom.Answer is the answer of a custom resource (Custom::Thing), which the engine does not run',
    );
  });

  test('names that go round in a circle', () => {
    const named = (other: string) => ({ Type: 'AWS::S3::Bucket', Properties: { BucketName: { Ref: other } } });
    expect(load({ A: named('B'), B: named('A') })).toThrow(
      'stack Stack, the name of A: circular reference: the name of A -> the name of B -> the name of A',
    );
  });

  test('a parameter without a value, unless it is given', () => {
    const template = {
      Parameters: { Size: { Type: 'String' } },
      Resources: { P: { Type: 'AWS::Test::P', Properties: { size: { Ref: 'Size' } } } },
    };
    expect(load(template)).toThrow(
      "the parameter Size has no default: give the engine its value, parameters: { 'Stack.Size': … }",
    );
    const given = Assembly.load(assemblyOf(template), DEFAULT_PLACE, { parameters: { 'Stack.Size': 'big' } });
    expect(given.resources[0]?.properties.size).toBe('big');
  });

  test('an import that nobody exports', () => {
    expect(() => value({ 'Fn::ImportValue': 'Gone' })).toThrow(/no stack of .* exports Gone/);
  });
});

describe('several stacks', () => {
  test('share exports, in either order', () => {
    const exporting = {
      Resources: { Q: QUEUE },
      Outputs: { Url: { Value: { Ref: 'Q' }, Export: { Name: { 'Fn::Sub': '${AWS::StackName}:Url' } } } },
    };
    const importing = {
      Resources: { P: { Type: 'AWS::Test::P', Properties: { url: { 'Fn::ImportValue': 'Second:Url' } } } },
    };
    const assembly = Assembly.load(assemblyOfStacks({ First: importing, Second: exporting }));
    expect(assembly.ofType('AWS::Test::P')[0]?.properties.url).toBe(assembly.outputs.Second?.Url);
  });

  test('take the account and region that the app is bound to', () => {
    const folder = assemblyOf({ Q: QUEUE }, { environment: 'aws://123456789012/eu-west-1' });
    expect(environmentOf(folder)).toMatchObject({ account: '123456789012', region: 'eu-west-1' });
    expect(Assembly.load(folder).resources[0]?.arn).toMatch(/^arn:aws:sqs:eu-west-1:123456789012:/);
  });
});

test('assets are found by the bucket and key of the template', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'asset-')), 'a.txt');
  writeFileSync(file, 'hello');
  const assembly = Assembly.load(assemblyOf({ Q: QUEUE }, { assets: { 'abc.txt': file } }));
  expect(assembly.asset(ASSET_BUCKET, 'abc.txt')).toMatch(/asset\.abc-txt$/);
  expect(assembly.asset(ASSET_BUCKET, 'other')).toBeUndefined();
  expect(assembly.asset('my-own-bucket', 'abc.txt')).toBeUndefined();
});

describe('an app as CDK synthesizes it', () => {
  const app = new App({ context: { 'aws:cdk:enable-path-metadata': true } }); // as the CDK's CLI does
  const shared = new Stack(app, 'Shared');
  const queue = new Queue(shared, 'Queue');
  const main = new Stack(app, 'Main');
  const bucket = new Bucket(main, 'Data', { eventBridgeEnabled: true });
  bucket.addEventNotification(EventType.OBJECT_CREATED, new SqsDestination(new Queue(main, 'Uploads')), {
    prefix: 'in/',
  });
  const code = new Asset(main, 'Code', { path: __dirname });
  new CfnResource(main, 'Probe', {
    type: 'AWS::Test::Probe',
    properties: { queue: queue.queueArn, assetBucket: code.s3BucketName, assetKey: code.s3ObjectKey },
  });
  const nested = new NestedStack(main, 'Nested');
  const inner = new CfnBucket(nested, 'Inner', { bucketName: Fn.join('-', ['inner', bucket.bucketName]) });
  new CfnOutput(main, 'InnerName', { value: inner.ref });
  const late = new Stack(new Stage(app, 'Prod'), 'Late');
  new Queue(late, 'Queue');
  new CfnOutput(late, 'Where', { value: Fn.ref('AWS::Region') });
  const assembly = Assembly.load(app.synth().directory);
  const data = assembly.find('Main/Data');

  test('has its cross-stack references resolved', () => {
    expect(assembly.ofType('AWS::Test::Probe')[0]?.properties.queue).toBe(assembly.find('Shared/Queue').arn);
  });

  test('has the stacks of its stages', () => {
    expect(assembly.outputs['Prod-Late']).toEqual({ Where: 'us-east-1' });
  });

  test('has its nested stacks, with parameters and outputs', () => {
    expect(assembly.find('Main/Nested/Inner').physicalId).toBe(`inner-${data.physicalId}`);
    expect(assembly.outputs.Main?.InnerName).toBe(`inner-${data.physicalId}`);
  });

  test('has its assets', () => {
    const { assetBucket, assetKey } = assembly.ofType('AWS::Test::Probe')[0]?.properties ?? {};
    expect(assembly.asset(assetBucket, assetKey)).toMatch(/asset\./);
  });

  test('has on the bucket what a custom resource would put there', () => {
    expect(data.properties.NotificationConfiguration).toEqual({
      EventBridgeConfiguration: { EventBridgeEnabled: true },
      QueueConfigurations: [
        {
          Event: 's3:ObjectCreated:*',
          Queue: assembly.find('Main/Uploads').arn,
          Filter: { S3Key: { Rules: [{ Name: 'prefix', Value: 'in/' }] } },
        },
      ],
    });
  });

  test('names what is not one resource', () => {
    expect(() => assembly.find('Main/Gone')).toThrow('0 resources at Main/Gone, expected 1; there are: ');
    expect(assembly.find('Main/Data', 'AWS::S3::Bucket')).toBe(data);
  });
});
