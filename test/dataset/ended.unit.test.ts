import { describe, expect, test } from 'vitest';
import { beginningOf, missingEnd, outcomeOf, withStarted } from '../../lib/core/dataset/ended';
import type { Outcome } from '../../lib/core/ledger/documents';
import type { LedgerFact } from '../../lib/core/ledger/facts';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { asked, begun } from '../support/facts';

const STARTED = '2026-03-01T00:00:00.000Z';
const end = { runId: 'r', status: 'ABORTED', at: '2026-03-01T01:00:00.000Z', startedAt: '2026-03-01T00:00:00.250Z' };

describe('the end of a run', () => {
  test('is what the run has written, or a failure if that is no outcome of ours', () => {
    expect(['PROMOTED', 'odd'].map((outcome) => outcomeOf({ outcome: outcome as Outcome }))).toEqual([
      'PROMOTED',
      'FAILED',
    ]);
  });

  test.each([
    ['its own beginning, if it has written that', end.startedAt, STARTED, STARTED],
    ['its own beginning, where Step Functions reports none', undefined, STARTED, STARTED],
    ['the reported beginning, where it has written none', end.startedAt, undefined, end.startedAt],
    [
      'the reported beginning, where the ledger has a run of old',
      end.startedAt,
      '2026-01-01T00:00:00.000Z',
      end.startedAt,
    ],
    ['no beginning, if there never was such a run', undefined, undefined, undefined],
  ])('is under %s', (_, startedAt, written, expected) => {
    expect(beginningOf({ ...end, startedAt }, written === undefined ? undefined : { startedAt: written })).toBe(
      expected,
    );
  });

  test('is written if the run has not, and found by its id', () => {
    expect(missingEnd(end, STARTED, new Date(end.at))).toMatchObject([
      { kind: 'RunIndex', runId: 'r', startedAt: STARTED },
      {
        kind: 'RunEnded',
        sk: LedgerKey.run(STARTED, 'r', 'END'),
        at: end.at,
        runId: 'r',
        startedAt: STARTED,
        outcome: 'FAILED',
        error: { name: 'Execution.ABORTED', cause: 'the execution ended as ABORTED before it could say how' },
      },
    ]);
  });
});

describe('withStarted', () => {
  const reasons = ['data', 'manual', 'drift'] as const;
  const today = reasons.flatMap((reason, i) => begun(`r${i}`, STARTED, reason)) as LedgerFact[];
  const others = [asked(STARTED, { runId: 'r0' }) as LedgerFact];
  const spent = { day: '2026-03-01', startedToday: 0 };

  test('counts the runs that began by themselves', () => {
    expect(withStarted(spent, [...today, ...others]).startedToday).toBe(2);
  });

  test('never counts fewer than the lease', () => {
    expect(withStarted({ ...spent, startedToday: 5 }, today)).toEqual({ ...spent, startedToday: 5 });
  });
});
