import { describe, expect, test } from 'vitest';
import { outcomeOf, withStarted } from '../../lib/core/dataset/ended';
import { LedgerKey, type RunEnded, type RunStarted } from '../../lib/core/ledger/ledger';

const STARTED = '2026-03-01T00:00:00.000Z';
const end = { runId: 'r', status: 'ABORTED', at: '2026-03-01T01:00:00Z', startedAt: '2026-03-01T00:00:00.250Z' };
const fact = (runId: string, kind: 'START' | 'END', more: object = {}) =>
  ({ sk: LedgerKey.run(STARTED, runId, kind), runId, ...more }) as RunStarted | RunEnded;

describe('outcomeOf', () => {
  test('is what the run has written', () => {
    const facts = [
      fact('other', 'END', { outcome: 'FAILED' }),
      fact('r', 'END', { outcome: 'PROMOTED' }),
      fact('r', 'START'),
    ];
    expect(outcomeOf(end, facts)).toEqual({ outcome: 'PROMOTED' });
  });

  test('is a failure where the run has written an outcome that is not ours', () => {
    expect(outcomeOf(end, [fact('r', 'END', { outcome: 'odd' })])).toEqual({ outcome: 'FAILED' });
  });

  test.each([
    ['its own beginning, if it has written that', [fact('r', 'START')], STARTED],
    ['the beginning that Step Functions reports', [fact('other', 'START')], end.startedAt],
  ])('is written if the run has not, under %s', (_, facts, startedAt) => {
    expect(outcomeOf(end, facts)).toEqual({
      outcome: 'FAILED',
      missing: {
        sk: LedgerKey.run(startedAt, 'r', 'END'),
        at: end.at,
        runId: 'r',
        outcome: 'FAILED',
        error: { name: 'Execution.ABORTED', cause: 'the execution ended as ABORTED before it could say how' },
      },
    });
  });

  test('is a failure, and nothing is written, if there never was such a run', () => {
    expect(outcomeOf({ ...end, startedAt: undefined }, [])).toEqual({ outcome: 'FAILED' });
  });
});

describe('withStarted', () => {
  const today = ['data', 'manual', 'drift'].map((reason, i) => fact(`r${i}`, 'START', { reason }) as RunStarted);
  const others = [fact('r0', 'END') as unknown as RunStarted];
  const spent = { day: '2026-03-01', startedToday: 0 };

  test('counts the runs that began by themselves', () => {
    expect(withStarted(spent, [...today, ...others]).startedToday).toBe(2);
  });

  test('never counts fewer than the lease', () => {
    expect(withStarted({ ...spent, startedToday: 5 }, today)).toEqual({ ...spent, startedToday: 5 });
  });
});
