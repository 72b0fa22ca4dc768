import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, expect, test } from 'vitest';
import { Engine, type EngineOptions } from '../src/engine/engine';
import { assemblyOf } from './support/assembly';

let engine: Engine | undefined;
afterEach(() => engine?.stop());

const allow = (Service: string, Action: string) => ({ Effect: 'Allow', Principal: { Service }, Action, Resource: '*' });

/** An upload goes by a rule to a queue; an alarm goes by a topic to the same queue. */
const TEMPLATE = {
  Data: {
    Type: 'AWS::S3::Bucket',
    Properties: {
      BucketName: 'data',
      VersioningConfiguration: { Status: 'Enabled' },
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    },
  },
  Inbox: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'inbox' } },
  InboxPolicy: {
    Type: 'AWS::SQS::QueuePolicy',
    Properties: {
      Queues: [{ Ref: 'Inbox' }],
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [allow('events.amazonaws.com', 'sqs:SendMessage'), allow('sns.amazonaws.com', 'sqs:SendMessage')],
      },
    },
  },
  Uploads: {
    Type: 'AWS::Events::Rule',
    Properties: {
      EventPattern: { source: ['aws.s3'], detail: { object: { key: [{ prefix: 'in/' }] } } },
      State: 'ENABLED',
      Targets: [{ Id: 'inbox', Arn: { 'Fn::GetAtt': ['Inbox', 'Arn'] } }],
    },
  },
  Topic: { Type: 'AWS::SNS::Topic', Properties: {} },
  TopicPolicy: {
    Type: 'AWS::SNS::TopicPolicy',
    Properties: {
      Topics: [{ Ref: 'Topic' }],
      PolicyDocument: { Version: '2012-10-17', Statement: [allow('cloudwatch.amazonaws.com', 'sns:Publish')] },
    },
  },
  Subscription: {
    Type: 'AWS::SNS::Subscription',
    Properties: { TopicArn: { Ref: 'Topic' }, Protocol: 'sqs', Endpoint: { 'Fn::GetAtt': ['Inbox', 'Arn'] } },
  },
  Alarm: {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      Namespace: 'App',
      MetricName: 'Failed',
      Statistic: 'Sum',
      Period: 60,
      EvaluationPeriods: 1,
      Threshold: 1,
      ComparisonOperator: 'GreaterThanOrEqualToThreshold',
      AlarmActions: [{ Ref: 'Topic' }],
    },
  },
  Ledger: {
    Type: 'AWS::DynamoDB::Table',
    Properties: {
      TableName: 'ledger',
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    },
  },
};

async function start(options: Partial<EngineOptions> = {}): Promise<Engine> {
  engine = await Engine.start({ assembly: assemblyOf(TEMPLATE), timeScale: 0.01, ...options });
  return engine;
}

async function inbox({ url, clientConfig }: Engine): Promise<string[]> {
  const QueueUrl = `${url}/000000000000/inbox`;
  const receive = new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 600 });
  const { Messages = [] } = await new SQSClient(clientConfig).send(receive);
  return Messages.map(({ Body }) => `${Body}`);
}

const upload = ({ clientConfig }: Engine, Key: string) =>
  new S3Client(clientConfig).send(new PutObjectCommand({ Bucket: 'data', Key, Body: 'x' }));

test('an upload reaches the queue of the rule that its key matches', async () => {
  const running = await start();
  await upload(running, 'out/1.csv');
  const { VersionId } = await upload(running, 'in/1.csv');
  await running.idle();
  const [event, ...more] = await inbox(running);
  expect(more).toEqual([]);
  expect(JSON.parse(event)).toMatchObject({
    'detail-type': 'Object Created',
    detail: { bucket: { name: 'data' }, object: { key: 'in/1.csv', 'version-id': VersionId }, reason: 'PutObject' },
  });
});

test('unkind delivery brings an event several times', async () => {
  const running = await start({ delivery: { copies: 2, shuffle: true } });
  await upload(running, 'in/1.csv');
  await running.idle();
  expect((await inbox(running)).length).toBeGreaterThanOrEqual(2);
});

test('an alarm reaches the queue by its topic', async () => {
  const running = await start();
  const MetricData = [{ MetricName: 'Failed', Value: 1 }];
  await new CloudWatchClient(running.clientConfig).send(new PutMetricDataCommand({ Namespace: 'App', MetricData }));
  await running.idle();
  const [message] = await inbox(running);
  expect(JSON.parse(JSON.parse(message).Message)).toMatchObject({ NewStateValue: 'ALARM' });
});

test('objects and items are there again when the engine starts on the same folder', async () => {
  const first = await start();
  const { stateDir } = first;
  await upload(first, 'in/1.csv');
  const Item = { pk: { S: 'a' }, n: { N: '1' } };
  await new DynamoDBClient(first.clientConfig).send(new PutItemCommand({ TableName: 'ledger', Item }));
  await first.stop();

  const { clientConfig } = await start({ stateDir });
  const object = await new S3Client(clientConfig).send(new GetObjectCommand({ Bucket: 'data', Key: 'in/1.csv' }));
  expect(await object.Body?.transformToString()).toBe('x');
  const get = new GetItemCommand({ TableName: 'ledger', Key: { pk: { S: 'a' } } });
  expect((await new DynamoDBClient(clientConfig).send(get)).Item).toEqual(Item);
});
