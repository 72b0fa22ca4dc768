import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CloudWatchLogsClient,
  DescribeLogStreamsCommand,
  FilterLogEventsCommand,
  GetLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { CreateTrainingJobCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { SFNClient, StartSyncExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/engine';
import type { Caller, Shape } from '../src/service';
import { FunctionLogs, type LogStream, Logs } from '../src/services/logs/service';
import { pack } from '../src/services/sagemaker/tar';
import { ASSET_BUCKET, assemblyOf } from './support/assembly';
import { FakeContext } from './support/fake-context';
import { IMAGE } from './support/sagemaker';

const GROUP = '/aws/sagemaker/TrainingJobs';
const ROOT: Caller = { kind: 'root' };

/** A stream whose lines are a millisecond apart. */
function stream(name: string, created: number, ...texts: string[]): LogStream {
  return { name, created, read: () => texts.map((text, index) => ({ at: created + index, text })) };
}

describe('the logs of training jobs', () => {
  const context = new FakeContext();
  let streams: LogStream[] = [];
  context.services.logs = new Logs(context, new FunctionLogs(context), () => streams);
  const call = (operation: string, input: Shape = {}): Promise<Shape> =>
    context.call('logs', operation, { logGroupName: GROUP, ...input }, ROOT);
  const names = async (input: Shape = {}) =>
    (await call('DescribeLogStreams', input)).logStreams.map((one: Shape) => one.logStreamName);
  const messages = ({ events }: Shape): string[] => events.map(({ message }: Shape) => message);

  test('are no group before the first job', async () => {
    streams = [];
    for (const operation of ['DescribeLogStreams', 'FilterLogEvents', 'GetLogEvents']) {
      await expect(call(operation, { logStreamName: 'x' })).rejects.toMatchObject({
        code: 'ResourceNotFoundException',
        message: 'The specified log group does not exist.',
      });
    }
  });

  test('are streams, in the order asked for', async () => {
    streams = [stream('b/algo-1-1', 1000, 'x'), stream('a/algo-1-1', 2000, 'x'), stream('a/algo-2-1', 1500)];
    expect(await names()).toEqual(['a/algo-1-1', 'a/algo-2-1', 'b/algo-1-1']);
    expect(await names({ descending: true })).toEqual(['b/algo-1-1', 'a/algo-2-1', 'a/algo-1-1']);
    expect(await names({ logStreamNamePrefix: 'a/' })).toEqual(['a/algo-1-1', 'a/algo-2-1']);
    expect(await names({ orderBy: 'LastEventTime' })).toEqual(['a/algo-2-1', 'b/algo-1-1', 'a/algo-1-1']);
    const { logStreams, nextToken } = await call('DescribeLogStreams', { limit: 2 });
    expect(logStreams).toEqual([
      {
        logStreamName: 'a/algo-1-1',
        creationTime: 2000,
        firstEventTimestamp: 2000,
        lastEventTimestamp: 2000,
        lastIngestionTime: 2000,
        arn: `arn:aws:logs:eu-west-1:111122223333:log-group:${GROUP}:log-stream:a/algo-1-1`,
        storedBytes: 0,
      },
      expect.not.objectContaining({ lastEventTimestamp: expect.anything() }),
    ]);
    expect(await names({ limit: 2, nextToken })).toEqual(['b/algo-1-1']);
  });

  test('are read from the end, or from the head, and on from there', async () => {
    streams = [stream('job/algo-1-1', 1000, 'one', '', 'two', 'three', 'four', 'five')];
    const read = (input: Shape = {}) => call('GetLogEvents', { logStreamName: 'job/algo-1-1', ...input });

    const last = await read({ limit: 2 });
    expect(last.events).toEqual([
      { timestamp: 1004, message: 'four', ingestionTime: 1004 },
      { timestamp: 1005, message: 'five', ingestionTime: 1005 },
    ]);
    const before = await read({ limit: 2, nextToken: last.nextBackwardToken });
    expect(messages(before)).toEqual(['two', 'three']);
    const first = await read({ limit: 2, nextToken: before.nextBackwardToken });
    expect(messages(first)).toEqual(['one']); // the empty line is no event
    const none = await read({ limit: 2, nextToken: first.nextBackwardToken });
    expect(none).toMatchObject({ events: [], nextBackwardToken: first.nextBackwardToken });

    const head = await read({ startFromHead: true, limit: 4 });
    expect(messages(head)).toEqual(['one', 'two', 'three', 'four']);
    const rest = await read({ startFromHead: true, nextToken: head.nextForwardToken });
    expect(messages(rest)).toEqual(['five']);
    const end = await read({ startFromHead: true, nextToken: rest.nextForwardToken });
    expect(end).toMatchObject({ events: [], nextForwardToken: rest.nextForwardToken });
    streams = [stream('job/algo-1-1', 1000, 'one', '', 'two', 'three', 'four', 'five', 'six')];
    expect(messages(await read({ startFromHead: true, nextToken: end.nextForwardToken }))).toEqual(['six']);

    expect(messages(await read({ startTime: 1002, endTime: 1004 }))).toEqual(['two', 'three']);
    await expect(read({ nextToken: 'x' })).rejects.toThrow('The specified nextToken is invalid.');
    await expect(call('GetLogEvents', { logStreamName: 'none' })).rejects.toMatchObject({
      code: 'ResourceNotFoundException',
      message: 'The specified log stream does not exist.',
    });
  });

  test.each([
    ['', ['Error: a_b', 'error', 'warn about loss', 'loss 0.5']],
    ['error', ['error']],
    ['"Error: a"', ['Error: a_b']],
    ['loss warn', ['warn about loss']],
    ['loss -warn', ['loss 0.5']],
    ['?Error ?error', ['Error: a_b', 'error']],
    ['a_b', ['Error: a_b']],
    ['nothing', []],
  ])('are filtered by %j', async (filterPattern, wanted) => {
    streams = [stream('job/algo-1-1', 1000, 'Error: a_b', 'error', 'warn about loss', 'loss 0.5')];
    expect(messages(await call('FilterLogEvents', { filterPattern }))).toEqual(wanted);
  });

  test('are filtered over all streams, by time', async () => {
    streams = [stream('b/1', 1001, 'two', 'four'), stream('a/1', 1000, 'one', 'three'), stream('c/1', 1002)];
    const filter = (input: Shape = {}) => call('FilterLogEvents', input);

    const all = await filter();
    expect(messages(all)).toEqual(['one', 'three', 'two', 'four']); // 1000, 1001, 1001, 1002
    expect(all.searchedLogStreams).toEqual([]);
    expect(new Set(all.events.map(({ eventId }: Shape) => eventId)).size).toBe(4);
    expect(all.events[0]).toMatchObject({ logStreamName: 'a/1', timestamp: 1000, ingestionTime: 1000 });
    expect(messages(await filter({ startTime: 1001, endTime: 1001 }))).toEqual(['three', 'two']);
    expect(messages(await filter({ logStreamNamePrefix: 'b' }))).toEqual(['two', 'four']);
    expect(messages(await filter({ logStreamNames: ['a/1', 'c/1'] }))).toEqual(['one', 'three']);
    const page = await filter({ limit: 3 });
    expect(messages(page)).toEqual(['one', 'three', 'two']);
    const rest = await filter({ limit: 3, nextToken: page.nextToken });
    expect(messages(rest)).toEqual(['four']);
    expect(rest.nextToken).toBeUndefined();
  });

  test.each<[string, Shape, RegExp]>([
    [
      'DescribeLogStreams',
      { orderBy: 'LastEventTime', logStreamNamePrefix: 'a' },
      /^Cannot order by LastEventTime with a/,
    ],
    ['DescribeLogStreams', { orderBy: 'Size' }, /'Size' at 'orderBy'.*\[LogStreamName, LastEventTime\]/],
    ['DescribeLogStreams', { limit: 51 }, /'51' at 'limit'.*less than or equal to 50/],
    ['FilterLogEvents', { limit: 0 }, /'0' at 'limit'.*greater than or equal to 1/],
    ['FilterLogEvents', { nextToken: 'x' }, /nextToken is invalid/],
    ['FilterLogEvents', { logStreamNames: ['a'], logStreamNamePrefix: 'a' }, /Only one of/],
    ['FilterLogEvents', { filterPattern: 'a.b' }, /Invalid character\(s\) in term '\.'/],
    ['FilterLogEvents', { filterPattern: '{ $.level = "error" }' }, /filters by words and "phrases", got \{/],
    ['FilterLogEvents', { logGroupName: undefined }, /Either logGroupName or logGroupIdentifier/],
  ])('%s refuses %j', async (operation, input, message) => {
    streams = [stream('a', 1, 'x')];
    await expect(call(operation, input)).rejects.toMatchObject({
      code: 'InvalidParameterException',
      message: expect.stringMatching(message),
    });
  });

  test('may be named by the group’s ARN', async () => {
    streams = [stream('a', 1, 'x')];
    const logGroupIdentifier = `arn:aws:logs:eu-west-1:111122223333:log-group:${GROUP}`;
    expect(await names({ logGroupName: undefined, logGroupIdentifier })).toEqual(['a']);
  });

  test('are asked for as AWS asks', async () => {
    streams = [stream('job/algo-1-1', 1, 'x')];
    context.asked.length = 0;
    await call('DescribeLogStreams');
    await call('FilterLogEvents', { logStreamNames: ['job/algo-1-1'] });
    await call('GetLogEvents', { logStreamName: 'job/algo-1-1' });
    const group = `arn:aws:logs:eu-west-1:111122223333:log-group:${GROUP}`;
    expect(context.asked).toEqual([
      { action: 'logs:DescribeLogStreams', resource: `${group}:log-stream:` },
      { action: 'logs:FilterLogEvents', resource: `${group}:log-stream:` },
      { action: 'logs:GetLogEvents', resource: `${group}:log-stream:job/algo-1-1` },
    ]);
  });
});

describe('the engine', () => {
  const code = mkdtempSync(join(tmpdir(), 'code-'));
  writeFileSync(
    join(code, 'index.mjs'),
    `export const handler = async ({ word }) => { console.log('the word is', word); };`,
  );
  const script = mkdtempSync(join(tmpdir(), 'script-'));
  writeFileSync(join(script, 'train.py'), `print('epoch 1 loss 0.5'); print('epoch 2 loss 0.25')`);

  const trust = (Service: string) => ({
    Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service } }],
  });
  const role = (service: string, ...Statement: object[]) => ({
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: trust(service),
      Policies: Statement.length === 0 ? [] : [{ PolicyName: 'own', PolicyDocument: { Statement } }],
    },
  });
  const allow = (Action: string[], Resource: string) => ({ Effect: 'Allow', Action, Resource });
  const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });
  const lambda = (more: object = {}) => ({
    Type: 'AWS::Lambda::Function',
    Properties: {
      ...{ Runtime: 'nodejs24.x', Handler: 'index.handler', MemorySize: 512, Timeout: 20, Role: arn('FnRole') },
      ...{ Code: { S3Bucket: ASSET_BUCKET, S3Key: 'code.zip' }, ...more },
    },
  });
  const group = `arn:aws:logs:us-east-1:000000000000:log-group:${GROUP}`;
  const machine = (name: string, roleId: string) => ({
    Type: 'AWS::StepFunctions::StateMachine',
    Properties: {
      StateMachineName: name,
      StateMachineType: 'EXPRESS',
      RoleArn: arn(roleId),
      DefinitionString: JSON.stringify({
        QueryLanguage: 'JSONata',
        StartAt: 'Read',
        States: {
          Read: {
            Type: 'Task',
            Resource: 'arn:aws:states:::aws-sdk:cloudwatchlogs:filterLogEvents',
            Arguments: { LogGroupName: GROUP, FilterPattern: 'loss' },
            Output: '{% [$states.result.Events.Message] %}',
            End: true,
          },
        },
      }),
    },
  });
  let engine: Engine;
  let logs: CloudWatchLogsClient;
  beforeAll(async () => {
    const template = {
      Own: { Type: 'AWS::Logs::LogGroup', Properties: { LogGroupName: 'own' } },
      FnRole: role('lambda.amazonaws.com'),
      JobRole: role('sagemaker.amazonaws.com', allow(['s3:GetObject', 's3:PutObject'], '*')),
      Plain: lambda({ FunctionName: 'plain' }),
      Grouped: lambda({ FunctionName: 'grouped', LoggingConfig: { LogGroup: { Ref: 'Own' } } }),
      Reader: role('states.amazonaws.com', allow(['logs:FilterLogEvents'], `${group}:*`)),
      Stranger: role('states.amazonaws.com', allow(['logs:FilterLogEvents'], `${group}-other:*`)),
      Read: machine('read', 'Reader'),
      Pry: machine('pry', 'Stranger'),
      Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } },
    };
    const archive = `${script}.tar.gz`;
    await pack(script, archive);
    const assembly = assemblyOf(template, { assets: { 'code.zip': code, 'script.tar.gz': archive } });
    engine = await Engine.start({ assembly, python: { interpreter: 'python3' } });
    logs = new CloudWatchLogsClient(engine.clientConfig);
    await new SageMakerClient(engine.clientConfig).send(
      new CreateTrainingJobCommand({
        TrainingJobName: 'job',
        RoleArn: engine.assembly.resources.find(({ logicalId }) => logicalId === 'JobRole')?.arn,
        AlgorithmSpecification: { TrainingImage: IMAGE, TrainingInputMode: 'File' },
        HyperParameters: {
          sagemaker_program: 'train.py',
          sagemaker_submit_directory: `s3://${ASSET_BUCKET}/script.tar.gz`,
        },
        OutputDataConfig: { S3OutputPath: 's3://data/models' },
        ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 10 },
        StoppingCondition: { MaxRuntimeInSeconds: 60 },
      }),
    );
    await engine.idle();
  });
  afterAll(() => engine.stop());

  test('shows what a training job wrote', async () => {
    const { logStreams } = await logs.send(new DescribeLogStreamsCommand({ logGroupName: GROUP }));
    expect(logStreams).toMatchObject([{ logStreamName: expect.stringMatching(/^job\/algo-1-\d{10}$/) }]);
    const { events } = await logs.send(
      new GetLogEventsCommand({ logGroupName: GROUP, logStreamName: logStreams?.[0]?.logStreamName }),
    );
    expect(events?.map(({ message }) => message)).toEqual(
      expect.arrayContaining(['epoch 1 loss 0.5', 'epoch 2 loss 0.25']),
    );
    expect(events?.at(-1)?.timestamp).toBeGreaterThan(Date.now() - 60_000);
  });

  test('shows what functions wrote, in their own group or the one that they name', async () => {
    const invoker = new LambdaClient(engine.clientConfig);
    const read = (logGroupName: string) =>
      logs
        .send(new FilterLogEventsCommand({ logGroupName, filterPattern: '"the word is"' }))
        .then(({ events }) => events?.map(({ message }) => message));
    expect(await read('own')).toEqual([]); // the template has it
    await expect(read('/aws/lambda/plain')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });

    for (const FunctionName of ['plain', 'grouped']) {
      await invoker.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify({ word: FunctionName }) }));
    }

    expect(await read('/aws/lambda/plain')).toEqual([expect.stringContaining('the word is plain')]);
    expect(await read('own')).toEqual([expect.stringContaining('the word is grouped')]);
    await expect(read('/aws/lambda/grouped')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    const { logStreams } = await logs.send(new DescribeLogStreamsCommand({ logGroupName: '/aws/lambda/plain' }));
    expect(logStreams?.[0]?.logStreamName).toMatch(/^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/);
  });

  test('lets a role read that may read the group, and no other', async () => {
    const run = (name: string) =>
      new SFNClient({ ...engine.clientConfig, disableHostPrefix: true }).send(
        new StartSyncExecutionCommand({
          stateMachineArn: `arn:aws:states:us-east-1:000000000000:stateMachine:${name}`,
        }),
      );
    const { status, output } = await run('read');
    expect(status).toBe('SUCCEEDED');
    expect(JSON.parse(output as string)).toEqual(['epoch 1 loss 0.5', 'epoch 2 loss 0.25']);
    const pried = await run('pry');
    expect(pried.status).toBe('FAILED');
    expect(pried.cause).toContain(`logs:FilterLogEvents on resource: "${group}:log-stream:"`);
  });
});
