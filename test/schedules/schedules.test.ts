import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { deploymentSchedule } from './deployments';
import { type Report, summary } from './report';
import { trainingSchedule } from './training';

/** How many schedules are tried: some with the suite, `npm run schedules` tries 1,000. */
const SCHEDULES = process.env.SCHEDULES;
const SEED = Number(process.env.SCHEDULES_SEED ?? 1);

beforeEach(() => {
  vi.spyOn(console, 'log').mockReturnValue();
  vi.spyOn(console, 'error').mockReturnValue();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe.each<[what: string, run: (seed: number, looks?: boolean) => Promise<Report>, few: number]>([
  ['controller', trainingSchedule, 8],
  ['deployment', deploymentSchedule, 20],
])('the %s', (what, run, few) => {
  const schedules = Number(SCHEDULES ?? few);

  test('loses nothing, does nothing twice or beside another, and lets nothing wait, whatever happens', async () => {
    const { wrong, counts, longestIdle } = await summary({ from: SEED, schedules }, (seed) => run(seed));
    process.stdout.write(`${what}, seed ${SEED}: ${JSON.stringify({ ...counts, longestIdle, wrong: wrong.length })}\n`);
    expect(wrong).toEqual([]);
    // everything happened of which this speaks
    for (const name of ['lost', 'doubled', 'late', 'malformed', 'failed calls', 'clock jumps', 'tampered rows']) {
      expect(counts[name], name).toBeGreaterThan(0);
    }
  }, 3_600_000);

  test('would be seen to leave things undone without a clock of its own', async () => {
    const { wrong } = await summary({ from: SEED, schedules: few }, (seed) => run(seed, false));
    expect(wrong).toContainEqual(expect.stringContaining('more than an hour'));
  });
});
