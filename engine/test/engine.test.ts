import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DescribeExecutionCommand, ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, test } from 'vitest';
import { type ClientConfig, Engine, type EngineOptions } from '../src/engine/engine';
import { assemblyOf } from './support/assembly';
import { signed } from './support/signed';

const engines: Engine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});

async function start(template: Record<string, unknown>, options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await Engine.start({ assembly: assemblyOf(template), ...options });
  engines.push(engine);
  return engine;
}

const trusting = (service: string) => ({
  Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: `${service}.amazonaws.com` } }],
});

const role = (name: string, service: string, ...Statement: unknown[]) => ({
  Type: 'AWS::IAM::Role',
  Properties: {
    RoleName: name,
    AssumeRolePolicyDocument: trusting(service),
    ...(Statement.length > 0 && { Policies: [{ PolicyName: 'inline', PolicyDocument: { Statement } }] }),
  },
});

const DATA = { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } };

/** An upload starts a machine that waits for an hour, and then ends. */
const PIPELINE = {
  Data: {
    Type: 'AWS::S3::Bucket',
    Properties: {
      BucketName: 'data',
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    },
  },
  MachineRole: role('machine', 'states'),
  Machine: {
    Type: 'AWS::StepFunctions::StateMachine',
    Properties: {
      StateMachineName: 'wait',
      RoleArn: { 'Fn::GetAtt': ['MachineRole', 'Arn'] },
      DefinitionString: JSON.stringify({
        QueryLanguage: 'JSONata',
        StartAt: 'Wait',
        States: {
          Wait: { Type: 'Wait', Seconds: 3600, Next: 'Done' },
          Done: { Type: 'Succeed', Output: '{% $states.input.detail.object.key %}' },
        },
      }),
    },
  },
  RuleRole: role('rule', 'events', { Effect: 'Allow', Action: 'states:StartExecution', Resource: { Ref: 'Machine' } }),
  Rule: {
    Type: 'AWS::Events::Rule',
    Properties: {
      EventPattern: { source: ['aws.s3'], detail: { bucket: { name: [{ Ref: 'Data' }] } } },
      Targets: [{ Id: 'Machine', Arn: { Ref: 'Machine' }, RoleArn: { 'Fn::GetAtt': ['RuleRole', 'Arn'] } }],
    },
  },
};

async function upload(engine: Engine, key = 'a.csv'): Promise<void> {
  await new S3Client(engine.clientConfig).send(new PutObjectCommand({ Bucket: 'data', Key: key, Body: 'hello' }));
}

/** The executions of {@link PIPELINE}'s machine. */
async function executions(engine: Engine) {
  const sfn = new SFNClient(engine.clientConfig);
  const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:wait';
  const { executions = [] } = await sfn.send(new ListExecutionsCommand({ stateMachineArn }));
  return await Promise.all(
    executions.map(({ executionArn }) => sfn.send(new DescribeExecutionCommand({ executionArn }))),
  );
}

describe('an app that runs', () => {
  test('does by itself what follows from an upload, and is then idle', async () => {
    const engine = await start(PIPELINE, { timeScale: 0 });
    await upload(engine);
    await engine.idle();
    expect(await executions(engine)).toMatchObject([{ status: 'SUCCEEDED', output: '"a.csv"' }]);
  });

  test('tells what still runs when it does not come to rest', async () => {
    const engine = await start(PIPELINE);
    await upload(engine);
    await expect(engine.idle(500)).rejects.toThrow(/^still busy after 500 ms; in flight:\n- .+/);
    expect(await executions(engine)).toMatchObject([{ status: 'RUNNING' }]);
  });

  test('logs what was called and by whom', async () => {
    const seen: string[] = [];
    const engine = await start(PIPELINE, {
      timeScale: 0,
      log: ({ service, message }) => seen.push(`${service} ${message}`),
    });
    await upload(engine);
    await engine.idle();
    const call = engine.log.find(({ message }) => message === 'StartExecution');
    expect(call?.detail?.by).toMatch(/^arn:aws:sts::000000000000:assumed-role\/rule\//);
    expect(seen).toHaveLength(engine.log.length);
  });

  test('is started by a schedule when a test fires it', async () => {
    const Schedule = {
      Type: 'AWS::Scheduler::Schedule',
      Properties: {
        Name: 'nightly',
        ScheduleExpression: 'cron(0 3 * * ? *)',
        FlexibleTimeWindow: { Mode: 'OFF' },
        Target: {
          Arn: { Ref: 'Machine' },
          RoleArn: { 'Fn::GetAtt': ['ScheduleRole', 'Arn'] },
          Input: '{"detail":{"object":{"key":"by schedule"}}}',
        },
      },
    };
    const { Statement } = PIPELINE.RuleRole.Properties.Policies?.[0]?.PolicyDocument ?? {};
    const ScheduleRole = role('schedule', 'scheduler', ...(Statement ?? []));
    const engine = await start({ ...PIPELINE, ScheduleRole, Schedule }, { timeScale: 0, schedules: false });
    engine.fire('nightly');
    await engine.idle();
    expect(await executions(engine)).toMatchObject([{ status: 'SUCCEEDED', output: '"by schedule"' }]);
  });

  test('fails as on AWS where a permission is missing', async () => {
    const engine = await start({ ...PIPELINE, RuleRole: role('rule', 'events') }, { timeScale: 0 });
    await upload(engine);
    await engine.idle();
    expect(await executions(engine)).toEqual([]);
    expect(engine.log.map(({ message }) => message).join('\n')).toContain(
      'is not authorized to perform: states:StartExecution on resource: "arn:aws:states:us-east-1:000000000000:stateMachine:wait"',
    );
  });

  test('fails as on AWS where a role does not trust the service that is to use it', async () => {
    const RuleRole = {
      ...PIPELINE.RuleRole,
      Properties: { ...PIPELINE.RuleRole.Properties, AssumeRolePolicyDocument: trusting('lambda') },
    };
    const engine = await start({ ...PIPELINE, RuleRole }, { timeScale: 0 });
    await upload(engine);
    await engine.idle();
    expect(await executions(engine)).toEqual([]);
    expect(engine.log.map(({ message }) => message).join('\n')).toContain(
      'its trust policy does not let events.amazonaws.com assume it',
    );
  });
});

describe('permissions', () => {
  const READER = role('reader', 'lambda', {
    Effect: 'Allow',
    Action: ['s3:GetObject', 's3:PutObject'],
    Resource: 'arn:aws:s3:::data/in/*',
    Sid: 'In',
  });

  test('bind who signs as a role', async () => {
    const engine = await start({ Data: DATA, Reader: READER });
    await upload(engine, 'in/a');
    const s3 = new S3Client(engine.clientConfigAs('arn:aws:iam::000000000000:role/reader'));
    const reply = await s3.send(new GetObjectCommand({ Bucket: 'data', Key: 'in/a' }));
    expect(await reply.Body?.transformToString()).toBe('hello');
    await expect(s3.send(new ListObjectsV2Command({ Bucket: 'data' }))).rejects.toMatchObject({
      name: 'AccessDenied',
      $metadata: { httpStatusCode: 403 },
      message: expect.stringMatching(
        /assumed-role\/reader\/local is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::data"/,
      ),
    });
    expect(engine.unusedPermissions()).toMatchObject([{ statement: 'In', action: 's3:PutObject' }]);
  });
});

describe('the token service', () => {
  /** The text of an element in the answer to a query. */
  async function ask(client: ClientConfig, query: Record<string, string>, element: string): Promise<string> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ Version: '2011-06-15', ...query }).toString();
    const text = await (await fetch(...(await signed(client, 'sts', { headers, body })))).text();
    return text.match(new RegExp(`<${element}>([^<]*)<`))?.[1] ?? text;
  }

  test('tells who one is', async () => {
    const engine = await start({ Data: DATA });
    expect(await ask(engine.clientConfig, { Action: 'GetCallerIdentity' }, 'Arn')).toBe(
      'arn:aws:iam::000000000000:root',
    );
  });

  test('gives the keys of a role, with which one is the role', async () => {
    const engine = await start({ Reader: role('reader', 'lambda') });
    const RoleArn = 'arn:aws:iam::000000000000:role/reader';
    const query = { Action: 'AssumeRole', RoleArn, RoleSessionName: 'me' };
    const answer = await ask(engine.clientConfig, query, 'none of its elements, so all of it');
    const part = (name: string) => answer.match(new RegExp(`<${name}>([^<]*)<`))?.[1] ?? '';
    const credentials = {
      accessKeyId: part('AccessKeyId'),
      secretAccessKey: part('SecretAccessKey'),
      sessionToken: part('SessionToken'),
    };
    const asReader = { ...engine.clientConfig, credentials };
    expect(await ask(asReader, { Action: 'GetCallerIdentity' }, 'Arn')).toBe(
      'arn:aws:sts::000000000000:assumed-role/reader/me',
    );
    expect(await ask(asReader, query, 'Code')).toBe('AccessDenied');
  });
});

describe('what does nothing here', () => {
  test('is listed with the reason', async () => {
    const engine = await start({
      Data: DATA,
      Key: { Type: 'AWS::EC2::VPC', Properties: {} },
      Hook: { Type: 'Custom::Hook', Properties: {} },
      Role: { Type: 'AWS::IAM::Role', Properties: { ManagedPolicyArns: ['arn:aws:iam::aws:policy/PowerUserAccess'] } },
    });
    expect(engine.inert).toEqual([
      { path: 'Key', type: 'AWS::EC2::VPC', why: 'the engine does nothing with this type' },
      { path: 'Hook', type: 'Custom::Hook', why: 'this custom resource is not run' },
      { path: 'Role', type: 'AWS::IAM::Role', why: 'unknown to the engine, grants nothing: PowerUserAccess' },
    ]);
  });
});

describe('starting and stopping', () => {
  test('tells clients where and as whom', async () => {
    const folder = assemblyOf({ Data: DATA }, { environment: 'aws://123456789012/eu-west-1' });
    const engine = await Engine.start({ assembly: folder });
    engines.push(engine);
    expect(engine.environment).toMatchObject({ AWS_ENDPOINT_URL: engine.url, AWS_REGION: 'eu-west-1' });
    expect(engine.clientConfig).toMatchObject({ endpoint: engine.url, region: 'eu-west-1', forcePathStyle: true });
    expect(engine.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test('leaves no server behind, and may stop twice', async () => {
    const engine = await start({ Data: DATA });
    const [first, second] = [engine.stop(), engine.stop()];
    await Promise.all([first, second]);
    await expect(fetch(engine.url)).rejects.toThrow();
  });

  test('does not wait for what still runs', async () => {
    const engine = await start(PIPELINE);
    await upload(engine);
    const begin = performance.now();
    await engine.stop();
    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  test('keeps its state in the folder that it is given', async () => {
    const stateDir = join(mkdtempSync(join(tmpdir(), 'state-')), 'new');
    const engine = await start({ Data: DATA }, { stateDir });
    await upload(engine);
    expect(existsSync(stateDir)).toBe(true);
    await engine.stop();
    const again = await start({ Data: DATA }, { stateDir });
    const reply = await new S3Client(again.clientConfig).send(new GetObjectCommand({ Bucket: 'data', Key: 'a.csv' }));
    expect(await reply.Body?.transformToString()).toBe('hello');
  });

  test('is refused on the folder of an engine that runs, and starts there once that has ended', async () => {
    const engine = await start({ Data: DATA });
    const { stateDir } = engine;
    await expect(start({ Data: DATA }, { stateDir })).rejects.toThrow(
      `another engine (process ${process.pid}) runs on the state in ${stateDir}: end it, or name another folder`,
    );
    await upload(engine); // the first is none the worse for it
    await engine.stop();
    await start({ Data: DATA }, { stateDir });
  });

  test('is refused on a folder with other things in it, and changes nothing there', async () => {
    const stateDir = mkdtempSync(join(tmpdir(), 'home-'));
    writeFileSync(join(stateDir, 'thesis.txt'), 'mine');
    await expect(start({ Data: DATA }, { stateDir })).rejects.toThrow(/must be empty or an engine's own.*thesis\.txt/);
    expect(readdirSync(stateDir)).toEqual(['thesis.txt']);
  });

  test('starts where a part of its state is torn, and says what it set aside', async () => {
    const engine = await start({ Data: DATA });
    const { stateDir } = engine;
    await upload(engine);
    await engine.stop();
    const journal = join(stateDir, 'journal.jsonl');
    writeFileSync(journal, `${readFileSync(journal, 'utf8')}["s3/versions","torn",{"bucket":"da`);
    const again = await start({ Data: DATA }, { stateDir });
    expect(again.recovered).toEqual(['a line of journal.jsonl is set aside in set-aside/journal.jsonl: it is cut off']);
    expect(again.log.map(({ message }) => message)).toContain(again.recovered[0]);
    const reply = await new S3Client(again.clientConfig).send(new GetObjectCommand({ Bucket: 'data', Key: 'a.csv' }));
    expect(await reply.Body?.transformToString()).toBe('hello');
  });

  test('fails on a wrong assembly, and frees its port', async () => {
    const broken = start({ Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: { Ref: 'Gone' } } } });
    await expect(broken).rejects.toThrow('stack Stack, the name of Data: nothing here is called Gone');
    await expect(Engine.start({ assembly: '/nowhere' })).rejects.toThrow('run `cdk synth` first');
  });
});
