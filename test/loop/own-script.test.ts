import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CapacityOption, ServingImage, Trainer } from '../../lib';
import { parquet, requests } from './flights';
import { Loop } from './loop';

describe("a PyTorch script of one's own", () => {
  let loop: Loop;
  beforeAll(async () => {
    loop = await Loop.start({
      trainer: Trainer.pytorch({
        sourceDirectory: join('examples', 'own-script', 'training'),
        entryPoint: 'train.py',
        hyperparameters: { epochs: '3' },
        metrics: { 'validation:logloss': 'validation:logloss=([0-9.]+)' },
        compute: [CapacityOption.spot('ml.g5.xlarge'), CapacityOption.onDemand('ml.m5.2xlarge')],
        servingImage: ServingImage.pytorch(),
      }),
    });
  });
  afterAll(() => loop.stop());

  test('is trained on an upload, judged and brought into service', async () => {
    const { runs, deployments } = await loop.upload('incoming/2001-01.parquet', await parquet(1, 8000));
    const [run] = runs;
    expect(run?.attempts).toMatchObject([{ status: 'Completed', instanceType: 'ml.g5.xlarge', spot: true }]);
    expect(run?.judged?.candidate).toBeGreaterThan(0.55);
    expect(run?.ended).toMatchObject({ outcome: 'PROMOTED' });
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
  }, 240_000);

  test('answers one probability a row', async () => {
    const scores = await loop.ask(await requests(2, 200));
    expect(scores).toHaveLength(200);
    expect(Math.min(...scores)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...scores)).toBeLessThanOrEqual(1);
    expect(new Set(scores).size).toBeGreaterThan(20);
  });

  test('leaves a checkpoint for the attempt that would have followed an interruption', async () => {
    expect(await loop.keys('runs/')).toContainEqual(expect.stringMatching(/\/checkpoints\/.*newest\.pt$/));
  });

  test('may all that it does', () => {
    expect(loop.engine.log.filter(({ message }) => /AccessDenied/.test(message))).toEqual([]);
  });
});
