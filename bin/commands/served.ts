import type { Command } from 'commander';
import type { CliContext } from './failure';
import { moment } from './input';
import { servedPeriods } from './ledger';
import { type CommonOptions, openPipeline, show } from './pipeline';
import { printServed } from './tables';

export function addServed(program: Command, context: CliContext): void {
  program
    .command('served')
    .description('tell which model served when, and why; and whether the one deployed last serves now')
    .option('--at <time>', 'only the one that served at this time (ISO)')
    .option('--json', 'write JSON')
    .addHelpText('after', '\nExamples:\n  $ perennial served\n  $ perennial served --at 2026-11-23T12:00:00Z')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { readonly at?: string }>();
      const at = options.at === undefined ? undefined : moment('--at', options.at);
      const { facts } = await openPipeline(options, context);
      const periods = servedPeriods(facts);
      if (at === undefined) return show(context, options, periods, () => printServed(periods));
      const period = periods.filter(({ from }) => Date.parse(from) <= at).at(-1);
      show(context, options, period ?? null, () =>
        period === undefined ? `no model served at ${options.at}` : printServed([period]),
      );
    });
}
