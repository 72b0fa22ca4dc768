import { describe, expect, test } from 'vitest';
import { CONTROLLER_DEFAULTS, decide, type RunData } from '../../lib/core/dataset/controller';
import type { Evidence } from '../../lib/core/dataset/documents';
import { FREE, release, requeue } from '../../lib/core/dataset/lease';
import type { Lease } from '../../lib/core/ledger/rows';
import type { Reason } from '../../lib/core/names';

const NOW = new Date('2026-03-01T12:00:00Z');
const DATA: RunData = {
  dataVersion: 'a'.repeat(64),
  content: 'ca',
  snapshotKey: 'snapshots/a.json',
  files: 2,
  leftOut: 0,
  alike: 0,
};
const OTHER: RunData = { ...DATA, dataVersion: 'b'.repeat(64), content: 'cb' };
const RULES = CONTROLLER_DEFAULTS;

function trigger(reason: Reason, eventId: string = reason, detail: Evidence['detail'] = {}): Evidence {
  const key: Evidence['detail'] = reason === 'data' ? { key: 'incoming/a.csv', versionId: 'v1' } : {};
  return { reason, eventId, at: '2026-03-01T11:59:00.000Z', detail: { ...key, ...detail } };
}

/** What is decided about triggers when the lease is like this. */
function decided(lease: Partial<Lease>, triggers: readonly Evidence[], runData: RunData = DATA, now = NOW) {
  const result = decide({ ...FREE, ...lease }, triggers, { now, rules: RULES, runData });
  return { ...result, words: result.decisions.map(({ reason, decided }) => `${reason} ${decided}`) };
}

describe('decide', () => {
  test('names a run after its strongest reason and lets it serve all', () => {
    const { lease, words } = decided({}, [trigger('schedule'), trigger('drift'), trigger('data')]);

    expect(lease.holder).toBe(`data-${'a'.repeat(12)}`);
    expect(lease.lastRun?.input.evidence.map(({ reason }) => reason)).toEqual(['data', 'drift', 'schedule']);
    expect(words.sort()).toEqual(['data STARTED', 'drift STARTED', 'schedule STARTED']);
  });

  test('gives two requests for the same data two names, and the same request always the same', () => {
    const name = (eventId: string) => decided({}, [trigger('manual', eventId)]).lease.holder;

    expect(name('e1')).toBe(name('e1'));
    expect(name('e1')).not.toBe(name('e2'));
  });

  test('ignores drift within the cooldown, and says how long it lasts', () => {
    const lease = { lastEndedAt: '2026-03-01T11:30:00Z' };
    const { words, decisions, lease: after } = decided(lease, [trigger('drift')]);

    expect(words).toEqual(['drift IGNORED']);
    expect(decisions[0].because).toContain('ended 30 min ago');
    expect(after.holder).toBeUndefined();
    expect(decided({ lastEndedAt: '2026-03-01T10:59:00Z' }, [trigger('drift')]).words).toEqual(['drift STARTED']);
    expect(decided(lease, [trigger('data')]).words).toEqual(['data STARTED']);
  });

  test('serves drift that came during a run when the run has ended, in spite of the cooldown', () => {
    const waiting = trigger('drift');
    const { lease } = decided({ lastEndedAt: '2026-03-01T11:59:30Z', pending: [waiting] }, []);

    expect(lease.lastRun?.input.evidence).toEqual([waiting]);
    expect(lease.pending).toEqual([]);
  });

  test('stops drift and schedule after too many runs without a better model, but not data and people', () => {
    const lease = { unpromoted: RULES.maxRunsWithoutPromotion };

    expect(decided(lease, [trigger('drift'), trigger('schedule')]).words).toEqual([
      'drift IGNORED',
      'schedule IGNORED',
    ]);
    for (const reason of ['data', 'manual'] as const) {
      const after = decided(lease, [trigger(reason)]);
      expect(after.words).toEqual([`${reason} STARTED`]);
      expect(after.lease.unpromoted).toBe(0);
    }
  });

  test('keeps to the number of runs a day: what comes waits for the next, a person need not', () => {
    const lease = { day: '2026-03-01', startedToday: RULES.maxRunsPerDay };

    const spent = decided(lease, [trigger('data'), trigger('drift'), trigger('schedule')]);
    expect(spent.words).toEqual(['data REMEMBERED', 'drift REMEMBERED', 'schedule REMEMBERED']);
    expect(spent.decisions.map(({ needs }) => needs)).toEqual(['BUDGET', 'BUDGET', 'BUDGET']);

    const tomorrow = decided({ ...lease, day: '2026-02-28', pending: spent.lease.pending }, []);
    expect(tomorrow.lease).toMatchObject({ day: '2026-03-01', startedToday: 1, pending: [] });
    expect(tomorrow.lease.lastRun?.input.evidence).toHaveLength(3);
  });

  test('does not count a run that a person asks for', () => {
    const lease = { day: '2026-03-01', startedToday: RULES.maxRunsPerDay - 1 };
    const byHand = decided(lease, [trigger('manual')]);

    expect(byHand.words).toEqual(['manual STARTED']);
    expect(byHand.lease.startedToday).toBe(RULES.maxRunsPerDay - 1);
    const { holder: _holder, ...free } = byHand.lease;
    expect(decided(free, [trigger('data')], OTHER).words).toEqual(['data STARTED']);
  });

  test('trains on the same data again only for a person, or after a failure', () => {
    const lease = (outcome: 'PROMOTED' | 'FAILED'): Partial<Lease> => ({
      lastRun: { runId: 'r', input: { reason: 'data', evidence: [] } },
      trained: { runId: 'r', dataVersion: 'a'.repeat(64), content: 'ca', outcome },
    });

    expect(decided(lease('PROMOTED'), [trigger('data'), trigger('drift')]).words).toEqual([
      'data IGNORED',
      'drift IGNORED',
    ]);
    expect(decided(lease('PROMOTED'), [trigger('schedule')]).decisions[0].because).toContain('upload newer data');
    expect(decided(lease('PROMOTED'), [trigger('manual')]).words).toEqual(['manual STARTED']);
    expect(decided(lease('FAILED'), [trigger('drift')]).words).toEqual(['drift STARTED']);
    expect(decided(lease('FAILED'), [trigger('data')]).words).toEqual(['data IGNORED']);
  });

  test('does not train on the same bytes under new names or versions, unless the run on them failed', () => {
    const again: RunData = { ...DATA, dataVersion: 'b'.repeat(64) };
    const lease = (outcome: 'REJECTED' | 'FAILED'): Partial<Lease> => ({
      lastRun: { runId: 'r', input: { reason: 'data', evidence: [] } },
      trained: { runId: 'r', dataVersion: 'a'.repeat(64), content: 'ca', outcome },
    });

    const { words, decisions } = decided(lease('REJECTED'), [trigger('data')], again);
    expect(words).toEqual(['data IGNORED']);
    expect(decisions[0].because).toBe(
      'already trained on: byte for byte the data of the run r, uploaded again; upload changed data, or start a run by hand',
    );
    expect(decided(lease('FAILED'), [trigger('data')], again).words).toEqual(['data STARTED']);
    expect(decided(lease('REJECTED'), [trigger('data')], OTHER).words).toEqual(['data STARTED']);
    expect(decided(lease('REJECTED'), [trigger('drift')], again).decisions[0].needs).toBe('NEWER_DATA');
    expect(decided({}, [trigger('data')], { ...OTHER, alike: 1 }).decisions[0].because).toBe(
      '1 trigger, 2 files, without 1 that another is like, byte for byte',
    );
  });

  test('a replay is called one, and changes nothing of what is known about the data as it is', () => {
    const lease: Partial<Lease> = {
      unpromoted: 2,
      lastRun: { runId: 'r', input: { reason: 'data', evidence: [] } },
      trained: { runId: 'r', dataVersion: 'b'.repeat(64), content: 'cb', outcome: 'REJECTED' },
    };
    const asked = trigger('manual', 'm', { snapshotKey: 'snapshots/a.json' });
    const { lease: during } = decided(lease, [asked]);
    expect(during.lastRun?.input).toMatchObject({ snapshotKey: 'snapshots/a.json', replay: true });

    for (const outcome of ['REPLAYED', 'FAILED'] as const) {
      const after = release(during, { runId: during.holder as string, outcome, at: NOW.toISOString() });
      expect(after).toMatchObject({ ...lease, lastRun: { outcome } });
      expect(decided(after, [trigger('schedule')], OTHER).words).toEqual(['schedule IGNORED']);
    }
    expect(decided({}, [trigger('manual')]).lease.lastRun?.input.replay).toBeUndefined();
  });

  test('says that drift stays, and that people must see to it, when no data has come that could cure it', () => {
    const lease: Partial<Lease> = {
      lastRun: { runId: 'r', input: { reason: 'data', evidence: [] } },
      trained: { runId: 'r', dataVersion: 'a'.repeat(64), content: 'ca', outcome: 'PROMOTED' },
    };
    const [decision] = decided(lease, [trigger('drift')]).decisions;

    expect(decision).toMatchObject({ decided: 'IGNORED', needs: 'NEWER_DATA' });
    expect(decision.because).toMatch(/drift was found, but no labelled data has come since the run r.*upload/);
    expect(decided({ unpromoted: RULES.maxRunsWithoutPromotion }, [trigger('drift')]).decisions[0].needs).toBe(
      'BETTER_DATA',
    );
  });

  test('begins no run beside one that is under way, by whoever it was started', () => {
    const news = [trigger('data'), trigger('manual')];
    const situation = { now: NOW, rules: RULES, runData: DATA };

    for (const result of [
      decide({ ...FREE, holder: 'r' }, news, situation),
      decide(FREE, news, { ...situation, underWay: 'r' }),
    ]) {
      expect(result.decisions.map(({ decided, because }) => [decided, because.slice(0, 10)])).toEqual([
        ['REMEMBERED', 'the run r '],
        ['REMEMBERED', 'the run r '],
      ]);
      expect(result.lease.pending).toEqual(news);
    }
  });

  test('says that a run was made before, and begins none, where an execution has its name', () => {
    const { lease, decisions } = decided({}, [trigger('data')], { ...DATA, ranBefore: true });

    expect(decisions).toEqual([
      expect.objectContaining({
        decided: 'IGNORED',
        because: expect.stringMatching(/^already trained on: the run data-aaaaaaaaaaaa /),
      }),
    ]);
    expect(lease).toMatchObject({ startedToday: 0, seen: { snapshotKey: 'snapshots/a.json' } });
    expect(lease.holder).toBeUndefined();
  });

  test('cools down by a clock that goes forward alone', () => {
    const lease = { lastEndedAt: '2026-03-04T12:00:00Z' }; // three days from now

    expect(decided(lease, [trigger('drift')]).words).toEqual(['drift STARTED']);
  });

  test('ignores the marker of a folder', () => {
    const { words, decisions } = decided({}, [trigger('data', 'e', { key: 'incoming/2026/' })]);

    expect(words).toEqual(['data IGNORED']);
    expect(decisions[0].because).toContain('incoming/2026/');
  });

  test('decides once about an event that a batch holds twice', () => {
    expect(decided({}, [trigger('data'), trigger('data')]).words).toEqual(['data STARTED']);
  });

  test('keeps the lease small in a flood of uploads, and says what stands for those that it does not keep', () => {
    const flood = Array.from({ length: 500 }, (_, i) => trigger('data', `e${i}`));
    const { lease, decisions } = decided({ holder: 'r' }, flood);

    expect(lease.pending).toHaveLength(100);
    expect(decisions).toHaveLength(500);
    expect(decisions[100].because).toContain('e0 waits for this too');
  });

  test('drops no trigger of another kind because many uploads wait', () => {
    const flood = Array.from({ length: 500 }, (_, i) => trigger('data', `e${i}`));
    const others = [
      trigger('drift'),
      trigger('schedule'),
      trigger('manual', 'newest'),
      trigger('manual', 'old', { snapshotKey: 'snapshots/old.json' }),
    ];
    const waiting = decided({ holder: 'r' }, [...flood, ...others]).lease;
    expect(waiting.pending).toEqual([...flood.slice(0, 100), ...others]);

    // one run serves all that want the data as it is, another the snapshot of old; each is named to all it serves
    const { holder: _holder, ...free } = waiting;
    const first = decided(free, []);
    expect(first.lease.lastRun?.input).toMatchObject({ reason: 'manual', more: 3 });
    expect(first.lease.pending).toEqual([others[3]]);
    const named = [
      ...(first.lease.lastRun?.input.evidence ?? []).map(({ eventId }) => eventId),
      ...first.decisions.map(({ eventId }) => eventId),
    ];
    expect(named.sort()).toEqual([...flood.slice(0, 100), ...others.slice(0, 3)].map(({ eventId }) => eventId).sort());
    for (const decision of first.decisions) {
      expect(decision).toMatchObject({ decided: 'STARTED', runId: first.lease.holder });
      expect(decision.sk).toMatch(/#LATER$/);
    }
  });

  test('keeps requests for the same snapshot apart from the room for others, and lets those come again that find none', () => {
    const requests = Array.from({ length: 120 }, (_, i) =>
      trigger('manual', `e${i}`, { snapshotKey: `snapshots/${i % 110}.json` }),
    );
    const { lease, decisions, crowded } = decide({ ...FREE, holder: 'r' }, requests, { now: NOW, rules: RULES });

    expect(lease.pending).toEqual(requests.slice(0, 100));
    expect(crowded).toEqual(requests.slice(100, 110)); // no other asks for these
    expect(decisions.map(({ eventId }) => eventId)).not.toContain('e105');
    expect(decisions.find(({ eventId }) => eventId === 'e110')?.because).toContain('e0 waits for this too');
  });

  test('says in the decision that files were left out', () => {
    expect(decided({}, [trigger('data')], { ...DATA, leftOut: 1 }).decisions[0].because).toBe(
      '1 trigger, 2 files, without 1 that could not be used',
    );
  });
});

describe('release', () => {
  const lastRun = { runId: 'r', input: { reason: 'data', evidence: [] } } as const;
  const lease: Lease = { ...FREE, holder: 'r', unpromoted: 1, lastRun };
  const at = '2026-03-01T12:00:00Z';

  test('counts runs without a better model, and begins anew with a better one', () => {
    expect(release(lease, { runId: 'r', outcome: 'REJECTED', at })).toMatchObject({ unpromoted: 2, lastEndedAt: at });
    expect(release(lease, { runId: 'r', outcome: 'AWAITING_APPROVAL', at }).unpromoted).toBe(0);
    expect(release(lease, { runId: 'r', outcome: 'PROMOTED', at }).holder).toBeUndefined();
  });

  test('counts an end once, and frees of a run that is not the last without counting it', () => {
    const ended = { ...lease, lastRun: { ...lastRun, outcome: 'REJECTED' } } as const;

    for (const known of [ended, { ...lease, lastRun: undefined }]) {
      const after = release(known, { runId: 'r', outcome: 'FAILED', at });
      expect(after.holder).toBeUndefined();
      expect(after.unpromoted).toBe(1);
    }
  });

  test('leaves the lease of another run alone', () => {
    expect(release(lease, { runId: 'other', outcome: 'PROMOTED', at })).toBe(lease);
  });
});

describe('requeue', () => {
  const good = trigger('data', 'good');
  const bad = trigger('data', 'bad', { key: 'incoming/bad.csv', versionId: 'v2' });
  const lease: Lease = {
    ...FREE,
    lastRun: { runId: 'r', input: { reason: 'data', evidence: [good, bad] }, outcome: 'FAILED' },
  };
  const refused = [{ key: 'incoming/bad.csv', versionId: 'v2', runId: 'r' }];

  test('lets the good files wait again, once', () => {
    const after = requeue(lease, 'r', refused);

    expect(after.pending).toEqual([good]);
    expect(requeue({ ...after, pending: [] }, 'r', refused).pending).toEqual([]);
  });

  test('forgets that the snapshot of the failed run was decided on', () => {
    const key = 'snapshots/failed.json';
    const of = (seen: Lease['seen']): Lease => ({
      ...lease,
      lastRun: { runId: 'r', input: { reason: 'data', evidence: [bad], snapshotKey: key }, outcome: 'FAILED' },
      seen,
    });

    expect(requeue(of({ snapshotKey: key, before: 'snapshots/good.json' }), 'r', refused).seen).toEqual({
      snapshotKey: 'snapshots/good.json',
    });
    expect(requeue(of({ snapshotKey: key }), 'r', refused).seen).toBeUndefined();
    expect(requeue(of({ snapshotKey: 'snapshots/later.json' }), 'r', refused).seen).toEqual({
      snapshotKey: 'snapshots/later.json',
    });
  });

  test('does nothing if no file was the cause', () => {
    expect(requeue(lease, 'r', [])).toBe(lease);
    expect(requeue(lease, 'other', refused)).toBe(lease);
  });
});
