import { afterAll, beforeAll, expect, test } from 'vitest';
import { CapacityOption, Trainer } from '../../lib';
import { csv, flights, requests } from './flights';
import { Loop } from './loop';

let loop: Loop;
beforeAll(async () => {
  loop = await Loop.start({
    trainer: Trainer.tabular({
      compute: [CapacityOption.onDemand('ml.g5.xlarge', { instanceCount: 2 })],
      hyperparameters: { epochs: '6', members: '2', width: '32', layers: '2', checkpoint_seconds: '0.1' },
    }),
    faults: { training: [{ kind: 'nodeLoss', host: 'algo-2', afterLine: 'epoch 2:' }] },
  });
}, 600_000);
afterAll(() => loop.stop());

test('two machines train one network, of which one is lost on the way, and what they made serves without PyTorch', async () => {
  const { runs, deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));

  const [run] = runs;
  expect(run?.ended, JSON.stringify(run?.ended)).toMatchObject({ outcome: 'PROMOTED' });
  expect(run?.attempts).toMatchObject([
    { option: '2 × ml.g5.xlarge', instanceCount: 2, status: 'Failed', failureKind: 'INTERNAL' },
    { option: '2 × ml.g5.xlarge', status: 'Completed' },
  ]);
  const lines = loop.engine.log.map(({ message }) => message);
  expect(lines.filter((line) => /rows to train on, .* 2 x cpu/.test(line))).toHaveLength(2);
  expect(lines.filter((line) => /^going on after step \d+$/.test(line))).toHaveLength(1);
  expect(run?.attempts[1]?.metrics?.['validation:auc']).toBeGreaterThan(0.55);
  expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);

  const scores = await loop.ask(await requests(2, 100));
  expect(scores).toHaveLength(100);
  expect(new Set(scores).size).toBeGreaterThan(20);
  expect(lines.filter((message) => /AccessDenied/.test(message))).toEqual([]);
}, 240_000);
