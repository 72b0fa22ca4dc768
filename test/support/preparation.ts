import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { prepare } from '../../lambdas/prepare/prepare.handler';
import { type Contract, parseContract } from '../../lib/core/dataset/contract';
import { parseCsv } from '../../lib/core/dataset/csv';
import type { RunDocument } from '../../lib/core/dataset/documents';
import type { HoldoutLabels } from '../../lib/core/judge/judgement';
import { runKeys } from '../../lib/core/names';
import type { PrepareReport, QuarantinedRow } from '../../lib/core/prepare/documents';
import type { Profile } from '../../lib/core/prepare/profile';
import { FolderStore } from './folder-store';

export const RUN_ID = 'data-0123456789ab';
const STARTED_AT = '2026-03-01T00:00:00.000Z';

/** A data set small enough to write by hand: rides with a key, a time and a label. */
export const RIDES = {
  columns: [
    { name: 'id', type: 'integer' },
    { name: 'at', type: 'timestamp' },
    { name: 'km', type: 'number', minimum: 0, maximum: 500 },
    { name: 'city', type: 'string', allowed: ['Bonn', 'Köln', 'a "b", c'] },
    { name: 'rain', type: 'boolean', nullable: true },
    { name: 'late', type: 'boolean' },
  ],
  key: 'id',
  eventTime: 'at',
  features: ['km', 'city', 'rain', { name: 'hour', sql: 'hour("at")', kind: 'number' }],
  target: 'late',
  slices: ['city'],
};

/** Rows of rides, all good, one a minute; their values depend on their number alone. */
export function rides(count: number, first = 0): string[][] {
  return Array.from({ length: count }, (_, i) => {
    const id = first + i;
    const at = new Date(Date.UTC(2026, 0, 1) + id * 60_000).toISOString();
    const city = ['Bonn', 'Köln', 'a "b", c'][id % 3];
    return [`${id}`, at, `${(id * 7) % 500}.5`, city, ['true', 'false', ''][id % 3], id % 4 === 0 ? 'true' : 'false'];
  });
}

export const RIDES_HEADER = RIDES.columns.map(({ name }) => name);

export function csv(rows: readonly (readonly string[])[], header: readonly string[] = RIDES_HEADER): string {
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [header, ...rows].map((row) => `${row.map(cell).join(',')}\n`).join('');
}

/** What a preparation left behind. */
export interface Prepared {
  readonly report: PrepareReport;
  readonly quarantine: QuarantinedRow[];
  readonly train: Record<string, unknown>[];
  readonly validation: Record<string, unknown>[];
  readonly holdout: string[][];
  readonly labels: HoldoutLabels;
  readonly profile: Profile;
  readonly store: FolderStore;
  readonly facts: Record<string, unknown>[];
}

/** A bucket on disk with a run whose snapshot is the given files. */
export class Preparation {
  readonly store = new FolderStore(mkdtempSync(join(tmpdir(), 'perennial-test-')));
  readonly facts: Record<string, unknown>[] = [];
  /** Refused files as they stand beside their run, too. */
  readonly besideRun: Record<string, unknown>[] = [];

  constructor(
    private readonly files: Readonly<Record<string, string | Uint8Array>>,
    private readonly contract: Contract = parseContract(RIDES),
    private readonly split = { holdout: 0.2, validation: 0.2 },
  ) {}

  /** Runs it, and reads everything that it wrote. */
  async run(): Promise<Prepared> {
    const report = await this.prepare();
    const keys = runKeys(RUN_ID);
    return {
      report,
      quarantine: report.rows.quarantined > 0 ? await this.quarantine() : [],
      train: await readParquet(this.store.path(`${keys.train}rows.parquet`)),
      validation: await readParquet(this.store.path(`${keys.validation}rows.parquet`)),
      holdout: parseCsv(await this.store.getText(keys.holdoutRows)),
      labels: await this.store.getJson(keys.holdoutLabels),
      profile: await this.store.getJson(keys.profile),
      store: this.store,
      facts: this.facts,
    };
  }

  async prepare(): Promise<PrepareReport> {
    for (const [key, body] of Object.entries(this.files)) await this.store.put(key, body);
    const run: RunDocument = {
      runId: RUN_ID,
      startedAt: STARTED_AT,
      reason: 'data',
      evidence: [],
      contract: this.contract,
      split: this.split,
      snapshot: {
        dataVersion: '0123456789ab',
        files: Object.entries(this.files)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, body]) => ({ key, versionId: 'v1', size: body.length, etag: 'e' })),
      },
    };
    await this.store.putJson(runKeys(RUN_ID).run, run);
    return prepare(
      {
        store: this.store,
        append: async (fact) => (fact.sk.includes('#REFUSED#') ? this.besideRun : this.facts).push({ ...fact }),
        now: () => new Date(STARTED_AT),
      },
      { runId: RUN_ID },
    );
  }

  async quarantine(): Promise<QuarantinedRow[]> {
    const text = await this.store.getText(runKeys(RUN_ID).quarantine);
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  [Symbol.dispose](): void {
    rmSync(this.store.folder, { recursive: true, force: true });
  }
}

export async function readParquet(path: string): Promise<Record<string, unknown>[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const reader = await connection.runAndReadAll(`SELECT * FROM read_parquet('${path}')`);
  return reader.getRowObjectsJson();
}

/** Runs SQL that writes a file, and gives the file's bytes. */
export async function written(sql: (path: string) => string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-test-'));
  try {
    const path = join(folder, 'file');
    const connection = await (await DuckDBInstance.create()).connect();
    await connection.run(sql(path));
    return new Uint8Array(await new FolderStore(folder).bytes('file'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
