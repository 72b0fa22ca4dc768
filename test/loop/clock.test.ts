import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DescribeExecutionCommand, ListExecutionsCommand, SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { DefinitionBody, QueryLanguage, StateMachine, Succeed, Wait, WaitTime } from 'aws-cdk-lib/aws-stepfunctions';
import { expect, test } from 'vitest';
import { Engine } from '../../engine/src';
import { DatasetBucket, RetrainController, RunLedger } from '../../lib';
import type { Template } from './loop';

const HOUR = 3_600_000;
const RUN = Duration.minutes(20);

/**
 * A controller around a machine that waits, from the synthesized template, but for its rules; an hour is a second.
 */
async function control() {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-clock-'));
  const assembly = join(folder, 'cdk.out');
  const app = new App({ outdir: assembly });
  const stack = new Stack(app, 'Clock');
  const machine = new StateMachine(stack, 'Machine', {
    queryLanguage: QueryLanguage.JSONATA,
    definitionBody: DefinitionBody.fromChainable(
      Wait.jsonata(stack, 'Train', { time: WaitTime.duration(RUN) }).next(Succeed.jsonata(stack, 'Trained')),
    ),
  });
  const dataset = new DatasetBucket(stack, 'Dataset');
  new RetrainController(stack, 'Controller', {
    dataset,
    ledger: new RunLedger(stack, 'Ledger'),
    pipelineName: 'clock',
    machine,
    batchingWindow: Duration.seconds(0),
  });
  new CfnOutput(stack, 'Bucket', { value: dataset.bucket.bucketName });
  new CfnOutput(stack, 'MachineArn', { value: machine.stateMachineArn });
  app.synth();
  const path = join(assembly, 'Clock.template.json');
  const template = JSON.parse(readFileSync(path, 'utf8'));
  silence(template);
  writeFileSync(path, JSON.stringify(template));

  const engine = await Engine.start({ assembly, stateDir: join(folder, 'state'), timeScale: 1000 / HOUR });
  const { Bucket, MachineArn: stateMachineArn } = engine.outputs.Clock as Record<string, string>;
  const [s3, sfn] = [new S3Client(engine.clientConfig), new SFNClient(engine.clientConfig)];
  return {
    engine,
    upload: (name: string) => s3.send(new PutObjectCommand({ Bucket, Key: `incoming/${name}`, Body: name })),
    async runs() {
      const { executions = [] } = await sfn.send(new ListExecutionsCommand({ stateMachineArn }));
      return executions.sort((a, b) => Number(a.startDate) - Number(b.startDate));
    },
    /** The uploads that a run was started for. */
    async servedBy(executionArn: string | undefined): Promise<string[]> {
      const { input = '{}' } = await sfn.send(new DescribeExecutionCommand({ executionArn }));
      return JSON.parse(input).evidence.map(({ detail }: { detail: { key: string } }) => detail.key);
    },
    abort: (executionArn: string | undefined) => sfn.send(new StopExecutionCommand({ executionArn })),
    async stop() {
      s3.destroy();
      sfn.destroy();
      await engine.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Nobody tells of uploads or of ends of runs. */
function silence({ Resources }: Template): void {
  for (const { Type, Properties } of Object.values<Template>(Resources))
    if (Type === 'AWS::Events::Rule') Properties.State = 'DISABLED';
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 20));
}

test('the schedule of the template finds uploads and ends of runs, though no event tells of any', async () => {
  const world = await control();
  try {
    for (const name of ['a.csv', 'b.csv']) {
      const before = await world.runs();
      await world.upload(name);
      if (before[0]) await world.abort(before[0].executionArn).catch(() => {}); // or it has ended by itself
      await until(async () => (await world.runs()).length > before.length);
      const run = (await world.runs()).at(-1);
      expect(await world.servedBy(run?.executionArn)).toEqual([`incoming/${name}`]);
    }
    const [first, second] = await world.runs();
    expect(Number(second?.startDate)).toBeGreaterThanOrEqual(Number(first?.stopDate));
  } finally {
    await world.stop();
  }
}, 240_000);
