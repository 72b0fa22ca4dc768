import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { S3ServiceException } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test } from 'vitest';
import { readable } from '../../lambdas/data-engine/reader';
import { prepare } from '../../lambdas/prepare/prepare.handler';
import { parseContract } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { EnvName } from '../../lib/core/names';
import { kindOf } from '../../lib/core/prepare/faults';
import { MemoryLedger } from '../support/memory';
import { csv, Preparation, RIDES, RIDES_HEADER, RUN_ID, rides, written } from '../support/preparation';

const good = csv(rides(200));
const refusedKey = (name: string) => LedgerKey.refused(`incoming/${name}`, 'v1');

/** As if the function had so many MiB of memory and disk. */
function functionOf(memory: number, disk: number): void {
  process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE = String(memory);
  process.env[EnvName.STORAGE_MIB] = String(disk);
}
afterEach(() => {
  delete process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
  delete process.env[EnvName.STORAGE_MIB];
});

type Open = (key: string, stream: () => Promise<Readable>) => Promise<Readable>;

/** Prepares files; how each is opened may be changed. Gives the error, and which files were refused. */
async function failure(files: Record<string, string | Uint8Array>, open: Open = (_, stream) => stream()) {
  using preparation = new Preparation(
    Object.fromEntries(Object.entries(files).map(([name, body]) => [`incoming/${name}`, body])),
  );
  const { store } = preparation;
  const stream = store.stream.bind(store);
  store.stream = (key) => open(key.replace('incoming/', ''), () => stream(key));
  const error: Error = await preparation.prepare().then(
    () => Promise.reject(new Error('the preparation must fail')),
    (reason) => reason,
  );
  return { name: error.name, message: error.message, refused: preparation.facts.map(({ sk }) => sk) };
}

/** Rows that are all alike, but for their number of megabytes. */
function alike(megabytes: number): Buffer {
  const [row] = rides(1).map((cells) => `${cells.join(',')}\n`);
  return Buffer.from(
    `${RIDES_HEADER.join(',')}\n${(row as string).repeat((megabytes * 1e6) / (row as string).length)}`,
  );
}

describe('a file that is too much', () => {
  test('of a few kilobytes that unpack to 120 MB on a disk of 48 is refused by name, and it alone', async () => {
    functionOf(3008, 48);
    const bomb = gzipSync(alike(120));
    expect(bomb.length).toBeLessThan(500_000);
    const { name, message, refused } = await failure({ 'bomb.csv.gz': bomb, 'good.csv': good });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toMatch(
      /^incoming\/bomb\.csv\.gz cannot be read: it unpacks to 20\.\d MB or more, and there is room for 20\.1 MB\. Upload it in smaller parts/,
    );
    expect(refused).toEqual([refusedKey('bomb.csv.gz')]);
  });

  test('that unpacks to hundreds of times its size is refused even where there is room', async () => {
    functionOf(3008, 64);
    const { message, refused } = await failure({ 'bomb.csv.gz': gzipSync(alike(20)), 'good.csv': good });
    expect(message).toMatch(
      /it unpacks to 2\d\.\d MB, \d{3} times what it is packed, and no table does: upload it unpacked/,
    );
    expect(refused).toEqual([refusedKey('bomb.csv.gz')]);
  });

  test('by its size is refused before it is opened', async () => {
    functionOf(3008, 10);
    const opened: string[] = [];
    const { message, refused } = await failure({ 'big.csv': alike(5), 'good.csv': good }, (key, stream) => {
      opened.push(key);
      return stream();
    });
    expect(message).toContain('incoming/big.csv cannot be read: it has 5.0 MB or more, and there is room for 4.2 MB');
    expect(refused).toEqual([refusedKey('big.csv')]);
    expect(opened).toEqual(['good.csv']);
  });

  test('because short lines are made long by their many missing fields is refused by name', async () => {
    functionOf(3008, 4);
    const { message, refused } = await failure({ 'short.csv': `${RIDES_HEADER.join(',')}\n${'x\n'.repeat(100_000)}` });
    expect(message).toContain('incoming/short.csv cannot be read: its records take 2.0 MB or more');
    expect(refused).toEqual([refusedKey('short.csv')]);
  });

  test('of Parquet that says the same row millions of times is refused before it is read', async () => {
    functionOf(128, 64);
    const body = await written(
      (path) =>
        `COPY (SELECT 1 AS id, TIMESTAMP '2026-01-01' AS at, 1.5::DOUBLE AS km, 'Bonn' AS city, true AS rain, true AS late ` +
        `FROM range(3000000)) TO '${path}' (FORMAT parquet, COMPRESSION zstd)`,
    );
    expect(body.length).toBeLessThan(100_000);
    const { name, message, refused } = await failure({ 'same.parquet': body, 'good.csv': good });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toMatch(/incoming\/same\.parquet cannot be read: its 3000000 rows take 264\.0 MB or more/);
    expect(refused).toEqual([refusedKey('same.parquet')]);
  });

  test('of Parquet whose description of itself is vast is refused before it is read', async () => {
    const body = Buffer.concat([
      Buffer.from('PAR1'),
      Buffer.alloc(1000),
      Buffer.from([255, 255, 255, 127]),
      Buffer.from('PAR1'),
    ]);
    const { message } = await failure({ 'vast.parquet': body });
    expect(message).toContain('incoming/vast.parquet cannot be read: its description of itself has 2.1 GB');
  });

  test('of Parquet whose zstd unpacks to more than memory and disk is found and refused', async () => {
    functionOf(140, 16);
    const body = await written(
      (path) =>
        `COPY (SELECT i AS id, TIMESTAMP '2026-01-01' AS at, 1.5::DOUBLE AS km, i || repeat('x', 900000) AS city, true AS rain, true AS late ` +
        `FROM range(200) t(i)) TO '${path}' (FORMAT parquet, COMPRESSION zstd)`,
    );
    expect(body.length).toBeLessThan(500_000);
    const { name, message, refused } = await failure({ 'bomb.parquet': body, 'good.csv': good });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toMatch(
      /^incoming\/bomb\.parquet cannot be prepared: Out of Memory Error.*Upload it in smaller parts/s,
    );
    expect(refused).toEqual([refusedKey('bomb.parquet')]);
  });

  test('of Parquet with a text of more than 1 MiB loses that row alone', async () => {
    const body = await written(
      (path) =>
        `COPY (SELECT i AS id, TIMESTAMP '2026-01-01' + to_minutes(i) AS at, 1.5::DOUBLE AS km, ` +
        `CASE WHEN i = 7 THEN repeat('x', 1100000) ELSE 'Bonn' END AS city, true AS rain, i % 4 = 0 AS late FROM range(200) t(i)) TO '${path}' (FORMAT parquet)`,
    );
    using preparation = new Preparation({ 'incoming/a.parquet': body });
    const { report, quarantine } = await preparation.run();
    expect(report.rows).toMatchObject({ read: 200, quarantined: 1 });
    expect(quarantine[0]).toMatchObject({
      line: 8,
      reasons: [expect.stringContaining('has a text of more than 1 MiB')],
    });
    expect(JSON.stringify(quarantine).length).toBeLessThan(5000);
  });
});

describe('a Parquet file that breaks what reads it', () => {
  test('by bytes that are no text where it says who wrote it is refused by name', async () => {
    const select = `1 AS id, TIMESTAMP '2026-01-01' AS at, 1.5::DOUBLE AS km, 'Bonn' AS city, true AS rain, true AS late`;
    const body = Buffer.from(await written((path) => `COPY (SELECT ${select}) TO '${path}' (FORMAT parquet)`));
    body[body.lastIndexOf('DuckDB version')] = 0xff;
    const { name, message } = await failure({ 'a.parquet': body });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toContain('incoming/a.parquet cannot be read: it holds text that is not UTF-8');
  });

  test('and the database with it is refused by name, without what the database says of its own code', async () => {
    // of eight rides, one byte in the description of a column is another
    const body = readFileSync('test/fixtures/breaks-duckdb.parquet');
    const { name, message, refused } = await failure({ 'a.parquet': body, 'good.csv': good });
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(refused).toEqual([refusedKey('a.parquet')]);
    expect(message).toMatch(
      /^incoming\/a\.parquet cannot be prepared: it breaks the database that reads it \(INTERNAL Error: [^\n]*\)\. Correct it and upload it again, or delete it; [^\n]*$/,
    );
  });

  test.each([
    'INTERNAL Error: Attempted to access index 3 within vector of size 3',
    'FATAL Error: Failed: database has been invalidated because of a previous fatal error',
  ])('or the database says nothing yet of which file is to blame: %s', async (message) => {
    const error = await readable('incoming/a.parquet', '/tmp/0.parquet', () =>
      Promise.reject(new Error(message)),
    ).catch((reason) => reason);
    expect(error).not.toBeInstanceOf(PerennialError);
    expect(kindOf(error)).toBe('FAULT');
  });
});

describe('a row on which the SQL of the contract fails', () => {
  const contract = parseContract({
    ...RIDES,
    features: ['city', { name: 'far', sql: 'ln(km)', kind: 'number' }],
    maxBadShare: 0.05,
  });
  const zero = (rows: string[][], count: number) => rows.map((row, i) => (i < count ? row.with(2, '0') : row));

  test('is quarantined with the reason, and the others are trained on', async () => {
    using preparation = new Preparation({ 'incoming/a.csv': csv(zero(rides(200), 2)) }, contract);
    const { report, quarantine, train } = await preparation.run();
    const { read, quarantined, train: trained, validation, holdout } = report.rows;
    expect([read, quarantined, trained + validation + holdout]).toEqual([200, 2, 198]);
    expect(train.length).toBe(trained);
    expect(quarantine).toMatchObject([{ line: 2, row: { km: '0.0' } }, { line: 3 }]);
    expect(quarantine[0]?.reasons).toEqual([
      "feature 'far': its SQL must work, got an error, of which one is: Out of Range Error: cannot take logarithm of zero",
    ]);
  });

  test('makes its file a refused one where there are too many of them, and leaves the other be', async () => {
    using preparation = new Preparation(
      { 'incoming/a.csv': csv(rides(200)), 'incoming/b.csv': csv(zero(rides(200, 200), 150)) },
      contract,
    );
    await expect(preparation.prepare()).rejects.toMatchObject({
      name: ErrorName.DATA_REJECTED,
      message: expect.stringContaining("feature 'far': its SQL must work (150 rows)"),
    });
    expect(preparation.facts.map(({ sk }) => sk)).toEqual([refusedKey('b.csv')]);
  });
});

describe('data that is too much together', () => {
  test('by its sizes is refused before anything is opened, and no file is blamed', async () => {
    functionOf(128, 10);
    const opened: string[] = [];
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`${i}.csv`, alike(4)]));
    const { name, message, refused } = await failure(files, (key, stream) => {
      opened.push(key);
      return stream();
    });
    expect(name).toBe(ErrorName.DATA_TOO_LARGE);
    expect(message).toMatch(
      /^the 30 files are too much together: they have 120\.0 MB, and there is room for 80\.\d MB\. Train on the newest files alone \(newestFiles\)/,
    );
    expect([opened, refused]).toEqual([[], []]);
  });

  test('is found out where the memory is full, and no file is blamed', async () => {
    functionOf(130, 20);
    const part = (first: number) => csv(rides(50_000, first));
    const files = { 'a.csv': part(0), 'b.csv': part(50_000), 'c.csv': part(100_000), 'd.csv': part(150_000) };
    const { name, message, refused } = await failure(files);
    expect(name).toBe(ErrorName.DATA_TOO_LARGE);
    expect(message).toMatch(
      /^the 4 files of \d\d\.\d MB are too much for the function that prepares them, and no one alone is to blame: Out of Memory Error.*newestFiles/s,
    );
    expect(refused).toEqual([]);
  });
});

describe('a failure that nobody thought of', () => {
  const poisoned: Open = (key, stream) => {
    if (key.startsWith('poison')) throw new TypeError("Cannot read properties of undefined (reading 'h')");
    return stream();
  };

  test('in the reading of files is theirs: they are refused by name, and the others are not', async () => {
    const { name, message, refused } = await failure(
      { 'a.csv': good, 'poison1.csv': good, 'poison2.csv': good, 'z.csv': csv(rides(50, 200)) },
      poisoned,
    );
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toMatch(
      /incoming\/poison1\.csv cannot be prepared: TypeError: Cannot read .*incoming\/poison2\.csv cannot be prepared/s,
    );
    expect(refused).toEqual([refusedKey('poison1.csv'), refusedKey('poison2.csv')]);
  });

  test('also of the only file', async () => {
    expect((await failure({ 'poison.csv': good }, poisoned)).refused).toEqual([refusedKey('poison.csv')]);
  });

  test('in every file is not the files: none is refused, and a person is asked for', async () => {
    const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`poison${i}.csv`, good]));
    const { name, message, refused } = await failure(files, poisoned);
    expect(name).toBe(ErrorName.PREPARATION_FAILED);
    expect(message).toMatch(
      /^the 8 files of .* cannot be prepared, and no file alone is the cause: TypeError: .*A person is needed/s,
    );
    expect(refused).toEqual([]);
  });

  test('a disk that is full only where others were read before is not blamed on the file that meets it', async () => {
    let opened = 0;
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const { refused, name, message } = await failure({ 'a.csv': good, 'b.csv': good, 'c.csv': good }, (key, stream) => {
      if (key === 'b.csv' && ++opened === 1) throw full;
      return stream();
    });
    expect([name, refused]).toEqual([ErrorName.DATA_TOO_LARGE, []]);
    expect(message).toContain('ENOSPC');
  });
});

describe('a service that fails', () => {
  const says = (name: string, status: number) =>
    new S3ServiceException({ name, $fault: 'server', message: 'no', $metadata: { httpStatusCode: status } });
  const failing =
    (error: Error, only?: string): Open =>
    (key, stream) => {
      if (only === undefined || key === only) throw error;
      return stream();
    };

  test.each([
    ['is busy', says('SlowDown', 503)],
    ['is down', says('InternalError', 500)],
    ['throttles', says('ThrottlingException', 400)],
    ['hangs up', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })],
    ['is not found', Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' })],
    ['takes too long', Object.assign(new Error('socket'), { name: 'TimeoutError' })],
  ])('because it %s blames no file', async (_, error) => {
    const { name, message, refused } = await failure({ 'a.csv': good, 'b.csv': good }, failing(error, 'b.csv'));
    expect({ name, message }).toEqual({ name: error.name, message: error.message });
    expect(refused).toEqual([]);
  });

  test.each([
    ['was deleted meanwhile', says('NoSuchVersion', 404)],
    ['lies in an archive', says('InvalidObjectState', 403)],
    ['is under a key of its own', says('AccessDenied', 403)],
  ])('for one file alone, because it %s, is the file', async (_, error) => {
    const { name, message, refused } = await failure({ 'a.csv': good, 'b.csv': good }, failing(error, 'b.csv'));
    expect(name).toBe(ErrorName.DATA_UNREADABLE);
    expect(message).toContain(`incoming/b.csv cannot be had: ${error.name}`);
    expect(refused).toEqual([refusedKey('b.csv')]);
  });

  test('for the only file, because it was deleted meanwhile, is the file', async () => {
    const { name, refused } = await failure({ 'a.csv': good }, failing(says('NoSuchVersion', 404)));
    expect([name, refused]).toEqual([ErrorName.DATA_UNREADABLE, [refusedKey('a.csv')]]);
  });

  test('for all files, because nothing may be read, blames none', async () => {
    const error = says('AccessDenied', 403);
    expect(await failure({ 'a.csv': good, 'b.csv': good }, failing(error))).toEqual({
      name: 'AccessDenied',
      message: 'no',
      refused: [],
    });
  });
});

describe('an attempt that dies', () => {
  /** Runs attempts until one answers; opening a poisoned file is the end of its attempt, without a word. */
  async function attempts(names: string[], poison: (name: string, attempt: number) => boolean) {
    using preparation = new Preparation(
      Object.fromEntries(names.map((name, i) => [`incoming/${name}`, csv(rides(200, 200 * i))])),
    );
    await preparation.prepare(); // writes the files and the document of the run
    const notes = new MemoryLedger();
    const { store } = preparation;
    const open = store.stream.bind(store);
    const refused: unknown[] = [];
    for (let attempt = 1; attempt < 40; attempt++) {
      const answer = await new Promise<unknown>((resolve) => {
        const stream = async (key: string) => {
          if (!poison(key.replace('incoming/', ''), attempt)) return open(key);
          resolve('DIED');
          return new Promise<Readable>(() => {});
        };
        prepare(
          {
            store: {
              getJson: (key) => store.getJson(key),
              putJson: store.putJson.bind(store),
              upload: store.upload.bind(store),
              stream,
            },
            append: async (fact) => !fact.sk.includes('#REFUSED#') && refused.push(fact.sk),
            now: () => new Date('2026-03-01T00:00:00.000Z'),
            notes,
          },
          { runId: RUN_ID },
        ).then(resolve, resolve);
      });
      if (answer !== 'DIED') return { answer, attempt, refused, notes };
    }
    throw new Error('it goes on for ever');
  }

  test('while it reads a file, twice, has that file refused, and no other', async () => {
    const { answer, attempt, refused } = await attempts(['a.csv', 'b.csv', 'c.csv'], (name) => name === 'b.csv');
    expect(answer).toMatchObject({
      name: ErrorName.DATA_UNREADABLE,
      message: expect.stringMatching(
        /^incoming\/b\.csv cannot be prepared: the function ended without a word while it was reading/,
      ),
    });
    expect(refused).toEqual([refusedKey('b.csv')]);
    expect(attempt).toBeLessThan(8);
  });

  test('by chance has no file refused: the next one prepares them all', async () => {
    const { answer, attempt, refused } = await attempts(
      ['a.csv', 'b.csv'],
      (name, attempt) => name === 'b.csv' && attempt === 1,
    );
    expect(answer).toMatchObject({ rows: { read: 400 } });
    expect(attempt).toBe(2);
    expect(refused).toEqual([expect.stringContaining('#PREPARED')]);
  });

  test('leaves nothing behind once the run has ended', async () => {
    const { notes } = await attempts(['a.csv'], (_, attempt) => attempt === 1);
    const [note] = notes.all('PREPARING#');
    expect(note).toMatchObject({ attempts: 0, failures: [], passed: [], guilty: [] });
    expect(note).not.toHaveProperty('under');
  });
});
