import { setTimeout as sleep } from 'node:timers/promises';
import { SageMakerClient, UpdateModelPackageCommand } from '@aws-sdk/client-sagemaker';
import {
  InvokeEndpointCommand,
  ModelError,
  SageMakerRuntimeClient,
  type SageMakerRuntimeClientConfig,
} from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { approveByHand } from './by-hand';
import { csv, flights, requests } from './flights';
import { Loop } from './loop';

/** Requests a deployment; `npm run load` sends 5,000. */
const REQUESTS = Number(process.env.LOAD_REQUESTS ?? 600);
const CONNECTIONS = 16;
/** Of ten instances one is the canary. */
const CANARY_SHARE = 0.1;

/** What became of one request: the answer, or why there was none. */
type Answer = { readonly score: number } | { readonly error: string };

/** Clients that ask one request after the other, each of them once, until they are told to end. */
class Traffic {
  /** In the order in which they were asked for. */
  readonly answers: Answer[] = [];
  private asked = 0;
  private readonly clients: Promise<void>[];
  private ended = false;

  constructor(config: SageMakerRuntimeClientConfig, row: string) {
    const client = new SageMakerRuntimeClient({
      ...config,
      maxAttempts: 1,
      requestHandler: { httpAgent: { keepAlive: true, maxSockets: CONNECTIONS } },
    });
    const input = { EndpointName: 'flights', ContentType: 'text/csv', Body: row };
    const ask = (): Promise<Answer> =>
      client.send(new InvokeEndpointCommand(input)).then(
        ({ Body }) => ({ score: Number(new TextDecoder().decode(Body)) }),
        (error) => ({ error: error instanceof ModelError ? `${error.OriginalMessage}` : `${error}` }),
      );
    this.clients = Array.from({ length: CONNECTIONS }, async () => {
      while (!this.ended) {
        const index = this.asked++;
        this.answers[index] = await ask();
        await sleep(50); // else they would take the processor from the deployment
      }
    });
  }

  /** Goes on until this holds and so many have been answered, and ends. */
  async until(holds: () => Promise<boolean>): Promise<readonly Answer[]> {
    try {
      while (!(await holds()) || this.asked < REQUESTS) await sleep(500);
    } finally {
      this.ended = true;
      await Promise.all(this.clients);
    }
    return this.answers;
  }
}

describe('clients that ask all the time', () => {
  let loop: Loop;
  let row: string;
  let sagemaker: SageMakerClient;
  beforeAll(async () => {
    [row = ''] = await requests(3, 1);
    loop = await Loop.start({ servingInstanceCount: 10, autoApprove: false, timeScale: REQUESTS / 100_000 });
    sagemaker = new SageMakerClient(loop.engine.clientConfig);
    const first = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));
    expect(first.runs).toMatchObject([{ ended: { outcome: 'AWAITING_APPROVAL' } }]);
    await approve();
    expect((await loop.rest()).deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
    const { runs } = await loop.upload('incoming/february.csv', csv(await flights(2, 16000)));
    expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'AWAITING_APPROVAL' });
  }, 240_000);
  afterAll(() => loop.stop());

  /** Approves the newest version. */
  async function approve(): Promise<void> {
    const { runs } = await loop.facts();
    const ModelPackageArn = runs.at(-1)?.ended?.modelPackageArn;
    await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus: 'Approved' }));
  }

  const haveEnded = (deployments: number) => async () => (await loop.facts()).deployments.length === deployments;
  const scoresOf = (answers: readonly Answer[]) =>
    new Set(answers.flatMap((one) => ('score' in one ? [one.score] : [])));

  test('are all answered while a newer model comes into service', async () => {
    const [before] = await loop.ask([row]);
    const traffic = new Traffic(loop.engine.clientConfig, row);
    await approve();
    const answers = await traffic.until(haveEnded(2));
    expect((await loop.facts()).deployments.at(-1)).toMatchObject({ outcome: 'DEPLOYED', modelVersion: 2 });
    const [after] = await loop.ask([row]);
    expect(after).not.toBe(before);
    expect(answers.filter((answer) => 'error' in answer)).toEqual([]);
    expect(scoresOf(answers)).toEqual(new Set([before, after]));
  }, 240_000);

  test('lose what the canary was asked, and no more, to a model that fails', async () => {
    const [before] = await loop.ask([row]);
    const [serving] = (await loop.facts()).deployments.slice(-1);
    const traffic = new Traffic(loop.engine.clientConfig, row);
    const bad = "def model_fn(folder): return None\ndef transform_fn(*given): raise RuntimeError('a bad model')\n";
    await approveByHand(loop, serving?.modelPackageArn as string, bad);
    const answers = await traffic.until(haveEnded(3));
    expect((await loop.facts()).deployments.at(-1)).toMatchObject({ modelVersion: 3, outcome: 'ROLLED_BACK' });
    const failed = answers.flatMap((answer, index) => ('error' in answer ? [{ ...answer, index }] : []));
    expect(failed.filter(({ error }) => !error.includes('a bad model'))).toEqual([]);
    const during = (failed.at(-1)?.index as number) - (failed[0]?.index as number) + 1;
    const chance = 4 * Math.sqrt((CANARY_SHARE * (1 - CANARY_SHARE)) / during); // so far from its share once in 30,000
    expect(failed.length / during).toBeLessThan(CANARY_SHARE + chance);
    expect(scoresOf(answers)).toEqual(new Set([before]));
    expect(await loop.ask([row])).toEqual([before]);
  }, 240_000);
});
