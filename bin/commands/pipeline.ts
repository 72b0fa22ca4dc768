import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { type AppOptions, clientConfig, findApp, type PipelineApp } from './app';
import { readEndpoint } from './endpoint';
import type { Surroundings } from './failure';
import { type Facts, readFacts } from './ledger';

/** Options of every command. */
export interface CommonOptions extends AppOptions {
  readonly json?: boolean;
}

/** Finds the pipeline, reads its ledger, and looks at its endpoint. */
export async function openPipeline(
  options: AppOptions,
  surroundings: Surroundings,
): Promise<{ readonly app: PipelineApp; readonly facts: Facts }> {
  const app = await findApp(options, surroundings);
  const client = new DynamoDBClient(clientConfig(surroundings));
  try {
    const [facts, endpoint] = await Promise.all([
      readFacts(client, app.ledgerTable, app.pipeline),
      readEndpoint(app, surroundings),
    ]);
    return { app, facts: { ...facts, endpoint } };
  } finally {
    client.destroy();
  }
}

/** Writes for a machine or for a person. */
export function show(surroundings: Surroundings, options: CommonOptions, value: unknown, text: () => string): void {
  surroundings.out(options.json ? JSON.stringify(value, undefined, 2) : text());
}
