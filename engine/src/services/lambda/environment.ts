import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { killGroup, startChild } from '../../engine/children';
import { END_MARK } from './bootstrap';
import { withRemedy } from './duckdb';
import type { LambdaFunction } from './function';
import { type Guest, RESPONSE_LIMIT, type RuntimeApi } from './runtime-api';

/** How often a function's memory is looked at. */
const MEMORY_POLL_MS = 100;
/** What AWS gives a handler to load. */
const INIT_LIMIT_SECONDS = 10;

/** How long an answer waits for the lines that were written before it. */
const READ_LIMIT_MS = 1000;

/** What came of an invocation. */
export interface Outcome {
  readonly requestId: string;
  readonly payload: string;
  /** `Unhandled` if the function failed. */
  readonly error?: 'Unhandled';
  readonly milliseconds: number;
  /** The most memory that the process had, as far as it was seen; 0 where the system does not tell. */
  readonly maxMemoryMb: number;
  /** Whether the environment was started for it. */
  readonly cold: boolean;
}

interface Invocation {
  readonly requestId: string;
  readonly payload: string;
  readonly since: number;
  /** Resolves once both of the child's streams have brought their mark. */
  readonly written: Promise<void>;
  mark(): void;
  resolve(outcome: Outcome): void;
}

export interface EnvironmentOptions {
  readonly function: LambdaFunction;
  readonly api: RuntimeApi;
  /** File of the bootstrap. */
  readonly bootstrap: string;
  /** Folder for the environment's `/tmp`. */
  readonly scratch: string;
  /** Credentials, and the address of the engine. */
  readonly credentials: Record<string, string>;
  /** Folders where native packages of this machine may be. */
  readonly modules: readonly string[];
  readonly line: (text: string, requestId: string | undefined) => void;
  /** The engine's time, in milliseconds since the epoch. */
  readonly now: () => number;
}

/** One execution environment: a child process that handles one invocation at a time. */
export class Environment implements Guest {
  readonly id = randomUUID();
  dead = false;
  private child: ChildProcess | undefined;
  private waiting: ServerResponse | undefined;
  private current: Invocation | undefined;
  private queued: Invocation | undefined;
  private timer: NodeJS.Timeout | undefined;
  private watch: NodeJS.Timeout | undefined;
  private initError: string | undefined;
  private maxMemoryMb = 0;
  private invocations = 0;
  private readonly scratch: string;
  private readonly exited: Promise<void>;
  private hasExited: () => void = () => undefined;

  constructor(private readonly options: EnvironmentOptions) {
    this.scratch = join(options.scratch, this.id);
    this.exited = new Promise((resolve) => {
      this.hasExited = resolve;
    });
  }

  get idle(): boolean {
    return !this.dead && this.current === undefined && this.queued === undefined;
  }

  /** Runs one invocation; always resolves. Only for an {@link idle} environment. */
  invoke(payload: string): Promise<Outcome> {
    return new Promise((resolve) => {
      let marks = 0;
      let mark = () => {};
      const written = new Promise<void>((done) => {
        mark = () => {
          marks += 1;
          if (marks === 2) done();
        };
      });
      const requestId = randomUUID();
      this.queued = { requestId, payload, since: performance.now(), written, mark, resolve };
      if (this.child === undefined) this.start().catch((error) => this.end('Runtime.Unknown', String(error)));
      this.pump();
    });
  }

  /** Ends the child; resolves once it is gone. */
  async stop(): Promise<void> {
    this.end('Runtime.ExitError', 'The local engine was stopped');
    if (this.child !== undefined) await this.exited;
  }

  next(response: ServerResponse): void {
    clearTimeout(this.timer);
    this.waiting = response;
    this.pump();
  }

  settle(requestId: string, body: string, failed: boolean): void {
    if (this.dead || this.current?.requestId !== requestId) return; // late: its time was over
    if (Buffer.byteLength(body) > RESPONSE_LIMIT) {
      const message = `Response payload size exceeded maximum allowed payload size (${RESPONSE_LIMIT} bytes).`;
      this.finish(failure('Function.ResponseSizeTooLarge', message), true);
    } else this.finish(body, failed);
  }

  initFailed(body: string): void {
    this.initError = withRemedy(body);
  }

  private async start(): Promise<void> {
    const { function: made, api, bootstrap, credentials, modules } = this.options;
    mkdirSync(this.scratch, { recursive: true });
    const address = await api.admit(this.id, this);
    if (this.dead) return;
    const limit = INIT_LIMIT_SECONDS + made.timeoutSeconds;
    this.timer = setTimeout(() => this.timedOut(limit), limit * 1000);
    // V8 may use nearly all of the memory; what native code takes on top is seen by the watch.
    const heap = Math.max(64, Math.floor(made.memoryMb * 0.9));
    const child = startChild(process.execPath, [`--max-old-space-size=${heap}`, '--enable-source-maps', bootstrap], {
      cwd: made.folder,
      stdio: ['pipe', 'pipe', 'pipe'], // what it reads is the end of its input: the engine's
      env: {
        ...(process.env.PATH !== undefined && { PATH: process.env.PATH }),
        LANG: 'en_US.UTF-8',
        TZ: ':UTC',
        TMPDIR: this.scratch,
        HOME: this.scratch, // the user's own has their AWS configuration
        NODE_PATH: modules.join(':'),
        ...made.environment,
        ...credentials,
        AWS_EXECUTION_ENV: `AWS_Lambda_${made.runtime}`,
        AWS_LAMBDA_FUNCTION_NAME: made.name,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(made.memoryMb),
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
        AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${made.name}`,
        AWS_LAMBDA_LOG_STREAM_NAME: `local/[$LATEST]${this.id}`,
        AWS_LAMBDA_RUNTIME_API: address,
        LAMBDA_TASK_ROOT: made.folder,
        _HANDLER: made.handler,
      },
    });
    this.child = child;
    child.stdin?.on('error', () => {}); // it has ended already
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream as Readable }).on('line', (text) => this.line(text));
    }
    child.on('error', (error) => this.end('Runtime.ExitError', error.message));
    // 'close', not 'exit': by then the last lines have been read
    child.on('close', (code, signal) => {
      this.end(
        'Runtime.ExitError',
        `Runtime exited with error: ${signal ? `signal: ${signal}` : `exit status ${code}`}`,
      );
      this.hasExited();
    });
    this.watch = setInterval(() => this.checkMemory(), MEMORY_POLL_MS);
  }

  private pump(): void {
    if (this.waiting === undefined || this.queued === undefined || this.current !== undefined || this.dead) return;
    const { function: made } = this.options;
    const response = this.waiting;
    const invocation = this.queued;
    this.waiting = undefined;
    this.queued = undefined;
    this.current = invocation;
    this.timer = setTimeout(() => this.timedOut(made.timeoutSeconds), made.timeoutSeconds * 1000);
    response
      .writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': invocation.requestId,
        'lambda-runtime-deadline-ms': String(Date.now() + made.timeoutSeconds * 1000),
        'lambda-runtime-invoked-function-arn': made.arn,
        'perennial-clock-ahead-ms': String(this.options.now() - Date.now()),
      })
      .end(invocation.payload);
  }

  private finish(payload: string, failed: boolean): void {
    const invocation = this.current ?? this.queued;
    clearTimeout(this.timer);
    if (invocation === undefined) return;
    this.current = invocation;
    this.queued = undefined;
    this.maxMemoryMb = Math.max(this.maxMemoryMb, this.memoryMb());
    this.invocations += 1;
    const outcome: Outcome = {
      requestId: invocation.requestId,
      payload,
      ...(failed && { error: 'Unhandled' as const }),
      milliseconds: performance.now() - invocation.since,
      maxMemoryMb: this.maxMemoryMb,
      cold: this.invocations === 1,
    };
    void this.read(invocation).then(() => {
      this.current = undefined;
      invocation.resolve(outcome);
      this.pump();
    });
  }

  /** Resolves once every line of an invocation has been read: its answer may overtake them. */
  private async read(invocation: Invocation): Promise<void> {
    if (this.child === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, READ_LIMIT_MS);
    });
    await Promise.race([invocation.written, this.exited, patience]);
    clearTimeout(timer);
  }

  /** Takes a line; the bootstrap ends each stream's part of an invocation with a mark. */
  private line(text: string): void {
    const mark = text.indexOf(END_MARK);
    const invocation = this.current;
    if (mark !== 0) this.options.line(mark < 0 ? text : text.slice(0, mark), invocation?.requestId);
    if (mark >= 0 && text.slice(mark + 1) === invocation?.requestId) invocation.mark();
  }

  /** Ends the environment; an invocation that it has fails. */
  private end(type: string, message: string): void {
    if (this.dead) return;
    this.dead = true;
    const requestId = (this.current ?? this.queued)?.requestId;
    const text = requestId === undefined ? message : `RequestId: ${requestId} Error: ${message}`;
    this.finish(this.initError ?? failure(type, text), true);
    clearInterval(this.watch);
    clearTimeout(this.timer);
    if (this.child !== undefined) killGroup(this.child);
    this.options.api.dismiss(this.id);
    rmSync(this.scratch, { recursive: true, force: true });
  }

  private timedOut(seconds: number): void {
    this.end('Sandbox.Timedout', `Task timed out after ${seconds.toFixed(2)} seconds`);
  }

  private checkMemory(): void {
    const used = this.memoryMb();
    this.maxMemoryMb = Math.max(this.maxMemoryMb, used);
    const { memoryMb } = this.options.function;
    if (used <= memoryMb) return;
    this.options.line(`used ${Math.round(used)} MB of its ${memoryMb} MB and was killed`, this.current?.requestId);
    this.end(
      'Runtime.OutOfMemory',
      `Runtime exited with error: signal: killed (memory: ${Math.round(used)} MB of ${memoryMb} MB)`,
    );
  }

  /** Resident memory of the child, native code's included; 0 where the system does not tell. */
  private memoryMb(): number {
    try {
      const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.child?.pid}/status`, 'utf8')) ?? [];
      return Number(kilobytes ?? 0) / 1024;
    } catch {
      return 0;
    }
  }
}

function failure(errorType: string, errorMessage: string): string {
  return JSON.stringify({ errorType, errorMessage });
}
