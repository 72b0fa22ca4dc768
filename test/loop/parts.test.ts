import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  ListEndpointConfigsCommand,
  ListEndpointsCommand,
  ListModelsCommand,
  ListTagsCommand,
  ListTrainingJobsCommand,
  ListTransformJobsCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { App, Stack, Tags } from 'aws-cdk-lib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHistory } from '../../bin/commands/ledger';
import { Engine } from '../../engine/src';
import { dynamoLedger } from '../../lambdas/ledger/dynamo-ledger';
import type { History } from '../../lib/core/ledger/history';
import { flightsOf } from '../kills/app';
import { partsExample } from '../support/examples';
import { stubTrainer } from '../support/stub-trainer';
import { invoke, userFunction } from '../support/user-functions';

const PIPELINE = 'sunday-flights';

describe('a stack that trains, one that deploys, one that watches, and functions of a user in a fourth', () => {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-parts-'));
  let engine: Engine;

  beforeAll(async () => {
    const assembly = join(folder, 'cdk.out');
    const app = new App({ outdir: assembly });
    const { training, deployment } = partsExample(app, stubTrainer());
    Tags.of(training).add('team', 'training');
    Tags.of(deployment).add('team', 'serving');
    const users = new Stack(app, 'Users');
    const granted = (handler: string) => userFunction(users, handler);
    training.dataset.grantUpload(granted('upload'));
    training.dataset.grantRead(granted('read'));
    training.ledger.grantRead(granted('facts'), PIPELINE);
    training.registry.grantApprove(granted('approve'));
    training.controller.grantRequestRun(granted('requestRun'));
    training.controller.grantReportDrift(granted('reportDrift'));
    training.controller.grantReportDrift(granted('pretend'));
    deployment.deployment.grantInvoke(granted('ask'));
    app.synth();
    engine = await Engine.start({ assembly, stateDir: join(folder, 'state'), timeScale: 0.001, schedules: false });
  }, 300_000);
  afterAll(async () => {
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function facts(): Promise<History> {
    await engine.idle(120_000);
    const [table] = engine.assembly.ofType('AWS::DynamoDB::Table');
    const client = new DynamoDBClient(engine.clientConfig);
    try {
      return await readHistory(
        dynamoLedger({ client, tableName: table?.physicalId as string, pipeline: PIPELINE }),
        PIPELINE,
        { limit: 10_000 },
      );
    } finally {
      client.destroy();
    }
  }

  test('an upload is trained on, and what passes waits for a person', async () => {
    await invoke(engine, 'upload', { key: 'incoming/january.csv', body: flightsOf(0) });
    const { runs, deployments } = await facts();
    expect(runs.map(({ ended }) => ended)).toMatchObject([{ outcome: 'AWAITING_APPROVAL' }]);
    expect(deployments).toEqual([]);
  }, 240_000);

  test('approved, it serves on the endpoint of the other stack, and answers', async () => {
    expect(await invoke(engine, 'approve')).toMatch(/:model-package\/sunday-flights\/1$/);
    const { deployments } = await facts();
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
    expect(await invoke(engine, 'ask', { rows: ['1,12,3,400,ATL,JFK', '2,0,3,400,ATL,JFK'] })).toEqual([0.41, 0.05]);
  }, 240_000);

  test('drift that the third stack finds on that endpoint starts a run in the first', async () => {
    // flights in the last hour of the day alone, of which the model was shown as many as of any other hour
    const ids = Array.from({ length: 600 }, (_, i) => 10_000 + i);
    const asked = ids.map((id, i) => `${id},23,${1 + (i % 7)},${300 + i},ATL,JFK`);
    for (let at = 0; at < asked.length; at += 200) await invoke(engine, 'ask', { rows: asked.slice(at, at + 200) });
    await engine.idle(120_000);
    engine.advance(2 * 3600_000); // drift starts no run within an hour of the last
    const rows = ids.map((id, i) => `${id},2001-03-${10 + (i % 20)} 23:00:00,${i % 50},${300 + i},ATL,JFK`);
    const body = `flight,date,delay,distance,origin,destination\n${rows.join('\n')}\n`;
    await invoke(engine, 'upload', { key: 'ground-truth/march.csv', body });
    const { windows, decisions, runs } = await facts();
    expect(windows).toMatchObject([{ verdict: 'DRIFT', modelVersion: 1, rows: 600 }]);
    expect(decisions.at(-1)).toMatchObject({ reason: 'drift', decided: 'STARTED' });
    expect(runs.at(-1)?.started).toMatchObject({ reason: 'drift', files: 2 });
  }, 240_000);

  test('a function that may read the ledger and the data finds what was found', async () => {
    expect(await invoke(engine, 'facts')).toContainEqual(expect.stringMatching(/^MONITOR#/));
    expect(await invoke(engine, 'read', { prefix: 'monitor/' })).toMatchObject({
      count: 1,
      text: expect.stringContaining('"verdict":"DRIFT"'),
    });
  });

  test('a function that may ask for a run starts one', async () => {
    expect(await invoke(engine, 'requestRun')).toBe(0);
    const { runs } = await facts();
    expect(runs.at(-1)?.started).toMatchObject({ reason: 'manual' });
  }, 240_000);

  test('a monitor of the user’s own reports drift, and may say nothing else', async () => {
    expect(await invoke(engine, 'reportDrift', { windowEnd: '2001-04-01T00:00:00Z' })).toBe(0);
    const { decisions } = await facts();
    const heard = decisions.filter(({ eventId }) => eventId === 'theirs');
    expect(heard).toMatchObject([{ reason: 'drift', decided: 'IGNORED' }]); // a window before the last run
    await expect(invoke(engine, 'pretend')).rejects.toThrow('is not authorized to perform: events:PutEvents');
  }, 240_000);

  test('all that was made at run time has the tags of the stack that made it', async () => {
    const sagemaker = new SageMakerClient(engine.clientConfig);
    const arnsIn = async (command: 'TrainingJob' | 'TransformJob' | 'Model' | 'EndpointConfig' | 'Endpoint') => {
      const found = await {
        TrainingJob: async () => (await sagemaker.send(new ListTrainingJobsCommand({}))).TrainingJobSummaries,
        TransformJob: async () => (await sagemaker.send(new ListTransformJobsCommand({}))).TransformJobSummaries,
        Model: async () => (await sagemaker.send(new ListModelsCommand({}))).Models,
        EndpointConfig: async () => (await sagemaker.send(new ListEndpointConfigsCommand({}))).EndpointConfigs,
        Endpoint: async () => (await sagemaker.send(new ListEndpointsCommand({}))).Endpoints,
      }[command]();
      return (found ?? []).map((one) => String(Object.entries(one).find(([key]) => key === `${command}Arn`)?.[1]));
    };
    const teams = async (arns: string[]) => {
      const tags = await Promise.all(arns.map((ResourceArn) => sagemaker.send(new ListTagsCommand({ ResourceArn }))));
      return tags.map(({ Tags: found = [] }) => found.find(({ Key }) => Key === 'team')?.Value);
    };
    const isScoring = (arn: string) => /-c-/.test(arn);
    const models = await arnsIn('Model');

    const training = [...(await arnsIn('TrainingJob')), ...(await arnsIn('TransformJob')), ...models.filter(isScoring)];
    expect(training.length).toBeGreaterThan(6); // three runs, of which two have a champion to score, with a model of its own
    expect(new Set(await teams(training))).toEqual(new Set(['training']));

    const serving = [
      ...(await arnsIn('Endpoint')),
      ...(await arnsIn('EndpointConfig')),
      ...models.filter((arn) => !isScoring(arn)),
    ];
    expect(serving).toHaveLength(3);
    expect(new Set(await teams(serving))).toEqual(new Set(['serving']));
    sagemaker.destroy();
  });
});
