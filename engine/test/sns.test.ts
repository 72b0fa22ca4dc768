import {
  CreateTopicCommand,
  ListSubscriptionsByTopicCommand,
  ListTopicsCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Sns } from '../src/services/sns/service';
import { ServedContext } from './support/served-context';

const TopicArn = 'arn:aws:sns:eu-west-1:111122223333:alerts';
const queueArn = 'arn:aws:sqs:eu-west-1:111122223333:inbox';
let context: ServedContext;
let sns: Sns;
let client: SNSClient;

beforeEach(async () => {
  context = new ServedContext();
  sns = new Sns(context);
  const where = { stack: 'App', logicalId: 'x', path: 'App/x' };
  const subscription = (physicalId: string, properties: object) => ({
    ...where,
    type: 'AWS::SNS::Subscription',
    physicalId,
    arn: physicalId,
    properties: { TopicArn, ...properties },
  });
  sns.load([
    { ...where, type: 'AWS::SNS::Topic', physicalId: TopicArn, arn: TopicArn, properties: {} },
    subscription(`${TopicArn}:1`, { Protocol: 'sqs', Endpoint: queueArn }),
    subscription(`${TopicArn}:2`, { Protocol: 'lambda', Endpoint: 'arn:aws:lambda:eu-west-1:111122223333:function:f' }),
    subscription(`${TopicArn}:3`, { Protocol: 'email', Endpoint: 'someone@example.com' }),
  ]);
  await context.serve(sns);
  client = new SNSClient(context.client);
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

test('a message goes to queues and functions, as SNS, and is kept', async () => {
  const { MessageId } = await client.send(
    new PublishCommand({
      TopicArn,
      Subject: 'Hear',
      Message: 'news',
      MessageAttributes: { kind: { DataType: 'String', StringValue: 'k' } },
    }),
  );
  await Promise.all(context.work);
  const caller = { kind: 'service', principal: 'sns.amazonaws.com', sourceArn: TopicArn };
  const [toQueue, toFunction] = context.calls.filter(({ service }) => service !== 'sns');
  expect(toQueue).toMatchObject({ service: 'sqs', operation: 'SendMessage', caller });
  const { QueueUrl, MessageBody } = toQueue.input as { QueueUrl: string; MessageBody: string };
  expect(QueueUrl).toBe(`${context.url()}/111122223333/inbox`);
  expect(JSON.parse(MessageBody)).toMatchObject({
    Type: 'Notification',
    MessageId,
    TopicArn,
    Subject: 'Hear',
    Message: 'news',
    MessageAttributes: { kind: { Type: 'String', Value: 'k' } },
  });
  expect(toFunction).toMatchObject({ service: 'lambda', operation: 'Invoke', caller });
  expect(sns.published).toMatchObject([{ topicArn: TopicArn, subject: 'Hear', message: 'news' }]);
});

test('a raw subscription gets the message alone', async () => {
  await client.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: 'sqs',
      Endpoint: `${queueArn}-raw`,
      Attributes: { RawMessageDelivery: 'true' },
    }),
  );
  await client.send(new PublishCommand({ TopicArn, Message: 'plain' }));
  await Promise.all(context.work);
  const bodies = context.calls
    .filter(({ service }) => service === 'sqs')
    .map(({ input }) => (input as { MessageBody: string }).MessageBody);
  expect(bodies).toContain('plain');
});

test('a delivery that is refused does not disturb the others', async () => {
  context.services.set('sqs', {
    name: 'sqs',
    operations: {
      SendMessage: {
        needs: () => [{ action: 'sqs:SendMessage', resource: queueArn }],
        run: () => ({}),
      },
    },
  });
  context.denied.add('sqs:SendMessage');
  await client.send(new PublishCommand({ TopicArn, Message: 'm' }));
  await Promise.all(context.work);
  expect(context.calls.map(({ service }) => service)).toContain('lambda');
});

test('topics are made and listed, and a missing one is named', async () => {
  await client.send(new CreateTopicCommand({ Name: 'more' }));
  expect((await client.send(new ListTopicsCommand({}))).Topics).toHaveLength(2);
  const listed = await client.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
  expect(listed.Subscriptions?.map(({ Protocol }) => Protocol)).toEqual(['sqs', 'lambda', 'email']);
  const missing = new PublishCommand({ TopicArn: `${TopicArn}-none`, Message: 'm' });
  await expect(client.send(missing)).rejects.toThrow('alerts-none');
});

test('publishing asks for permission on the topic', async () => {
  await client.send(new PublishCommand({ TopicArn, Message: 'm' }));
  expect(context.asked).toContainEqual({ action: 'sns:Publish', resource: TopicArn });
});
