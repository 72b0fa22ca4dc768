import type { Command } from 'commander';
import type { CliContext } from './failure';
import { type CommonOptions, openPipeline, show } from './pipeline';
import { printRuns } from './tables';

export function addRuns(program: Command, context: CliContext): void {
  program
    .command('runs')
    .description('list the runs: why each began, on what data, how it was judged, how it ended')
    .option('--json', 'write JSON')
    .addHelpText('after', '\nExample:\n  $ perennial runs --json | jq ".[-1].judged.because"')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const { facts } = await openPipeline(options, context);
      show(context, options, facts.runs, () => printRuns(facts));
    });
}
