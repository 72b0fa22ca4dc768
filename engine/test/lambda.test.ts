import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Resource, Shape } from '../src/service';
import { loggedMetrics } from '../src/services/lambda/metrics-format';
import { Lambda } from '../src/services/lambda/service';
import { FakeContext, ROLE } from './support/fake-context';

let context: FakeContext;
let lambda: Lambda;
const caller = { kind: 'root' } as const;

function make(code: string, properties: Shape = {}, file = 'index.mjs'): Resource {
  const folder = mkdtempSync(join(tmpdir(), 'code-'));
  writeFileSync(join(folder, file), code);
  context.assets['assets/code.zip'] = folder;
  return {
    stack: 'App',
    logicalId: 'Fn',
    path: 'App/Fn',
    type: 'AWS::Lambda::Function',
    physicalId: 'fn',
    arn: 'arn:aws:lambda:eu-west-1:111122223333:function:fn',
    properties: {
      Runtime: 'nodejs24.x',
      Handler: 'index.handler',
      Role: ROLE,
      MemorySize: 256,
      Timeout: 10,
      Code: { S3Bucket: 'assets', S3Key: 'code.zip' },
      ...properties,
    },
  };
}

async function invoke(payload: unknown = {}, more: Shape = {}): Promise<Shape> {
  const input = { FunctionName: 'fn', Payload: JSON.stringify(payload), ...more };
  const answer = await context.call('lambda', 'Invoke', input, caller);
  return { ...answer, value: answer.Payload ? JSON.parse(answer.Payload) : undefined };
}

beforeEach(() => {
  context = new FakeContext();
  lambda = new Lambda(context);
  context.services.lambda = lambda;
});
afterEach(() => lambda.stop());

describe('a function', () => {
  test('gets its event and context, and nothing of the host but what it declares', async () => {
    process.env.SECRET_OF_THE_HOST = 'x';
    lambda.load([
      make(
        `export const handler = async (event, context) => ({
          event, name: context.functionName, left: context.getRemainingTimeInMillis() > 0,
          env: process.env, tmp: (await import('node:os')).tmpdir(), home: (await import('node:os')).homedir() });`,
        { Environment: { Variables: { TABLE: 'ledger' } } },
      ),
    ]);
    const { value, StatusCode, FunctionError } = await invoke({ a: 1 });
    expect(StatusCode).toBe(200);
    expect(FunctionError).toBeUndefined();
    expect(value).toMatchObject({ event: { a: 1 }, name: 'fn', left: true });
    expect(value.env).toMatchObject({
      TABLE: 'ledger',
      AWS_LAMBDA_FUNCTION_NAME: 'fn',
      AWS_ACCESS_KEY_ID: ROLE,
      AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
      TZ: ':UTC',
    });
    expect(value.env.SECRET_OF_THE_HOST).toBeUndefined();
    expect(value.tmp).toContain(context.stateDir);
    expect(value.home).toContain(context.stateDir); // the user's own has their AWS profiles
  });

  test('may be CommonJS', async () => {
    lambda.load([make('exports.handler = async () => typeof require;', {}, 'index.js')]);
    expect((await invoke()).value).toBe('function');
  });

  test('stays warm from one invocation to the next, and handles one at a time', async () => {
    lambda.load([
      make(`let calls = 0, busy = 0; export const handler = async () => {
        busy++; await new Promise((done) => setTimeout(done, 50)); const alone = busy === 1; busy--;
        return { calls: ++calls, alone, pid: process.pid }; };`),
    ]);
    await invoke();
    expect((await invoke()).value).toMatchObject({ calls: 2 });
    const all = await Promise.all([invoke(), invoke(), invoke()]);
    expect(all.every(({ value }) => value.alone)).toBe(true);
    expect(new Set(all.map(({ value }) => value.pid)).size).toBe(3);
  });

  test('that throws answers with the error as Node.js on Lambda writes it', async () => {
    lambda.load([
      make(`export const handler = async () => { throw Object.assign(new Error('no rows'), { name: 'Data.Bad' }); };`),
    ]);
    const { value, FunctionError, StatusCode } = await invoke();
    expect(StatusCode).toBe(200);
    expect(FunctionError).toBe('Unhandled');
    expect(value).toMatchObject({ errorType: 'Data.Bad', errorMessage: 'no rows' });
    expect(value.trace[0]).toContain('no rows');
  });

  test('that cannot be loaded tells the waiting caller why', async () => {
    lambda.load([make(`import 'no-such-package'; export const handler = async () => 1;`)]);
    const { value, FunctionError } = await invoke();
    expect(FunctionError).toBe('Unhandled');
    expect(value.errorMessage).toContain('no-such-package');
  });

  test('that lacks DuckDB for this machine says how to install it', async () => {
    lambda.load([make(`require('@duckdb/node-bindings-elsewhere/duckdb.node');`, {}, 'index.cjs')]);
    const { value } = await invoke();
    expect(value.errorMessage).toBe(
      "Cannot find module '@duckdb/node-bindings-elsewhere/duckdb.node': " +
        'DuckDB is not installed for this machine: npm install --save-dev @duckdb/node-api@1.5.5-r.5',
    );
  });

  test('that exits is an error, and the next invocation gets a new process', async () => {
    lambda.load([make(`export const handler = async ({ die }) => { if (die) process.exit(3); return 'well'; };`)]);
    expect((await invoke({ die: true })).value).toMatchObject({
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringContaining('exit status 3'),
    });
    expect((await invoke()).value).toBe('well');
  });

  test('whose time is over is killed', async () => {
    lambda.load([
      make('export const handler = async () => new Promise(() => setInterval(() => {}, 1000));', { Timeout: 1 }),
    ]);
    const { value } = await invoke();
    expect(value.errorType).toBe('Sandbox.Timedout');
    expect(value.errorMessage).toMatch(/^RequestId: [\w-]+ Error: Task timed out after 1.00 seconds$/);
  });

  test('that takes more memory than it has is killed, native memory counted', async () => {
    lambda.load([
      make(
        `const kept = []; export const handler = async () => {
          for (;;) { kept.push(Buffer.alloc(16e6, 1)); await new Promise((done) => setTimeout(done, 5)); } };`,
        { MemorySize: 256 },
      ),
    ]);
    const { value } = await invoke();
    expect(value.errorType).toBe('Runtime.OutOfMemory');
    expect(value.errorMessage).toContain('signal: killed');
  });

  test('has its log lines kept, and its embedded metrics recorded', async () => {
    const line = {
      _aws: {
        Timestamp: 1,
        CloudWatchMetrics: [{ Namespace: 'Shop', Dimensions: [['Pipeline']], Metrics: [{ Name: 'Rows' }] }],
      },
      Pipeline: 'flights',
      Rows: 7,
    };
    lambda.load([
      make(`export const handler = async () => { console.log('hello'); console.log('${JSON.stringify(line)}'); };`),
    ]);
    await invoke();
    expect(context.lines).toContain('hello');
    expect(context.metrics).toContainEqual({
      namespace: 'Shop',
      name: 'Rows',
      value: 7,
      dimensions: { Pipeline: 'flights' },
    });
    expect(context.metrics).toContainEqual({
      namespace: 'AWS/Lambda',
      name: 'Invocations',
      value: 1,
      dimensions: { FunctionName: 'fn' },
    });
  });

  test('has all its lines kept before its answer', async () => {
    lambda.load([
      make(
        `export const handler = async ({ n }) => { for (let i = 0; i < n; i++) console.log('line ' + 'x'.repeat(100)); };`,
      ),
    ]);
    for (const n of [1, 2000, 3]) {
      context.lines.length = 0;
      await invoke({ n });
      expect(context.lines.filter((line) => line.startsWith('line '))).toHaveLength(n);
    }
  });

  test('runs no more often at once than its reserved concurrency', async () => {
    lambda.load([
      make('export const handler = () => new Promise((done) => setTimeout(done, 200));', {
        ReservedConcurrentExecutions: 1,
      }),
    ]);
    const first = invoke();
    await expect(invoke()).rejects.toMatchObject({ code: 'TooManyRequestsException', status: 429 });
    await first;
  });

  test('is invoked only by who may', async () => {
    lambda.load([make('export const handler = async () => 1;')]);
    context.denied.add('lambda:InvokeFunction');
    await expect(invoke()).rejects.toMatchObject({ code: 'AccessDeniedException' });
  });

  test('refuses a payload that is too large or no JSON', async () => {
    lambda.load([make('export const handler = async () => 1;')]);
    await expect(invoke('x'.repeat(6_300_000))).rejects.toMatchObject({ code: 'RequestTooLargeException' });
    await expect(context.call('lambda', 'Invoke', { FunctionName: 'fn', Payload: '{' }, caller)).rejects.toMatchObject({
      code: 'InvalidRequestContentException',
    });
  });
});

describe('an asynchronous invocation', () => {
  test('is tried three times, then reported to the destination of failures', async () => {
    context.answers['sqs:SendMessage'] = () => ({});
    const made = make(`export const handler = async () => { throw new Error('never'); };`);
    const properties = {
      FunctionName: 'fn',
      DestinationConfig: { OnFailure: { Destination: 'arn:aws:sqs:eu-west-1:111122223333:failed' } },
    };
    lambda.load([made, { ...made, type: 'AWS::Lambda::EventInvokeConfig', properties }]);
    expect((await invoke({ a: 1 }, { InvocationType: 'Event' })).StatusCode).toBe(202);
    await context.idle();
    const sent = context.calls.find(({ operation }) => operation === 'SendMessage');
    expect(JSON.parse(sent?.input.MessageBody)).toMatchObject({
      requestContext: { approximateInvokeCount: 3, condition: 'RetriesExhausted' },
      requestPayload: { a: 1 },
      responsePayload: { errorMessage: 'never' },
    });
    expect(sent?.caller).toMatchObject({ kind: 'role', roleArn: ROLE });
  });
});

describe('loading', () => {
  test('says to run cdk synth where the handler is missing', () => {
    expect(() => lambda.load([make('', { Handler: 'gone.handler' })])).toThrow(/handler 'gone.handler'.*Run cdk synth/);
  });

  test('keeps a function of another runtime, which fails when invoked', async () => {
    lambda.load([make('', { Runtime: 'python3.13' })]);
    await expect(invoke()).rejects.toThrow(/runs Node.js functions alone.*python3.13/);
  });
});

test('a line that only looks like embedded metrics gives none', () => {
  expect(loggedMetrics('{"_aws": broken')).toEqual([]);
  expect(loggedMetrics('"_aws"')).toEqual([]);
  expect(loggedMetrics('plain')).toEqual([]);
});
