import { describe, expect, test } from 'vitest';
import {
  CONTROLLER_DEFAULTS,
  decide,
  FREE,
  type Frozen,
  held,
  parseMessage,
  release,
  requeue,
} from '../../lib/core/controller';
import type { Evidence } from '../../lib/core/documents';
import type { Lease } from '../../lib/core/ledger';
import { Events, type Reason } from '../../lib/core/names';

const NOW = new Date('2026-03-01T12:00:00Z');
const DATA: Frozen = { dataVersion: 'a'.repeat(64), snapshotKey: 'snapshots/a.json', files: 2, leftOut: 0 };
const RULES = CONTROLLER_DEFAULTS;

function trigger(reason: Reason, eventId: string = reason, detail: Evidence['detail'] = {}): Evidence {
  const key: Evidence['detail'] = reason === 'data' ? { key: 'incoming/a.csv', versionId: 'v1' } : {};
  return { reason, eventId, at: '2026-03-01T11:59:00.000Z', detail: { ...key, ...detail } };
}

/** What is decided about triggers when the lease is like this. */
function decided(lease: Partial<Lease>, triggers: readonly Evidence[], frozen: Frozen = DATA, rules = RULES) {
  const result = decide({ ...FREE, ...lease }, triggers, NOW, rules, frozen);
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
    const lease = { unpromoted: RULES.breakAfter };

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

  test('keeps to the number of runs a day: new data waits for the next, a person need not', () => {
    const lease = { day: '2026-03-01', startedToday: RULES.maxRunsPerDay };

    const spent = decided(lease, [trigger('data'), trigger('drift')]);
    expect(spent.words).toEqual(['data REMEMBERED', 'drift IGNORED']);
    expect(spent.lease.pending.map(({ reason }) => reason)).toEqual(['data']);
    expect(decided(lease, [trigger('manual')]).words).toEqual(['manual STARTED']);

    const tomorrow = decided({ ...lease, day: '2026-02-28', pending: spent.lease.pending }, []);
    expect(tomorrow.lease).toMatchObject({ day: '2026-03-01', startedToday: 1, pending: [] });
  });

  test('trains on the same data again only for a person, or after a failure', () => {
    const lease = (outcome: 'PROMOTED' | 'FAILED'): Partial<Lease> => ({
      lastDataVersion: 'a'.repeat(64),
      lastRun: { runId: 'r', input: { reason: 'data', evidence: [] }, outcome },
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

  test('lets a new run begin when the lease of the last has expired', () => {
    const lost = { holder: 'lost', expiresAt: '2026-03-01T11:00:00Z' };

    expect(held(lost, NOW)).toBe(false);
    expect(decided(lost, [trigger('data')]).words).toEqual(['data STARTED']);
    expect(decided({ ...lost, expiresAt: '2026-03-01T13:00:00Z' }, [trigger('data')]).words).toEqual([
      'data REMEMBERED',
    ]);
  });

  test('ignores the marker of a folder', () => {
    const { words, decisions } = decided({}, [trigger('data', 'e', { key: 'incoming/2026/' })]);

    expect(words).toEqual(['data IGNORED']);
    expect(decisions[0].because).toContain('incoming/2026/');
  });

  test('decides once about an event that a batch holds twice', () => {
    expect(decided({}, [trigger('data'), trigger('data')]).words).toEqual(['data STARTED']);
  });

  test('keeps the lease small in a flood of events', () => {
    const flood = Array.from({ length: 500 }, (_, i) => trigger('data', `e${i}`));
    const { lease, decisions } = decided({ holder: 'r', expiresAt: '2026-03-02T00:00:00Z' }, flood);

    expect(lease.pending).toHaveLength(100);
    expect(decisions).toHaveLength(500);
  });

  test('says in the decision that files were left out', () => {
    expect(decided({}, [trigger('data')], { ...DATA, leftOut: 1 }).decisions[0].because).toBe(
      '1 trigger, 2 files, without 1 that could not be used',
    );
  });
});

describe('release', () => {
  const lease: Lease = { ...FREE, holder: 'r', expiresAt: '2026-03-02T00:00:00Z', unpromoted: 1 };
  const at = '2026-03-01T12:00:00Z';

  test('counts runs without a better model, and begins anew with a better one', () => {
    expect(release(lease, { runId: 'r', outcome: 'REJECTED', at })).toMatchObject({ unpromoted: 2, lastEndedAt: at });
    expect(release(lease, { runId: 'r', outcome: 'AWAITING_APPROVAL', at }).unpromoted).toBe(0);
    expect(release(lease, { runId: 'r', outcome: 'PROMOTED', at }).holder).toBeUndefined();
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

  test('does nothing if no file was the cause', () => {
    expect(requeue(lease, 'r', [])).toBe(lease);
    expect(requeue(lease, 'other', refused)).toBe(lease);
  });
});

describe('parseMessage', () => {
  const parse = (event: object) =>
    parseMessage(JSON.stringify({ id: 'e', time: '2026-03-01T12:00:00Z', detail: {}, ...event }), 'flights');

  test('reads the reports of one window as one trigger', () => {
    const detail = {
      pipeline: 'flights',
      windowId: 'w',
      windowEnd: '2026-03-01T11:00:00Z',
      version: 1,
      reportKey: 'k',
      summary: 's',
    };
    const message = { source: 'perennial', 'detail-type': Events.DRIFT_DETECTED, detail };

    expect(parse({ ...message, id: 'e1' })).toEqual(parse({ ...message, id: 'e2', time: '2026-03-01T13:00:00Z' }));
  });

  test('tells scheduled runs apart by their time, not by the id of the attempt', () => {
    const message = { source: 'perennial', 'detail-type': Events.SCHEDULE };

    expect(parse({ ...message, id: 'a' })).toEqual(parse({ ...message, id: 'b' }));
  });

  test('reads the end of a run from Step Functions', () => {
    const detail = { name: 'r', status: 'TIMED_OUT', startDate: 0, stopDate: 60_000 };

    expect(parse({ source: 'aws.states', 'detail-type': 'Step Functions Execution Status Change', detail })).toEqual({
      kind: 'ended',
      end: { runId: 'r', status: 'TIMED_OUT', startedAt: '1970-01-01T00:00:00.000Z', at: '1970-01-01T00:01:00.000Z' },
    });
  });

  test.each([
    ['another pipeline', { source: 'perennial', 'detail-type': Events.RUN_REQUESTED, detail: { pipeline: 'other' } }],
    ['another event of ours', { source: 'perennial', 'detail-type': Events.DEPLOYMENT_ENDED }],
    ['another source', { source: 'aws.ec2', 'detail-type': 'x' }],
  ])('lets %s pass', (_, event) => {
    expect(parse(event).kind).toBe('other');
  });

  test('lets pass what is no event at all', () => {
    expect(parseMessage('hello', 'flights').kind).toBe('other');
    expect(parseMessage('null', 'flights').kind).toBe('other');
  });
});
