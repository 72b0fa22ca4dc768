import { expect, test } from 'vitest';
import { csv, flights } from './flights';
import { Loop } from './loop';

test('two uploads at once make one run on both', async () => {
  const loop = await Loop.start();
  try {
    await Promise.all([
      loop.put('incoming/january.csv', csv(await flights(1, 3000))),
      loop.put('incoming/february.csv', csv(await flights(2, 3000))),
    ]);
    const { runs, decisions } = await loop.rest();
    expect(new Set(decisions.map(({ eventId }) => eventId)).size).toBe(2);
    expect(runs.filter(({ started }) => started?.files === 2)).toHaveLength(1);
    expect(runs.length).toBeLessThanOrEqual(2); // the first may have begun before the second was there
  } finally {
    await loop.stop();
  }
}, 240_000);

test('an upload during a run is remembered, and one run afterwards serves it', async () => {
  const loop = await Loop.start();
  try {
    await loop.put('incoming/january.csv', csv(await flights(1, 3000)));
    await until(async () => (await loop.facts()).runs.length === 1);
    await loop.put('incoming/february.csv', csv(await flights(2, 3000)));
    await loop.put('incoming/march.csv', csv(await flights(3, 3000)));
    const { runs, decisions } = await loop.rest();
    expect(decisions.map(({ decided }) => decided)).toContain('REMEMBERED');
    expect(runs.map(({ started }) => started?.files)).toEqual([1, 3]);
    expect(runs.every(({ ended }) => ended !== undefined && ended.outcome !== 'FAILED')).toBe(true);
  } finally {
    await loop.stop();
  }
}, 240_000);

test('every event and message twice and in any order leads to the same ledger, one execution and one deployment', async () => {
  const once = await storyOf({});
  const twice = await storyOf({ delivery: { copies: 2, shuffle: true } });
  expect(twice).toEqual(once);
  expect(once.runs).toMatchObject([{ verdict: 'FIRST', outcome: 'PROMOTED' }]);
  expect(once.executions).toBe(2); // one of each machine
  expect(once.deployments).toHaveLength(1);
}, 180_000);

/** What the ledger says of one upload, without times and what is made from them. */
async function storyOf(options: Parameters<typeof Loop.start>[0]) {
  const loop = await Loop.start(options);
  try {
    const { runs, deployments, decisions, windows } = await loop.upload(
      'incoming/january.csv',
      csv(await flights(1, 8000)),
    );
    const started = loop.engine.services.events.events.filter(({ event }) => event.detail.status === 'RUNNING');
    return {
      executions: new Set(started.map(({ event }) => event.detail.executionArn)).size,
      runs: runs.map(({ started, prepared, attempts, judged, ended }) => ({
        reason: started?.reason,
        files: started?.files,
        rows: prepared?.rows,
        attempts: attempts.map(({ status }) => status),
        verdict: judged?.verdict,
        candidate: judged?.candidate,
        outcome: ended?.outcome,
      })),
      deployments: deployments.map(({ modelVersion, outcome }) => ({ modelVersion, outcome })),
      decisions: decisions.map(({ reason, decided }) => ({ reason, decided })),
      windows: windows.length,
    };
  } finally {
    await loop.stop();
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 20));
}
