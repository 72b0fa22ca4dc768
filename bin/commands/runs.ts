import type { Command } from 'commander';
import type { CliContext } from './failure';
import { type Extent, readHistory } from './ledger';
import { addExtent, type CommonOptions, type ExtentOptions, extentOf, openPipeline, show } from './pipeline';
import { printRuns } from './tables';

export function addRuns(program: Command, context: CliContext): void {
  const command = program
    .command('runs')
    .description('list the newest runs: why each began, on what data, how it was judged, how it ended');
  addExtent(command, 'runs')
    .option('--json', 'write JSON')
    .addHelpText('after', '\nExample:\n  $ perennial runs --json | jq ".[-1].judged.because"')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & ExtentOptions>();
      const extent: Extent = { ...extentOf(options), of: ['runs', 'windows', 'decisions'] };
      const { facts } = await openPipeline(options, context, (...of) => readHistory(...of, extent));
      show(context, options, facts.runs, () => printRuns(facts));
    });
}
