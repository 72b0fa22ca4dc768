import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runKeys } from '../../lib/core';
import type { Run } from '../../lib/core/ledger/history';
import { csv, flights, HEADER, parquet, requests } from './flights';
import { Loop, type Template } from './loop';

/** Changes one cell of some rows. */
const spoil = (rows: string[], share: number, column: number, value: string) =>
  rows.map((row, index) =>
    index < rows.length * share
      ? row
          .split(',')
          .map((cell, i) => (i === column ? value : cell))
          .join(',')
      : row,
  );

describe('wrong data', () => {
  let loop: Loop;
  let january: string[];
  let february: string[];
  beforeAll(async () => {
    [january, february] = await Promise.all([flights(1, 8000), flights(2, 8000)]);
    // January alone is fine, and its model serves throughout; `origin` may be one of January's
    const origins = [...new Set([...january, ...february].map((row) => row.split(',')[4]))].sort();
    loop = await Loop.start({
      contractOf: { columns: CONTRACT_WITH(origins as string[]), maxBadShare: 0.2 },
      edit: deadly,
    });
    const { deployments } = await loop.upload('incoming/january.csv', csv(january));
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
  }, 180_000);
  afterAll(() => loop.stop());

  /** Uploads, and gives the run that came of it. */
  async function runOf(key: string, body: string | Buffer): Promise<Run> {
    const before = (await loop.facts()).runs.length;
    const { runs } = await loop.upload(key, body);
    expect(runs).toHaveLength(before + 1);
    return runs.at(-1) as Run;
  }

  /** A bad file fails its run with a message, is left out from then on, and the champion goes on serving. */
  async function expectRefused(key: string, body: string | Buffer, name: string, message: RegExp): Promise<void> {
    const run = await runOf(key, body);
    expect(run.ended).toMatchObject({ outcome: 'FAILED', error: { name: `Perennial.${name}` } });
    expect(run.ended?.error?.cause).toMatch(message);
    expect(run.ended?.error?.cause).toContain(key);
    const { refused, deployments } = await loop.facts();
    expect(refused.map((file) => file.key)).toContain(key);
    expect(deployments.at(-1)).toMatchObject({ modelVersion: 1, outcome: 'DEPLOYED' });
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
    expect(await loop.keys(key)).toEqual([key]); // nothing is lost
  }

  test.each<[what: string, key: string, body: () => string | Buffer | Promise<Buffer>, name: string, message: RegExp]>([
    ['an empty file', 'incoming/empty.csv', () => '', 'DataUnreadable', /empty/],
    ['a Parquet file that is called CSV', 'incoming/lies.csv', () => parquet(2, 100), 'DataUnreadable', /Parquet/],
    ['a CSV file that is called Parquet', 'incoming/lies.parquet', () => csv(february), 'DataUnreadable', /Parquet/],
    ['a web page', 'incoming/page.csv', () => '<!doctype html><html><body>404</body></html>', 'DataUnreadable', /HTML/],
    [
      'a gzip file that was cut off',
      'incoming/cut.csv.gz',
      () => gzipSync(csv(february)).subarray(0, 20_000),
      'DataUnreadable',
      /gzip/,
    ],
    [
      'a missing column',
      'incoming/missing.csv',
      () =>
        csv(
          february.map((row) => row.replace(/,[^,]*$/, '')),
          HEADER.replace(',destination', ''),
        ),
      'DataRejected',
      /destination/,
    ],
    [
      'a column too many',
      'incoming/extra.csv',
      () =>
        csv(
          february.map((row) => `${row},1`),
          `${HEADER},seats`,
        ),
      'DataRejected',
      /seats/,
    ],
    [
      'a renamed column',
      'incoming/renamed.csv',
      () => csv(february, HEADER.replace('destination', 'destinatoin')),
      'DataRejected',
      /destinatoin.*destination|destination.*destinatoin/s,
    ],
    [
      'a file whose reading kills the function, without a word,',
      'incoming/deadly.csv',
      () => csv([...february.slice(0, 10), DEADLY]),
      'DataUnreadable',
      /incoming\/deadly\.csv cannot be prepared: the function ended without a word while it was reading/,
    ],
  ])(
    '%s is refused with a reason, and the champion goes on',
    async (_, key, body, name, message) => {
      await expectRefused(key, await body(), name, message);
    },
    180_000,
  );

  test('columns in another order are read by their names', async () => {
    const turned = february.map((row) => row.split(',').reverse().join(','));
    const run = await runOf('incoming/turned.csv', csv(turned, HEADER.split(',').reverse().join(',')));
    expect(run.ended?.outcome).not.toBe('FAILED');
    expect(run.prepared?.rows).toMatchObject({ read: january.length + february.length, quarantined: 0 });
  }, 180_000);

  test('3 % bad rows are quarantined with reason and line, and the others trained on', async () => {
    const march = await flights(3, 8000);
    const wrongType = spoil(march.slice(0, 1000), 0.03, 3, 'far');
    const outOfRange = spoil(march.slice(1000, 2000), 0.03, 2, '99999');
    const newCategory = spoil(march.slice(2000), 0.03, 4, 'MARS');
    const run = await runOf('incoming/three-percent.csv', csv([...wrongType, ...outOfRange, ...newCategory]));

    expect(run.ended?.outcome).not.toBe('FAILED');
    expect(run.prepared?.rows.quarantined).toBeGreaterThanOrEqual(90);
    const lines = (await loop.read(runKeys(run.runId).quarantine))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(run.prepared?.rows.quarantined as number);
    const first = lines.find(({ file }) => file === 'incoming/three-percent.csv');
    expect(first.line).toBe(2);
    expect(first.reasons[0]).toMatch(/distance.*integer.*far/);
    const reasons = lines.flatMap((line) => line.reasons).join('\n');
    expect(reasons).toMatch(/delay.*2880.*99999/);
    expect(reasons).toMatch(/origin.*MARS/);
  }, 180_000);

  test('a file with nothing but bad rows is refused, and its rows are kept with their reasons', async () => {
    const bad = spoil(await flights(4, 9000), 1, 1, 'yesterday');
    const run = await runOf('incoming/all-bad.csv', csv(bad));
    expect(run.ended).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.DataRejected' } });
    expect(run.ended?.error?.cause).toMatch(/date/);
    const lines = (await loop.read(runKeys(run.runId).quarantine)).trim().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(9000);
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
  }, 180_000);

  test('a folder marker is no data', async () => {
    const before = (await loop.facts()).runs.length;
    const { runs } = await loop.upload('incoming/folder/', '');
    expect(runs).toHaveLength(before);
  });
});

test('a target with one class is refused before anything is trained', async () => {
  const loop = await Loop.start();
  try {
    const early = spoil(await flights(1, 8000), 1, 2, '0');
    const { runs } = await loop.upload('incoming/early.csv', csv(early));
    expect(runs).toHaveLength(1);
    expect(runs[0]?.attempts).toEqual([]);
    expect(runs[0]?.ended).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.DataRejected' } });
    expect(runs[0]?.ended?.error?.cause).toMatch(/late/);
  } finally {
    await loop.stop();
  }
}, 180_000);

/** What must not be in a file, see {@link deadly}. */
const DEADLY = 'this line kills what reads it';

/** As if there were a fault in the function that prepares data: it dies when a certain line comes by. */
function deadly(template: Template): void {
  const preload = join(mkdtempSync(join(tmpdir(), 'perennial-deadly-')), 'preload.cjs');
  writeFileSync(
    preload,
    `const fs = require('node:fs');
    const write = fs.WriteStream.prototype.write;
    fs.WriteStream.prototype.write = function (chunk, ...rest) {
      if (Buffer.isBuffer(chunk) && chunk.includes(${JSON.stringify(DEADLY)})) process.kill(process.pid, 'SIGKILL');
      return write.call(this, chunk, ...rest);
    };`,
  );
  const functions = Object.values<Template>(template.Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');
  for (const { Properties } of functions.filter(({ Properties }) => Properties.Handler === 'prepare.handler')) {
    Properties.Environment.Variables.NODE_OPTIONS = `--require ${preload}`;
  }
}

/** The example's columns, with closed lists of airports. */
function CONTRACT_WITH(origins: string[]) {
  return [
    { name: 'flight', type: 'integer', unique: true },
    { name: 'date', type: 'timestamp' },
    { name: 'delay', type: 'integer', minimum: -1440, maximum: 2880 },
    { name: 'distance', type: 'integer', minimum: 0, maximum: 6000 },
    { name: 'origin', type: 'string', allowed: origins },
    { name: 'destination', type: 'string' },
  ];
}
