import { Command, CommanderError } from 'commander';
import { shortened } from '../../lib/core/listed';
import { addInfer } from './contract';
import { addDecide } from './decide';
import { type CliContext, describeError, UsageError } from './failure';
import { addLocal } from './local';
import { addPermissions } from './permissions';
import { printable } from './printable';
import { addReport } from './report';
import { addRun } from './run';
import { addRuns } from './runs';
import { addServed } from './served';
import { addStart } from './start';

/** Exit codes. */
const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

/**
 * Runs the command line.
 *
 * @param args without the program's name
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function main(args: readonly string[], given: CliContext): Promise<number> {
  const context = {
    ...given,
    out: (text: string) => given.out(printable(text)),
    err: (text: string) => given.err(printable(text)),
  };
  const program = makeProgram(context);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return DONE;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG_USAGE; // it has said why
    const { verbose } = program.opts<{ readonly verbose?: boolean }>();
    context.err(`perennial: ${describeError(error, context.env.AWS_ENDPOINT_URL)}`);
    if (verbose) context.err((error as Error).stack ?? '');
    return error instanceof UsageError ? WRONG_USAGE : FAILED;
  }
}

/** What was typed stands in some messages, however long it is. */
const LONGEST_MESSAGE = 2000;

function makeProgram(context: CliContext): Command {
  const trimmed = (write: (text: string) => void) => (text: string) => write(text.replace(/\n$/, ''));
  const program = new Command('perennial')
    .description(
      'Keeps a machine-learning model good in production.\n\nThe commands speak to AWS, or to the local engine whose address is in AWS_ENDPOINT_URL.',
    )
    .option('--stack <name>', "the app's stack (default: PERENNIAL_STACK, else the only stack in cdk.out)")
    .option('--pipeline <name>', 'which pipeline of the stack, if it has several')
    .option('--verbose', 'show where an error came from; with local, show everything that happens')
    .addHelpText(
      'after',
      '\nExamples:\n  $ npx cdk synth --quiet && perennial local        # run the app on this machine\n  $ perennial runs                                  # what was trained, and how it was judged\n  $ perennial approve 3 --comment "looks right"     # put a model version into service\n\nExit codes: 0 done, 1 failed, 2 wrong usage.',
    )
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: trimmed(context.out),
      writeErr: trimmed((text) => context.err(shortened(text, LONGEST_MESSAGE))),
    })
    .showHelpAfterError('(see --help)')
    .exitOverride();
  const commands = [addLocal, addRuns, addRun, addStart, addDecide, addServed, addReport, addPermissions, addInfer];
  for (const add of commands) add(program, context);
  return program;
}
