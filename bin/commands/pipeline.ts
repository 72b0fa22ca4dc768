import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Command } from 'commander';
import { dynamoLedger } from '../../lambdas/ledger/dynamo-ledger';
import type { Ledger } from '../../lambdas/ledger/ledger';
import type { History } from '../../lib/core/ledger/history';
import { type AppOptions, clientConfig, findApp, type PipelineApp } from './app';
import { readEndpoint } from './endpoint';
import type { CliContext } from './failure';
import { atMost, moment } from './input';
import { type Extent, MOST_READ } from './ledger';

/** Options of every command. */
export interface CommonOptions extends AppOptions {
  readonly json?: boolean;
}

/** Options of the commands that list what the ledger has. */
export interface ExtentOptions {
  readonly limit: string;
  readonly since?: string;
}

/** Adds the options by which a command reads more of the ledger, or less. */
export function addExtent(command: Command, what: string): Command {
  return command
    .option('--limit <n>', `so many ${what}, the newest`, String(MOST_READ))
    .option('--since <time>', 'only what began since then (ISO)');
}

/** How much is to be read. */
export function extentOf({ limit, since }: ExtentOptions): Extent {
  return {
    limit: atMost('--limit', limit),
    ...(since !== undefined && { since: new Date(moment('--since', since)).toISOString() }),
  };
}

/** Finds the pipeline, reads of its ledger what is wanted, and looks at its endpoint. */
export async function openPipeline(
  options: AppOptions,
  context: CliContext,
  read: (ledger: Ledger, pipeline: string) => Promise<History>,
): Promise<{ readonly app: PipelineApp; readonly facts: History }> {
  const app = await findApp(options, context);
  const { ledgerTable: tableName, pipeline } = app;
  const client = new DynamoDBClient(clientConfig(context));
  try {
    const ledger = dynamoLedger({ client, tableName, pipeline });
    const [facts, endpoint] = await Promise.all([read(ledger, pipeline), readEndpoint(app, context)]);
    return { app, facts: { ...facts, endpoint } };
  } finally {
    client.destroy();
  }
}

/** Writes for a machine or for a person. */
export function show(context: CliContext, options: CommonOptions, value: unknown, text: () => string): void {
  context.out(options.json ? JSON.stringify(value, undefined, 2) : text());
}
