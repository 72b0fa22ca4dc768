import { CloudWatchClient, SetAlarmStateCommand } from '@aws-sdk/client-cloudwatch';
import {
  BatchWriteItemCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { CreateTrainingJobCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import {
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/engine';
import { assemblyOf } from './support/assembly';
import { allow, deny, policy } from './support/iam';

const ACCOUNT = '000000000000';
const REGION = 'us-east-1';
const arnOf = (service: string, rest: string) => `arn:aws:${service}:${REGION}:${ACCOUNT}:${rest}`;
const roleArn = (name: string) => `arn:aws:iam::${ACCOUNT}:role/${name}`;
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });

const ROOT = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' };
const serviceMay = (Service: string, Condition?: unknown) => ({
  Effect: 'Allow',
  Principal: { Service },
  Action: ['kms:GenerateDataKey*', 'kms:Decrypt'],
  Resource: '*',
  ...(Condition !== undefined && { Condition }),
});

function key(...statements: unknown[]) {
  return { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: policy(...statements) } };
}

function role(name: string, ...statements: unknown[]) {
  const trust = {
    Effect: 'Allow',
    Action: 'sts:AssumeRole',
    Principal: { Service: ['lambda.amazonaws.com', 'sagemaker.amazonaws.com'] },
  };
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      RoleName: name,
      AssumeRolePolicyDocument: policy(trust),
      Policies: [{ PolicyName: 'p', PolicyDocument: policy(...statements) }],
    },
  };
}

const viaService = (...services: string[]) => ({
  Condition: { StringEquals: { 'kms:ViaService': services.map((one) => `${one}.${REGION}.amazonaws.com`) } },
});
const inContext = (name: string, value: string) => ({
  Condition: { StringEquals: { [`kms:EncryptionContext:${name}`]: value } },
});
const EVERYTHING = allow(['s3:*', 'sqs:*', 'sns:*', 'dynamodb:*', 'lambda:*']);
const KEY = ['kms:Decrypt', 'kms:GenerateDataKey'];

function bucket(BucketName: string, rule: Record<string, unknown>) {
  const ServerSideEncryptionConfiguration = [rule];
  return {
    Type: 'AWS::S3::Bucket',
    Properties: { BucketName, BucketEncryption: { ServerSideEncryptionConfiguration } },
  };
}
const underKey = (KMSMasterKeyID?: unknown) => ({
  ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', ...(KMSMasterKeyID !== undefined && { KMSMasterKeyID }) },
});

let engine: Engine;

const s3 = (name?: string) =>
  new S3Client(name === undefined ? engine.clientConfig : engine.clientConfigAs(roleArn(name)));
const sqs = (name?: string) =>
  new SQSClient(name === undefined ? engine.clientConfig : engine.clientConfigAs(roleArn(name)));
const queueUrl = (name: string) => `${engine.url}/${ACCOUNT}/${name}`;
const put = (name: string | undefined, Bucket: string, more = {}) =>
  s3(name).send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...more }));
const get = (name: string, Bucket: string) => s3(name).send(new GetObjectCommand({ Bucket, Key: 'k' }));
const messages = async (name: string) =>
  (await sqs().send(new ReceiveMessageCommand({ QueueUrl: queueUrl(name), MaxNumberOfMessages: 10 }))).Messages
    ?.length ?? 0;

/** What IAM says of a role without a right to the key. */
const denied = (action: string, policyKind = 'identity-based') =>
  expect.stringMatching(
    new RegExp(
      `User: arn:aws:sts::${ACCOUNT}:assumed-role/\\S+ is not authorized to perform: kms:${action} on resource: ` +
        `arn:aws:kms:${REGION}:${ACCOUNT}:key/\\S+ because no ${policyKind} policy allows the kms:${action} action`,
    ),
  );

describe('what is under a customer key', () => {
  beforeAll(async () => {
    const Attributes = {
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    };
    const SSESpecification = { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: arn('Key') };
    const answering = {
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Code: { ZipFile: 'exports.handler = async () => process.env.SECRET;' },
      Environment: { Variables: { SECRET: 'shown' } },
      KmsKeyArn: arn('Key'),
    };
    const offKey = { Type: 'AWS::KMS::Key', Properties: { Enabled: false, KeyPolicy: policy(ROOT) } };
    engine = await Engine.start({
      assembly: assemblyOf({
        Key: key(ROOT),
        Alias: { Type: 'AWS::KMS::Alias', Properties: { AliasName: 'alias/mine', TargetKeyId: { Ref: 'Key' } } },
        Private: key({ ...ROOT, Principal: { AWS: roleArn('owner') } }),
        Off: offKey,
        Data: bucket('data', underKey(arn('Key'))),
        Frugal: bucket('frugal', { ...underKey(arn('Key')), BucketKeyEnabled: true }),
        Aliased: bucket('aliased', underKey('alias/mine')),
        Managed: bucket('managed', underKey()),
        Owned: bucket('owned', underKey(arn('Private'))),
        Dead: bucket('dead', underKey(arn('Off'))),
        Foreign: bucket('foreign', underKey(arnOf('kms', 'key/abroad'))),
        Plain: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'plain' } },
        Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'queue', KmsMasterKeyId: arn('Key') } },
        DeadQueue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'dead', KmsMasterKeyId: arn('Off') } },
        Topic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: 'topic', KmsMasterKeyId: 'alias/mine' } },
        Table: { Type: 'AWS::DynamoDB::Table', Properties: { TableName: 'table', ...Attributes, SSESpecification } },
        Global: {
          Type: 'AWS::DynamoDB::GlobalTable',
          Properties: { TableName: 'global', ...Attributes, Replicas: [{ Region: REGION, SSESpecification }] },
        },
        Without: role('without', EVERYTHING, allow(KEY, arnOf('kms', 'key/another'))),
        With: role('with', EVERYTHING, allow(KEY, arn('Key'), viaService('s3', 'sqs', 'sns', 'dynamodb'))),
        Straight: role('straight', EVERYTHING, allow(KEY, '*', { Condition: { Null: { 'kms:ViaService': 'true' } } })),
        Object: role('object', EVERYTHING, allow(KEY, '*', inContext('aws:s3:arn', 'arn:aws:s3:::data/k'))),
        Whole: role('whole', EVERYTHING, allow(KEY, '*', inContext('aws:s3:arn', 'arn:aws:s3:::frugal'))),
        ByAlias: role('by-alias', EVERYTHING, {
          ...allow(KEY, '*'),
          Condition: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/mine' } },
        }),
        Owner: role('owner', EVERYTHING),
        Refused: role('refused', EVERYTHING, allow('kms:*'), deny('kms:Decrypt')),
        Reads: {
          Type: 'AWS::Lambda::Function',
          Properties: { FunctionName: 'reads', Role: arn('Opens'), ...answering },
        },
        Opens: role('opens', allow('kms:Decrypt', arn('Key'))),
        Blind: {
          Type: 'AWS::Lambda::Function',
          Properties: { FunctionName: 'blind', Role: arn('Without'), ...answering },
        },
        Silent: {
          Type: 'AWS::Lambda::Function',
          Properties: { FunctionName: 'silent', Role: arn('Without'), ...answering, Environment: {} },
        },
      }),
    });
    for (const Bucket of ['data', 'frugal', 'aliased', 'managed', 'owned', 'foreign']) await put(undefined, Bucket);
  });
  afterAll(() => engine.stop());

  describe('objects', () => {
    test('are written and read by who may use the key through S3', async () => {
      const { ServerSideEncryption, SSEKMSKeyId } = await put('with', 'data');
      expect({ ServerSideEncryption, SSEKMSKeyId }).toEqual({
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: expect.stringMatching(`^${arnOf('kms', 'key/')}`),
      });
      await expect(get('with', 'data')).resolves.toMatchObject({ ServerSideEncryption: 'aws:kms' });
      await expect(get('by-alias', 'data')).resolves.toBeDefined();
      await expect(put('by-alias', 'aliased')).resolves.toBeDefined();
    });

    test.each(['without', 'straight'])('are denied to the role %s', async (name) => {
      const refusal = (action: string) => ({ name: 'AccessDenied', message: denied(action) });
      await expect(put(name, 'data')).rejects.toMatchObject(refusal('GenerateDataKey'));
      await expect(get(name, 'data')).rejects.toMatchObject(refusal('Decrypt'));
      await expect(s3(name).send(new HeadObjectCommand({ Bucket: 'data', Key: 'k' }))).resolves.toBeDefined();
      const copy = new CopyObjectCommand({ Bucket: 'plain', Key: 'k', CopySource: 'data/k' });
      await expect(s3(name).send(copy)).rejects.toMatchObject(refusal('Decrypt'));
      const begin = new CreateMultipartUploadCommand({ Bucket: 'data', Key: 'k' });
      await expect(s3(name).send(begin)).rejects.toMatchObject(refusal('GenerateDataKey'));
      const { UploadId } = await s3('with').send(begin);
      const part = new UploadPartCommand({ Bucket: 'data', Key: 'k', UploadId, PartNumber: 1, Body: 'x' });
      await expect(s3(name).send(part)).rejects.toMatchObject(refusal('Decrypt'));
      await expect(s3('with').send(part)).resolves.toBeDefined();
    });

    test('may name a key where the bucket has none, and S3’s own where it has one', async () => {
      const named = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'alias/mine' };
      await expect(put('without', 'plain', named)).rejects.toMatchObject({ message: denied('GenerateDataKey') });
      await expect(put('with', 'plain', named)).resolves.toMatchObject({ ServerSideEncryption: 'aws:kms' });
      await expect(get('without', 'plain')).rejects.toMatchObject({ message: denied('Decrypt') });
      await expect(put('without', 'plain')).resolves.toMatchObject({ ServerSideEncryption: 'AES256' });
      await expect(get('without', 'plain')).resolves.toBeDefined();
      await expect(put('without', 'data', { ServerSideEncryption: 'AES256' })).resolves.toBeDefined();
      await put(undefined, 'data');
    });

    test('tell the key what they are: the object, with a bucket key the bucket', async () => {
      await expect(get('object', 'data')).resolves.toBeDefined();
      await expect(get('object', 'frugal')).rejects.toMatchObject({ message: denied('Decrypt') });
      await expect(get('whole', 'frugal')).resolves.toMatchObject({ BucketKeyEnabled: true });
      await expect(get('whole', 'data')).rejects.toMatchObject({ message: denied('Decrypt') });
    });

    test('are denied where the key’s policy does not leave the decision to the account', async () => {
      await expect(get('owner', 'owned')).resolves.toBeDefined();
      await expect(get('straight', 'owned')).rejects.toMatchObject({ message: denied('Decrypt', 'resource-based') });
    });

    test('are denied by a Deny, and to everybody where the key is disabled', async () => {
      await expect(get('refused', 'data')).rejects.toThrow('with an explicit deny in an identity-based policy');
      await expect(put('refused', 'data')).resolves.toBeDefined();
      await expect(put(undefined, 'dead')).rejects.toMatchObject({
        name: 'KMS.DisabledException',
        message: expect.stringMatching(/^arn:aws:kms:\S+ is disabled\.$/),
      });
    });

    test('are everybody’s who may use S3, where AWS manages the key', async () => {
      await expect(put('without', 'managed')).resolves.toMatchObject({ ServerSideEncryption: 'aws:kms' });
      await expect(get('without', 'managed')).resolves.toBeDefined();
    });

    test('under a key that is not in the template need what IAM says; its policy is told as unknown', async () => {
      await expect(get('without', 'foreign')).rejects.toMatchObject({ message: denied('Decrypt') });
      await expect(get('by-alias', 'foreign')).rejects.toMatchObject({ message: denied('Decrypt') });
      await expect(get('refused', 'foreign')).rejects.toThrow('explicit deny');
      await expect(put('refused', 'foreign')).resolves.toBeDefined();
      expect(engine.inert.filter(({ type }) => type === 'AWS::KMS::Key').map(({ path }) => path)).toEqual([
        arnOf('kms', 'key/abroad'),
      ]);
    });
  });

  test('messages of queues: to send needs a data key, to receive needs to decrypt, to delete needs neither', async () => {
    const QueueUrl = queueUrl('queue');
    const send = new SendMessageCommand({ QueueUrl, MessageBody: 'x' });
    const many = new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: '1', MessageBody: 'x' }] });
    const receive = new ReceiveMessageCommand({ QueueUrl });
    const refusal = (action: string) => ({ name: 'KmsAccessDenied', message: denied(action) });
    for (const command of [send, many as unknown as SendMessageCommand]) {
      await expect(sqs('without').send(command)).rejects.toMatchObject(refusal('GenerateDataKey'));
      await expect(sqs('refused').send(command)).rejects.toMatchObject({ name: 'KmsAccessDenied' }); // decrypts, too
    }
    await sqs('with').send(send);
    await expect(sqs('without').send(receive)).rejects.toMatchObject(refusal('Decrypt'));
    const { Messages: [{ ReceiptHandle }] = [{}] } = await sqs('with').send(receive);
    await expect(sqs('without').send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))).resolves.toBeDefined();
    const toDead = new SendMessageCommand({ QueueUrl: queueUrl('dead'), MessageBody: 'x' });
    await expect(sqs().send(toDead)).rejects.toMatchObject({ name: 'KmsDisabled' });
  });

  test('messages of topics', async () => {
    const publish = new PublishCommand({ TopicArn: arnOf('sns', 'topic'), Message: 'x' });
    const as = (name: string) => new SNSClient(engine.clientConfigAs(roleArn(name)));
    await expect(as('without').send(publish)).rejects.toMatchObject({
      name: 'KMSAccessDeniedException',
      message: denied('GenerateDataKey'),
    });
    await expect(as('with').send(publish)).resolves.toBeDefined();
    await expect(as('by-alias').send(publish)).resolves.toBeDefined();
  });

  test.each(['table', 'global'])('items of the %s table, whichever way they are read or written', async (TableName) => {
    const as = (name: string) => new DynamoDBClient(engine.clientConfigAs(roleArn(name)));
    const Item = { pk: { S: '1' } };
    const commands = [
      new PutItemCommand({ TableName, Item }),
      new GetItemCommand({ TableName, Key: Item }),
      new BatchWriteItemCommand({ RequestItems: { [TableName]: [{ PutRequest: { Item } }] } }),
      new TransactWriteItemsCommand({ TransactItems: [{ Put: { TableName, Item } }] }),
      new QueryCommand({
        TableName,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': { S: '1' } },
      }),
    ];
    for (const command of commands) {
      await expect(as('without').send(command as GetItemCommand)).rejects.toMatchObject({
        name: 'AccessDeniedException',
        message: expect.stringContaining(
          'KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: User: ',
        ),
      });
      await expect(as('without').send(command as GetItemCommand)).rejects.toMatchObject({ message: denied('Decrypt') });
      await expect(as('with').send(command as GetItemCommand)).resolves.toBeDefined();
    }
    await expect(as('without').send(new DescribeTableCommand({ TableName }))).resolves.toBeDefined();
  });

  test('environments of functions are the execution role’s to decrypt', async () => {
    const invoke = async (FunctionName: string) => {
      const { Payload } = await new LambdaClient(engine.clientConfig).send(new InvokeCommand({ FunctionName }));
      return Buffer.from(Payload ?? []).toString();
    };
    expect(await invoke('reads')).toBe('"shown"');
    await expect(invoke('blind')).rejects.toMatchObject({
      name: 'KMSAccessDeniedException',
      message: expect.stringContaining(
        "Lambda was unable to decrypt the environment variables because KMS access was denied. Please check the function's KMS key settings. KMS Exception: AccessDeniedExceptionKMS Message: User: ",
      ),
      $metadata: expect.objectContaining({ httpStatusCode: 502 }),
    });
    expect(await invoke('silent')).toBe('null'); // there is nothing to decrypt
  });
});

describe('services in their own name', () => {
  afterEach(() => engine.stop());

  const ofAccount = { StringEquals: { 'aws:SourceAccount': ACCOUNT } };

  test('are let in by the key’s policy alone, each as KMS knows it', async () => {
    const queues: Record<string, unknown> = {
      Open: key(ROOT, serviceMay('events.amazonaws.com', ofAccount), serviceMay('sns.amazonaws.com')),
      Closed: key(ROOT),
      Other: key(ROOT, serviceMay('events.amazonaws.com', { StringEquals: { 'aws:SourceAccount': '999999999999' } })),
      ForTopics: key(
        ROOT,
        serviceMay('events.amazonaws.com', {
          ArnLike: { 'kms:EncryptionContext:aws:sns:topicArn': arnOf('sns', '*') },
        }),
        serviceMay('cloudwatch.amazonaws.com', { ArnLike: { 'aws:SourceArn': arnOf('cloudwatch', 'alarm:*') } }),
      ),
      Asking: key(ROOT, serviceMay('events.amazonaws.com', ofAccount)), // EventBridge does not tell, for topics
    };
    const anyone = (Action: string) => policy({ Effect: 'Allow', Principal: '*', Action, Resource: '*' });
    const queue = (name: string, keyId: unknown) => ({
      [`Queue${name}`]: { Type: 'AWS::SQS::Queue', Properties: { QueueName: name, KmsMasterKeyId: keyId } },
      [`Policy${name}`]: {
        Type: 'AWS::SQS::QueuePolicy',
        Properties: { Queues: [{ Ref: `Queue${name}` }], PolicyDocument: anyone('sqs:SendMessage') },
      },
    });
    /** A topic under a key, with a queue without one that gets what is published. */
    const topic = (name: string, keyId: unknown) => ({
      [`Topic${name}`]: { Type: 'AWS::SNS::Topic', Properties: { TopicName: name, KmsMasterKeyId: keyId } },
      [`TopicPolicy${name}`]: {
        Type: 'AWS::SNS::TopicPolicy',
        Properties: { Topics: [{ Ref: `Topic${name}` }], PolicyDocument: anyone('sns:Publish') },
      },
    });
    const subscribed = (from: string, to: string) => ({
      [`Sub${from}${to}`]: {
        Type: 'AWS::SNS::Subscription',
        Properties: { TopicArn: { Ref: `Topic${from}` }, Protocol: 'sqs', Endpoint: arn(`Queue${to}`) },
      },
    });
    const target = (Id: string) => ({ Id, Arn: arn(`Queue${Id}`) });
    const published = (Id: string) => ({ Id, Arn: { Ref: `Topic${Id}` } });
    const Targets = [
      target('Sent'),
      { ...target('Kept'), DeadLetterConfig: { Arn: arn('QueueLost') } },
      target('Foreign'),
      target('Managed'),
      published('Told'),
      published('Untold'),
    ];
    engine = await Engine.start({
      timeScale: 0.01,
      assembly: assemblyOf({
        ...queues,
        ...queue('Sent', arn('Open')),
        ...queue('Kept', arn('Closed')),
        ...queue('Lost', undefined),
        ...queue('Foreign', arn('Other')),
        ...queue('Managed', 'alias/aws/sqs'),
        ...queue('FromTopic', arn('Open')),
        ...queue('NotFromTopic', arn('Closed')),
        ...queue('Heard', undefined),
        ...queue('Unheard', undefined),
        ...topic('Told', arn('ForTopics')),
        ...topic('Untold', arn('Asking')),
        ...subscribed('Told', 'Heard'),
        ...subscribed('Told', 'FromTopic'),
        ...subscribed('Told', 'NotFromTopic'),
        ...subscribed('Untold', 'Unheard'),
        Rule: { Type: 'AWS::Events::Rule', Properties: { EventPattern: { source: ['mine'] }, Targets } },
        Alarm: {
          Type: 'AWS::CloudWatch::Alarm',
          Properties: {
            AlarmName: 'alarm',
            Namespace: 'App',
            MetricName: 'Failed',
            Statistic: 'Sum',
            Period: 60,
            EvaluationPeriods: 1,
            Threshold: 1,
            ComparisonOperator: 'GreaterThanOrEqualToThreshold',
            AlarmActions: [{ Ref: 'TopicTold' }, { Ref: 'TopicUntold' }],
          },
        },
      }),
    });
    const names = ['Sent', 'Kept', 'Lost', 'Foreign', 'Managed', 'Heard', 'Unheard', 'FromTopic', 'NotFromTopic'];
    const counts = async () => Object.fromEntries(await Promise.all(names.map(async (n) => [n, await messages(n)])));
    const event = { Source: 'mine', DetailType: 'd', Detail: '{}' };
    await new EventBridgeClient(engine.clientConfig).send(new PutEventsCommand({ Entries: [event] }));
    await engine.idle();
    const none = Object.fromEntries(names.map((name) => [name, 0]));
    expect(await counts()).toEqual({ ...none, Sent: 1, Lost: 1, Heard: 1, FromTopic: 1 });
    expect(engine.log.map(({ message }) => message).join('\n')).toMatch(
      /events\.amazonaws\.com .*is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:/,
    );
    const alarm = { AlarmName: 'alarm', StateValue: 'ALARM', StateReason: 'test' } as const;
    await new CloudWatchClient(engine.clientConfig).send(new SetAlarmStateCommand(alarm));
    await engine.idle();
    expect(await counts()).toMatchObject({ Heard: 1, Unheard: 0, FromTopic: 1, NotFromTopic: 0 });
  });
});

describe('a log group under a key', () => {
  afterEach(() => engine?.stop());

  const logsMay = (region: string, value: string) => ({
    ...ROOT,
    Principal: { Service: `logs.${region}.amazonaws.com` },
    Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
    Condition: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': value } },
  });
  const start = async (...statements: unknown[]) => {
    const Group = {
      Type: 'AWS::Logs::LogGroup',
      Metadata: { 'aws:cdk:path': 'Stack/Group/Resource' },
      Properties: { LogGroupName: '/app', KmsKeyId: arn('Key') },
    };
    engine = await Engine.start({ assembly: assemblyOf({ Key: key(ROOT, ...statements), Group }) });
  };

  test('is made where the key’s policy lets CloudWatch Logs use it for the group', async () => {
    await expect(start(logsMay(REGION, arnOf('logs', 'log-group:/app')))).resolves.toBeUndefined();
  });

  test.each<[string, unknown[]]>([
    ['says nothing of it', []],
    ['speaks of another region', [logsMay('eu-west-1', arnOf('logs', 'log-group:*'))]],
    ['speaks of another group', [logsMay(REGION, arnOf('logs', 'log-group:/other'))]],
  ])('is refused at the start where the policy %s', async (_, statements) => {
    await expect(start(...statements)).rejects.toThrow(
      /stack Stack, log group Stack\/Group\/Resource: The specified KMS key does not exist or is not allowed to be used with Arn 'arn:aws:logs:us-east-1:000000000000:log-group:\/app': .*kms:Encrypt/,
    );
  });
});

describe('the disks of a training job', () => {
  afterEach(() => engine.stop());

  const forResources = { Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } } };

  test('are under a key that who asks or the job’s role may give to SageMaker', async () => {
    const create = allow('sagemaker:CreateTrainingJob');
    const pass = allow('iam:PassRole');
    engine = await Engine.start({
      faults: { training: [{ kind: 'capacity', times: 10 }] },
      assembly: assemblyOf({
        Key: key(ROOT),
        Asks: role('asks', create, pass),
        Gives: role('gives', create, pass, allow('kms:CreateGrant', arn('Key'), forResources)),
        Poor: role('poor', allow('s3:*')),
        Rich: role('rich', allow('kms:CreateGrant', arn('Key'), forResources)),
        Out: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'out' } },
      }),
    });
    const VolumeKmsKeyId = engine.assembly.resources.find(({ type }) => type === 'AWS::KMS::Key')?.arn;
    const ask = (name: string, jobRole: string) =>
      new SageMakerClient(engine.clientConfigAs(roleArn(name))).send(
        new CreateTrainingJobCommand({
          TrainingJobName: `${name}-${jobRole}`,
          RoleArn: roleArn(jobRole),
          AlgorithmSpecification: {
            TrainingImage: '683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1',
            TrainingInputMode: 'File',
          },
          OutputDataConfig: { S3OutputPath: 's3://out/' },
          ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 1, VolumeKmsKeyId },
          StoppingCondition: { MaxRuntimeInSeconds: 60 },
        }),
      );
    await expect(ask('asks', 'poor')).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: denied('CreateGrant'),
    });
    await expect(ask('gives', 'poor')).resolves.toBeDefined();
    await expect(ask('asks', 'rich')).resolves.toBeDefined();
    await engine.idle();
  });
});
