import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../src/engine/engine';
import { ASSET_BUCKET, assemblyOf } from './support/assembly';

const code = mkdtempSync(join(tmpdir(), 'code-'));
writeFileSync(
  join(code, 'index.mjs'),
  `export const handler = async (event) => {
    if (event.fail) throw Object.assign(new Error('told to'), { name: 'Told' });
    if (!event.Records) return { doubled: event.value * 2 };
    const { SFNClient, StartExecutionCommand } = await import(process.env.SDK);
    const sfn = new SFNClient({});
    for (const { body } of event.Records) {
      await sfn.send(new StartExecutionCommand({ stateMachineArn: process.env.MACHINE, input: body, name: JSON.parse(body).name }));
    }
  };`,
);

const trust = (service: string) => ({
  Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: service } }],
});
const allow = (name: string, Action: unknown, Resource: unknown) => ({
  PolicyName: name,
  PolicyDocument: { Statement: [{ Effect: 'Allow', Action, Resource }] },
});
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });

const template = {
  Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'work' } },
  FnRole: {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: trust('lambda.amazonaws.com'),
      Policies: [
        allow('queue', ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], arn('Queue')),
        allow('start', 'states:StartExecution', 'arn:aws:states:us-east-1:000000000000:stateMachine:double'),
      ],
    },
  },
  Fn: {
    Type: 'AWS::Lambda::Function',
    Properties: {
      FunctionName: 'fn',
      Runtime: 'nodejs24.x',
      Handler: 'index.handler',
      MemorySize: 512,
      Timeout: 20,
      Role: arn('FnRole'),
      Code: { S3Bucket: ASSET_BUCKET, S3Key: 'code.zip' },
      Environment: {
        Variables: {
          MACHINE: 'arn:aws:states:us-east-1:000000000000:stateMachine:double',
          SDK: new URL('../../node_modules/@aws-sdk/client-sfn/dist-cjs/index.js', import.meta.url).href,
        },
      },
    },
  },
  Feed: {
    Type: 'AWS::Lambda::EventSourceMapping',
    Properties: { EventSourceArn: arn('Queue'), FunctionName: { Ref: 'Fn' } },
  },
  MachineRole: {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: trust('states.amazonaws.com'),
      Policies: [allow('invoke', 'lambda:InvokeFunction', arn('Fn'))],
    },
  },
  Machine: {
    Type: 'AWS::StepFunctions::StateMachine',
    Properties: {
      StateMachineName: 'double',
      RoleArn: arn('MachineRole'),
      DefinitionString: {
        'Fn::Sub': JSON.stringify({
          QueryLanguage: 'JSONata',
          StartAt: 'Double',
          States: {
            Double: {
              Type: 'Task',
              Resource: 'arn:aws:states:::lambda:invoke',
              Arguments: { FunctionName: '${Fn.Arn}', Payload: '{% $states.input %}' },
              Output: '{% $states.result.Payload %}',
              End: true,
            },
          },
        }),
      },
    },
  },
};

let engine: Engine;
let sfn: SFNClient;
beforeAll(async () => {
  engine = await Engine.start({ assembly: assemblyOf(template, { assets: { 'code.zip': code } }) });
  sfn = new SFNClient(engine.clientConfig);
});
afterAll(() => engine.stop());

const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:double';

test('a message starts a handler, which starts an execution, which invokes a handler: each as its own role', async () => {
  const sqs = new SQSClient(engine.clientConfig);
  const QueueUrl = `${engine.url}/000000000000/work`;
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ name: 'one', value: 21 }) }));
  await engine.idle();
  const { executions } = await sfn.send(new ListExecutionsCommand({ stateMachineArn }));
  expect(executions?.map(({ name, status }) => [name, status])).toEqual([['one', 'SUCCEEDED']]);
  const executionArn = executions?.[0]?.executionArn;
  const described = await sfn.send(new DescribeExecutionCommand({ executionArn }));
  expect(described).toMatchObject({
    output: '{"doubled":42}',
    startDate: expect.any(Date),
    stopDate: expect.any(Date),
  });
  const { events } = await sfn.send(new GetExecutionHistoryCommand({ executionArn }));
  expect(events?.[1]).toMatchObject({
    type: 'TaskStateEntered',
    previousEventId: 0,
    timestamp: expect.any(Date),
    stateEnteredEventDetails: { name: 'Double' },
  });
});

test('a handler’s error reaches the execution by its name', async () => {
  const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input: '{"fail":true}' }));
  await engine.idle();
  const { status, error, cause } = await sfn.send(new DescribeExecutionCommand({ executionArn }));
  expect({ status, error }).toEqual({ status: 'FAILED', error: 'Told' });
  expect(JSON.parse(cause ?? '')).toMatchObject({ errorMessage: 'told to' });
});

test('the SDK invokes a function, and hears of its error', async () => {
  const lambda = new LambdaClient(engine.clientConfig);
  const answer = await lambda.send(new InvokeCommand({ FunctionName: 'fn', Payload: '{"value":4}' }));
  expect(answer.StatusCode).toBe(200);
  expect(answer.Payload?.transformToString()).toBe('{"doubled":8}');
  const failed = await lambda.send(new InvokeCommand({ FunctionName: 'fn', Payload: '{"fail":true}' }));
  expect(failed.FunctionError).toBe('Unhandled');
  await expect(lambda.send(new InvokeCommand({ FunctionName: 'gone' }))).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
  });
});
