import { createReadStream } from 'node:fs';
import type { Contract } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { named } from '../../lib/core/prepare/rules';
import { problemOf } from '../../lib/core/problem';
import type { GroundTruth } from '../../lib/core/watch/ground-truth';
import { checkExpressions, refuseRepeated } from '../data-engine/derive';
import { type Database, withDatabase } from '../data-engine/duckdb';
import { topReasons } from '../data-engine/quarantine';
import { createTables, loadFile, refuseBadRows } from '../data-engine/reader';

/**
 * Reads the true outcomes from a file of `ground-truth/`, which is in the contract of the training data.
 *
 * @param file a file on disk
 * @param contract must name a key
 * @param wantedKeys keys as texts, as in a request to the model
 * @param name the object's key, which says the format and stands in messages; the file's name, if absent
 * @throws PerennialError DATA_UNREADABLE or DATA_REJECTED: whatever fails while the file is read is the file's
 */
export async function readGroundTruth(
  file: string,
  contract: Contract,
  wantedKeys: ReadonlySet<string>,
  name = file,
): Promise<GroundTruth> {
  const key = contract.columns.findIndex((column) => column.name === contract.key);
  if (key < 0) {
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      'the contract must name a key to join ground truth with predictions',
    );
  }
  return withDatabase(async (database) => {
    await createTables(database, contract);
    await checkExpressions(database, contract);
    try {
      return await outcomes(database, file, contract, key, wantedKeys, name);
    } catch (error) {
      if (error instanceof PerennialError) throw error;
      throw new PerennialError(
        ErrorName.DATA_UNREADABLE,
        `${name} cannot be read: ${(error as Error).message.slice(0, 500)}; correct it and upload it again`,
        { cause: error },
      );
    }
  });
}

async function outcomes(
  database: Database,
  file: string,
  contract: Contract,
  key: number,
  wantedKeys: ReadonlySet<string>,
  name: string,
): Promise<GroundTruth> {
  await loadFile(database, contract, { name, open: async () => createReadStream(file) }, 0);
  const { rows } = await database.row<{ rows: number }>('SELECT count(*) AS rows FROM loaded');
  await refuseBadRows(database, contract);
  await refuseRepeated(database, contract, [name]);
  const reasons = await topReasons(database);

  const { allows } = problemOf(contract.target.problem).labels;
  const labels = new Map<string, number>();
  let known = 0;
  let unknown = 0;
  const columns = contract.columns.map((_, i) => `c${i}`);
  const sql =
    `SELECT "#k", TRY_CAST((${contract.target.sql}) AS DOUBLE) FROM ` +
    `(SELECT c${key}::VARCHAR AS "#k", ${named(contract, columns)} FROM loaded)`;
  for await (const [keys, targets] of database.blocks(sql)) {
    for (const [row, value] of targets.entries()) {
      const label = value as number | null;
      const usable = label !== null && allows(label);
      if (usable) known++;
      else unknown++;
      if (usable && wantedKeys.has(keys[row] as string)) labels.set(keys[row] as string, label);
    }
  }
  if (unknown > 0) reasons.push({ reason: `${contract.target.name}: must be known`, rows: unknown });
  return { labels, rows, bad: rows - known, reasons: reasons.sort((a, b) => b.rows - a.rows) };
}
