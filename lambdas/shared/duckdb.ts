import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { literal } from '../../lib/core/preparation/rules';

/** Of a function's memory: DuckDB counts its buffers only, and takes up to 0.8 GB more. */
const MEMORY_SHARE = 0.55;

/** MiB of a Lambda function that come with one vCPU. */
const MEMORY_PER_CPU = 1769;

/** A database in memory that spills to a folder of its own, sees no other file, and cannot be told otherwise. */
export class Database {
  private constructor(
    /** The only folder that SQL may read and write; gone after {@link close}. */
    readonly folder: string,
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
  ) {}

  static async open(): Promise<Database> {
    const folder = await mkdtemp(join(tmpdir(), 'perennial-'));
    const memory = Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 3008);
    const threads = Math.max(1, Math.min(availableParallelism(), Math.floor(memory / MEMORY_PER_CPU)));
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(threads),
      memory_limit: `${Math.floor(memory * MEMORY_SHARE)}MiB`,
      temp_directory: join(folder, 'spill'),
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const database = new Database(folder, instance, await instance.connect());
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

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return Array.isArray(value) ? value.map(plain) : value;
}
