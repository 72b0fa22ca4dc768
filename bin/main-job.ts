import { execFileSync } from 'node:child_process';
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { Upload } from '@aws-sdk/lib-storage';
import { Engine } from '../engine/src';
import { ensurePython, imageRequirements } from '../engine/src/containers/python';
import { dynamoLedger } from '../lambdas/ledger/dynamo-ledger';
import { Prefix } from '../lib/core';
import { type History, servedPeriods } from '../lib/core/ledger/history';
import { readEndpoint } from './commands/endpoint';
import { readHistory } from './commands/ledger';
import { greeting, interrupted, progressOf } from './commands/local';
import { printable } from './commands/printable';
import { readFindings } from './commands/report';
import { printRuns, printServed, printWindows } from './commands/tables';
import { cutMonths, type Month, requestsOf } from './flights/months';
import { renderReport } from './report/report';

// The whole loop on this machine: half a year of flights becomes a model in service, and drift a better one.

/** The engine's waits are shortened by this: a minute's batching window takes a fifth of a second. */
const TIME_SCALE = 1 / 300;

/** Flights a month that the endpoint is asked about, in requests of as many rows as {@link REQUEST_ROWS}. */
const ASKED = 50_000;
const REQUEST_ROWS = 500;

const started = performance.now();

function print(text: string): void {
  console.log(printable(text));
}

function say(text: string): void {
  print(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}

async function main(keep: boolean): Promise<void> {
  say('cutting 3,000,000 flights of 2001 into months');
  const months = await cutMonths('.perennial/flights');
  say('synthesizing the example app, which `npx cdk deploy` would deploy');
  execFileSync(process.execPath, ['dist/bin/app.cjs'], { env: { ...process.env, CDK_OUTDIR: 'cdk.out' } });

  let engine: Engine | undefined;
  const verbose = process.env.PERENNIAL_VERBOSE !== undefined;
  engine = await Engine.start({
    assembly: 'cdk.out',
    stateDir: newState(),
    timeScale: TIME_SCALE,
    startAt: new Date('2001-02-01T06:00:00Z'),
    schedules: false, // windows are judged when their ground truth is known; half a year of hourly looks would take too long
    log: progressOf(() => engine, verbose, { out: (line) => say(`  ${line}`) }),
  });
  say(`the local engine answers at ${engine.url}; its state is in ${engine.stateDir}, which no later start touches`);
  say(`its lines begin with its own clock, whose waits pass ${1 / TIME_SCALE} times faster; it is ${day(engine)}`);
  try {
    await ensurePython(imageRequirements('sagemaker-xgboost') as string, { progress: say });
    const loop = new Loop(engine);
    await loop.live(months);
    const facts = await loop.facts();
    print(
      `\nRuns\n\n${printRuns(facts)}\n\nWindows\n\n${printWindows(facts)}\n\nWhich model served when\n\n${printServed(servedPeriods(facts))}\n`,
    );
    writeFileSync('report.html', await loop.report(facts));
    say('report.html shows it with plots');
    check(facts);
    if (keep) await stay(engine);
  } finally {
    await engine.stop();
  }
}

/** A folder that no other start has: what earlier ones left, `perennial local` above all, is somebody's. */
function newState(): string {
  return join('.perennial', 'start', new Date().toISOString().slice(0, 19).replaceAll(':', '-'));
}

/** The example app in the engine, used as its users would use it: with the AWS SDK. */
class Loop {
  private readonly s3: S3Client;
  private readonly runtime: SageMakerRuntimeClient;
  private readonly bucket: string;
  private readonly endpoint: string;

  constructor(private readonly engine: Engine) {
    this.s3 = new S3Client(engine.clientConfig);
    this.runtime = new SageMakerRuntimeClient(engine.clientConfig);
    this.bucket = this.output('DataBucket');
    this.endpoint = this.output('Endpoint');
  }

  async live(months: Month[]): Promise<void> {
    const [january, february, ...later] = months as [Month, Month, ...Month[]];
    say(`uploading ${january.name}; nothing else starts the pipeline`);
    await this.upload(Prefix.INCOMING, january);
    await this.ask(february);
    this.pass(28);
    say(`it is ${day(this.engine)}; uploading ${february.name}: a challenger must beat the model in service`);
    await this.upload(Prefix.INCOMING, february);
    for (const month of later) {
      await this.ask(month);
      this.pass(30);
      say(`it is ${day(this.engine)}; the true delays of ${month.name} are known`);
      await this.upload(Prefix.GROUND_TRUTH, month);
    }
  }

  async facts(): Promise<History> {
    const client = new DynamoDBClient(this.engine.clientConfig);
    const [tableName, pipeline] = [this.output('LedgerTable'), this.output('Pipeline')];
    const facts = await readHistory(dynamoLedger({ client, tableName, pipeline }), pipeline);
    return { ...facts, endpoint: await readEndpoint({ endpoint: this.endpoint }, { env: this.engine.environment }) };
  }

  async report(facts: History): Promise<string> {
    const findings = await readFindings({ dataBucket: this.bucket }, facts.windows, { env: this.engine.environment });
    const writtenAt = this.engine.now().toISOString();
    return renderReport({ ...facts, findings, writtenAt });
  }

  /** Uploads a month, and waits until all that comes of it has ended. */
  private async upload(prefix: string, { name, file }: Month): Promise<void> {
    const Key = `${prefix}${name}.parquet`;
    await new Upload({ client: this.s3, params: { Bucket: this.bucket, Key, Body: createReadStream(file) } }).done();
    await this.engine.idle(300_000);
  }

  private async ask(month: Month): Promise<void> {
    const rows = await requestsOf(month, ASKED);
    let late = 0;
    for (let at = 0; at < rows.length; at += REQUEST_ROWS) {
      const { Body } = await this.runtime.send(
        new InvokeEndpointCommand({
          EndpointName: this.endpoint,
          ContentType: 'text/csv',
          Body: rows.slice(at, at + REQUEST_ROWS).join('\n'),
        }),
      );
      const scores = new TextDecoder().decode(Body).trim().split('\n').map(Number);
      late += scores.filter((score) => score > 0.5).length;
    }
    await this.engine.idle(60_000);
    say(
      `asked about ${rows.length.toLocaleString('en')} flights of ${month.name}: ${late.toLocaleString('en')} expected late`,
    );
  }

  /** Lets days pass, for everything that looks at a clock. */
  private pass(days: number): void {
    this.engine.advance(days * 86_400_000);
  }

  private output(name: string): string {
    const [outputs = {}] = Object.values(this.engine.outputs);
    const found = Object.entries(outputs).find(([key]) => key.includes(name));
    if (found === undefined)
      throw new Error(`the app must have an output ${name}, got ${Object.keys(outputs).join(', ')}`);
    return String(found[1]);
  }
}

function day(engine: Engine): string {
  return engine.now().toISOString().slice(0, 10);
}

/** The job is done only if the loop has closed: models in service, and a retraining that drift started by itself. */
function check({ runs, deployments }: History): void {
  const failed = runs.filter(({ ended }) => ended === undefined || ended.outcome === 'FAILED');
  if (failed.length > 0)
    throw new Error(`runs failed: ${failed.map(({ runId, ended }) => `${runId}: ${ended?.error?.cause}`).join('; ')}`);
  if (!deployments.some(({ outcome }) => outcome === 'DEPLOYED')) throw new Error('no model came into service');
  if (!runs.some((run) => run.started?.reason === 'drift')) throw new Error('no drift verdict started a run');
}

async function stay(engine: Engine): Promise<void> {
  print(`\n${greeting(engine)}`);
  await interrupted();
}

try {
  const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
  await main(values.keep);
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  const isUsage = code?.startsWith('ERR_PARSE_ARGS') ?? false;
  console.error(isUsage ? `${message}; the only option is --keep: npm start -- --keep` : `\n${printable(message)}`);
  process.exitCode = isUsage ? 2 : 1;
}
