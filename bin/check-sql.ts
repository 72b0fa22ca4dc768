import { text } from 'node:stream/consumers';
import { parseContract } from '../lib/core/dataset/contract';

// Checks the expressions of a contract, for `cdk synth`, which cannot wait for a database itself. Reads the contract as
// JSON, and writes `{}` or `{"mistake": "…"}`; or `{"absent": true}` where DuckDB is not installed.

async function check(): Promise<{ readonly mistake?: string; readonly absent?: true }> {
  const contract = parseContract(JSON.parse(await text(process.stdin)));
  let loaded: [typeof import('../lambdas/data-engine/derive'), typeof import('../lambdas/data-engine/duckdb')];
  try {
    loaded = await Promise.all([import('../lambdas/data-engine/derive'), import('../lambdas/data-engine/duckdb')]);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes('@duckdb')) return { absent: true };
    throw error;
  }
  const [{ checkExpressions }, { withDatabase }] = loaded;
  const { createTables } = await import('../lambdas/data-engine/reader');
  return withDatabase(async (database) => {
    await createTables(database, contract);
    return checkExpressions(database, contract).then(
      () => ({}),
      (error: Error) => ({ mistake: error.message }),
    );
  });
}

console.log(JSON.stringify(await check()));
