import { isLater, readServing, SERVING_ROW, type Serving, servingAfter } from '../../lib/core/deploy/serving';
import type { DeploymentEnded, NewFact } from '../../lib/core/ledger/facts';
import { LedgerPrefix } from '../../lib/core/ledger/keys';
import { current, type Ledger, queryFacts, untilDone } from './ledger';

/** So many deployments are read at once, where the row is missing. */
const PAGE = 100;

/** The model version in service, by one item of the ledger; undefined if none has been deployed. */
export async function findServing(ledger: Pick<Ledger, 'find' | 'query'>): Promise<Serving | undefined> {
  return (await readCurrent(ledger)).serving;
}

/**
 * Writes what serves after a deployment. It may be written again and again, late and by several at once: the
 * deployment that began last counts.
 */
export async function recordServing(ledger: Ledger, ended: NewFact<DeploymentEnded>): Promise<void> {
  const next = servingAfter(ended);
  if (next === undefined) return;
  await untilDone(SERVING_ROW.sk, async () => {
    const { serving, revision, isWritten } = await readCurrent(ledger);
    const newest = serving === undefined || isLater(next, serving) ? next : serving;
    return (isWritten && newest === serving) || (await ledger.swap(SERVING_ROW, revision, newest))
      ? { done: undefined }
      : false;
  });
}

async function readCurrent(ledger: Pick<Ledger, 'find' | 'query'>) {
  const { value, revision, wrong } = await current(ledger, { ...SERVING_ROW, nothing: {} });
  const serving = wrong.length === 0 ? readServing(value) : undefined;
  if (serving !== undefined) return { serving, revision, isWritten: true };
  return { serving: await fromFacts(ledger), revision, isWritten: false };
}

/** What serves, by the deployments: for a row that is not there (yet), or that somebody has changed by hand. */
async function fromFacts(ledger: Pick<Ledger, 'query'>): Promise<Serving | undefined> {
  let beyond: string | undefined;
  for (;;) {
    const facts = await queryFacts(ledger, LedgerPrefix.DEPLOYMENTS, { newestFirst: true, limit: PAGE, beyond });
    for (const fact of facts) {
      const serving = fact.kind === 'DeploymentEnded' ? servingAfter(fact) : undefined;
      if (serving !== undefined) return serving;
    }
    if (facts.length < PAGE) return undefined;
    beyond = facts.at(-1)?.sk;
  }
}
