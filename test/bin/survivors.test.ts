import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  CreateTrainingJobCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { afterEach, describe, expect, test } from 'vitest';
import { ASSET_BUCKET, assemblyOf } from '../../engine/test/support/assembly';
import { DOUBLE, IMAGE } from '../../engine/test/support/sagemaker';
import { EngineProcess, processesOf, survivorsOf } from '../support/engine-process';

const ROLE = 'arn:aws:iam::000000000000:role/worker';

/** Functions that do not end when their engine does, each in its own way. */
const FUNCTIONS = {
  spins: 'export const handler = async () => { for (;;) ; };',
  'spins-while-loading': 'for (;;) ; export const handler = 1;',
  writes: 'export const handler = async () => { for (;;) { console.log("on"); await new Promise(setImmediate); } };',
  waits: 'export const handler = () => new Promise((done) => setTimeout(done, 600_000));',
  'ignores-signals': `for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => {});
    export const handler = () => new Promise((done) => setTimeout(done, 600_000));`,
  'has-children': `import { spawn } from 'node:child_process';
    export const handler = () => {
      spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref();
      spawn('sh', ['-c', 'trap "" TERM; sleep 600 & wait']);
      return new Promise((done) => setTimeout(done, 600_000));
    };`,
};

/** Scripts and models, likewise. */
const TRAINING = `
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(['sleep', '600'], start_new_session=True)
subprocess.Popen([sys.executable, '-c', 'while True: pass'])
while True: pass
`;
const SERVING = `
import subprocess, sys
subprocess.Popen(['sleep', '600'], start_new_session=True)
subprocess.Popen([sys.executable, '-c', 'while True: pass'])
${DOUBLE}`;

function assembly(): string {
  const assets: Record<string, string> = {};
  const functions = Object.entries(FUNCTIONS).map(([name, code]) => {
    const folder = mkdtempSync(join(tmpdir(), 'code-'));
    writeFileSync(join(folder, 'index.mjs'), code);
    assets[`${name}.zip`] = folder;
    const Properties = {
      ...{ FunctionName: name, Runtime: 'nodejs24.x', Handler: 'index.handler', Timeout: 900, MemorySize: 512 },
      Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
      Code: { S3Bucket: ASSET_BUCKET, S3Key: `${name}.zip` },
    };
    return [name.replaceAll('-', ''), { Type: 'AWS::Lambda::Function', Properties }];
  });
  const Principal = { Service: ['lambda.amazonaws.com', 'sagemaker.amazonaws.com'] };
  const template = {
    Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } },
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        RoleName: 'worker',
        AssumeRolePolicyDocument: { Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal }] },
        Policies: [
          {
            PolicyName: 'all',
            PolicyDocument: { Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }] },
          },
        ],
      },
    },
    ...Object.fromEntries(functions),
  };
  return assemblyOf(template, { assets });
}

let state: string;
let engine: EngineProcess | undefined;
afterEach(async () => {
  await engine?.end('SIGKILL');
  for (const { pid } of processesOf(state)) process.kill(pid, 'SIGKILL'); // so that one failure does not bring another
});

async function start(): Promise<EngineProcess> {
  state = join(mkdtempSync(join(tmpdir(), 'survivors-')), 'state');
  engine = await EngineProcess.start({ assembly: assembly(), state });
  return engine;
}

/** Invokes a function without waiting for it, until it has begun. */
async function invoke({ clientConfig }: EngineProcess, name: string): Promise<void> {
  await new LambdaClient(clientConfig).send(new InvokeCommand({ FunctionName: name, InvocationType: 'Event' }));
  await appears('bootstrap');
  await sleep(700); // until it does what it does
}

/** Waits for a process of the engine whose command line has this text. */
async function appears(text: string): Promise<void> {
  const until = Date.now() + 30_000;
  while (!processesOf(state).some(({ command }) => command.includes(text))) {
    if (Date.now() > until) throw new Error(`no process has '${text}':\n${engine?.output}`);
    await sleep(20);
  }
}

async function archive({ clientConfig }: EngineProcess, name: string, files: Record<string, string>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'archive-'));
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), content);
  }
  execFileSync('tar', ['-czf', `${folder}.tar.gz`, '-C', folder, '.']);
  const Key = `${name}.tar.gz`;
  const Body = readFileSync(`${folder}.tar.gz`);
  await new S3Client(clientConfig).send(new PutObjectCommand({ Bucket: 'data', Key, Body }));
  return `s3://data/${Key}`;
}

async function train(running: EngineProcess): Promise<void> {
  const code = await archive(running, 'code', { 'train.py': TRAINING });
  await new SageMakerClient(running.clientConfig).send(
    new CreateTrainingJobCommand({
      TrainingJobName: 'stubborn',
      RoleArn: ROLE,
      AlgorithmSpecification: { TrainingImage: IMAGE, TrainingInputMode: 'File' },
      HyperParameters: { sagemaker_program: 'train.py', sagemaker_submit_directory: code },
      OutputDataConfig: { S3OutputPath: 's3://data/models' },
      ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 1 },
      StoppingCondition: { MaxRuntimeInSeconds: 600 },
    }),
  );
  await appears('while True');
}

async function serve(running: EngineProcess): Promise<void> {
  const sagemaker = new SageMakerClient(running.clientConfig);
  const ModelDataUrl = await archive(running, 'model', { 'code/inference.py': SERVING, weights: '2' });
  const PrimaryContainer = { Image: IMAGE, ModelDataUrl };
  await sagemaker.send(new CreateModelCommand({ ModelName: 'm', ExecutionRoleArn: ROLE, PrimaryContainer }));
  const ProductionVariants = [
    { VariantName: 'main', ModelName: 'm', InstanceType: 'ml.m5.large' as const, InitialInstanceCount: 1 },
  ];
  await sagemaker.send(new CreateEndpointConfigCommand({ EndpointConfigName: 'c', ProductionVariants }));
  await sagemaker.send(new CreateEndpointCommand({ EndpointName: 'e', EndpointConfigName: 'c' }));
  await appears('while True');
}

describe('no process is left when the engine is killed', () => {
  test.each(Object.keys(FUNCTIONS))('of a function that %s', async (name) => {
    const running = await start();
    await invoke(running, name);
    await running.end('SIGKILL');
    expect(await survivorsOf(state)).toEqual([]);
  });

  test('of a training script that ignores SIGTERM, keeps a core busy and has started others', async () => {
    const running = await start();
    await train(running);
    await running.end('SIGKILL');
    expect(await survivorsOf(state)).toEqual([]);
  });

  test('of a model that serves and has started others', async () => {
    const running = await start();
    await serve(running);
    await running.end('SIGKILL');
    expect(await survivorsOf(state)).toEqual([]);
  });

  test('while it starts processes', async () => {
    const running = await start();
    const lambda = new LambdaClient(running.clientConfig);
    const asked = ['waits', 'spins', 'writes'].flatMap((FunctionName) =>
      Array.from({ length: 4 }, () => lambda.send(new InvokeCommand({ FunctionName, InvocationType: 'Event' }))),
    );
    await Promise.all(asked);
    await running.end('SIGKILL');
    await sleep(500); // what was being started has come up by now
    expect(await survivorsOf(state)).toEqual([]);
  });
});

describe('no process is left when the engine is asked to end', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('by %s', async (signal) => {
    const running = await start();
    await Promise.all([invoke(running, 'spins'), invoke(running, 'has-children'), train(running), serve(running)]);
    expect(await running.end(signal)).toBe(0);
    expect(await survivorsOf(state, 2000)).toEqual([]);
  });

  test('and asked again before it has ended: then it ends at once', async () => {
    const running = await start();
    await Promise.all([invoke(running, 'spins'), invoke(running, 'has-children'), train(running), serve(running)]);
    running.child.kill('SIGSTOP'); // so that both come before it can act on the first
    running.child.kill('SIGINT');
    running.child.kill('SIGTERM');
    running.child.kill('SIGCONT');
    expect(await running.exited).toBe(130);
    expect(await survivorsOf(state)).toEqual([]);
  });
});
