import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateModelPackageCommand, SageMakerClient, UpdateModelPackageCommand } from '@aws-sdk/client-sagemaker';
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHistory } from '../../bin/commands/ledger';
import { Engine } from '../../engine/src';
import { ArchiveTarget } from '../../examples/own-parts/serving-target';
import { dynamoLedger } from '../../lambdas/ledger/dynamo-ledger';
import {
  DatasetBucket,
  type IServingTarget,
  ModelDeployment,
  ModelRegistry,
  RunLedger,
  type ServingTargetConfig,
  type ServingTargetOptions,
} from '../../lib';
import { ErrorName } from '../../lib/core/errors';

const KEY = 'edge/model.tar.gz';

/** A stack that deploys to machines at the edge, by a target of its own. */
function edge(app: App, changed: (target: IServingTarget) => IServingTarget = (target) => target): Stack {
  const stack = new Stack(app, 'Edge');
  const dataset = new DatasetBucket(stack, 'Dataset');
  const bucket = new s3.Bucket(stack, 'EdgeBucket', { versioned: true });
  const ledger = new RunLedger(stack, 'Ledger');
  new ModelDeployment(stack, 'Deployment', {
    dataset,
    ledger,
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    pipelineName: 'flights',
    target: changed(new ArchiveTarget({ bucket, name: 'edge' })),
  });
  const outputs = { Data: dataset.bucket.bucketName, Served: bucket.bucketName, Table: ledger.table.tableName };
  for (const [name, value] of Object.entries(outputs)) new CfnOutput(stack, name, { value });
  return stack;
}

describe('a serving target written outside of the package, in the engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-outside-'));
  let engine: Engine;
  let [store, registry]: [S3Client?, SageMakerClient?] = [];
  const output = (name: string) => String(engine.outputs.Edge?.[name]);

  beforeAll(async () => {
    const assembly = join(folder, 'cdk.out');
    const app = new App({ outdir: assembly });
    edge(app);
    app.synth();
    const file = join(assembly, 'Edge.template.json');
    const template = readFileSync(file, 'utf8');
    const broken = template.replace('if (Metadata?.version', 'if (version === 2 || Metadata?.version');
    expect(broken).not.toBe(template);
    writeFileSync(file, broken); // the second version does not pass its smoke test
    engine = await Engine.start({ assembly, stateDir: join(folder, 'state'), timeScale: 0.001, schedules: false });
    store = new S3Client(engine.clientConfig);
    registry = new SageMakerClient(engine.clientConfig);
  });

  afterAll(async () => {
    store?.destroy();
    registry?.destroy();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Registers and approves a version, and waits for what comes of it. */
  async function approve(name: string, sha256?: string) {
    const Key = `runs/${name}/sealed/job/model.tar.gz`;
    const put = new PutObjectCommand({ Bucket: output('Data'), Key, Body: name, ChecksumAlgorithm: 'SHA256' });
    const { VersionId, ChecksumSHA256 } = (await store?.send(put)) ?? {};
    const made = await registry?.send(
      new CreateModelPackageCommand({
        ModelPackageGroupName: 'models',
        CustomerMetadataProperties: {
          ...{ pipeline: 'flights', runId: name },
          ...{ modelVersionId: String(VersionId), modelSha256: sha256 ?? String(ChecksumSHA256) },
        },
        InferenceSpecification: {
          Containers: [
            { Image: '1.dkr.ecr.us-east-1.amazonaws.com/i:1', ModelDataUrl: `s3://${output('Data')}/${Key}` },
          ],
          SupportedContentTypes: ['text/csv'],
          SupportedResponseMIMETypes: ['text/csv'],
        },
        ModelApprovalStatus: 'PendingManualApproval',
      }),
    );
    const { ModelPackageArn } = made ?? {};
    await registry?.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus: 'Approved' }));
    await engine.idle(60_000);
    const { deployments } = await readHistory(
      dynamoLedger({
        client: new DynamoDBClient(engine.clientConfig),
        tableName: output('Table'),
        pipeline: 'flights',
      }),
      'flights',
    );
    const [{ outcome, modelVersion: version, error } = {}] = deployments
      .filter(({ runId }) => runId === name || runId === undefined)
      .slice(-1);
    return { outcome, version, error: error?.name };
  }

  const served = async () =>
    (await store?.send(new HeadObjectCommand({ Bucket: output('Served'), Key: KEY })))?.Metadata?.version;

  test('serves what is approved, brings back what served before, and refuses an archive that was changed', async () => {
    expect(await approve('one')).toEqual({ outcome: 'DEPLOYED', version: 1, error: undefined });
    expect(await served()).toBe('1');
    expect(await approve('two')).toMatchObject({ outcome: 'ROLLED_BACK', version: 2 });
    expect(await served()).toBe('1');
    expect(await approve('three', 'another')).toMatchObject({
      outcome: 'FAILED',
      version: 3,
      error: ErrorName.MODEL_CHANGED,
    });
    expect(await served()).toBe('1');
    expect(await approve('four')).toMatchObject({ outcome: 'DEPLOYED', version: 4 });
    expect(await served()).toBe('4');
  });
});

describe('what a target returns is checked, whoever wrote it', () => {
  /** The target with other answers. */
  const saying =
    (
      change: (
        config: ServingTargetConfig,
        scope: Construct,
        options: ServingTargetOptions,
      ) => Partial<ServingTargetConfig>,
    ) =>
    (target: IServingTarget): IServingTarget => ({
      bind(scope, options) {
        const config = target.bind(scope, options);
        return { ...config, ...change(config, scope, options) };
      },
    });
  const pass = (scope: Construct, id: string) => sfn.Pass.jsonata(scope, id);

  test.each<[string, Parameters<typeof saying>[0], string]>([
    [
      'a name',
      () => ({ name: 'Edge_1' }),
      "the target's name must be 1 to 40 lower-case letters, digits and inner hyphens",
    ],
    [
      'a place of captures',
      () => ({ capturePrefix: 'edge' }),
      'capturePrefix must begin with capture/ and end with a slash',
    ],
    ['mistakes of its own', () => ({ mistakes: ['size must be 1, got 2'] }), 'size must be 1, got 2'],
    [
      'an endpoint without variants',
      ({ smokeTest: _ }, scope) => ({ endpoint: { configuration: {}, role: { roleArn: scope.node.path } as never } }),
      'endpoint: ProductionVariants must be a list of at least one variant, got undefined',
    ],
    [
      'states that never ask',
      (_, scope, { failed }) => ({ make: pass(scope, 'Made').next(failed) }),
      'make must go on to smokeTest, got Made;',
    ],
    [
      'states that end unrecorded',
      (_, scope) => ({ undo: pass(scope, 'Undone') }),
      'got Undone; let them have .next(options.rolledBack)',
    ],
    [
      'an undo that undoes nothing',
      (_, scope, { failed }) => ({ undo: pass(scope, 'Undone').next(failed) }),
      'undo must go on to options.rolledBack, got no way there',
    ],
    [
      'an undo that asks',
      ({ smokeTest }, scope) => ({ undo: pass(scope, 'Undone').next(smokeTest) }),
      'got a way to smokeTest',
    ],
  ])('%s', (_, change, message) => {
    expect(() => edge(new App(), saying(change))).toThrow(message);
  });

  test('every task must be caught, and say what went wrong', () => {
    const work = (scope: Construct, id: string) =>
      new sfn.Parallel(scope, id, { queryLanguage: sfn.QueryLanguage.JSONATA }).branch(pass(scope, `Inside ${id}`));
    const change: Parameters<typeof saying>[0] = ({ smokeTest }, scope, { rolledBack, failed }) => ({
      make: work(scope, 'Open').next(smokeTest),
      undo: work(scope, 'Mute')
        .addCatch(failed, { errors: ['States.ALL'] })
        .next(rolledBack),
    });
    expect(() => edge(new App(), saying(change))).toThrow(
      /every task must catch States.ALL, got Open without; .*every Catch must assign what went wrong, got Mute without/,
    );
  });

  test('of a target that is no endpoint only executions are stopped with the stack', () => {
    const template = Template.fromStack(edge(new App()));
    template.hasResourceProperties('Custom::PerennialCleanUp', { What: 'executions', Pipeline: 'flights' });
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).not.toMatch(/DeleteEndpoint|DescribeEndpoint/);
  });
});
