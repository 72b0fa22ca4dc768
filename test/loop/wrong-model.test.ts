import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  DeleteEndpointCommand,
  DeleteModelPackageCommand,
  DescribeEndpointCommand,
  DescribeModelPackageCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { createTar } from 'nanotar';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ITrainer, Trainer, type TrainerConfig } from '../../lib';
import { approveByHand } from './by-hand';
import { csv, flights, requests } from './flights';
import { Loop, type Template } from './loop';

/** The XGBoost trainer with somebody's own script in its place. */
class ScriptTrainer implements ITrainer {
  constructor(private readonly script: string) {}

  public bind(scope: Construct): TrainerConfig {
    const path = join(mkdtempSync(join(tmpdir(), 'script-')), 'source.tar.gz');
    writeFileSync(path, gzipSync(createTar([{ name: 'train.py', data: this.script }])));
    const { s3ObjectUrl: url, bucket, s3ObjectKey } = new Asset(scope, 'Script', { path });
    const source = { url, arn: bucket.arnForObjects(s3ObjectKey), program: 'train.py' };
    return { ...Trainer.xgboost().bind(scope), source };
  }
}

/** Runs January through a trainer with this script; no model may come into service. */
async function trainWith(script: string, edit?: (template: Template) => void) {
  const loop = await Loop.start({ trainer: new ScriptTrainer(script), ...(edit && { edit }) });
  try {
    const facts = await loop.upload('incoming/january.csv', csv(await flights(1, 2000)));
    expect(facts.runs).toHaveLength(1);
    expect(facts.deployments.filter(({ outcome }) => outcome === 'DEPLOYED')).toEqual([]);
    return { run: facts.runs[0], deployments: facts.deployments };
  } finally {
    await loop.stop();
  }
}

describe('a training script', () => {
  test('that exits with 1 fails its run with its own last words', async () => {
    const { run } = await trainWith(
      "import sys, pathlib\npathlib.Path('/opt/ml/output/failure').write_text('the learning rate is negative')\nsys.exit(1)\n",
    );
    expect(run?.attempts).toMatchObject([{ status: 'Failed' }]);
    expect(run?.ended).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.TrainingFailed' } });
    expect(run?.ended?.error?.cause).toMatch(/AlgorithmError.*the learning rate is negative/s);
  }, 180_000);

  test('that hangs is stopped when its time is over', async () => {
    const { run } = await trainWith('import time\ntime.sleep(600)\n', (template) => {
      for (const { Type, Properties } of Object.values<Template>(template.Resources)) {
        if (Type !== 'AWS::StepFunctions::StateMachine') continue;
        const parts = Properties.DefinitionString['Fn::Join'][1];
        parts.forEach((part: unknown, index: number) => {
          if (typeof part === 'string')
            parts[index] = part.replaceAll('"maxRuntimeSeconds":14400', '"maxRuntimeSeconds":2');
        });
      }
    });
    expect(run?.attempts).toHaveLength(1);
    expect(run?.ended).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.TrainingFailed' } });
    expect(run?.ended?.error?.cause).toMatch(/CLIENT.*not done within maxDuration/);
  }, 180_000);

  test('that writes no model fails its run', async () => {
    const { run } = await trainWith("print('all done')\n");
    expect(run?.ended).toMatchObject({ outcome: 'FAILED' });
    expect(run?.ended?.error?.cause).toMatch(/model/);
  }, 180_000);

  test('whose model cannot serve fails its run before it is registered', async () => {
    const { run } = await trainWith(
      "import pathlib\ncode = pathlib.Path('/opt/ml/model/code')\ncode.mkdir()\n(code / 'inference.py').write_text('raise RuntimeError(\"no such library\")')\n",
    );
    expect(run?.ended).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.ScoringFailed' } });
  }, 180_000);
});

describe('a champion', () => {
  let loop: Loop;
  let sagemaker: SageMakerClient;
  beforeAll(async () => {
    loop = await Loop.start();
    sagemaker = new SageMakerClient(loop.engine.clientConfig);
    const { deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
  }, 240_000);
  afterAll(() => loop.stop());

  test('goes on serving when somebody approves a version that cannot serve, which is rejected with the reason', async () => {
    const [serving] = (await loop.facts()).deployments;
    const broken = 'raise RuntimeError("no such library")';
    const ModelPackageName = await approveByHand(loop, serving?.modelPackageArn as string, broken);

    const { deployments } = await loop.rest();
    expect(deployments.at(-1)).toMatchObject({ modelVersion: 2, outcome: 'ROLLED_BACK' });
    expect(deployments.at(-1)?.error).toMatchObject({ name: 'Perennial.DeploymentFailed' });
    expect(loop.told()).toContainEqual(
      expect.stringMatching(/of version 2 was rolled back: Perennial\.DeploymentFailed/),
    );
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
    const rejected = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName }));
    expect(rejected.ModelApprovalStatus).toBe('Rejected');
    expect(rejected.ApprovalDescription).toContain('the endpoint serves flights-');
  }, 240_000);

  test('whose endpoint somebody deleted is scored all the same, and the next model makes the endpoint again', async () => {
    await sagemaker.send(new DeleteEndpointCommand({ EndpointName: 'flights' }));
    const { runs } = await loop.upload('incoming/february.csv', csv(await flights(2, 8000)));
    expect(runs.at(-1)?.judged).toMatchObject({ championVersion: 1 });
    expect(runs.at(-1)?.ended?.outcome).toBe('PROMOTED');
    const { EndpointStatus } = await sagemaker.send(new DescribeEndpointCommand({ EndpointName: 'flights' }));
    expect(EndpointStatus).toBe('InService');
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
  }, 240_000);

  test('whose version somebody deleted is no champion any more, and the ledger says so', async () => {
    const { deployments } = await loop.facts();
    for (const { modelPackageArn } of deployments) {
      await sagemaker.send(new DeleteModelPackageCommand({ ModelPackageName: modelPackageArn })).catch(() => undefined);
    }
    const { runs } = await loop.upload('incoming/march.csv', csv(await flights(3, 8000)));
    expect(runs.at(-1)?.judged).toMatchObject({ verdict: 'FIRST' });
    expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'PROMOTED' });
    const arn = runs.at(-1)?.ended?.modelPackageArn as string;
    const version = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: arn }));
    expect(version.ModelApprovalStatus).toBe('Approved');
  }, 240_000);
});
