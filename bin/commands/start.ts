import { userInfo } from 'node:os';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import type { Command } from 'commander';
import type { RunRequestedDetail } from '../../lib/core/dataset/documents';
import { snapshotKey } from '../../lib/core/dataset/snapshot';
import type { Run } from '../../lib/core/ledger/history';
import { Events } from '../../lib/core/names';
import { type AppOptions, clientConfig, findApp } from './app';
import { type CliContext, CommandError } from './failure';
import { note } from './input';
import { openPipeline } from './pipeline';
import { readOne } from './run';

export function addStart(program: Command, context: CliContext): void {
  program
    .command('start')
    .description('ask for a run on the data as it is now')
    .option('--reason <text>', 'why, for the ledger')
    .addHelpText('after', '\nExample:\n  $ perennial start --reason "the fix of the feature hour"')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<AppOptions & { readonly reason?: string }>();
      const { pipeline } = await findApp(options, context);
      const id = await ask(context, { pipeline, ...by(context), ...noted(options.reason) });
      context.out(
        `asked for a run (event ${id}); the controller starts it as soon as none is under way: perennial runs`,
      );
    });

  program
    .command('replay <run>')
    .description(
      'run again on exactly the data of an earlier run; its model is judged, and never registered or deployed',
    )
    .option('--reason <text>', 'why, for the ledger')
    .addHelpText('after', '\nExample:\n  $ perennial replay data-3f2a91bc0d12')
    .action(async (runId: string, _, command: Command) => {
      const options = command.optsWithGlobals<AppOptions & { readonly reason?: string }>();
      const { app, facts } = await openPipeline(options, context, (...of) => readOne(...of, runId));
      const run = facts.runs.at(-1) as Run;
      if (run.started === undefined) {
        throw new CommandError(`${run.runId} cannot be replayed: it ended before it had a snapshot of its data`);
      }
      const id = await ask(context, {
        pipeline: app.pipeline,
        ...by(context),
        ...noted(options.reason ?? `replay of ${run.runId}`),
        snapshotKey: snapshotKey(run.started.dataVersion),
      });
      context.out(
        `asked for a run on the data ${run.started.dataVersion.slice(0, 12)} of ${run.runId} (event ${id}), whose model is judged and never registered: perennial runs`,
      );
    });
}

/** Runs are asked for by event, as drift does: so the controller keeps them one at a time. */
async function ask(context: CliContext, detail: RunRequestedDetail): Promise<string> {
  const client = new EventBridgeClient(clientConfig(context));
  try {
    const { Entries: [result] = [] } = await client.send(
      new PutEventsCommand({
        Entries: [{ Source: Events.SOURCE, DetailType: Events.RUN_REQUESTED, Detail: JSON.stringify(detail) }],
      }),
    );
    if (result?.EventId === undefined) {
      throw new CommandError(`EventBridge did not take the event: ${result?.ErrorCode}: ${result?.ErrorMessage}`);
    }
    return result.EventId;
  } finally {
    client.destroy();
  }
}

function by({ env }: CliContext): { requestedBy: string } {
  return { requestedBy: env.USER ?? userInfo().username };
}

function noted(reason: string | undefined): { note?: string } {
  const text = note('--reason', reason);
  return text === undefined ? {} : { note: text };
}
