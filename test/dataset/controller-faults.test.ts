import { describe, expect, test } from 'vitest';
import { control } from '../../lambdas/dataset/controller.handler';
import { CONTROLLER_DEFAULTS } from '../../lib/core/dataset/controller';
import { ErrorName } from '../../lib/core/errors';
import { newFact } from '../../lib/core/ledger/facts';
import { Events } from '../../lib/core/names';
import { asked, begun, refusedFile } from '../support/facts';
import { PIPELINE, World } from '../support/training-world';

const LEASE = 'LEASE#training';

/** A world with a run under way. */
async function running(): Promise<World> {
  const world = new World();
  world.upload('incoming/a.csv');
  await world.deliver();
  return world;
}

/** Ends the run under way, and loses every message about it. */
function endUnseen(world: World, status = 'ABORTED'): void {
  const kept = [...world.queue];
  world.stop(world.running()[0], status);
  world.queue.splice(0, world.queue.length, ...kept);
}

function ask(world: World, detail: object = {}): string {
  return world.emit(Events.SOURCE, Events.RUN_REQUESTED, { pipeline: PIPELINE, requestedBy: 'ann', ...detail });
}

describe('what no message tells is found by looking', () => {
  test.each(['ABORTED', 'TIMED_OUT', 'FAILED', 'SUCCEEDED'])(
    'a run that ended as %s frees the lease, and its end is recorded',
    async (status) => {
      const world = await running();
      const [run] = world.running();
      world.upload('incoming/b.csv');
      await world.deliver();
      endUnseen(world, status);
      world.reconcile();
      await world.deliver();

      expect(world.ledger.items.get(world.endOf(run))).toMatchObject({
        outcome: 'FAILED',
        error: { name: `Execution.${status}` },
      });
      expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
    },
  );

  test('the next message, whichever it is, finds that a run has ended', async () => {
    const world = await running();
    endUnseen(world);
    world.upload('incoming/b.csv');
    await world.deliver();

    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
  });

  test('an end that the run wrote itself is not written over', async () => {
    const world = await running();
    const [run] = world.running();
    for (let i = 0; i < 500; i++) {
      const { startedAt = '' } = world.executions.all.get(run) ?? {};
      world.ledger.add(asked(startedAt, { runId: run, job: `job-${i}` })); // it made many attempts
    }
    const startedAt = world.executions.all.get(run)?.startedAt ?? '';
    // and died before it freed the lease
    world.ledger.add(newFact.runEnded(world.now(), { runId: run, startedAt, outcome: 'PROMOTED' }));
    endUnseen(world);
    world.reconcile();
    await world.deliver();

    expect(world.lease()).toMatchObject({ unpromoted: 0, lastRun: { outcome: 'PROMOTED' } });
    expect(world.lease().holder).toBeUndefined();
  });

  test('an upload whose event was lost is trained on, and said to be found', async () => {
    const world = await running();
    await world.end(world.running()[0], 'PROMOTED');
    await world.deliver();
    world.data.upload('incoming/b.csv');
    world.reconcile();
    await world.deliver();

    const [run] = world.running();
    expect(world.trainedOn(run)).toEqual(['incoming/a.csv', 'incoming/b.csv']);
    expect(world.input(run)).toMatchObject({
      reason: 'data',
      evidence: [{ eventId: expect.stringMatching(/^found-/), detail: { key: 'incoming/b.csv', versionId: 'v2' } }],
    });
    expect(world.decisions()).toContain(`${world.input(run).evidence[0].eventId} STARTED`);
  });

  test('an upload whose event was lost during a run waits for the next', async () => {
    const world = await running();
    world.data.upload('incoming/b.csv');
    world.reconcile();
    await world.deliver();
    await world.end(world.running()[0], 'PROMOTED');
    await world.deliver();

    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
  });

  test.each<[string, (world: World) => void]>([
    ['nothing has come', () => {}],
    ['a file was deleted', (world) => world.data.remove('incoming/b.csv')],
    [
      'true outcomes have come, which the monitor judges first',
      (world) => void world.data.upload('ground-truth/a.csv'),
    ],
    ['a file was refused', (world) => refuse(world, 'incoming/bad.csv', world.data.upload('incoming/bad.csv'))],
    ['a folder was made', (world) => void world.data.upload('incoming/2026/')],
  ])('no run is started if %s', async (_, change) => {
    const world = new World();
    world.upload('incoming/a.csv');
    world.upload('incoming/b.csv');
    await world.deliver();
    await world.end(world.running()[0], 'PROMOTED');
    await world.deliver();
    change(world);
    for (let hour = 0; hour < 3; hour++) {
      world.reconcile();
      await world.deliver();
    }
    expect(world.executions.all.size).toBe(1);
  });

  test('no run is started for uploads where they are no trigger', async () => {
    const world = new World({ ...CONTROLLER_DEFAULTS, uploads: false });
    world.data.upload('incoming/a.csv');
    world.reconcile();
    await world.deliver();

    expect(world.executions.all.size).toBe(0);
  });

  test('what waits since the day’s runs were spent is started after midnight, by nothing but the look', async () => {
    const world = new World({ ...CONTROLLER_DEFAULTS, maxRunsPerDay: 1 });
    world.upload('incoming/a.csv');
    await world.deliver();
    await world.end(world.running()[0], 'PROMOTED');
    world.upload('incoming/b.csv');
    world.emit(Events.SOURCE, Events.SCHEDULE, { pipeline: PIPELINE });
    await world.deliver();
    world.reconcile();
    await world.deliver();
    expect(world.running()).toEqual([]);
    expect(world.told).toEqual([
      {
        type: Events.BUDGET_REACHED,
        pipeline: PIPELINE,
        day: '2026-03-01',
        summary: expect.stringContaining('1 run a day may start'),
      },
    ]);

    world.pass(24 * 60);
    world.reconcile();
    await world.deliver();
    expect(world.input(world.running()[0]).evidence.map(({ reason }) => reason)).toEqual(['data', 'schedule']);
  });

  test('a run whose start failed is started', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    const denied = { ...world.ports, executions: { ...failing(world), running: async () => [] } };
    await expect(world.handle(denied, world.queue.splice(0))).rejects.toThrow('denied');
    expect(world.lease()).toMatchObject({ unstarted: true });

    world.reconcile();
    await world.deliver();
    expect(world.running()).toHaveLength(1);
    expect(world.decisions()).toEqual(['e1 STARTED']);
  });

  test.each<[string, object]>([
    ['whom it is for', { lastRun: 'x' }],
    ['who holds the lease', { holder: undefined, unstarted: undefined }],
  ])('what a run was to train on is trained on, if its start failed and its row has lost %s', async (_, change) => {
    const world = await running();
    await world.end(world.running()[0], 'PROMOTED');
    await world.deliver();
    world.upload('incoming/b.csv');
    const denied = { ...world.ports, executions: { ...failing(world), running: async () => [] } };
    await expect(world.handle(denied, world.queue.splice(0))).rejects.toThrow('denied');
    await tamper(world, change);

    world.reconcile();
    await world.deliver();
    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
  });

  test('the end of a run is recorded, although its row has lost who holds the lease', async () => {
    const world = await running();
    const [run] = world.running();
    endUnseen(world);
    await tamper(world, { holder: undefined });
    world.reconcile();
    await world.deliver();

    expect(world.ledger.items.get(world.endOf(run))).toMatchObject({ error: { name: 'Execution.ABORTED' } });
    expect(world.lease()).toMatchObject({ unpromoted: 1, lastRun: { runId: run, outcome: 'FAILED' } });
  });

  test('a run that Step Functions does not show yet keeps its lease', async () => {
    const world = await running();
    const blind = { ...world.ports, executions: { ...bound(world), find: async () => undefined } };
    world.upload('incoming/b.csv');
    await world.handle(blind, world.queue.splice(0));

    expect(world.running()).toHaveLength(1);
    expect(world.lease().pending).toHaveLength(1);
  });

  test('the good files of a run that failed by bad ones are trained on, though all messages were lost', async () => {
    const world = new World();
    const bad = Array.from({ length: 120 }, (_, i) => `incoming/bad-${i}.csv`);
    const versions = bad.map((key) => world.upload(key) && `v${bad.indexOf(key) + 1}`);
    world.data.upload('incoming/good.csv'); // its event comes after those, and the run's evidence names a hundred
    await world.deliver();
    const [run] = world.running();
    bad.forEach((key, i) => {
      refuse(world, key, versions[i], run);
    });
    endUnseen(world, 'FAILED');
    world.reconcile();
    await world.deliver();

    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/good.csv']);
  });
});

describe('never two runs at once', () => {
  test.each<[string, (world: World) => Promise<unknown>]>([
    ['somebody deleted the row', async (world) => world.ledger.items.delete(LEASE)],
    ['somebody emptied the row', async (world) => world.ledger.items.set(LEASE, { pk: PIPELINE, sk: LEASE })],
    ['somebody took the holder out of the row', (world) => tamper(world, { holder: undefined })],
    ['somebody wrote another holder into the row', (world) => tamper(world, { holder: 'data-000000000000' })],
    [
      'somebody changed what the run was started with',
      (world) => tamper(world, { lastRun: { runId: world.running()[0], input: { reason: 'data', evidence: [] } } }),
    ],
    [
      'somebody started one by hand',
      async (world) => {
        await world.end(world.running()[0], 'PROMOTED');
        await world.deliver();
        await world.executions.start('by-hand', '{}');
      },
    ],
  ])('also if %s in the middle of one', async (_, meddle) => {
    const world = await running();
    await meddle(world);
    const [run] = world.running();
    world.upload('incoming/b.csv');
    world.reconcile();
    await world.deliver();
    expect(world.running()).toEqual([run]);

    world.stop(run, 'SUCCEEDED');
    await world.deliver();
    const [next] = world.running();
    expect(next).not.toBe(run);
    expect(world.trainedOn(next)).toEqual(['incoming/a.csv', 'incoming/b.csv']);
    expect(world.executions.mostAtOnce).toBe(1);
  });
});

test('a run whose start failed waits for one that somebody has started since', async () => {
  const world = new World();
  world.upload('incoming/a.csv');
  const denied = { ...world.ports, executions: { ...failing(world), running: async () => [] } };
  await expect(world.handle(denied, world.queue.splice(0))).rejects.toThrow('denied');
  await world.executions.start('by-hand', '{}');
  for (let hour = 0; hour < 2; hour++) {
    world.reconcile();
    await world.deliver();
    expect(world.running()).toEqual(['by-hand']);
  }
  world.stop('by-hand', 'SUCCEEDED');
  await world.deliver();
  expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv']);
});

describe('a row that somebody changed by hand', () => {
  test.each<[string, object, boolean]>([
    ['no triggers that wait', { pending: undefined }, true],
    ['a text for triggers', { pending: 'x' }, true],
    ['triggers that are none', { pending: [null, 7, { reason: 'data' }] }, true],
    ['no revision', { revision: undefined }, true],
    ['a text for a revision', { revision: 'x' }, true],
    ['a revision that cannot be counted on', { revision: 2 ** 60 }, true],
    ['counts that are none', { startedToday: 'many', unpromoted: null }, true],
    ['a last run that is none', { lastRun: [], unstarted: true }, true],
    ['decisions that are none', { outbox: [{}, 'x'] }, true],
    ['a holder that nobody knows, for ever', { holder: 'nobody', expiresAt: '9999-01-01T00:00:00Z' }, false],
    ['members of another kind', { day: 7, otherDays: {}, seen: 'x', lastEndedAt: 'never', trained: 1 }, true],
  ])('with %s stops nothing, and is kept beside', async (_, change, isTorn) => {
    const world = await running();
    await world.end(world.running()[0], 'PROMOTED');
    await world.deliver();
    await tamper(world, change);
    const before = structuredClone(world.ledger.items.get(LEASE));
    world.upload('incoming/b.csv');
    await world.deliver();

    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
    const kept = world.ledger.all('TORN#');
    expect(kept).toHaveLength(isTorn ? 1 : 0);
    if (isTorn) {
      const { pk: _pk, sk: _sk, ...row } = before as Record<string, unknown>;
      expect(JSON.parse(kept[0].was)).toEqual(row);
      expect(kept[0]).toMatchObject({ row: LEASE, because: expect.stringMatching(/must be/) });
    }
  });

  test('that lost an upload which waited loses none: it is found at once', async () => {
    const world = await running();
    world.upload('incoming/b.csv');
    await world.deliver();
    await tamper(world, { pending: 'x' });
    await world.end(world.running()[0], 'PROMOTED');
    await world.deliver();
    world.reconcile();
    await world.deliver();

    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
  });
});

test.each<[string, (world: World) => void]>([
  ['deleted', (world) => void world.ledger.items.delete(LEASE)],
  ['made unreadable', (world) => void world.ledger.items.set(LEASE, { pk: PIPELINE, sk: LEASE, startedToday: 'x' })],
])('the day’s budget outlives a row that somebody has %s', async (_, meddle) => {
  const world = new World({ ...CONTROLLER_DEFAULTS, maxRunsPerDay: 1 });
  for (const reason of ['data', 'manual'] as const) {
    const startedAt = world.now().toISOString();
    world.ledger.add(...begun(`${reason}-run`, startedAt, reason));
  }
  meddle(world);
  world.upload('incoming/a.csv');
  await world.deliver();
  expect(world.running()).toEqual([]);

  world.pass(24 * 60);
  world.reconcile();
  await world.deliver();
  expect(world.running()).toHaveLength(1);
});

test('a clock that goes back finds what was spent on the day, though the row has forgotten it', async () => {
  const world = new World({ ...CONTROLLER_DEFAULTS, maxRunsPerDay: 1 });
  const startedAt = world.now().toISOString();
  world.ledger.add(...begun('data-run', startedAt));
  world.ledger.items.set(LEASE, {
    ...{ pk: PIPELINE, sk: LEASE, kind: 'TrainingLease', version: 1, revision: 1, pending: [], unpromoted: 0 },
    ...{ day: '2026-03-02', startedToday: 0 },
  });
  world.upload('incoming/a.csv');
  await world.deliver();
  expect(world.running()).toEqual([]);

  world.pass(24 * 60);
  world.reconcile();
  await world.deliver();
  expect(world.running()).toHaveLength(1);
});

test('a day that comes again finds what was spent on it, though the row has forgotten it', async () => {
  const world = new World({ ...CONTROLLER_DEFAULTS, maxRunsPerDay: 1 });
  const startedAt = world.now().toISOString();
  world.ledger.add(...begun('data-run', startedAt));
  world.ledger.items.set(LEASE, {
    ...{ pk: PIPELINE, sk: LEASE, kind: 'TrainingLease', version: 1, revision: 1, pending: [], unpromoted: 0 },
    ...{ day: '2026-02-28', startedToday: 0 },
  });
  world.upload('incoming/a.csv');
  await world.deliver();
  expect(world.running()).toEqual([]);
});

test('a clock that was far ahead does not lock the budget: the next midnight makes it new', async () => {
  const world = new World({ ...CONTROLLER_DEFAULTS, maxRunsPerDay: 1 });
  world.ledger.items.set(LEASE, {
    ...{ pk: PIPELINE, sk: LEASE, kind: 'TrainingLease', version: 1, revision: 1, pending: [], unpromoted: 0 },
    ...{ day: '2026-03-04', startedToday: 1 },
  });
  world.pass(3 * 24 * 60);
  world.upload('incoming/a.csv'); // it waits
  await world.deliver();
  world.pass(-3 * 24 * 60);
  for (const running of [0, 1]) {
    world.reconcile();
    await world.deliver();
    expect(world.running()).toHaveLength(running);
    world.pass(24 * 60);
  }
});

describe('one bad message', () => {
  test.each([
    ['a snapshot that is no JSON', 'no JSON'],
    ['a snapshot that somebody edited', { dataVersion: 'x', files: [] }],
  ])('that asks for %s is ignored by name, and stops no other', async (_, document) => {
    const world = new World();
    world.data.documents.set('snapshots/x.json', document);
    const id = ask(world, { snapshotKey: 'snapshots/x.json' });
    world.upload('incoming/a.csv');
    await world.deliver();

    expect(world.decisions()).toContain(`${id} IGNORED`);
    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv']);
  });

  test('that asks for a repeated run does not keep back what waits', async () => {
    const world = await running();
    world.upload('incoming/b.csv');
    await world.deliver();
    endUnseen(world);
    const id = ask(world, { snapshotKey: 'snapshots/none.json' });
    await world.deliver();

    expect(world.decisions()).toContain(`${id} IGNORED`);
    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
  });

  test('comes again alone, and so does one for which there is no room', async () => {
    const world = await running();
    for (let i = 0; i < 103; i++) ask(world, { snapshotKey: `snapshots/${i}.json` });
    world.queue.push('hello');
    await world.deliver();

    expect(world.queue).toHaveLength(4);
    expect(world.lease().pending).toHaveLength(100);
  });
});

test('whatever is sent, however much: what is kept, started and told fits what keeps, starts and tells', async () => {
  const world = new World();
  const keys = Array.from({ length: 250 }, (_, i) => `incoming/${i}`.padEnd(1024, i % 2 === 0 ? '\u0001' : '"'));
  for (const key of keys) world.upload(key);
  for (let i = 0; i < 400; i++) {
    const id = `${i}`.padEnd(100, '~');
    const snapshotKey = `snapshots/${i}`.padEnd(1024, '\u0002');
    const text = '\u0003'.repeat(10_000);
    world.emit(Events.SOURCE, Events.RUN_REQUESTED, {
      pipeline: PIPELINE,
      requestedBy: text,
      note: text,
      ...(i % 2 === 0 && { snapshotKey }),
    });
    const drift = {
      windowId: id,
      windowEnd: '2026-03-01T00:00:00Z',
      modelVersion: 1,
      reportKey: snapshotKey,
      summary: '😀'.repeat(10_000),
    };
    world.emit(Events.SOURCE, Events.DRIFT_DETECTED, { pipeline: PIPELINE, ...drift });
  }
  // the ports in memory refuse what AWS would
  for (let receives = 0; receives < 5; receives++) await world.deliver();
  const serve = async () => {
    const [run] = world.running();
    await world.end(run, 'REJECTED');
    await world.deliver();
  };
  for (let runs = 0; runs < 60 && world.running().length > 0; runs++) await serve();

  expect(world.running()).toEqual([]);
  expect(world.lease().pending).toEqual([]);
  expect(world.queue).toEqual([]);
  const decided = new Set(world.ledger.all('DECISION#').map(({ eventId }) => eventId));
  expect(decided.size).toBe(keys.length + 800);
});

test('changes that others make again and again do not keep the function busy for ever', async () => {
  const world = await running();
  world.upload('incoming/b.csv');
  const pauses: number[] = [];
  const ledger = Object.assign(Object.create(world.ledger), { swap: async () => false });
  const ports = { ...world.ports, ledger, pause: async (milliseconds: number) => void pauses.push(milliseconds) };

  await expect(
    control(ports, { Records: world.queue.map((body, i) => ({ messageId: String(i), body })) }),
  ).rejects.toThrow(expect.objectContaining({ name: ErrorName.LEDGER_BUSY }));
  expect(pauses).toHaveLength(20);
  expect(Math.max(...pauses.slice(10))).toBeGreaterThan(0);
});

test('people are told of drift that no data has come to cure', async () => {
  const world = await running();
  await world.end(world.running()[0], 'PROMOTED');
  await world.deliver();
  world.pass(120);
  const detail = {
    windowId: 'w',
    windowEnd: world.now().toISOString(),
    modelVersion: 1,
    reportKey: 'monitor/w.json',
    summary: 'km',
  };
  world.emit(Events.SOURCE, Events.DRIFT_DETECTED, { pipeline: PIPELINE, ...detail });
  await world.deliver();

  expect(world.decisions()).toContain('w IGNORED');
  expect(world.told).toEqual([
    {
      type: Events.DATA_NEEDED,
      pipeline: PIPELINE,
      needs: 'NEWER_DATA',
      summary: expect.stringContaining('drift was found'),
    },
  ]);
});

function refuse(world: World, key: string, versionId: string, runId = 'r'): void {
  const startedAt = world.executions.all.get(runId)?.startedAt ?? '2026-02-28T00:00:00.000Z';
  world.ledger.add(...refusedFile(key, versionId, runId, startedAt));
}

async function tamper(world: World, change: object): Promise<void> {
  world.ledger.items.set(LEASE, JSON.parse(JSON.stringify({ ...world.ledger.items.get(LEASE), ...change })));
}

function bound({ executions }: World) {
  return {
    start: executions.start.bind(executions),
    find: executions.find.bind(executions),
    running: executions.running.bind(executions),
  };
}

function failing(world: World) {
  return {
    ...bound(world),
    start: async () => {
      throw new Error('denied');
    },
  };
}
