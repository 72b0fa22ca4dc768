import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { App, Stack } from 'aws-cdk-lib';
import * as kms from 'aws-cdk-lib/aws-kms';
import { readHistory } from '../../bin/commands/ledger';
import { main } from '../../bin/commands/program';
import { Engine, type EngineOptions } from '../../engine/src';
import { dynamoLedger } from '../../lambdas/ledger/dynamo-ledger';
import { ContinuousTraining, type ContinuousTrainingProps, DataContract, Trainer } from '../../lib';
import type { History } from '../../lib/core/ledger/history';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's shapes
export type Template = any;

export interface LoopOptions extends Partial<ContinuousTrainingProps> {
  /** Changes the synthesized template before it runs. */
  readonly edit?: (template: Template) => void;
  readonly delivery?: EngineOptions['delivery'];
  readonly faults?: EngineOptions['faults'];
  /** Whether the clock fires schedules and alarms; by hand alone without it. */
  readonly schedules?: boolean;
  /** Seconds that a second of the engine takes. */
  readonly timeScale?: number;
  /** Whether everything is under a key of the app's own. */
  readonly underKey?: boolean;
  /** Further members of the contract. */
  readonly contractOf?: object;
  /** Names of further pipelines, each in a stack of its own. */
  readonly beside?: string[];
  /** The folder of a loop that has ended, to go on with what it has left. */
  readonly folder?: string;
}

export const CONTRACT = JSON.parse(readFileSync('examples/flights/contract.json', 'utf8'));

/** The whole loop, from the synthesized template, in the engine. */
export class Loop {
  readonly s3: S3Client;
  readonly runtime: SageMakerRuntimeClient;
  readonly bucket: string;

  private constructor(
    readonly engine: Engine,
    readonly folder: string,
    readonly pipelineName: string,
    private readonly stack = 'Loop',
  ) {
    this.s3 = new S3Client(engine.clientConfig);
    this.runtime = new SageMakerRuntimeClient(engine.clientConfig);
    this.bucket = this.output('DataBucket');
  }

  static async start({
    edit,
    delivery,
    faults,
    contractOf,
    schedules = false,
    timeScale = 0.001,
    underKey = false,
    beside = [],
    folder = mkdtempSync(join(tmpdir(), 'perennial-loop-')),
    ...props
  }: LoopOptions = {}): Promise<Loop> {
    const assembly = mkdtempSync(join(folder, 'cdk.out-'));
    const app = new App({ outdir: assembly });
    const { pipelineName = 'flights' } = props;
    for (const [i, name] of [pipelineName, ...beside].entries()) {
      const stack = new Stack(app, i === 0 ? 'Loop' : `Loop-${i}`);
      new ContinuousTraining(stack, 'Flights', {
        contract: DataContract.fromObject({ ...CONTRACT, ...contractOf }),
        trainer: Trainer.xgboost({ hyperparameters: { num_round: '10', max_depth: '4' } }),
        ...(underKey && { encryptionKey: new kms.Key(stack, 'Key') }),
        ...props,
        pipelineName: name,
      });
    }
    app.synth();
    if (edit !== undefined) {
      const path = join(assembly, 'Loop.template.json');
      const template = JSON.parse(readFileSync(path, 'utf8'));
      edit(template);
      writeFileSync(path, JSON.stringify(template));
    }
    const engine = await Engine.start({
      assembly,
      stateDir: join(folder, 'state'),
      timeScale,
      schedules,
      ...(delivery && { delivery }),
      ...(faults && { faults }),
    });
    return new Loop(engine, folder, pipelineName);
  }

  async stop({ keep = false } = {}): Promise<void> {
    this.s3.destroy();
    this.runtime.destroy();
    await this.engine.stop();
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }

  /** The same engine, seen from a pipeline that is beside. */
  beside(pipelineName: string, number = 1): Loop {
    return new Loop(this.engine, this.folder, pipelineName, `Loop-${number}`);
  }

  /** Uploads without waiting for what comes of it. */
  async put(key: string, body: string | Buffer): Promise<void> {
    await this.s3.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body }));
  }

  /** Uploads, and waits until all that comes of it has ended. */
  async upload(key: string, body: string | Buffer): Promise<History> {
    await this.put(key, body);
    return this.rest();
  }

  /** Waits until nothing moves any more, and reads the ledger. */
  async rest(): Promise<History> {
    await this.engine.idle(120_000);
    return this.facts();
  }

  async facts(): Promise<History> {
    const client = new DynamoDBClient(this.engine.clientConfig);
    const table = { client, tableName: this.output('LedgerTable'), pipeline: this.pipelineName };
    return readHistory(dynamoLedger(table), this.pipelineName, { limit: 10_000 });
  }

  /** Asks the endpoint; one score a row. */
  async ask(rows: string[]): Promise<number[]> {
    const { Body } = await this.runtime.send(
      new InvokeEndpointCommand({ EndpointName: this.pipelineName, ContentType: 'text/csv', Body: rows.join('\n') }),
    );
    return new TextDecoder().decode(Body).trim().split('\n').map(Number);
  }

  async read(key: string): Promise<string> {
    const { Body } = await this.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
    return (await Body?.transformToString()) ?? '';
  }

  async bytes(key: string): Promise<Uint8Array> {
    const { Body } = await this.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
    return (await Body?.transformToByteArray()) ?? new Uint8Array();
  }

  async keys(prefix: string): Promise<string[]> {
    const { Contents } = await this.s3.send(new ListObjectsV2Command({ Bucket: this.bucket, Prefix: prefix }));
    return (Contents ?? []).map(({ Key }) => Key as string);
  }

  /** Runs a command line as a person would, who is called Kim. */
  async perennial(line: string): Promise<{ code: number; out: string; err: string }> {
    const [out, err]: [string[], string[]] = [[], []];
    const code = await main(line.split(' '), {
      env: { ...this.engine.environment, PERENNIAL_STACK: 'Loop', USER: 'kim' },
      cwd: this.folder,
      out: (text) => out.push(text),
      err: (text) => err.push(text),
    });
    return { code, out: out.join('\n'), err: err.join('\n') };
  }

  /** What people were told, oldest first: the texts of rules, and the subjects of alarms. */
  told(): string[] {
    const topic = this.output('NotificationTopic');
    const published = this.engine.services.sns.published.filter(({ topicArn }) => topicArn === topic);
    return published.map(({ subject, message }) => subject ?? message);
  }

  /** The ARN of the role whose logical id begins so. */
  role(id: string): string {
    const roles = this.engine.assembly.ofType('AWS::IAM::Role').filter(({ logicalId }) => logicalId.startsWith(id));
    if (roles.length !== 1) throw new Error(`${roles.length} roles begin with ${id}, expected 1`);
    return roles[0]?.arn as string;
  }

  output(name: string): string {
    const found = Object.entries(this.engine.outputs[this.stack] ?? {}).find(([key]) => key.includes(name));
    return String(found?.[1]);
  }
}
