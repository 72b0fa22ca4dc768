import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListModelPackagesCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { DescribeExecutionCommand, ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn';
import { GetQueueAttributesCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { fromItem } from '../../lambdas/ledger/items';
import { snapshotKey } from '../../lib/core/dataset/snapshot';
import { type Fact, type LedgerFact, readFact } from '../../lib/core/ledger/facts';
import { historyOf } from '../../lib/core/ledger/history';
import type { DeploymentLease, Lease } from '../../lib/core/ledger/rows';
import { EngineProcess, survivorsOf } from '../support/engine-process';
import { flightsOf, PIPELINE } from './app';
import { phaseOf } from './phase';

export type Signal = 'SIGKILL' | 'SIGTERM' | 'SIGINT';

export interface Kill {
  readonly signal: Signal;
  /** The part of the loop that it struck. */
  readonly phase: string;
  /** What the next start said of what was left. */
  recovered: readonly string[];
}

/** An hour of the engine's time takes 4 s. */
const SPEED = 900;
/** Real milliseconds in which an engine must end when it is asked to. */
const LONGEST_END = 30_000;
/** Real milliseconds in which all comes to rest: many hours of the engine's time, but its functions run in real time. */
const LONGEST_REST = 120_000;
/** Rows of the ledger that change in place. */
const CHANGING = /^(LEASE|SERVING|WATCH|READING|PREPARING)#/;

/** One folder of state, on which an engine is started and ended again and again. */
export class Life {
  readonly kills: Kill[] = [];
  /** What should not be; empty if all went well. */
  readonly wrong: string[] = [];
  /** An upload that may be cut off by the next kill. */
  unanswered: Promise<void> | undefined;
  private readonly state = join(mkdtempSync(join(tmpdir(), 'life-')), 'state');
  private readonly uploads: string[] = [];
  /** Rows of the ledger that were seen, by key. */
  private readonly rows = new Map<string, string>();
  private engine: EngineProcess | undefined;
  /** Whether it is being ended. */
  private ending = false;

  constructor(private readonly assembly: string) {}

  /** Begins to start an engine, and does not wait until it answers. */
  launch(): void {
    const { assembly, state } = this;
    this.ending = false;
    this.engine = EngineProcess.launch({ assembly, state, arguments: ['--speed', String(SPEED), '--verbose'] });
  }

  /** Waits until the engine answers, and sees whether everything is there that was there. */
  async goOn(): Promise<void> {
    const { running } = this;
    await running.answers();
    await sleep(20); // what it has recovered comes after its greeting
    if (running.output.includes('set aside')) this.wrong.push(`something was torn:\n${running.output}`);
    const last = this.kills.at(-1);
    if (last !== undefined) last.recovered = recoveredIn(running.output);
    await this.read();
    const { deployments } = await this.facts();
    if (deployments.some(({ outcome }) => outcome === 'DEPLOYED')) await this.ask();
  }

  /** Uploads the next file; again, if the engine has not answered that it has it. */
  async upload(): Promise<void> {
    const Key = `incoming/${String(this.uploads.length).padStart(3, '0')}.csv`;
    const Body = flightsOf(this.uploads.length);
    const client = new S3Client(this.running.clientConfig);
    try {
      await client.send(new PutObjectCommand({ Bucket: this.output('DataBucket'), Key, Body }));
      this.uploads.push(Key);
    } catch (error) {
      // cut off by a kill: nobody was told that it is there, and it comes again
      if (!this.ending) throw error;
    } finally {
      client.destroy();
    }
  }

  /** Waits until the engine has said so many lines more, or has ended. */
  async says(lines: number): Promise<void> {
    const { running } = this;
    const until = running.lines + lines;
    while (running.lines < until && running.child.exitCode === null) await sleep(5);
  }

  /** Ends the engine, and sees whether anything of it is left. */
  async kill(signal: Signal): Promise<void> {
    const { running } = this;
    this.ending = true;
    const isUp = /export AWS_ACCESS_KEY_ID/.test(running.output);
    this.kills.push({ signal, phase: isUp ? phaseOf(running.output) : 'start', recovered: [] });
    const ended = await Promise.race([
      running.end(signal),
      sleep(LONGEST_END, 'not within 30 s' as const, { ref: false }),
    ]);
    const isFine = signal === 'SIGKILL' ? ended === 'SIGKILL' : ended === 0 || (!isUp && ended === signal);
    if (!isFine) this.wrong.push(`after ${signal} the engine ended with ${ended}:\n${running.output.slice(-3000)}`);
    if (ended === 'not within 30 s') await running.end('SIGKILL');
    await this.unanswered;
    this.unanswered = undefined;
    const left = await survivorsOf(this.state);
    if (left.length > 0) this.wrong.push(`after ${signal} processes are left: ${left.join('; ')}`);
  }

  /** Waits until nothing is under way any more; what is wrong with that, if it does not come. */
  async rest(): Promise<void> {
    await this.settled(() => this.unsettled());
  }

  /** Waits for rest after an upload that no end follows: it is trained on, and all that runs which were cut off left. */
  async restAtLast(): Promise<void> {
    await this.settled(async () => [...(await this.unsettled()), ...(await this.untrained())]);
  }

  private async settled(asked: () => Promise<string[]>): Promise<void> {
    const until = Date.now() + LONGEST_REST;
    let open = await asked();
    while (open.length > 0 && Date.now() < until) {
      await sleep(250);
      open = await asked();
    }
    if (open.length > 0) this.wrong.push(`stuck: ${open.join('; ')}\n${this.running.output.slice(-6000)}`);
    await this.read();
  }

  /** How the executions ended: `training SUCCEEDED`, with the error of one that failed. */
  async executions(): Promise<string[]> {
    const states = new SFNClient(this.running.clientConfig);
    const ended: string[] = [];
    for (const machine of ['training', 'deployment']) {
      for (const { status, executionArn = '' } of await this.executionsOf(states, machine)) {
        const { error, cause } = await states.send(new DescribeExecutionCommand({ executionArn }));
        ended.push([machine, status, error].filter((part) => part !== undefined).join(' '));
        if (status === 'FAILED' && !cause) this.wrong.push(`${executionArn} has failed without a cause`);
      }
    }
    states.destroy();
    return ended;
  }

  async stop(): Promise<void> {
    await this.engine?.end('SIGKILL');
    await survivorsOf(this.state);
  }

  private get running(): EngineProcess {
    if (this.engine === undefined) throw new Error('no engine has been started');
    return this.engine;
  }

  private output(name: string): string {
    const found = new RegExp(`^Kills +Flights${name}\\w* +(\\S+)`, 'm').exec(this.running.output);
    return String(found?.[1]);
  }

  private async facts() {
    return historyOf(PIPELINE, factsOf(await this.scan()));
  }

  private async scan(): Promise<Fact[]> {
    const client = new DynamoDBClient(this.running.clientConfig);
    const { Items = [] } = await client.send(
      new ScanCommand({ TableName: this.output('LedgerTable'), ConsistentRead: true }),
    );
    client.destroy();
    return Items.map((item) => fromItem<Fact>(item));
  }

  /** Whether all facts and uploads are there that were there. */
  private async read(): Promise<void> {
    const rows = new Map((await this.scan()).map((row) => [row.sk, JSON.stringify(row)]));
    for (const [key, was] of this.rows) {
      if (rows.get(key) !== was) this.wrong.push(`the row ${key} was ${was}, and is ${rows.get(key)}`);
    }
    for (const [key, row] of rows) if (!CHANGING.test(key)) this.rows.set(key, row);
    for (const key of this.uploads) await this.object(key);
  }

  private async object(Key: string): Promise<string> {
    const client = new S3Client(this.running.clientConfig);
    const { Body } = await client.send(new GetObjectCommand({ Bucket: this.output('DataBucket'), Key }));
    const text = (await Body?.transformToString()) ?? '';
    client.destroy();
    return text;
  }

  /** The endpoint gives a probability a row. */
  private async ask(): Promise<void> {
    const client = new SageMakerRuntimeClient(this.running.clientConfig);
    const rows = ['1,6,1,500,ATL,JFK', '2,23,5,700,JFK,ATL'].join('\n');
    try {
      const asked = new InvokeEndpointCommand({ EndpointName: PIPELINE, ContentType: 'text/csv', Body: rows });
      const scores = new TextDecoder()
        .decode((await client.send(asked)).Body)
        .trim()
        .split('\n')
        .map(Number);
      if (scores.length !== 2 || !scores.every((score) => score > 0 && score < 1)) throw new Error(`scores ${scores}`);
    } catch (error) {
      this.wrong.push(`the endpoint does not serve: ${(error as Error).message}\n${this.running.output.slice(-3000)}`);
    } finally {
      client.destroy();
    }
  }

  private async executionsOf(states: SFNClient, machine: string) {
    const stateMachineArn = `arn:aws:states:us-east-1:000000000000:stateMachine:${PIPELINE}-${machine}`;
    return (await states.send(new ListExecutionsCommand({ stateMachineArn }))).executions ?? [];
  }

  /** What is still under way, or should not be so at rest. */
  private async unsettled(): Promise<string[]> {
    const open: string[] = [];
    const rows = await this.scan();
    const facts = historyOf(PIPELINE, factsOf(rows));
    const leases = Object.fromEntries(rows.filter(({ sk }) => sk.startsWith('LEASE#')).map((row) => [row.sk, row]));
    const training = leases['LEASE#training'] as unknown as Lease | undefined;
    const deployment = leases['LEASE#deployment'] as unknown as DeploymentLease | undefined;
    if (training?.holder !== undefined) open.push(`${training.holder} holds the training lease`);
    if (training?.pending.length) open.push(`${training.pending.length} triggers wait`);
    if (deployment?.holder !== undefined) open.push(`${deployment.holder} holds the deployment lease`);
    if (deployment?.wanted !== undefined) open.push('a deployment waits');

    for (const { runId, ended } of facts.runs) {
      if (ended === undefined) open.push(`the run ${runId} has not ended`);
      if (ended?.outcome === 'FAILED' && !ended.error?.cause) open.push(`the run ${runId} has failed without a reason`);
    }

    const served = facts.deployments.filter(({ outcome }) => outcome === 'DEPLOYED').at(-1)?.modelVersion ?? 0;
    const approved = await this.newestApproved();
    if (served !== approved) open.push(`version ${approved} is approved, and ${served} serves`);

    const states = new SFNClient(this.running.clientConfig);
    for (const machine of ['training', 'deployment']) {
      const running = (await this.executionsOf(states, machine)).filter(({ status }) => status === 'RUNNING');
      open.push(...running.map(({ name }) => `the execution ${name} is running`));
    }
    states.destroy();
    open.push(...(await this.messages()));
    return open;
  }

  /** The uploads of which no run that did not fail has been made. */
  private async untrained(): Promise<string[]> {
    const trained = new Set<string>();
    for (const { started, ended } of (await this.facts()).runs) {
      if (started === undefined || ended === undefined || ended.outcome === 'FAILED') continue;
      const { files } = JSON.parse(await this.object(snapshotKey(started.dataVersion)));
      for (const { key } of files) trained.add(key);
    }
    return this.uploads.filter((key) => !trained.has(key)).map((key) => `${key} has not been trained on`);
  }

  private async newestApproved(): Promise<number> {
    const client = new SageMakerClient(this.running.clientConfig);
    const ModelPackageGroupName = this.output('ModelPackageGroup');
    const asked = { ModelPackageGroupName, ModelApprovalStatus: 'Approved' as const, MaxResults: 100 };
    const { ModelPackageSummaryList = [] } = await client.send(new ListModelPackagesCommand(asked));
    client.destroy();
    return Math.max(0, ...ModelPackageSummaryList.map(({ ModelPackageVersion = 0 }) => ModelPackageVersion));
  }

  /** Messages that lie in queues: on their way, or dead. */
  private async messages(): Promise<string[]> {
    const client = new SQSClient(this.running.clientConfig);
    const { QueueUrls = [] } = await client.send(new ListQueuesCommand({}));
    const found: string[] = [];
    for (const QueueUrl of QueueUrls) {
      const { Attributes = {} } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
      );
      const { ApproximateNumberOfMessages: visible, ApproximateNumberOfMessagesNotVisible: hidden } = Attributes;
      if (visible !== '0' || hidden !== '0') found.push(`${QueueUrl} has ${visible} messages and ${hidden} in flight`);
    }
    client.destroy();
    return found;
  }
}

/** What a start says of what was left, without its numbers and names. */
function recoveredIn(output: string): string[] {
  const [, told = ''] = /It goes on from what an earlier start left.*\n((?: {2}.*\n)*)/.exec(output) ?? [];
  return told.split('\n').flatMap((line) => line.trim() || []);
}

/** Those rows that never change. */
function factsOf(rows: readonly Fact[]): LedgerFact[] {
  return rows.filter(({ sk }) => !CHANGING.test(sk)).map((row) => readFact(row));
}
