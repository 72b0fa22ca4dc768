import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { EnvName } from '../../lib/core/names';
import { type Limits, limitsOf } from '../../lib/core/prepare/limits';
import { literal } from '../../lib/core/prepare/rules';

const MIB = 2 ** 20;

/** MiB of a Lambda function that come with one vCPU. */
const MEMORY_PER_CPU = 1769;

/** A database in memory that spills to a folder of its own, sees no other file, and cannot be told otherwise. */
export class Database {
  private constructor(
    /** The only folder that SQL may read and write; gone after {@link close}. */
    readonly folder: string,
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
    readonly limits: Limits,
  ) {}

  static async open(): Promise<Database> {
    if (process.env.AWS_LAMBDA_FUNCTION_NAME !== undefined) await removeLeftovers();
    const folder = await mkdtemp(join(tmpdir(), FOLDERS));
    const memory = Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 3008);
    const limits = limitsOf({ memory: memory * MIB, storage: await freeStorage(folder) });
    const threads = Math.max(1, Math.min(availableParallelism(), Math.floor(memory / MEMORY_PER_CPU)));
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(threads),
      memory_limit: `${Math.floor(limits.buffers / MIB)}MiB`,
      temp_directory: join(folder, 'spill'),
      max_temp_directory_size: `${Math.floor(limits.spill / MIB)}MiB`,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const database = new Database(folder, instance, await instance.connect(), limits);
    for (const setting of [
      `home_directory = ${literal(folder)}`,
      "TimeZone = 'UTC'",
      `allowed_directories = [${literal(folder)}]`,
      'enable_external_access = false', // the contract's SQL is its owner's, not ours
      'lock_configuration = true',
    ]) {
      await database.run(`SET ${setting}`);
    }
    return database;
  }

  async run(sql: string): Promise<void> {
    await this.connection.run(sql);
  }

  /** The rows of a small result, as objects; 64-bit integers as numbers. */
  async rows<T>(sql: string): Promise<T[]> {
    const reader = await this.connection.runAndReadAll(sql);
    return reader
      .getRowObjectsJS()
      .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])) as T);
  }

  /** The only row of a result. */
  async row<T>(sql: string): Promise<T> {
    const [row] = await this.rows<T>(sql);
    return row;
  }

  /** The values of a result's columns, block by block, for results of any size. */
  async *blocks(sql: string): AsyncGenerator<DuckDBValue[][]> {
    const result = await this.connection.stream(sql);
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) return;
      yield chunk.getColumns();
    }
  }

  /** Frees the memory and deletes the folder. */
  async close(): Promise<void> {
    this.connection.closeSync();
    this.instance.closeSync();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Runs some work with a database of its own. */
export async function withDatabase<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const database = await Database.open();
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

/** Where databases keep their files, below the system's temporary folder. */
const FOLDERS = 'perennial-';

/** A function that was ended leaves its files behind, and the next one on the same machine would have less room. */
async function removeLeftovers(): Promise<void> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(FOLDERS));
  await Promise.all(names.map((name) => rm(join(tmpdir(), name), { recursive: true, force: true })));
}

/** In bytes: what is free, and no more than the function was given. */
async function freeStorage(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  const given = process.env[EnvName.STORAGE_MIB];
  return Math.min(bavail * bsize, given === undefined ? Number.POSITIVE_INFINITY : Number(given) * MIB);
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return Array.isArray(value) ? value.map(plain) : value;
}
