import { findRun, type Ledger, queryFacts } from '../../lambdas/ledger/ledger';
import { type LedgerFact, type RunIndex, readFact } from '../../lib/core/ledger/facts';
import { type History, historyOf, type Listed, type Run, servedPeriods } from '../../lib/core/ledger/history';
import { LedgerPrefix } from '../../lib/core/ledger/keys';

/** How much of a ledger is read, the newest first. */
export interface Extent {
  /** So many runs, deployments, windows and decisions each, at most. */
  readonly limit?: number;
  /** ISO; only what began since then. */
  readonly since?: string;
  /** Of what; of all, if absent. */
  readonly of?: readonly Listed[];
}

/** So much is read where nobody says how much. */
export const MOST_READ = 50;

/** Facts that are read at once. */
const PAGE = 250;

/** Runs whose ids begin alike that are told apart. */
const MOST_ALIKE = 20;

const ALL: readonly Listed[] = ['runs', 'deployments', 'windows', 'decisions'];
const PREFIXES: Readonly<Record<Listed, string>> = {
  runs: LedgerPrefix.RUNS,
  deployments: LedgerPrefix.DEPLOYMENTS,
  windows: LedgerPrefix.WINDOWS,
  decisions: LedgerPrefix.DECISIONS,
};

/** Reads the newest part of a pipeline's ledger, and the runs that made what served in it. */
export async function readHistory(ledger: Ledger, pipeline: string, extent: Extent = {}): Promise<History> {
  const { of = ALL } = extent;
  const parts = await Promise.all(of.map((listed) => readListed(ledger, listed, extent)));
  const history = historyOf(
    pipeline,
    parts.flatMap(({ facts }) => facts),
  );
  const older = of.filter((_, i) => parts[i]?.isCut);
  return { ...history, older, makers: await makersOf(ledger, history) };
}

/** Reads one run of this id, and when its model served; undefined if there is none. */
export async function readRun(ledger: Ledger, pipeline: string, { runId, startedAt }: RunName): Promise<History> {
  const [facts, { facts: deployments, isCut }] = await Promise.all([
    queryFacts(ledger, LedgerPrefix.run(startedAt, runId)),
    readListed(ledger, 'deployments', { since: startedAt, limit: 10 * MOST_READ }),
  ]);
  const history = historyOf(pipeline, [...facts, ...deployments]);
  // one that has only just begun has no facts of its own yet
  const runs = history.runs.length > 0 ? history.runs : [{ runId, startedAt, requested: [], attempts: [] }];
  return { ...history, runs, older: isCut ? ['deployments'] : [] };
}

type RunName = Pick<RunIndex, 'runId' | 'startedAt'>;

/** The runs whose ids begin so. */
export async function findRuns(ledger: Ledger, beginning: string): Promise<RunIndex[]> {
  const found = await queryFacts(ledger, LedgerPrefix.runIndex(beginning), { limit: MOST_ALIKE });
  return found.map((fact) => readFact(fact, ['RunIndex']));
}

/** Reads which model served when, around a time. */
export async function readServedAt(ledger: Ledger, pipeline: string, at: string): Promise<History> {
  const isDeployed = (fact: LedgerFact) => fact.kind === 'DeploymentEnded' && fact.outcome === 'DEPLOYED';
  const prefix = LedgerPrefix.DEPLOYMENTS;
  const before: LedgerFact[] = [];
  // a deployment that began before may have ended after: the one before that counts
  for await (const facts of pages(ledger, prefix, { newestFirst: true, beyond: `${prefix}${at}~` })) {
    before.push(...facts);
    if (before.filter((fact) => isDeployed(fact) && fact.at <= at).length > 0) break;
  }
  const after: LedgerFact[] = [];
  for await (const facts of pages(ledger, prefix, { since: at })) {
    after.push(...facts);
    if (facts.some(isDeployed)) break;
  }
  const history = historyOf(pipeline, [...new Map([...before, ...after].map((fact) => [fact.sk, fact])).values()]);
  const period = servedPeriods(history).findLast(({ from }) => from <= at);
  const deployments = period === undefined ? [] : [period.deployment];
  return { ...history, makers: await makersOf(ledger, { ...history, deployments }) };
}

/** Of each list the newest, in whole runs. */
async function readListed(ledger: Ledger, listed: Listed, { limit = MOST_READ, since }: Extent) {
  const facts: LedgerFact[] = [];
  const seen = new Set<string>();
  for await (const page of pages(ledger, PREFIXES[listed], { newestFirst: true, since })) {
    for (const fact of page) {
      const one = idOf(fact);
      if (one === undefined) {
        facts.push(fact);
        continue;
      }
      if (!seen.has(one) && seen.size === limit) return { facts, isCut: true };
      seen.add(one);
      facts.push(fact);
    }
  }
  return { facts, isCut: false };
}

/** What a fact counts as: all of a run's together as one, and a refusal as none. */
function idOf(fact: LedgerFact): string | undefined {
  switch (fact.kind) {
    case 'RefusedFile':
      return undefined; // it stands beside what refused it
    case 'DeploymentEnded':
    case 'WindowJudged':
    case 'Decision':
    case 'TornRow':
      return fact.sk;
    default:
      return JSON.stringify([fact.startedAt, fact.runId]);
  }
}

/** The runs that made what served. */
async function makersOf(ledger: Ledger, { pipeline, runs, deployments }: History): Promise<Run[]> {
  const known = new Set(runs.map(({ runId }) => runId));
  const served = deployments.filter(({ outcome }) => outcome === 'DEPLOYED').flatMap(({ runId }) => runId ?? []);
  const missing = [...new Set(served)].filter((runId) => !known.has(runId));
  const facts = missing.map(async (runId) => {
    const run = await findRun(ledger, runId);
    return run === undefined ? [] : queryFacts(ledger, LedgerPrefix.run(run.startedAt, runId));
  });
  return [...historyOf(pipeline, (await Promise.all(facts)).flat()).runs];
}

async function* pages(
  ledger: Ledger,
  prefix: string,
  options: { since?: string; beyond?: string; newestFirst?: true },
) {
  let { beyond } = options;
  for (;;) {
    const facts = await queryFacts(ledger, prefix, { ...options, beyond, limit: PAGE });
    yield facts;
    if (facts.length < PAGE) return;
    beyond = facts.at(-1)?.sk;
  }
}
