// What the local engine itself costs: its start, a state, an invocation, and where the time of a small run goes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  ListStateMachinesCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { App } from 'aws-cdk-lib';
import { Engine } from '../engine/src';
import { ASSET_BUCKET, assemblyOf } from '../engine/test/support/assembly';
import { Lab, trainingRequest } from '../engine/test/support/sagemaker';
import { FlightsStack } from '../examples/flights/stack';
import { parquet } from '../test/loop/flights';
import { Loop } from '../test/loop/loop';

const ROUNDS = 5;
const WARM = 50;
const PASSES = 200;

function show(name: string, values: number[]): void {
  const sorted = [...values].sort((a, b) => a - b);
  const [middle, least, most] = [sorted[Math.floor(sorted.length / 2)], sorted[0], sorted[sorted.length - 1]];
  console.log(`${name}: ${middle.toFixed(1)} ms (${least.toFixed(1)}–${most.toFixed(1)}), n = ${values.length}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** From a synthesized assembly to an engine that answers. */
async function startUp(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-bench-'));
  const app = new App({ outdir: join(folder, 'cdk.out') });
  new FlightsStack(app, 'Bench');
  app.synth();
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const options = { assembly: join(folder, 'cdk.out'), stateDir: join(folder, `state-${i}`), schedules: false };
    let engine: Engine | undefined;
    times.push(
      await timed(async () => {
        engine = await Engine.start(options);
      }),
    );
    await engine?.stop();
  }
  rmSync(folder, { recursive: true, force: true });
  show('start of the flights app', times);
}

/** An app of functions that do nothing and of a machine that only passes. */
async function statesAndFunctions(): Promise<void> {
  const code = mkdtempSync(join(tmpdir(), 'perennial-bench-'));
  writeFileSync(join(code, 'index.mjs'), 'export const handler = async () => ({});');
  const role = (service: string) => ({
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: {
        Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: service } }],
      },
    },
  });
  const names = Array.from({ length: ROUNDS }, (_, i) => `fn${i}`);
  const functions = names.map((FunctionName) => [
    FunctionName,
    {
      Type: 'AWS::Lambda::Function',
      Properties: {
        ...{ FunctionName, Runtime: 'nodejs24.x', Handler: 'index.handler', MemorySize: 512, Timeout: 20 },
        Role: { 'Fn::GetAtt': ['FnRole', 'Arn'] },
        Code: { S3Bucket: ASSET_BUCKET, S3Key: 'code.zip' },
      },
    },
  ]);
  const states = Array.from({ length: PASSES }, (_, i) => [
    `P${i}`,
    { Type: 'Pass', ...(i < PASSES - 1 ? { Next: `P${i + 1}` } : { End: true }) },
  ]);
  const machine = { QueryLanguage: 'JSONata', StartAt: 'P0', States: Object.fromEntries(states) };
  const template = {
    FnRole: role('lambda.amazonaws.com'),
    MachineRole: role('states.amazonaws.com'),
    ...Object.fromEntries(functions),
    Machine: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: 'pass',
        RoleArn: { 'Fn::GetAtt': ['MachineRole', 'Arn'] },
        DefinitionString: JSON.stringify(machine),
      },
    },
  };
  const stateDir = mkdtempSync(join(tmpdir(), 'perennial-bench-'));
  const engine = await Engine.start({ assembly: assemblyOf(template, { assets: { 'code.zip': code } }), stateDir });
  const lambda = new LambdaClient(engine.clientConfig);
  const sfn = new SFNClient(engine.clientConfig);

  const cold: number[] = [];
  const invoke = (FunctionName: string) => timed(() => lambda.send(new InvokeCommand({ FunctionName })));
  for (const name of names) cold.push(await invoke(name));
  show('cold invocation of an empty function', cold);
  const warm: number[] = [];
  for (let i = 0; i < WARM; i++) warm.push(await invoke(names[0]));
  show('warm invocation of an empty function', warm);

  const passes: number[] = [];
  const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:pass';
  for (let i = 0; i < ROUNDS; i++) {
    const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input: '{}' }));
    await engine.idle();
    const { startDate, stopDate, status } = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    if (status !== 'SUCCEEDED') throw new Error(`the machine of Pass states ended as ${status}`);
    passes.push(Number(stopDate) - Number(startDate));
  }
  show(`${PASSES} Pass states, all together`, passes);
  lambda.destroy();
  sfn.destroy();
  await engine.stop();
  for (const folder of [code, stateDir]) rmSync(folder, { recursive: true, force: true });
}

/** Training jobs whose script does nothing, from the call to the end: on one host, and on two. */
async function trainingJobs(): Promise<void> {
  const lab = new Lab();
  const code = await lab.archive('code.tar.gz', { 'train.py': '' });
  for (const InstanceCount of [1, 2]) {
    const times: number[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const name = `job-${InstanceCount}-${i}`;
      const ResourceConfig = { InstanceType: 'ml.m5.large', InstanceCount, VolumeSizeInGB: 1 };
      times.push(
        await timed(async () => {
          await lab.call('CreateTrainingJob', trainingRequest(name, code, { ResourceConfig }));
          const { TrainingJobStatus, FailureReason } = await lab.finished(name);
          if (TrainingJobStatus !== 'Completed')
            throw new Error(`${name} ended as ${TrainingJobStatus}: ${FailureReason}`);
        }),
      );
    }
    show(`training job of an empty script on ${InstanceCount} host${InstanceCount === 1 ? '' : 's'}`, times);
  }
  await lab.stop();
}

/** A small run from an upload to an endpoint; the time of each state is from its entry to its exit. */
async function smallRun(): Promise<void> {
  const loop = await Loop.start();
  try {
    const rows = await parquet(1, 8000);
    let outcome: string | undefined;
    const whole = await timed(async () => {
      const { runs } = await loop.upload('incoming/2001-01.parquet', rows);
      outcome = runs[0]?.ended?.outcome;
    });
    console.log(`\nfrom an upload of 8000 rows until all is at rest: ${whole.toFixed(0)} ms, ${outcome}`);
    const sfn = new SFNClient(loop.engine.clientConfig);
    const all: Span[] = [];
    const { stateMachines = [] } = await sfn.send(new ListStateMachinesCommand({}));
    for (const { stateMachineArn } of stateMachines) {
      const { executions = [] } = await sfn.send(new ListExecutionsCommand({ stateMachineArn }));
      for (const { executionArn, name } of executions) all.push(...(await spans(sfn, `${name}`, executionArn)));
    }
    printSpans(all);
    sfn.destroy();
  } finally {
    await loop.stop();
  }
}

interface Span {
  readonly execution: string;
  readonly state: string;
  readonly waits: boolean;
  readonly from: number;
  readonly to: number;
}

async function spans(sfn: SFNClient, execution: string, executionArn: string | undefined): Promise<Span[]> {
  const { events = [] } = await sfn.send(new GetExecutionHistoryCommand({ executionArn, maxResults: 1000 }));
  const entered = new Map<string, number>();
  const found: Span[] = [];
  for (const { type, timestamp, stateEnteredEventDetails, stateExitedEventDetails } of events) {
    const [enters, exits] = [stateEnteredEventDetails?.name, stateExitedEventDetails?.name];
    if (enters !== undefined) entered.set(enters, Number(timestamp));
    if (exits === undefined) continue;
    const from = entered.get(exits) ?? Number.NaN;
    found.push({ execution, state: exits, waits: type === 'WaitStateExited', from, to: Number(timestamp) });
  }
  return found;
}

/** The engine's clock counts a Wait in full though it takes a thousandth, so what overlaps one has no true time. */
function printSpans(all: Span[]): void {
  console.log('\n| execution | state | ms |\n| --- | --- | ---: |');
  const waits = all.filter((span) => span.waits);
  for (const { execution, state, from, to } of all.filter((span) => !span.waits && span.to - span.from >= 10)) {
    const skewed = waits.some((wait) => wait.from < to && from < wait.to);
    console.log(`| ${execution} | ${state} | ${skewed ? 'overlaps a wait' : to - from} |`);
  }
}

async function main(): Promise<void> {
  await startUp();
  await statesAndFunctions();
  await trainingJobs();
  await smallRun();
}

void main();
