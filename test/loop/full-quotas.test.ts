import {
  DescribeModelPackageCommand,
  ListModelsCommand,
  ListTransformJobsCommand,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import { Duration } from 'aws-cdk-lib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DeploymentEnded } from '../../lib/core/ledger/facts';
import { csv, flights, requests } from './flights';
import { Loop } from './loop';

describe('a paid training whose machines for scoring and serving are lacking', () => {
  let loop: Loop;
  let sagemaker: SageMakerClient;
  beforeAll(async () => {
    loop = await Loop.start({ retryPolicy: { quotaWait: Duration.minutes(20) } });
    sagemaker = new SageMakerClient(loop.engine.clientConfig);
  });
  afterAll(async () => {
    sagemaker.destroy();
    await loop.stop();
  });

  /** The models with which candidates were scored. */
  async function candidates(): Promise<string[]> {
    const { Models = [] } = await sagemaker.send(new ListModelsCommand({ NameContains: '-c-', MaxResults: 100 }));
    return Models.map(({ ModelName = '' }) => ModelName).filter((name) => /-c-[0-9a-f]{8}$/.test(name));
  }

  test('waits for them, and brings a first model into service', async () => {
    const { transform, endpoints } = loop.engine.faults;
    transform.push({ kind: 'quota', times: 2 }, { kind: 'throttle' }, { kind: 'capacity' }, { kind: 'internal' });
    endpoints.push({ kind: 'throttle' }, { kind: 'quota', times: 2 }, { kind: 'capacity', afterSeconds: 300 });

    const { runs, deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));

    expect(runs).toMatchObject([{ judged: { verdict: 'FIRST' }, ended: { outcome: 'PROMOTED' } }]);
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
    expect([...transform, ...endpoints]).toEqual([]);
    expect(await candidates()).toEqual([]);
  }, 240_000);

  test('scores one model after the other where a quota lets one be scored at a time', async () => {
    loop.engine.faults.transform.push({ kind: 'quota', atOnce: 1 });
    const { runs, deployments } = await loop.upload('incoming/february.csv', csv(await flights(2, 8000)));
    loop.engine.faults.transform.splice(0);

    expect(runs.at(-1)).toMatchObject({ judged: { championVersion: 1 }, ended: { outcome: 'PROMOTED' } });
    expect(deployments.at(-1)).toMatchObject({ outcome: 'DEPLOYED', modelVersion: 2 });
    const { TransformJobSummaries = [] } = await sagemaker.send(
      new ListTransformJobsCommand({ SortBy: 'CreationTime', SortOrder: 'Ascending', MaxResults: 100 }),
    );
    const [one, two] = TransformJobSummaries.slice(-2);
    expect([one?.TransformJobStatus, two?.TransformJobStatus]).toEqual(['Completed', 'Completed']);
    expect(two?.CreationTime?.getTime()).toBeGreaterThanOrEqual(one?.TransformEndTime?.getTime() ?? Number.NaN);
    expect(await candidates()).toEqual([]);
  }, 240_000);

  test('that stay away fail the run with what is lacking, and leave no model behind', async () => {
    loop.engine.faults.transform.push({ kind: 'quota', atOnce: 0 });
    const { runs } = await loop.upload('incoming/march.csv', csv(await flights(3, 8000)));
    loop.engine.faults.transform.splice(0);

    expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.ScoringFailed' } });
    expect(runs.at(-1)?.ended?.error?.cause).toContain("'ml.m5.large for transform job usage' is 0 Instances");
    expect(await candidates()).toEqual([]);
  }, 240_000);

  test('keeps a version approved that found no machine to serve on, and deploys it when it is approved again', async () => {
    const [{ modelPackageArn: ModelPackageArn }] = (await loop.facts()).deployments as [DeploymentEnded];
    const approveAgain = async () => {
      loop.engine.advance(60_000);
      for (const ModelApprovalStatus of ['PendingManualApproval', 'Approved'] as const) {
        await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus }));
      }
      return (await loop.rest()).deployments.at(-1);
    };
    loop.engine.faults.endpoints.push({ kind: 'quota', atOnce: 1 }); // none for a new fleet beside the one that serves
    const refused = await approveAgain();
    loop.engine.faults.endpoints.splice(0);

    expect(refused).toMatchObject({ modelVersion: 1, outcome: 'FAILED', error: { name: 'Perennial.NoMachines' } });
    expect(refused?.error?.cause).toContain('ml.m5.large for endpoint usage');
    const described = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: ModelPackageArn }));
    expect(described.ModelApprovalStatus).toBe('Approved');
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);

    expect(await approveAgain()).toMatchObject({ modelVersion: 1, outcome: 'DEPLOYED' });
  }, 240_000);

  test('stays with the model before where there is no capacity for the new one, and says what to do', async () => {
    const [, { modelPackageArn: ModelPackageArn }] = (await loop.facts()).deployments as [unknown, DeploymentEnded];
    loop.engine.faults.endpoints.push({ kind: 'capacity', times: 100 });
    loop.engine.advance(60_000);
    for (const ModelApprovalStatus of ['PendingManualApproval', 'Approved'] as const) {
      await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus }));
    }
    const ended = (await loop.rest()).deployments.at(-1);
    loop.engine.faults.endpoints.splice(0);

    expect(ended).toMatchObject({ modelVersion: 2, outcome: 'ROLLED_BACK', error: { name: 'Perennial.NoMachines' } });
    expect(ended?.error?.cause).toMatch(/InsufficientInstanceCapacity.*the version stays approved/);
    const described = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: ModelPackageArn }));
    expect(described.ModelApprovalStatus).toBe('Approved');
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
  }, 240_000);
});
