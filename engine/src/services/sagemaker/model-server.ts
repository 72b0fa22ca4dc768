import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RoleCaller } from '../../service';
import type { Container, Containers } from './container';
import { type Host, s3Uri } from './host';
import type { ServingContainer } from './models';
import { unpack } from './untar';

/** What a container answered. */
export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly contentType: string;
}

export interface ServerRequest {
  readonly folder: string;
  readonly model: ServingContainer;
  /** The model's execution role. */
  readonly role: RoleCaller;
  /** Real milliseconds in which it must answer `/ping`. */
  readonly startMs: number;
  readonly line: (line: string) => void;
}

/** Milliseconds that a container has to answer what it was asked: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html */
const LONGEST_ANSWER = 60_000;

/** A model's container that answers. */
export class ModelServer {
  /** Whether it was told to end, and does not end by itself. */
  ending = false;
  private readonly agent = new Agent({ keepAlive: true });
  private readonly open = new Set<Promise<Answer>>();

  private constructor(
    private readonly container: Container,
    private readonly port: number,
    private readonly secret: string,
    private readonly folder: string,
  ) {}

  /** Fetches and unpacks the model, starts its server, and waits until it answers `/ping`. */
  static async start(host: Host, containers: Containers, request: ServerRequest): Promise<ModelServer> {
    const { folder, model, role, line } = request;
    const { bucket, key } = s3Uri(model.ModelDataUrl);
    await rm(folder, { recursive: true, force: true });
    try {
      await unpack(await host.objects.file(bucket, key, role), join(folder, 'model'));
    } catch (error) {
      throw new Error(
        `cannot get its model ${model.ModelDataUrl}: ${(error as Error).name}: ${(error as Error).message}`,
      );
    }
    await mkdir(join(folder, 'code'), { recursive: true });
    const python = await containers.python(model.Image, join(folder, 'model', 'code'));
    const lines: string[] = [];
    let tellPort: (port: number) => void = () => {};
    const listening = new Promise<number>((done) => {
      tellPort = done;
    });
    const secret = randomBytes(32).toString('hex');
    const container = await containers.start({
      ...{ folder, entry: 'serve.py', python, workingFolder: 'code' },
      env: {
        ...host.context.credentials(request.role),
        ...model.Environment,
        PERENNIAL_SECRET: secret,
      },
      line: (text, stream) => {
        const [, port] = (stream === 'out' && /^\{"port": (\d+)\}$/.exec(text)) || [];
        if (port !== undefined) return tellPort(Number(port));
        lines.push(text);
        if (lines.length > 20) lines.shift();
        line(text);
      },
    });
    const gone = container.ended.then(() => 'it ended by itself');
    const late = sleep(request.startMs, 'it took too long', { ref: false });
    const port = await Promise.race([listening, gone, late]);
    if (typeof port === 'number') {
      const server = new ModelServer(container, port, secret, folder);
      if ((await server.send('GET', '/ping').catch(() => undefined))?.status === 200) return server;
    }
    container.end();
    await container.ended;
    const last = lines.slice(-4).join('\n');
    throw new Error(`did not pass the ping health check (${typeof port === 'string' ? port : 'no answer'}): ${last}`);
  }

  /** Resolves when the container has ended. */
  get ended(): Promise<number> {
    return this.container.ended;
  }

  invoke(body: Buffer, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const answer = this.send('POST', '/invocations', body, headers);
    this.open.add(answer);
    const done = () => this.open.delete(answer);
    answer.then(done, done);
    return answer;
  }

  /** Ends the container once it has answered what it was asked; nobody may ask it any more. */
  async end(): Promise<void> {
    this.ending = true;
    await Promise.race([Promise.allSettled(this.open), sleep(LONGEST_ANSWER, undefined, { ref: false })]);
    this.container.end();
    this.agent.destroy();
    await this.container.ended;
    await rm(this.folder, { recursive: true, force: true });
  }

  private send(
    method: string,
    path: string,
    body?: Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return new Promise((done, failed) => {
      const { agent, port } = this;
      const all = { ...headers, authorization: `Bearer ${this.secret}` };
      const sent = httpRequest({ host: '127.0.0.1', port, path, method, headers: all, agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', failed);
        response.on('end', () =>
          done({
            status: response.statusCode ?? 500,
            body: Buffer.concat(chunks),
            contentType: response.headers['content-type'] ?? 'application/octet-stream',
          }),
        );
      });
      sent.on('error', failed);
      if (body !== undefined) sent.setHeader('content-length', body.length);
      sent.end(body);
    });
  }
}
