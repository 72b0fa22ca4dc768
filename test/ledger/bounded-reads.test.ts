import { expect, test } from 'vitest';
import { readHistory, readServedAt } from '../../bin/commands/ledger';
import { readOne } from '../../bin/commands/run';
import { saveSnapshot } from '../../lambdas/dataset/data';
import { type Item, type Ledger, type QueryOptions, queryFacts } from '../../lambdas/ledger/ledger';
import { refusedByRun } from '../../lambdas/ledger/refused';
import { findServing, recordServing } from '../../lambdas/ledger/serving';
import { newFact } from '../../lib/core/ledger/facts';
import { LedgerPrefix } from '../../lib/core/ledger/keys';
import { asked, begun, deployment, refusedFile, trained } from '../support/facts';
import { MemoryData, MemoryLedger } from '../support/memory';

/** A ledger that counts what is read of it. */
class CountedLedger extends MemoryLedger {
  calls = 0;
  read = 0;

  override async find(sk: string): Promise<Item | undefined> {
    return this.counted(await super.find(sk), 1);
  }

  override async findAll(sks: readonly string[]): Promise<Item[]> {
    return this.counted(await super.findAll(sks), sks.length);
  }

  override async query(prefix: string, options?: QueryOptions): Promise<Item[]> {
    const found = await super.query(prefix, options);
    return this.counted(found, found.length);
  }

  private counted<T>(answer: T, items: number): T {
    this.calls += 1;
    this.read += items;
    return answer;
  }
}

const DAY = 86_400_000;
const END = Date.parse('2026-03-01T00:00:00Z');

/** A run a day that leaves seven facts, a deployment, a window and a refused file behind. */
async function yearsOf(days: number): Promise<CountedLedger> {
  const ledger = new CountedLedger();
  for (let day = days; day > 0; day--) {
    const startedAt = new Date(END - day * DAY).toISOString();
    const [runId, version] = [`data-${String(day).padStart(5, '0')}`, days - day + 1];
    const run = { runId, startedAt };
    const ended = deployment({ startedAt, runId, modelVersion: version, deploymentId: `d${version}` });
    ledger.add(
      ...begun(runId, startedAt),
      asked(startedAt, { runId, job: 'j' }),
      trained(startedAt, { runId, job: 'j', costUsd: 1 }),
      newFact.runEnded(new Date(startedAt), { ...run, outcome: 'PROMOTED' }),
      ended,
      newFact.windowJudged(new Date(startedAt), {
        ...{ windowId: `w${day}`, windowEnd: startedAt, modelVersion: version, verdict: 'OK', rows: 1 },
        ...{ summary: 's', reportKey: 'k' },
      }),
      ...refusedFile(`incoming/${day}.csv`, 'v', runId, startedAt),
    );
    await recordServing(ledger, ended);
  }
  return ledger;
}

const FEW = yearsOf(300);
const MANY = yearsOf(1500);

const NEWEST = 'data-00001';

test.each<[what: string, read: (ledger: Ledger) => Promise<unknown>, calls: number, items: number]>([
  ['who serves now', (ledger) => findServing(ledger), 1, 1],
  ['which files of the data are refused', (ledger) => saveSnapshot(dataOf(20), ledger), 1, 20],
  ['which files failed the last run', (ledger) => refusedByRun(ledger, NEWEST), 2, 2],
  ['what ran last', (ledger) => queryFacts(ledger, LedgerPrefix.RUNS, { newestFirst: true, limit: 500 }), 1, 500],
  ["a month's costs", (ledger) => queryFacts(ledger, `${LedgerPrefix.RUNS}2026-02`), 1, 140],
  ['perennial runs', (ledger) => readHistory(ledger, 'flights', { of: ['runs', 'windows', 'decisions'] }), 10, 1000],
  ['perennial served', (ledger) => readHistory(ledger, 'flights', { of: ['deployments'] }), 102, 600],
  ['perennial served --at', (ledger) => readServedAt(ledger, 'flights', '2026-01-15T12:00:00.000Z'), 5, 500],
  ['perennial run latest', (ledger) => readOne(ledger, 'flights', 'latest'), 5, 300],
  ['perennial run', (ledger) => readOne(ledger, 'flights', NEWEST), 4, 20],
  ['perennial report', (ledger) => readHistory(ledger, 'flights'), 10, 1300],
])('%s is read alike after 300 days and after 1500', async (_, read, calls, items) => {
  const counts = [];
  for (const ledger of [await FEW, await MANY]) {
    Object.assign(ledger, { calls: 0, read: 0 });
    await read(ledger);
    counts.push({ calls: ledger.calls, read: ledger.read });
  }
  expect((await MANY).items.size).toBeGreaterThan(10_000);
  expect(counts[1]).toEqual(counts[0]);
  expect(counts[1]?.calls).toBeLessThanOrEqual(calls);
  expect(counts[1]?.read).toBeLessThanOrEqual(items);
});

function dataOf(files: number): MemoryData {
  const data = new MemoryData();
  for (let i = 0; i < files; i++) data.upload(`incoming/now-${i}.csv`);
  return data;
}
