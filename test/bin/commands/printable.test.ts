import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printable } from '../../../bin/commands/printable';
import { main } from '../../../bin/commands/program';
import { Engine } from '../../../engine/src';
import { assemblyOf } from '../../../engine/test/support/assembly';
import { toItem } from '../../../lambdas/ledger/items';
import { TEMPLATE } from '../../support/command-line';
import { everywhere } from '../../support/hostile';
import { ledgerItems } from '../../support/ledger-facts';

/** Clears the screen, names the window, links, writes to the clipboard, and hides what follows; and the same in 8 bits. */
const HOSTILE = [
  '\u001B[2J\u001B[31m',
  '\u001B]0;title\u0007',
  '\u001B]8;;http://127.0.0.1:9/\u001B\\here\u001B]8;;\u001B\\',
  '\u001B]52;c;cm0gLXJmIH4=\u0007',
  '\u001BP+q544e\u001B\\\u001B[8m\u001B[?1049h',
  '\u009B2J\u009D52;c;eA==\u009C\u0090q\u009C',
  '\r\b\u007F\0\u000E\u000F\u0085\u2028\u202Egpj\u2066',
].join('');
/** What a terminal would obey. */
const OBEYED = /(?![\n\t])\p{Cc}|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

test('what a terminal would obey is shown, in a form that JSON reads', () => {
  expect(printable('\u001B[31mred\u009B0m\tand\nplain ä 漢 🚕')).toBe('\\u001b[31mred\\u009b0m\tand\nplain ä 漢 🚕');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(printable(text)).not.toMatch(OBEYED);
      expect(printable(printable(text))).toBe(printable(text));
      expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text);
    }),
    { numRuns: 5000 },
  );
});

describe('a command', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'printable-'));
  let engine: Engine;

  beforeAll(async () => {
    engine = await Engine.start({ assembly: assemblyOf(TEMPLATE) });
    const dynamo = new DynamoDBClient(engine.clientConfig);
    const TableName = engine.outputs.Stack?.FlightsLedgerTable0A1B2C3D;
    for (const item of everywhere(ledgerItems(), HOSTILE)) {
      await dynamo.send(new PutItemCommand({ TableName, Item: toItem(item) }));
    }
  });
  afterAll(() => engine?.stop());

  async function perennial(...args: string[]): Promise<{ code: number; text: string }> {
    const written: string[] = [];
    const env = { ...engine.environment, PERENNIAL_STACK: 'Stack', USER: `kim${HOSTILE}` };
    const write = (text: string) => written.push(text);
    const code = await main(args, { env, cwd, out: write, err: write });
    return { code, text: written.join('\n') };
  }

  test.each<[name: string, args: string[], code: number]>([
    ['runs', ['runs'], 0],
    ['runs in JSON', ['runs', '--json'], 0],
    ['the newest run', ['run', 'latest'], 0],
    ['a run in JSON', ['run', 'data-77', '--json'], 0],
    ['served', ['served'], 0],
    ['start', ['start', `--reason=${HOSTILE}`], 0],
    ['report', ['report', '--out', '\u001B[31m/\u009B.html'], 0],
    ['a run that is not there', ['run', `nonsense${HOSTILE}`], 1],
    ['a stack trace', ['run', `nonsense${HOSTILE}`, '--verbose'], 1],
    ['a time that is none', ['served', '--at', HOSTILE], 2],
    ['a stack that is none', ['runs', '--stack', `no${HOSTILE}`], 2],
    ['a command that is none', [`rums${HOSTILE}`], 2],
    ['a port that is none', ['local', '--port', HOSTILE], 2],
    ['an assembly that is not there', ['local', '--assembly', HOSTILE], 1],
  ])('writes nothing that a terminal obeys: %s', async (_, args, expected) => {
    const { code, text } = await perennial(...args);
    expect(text).not.toMatch(OBEYED);
    expect(text).not.toBe('');
    expect(code).toBe(expected);
  });

  test('lines its tables up by what is shown', async () => {
    const lines = (await perennial('runs')).text.split('\n').filter((line) => line.startsWith('2026-'));
    const outcome = (line: string) =>
      Math.max(...['PROMOTED', 'REJECTED', 'FAILED'].map((word) => line.lastIndexOf(word)));
    const ends = lines.map(outcome); // in the last column
    expect(ends).toHaveLength(4);
    expect(new Set(ends)).toEqual(new Set(ends.slice(0, 1)));
  });

  test('writes JSON that machines read as it was', async () => {
    const runs = JSON.parse((await perennial('runs', '--json')).text);
    expect(runs[0].judged.because).toContain(HOSTILE);
  });
});

test('the engine tells what happens in names that a terminal does not obey', async () => {
  const written: string[] = [];
  const template = {
    Resources: {
      Data: {
        Type: 'AWS::S3::Bucket',
        Properties: {
          BucketName: 'data',
          NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
        },
      },
      Rule: { Type: 'AWS::Events::Rule', Properties: { EventPattern: { source: ['aws.s3'] }, Targets: [] } },
    },
    Outputs: { Odd: { Value: `odd${HOSTILE}` } },
  };
  const state = join(mkdtempSync(join(tmpdir(), 'local-')), 'state');
  const args = ['local', '--assembly', assemblyOf(template), '--port', '0', '--state', state, '--verbose'];
  const write = (text: string) => written.push(text);
  const ended = main(args, { env: {}, cwd: '.', out: write, err: write });
  let isOver = false;
  void ended.finally(() => {
    isOver = true;
  });
  const part = async (form: RegExp) => {
    for (;;) {
      if (isOver) throw new Error(written.join('\n'));
      const found = form.exec(written.join('\n'));
      if (found) return found[1] ?? '';
      await sleep(20);
    }
  };
  const endpoint = await part(/AWS_ENDPOINT_URL=(\S+)/);
  const credentials = {
    accessKeyId: await part(/AWS_ACCESS_KEY_ID=(\S+)/),
    secretAccessKey: await part(/AWS_SECRET_ACCESS_KEY=(\S+)/),
  };
  const s3 = new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true });
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: `incoming/${HOSTILE}.csv`, Body: 'x' }));
  await part(/(Object Created: s3:..data.incoming)/);
  process.emit('SIGTERM');
  expect(await ended).toBe(0);
  expect(written.join('\n')).not.toMatch(OBEYED);
  expect(written.join('\n')).toContain('odd\\u001b[2J');
});
