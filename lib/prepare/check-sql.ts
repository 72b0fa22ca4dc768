import { spawnSync } from 'node:child_process';
import { type Contract, contractId, quoted } from '../core/dataset/contract';
import { built } from '../private/assets';

/** A database that starts and looks at expressions takes half a second; it computes nothing. */
const TIMEOUT_MS = 30_000;

const known = new Map<string, string | undefined>();

/**
 * What is wrong with a contract's SQL, as DuckDB sees it; undefined if nothing is, if there is none, or if DuckDB is
 * not installed here: each run looks again before it reads data.
 *
 * A process of its own looks, because constructs cannot wait for a database.
 *
 * @param program for tests
 */
export function sqlMistake(contract: Contract, program = built('bin', 'check-sql.mjs')): string | undefined {
  const columns = new Set(contract.columns.map(({ name }) => quoted(name)));
  if ([...contract.features, contract.target].every(({ sql }) => columns.has(sql))) return undefined;
  const id = `${program} ${contractId(contract)}`;
  if (!known.has(id)) known.set(id, look(contract, program));
  return known.get(id);
}

function look(contract: Contract, program: string): string | undefined {
  const { stdout, stderr, status, error } = spawnSync(process.execPath, [program], {
    input: JSON.stringify(contract),
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  if (error !== undefined || status !== 0) {
    const because = error?.message ?? stderr.trim().slice(-500);
    throw new Error(`the contract's SQL could not be checked: ${because}`);
  }
  return (JSON.parse(stdout) as { readonly mistake?: string }).mistake;
}
