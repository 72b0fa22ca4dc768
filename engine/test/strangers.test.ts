import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/engine';
import { pack } from '../src/services/sagemaker/tar';
import { ASSET_BUCKET, assemblyOf } from './support/assembly';
import { openBrowser } from './support/browser';
import { IMAGE } from './support/sagemaker';
import { presigned, signed } from './support/signed';

// Who is no client of the engine's: web pages in a browser of this machine, and processes that have no keys.

const role = (service: string, Action: string) => ({
  Type: 'AWS::IAM::Role',
  Properties: {
    RoleName: `secret-${service}`,
    AssumeRolePolicyDocument: {
      Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: `${service}.amazonaws.com` } }],
    },
    Policies: [{ PolicyName: 'p', PolicyDocument: { Statement: [{ Effect: 'Allow', Action, Resource: '*' }] } }],
  },
});
const APP = {
  Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'secret-data' } },
  Ledger: {
    Type: 'AWS::DynamoDB::Table',
    Properties: {
      TableName: 'secret-ledger',
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    },
  },
  MachineRole: role('states', 'sagemaker:*'),
  Machine: {
    Type: 'AWS::StepFunctions::StateMachine',
    Properties: {
      StateMachineName: 'secret-machine',
      RoleArn: { 'Fn::GetAtt': ['MachineRole', 'Arn'] },
      DefinitionString: JSON.stringify({
        QueryLanguage: 'JSONata',
        StartAt: 'Done',
        States: { Done: { Type: 'Succeed', Comment: 'trains as role/secret-sagemaker' } },
      }),
    },
  },
  TrainingRole: role('sagemaker', 's3:*'),
  FunctionRole: role('lambda', 'logs:*'),
  Function: {
    Type: 'AWS::Lambda::Function',
    Properties: {
      FunctionName: 'secret-function',
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Timeout: 20,
      Role: { 'Fn::GetAtt': ['FunctionRole', 'Arn'] },
      Code: { S3Bucket: ASSET_BUCKET, S3Key: 'code.zip' },
    },
  },
};
/** What of the app a stranger would see if a request were answered. */
const SECRET = /secret-/;

/** One request that is not the engine's client's. */
interface Attempt {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

const folder = mkdtempSync(join(tmpdir(), 'strangers-'));
/** Is there once code of a stranger's choice, or at a stranger's wish, has run. */
const proof = join(folder, 'proof');
let engine: Engine;
let port: number;
let site: Server;
let sitePort: number;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(join(folder, 'function'));
  mkdirSync(join(folder, 'source'));
  const handler = `import { writeFileSync } from 'node:fs';
    export const handler = async () => { writeFileSync(${JSON.stringify(proof)}, 'invoked'); return 'secret-answer'; };`;
  writeFileSync(join(folder, 'function/index.mjs'), handler);
  writeFileSync(join(folder, 'source/train.py'), '');
  await pack(join(folder, 'source'), join(folder, 'source.tar.gz'));
  const assembly = assemblyOf(APP, { assets: { 'code.zip': join(folder, 'function') } });
  engine = await Engine.start({ assembly, timeScale: 0, python: { interpreter: 'python3' } });
  port = Number(new URL(engine.url).port);
  const s3 = new S3Client(engine.clientConfig);
  const objects = {
    'capture/x.csv': 'secret-content',
    'source.tar.gz': readFileSync(join(folder, 'source.tar.gz')),
    'page.html': '<!doctype html><title>a page of the user</title>',
  };
  for (const [Key, Body] of Object.entries(objects)) {
    const ContentType = Key.endsWith('.html') ? 'text/html' : undefined;
    await s3.send(new PutObjectCommand({ Bucket: 'secret-data', Key, Body, ContentType }));
  }
  site = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>a page of a stranger</title>');
  });
  await new Promise<void>((done) => site.listen(0, '127.0.0.1', done));
  sitePort = (site.address() as AddressInfo).port;
  browser = await openBrowser([
    '--host-resolver-rules=MAP *.example 127.0.0.1',
    '--disable-features=LocalNetworkAccessChecks', // the engine must not need what only some browsers do
  ]);
});
afterAll(async () => {
  await browser?.close();
  site?.closeAllConnections();
  site?.close();
  await engine?.stop();
});

let before: unknown;
beforeEach(async () => {
  rmSync(proof, { force: true });
  before = await world();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await engine.idle();
  expect(existsSync(proof)).toBe(false);
  expect(await world()).toEqual(before);
});

/** Everything that a request could change, and every operation that was called. */
async function world(): Promise<unknown> {
  const objects = await engine.services.s3.list('secret-data', '', { kind: 'root' });
  return {
    objects,
    called: engine.log
      .filter(({ detail }) => detail?.by !== undefined)
      .map(({ service, message }) => [service, message]),
    events: engine.services.events.events.length,
  };
}

interface Forged {
  readonly headers: Record<string, string>;
  readonly query: Record<string, string>;
}

/** A signature as somebody makes it who has no keys. */
const forged = (service: string, kind: 'header' | 'query', date = '20260101T000000Z'): Forged => {
  const scope = `local/${date.slice(0, 8)}/us-east-1/${service}/aws4_request`;
  const signature = '0'.repeat(64);
  return kind === 'header'
    ? {
        headers: {
          authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=${signature}`,
          'x-amz-date': date,
        },
        query: {},
      }
    : {
        headers: {},
        query: {
          'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
          'X-Amz-Credential': scope,
          'X-Amz-Date': date,
          'X-Amz-Expires': '604800',
          'X-Amz-SignedHeaders': 'host',
          'X-Amz-Signature': signature,
        },
      };
};

function attempts(): Attempt[] {
  const json = (service: string, operation: string, input: object) => ({
    ...{ name: `${service} ${operation}`, service, method: 'POST', path: '/', body: JSON.stringify(input) },
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `X.${operation}` },
  });
  const form = (service: string, operation: string, input: Record<string, string> = {}) => ({
    ...{ name: `${service} ${operation} by form`, service, method: 'POST', path: '/' },
    body: new URLSearchParams({ Action: operation, ...input }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  const rest = (service: string, method: string, path: string, body?: string) => ({
    ...{ name: `${service} ${method} ${path}`, service, method, path, headers: { 'content-type': 'text/plain' } },
    ...(body !== undefined && { body }),
  });
  const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:secret-machine';
  const wanted = [
    json('states', 'ListStateMachines', {}),
    json('states', 'DescribeStateMachine', { stateMachineArn }),
    json('states', 'StartExecution', { stateMachineArn, input: '{}' }),
    json('dynamodb', 'ListTables', {}),
    json('dynamodb', 'DeleteTable', { TableName: 'secret-ledger' }),
    form('dynamodb', 'ListTables'),
    form('dynamodb', 'DeleteTable', { TableName: 'secret-ledger' }),
    json('events', 'PutEvents', { Entries: [{ Source: 'perennial', DetailType: 'x', Detail: '{}' }] }),
    form('events', 'PutEvents', {
      'Entries.member.1.Source': 'perennial',
      'Entries.member.1.DetailType': 'Perennial Run Requested',
      'Entries.member.1.Detail': '{"pipeline":"flights","requestedBy":"evil"}',
    }),
    json('sagemaker', 'CreateTrainingJob', {
      TrainingJobName: 'evil',
      RoleArn: 'arn:aws:iam::000000000000:role/secret-sagemaker',
      AlgorithmSpecification: { TrainingImage: IMAGE, TrainingInputMode: 'File' },
      OutputDataConfig: { S3OutputPath: 's3://secret-data/models/' },
      ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 1 },
      StoppingCondition: { MaxRuntimeInSeconds: 60 },
      HyperParameters: {
        sagemaker_program: `x"; id > ${proof}; ".sh`,
        sagemaker_submit_directory: 's3://secret-data/source.tar.gz',
      },
    }),
    form('sts', 'GetCallerIdentity'),
    form('sts', 'AssumeRole', { RoleArn: 'arn:aws:iam::000000000000:role/secret-sagemaker', RoleSessionName: 'evil' }),
    form('cloudformation', 'DescribeStacks'),
    form('monitoring', 'ListMetrics'),
    rest('s3', 'GET', '/'),
    rest('s3', 'GET', '/secret-data'),
    rest('s3', 'GET', '/secret-data/capture/x.csv'),
    rest('s3', 'PUT', '/secret-data/capture/y.csv', 'evil'),
    rest('s3', 'DELETE', '/secret-data/capture/x.csv'),
    rest('s3', 'POST', '/secret-data?delete', '<Delete><Object><Key>capture/x.csv</Key></Object></Delete>'),
    rest('lambda', 'GET', '/2015-03-31/functions'),
    rest('lambda', 'POST', '/2015-03-31/functions/secret-function/invocations', '{}'),
    rest('scheduler', 'GET', '/schedules'),
    rest('perennial', 'GET', '/_perennial/permissions'),
  ];
  return wanted.flatMap(({ service, ...plain }) => {
    const kinds = [forged(service, 'header'), forged(service, 'query'), forged(service, 'query', '20991231T000000Z')];
    const signatures: Forged[] = [{ headers: {}, query: {} }, ...kinds];
    return signatures.map(({ headers, query }, i) => ({
      ...plain,
      name: `${plain.name} (${['unsigned', 'forged', 'forged query', 'forged query of 2099'][i]})`,
      path: `${plain.path}${plain.path.includes('?') ? '&' : '?'}${new URLSearchParams(query)}`,
      headers: { ...plain.headers, ...headers },
    }));
  });
}

/** Sends a request as a program does; what is told here of headers replaces Node's own. */
function send({ method, path, headers, body }: Omit<Attempt, 'name'>): Promise<{ status: number; text: string }> {
  return new Promise((done, failed) => {
    const sent = httpRequest({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => done({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', failed).end(body);
  });
}

describe('a process without keys', () => {
  test.each(attempts())('may not: $name', async (attempt) => {
    const { status, text } = await send(attempt);
    expect([status, SECRET.test(text)]).toEqual([403, false]);
  });
});

describe('a web page', () => {
  /** Lets a page send requests; gives what it got to read. */
  async function attack(
    page: Page,
    how: 'fetchAll' | 'sendSimply',
    base: string,
    wanted: Attempt[],
  ): Promise<string[]> {
    await page.evaluate(readFileSync(join(import.meta.dirname, 'fixtures/stranger.js'), 'utf8'));
    return await page.evaluate(`${how}(${JSON.stringify(base)}, ${JSON.stringify(wanted)})`);
  }

  /** Opens a page, and notes how the engine answers what it sends. */
  async function open(address: string): Promise<{ page: Page; statuses: number[] }> {
    const page = await browser.newPage();
    const statuses: number[] = [];
    page.on('response', (response) => {
      if (new URL(response.url()).port === String(port) && response.url() !== address) statuses.push(response.status());
    });
    await page.goto(address);
    return { page, statuses };
  }

  test('whose name is made to point here (DNS rebinding) is refused', async () => {
    const page = await browser.newPage();
    const address = `http://evil.example:${port}/page`;
    await page.route(address, (route) => route.fulfill({ contentType: 'text/html', body: '<title>evil</title>' }));
    await page.goto(address);
    const wanted = attempts();
    const read = await attack(page, 'fetchAll', '', wanted);
    expect(read).toHaveLength(wanted.length); // to the browser, page and engine are of one origin
    for (const text of read) expect(text).toMatch(/^403 (?!.*secret-)/s);
  });

  test.each([
    ['another site', () => `http://evil.example:${sitePort}/`],
    ['another port of this machine', () => `http://127.0.0.1:${sitePort}/`],
    ["another port of this machine's name", () => `http://localhost:${sitePort}/`],
  ])('of %s is refused', async (_, address) => {
    const { page, statuses } = await open(address());
    const wanted = attempts();
    const simple = wanted.filter(({ name }) => name.endsWith('(forged query of 2099)')); // a header would need a preflight
    expect(await attack(page, 'sendSimply', engine.url, simple)).toEqual([]);
    expect(statuses.length).toBeGreaterThan(4 * simple.length); // they did come
    expect(await attack(page, 'fetchAll', engine.url, wanted)).toEqual([]);
    expect(new Set(statuses)).toEqual(new Set([403]));
  });

  test('that is an object of the user gets to see nothing else', async () => {
    const address = await presigned(engine.clientConfig, 's3', 60, { path: '/secret-data/page.html' });
    const { page, statuses } = await open(address);
    expect(await page.title()).toBe('a page of the user');
    const wanted = attempts();
    const read = await attack(page, 'fetchAll', '', wanted);
    expect(read).toHaveLength(wanted.length);
    for (const text of read) expect(text).toMatch(/^403 (?!.*secret-)/s);
    expect(statuses.length).toBeGreaterThanOrEqual(wanted.length);
  });
});

test('who has the keys is let in, by the same requests', async () => {
  const client = new DynamoDBClient(engine.clientConfig);
  const { Count } = await client.send(new ScanCommand({ TableName: 'secret-ledger' }));
  expect(Count).toBe(0);
  const [url, init] = await signed(engine.clientConfig, 's3', { path: '/secret-data/capture/x.csv' });
  expect(await (await fetch(url, init)).text()).toBe('secret-content');
  before = await world();
});
