// Whether the local engine's memory grows: 50 runs of the whole loop and 20,000 requests, after some to warm up.
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { readHistory } from '../bin/commands/ledger';
import { progressOf } from '../bin/commands/local';
import { type ClientConfig, Engine } from '../engine/src';
import { dynamoLedger } from '../lambdas/ledger/dynamo-ledger';
import type { History, Run } from '../lib/core/ledger/history';
import { flightsOf, PIPELINE, synthesize } from '../test/kills/app';

const RUNS = Number(process.env.BENCH_RUNS ?? 50);
const WARM_UP = Math.min(5, RUNS);
const REQUESTS_A_RUN = 400;
const ASKED_AT_ONCE = 16;
/** The engine's waits pass so much faster. */
const SPEED = 900;
const MOST_GROWTH = 50 * 2 ** 20;
const PATIENCE = 600_000;

/** What the engine's process answers. */
interface Memory {
  readonly heap: number;
  readonly rss: number;
}
interface Started {
  readonly config: ClientConfig;
  readonly outputs: Readonly<Record<string, string>>;
}

/** The engine in a process of its own, as `perennial local` has it, that tells its memory. */
async function serve(assembly: string, stateDir: string): Promise<void> {
  let engine: Engine | undefined;
  const log = progressOf(() => engine, false, { out: () => {} });
  engine = await Engine.start({ assembly, stateDir, timeScale: 1 / SPEED, log });
  process.on('message', async () => {
    // as when memory runs short: else V8 keeps up to 128 MB of empty pages for new objects
    for (let i = 0; i < 3; i++) globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await sleep(1_000); // pages are given back in the background
    const { heapUsed, external, rss } = process.memoryUsage();
    process.send?.({ heap: heapUsed + external, rss } satisfies Memory);
  });
  process.on('disconnect', () => engine?.stop().then(() => process.exit()));
  const outputs = Object.fromEntries(Object.values(engine.outputs).flatMap((values) => Object.entries(values)));
  process.send?.({ config: engine.clientConfig, outputs } satisfies Started);
}

function answerOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((done, failed) => {
    child.once('message', (message) => done(message as T));
    child.once('exit', (code) => failed(new Error(`the engine has ended with ${code}`)));
  });
}

async function measure(): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-bench-'));
  const child = fork(__filename, ['engine', synthesize({ newestFiles: 2 }), join(folder, 'state')], {
    execArgv: ['--expose-gc'],
  });
  const { config, outputs } = await answerOf<Started>(child);
  const output = (name: string) => Object.entries(outputs).find(([key]) => key.includes(name))?.[1];
  const [s3, runtime, client] = [new S3Client(config), new SageMakerRuntimeClient(config), new DynamoDBClient(config)];
  const ledger = dynamoLedger({ client, tableName: String(output('LedgerTable')), pipeline: PIPELINE });
  const until = async (holds: (facts: History) => boolean, what: string) => {
    for (const end = Date.now() + PATIENCE; ; await sleep(200)) {
      if (holds(await readHistory(ledger, PIPELINE, { limit: 10_000 }))) return;
      if (Date.now() > end) throw new Error(`${what} has not come in ${PATIENCE} ms`);
    }
  };
  const isDone = (run: Run) => run.ended !== undefined && run.ended.outcome !== 'FAILED';
  let runs = 0;
  const run = async () => {
    const Key = `incoming/${String(runs).padStart(3, '0')}.csv`;
    await s3.send(new PutObjectCommand({ Bucket: output('DataBucket'), Key, Body: flightsOf(runs) }));
    await until((facts) => facts.runs.filter(isDone).length > runs, `the end of a run on ${Key}`);
    runs += 1;
  };
  let requests = 0;
  const ask = async (count: number) => {
    const asked = { EndpointName: PIPELINE, ContentType: 'text/csv', Body: '1,6,1,500,ATL,JFK\n2,23,5,700,JFK,ATL' };
    for (let i = 0; i < count; i += ASKED_AT_ONCE) {
      const some = Array.from({ length: Math.min(ASKED_AT_ONCE, count - i) });
      await Promise.all(some.map(() => runtime.send(new InvokeEndpointCommand(asked))));
    }
    requests += count;
  };
  const tell = async (): Promise<Memory> => {
    child.send('memory');
    const memory = await answerOf<Memory>(child);
    const [heap, rss] = [memory.heap, memory.rss].map((bytes) => (bytes / 2 ** 20).toFixed(1));
    console.log(`| ${runs} | ${requests} | ${heap} | ${rss} |`);
    return memory;
  };

  console.log('| runs | requests | heap, MB | RSS, MB |\n| ---: | ---: | ---: | ---: |');
  for (let i = 0; i < WARM_UP; i++) await run();
  await until(({ deployments }) => deployments.length > 0, 'a deployment');
  for (let i = 0; i < WARM_UP; i++) await ask(REQUESTS_A_RUN);
  const before = await tell();
  let after = before;
  for (let i = 1; i <= RUNS; i++) {
    await run();
    await ask(REQUESTS_A_RUN);
    if (i % 10 === 0 || i === RUNS) after = await tell();
  }
  child.disconnect();
  for (const each of [s3, runtime, client]) each.destroy();
  await new Promise((done) => child.once('exit', done));
  rmSync(folder, { recursive: true, force: true });
  const growth = { heap: after.heap - before.heap, rss: after.rss - before.rss };
  console.log(`\ngrowth: heap ${(growth.heap / 2 ** 20).toFixed(1)} MB, RSS ${(growth.rss / 2 ** 20).toFixed(1)} MB`);
  return Math.max(growth.heap, growth.rss) < MOST_GROWTH;
}

const [, , role, assembly, stateDir] = process.argv;
if (role === 'engine') void serve(assembly as string, stateDir as string);
else {
  void measure().then((isFine) => {
    process.exitCode = isFine ? 0 : 1;
  });
}
