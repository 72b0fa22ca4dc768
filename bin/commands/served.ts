import type { Command } from 'commander';
import { servedPeriods } from '../../lib/core/ledger/history';
import type { CliContext } from './failure';
import { moment } from './input';
import { type Extent, readHistory, readServedAt } from './ledger';
import { addExtent, type CommonOptions, type ExtentOptions, extentOf, openPipeline, show } from './pipeline';
import { printServed } from './tables';

export function addServed(program: Command, context: CliContext): void {
  const command = program
    .command('served')
    .description('tell which model served when, and why; and whether the one deployed last serves now');
  addExtent(command, 'deployments')
    .option('--at <time>', 'only the one that served at this time (ISO)')
    .option('--json', 'write JSON')
    .addHelpText('after', '\nExamples:\n  $ perennial served\n  $ perennial served --at 2026-11-23T12:00:00Z')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & ExtentOptions & { readonly at?: string }>();
      const at = options.at === undefined ? undefined : moment('--at', options.at);
      const extent: Extent = { ...extentOf(options), of: ['deployments'] };
      const { facts } = await openPipeline(options, context, (...of) =>
        at === undefined ? readHistory(...of, extent) : readServedAt(...of, new Date(at).toISOString()),
      );
      const periods = servedPeriods(facts);
      if (at === undefined)
        return show(context, options, periods, () => printServed(periods, facts.older?.includes('deployments')));
      const period = periods.filter(({ from }) => Date.parse(from) <= at).at(-1);
      show(context, options, period ?? null, () =>
        period === undefined ? `no model served at ${options.at}` : printServed([period]),
      );
    });
}
