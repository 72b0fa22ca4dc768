import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DeleteModelPackageGroupCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { GetQueueUrlCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, describe, expect, test } from 'vitest';
import { Engine } from '../src';
import { assemblyOf } from './support/assembly';

const engines: Engine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});

const TABLE = {
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
  AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
  BillingMode: 'PAY_PER_REQUEST',
};
const TEMPLATE = {
  Data: { Type: 'AWS::S3::Bucket', Properties: {} },
  Kept: { Type: 'AWS::DynamoDB::Table', Properties: TABLE, DeletionPolicy: 'Retain' },
  Models: {
    Type: 'AWS::SageMaker::ModelPackageGroup',
    Properties: { ModelPackageGroupName: 'models' },
    DeletionPolicy: 'RetainExceptOnCreate',
  },
  Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'queue' } },
};

async function start(stateDir: string, template: Record<string, unknown> = TEMPLATE): Promise<Engine> {
  const engine = await Engine.start({ assembly: assemblyOf(template), stateDir });
  engines.push(engine);
  return engine;
}

const folder = () => mkdtempSync(join(tmpdir(), 'destroyed-'));
const idOf = (engine: Engine, logicalId: string) =>
  engine.assembly.resources.find((one) => one.logicalId === logicalId)?.physicalId as string;

describe('destroying', () => {
  test('is refused while a bucket is not empty, and the engine runs on', async () => {
    const engine = await start(folder());
    const s3 = new S3Client(engine.clientConfig);
    const object = { Bucket: idOf(engine, 'Data'), Key: 'key' };
    await s3.send(new PutObjectCommand({ ...object, Body: 'x' }));
    await expect(engine.destroy()).rejects.toThrow('The bucket you tried to delete is not empty');

    await s3.send(new DeleteObjectCommand(object));
    await engine.destroy();
    await expect(s3.send(new PutObjectCommand({ ...object, Body: 'x' }))).rejects.toThrow();
    s3.destroy();
  });

  test('takes queues with their messages, keeps what is retained, and gives other names the next time', async () => {
    const state = folder();
    const template = { ...TEMPLATE, Models: { ...TEMPLATE.Models, DeletionPolicy: 'Delete' } };
    const engine = await start(state, template);
    const before = [idOf(engine, 'Data'), idOf(engine, 'Kept')];
    const item = { TableName: before[1], Item: { pk: { S: 'x' } } };
    await new DynamoDBClient(engine.clientConfig).send(new PutItemCommand(item));
    const sqs = new SQSClient(engine.clientConfig);
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: 'queue' }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }));
    await engine.destroy();

    const next = await start(state, template);
    expect(before).not.toContain(idOf(next, 'Data'));
    expect(before).not.toContain(idOf(next, 'Kept'));
    const dynamodb = new DynamoDBClient(next.clientConfig);
    const { Item } = await dynamodb.send(new GetItemCommand({ TableName: before[1], Key: item.Item }));
    expect(Item).toEqual(item.Item);
    const again = new SQSClient(next.clientConfig);
    const url = await again.send(new GetQueueUrlCommand({ QueueName: 'queue' }));
    expect((await again.send(new ReceiveMessageCommand({ QueueUrl: url.QueueUrl }))).Messages ?? []).toEqual([]);
    expect(next.services.s3.holds({ ...(next.assembly.find('Data') as object), physicalId: before[0] } as never)).toBe(
      false,
    );
  });

  test('what was retained under a name of its own stands in the way of the next deployment until it is deleted', async () => {
    const state = folder();
    await (await start(state)).destroy();
    const mistake =
      'Models: arn:aws:sagemaker:us-east-1:000000000000:model-package-group/models of type AWS::SageMaker::ModelPackageGroup already exists: it was retained when its stack was deleted; give the new one another name, or begin with another state folder';
    await expect(start(state)).rejects.toThrow(mistake);

    const without = await start(state, { Data: TEMPLATE.Data });
    await without.stop();
    await expect(start(state)).rejects.toThrow(mistake);

    const deleting = await start(state, { Data: TEMPLATE.Data });
    const sagemaker = new SageMakerClient(deleting.clientConfig);
    await sagemaker.send(new DeleteModelPackageGroupCommand({ ModelPackageGroupName: 'models' }));
    await deleting.stop();
    await (await start(state)).stop();
    await start(state); // nor is what has been made anew in its own way
  });
});
