import type { Command } from 'commander';
import type { Surroundings } from './failure';
import { moment } from './input';
import { type Facts, type Served, servedPeriods } from './ledger';
import { type CommonOptions, openPipeline, show } from './pipeline';
import { printServed } from './tables';

export function addServed(program: Command, surroundings: Surroundings): void {
  program
    .command('served')
    .description('tell which model served when, and why')
    .option('--at <time>', 'only the one that served at this time (ISO)')
    .option('--json', 'write JSON')
    .addHelpText('after', '\nExamples:\n  $ perennial served\n  $ perennial served --at 2026-11-23T12:00:00Z')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { readonly at?: string }>();
      const at = options.at === undefined ? undefined : moment('--at', options.at);
      const { facts } = await openPipeline(options, surroundings);
      const seen = at === undefined ? facts : before(facts, at);
      const periods = servedPeriods(seen);
      if (at === undefined) show(surroundings, options, periods, () => printServed(facts));
      else showOne(surroundings, options, periods.at(-1), options.at as string, seen);
    });
}

function showOne(
  surroundings: Surroundings,
  options: CommonOptions,
  period: Served | undefined,
  at: string,
  facts: Facts,
): void {
  show(surroundings, options, period ?? null, () =>
    period === undefined
      ? `no model served at ${at}`
      : printServed({ ...facts, deployments: [period.deployment] }).replace(/\bnow\b/, '…'),
  );
}

/** The ledger as it was. */
function before(facts: Facts, at: number): Facts {
  return { ...facts, deployments: facts.deployments.filter((one) => Date.parse(one.at) <= at) };
}
