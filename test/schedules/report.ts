/** What came of a schedule. */
export interface Report {
  /** What must not be. */
  readonly wrong: readonly string[];
  /** What happened to it, and what came of it, by name. */
  readonly counts: Readonly<Record<string, number>>;
  /**
   * Minutes that uploads, or approvals, waited until they were taken up, without those in which something was under
   * way, the budget was spent, or looks failed.
   */
  readonly idle: readonly number[];
}

/** What came of many schedules. */
export interface Summary {
  readonly wrong: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly longestIdle: number;
}

export async function summary(
  seeds: { readonly from: number; readonly schedules: number },
  run: (seed: number) => Promise<Report>,
): Promise<Summary> {
  const wrong: string[] = [];
  const counts: Record<string, number> = {};
  let longestIdle = 0;
  for (let seed = seeds.from; seed < seeds.from + seeds.schedules; seed++) {
    const report = await run(seed);
    wrong.push(...report.wrong.map((what) => `schedule ${seed}: ${what}`));
    for (const [name, count] of Object.entries(report.counts)) counts[name] = (counts[name] ?? 0) + count;
    longestIdle = report.idle.reduce((most, minutes) => Math.max(most, minutes), longestIdle);
  }
  return { wrong, counts, longestIdle: Math.round(longestIdle * 10) / 10 };
}
