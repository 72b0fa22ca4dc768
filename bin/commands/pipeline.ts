import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { type AppOptions, clientConfig, findApp, type PipelineApp } from './app';
import { readEndpoint } from './endpoint';
import type { CliContext } from './failure';
import { type Facts, readFacts } from './ledger';

/** Options of every command. */
export interface CommonOptions extends AppOptions {
  readonly json?: boolean;
}

/** Finds the pipeline, reads its ledger, and looks at its endpoint. */
export async function openPipeline(
  options: AppOptions,
  context: CliContext,
): Promise<{ readonly app: PipelineApp; readonly facts: Facts }> {
  const app = await findApp(options, context);
  const client = new DynamoDBClient(clientConfig(context));
  try {
    const [facts, endpoint] = await Promise.all([
      readFacts(client, app.ledgerTable, app.pipeline),
      readEndpoint(app, context),
    ]);
    return { app, facts: { ...facts, endpoint } };
  } finally {
    client.destroy();
  }
}

/** Writes for a machine or for a person. */
export function show(context: CliContext, options: CommonOptions, value: unknown, text: () => string): void {
  context.out(options.json ? JSON.stringify(value, undefined, 2) : text());
}
