import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CloudWatchClient,
  DescribeAlarmsCommand,
  GetMetricStatisticsCommand,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
} from '@aws-sdk/client-cloudwatch';
import {
  DescribeRuleCommand,
  DisableRuleCommand,
  EventBridgeClient,
  ListTargetsByRuleCommand,
  PutRuleCommand,
  PutTargetsCommand,
} from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { CreateScheduleCommand, GetScheduleCommand, SchedulerClient } from '@aws-sdk/client-scheduler';
import { CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, describe, expect, test } from 'vitest';
import { Engine, type EngineOptions } from '../src/engine/engine';
import { ASSET_BUCKET, assemblyOf } from './support/assembly';
import { killedNow } from './support/crash';

const engines: Engine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});

const ARN = 'arn:aws:sqs:us-east-1:000000000000';
const principals = ['events', 'sns', 'scheduler', 'lambda'].map((name) => `${name}.amazonaws.com`);
const allowAll = [{ Effect: 'Allow', Principal: { Service: principals }, Action: '*', Resource: '*' }];
const queue = (name: string, properties: object = {}) => ({
  [name]: { Type: 'AWS::SQS::Queue', Properties: { QueueName: name === 'Line' ? 'Line.fifo' : name, ...properties } },
});

/** Writes an object when it is invoked, after the time that its event says. */
const FUNCTION = `
import { createRequire } from 'node:module';
const { S3Client, PutObjectCommand } = createRequire('${process.cwd()}/')('@aws-sdk/client-s3');
const s3 = new S3Client({ forcePathStyle: true });
export const handler = async (event, { awsRequestId }) => {
  const { name, wait = 0, fail } = event.Records ? JSON.parse(event.Records[0].body) : event;
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'begun/' + name + '/' + awsRequestId, Body: 'x' }));
  await new Promise((done) => setTimeout(done, wait));
  if (fail) throw new Error('on purpose');
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'done/' + name + '/' + awsRequestId, Body: 'x' }));
};`;

function template(changes: Record<string, unknown> = {}) {
  return {
    Data: {
      Type: 'AWS::S3::Bucket',
      Properties: {
        BucketName: 'data',
        NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
      },
    },
    ...queue('Inbox'),
    ...queue('Dead'),
    ...queue('Work', { RedrivePolicy: { deadLetterTargetArn: `${ARN}:Dead`, maxReceiveCount: 3 } }),
    ...queue('Line', { FifoQueue: true }),
    Policy: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: { Queues: [{ Ref: 'Inbox' }], PolicyDocument: { Statement: allowAll } },
    },
    Rule: {
      Type: 'AWS::Events::Rule',
      Properties: {
        Name: 'uploads',
        EventPattern: { source: ['aws.s3'], detail: { object: { key: [{ prefix: 'in/' }] } } },
        Targets: [{ Id: 'inbox', Arn: `${ARN}:Inbox` }],
      },
    },
    Topic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: 'news' } },
    Subscription: {
      Type: 'AWS::SNS::Subscription',
      Properties: { TopicArn: { Ref: 'Topic' }, Protocol: 'sqs', Endpoint: `${ARN}:Inbox` },
    },
    Alarm: {
      Type: 'AWS::CloudWatch::Alarm',
      Properties: {
        AlarmName: 'failures',
        ...{ Namespace: 'App', MetricName: 'Failed', Statistic: 'Sum', Period: 86_400, EvaluationPeriods: 1 },
        ...{ Threshold: 1, ComparisonOperator: 'GreaterThanOrEqualToThreshold' },
      },
    },
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        RoleName: 'worker',
        AssumeRolePolicyDocument: {
          Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: principals } }],
        },
        Policies: [
          { PolicyName: 'all', PolicyDocument: { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } },
        ],
      },
    },
    Worker: {
      Type: 'AWS::Lambda::Function',
      Properties: {
        ...{ FunctionName: 'worker', Runtime: 'nodejs24.x', Handler: 'index.handler', Timeout: 60, MemorySize: 512 },
        Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
        Code: { S3Bucket: ASSET_BUCKET, S3Key: 'code.zip' },
      },
    },
    Feed: {
      Type: 'AWS::Lambda::EventSourceMapping',
      Properties: { EventSourceArn: `${ARN}:Work`, FunctionName: { Ref: 'Worker' } },
    },
    ...changes,
  };
}

const code = mkdtempSync(join(tmpdir(), 'code-'));
writeFileSync(join(code, 'index.mjs'), FUNCTION);

async function start(options: Partial<EngineOptions> = {}, changes: Record<string, unknown> = {}): Promise<Engine> {
  const assembly = assemblyOf(template(changes), { assets: { 'code.zip': code } });
  const engine = await Engine.start({ assembly, timeScale: 0.01, ...options });
  engines.push(engine);
  return engine;
}

/** The next engine, after the first was killed at this moment, or was stopped. */
type Next = (engine: Engine, changes?: Record<string, unknown>) => Promise<Engine>;
const KILLED: Next = (engine, changes) => {
  const stateDir = killedNow(engine.stateDir);
  return start({ stateDir }, changes);
};
const STOPPED: Next = async (engine, changes) => {
  await engine.stop();
  return start({ stateDir: engine.stateDir }, changes);
};
const HOW: [string, Next][] = [
  ['killed', KILLED],
  ['stopped', STOPPED],
];

const url = (engine: Engine, name: string) => `${engine.url}/000000000000/${name}`;

function send(engine: Engine, name: string, MessageBody: string, more: object = {}) {
  const command = new SendMessageCommand({ QueueUrl: url(engine, name), MessageBody, ...more });
  return new SQSClient(engine.clientConfig).send(command);
}

async function receive(engine: Engine, name: string, more: object = {}) {
  const options = { MaxNumberOfMessages: 10, MessageSystemAttributeNames: ['All' as const], ...more };
  const command = new ReceiveMessageCommand({ QueueUrl: url(engine, name), ...options });
  const { Messages = [] } = await new SQSClient(engine.clientConfig).send(command);
  return Messages;
}

/** The objects below a prefix. */
async function objects({ clientConfig }: Engine, Prefix: string): Promise<number> {
  const { KeyCount } = await new S3Client(clientConfig).send(new ListObjectsV2Command({ Bucket: 'data', Prefix }));
  return KeyCount ?? 0;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not come to that in 20 s');
    await sleep(20);
  }
}

describe.each(HOW)('after the engine was %s', (how, next) => {
  test('the messages of queues are there; what was in flight can be received at once, and deleted by its handle', async () => {
    const engine = await start();
    for (const body of ['a', 'b', 'c']) await send(engine, 'Inbox', body);
    await send(engine, 'Inbox', 'later', { DelaySeconds: 900 });
    const [first, second] = await receive(engine, 'Inbox', { MaxNumberOfMessages: 2, VisibilityTimeout: 600 });
    const again = await next(engine);
    const found = await receive(again, 'Inbox', { VisibilityTimeout: 600 });
    expect(found.map(({ Body }) => Body)).toEqual(['a', 'b', 'c']);
    expect(found.map(({ MessageId }) => MessageId).slice(0, 2)).toEqual([first?.MessageId, second?.MessageId]);
    expect(found.map(({ Attributes }) => Attributes?.ApproximateReceiveCount)).toEqual(['2', '2', '1']);
    expect(again.recovered).toContain('messages in the queue Inbox: 4');
  });

  test('a consumer that has outlived the engine deletes by the handle that it has', async () => {
    const engine = await start();
    await send(engine, 'Inbox', 'a');
    const [{ ReceiptHandle } = {}] = await receive(engine, 'Inbox', { VisibilityTimeout: 600 });
    const again = await next(engine);
    const QueueUrl = url(again, 'Inbox');
    await new SQSClient(again.clientConfig).send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    expect(await receive(again, 'Inbox')).toEqual([]);
  });

  test('what was deleted stays deleted, and a dead letter stays dead', async () => {
    const engine = await start();
    await send(engine, 'Inbox', 'a');
    const [{ ReceiptHandle } = {}] = await receive(engine, 'Inbox');
    const QueueUrl = url(engine, 'Inbox');
    await new SQSClient(engine.clientConfig).send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    await send(engine, 'Work', JSON.stringify({ name: 'x', fail: true }));
    await until(async () => (await objects(engine, 'begun/x/')) === 3);
    engine.advance(60_000);
    await engine.idle();
    const again = await next(engine);
    expect(await receive(again, 'Inbox')).toEqual([]);
    expect(await receive(again, 'Dead')).toMatchObject([{ Body: JSON.stringify({ name: 'x', fail: true }) }]);
  });

  test('a FIFO queue remembers what it has seen, and counts on', async () => {
    const engine = await start();
    const same = { MessageGroupId: 'g', MessageDeduplicationId: 'once' };
    const { SequenceNumber } = await send(engine, 'Line.fifo', 'a', same);
    const again = await next(engine);
    expect(await send(again, 'Line.fifo', 'a', same)).toMatchObject({ SequenceNumber });
    const { SequenceNumber: later } = await send(again, 'Line.fifo', 'b', { ...same, MessageDeduplicationId: 'two' });
    expect(BigInt(later ?? 0)).toBeGreaterThan(BigInt(SequenceNumber ?? 0));
    expect((await receive(again, 'Line.fifo')).map(({ Body }) => Body)).toEqual(['a', 'b']);
  });

  test('a message whose handling was broken off is handled again, and counts as received once', async () => {
    const engine = await start();
    await send(engine, 'Work', JSON.stringify({ name: 'x', wait: 3000 }));
    await until(async () => (await objects(engine, 'begun/x/')) === 1);
    const again = await next(engine);
    await again.idle();
    expect(await objects(again, 'begun/x/')).toBe(2);
    expect(await objects(again, 'done/x/')).toBe(1);
    expect(await receive(again, 'Work')).toEqual([]);
  });

  test('an asynchronous invocation that was broken off is done again', async () => {
    const engine = await start();
    const Payload = JSON.stringify({ name: 'x', wait: 3000 });
    const command = new InvokeCommand({ FunctionName: 'worker', InvocationType: 'Event', Payload });
    await new LambdaClient(engine.clientConfig).send(command);
    await until(async () => (await objects(engine, 'begun/x/')) === 1);
    const again = await next(engine);
    expect(again.recovered).toContain('asynchronous invocations that were not done yet are done now: 1');
    await again.idle();
    expect(await objects(again, 'done/x/')).toBe(1);
    expect((await STOPPED(again)).recovered.join()).not.toContain('asynchronous');
  });

  test('an asynchronous invocation that has failed is tried as often as is left', async () => {
    const engine = await start({ timeScale: 0.05 }); // three seconds until the first retry
    const Payload = JSON.stringify({ name: 'x', fail: true });
    const command = new InvokeCommand({ FunctionName: 'worker', InvocationType: 'Event', Payload });
    await new LambdaClient(engine.clientConfig).send(command);
    await until(async () => engine.log.some(({ message }) => message.startsWith('worker failed')));
    const again = await next(engine);
    await again.idle();
    expect(await objects(again, 'begun/x/')).toBe(3);
  });

  test('rules, schedules, topics, queues and alarms that calls have made or changed are as they were', async () => {
    const engine = await start({ schedules: false });
    const { clientConfig } = engine;
    const events = new EventBridgeClient(clientConfig);
    await events.send(new DisableRuleCommand({ Name: 'uploads' }));
    await events.send(new PutRuleCommand({ Name: 'own', EventPattern: '{"source":["own"]}' }));
    await events.send(new PutTargetsCommand({ Rule: 'own', Targets: [{ Id: 'a', Arn: `${ARN}:Inbox` }] }));
    const schedule = {
      ...{ Name: 'own', ScheduleExpression: 'rate(5 days)', FlexibleTimeWindow: { Mode: 'OFF' as const } },
      Target: { Arn: `${ARN}:Inbox`, RoleArn: 'arn:aws:iam::000000000000:role/worker' },
    };
    await new SchedulerClient(clientConfig).send(new CreateScheduleCommand(schedule));
    const sns = new SNSClient(clientConfig);
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'own' }));
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: `${ARN}:own` }));
    const sqs = new SQSClient(clientConfig);
    await sqs.send(new CreateQueueCommand({ QueueName: 'own', Attributes: { VisibilityTimeout: '77' } }));
    const Attributes = { VisibilityTimeout: '78' };
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl: url(engine, 'Inbox'), Attributes }));
    await new CloudWatchClient(clientConfig).send(
      new PutMetricAlarmCommand({
        ...{ AlarmName: 'own', Namespace: 'App', MetricName: 'Own', Statistic: 'Sum', Period: 60 },
        ...{ EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: 'GreaterThanThreshold' },
      }),
    );

    const again = await next(engine);
    const rules = new EventBridgeClient(again.clientConfig);
    expect(await rules.send(new DescribeRuleCommand({ Name: 'uploads' }))).toMatchObject({ State: 'DISABLED' });
    expect(await rules.send(new DescribeRuleCommand({ Name: 'own' }))).toMatchObject({ State: 'ENABLED' });
    const { Targets } = await rules.send(new ListTargetsByRuleCommand({ Rule: 'own' }));
    expect(Targets).toEqual([{ Id: 'a', Arn: `${ARN}:Inbox` }]);
    const found = await new SchedulerClient(again.clientConfig).send(new GetScheduleCommand({ Name: 'own' }));
    expect(found).toMatchObject(schedule);
    await new SNSClient(again.clientConfig).send(new PublishCommand({ TopicArn, Message: 'hello' }));
    await again.idle();
    const timeouts = await Promise.all(
      ['own', 'Inbox'].map(async (name) => {
        const command = new GetQueueAttributesCommand({ QueueUrl: url(again, name), AttributeNames: ['All'] });
        return (await new SQSClient(again.clientConfig).send(command)).Attributes?.VisibilityTimeout;
      }),
    );
    expect(timeouts).toEqual(['77', '78']);
    const { MetricAlarms } = await new CloudWatchClient(again.clientConfig).send(new DescribeAlarmsCommand({}));
    expect(MetricAlarms?.map(({ AlarmName }) => AlarmName).sort()).toEqual(['failures', 'own']);
  });

  test('what the template says anew holds against what calls have made of the old', async () => {
    const engine = await start();
    await new EventBridgeClient(engine.clientConfig).send(new DisableRuleCommand({ Name: 'uploads' }));
    const Rule = template().Rule;
    const changed = { ...Rule, Properties: { ...Rule.Properties, Description: 'new' } };
    const again = await next(engine, { Rule: changed });
    const found = await new EventBridgeClient(again.clientConfig).send(new DescribeRuleCommand({ Name: 'uploads' }));
    expect(found).toMatchObject({ State: 'ENABLED', Description: 'new' });
  });

  test('metrics and the states of alarms are as they were', async () => {
    const engine = await start();
    const MetricData = [3, 4].map((Value) => ({ MetricName: 'Failed', Value }));
    await new CloudWatchClient(engine.clientConfig).send(new PutMetricDataCommand({ Namespace: 'App', MetricData }));
    if (how === 'killed') await sleep(1500); // metrics are kept once a second
    const again = await next(engine);
    const cloudwatch = new CloudWatchClient(again.clientConfig);
    const { Datapoints } = await cloudwatch.send(
      new GetMetricStatisticsCommand({
        ...{ Namespace: 'App', MetricName: 'Failed', Period: 3600, Statistics: ['Sum', 'Maximum'] },
        ...{ StartTime: new Date(Date.now() - 7_200_000), EndTime: new Date(Date.now() + 60_000) },
      }),
    );
    expect(Datapoints).toMatchObject([{ Sum: 7, Maximum: 4 }]);
    const { MetricAlarms } = await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: ['failures'] }));
    expect(MetricAlarms).toMatchObject([{ StateValue: 'ALARM' }]);
    const changes = again.services.events.events.filter(({ event }) => event.source === 'aws.cloudwatch');
    expect(changes).toEqual([]); // it was told before
  });

  test("the clock goes on where it was, also where it had run ahead of this machine's", async () => {
    const engine = await start();
    engine.advance(5 * 86_400_000);
    const before = engine.now().getTime();
    const again = await next(engine);
    expect(again.now().getTime()).toBeGreaterThanOrEqual(before);
    expect(again.now().getTime()).toBeLessThan(before + 60_000);
  });

  test('a moment that was due while the engine was off is made good, once', async () => {
    const engine = await start({ timeScale: 1 });
    const at = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString().slice(0, 19);
    const Target = { Arn: `${ARN}:Inbox`, RoleArn: 'arn:aws:iam::000000000000:role/worker', Input: 'once' };
    await new SchedulerClient(engine.clientConfig).send(
      new CreateScheduleCommand({
        ...{ Name: 'once', ScheduleExpression: `at(${at(3000)})`, FlexibleTimeWindow: { Mode: 'OFF' }, Target },
      }),
    );
    await engine.stop();
    await sleep(3500);
    const again = await start({ stateDir: engine.stateDir, timeScale: 1 });
    await until(async () => (await receive(again, 'Inbox', { VisibilityTimeout: 0 })).length > 0);
    const third = await next(again);
    await sleep(300);
    expect((await receive(third, 'Inbox')).map(({ Body }) => Body)).toEqual(['once']);
  });
});

describe('wherever the journal ends', () => {
  /** The states of an engine's folder after each line of its journal that was written since a moment. */
  function* endings(stateDir: string, since: number): Generator<string> {
    const journal = readFileSync(join(stateDir, 'journal.jsonl'));
    for (let end = journal.indexOf(10, since) + 1; end > 0; end = journal.indexOf(10, end) + 1) {
      const copy = killedNow(stateDir);
      writeFileSync(join(copy, 'journal.jsonl'), journal.subarray(0, end));
      yield copy;
    }
  }

  test('an upload that is there is told, at least once', async () => {
    const engine = await start();
    const { size } = statSync(join(engine.stateDir, 'journal.jsonl'));
    await engine.services.s3.put('data', 'in/a.csv', Buffer.from('x'), { kind: 'root' });
    await engine.idle();
    let count = 0;
    for (const stateDir of endings(engine.stateDir, size - 1)) {
      const again = await start({ stateDir });
      await again.idle();
      const isThere = (await objects(again, 'in/')) === 1;
      const told = (await receive(again, 'Inbox')).map(({ Body = '' }) => JSON.parse(Body).detail.object.key);
      expect(new Set(told)).toEqual(new Set(isThere ? ['in/a.csv'] : []));
      count += 1;
    }
    expect(count).toBeGreaterThan(2);
  });

  test('a message that was published reaches its subscriber, at least once', async () => {
    const engine = await start();
    const { size } = statSync(join(engine.stateDir, 'journal.jsonl'));
    const TopicArn = 'arn:aws:sns:us-east-1:000000000000:news';
    await new SNSClient(engine.clientConfig).send(new PublishCommand({ TopicArn, Message: 'hello' }));
    await engine.idle();
    for (const stateDir of endings(engine.stateDir, size)) {
      const again = await start({ stateDir });
      await again.idle();
      const messages = (await receive(again, 'Inbox')).map(({ Body = '' }) => JSON.parse(Body).Message);
      expect(new Set(messages)).toEqual(new Set(['hello']));
      expect(again.services.sns.published.map(({ message }) => message)).toEqual(['hello']);
    }
  });
});
