import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateModelPackageCommand, DescribeModelPackageCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { main } from '../../../bin/commands/program';
import type { Engine } from '../../../engine/src';
import { engineWithLedger } from '../../support/command-line';
import { PIPELINE } from '../../support/ledger-facts';

let engine: Engine;
let empty: string;

/** Runs a command line against the engine. */
async function perennial(line: string, change: { env?: Record<string, string | undefined>; cwd?: string } = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const env = { ...engine.environment, PERENNIAL_STACK: 'Stack', USER: 'kim', ...change.env };
  const args = line.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', '')) ?? [];
  const context = {
    env,
    cwd: change.cwd ?? empty,
    out: (text: string) => out.push(text),
    err: (text: string) => err.push(text),
  };
  return { code: await main(args, context), out: out.join('\n'), err: err.join('\n') };
}

/** An address where nobody listens any more. */
async function closedPort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return `http://127.0.0.1:${port}`;
}

beforeAll(async () => {
  empty = mkdtempSync(join(tmpdir(), 'perennial-cli-'));
  engine = await engineWithLedger();
});
afterAll(() => engine?.stop());

describe('perennial runs', () => {
  test('prints a table of the runs with their verdicts', async () => {
    const { code, out } = await perennial('runs');
    expect(code).toBe(0);
    expect(out).toContain('+0.0222 [+0.0187, +0.0257] over v1');
    expect(out.split('\n').filter((line) => line.startsWith('2026-'))).toHaveLength(4);
  });

  test('writes JSON for machines', async () => {
    const { out } = await perennial('runs --json');
    expect(JSON.parse(out)[1]).toMatchObject({ runId: 'data-77aa0c1d2e3f', judged: { verdict: 'BETTER' } });
  });
});

describe('perennial run', () => {
  test('shows everything about one run, by the beginning of its id', async () => {
    const { code, out } = await perennial('run data-77');
    expect(code).toBe(0);
    for (const part of [
      'PROMOTED v2',
      'incoming/2001-02.parquet',
      '312 set aside',
      'ml.g4dn.xlarge',
      'delay: must be a number',
    ]) {
      expect(out).toContain(part);
    }
  });

  test('shows why the newest failed', async () => {
    expect((await perennial('run latest')).out).toContain(
      'Perennial.DataUnreadable: incoming/2001-05.parquet cannot be read',
    );
  });

  test('says which runs there are when there is none of that id', async () => {
    const { code, err } = await perennial('run nonsense');
    expect(code).toBe(1);
    expect(err).toMatch(/^perennial: there is no run nonsense; the newest are: data-deadbeef0011, /);
  });

  test('asks for more of an id that several begin with', async () => {
    expect((await perennial('run data')).err).toContain('several runs begin with data: data-3f2a91bc0d12,');
  });
});

describe('perennial served', () => {
  test('tells which model served when and why', async () => {
    const { out } = await perennial('served');
    expect(out).toMatch(/08:09 +2026-11-23 09:41 +v1 /);
    expect(out).toMatch(/09:41 +unknown +v2 /); // for in this engine is no endpoint
    expect(out).toMatch(/\n\nthe endpoint flights does not exist: no model serves$/);
  });

  test('tells which served at one time', async () => {
    expect(JSON.parse((await perennial('served --at 2026-11-23T09:00:00Z --json')).out)).toMatchObject({ version: 1 });
    expect((await perennial('served --at 2026-11-23T09:00:00Z')).out).toMatch(/^(?!.*endpoint).*09:41 +v1 /s);
    expect((await perennial('served --at 2026-11-23T08:00:00Z')).out).toBe('no model served at 2026-11-23T08:00:00Z');
  });

  test('refuses a time that is none', async () => {
    const { code, err } = await perennial('served --at yesterday');
    expect(code).toBe(2);
    expect(err).toContain('got yesterday');
  });
});

describe('asking for runs', () => {
  /** The event that came to the controller's queue. */
  async function asked() {
    await engine.idle();
    const sqs = new SQSClient(engine.clientConfig);
    const QueueUrl = `${engine.url}/${engine.assembly.aws.account}/triggers`;
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, VisibilityTimeout: 600 }));
    sqs.destroy();
    return JSON.parse(Messages[0]?.Body ?? 'null');
  }

  test('perennial start puts the event that the controller listens for', async () => {
    const { code, out } = await perennial('start --reason "a better feature"');
    const event = await asked();
    expect(code).toBe(0);
    expect(out).toContain(event.id);
    expect(event).toMatchObject({
      'detail-type': 'Perennial Run Requested',
      detail: { pipeline: PIPELINE, requestedBy: 'kim', note: 'a better feature' },
    });
  });

  test('perennial replay asks for the snapshot of the run', async () => {
    await perennial('replay data-3f2a');
    const { detail } = await asked();
    expect(detail.snapshotKey).toMatch(/^snapshots\/3f2a91bc0d12aa550+\.json$/);
    expect(detail.note).toBe('replay of data-3f2a91bc0d12');
  });
});

function isApproval({ source, detail }: { source: string; detail: { ModelApprovalStatus?: string } }): boolean {
  return source === 'aws.sagemaker' && detail.ModelApprovalStatus === 'Approved';
}

describe('deciding on a model version', () => {
  let sagemaker: SageMakerClient;
  let arn: string;

  beforeAll(async () => {
    sagemaker = new SageMakerClient(engine.clientConfig);
    const { ModelPackageArn = '' } = await sagemaker.send(
      new CreateModelPackageCommand({
        ModelPackageGroupName: 'flights',
        ModelApprovalStatus: 'PendingManualApproval',
        InferenceSpecification: {
          Containers: [
            {
              Image: '000000000000.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1',
              ModelDataUrl: 's3://flights-data/m.tar.gz',
            },
          ],
          SupportedContentTypes: ['text/csv'],
          SupportedResponseMIMETypes: ['text/csv'],
        },
      }),
    );
    arn = ModelPackageArn;
  });
  afterAll(() => sagemaker?.destroy());

  test('perennial approve approves, with the comment', async () => {
    expect(await perennial('approve 1 --comment "looks right"')).toMatchObject({
      code: 0,
      out: 'version 1: PendingManualApproval → Approved: it is deployed now',
    });
    const found = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: arn }));
    expect(found).toMatchObject({ ModelApprovalStatus: 'Approved', ApprovalDescription: 'looks right' });
  });

  test('perennial approve approves an approved version again, so that it is deployed again', async () => {
    const approvals = () => engine.services.events.events.filter(({ event }) => isApproval(event)).length;
    const before = approvals();
    expect((await perennial('approve v1')).out).toBe('version 1 was Approved already, and is so again: it is deployed');
    expect(approvals()).toBe(before + 1);
  });

  test('perennial reject rejects', async () => {
    expect((await perennial('reject 1')).out).toBe('version 1: Approved → Rejected: it is not deployed');
    expect((await perennial('reject 1 --comment "once more"')).out).toBe('version 1 was Rejected already');
    const found = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: arn }));
    expect(found).toMatchObject({ ModelApprovalStatus: 'Rejected', ApprovalDescription: 'once more' });
  });

  test('a version that does not exist, or is no version, is refused', async () => {
    expect(await perennial('approve 99')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no such model version'),
    });
    expect(await perennial('approve newest')).toMatchObject({ code: 2, err: expect.stringContaining('got newest') });
  });
});

describe('perennial permissions', () => {
  test('lists what was granted and never used', async () => {
    const { code, out } = await perennial('permissions');
    expect(code).toBe(0);
    expect(out).toContain('s3:GetObject');
    expect(out).toContain('s3:::flights-data/*');
    expect(JSON.parse((await perennial('permissions --json')).out)).toHaveLength(1);
  });

  test('is for the engine alone', async () => {
    const { code, err } = await perennial('permissions', { env: { AWS_ENDPOINT_URL: undefined } });
    expect(code).toBe(2);
    expect(err).toContain('set AWS_ENDPOINT_URL');
  });
});

describe('perennial report', () => {
  test('writes a page with the plots of what the monitor found', async () => {
    const { code, out } = await perennial('report --out page/flights.html');
    expect(code).toBe(0);
    expect(out).toBe(`wrote ${join(empty, 'page/flights.html')}`);
    const page = readFileSync(join(empty, 'page/flights.html'), 'utf8');
    expect(page).toContain('Version 2 was deployed last');
    expect(page).toContain('The endpoint flights does not exist: no model serves.');
    expect(page.match(/<svg /g)).toHaveLength(4);
  });
});

describe('perennial infer', () => {
  test('writes a contract, and does not overwrite one', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => `${i},${i % 24},${i % 3 === 0 ? 1 : 0}`);
    writeFileSync(join(empty, 'sample.csv'), `id,hour,late\n${rows.join('\n')}\n`);
    expect((await perennial('infer sample.csv --target late --out contract.json')).code).toBe(0);
    expect(JSON.parse(readFileSync(join(empty, 'contract.json'), 'utf8'))).toMatchObject({ key: 'id' });
    expect(await perennial('infer sample.csv --out contract.json')).toMatchObject({
      code: 1,
      err: expect.stringContaining('exists already'),
    });
    expect(await perennial('infer missing.csv')).toMatchObject({
      code: 1,
      err: expect.stringContaining('must be a file'),
    });
  });
});

describe('which app is meant', () => {
  test('is the only stack of cdk.out, if nothing else is said', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'perennial-app-'));
    mkdirSync(join(folder, 'cdk.out'));
    const artifacts = { Stack: { type: 'aws:cloudformation:stack', properties: {} } };
    writeFileSync(join(folder, 'cdk.out', 'manifest.json'), JSON.stringify({ artifacts }));
    expect((await perennial('runs', { cwd: folder, env: { PERENNIAL_STACK: undefined } })).code).toBe(0);
    const two = { ...artifacts, Other: { type: 'aws:cloudformation:stack', properties: { stackName: 'other' } } };
    writeFileSync(join(folder, 'cdk.out', 'manifest.json'), JSON.stringify({ artifacts: two }));
    expect(await perennial('runs', { cwd: folder, env: { PERENNIAL_STACK: undefined } })).toMatchObject({
      code: 2,
      err: expect.stringContaining('cdk.out has Stack, other'),
    });
  });

  test('must be said where nothing was synthesized', async () => {
    expect(await perennial('runs', { env: { PERENNIAL_STACK: undefined } })).toMatchObject({
      code: 2,
      err: expect.stringContaining('name it with --stack or PERENNIAL_STACK'),
    });
  });

  test('must exist', async () => {
    const { code, err } = await perennial('runs --stack Nowhere');
    expect(code).toBe(1);
    expect(err).toBe(`perennial: no stack is called Nowhere at ${engine.url}: deploy it, or name another with --stack`);
  });

  test('must have the pipeline that is asked for', async () => {
    expect(await perennial('runs --pipeline trains')).toMatchObject({
      code: 2,
      err: expect.stringContaining('no pipeline called trains; it has: flights'),
    });
  });
});

describe('what goes wrong', () => {
  test('an engine that is not there is named, without a stack trace', async () => {
    const url = await closedPort();
    const { code, err } = await perennial('runs', { env: { AWS_ENDPOINT_URL: url } });
    expect(code).toBe(1);
    expect(err).toBe(
      `perennial: nothing answers at ${url} (AWS_ENDPOINT_URL): start the engine with 'perennial local', or unset AWS_ENDPOINT_URL to use AWS`,
    );
    expect((await perennial('permissions', { env: { AWS_ENDPOINT_URL: url } })).err).toBe(err);
  });

  test.each(['localhost:4566', 'nowhere'])(
    'an address that is none, such as %s, is named',
    async (AWS_ENDPOINT_URL) => {
      const message = `perennial: AWS_ENDPOINT_URL must be an address like http://127.0.0.1:4566, got ${AWS_ENDPOINT_URL}`;
      for (const command of ['runs', 'permissions'])
        expect(await perennial(command, { env: { AWS_ENDPOINT_URL } })).toMatchObject({ code: 2, err: message });
    },
  );

  test('keys that are missing, or of an earlier start, are told', async () => {
    const none = await perennial('runs', { env: { AWS_ACCESS_KEY_ID: undefined } });
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('by the lines that it printed') });
    for (const command of ['runs', 'permissions']) {
      const old = await perennial(command, { env: { AWS_ACCESS_KEY_ID: 'LKIAOLD' } });
      expect(old).toMatchObject({ code: 1, err: expect.stringContaining("LKIAOLD is none of this engine's") });
    }
    const wrong = await perennial('permissions', { env: { AWS_SECRET_ACCESS_KEY: 'wrong' } });
    expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('signature we calculated does not match') });
  });

  test('a stack trace is there for who asks', async () => {
    expect((await perennial('run nonsense --verbose')).err).toMatch(/\n +at /);
  });

  test('wrong usage is told, with exit code 2', async () => {
    expect(await perennial('rums')).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean runs') });
    expect(await perennial('run')).toMatchObject({
      code: 2,
      err: expect.stringContaining("missing required argument 'id'"),
    });
    expect(await perennial('local --port ten')).toMatchObject({ code: 2, err: expect.stringContaining('0 to 65535') });
    expect(await perennial('local --speed 0')).toMatchObject({ code: 2, err: expect.stringContaining('above 0') });
    expect((await perennial('')).code).toBe(2);
  });

  test('every command has help with an example', async () => {
    const { code, out } = await perennial('--help');
    expect(code).toBe(0);
    const commands = [...out.matchAll(/^ {2}(\w+) (?:\[options\]|<)/gm)].map(([, name]) => name);
    expect(commands).toEqual([
      'local',
      'runs',
      'run',
      'start',
      'replay',
      'approve',
      'reject',
      'served',
      'report',
      'permissions',
      'infer',
    ]);
    for (const name of commands) {
      const help = await perennial(`${name} --help`);
      expect(help.code).toBe(0);
      expect(help.out).toMatch(/Examples?:\n {2}\$ /);
    }
  });

  test('perennial local says what is wrong with an assembly', async () => {
    const { code, err } = await perennial(`local --port 0 --assembly ${empty}`);
    expect(code).toBe(1);
    expect(err).toContain('run `cdk synth` first');
  });
});

test('`local` names the file of faults, and the mistake in it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'faults-'));
  const file = join(folder, 'faults.json');
  const local = async (text: string) => {
    writeFileSync(file, text);
    return perennial(`local --faults ${file} --assembly ${folder}`);
  };
  const mistake = await local('{"training": [{"kind": "fire"}]}');
  expect(mistake).toMatchObject({ code: 1, err: expect.stringContaining(`${file}: training[0].kind must be one of`) });
  expect(await local('training:')).toMatchObject({
    code: 1,
    err: expect.stringContaining(`${file} must be a JSON file`),
  });
});
