import { type NewFact, newFact, type RefusedFile, readFact } from '../../lib/core/ledger/facts';
import { LedgerKey, LedgerPrefix } from '../../lib/core/ledger/keys';
import { findRun, type Ledger, ofFactKind, queryFacts } from './ledger';

/** A version of an object. */
interface FileVersion {
  readonly key: string;
  readonly versionId: string;
}

/** A run refuses at most a hundred files by name. */
const MOST_OF_A_RUN = 1000;

/** Those of some files that no run can use: one item each, however many have been refused in all. */
export async function refusedAmong(
  ledger: Pick<Ledger, 'findAll'>,
  files: readonly FileVersion[],
): Promise<RefusedFile[]> {
  const found = await ledger.findAll(files.map(({ key, versionId }) => LedgerKey.refused(key, versionId)));
  return found.map((item) => readFact(item, ['RefusedFile']));
}

/** The files because of which a run failed. */
export async function refusedByRun(ledger: Pick<Ledger, 'query'>, runId: string): Promise<RefusedFile[]> {
  const run = await findRun(ledger, runId);
  if (run === undefined) return [];
  const prefix = `${LedgerPrefix.run(run.startedAt, runId)}REFUSED#`;
  return ofFactKind(await queryFacts(ledger, prefix, { limit: MOST_OF_A_RUN }), 'RefusedFile');
}

/** Records that no further run shall be made with a file. */
export async function refuse(
  append: (fact: NewFact) => Promise<unknown>,
  ...refused: Parameters<typeof newFact.refusedFile>
): Promise<void> {
  for (const fact of newFact.refusedFile(...refused)) await append(fact);
}
