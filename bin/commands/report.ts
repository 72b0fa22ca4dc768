import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { GetObjectCommand, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import type { Command } from 'commander';
import type { WindowJudged } from '../../lib/core/ledger/facts';
import { parseJson, readReport } from '../../lib/core/ledger/stored';
import type { MonitorReport } from '../../lib/core/watch/documents';
import type { Finding } from '../../lib/core/watch/findings';
import { type AppOptions, clientConfig, type PipelineApp } from './app';
import { type CliContext, CommandError } from './failure';
import { readHistory } from './ledger';
import { addExtent, type ExtentOptions, extentOf, openPipeline } from './pipeline';

/** Windows whose findings are read for the plots; older ones are shown by their verdicts alone. */
const MOST_WINDOWS = 200;

export function addReport(program: Command, context: CliContext): void {
  const command = program
    .command('report')
    .description('write one HTML page about the pipeline: what serves and why, runs, drift, decisions');
  addExtent(command, 'runs, deployments, windows and decisions each')
    .option('--out <file>', 'where to', 'report.html')
    .addHelpText('after', '\nExample:\n  $ perennial report --out flights.html')
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<AppOptions & ExtentOptions & { readonly out: string }>();
      const extent = extentOf(options);
      const { app, facts } = await openPipeline(options, context, (...of) => readHistory(...of, extent));
      const findings = await readFindings(app, facts.windows, context);
      const file = resolve(context.cwd, options.out);
      const { renderReport } = await import('../report/report'); // the other commands need no plots
      const html = await renderReport({ ...facts, findings, writtenAt: new Date().toISOString() });
      try {
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, html);
      } catch (error) {
        throw new CommandError(`cannot write ${file}: ${(error as Error).message}`);
      }
      context.out(`wrote ${file}`);
    });
}

/** The findings of the newest windows, by window id, from the monitor's reports in the data bucket. */
export async function readFindings(
  app: Pick<PipelineApp, 'dataBucket'>,
  windows: readonly WindowJudged[],
  context: Pick<CliContext, 'env'>,
): Promise<Record<string, readonly Finding[]>> {
  const client = new S3Client(clientConfig(context));
  try {
    const read = windows.slice(-MOST_WINDOWS).map(async ({ windowId, reportKey }) => {
      const report = await findReport(client, app.dataBucket, reportKey);
      return [windowId, report?.findings ?? []] as const;
    });
    return Object.fromEntries(await Promise.all(read));
  } finally {
    client.destroy();
  }
}

async function findReport(client: S3Client, Bucket: string, Key: string): Promise<MonitorReport | undefined> {
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
    const json = (await Body?.transformToString()) ?? '';
    return readReport(parseJson(json, Key), Key);
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined; // reports may be deleted; the ledger stays
    throw error;
  }
}
