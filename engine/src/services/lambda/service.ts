import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { Outbox } from '../../delivery/outbox';
import {
  ApiError,
  type Context,
  type Operation,
  type Queues,
  type Resource,
  type RoleCaller,
  type Sent,
  type Service,
  type Shape,
} from '../../service';
import { compilePattern, matchesPattern } from '../events/event-pattern/pattern';
import { checkKeyUse } from '../kms/service';
import { type AsyncConfig, invokeLater, type Later, readAsyncConfig } from './asynchronous';
import { BOOTSTRAP } from './bootstrap';
import type { EnvironmentOptions, Outcome } from './environment';
import { EventSource } from './event-source';
import { type LambdaFunction, readFunction } from './function';
import { loggedMetrics } from './metrics-format';
import { Pool } from './pool';
import { RESOURCES } from './resources';
import { RuntimeApi } from './runtime-api';

const SYNC_LIMIT = 6_291_456;
const ASYNC_LIMIT = 1_048_576;
const API = '/2015-03-31';

interface Entry {
  readonly made: LambdaFunction;
  readonly pool: Pool;
  readonly asynchronous: AsyncConfig;
}

/**
 * Lambda: runs the template's Node.js functions in child processes over the Runtime API, each with
 * its own role, environment, timeout and memory ceiling, and feeds them from SQS queues.
 */
export class Lambda implements Service {
  readonly name = 'lambda';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly functions = new Map<string, Entry>();
  private readonly sources: EventSource[] = [];
  private readonly api = new RuntimeApi();
  private readonly bootstrap: string;
  private readonly later: Outbox<Later>;

  constructor(
    private readonly context: Context,
    private readonly options: {
      /** A `node_modules` folder in which functions find what their bundles leave out. */
      readonly nodeModules?: string;
    } = {},
    private readonly queues?: Queues,
  ) {
    this.bootstrap = join(context.stateDir, 'lambda', 'bootstrap.mjs');
    this.operations = this.makeOperations();
    this.later = new Outbox(context, {
      name: 'lambda/invocations',
      members: { function: 'string', payload: 'string', attempts: 'number', outcome: 'object?' },
      plural: 'asynchronous invocations',
      label: (later) => `event for ${later.function}`,
      work: (later, progress) => this.invokeLater(later, progress),
    });
  }

  load(resources: readonly Resource[]): void {
    mkdirSync(dirname(this.bootstrap), { recursive: true });
    writeFileSync(this.bootstrap, BOOTSTRAP);
    const configs = new Map<string, Shape>();
    for (const { type, properties } of resources) {
      if (type === 'AWS::Lambda::EventInvokeConfig') configs.set(nameOf(properties.FunctionName), properties);
    }
    for (const resource of resources) {
      if (resource.type !== 'AWS::Lambda::Function') continue;
      const made = readFunction(resource, this.context);
      const pool = new Pool(made, (own) => this.environment(own));
      this.functions.set(made.name, { made, pool, asynchronous: readAsyncConfig(configs.get(made.name) ?? {}) });
    }
    for (const resource of resources) {
      if (resource.type === 'AWS::Lambda::EventSourceMapping') this.feed(resource);
    }
  }

  /** Takes no message from any queue any more. */
  async stopFeeding(): Promise<void> {
    await Promise.all(this.sources.map((source) => source.stop()));
  }

  async stop(): Promise<void> {
    const sources = this.sources.map((source) => source.stop());
    await Promise.all([...this.functions.values()].map(({ pool }) => pool.stop()));
    await Promise.all(sources);
    this.api.close();
  }

  async handle(request: IncomingMessage, response: ServerResponse, url: URL, sent: Sent): Promise<boolean> {
    const { pathname } = url;
    if (!pathname.startsWith(`${API}/`)) return false;
    try {
      const [, encoded, rest] = /^\/2015-03-31\/functions\/([^/]+)(\/.*)?$/.exec(pathname) ?? [];
      const FunctionName = encoded === undefined ? undefined : decodeURIComponent(encoded);
      if (FunctionName !== undefined && rest === '/invocations' && request.method === 'POST') {
        await this.handleInvoke(request, response, FunctionName, sent);
        return true;
      }
      const found = request.method === 'GET' ? this.reading(pathname, FunctionName, rest) : undefined;
      if (found === undefined) return false;
      const answer = await this.context.call('lambda', found, { FunctionName }, sent.caller);
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const body = { Type: 'User', message: error.message, Message: error.message, ...error.details };
      response
        .writeHead(error.status, { 'content-type': 'application/json', 'x-amzn-errortype': error.code })
        .end(JSON.stringify(body));
    }
    return true;
  }

  private reading(pathname: string, FunctionName: string | undefined, rest: string | undefined): string | undefined {
    if (pathname === `${API}/functions` || pathname === `${API}/functions/`) return 'ListFunctions';
    if (/^\/2015-03-31\/event-source-mappings\/?$/.test(pathname)) return 'ListEventSourceMappings';
    if (FunctionName !== undefined && rest === undefined) return 'GetFunction';
    if (FunctionName !== undefined && rest === '/configuration') return 'GetFunctionConfiguration';
    return undefined;
  }

  private async handleInvoke(
    request: IncomingMessage,
    response: ServerResponse,
    FunctionName: string,
    { body, caller }: Sent,
  ): Promise<void> {
    const input = {
      FunctionName,
      InvocationType: request.headers['x-amz-invocation-type'] ?? 'RequestResponse',
      Payload: body.toString('utf8'),
    };
    const answer = await this.context.call('lambda', 'Invoke', input, caller);
    response.writeHead(answer.StatusCode, {
      'content-type': 'application/json',
      'x-amz-executed-version': '$LATEST',
      ...(answer.FunctionError && { 'x-amz-function-error': answer.FunctionError }),
    });
    response.end(answer.Payload);
  }

  private async invoke({ FunctionName, InvocationType = 'RequestResponse', Payload }: Shape): Promise<Shape> {
    const entry = this.entry(FunctionName);
    const payload = textOf(Payload);
    const limit = InvocationType === 'Event' ? ASYNC_LIMIT : SYNC_LIMIT;
    if (Buffer.byteLength(payload) > limit) {
      throw new ApiError(
        'RequestTooLargeException',
        `Request must be smaller than ${limit} bytes for the Invoke operation (${InvocationType}), got ${Buffer.byteLength(payload)}`,
        413,
      );
    }
    try {
      JSON.parse(payload);
    } catch (error) {
      const message = `Could not parse request body into json: ${(error as Error).message}`;
      throw new ApiError('InvalidRequestContentException', message);
    }
    if (InvocationType === 'DryRun') return { StatusCode: 204 };
    if (InvocationType === 'Event') {
      this.later.add({ function: entry.made.name, payload, attempts: 0 });
      return { StatusCode: 202, Payload: '' };
    }
    const outcome = await this.run(entry, payload, false);
    return {
      StatusCode: 200,
      ExecutedVersion: '$LATEST',
      Payload: outcome.payload,
      ...(outcome.error !== undefined && { FunctionError: outcome.error }),
    };
  }

  private async invokeLater(later: Later, progress: (later: Later) => void): Promise<void> {
    const entry = this.entry(later.function);
    const { made, asynchronous: config } = entry;
    const caller = () => this.caller(made);
    const invoke = () => this.run(entry, later.payload, true);
    await invokeLater(this.context, later, { made, config, caller, invoke, progress });
  }

  private async run({ made, pool }: Entry, payload: string, patient: boolean): Promise<Outcome> {
    if (made.unsupported !== undefined) {
      throw new ApiError('ServiceException', `function ${made.path}: ${made.unsupported}`, 501);
    }
    const record = (name: string, value: number, unit: string) =>
      this.context.metric('AWS/Lambda', name, value, { FunctionName: made.name }, unit);
    let outcome: Outcome;
    try {
      outcome = await pool.invoke(payload, patient);
    } catch (error) {
      if ((error as Error).name === 'TooManyRequestsException') record('Throttles', 1, 'Count');
      throw error;
    }
    record('Invocations', 1, 'Count');
    record('Errors', outcome.error === undefined ? 0 : 1, 'Count');
    record('Duration', outcome.milliseconds, 'Milliseconds');
    const { requestId, milliseconds, maxMemoryMb, cold, error } = outcome;
    this.context.log('lambda', `${made.name} ${error === undefined ? 'answered' : `failed: ${reasonOf(outcome)}`}`, {
      function: made.name,
      requestId,
      milliseconds: Math.round(milliseconds),
      maxMemoryMb: Math.round(maxMemoryMb),
      cold,
    });
    return outcome;
  }

  private environment(made: LambdaFunction): EnvironmentOptions {
    const { context, options } = this;
    const caller = this.caller(made); // refuses a role that Lambda may not assume
    if (made.kmsKey !== undefined && Object.keys(made.environment).length > 0) {
      const of = { 'aws:lambda:FunctionArn': made.arn };
      checkKeyUse(context, caller, { key: made.kmsKey, actions: ['Decrypt'], via: 'lambda', context: of });
    }
    return {
      function: made,
      api: this.api,
      bootstrap: this.bootstrap,
      scratch: join(context.stateDir, 'lambda', 'tmp'),
      credentials: context.credentials(caller),
      modules: options.nodeModules === undefined ? moduleFolders() : [resolve(options.nodeModules), ...moduleFolders()],
      now: () => this.context.clock.now(),
      line: (text, requestId) => {
        context.log('lambda', text, { function: made.name, ...(requestId !== undefined && { requestId }) });
        for (const { namespace, name, value, dimensions, unit } of loggedMetrics(text)) {
          context.metric(namespace, name, value, dimensions, unit);
        }
      },
    };
  }

  private caller(made: LambdaFunction): RoleCaller {
    return this.context.assumeRole(made.roleArn, 'lambda.amazonaws.com', made.arn, made.name);
  }

  private feed(resource: Resource): void {
    const { EventSourceArn, FunctionName, FilterCriteria } = resource.properties;
    const where = `event source mapping ${resource.path}`;
    if (!/^arn:[^:]+:sqs:/.test(EventSourceArn ?? '')) {
      throw new Error(`${where}: the local engine feeds functions from SQS queues alone, got ${EventSourceArn}`);
    }
    if (this.queues === undefined) throw new Error(`${where}: the engine was made without SQS`);
    const entry = this.entry(FunctionName);
    const filters: Shape[] = FilterCriteria?.Filters ?? [];
    const patterns = filters.map(({ Pattern }) => compilePattern(JSON.parse(Pattern)));
    const source = new EventSource(resource, {
      context: this.context,
      queues: this.queues,
      caller: () => this.caller(entry.made),
      functionName: entry.made.name,
      accepts: (record) =>
        patterns.length === 0 || patterns.some((pattern) => matchesPattern(pattern, filtered(record))),
      invoke: (payload) => this.run(entry, payload, true),
    });
    this.sources.push(source);
    this.context.whenReady(() => source.start());
  }

  private entry(reference: unknown): Entry {
    const name = nameOf(reference);
    const entry = this.functions.get(name);
    if (entry === undefined) {
      throw new ApiError('ResourceNotFoundException', `Function not found: ${reference}`, 404, { Type: 'User' });
    }
    return entry;
  }

  private arnOf(reference: unknown): string {
    const { partition, region, account } = this.context.aws;
    const name = nameOf(reference);
    return this.functions.get(name)?.made.arn ?? `arn:${partition}:lambda:${region}:${account}:function:${name}`;
  }

  private makeOperations(): Record<string, Operation> {
    const on =
      (action: string): Operation['needs'] =>
      ({ FunctionName }) => [{ action: `lambda:${action}`, resource: this.arnOf(FunctionName) }];
    const all =
      (action: string): Operation['needs'] =>
      () => [{ action: `lambda:${action}`, resource: '*' }];
    return {
      Invoke: { needs: on('InvokeFunction'), run: (input) => this.invoke(input) },
      GetFunction: {
        needs: on('GetFunction'),
        run: ({ FunctionName }) => {
          const { made } = this.entry(FunctionName);
          return { Configuration: configuration(made), Code: { RepositoryType: 'S3', Location: made.folder } };
        },
      },
      GetFunctionConfiguration: {
        needs: on('GetFunctionConfiguration'),
        run: ({ FunctionName }) => configuration(this.entry(FunctionName).made),
      },
      ListFunctions: {
        needs: all('ListFunctions'),
        run: () => ({ Functions: [...this.functions.values()].map(({ made }) => configuration(made)) }),
      },
      ListEventSourceMappings: {
        needs: all('ListEventSourceMappings'),
        run: () => ({ EventSourceMappings: this.sources.map(describeSource) }),
      },
    };
  }
}

function configuration(made: LambdaFunction): Shape {
  const { name, arn, runtime, roleArn, handler, timeoutSeconds, memoryMb, environment } = made;
  return {
    FunctionName: name,
    FunctionArn: arn,
    Runtime: runtime,
    Role: roleArn,
    Handler: handler,
    Timeout: timeoutSeconds,
    MemorySize: memoryMb,
    Environment: { Variables: environment },
    Version: '$LATEST',
    State: 'Active',
    LastUpdateStatus: 'Successful',
    PackageType: 'Zip',
  };
}

function describeSource({ uuid, queueArn, batchSize, windowSeconds, enabled }: EventSource): Shape {
  return {
    UUID: uuid,
    EventSourceArn: queueArn,
    BatchSize: batchSize,
    MaximumBatchingWindowInSeconds: windowSeconds,
    State: enabled ? 'Enabled' : 'Disabled',
  };
}

function reasonOf({ payload }: Outcome): string {
  const { errorType, errorMessage } = JSON.parse(payload || '{}') as { errorType?: string; errorMessage?: string };
  return `${errorType}: ${errorMessage}`;
}

/** The name in a function's name, ARN or partial ARN, with or without a version. */
function nameOf(reference: unknown): string {
  const text = String(reference);
  const parts = text.split(':');
  const at = parts.indexOf('function');
  return (at >= 0 ? parts[at + 1] : parts[0]) ?? text;
}

function textOf(payload: unknown): string {
  if (payload === undefined || payload === '') return '{}';
  if (typeof payload === 'string') return payload;
  return payload instanceof Uint8Array ? Buffer.from(payload).toString('utf8') : JSON.stringify(payload);
}

/** A record as filters see it: with its body parsed, if that is JSON. */
function filtered(record: Shape): Shape {
  try {
    return { ...record, body: JSON.parse(record.body) };
  } catch {
    return record;
  }
}

/** Every `node_modules` folder at or above the working directory and this file: this machine's native packages. */
function moduleFolders(): string[] {
  const folders: string[] = [];
  for (const start of [process.cwd(), typeof __dirname === 'string' ? __dirname : dirname(process.argv[1] ?? '.')]) {
    for (let folder = resolve(start); ; folder = dirname(folder)) {
      const modules = join(folder, 'node_modules');
      if (!folders.includes(modules)) folders.push(modules);
      if (folder === dirname(folder)) break;
    }
  }
  return folders;
}
