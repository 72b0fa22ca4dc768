import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONTROLLER_DEFAULTS } from '../../lib/core/dataset/controller';
import type { Snapshot } from '../../lib/core/dataset/documents';
import type { Outcome } from '../../lib/core/ledger/documents';
import { Events } from '../../lib/core/names';
import { refusedFile } from '../support/facts';
import { Crash, crashing } from '../support/memory';
import { PIPELINE, World } from '../support/training-world';

describe('the controller', () => {
  test('takes away the model with which a stopped run scored its candidate, and no model of a run under way', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [first = ''] = world.running();
    world.models.add('flights-abcdef-c-01234567');
    world.upload('incoming/b.csv');
    world.reconcile();
    await world.deliver();
    expect(world.models.size).toBe(1);

    world.stop(first, 'ABORTED');
    await world.deliver();
    expect(world.running()).toHaveLength(1); // what had waited
    expect([...world.models]).toEqual([]);
  });

  test('finds such a model within an hour, though no event tells of the end', async () => {
    const world = new World();
    world.models.add('flights-abcdef-c-01234567');
    world.reconcile();
    await world.deliver();
    expect([...world.models]).toEqual([]);
  });

  test('takes away the candidate’s model when a run ends, and leaves that of another', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [run = ''] = world.running();
    world.models.add(`c-${run}`).add('c-other');
    await world.end(run, 'FAILED');
    expect([...world.models]).toEqual(['c-other']);
  });

  test('starts a run on the data that an upload completes', async () => {
    const world = new World();
    const event = world.upload('incoming/january.csv');

    await world.deliver();

    const [run] = world.running();
    expect(run).toMatch(/^data-[0-9a-f]{12}$/);
    expect(world.input(run)).toMatchObject({
      reason: 'data',
      evidence: [{ eventId: event, detail: { key: 'incoming/january.csv', versionId: 'v1', size: 10 } }],
    });
    expect(world.trainedOn(run)).toEqual(['incoming/january.csv']);
    expect(world.ledger.all('DECISION#')).toEqual([
      expect.objectContaining({ eventId: event, decided: 'STARTED', runId: run, because: '1 trigger, 1 file' }),
    ]);
    expect(world.lease()).toMatchObject({ holder: run, startedToday: 1 });
    expect(world.lease().unstarted).toBeUndefined();
  });

  test('serves two uploads of one batch by one run', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    world.upload('incoming/b.csv');

    await world.deliver();

    expect(world.running()).toHaveLength(1);
    expect(world.decisions()).toEqual(['e1 STARTED', 'e2 STARTED']);
  });

  test('lets an upload during a run wait, and starts one more run when the run has ended', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [first] = world.running();

    const late = world.upload('incoming/b.csv');
    await world.deliver();
    expect(world.running()).toEqual([first]);
    expect(world.decisions()).toContain(`${late} REMEMBERED`);

    await world.end(first, 'PROMOTED');
    await world.deliver();
    const [second] = world.running();
    expect(second).not.toBe(first);
    expect(world.trainedOn(second)).toEqual(['incoming/a.csv', 'incoming/b.csv']);
    expect(world.input(second).evidence.map(({ eventId }) => eventId)).toEqual([late]);
  });

  test('does not train again on data that the run under way has in its snapshot', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    const b = world.upload('incoming/b.csv');
    await world.handle(world.ports, world.queue.splice(0, 1)); // b is there, its event comes later
    await world.deliver();

    const [run] = world.running();
    await world.end(run, 'PROMOTED');
    await world.deliver();

    expect(world.executions.all.size).toBe(1);
    expect(world.decisions()).toEqual(['e1 STARTED', `${b} REMEMBERED`, `${b} IGNORED`]);
    expect(world.lease().pending).toEqual([]);
  });

  test('does nothing about a duplicate, whenever it comes', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    const [event] = world.queue;
    await world.deliver();
    world.queue.push(event, event);
    await world.deliver();
    const [run] = world.running();
    await world.end(run, 'PROMOTED');
    world.queue.push(event, ...world.queue);
    const before = structuredClone(world.ledger.all('DECISION#'));
    await world.deliver();

    expect(world.ledger.all('DECISION#')).toEqual(before);
    expect(world.executions.all.size).toBe(1);
    expect(world.lease().pending).toEqual([]);
  });

  test('starts no second run beside one that takes for ever', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [run] = world.running();

    world.pass(300 * 24 * 60);
    const late = world.upload('incoming/b.csv');
    world.reconcile();
    await world.deliver();
    expect(world.running()).toEqual([run]);
    expect(world.decisions()).toContain(`${late} REMEMBERED`);
  });

  test('frees the lease and writes the end of a run that was aborted', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [run] = world.running();

    world.stop(run, 'ABORTED');
    await world.deliver();

    expect(world.lease().holder).toBeUndefined();
    expect(world.ledger.items.get(world.endOf(run))).toMatchObject({
      outcome: 'FAILED',
      error: { name: 'Execution.ABORTED' },
    });
  });

  test('does not overwrite the end that a run has written itself', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [run] = world.running();
    await world.end(run, 'REJECTED');
    await world.deliver();

    expect(world.ledger.all('RUN#').map(({ outcome }) => outcome)).toEqual(['REJECTED']);
    expect(world.lease().unpromoted).toBe(1);
  });

  test('starts a run on the good file when a bad one beside it made the first run fail', async () => {
    const world = new World();
    const versionId = world.data.upload('incoming/bad.csv');
    world.emit('aws.s3', 'Object Created', { object: { key: 'incoming/bad.csv', 'version-id': versionId, size: 0 } });
    world.upload('incoming/good.csv');
    await world.deliver();
    const [first] = world.running();

    const startedAt = world.executions.all.get(first)?.startedAt ?? '';
    world.ledger.add(...refusedFile('incoming/bad.csv', versionId, first, startedAt));
    await world.end(first, 'FAILED');
    await world.deliver();

    const [second] = world.running();
    expect(world.trainedOn(second)).toEqual(['incoming/good.csv']);
    await world.end(second, 'PROMOTED');
    await world.deliver();
    expect(world.executions.all.size).toBe(2);
    expect(world.lease()).toMatchObject({ pending: [] });
  });

  test('does not try again by itself when a run failed for other reasons', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    await world.end(world.running()[0], 'FAILED');
    await world.deliver();

    expect(world.executions.all.size).toBe(1);
  });

  test('says so when there is no data', async () => {
    const world = new World();
    world.emit(Events.SOURCE, Events.RUN_REQUESTED, { pipeline: PIPELINE, requestedBy: 'ann' });
    await world.deliver();

    expect(world.ledger.all('DECISION#')).toEqual([
      expect.objectContaining({ decided: 'IGNORED', because: expect.stringContaining('upload labelled data') }),
    ]);
  });

  test('runs on a snapshot of old for the one who asks, and on the newest data for the others', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    const [first] = world.running();
    const { snapshotKey } = world.input(first);
    await world.end(first, 'PROMOTED');
    await world.deliver();

    world.upload('incoming/b.csv');
    world.emit(Events.SOURCE, Events.RUN_REQUESTED, { pipeline: PIPELINE, requestedBy: 'ann', snapshotKey });
    await world.deliver();
    const [replay] = world.running();
    expect(replay).toMatch(/^manual-/);
    expect(world.trainedOn(replay)).toEqual(['incoming/a.csv']);

    await world.end(replay, 'REJECTED');
    await world.deliver();
    expect(world.trainedOn(world.running()[0])).toEqual(['incoming/a.csv', 'incoming/b.csv']);
  });

  test('ignores a request for a snapshot that is not there, and says which', async () => {
    const world = new World();
    world.data.upload('incoming/a.csv');
    const snapshotKey = 'snapshots/none.json';
    world.emit(Events.SOURCE, Events.RUN_REQUESTED, { pipeline: PIPELINE, requestedBy: 'ann', snapshotKey });
    await world.deliver();

    expect(world.ledger.all('DECISION#')[0].because).toContain('got snapshots/none.json');
    expect(world.executions.all.size).toBe(0);
  });

  test('frees the lease at once if the data has been trained on under the same name before', async () => {
    const world = new World();
    world.upload('incoming/a.csv');
    await world.deliver();
    await world.end(world.running()[0], 'PROMOTED');
    world.upload('incoming/b.csv');
    await world.deliver();
    await world.end(world.running()[0], 'PROMOTED');

    world.data.remove('incoming/b.csv');
    world.emit('aws.s3', 'Object Created', { object: { key: 'incoming/b.csv', size: 1 } });
    await world.deliver();

    expect(world.running()).toEqual([]);
    expect(world.lease().holder).toBeUndefined();
  });

  test('keeps a message that it cannot read, and handles the others', async () => {
    const world = new World();
    world.queue.push(JSON.stringify({ source: 'aws.s3', 'detail-type': 'Object Created', id: 'x', time: 'never' }));
    world.upload('incoming/a.csv');
    await world.deliver();

    expect(world.queue).toHaveLength(1);
    expect(world.running()).toHaveLength(1);
  });

  test.each(['before', 'after'] as const)('comes to the same end if it crashes %s any of its calls', async (when) => {
    for (let at = 0; ; at++) {
      const world = new World();
      world.data.upload('incoming/a.csv');
      world.emit('aws.s3', 'Object Created', { object: { key: 'incoming/a.csv', 'version-id': 'v1', size: 10 } });
      await world.handle(crashing(world.ports, at, when), world.queue.splice(0));
      const crashed = world.queue.length > 0;
      await world.deliver();

      expect(world.executions.all.size).toBe(1);
      const [run] = world.running();
      expect(world.decisions()).toEqual(['e1 STARTED']);
      expect(world.lease()).toMatchObject({ holder: run, pending: [], startedToday: 1 });
      if (!crashed) {
        expect(at).toBeGreaterThan(8); // it did crash at every call before
        return;
      }
    }
  });

  test.each(['before', 'after'] as const)(
    'a run ends the same way if finish crashes %s any of its calls',
    async (when) => {
      for (let at = 0; ; at++) {
        const world = new World();
        world.upload('incoming/a.csv');
        await world.deliver();
        const [run] = world.running();
        world.upload('incoming/b.csv');
        await world.deliver();

        let crashed = false;
        await world.end(run, 'REJECTED', crashing(world.ports, at, when)).catch((error) => {
          if (!(error instanceof Crash)) throw error;
          crashed = true;
        });
        if (crashed) await world.end(run, 'REJECTED'); // the machine tries again
        await world.deliver();

        expect(world.ledger.all('RUN#').map(({ outcome }) => outcome)).toEqual(['REJECTED']);
        expect(world.executions.all.size).toBe(2);
        expect(world.executions.mostAtOnce).toBe(1);
        if (!crashed) {
          expect(at).toBeGreaterThan(2);
          return;
        }
      }
    },
  );

  test('loses no upload and trains on nothing twice, in whatever order things come, fail and come again', async () => {
    type Step =
      | { readonly do: 'upload'; readonly key: number }
      | { readonly do: 'deliver'; readonly which: number; readonly again: boolean; readonly crash: number }
      | { readonly do: 'batch'; readonly crash: number }
      | { readonly do: 'together'; readonly crash: number }
      | { readonly do: 'end'; readonly outcome: Outcome }
      | { readonly do: 'abort' };
    const crash = fc.integer({ min: 0, max: 40 });
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ do: fc.constant('upload' as const), key: fc.nat(4) }),
      fc.record({ do: fc.constant('deliver' as const), which: fc.nat(20), again: fc.boolean(), crash }),
      fc.record({ do: fc.constant('batch' as const), crash }),
      fc.record({ do: fc.constant('together' as const), crash }),
      fc.record({
        do: fc.constant('end' as const),
        outcome: fc.constantFrom<Outcome>('PROMOTED', 'REJECTED', 'FAILED'),
      }),
      fc.record({ do: fc.constant('abort' as const) }),
    );
    const rules = { ...CONTROLLER_DEFAULTS, maxRunsPerDay: 1000 };

    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, before) => {
        const world = new World(rules);
        const uploads: Array<{ id: string; key: string; versionId: string }> = [];
        const maybe = (at: number) => crashing(world.ports, at, before ? 'before' : 'after');

        for (const step of steps) {
          const [run] = world.running();
          if (step.do === 'upload') {
            const key = `incoming/${step.key}.csv`;
            const id = world.upload(key);
            const { detail } = JSON.parse(world.queue[world.queue.length - 1]);
            uploads.push({ id, key, versionId: detail.object['version-id'] });
          } else if (step.do === 'deliver' && world.queue.length > 0) {
            const at = step.which % world.queue.length;
            const bodies = step.again ? [world.queue[at]] : world.queue.splice(at, 1);
            await world.handle(maybe(step.crash), bodies);
          } else if (step.do === 'batch') {
            await world.handle(maybe(step.crash), world.queue.splice(0).reverse());
          } else if (step.do === 'together') {
            // two functions at once, that share a duplicate; a run may end meanwhile
            const bodies = world.queue.splice(0);
            const half = Math.ceil(bodies.length / 2);
            await Promise.all([
              world.handle(maybe(step.crash), bodies.slice(0, half + 1)),
              world.handle(world.ports, bodies.slice(half)),
              run && world.end(run, 'REJECTED'),
            ]);
          } else if (step.do === 'end' && run !== undefined) {
            await world.end(run, step.outcome);
          } else if (step.do === 'abort' && run !== undefined) {
            world.stop(run, 'ABORTED');
          }
        }
        while (world.queue.length > 0 || world.running().length > 0) {
          await world.deliver();
          for (const run of world.running()) await world.end(run, 'PROMOTED');
        }

        expect(world.executions.mostAtOnce).toBeLessThanOrEqual(1);
        const snapshots = [...world.executions.all.keys()].map((run) => world.input(run).snapshotKey);
        expect(new Set(snapshots).size).toBe(snapshots.length);
        const latest = new Map(uploads.map(({ key, versionId }) => [key, versionId]));
        const trained = new Set(
          snapshots.flatMap((key = '') =>
            (world.data.documents.get(key) as Snapshot).files.map((file) => `${file.key} ${file.versionId}`),
          ),
        );
        for (const [key, versionId] of latest) expect(trained).toContain(`${key} ${versionId}`);
        const decided = new Set(world.ledger.all('DECISION#').map(({ eventId }) => eventId));
        for (const { id } of uploads) expect(decided).toContain(id);
        const lease = world.lease();
        if (lease !== undefined) {
          expect(lease.pending).toEqual([]);
          expect(lease.holder).toBeUndefined();
          expect(lease.outbox ?? []).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
