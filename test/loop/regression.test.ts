import { expect, test } from 'vitest';
import { Trainer } from '../../lib';
import { csv, flights, requests } from './flights';
import { Loop } from './loop';

test('a number in seconds is learnt, judged and served with all defaults', async () => {
  // how late a flight arrives after its planned departure, about, in seconds: its delay and 8 miles a minute
  const sql = '(delay + distance / 8.0) * 60';
  const loop = await Loop.start({
    contractOf: { target: { name: 'arrival', sql, problem: 'regression' } },
    trainer: Trainer.xgboost({ hyperparameters: { num_round: '30', max_depth: '4' } }),
  });
  try {
    await loop.upload('incoming/january.csv', csv(await flights(1, 6000)));
    const { runs, deployments } = await loop.upload('incoming/february.csv', csv(await flights(2, 6000)));

    const [first, second] = runs;
    expect(first?.judged).toMatchObject({ verdict: 'FIRST', problem: 'regression', metric: 'rmse' });
    expect(first?.judged?.candidate).toBeGreaterThan(300); // far above any limit that would do for minutes
    expect(first?.judged?.because).toContain("of the trivial answer, the training rows' m");
    expect(second?.judged).toMatchObject({ verdict: 'BETTER', championVersion: 1 });
    expect(deployments).toMatchObject([
      { modelVersion: 1, outcome: 'DEPLOYED' },
      { modelVersion: 2, outcome: 'DEPLOYED' },
    ]);
    expect(new Set(await loop.ask(await requests(3, 20))).size).toBeGreaterThan(5);
  } finally {
    await loop.stop();
  }
}, 180_000);
