import { packageVersion } from '../names';
import type {
  AttemptEnded,
  AttemptStarted,
  Decision,
  DeploymentEnded,
  LedgerFact,
  RefusedFile,
  RunEnded,
  RunJudged,
  RunPrepared,
  RunStarted,
  WindowJudged,
} from './facts';

/** What the ledger says about one run. */
export interface Run {
  readonly runId: string;
  /** ISO. */
  readonly startedAt: string;
  readonly started?: RunStarted;
  readonly prepared?: RunPrepared;
  /** The training jobs that were asked for, in order. */
  readonly requested: readonly AttemptStarted[];
  /** Those that have ended. */
  readonly attempts: readonly AttemptEnded[];
  readonly judged?: RunJudged;
  readonly ended?: RunEnded;
}

/** What was read of a pipeline's ledger; each list is in order of time. */
export interface History {
  readonly pipeline: string;
  readonly runs: readonly Run[];
  readonly deployments: readonly DeploymentEnded[];
  readonly windows: readonly WindowJudged[];
  readonly decisions: readonly Decision[];
  /** Files that were refused by these runs, or in these windows. */
  readonly refused: readonly RefusedFile[];
  /** Runs that made what served, as far as they are none of {@link runs}. */
  readonly makers?: readonly Run[];
  /** Of which the ledger has older ones that were not read. */
  readonly older?: readonly Listed[];
  /** Beside the ledger; absent where that alone is read. */
  readonly endpoint?: EndpointNow;
}

/** What a history lists. */
export type Listed = 'runs' | 'deployments' | 'windows' | 'decisions';

/** The endpoint as SageMaker describes it now: the ledger tells what was deployed, and not what became of it since. */
export interface EndpointNow {
  readonly name: string;
  /** Absent if there is no endpoint. */
  readonly status?: string;
  readonly configName?: string;
}

/** A stretch of time in which one model version served. */
export interface Served {
  /** Of the model. */
  readonly version: number;
  /** ISO. */
  readonly from: string;
  /** ISO; absent for the version that was deployed last. */
  readonly to?: string;
  /** Why the version that was deployed last does not serve now, since whenever; absent if it does. */
  readonly gone?: string;
  readonly deployment: DeploymentEnded;
  /** The run that made it, if it was read. */
  readonly run?: Run;
}

/** Sorts facts by what they are about. */
export function historyOf(pipeline: string, facts: readonly LedgerFact[]): History {
  const sorted = [...facts].sort((a, b) => (a.sk < b.sk ? -1 : a.sk > b.sk ? 1 : 0));
  const of = <K extends LedgerFact['kind']>(kind: K) =>
    sorted.filter((fact): fact is Extract<LedgerFact, { kind: K }> => fact.kind === kind);
  // a refusal stands in the ledger twice: by its file, and beside what refused it
  const refused = new Map(of('RefusedFile').map((fact) => [JSON.stringify([fact.key, fact.versionId]), fact]));
  return {
    pipeline,
    runs: runsOf(sorted),
    deployments: of('DeploymentEnded'),
    windows: of('WindowJudged'),
    decisions: of('Decision'),
    refused: [...refused.values()],
  };
}

function runsOf(facts: readonly LedgerFact[]): Run[] {
  type Growing = { -readonly [key in keyof Run]: Run[key] } & {
    requested: AttemptStarted[];
    attempts: AttemptEnded[];
  };
  const runs = new Map<string, Growing>();
  const runOf = ({ runId, startedAt }: Pick<Run, 'runId' | 'startedAt'>) => {
    const key = `${startedAt} ${runId}`;
    const run = runs.get(key) ?? { runId, startedAt, requested: [], attempts: [] };
    runs.set(key, run);
    return run;
  };
  for (const fact of facts) {
    if (fact.kind === 'RunStarted') runOf(fact).started = fact;
    else if (fact.kind === 'RunPrepared') runOf(fact).prepared = fact;
    else if (fact.kind === 'AttemptStarted') runOf(fact).requested.push(fact);
    else if (fact.kind === 'AttemptEnded') runOf(fact).attempts.push(fact);
    else if (fact.kind === 'RunJudged') runOf(fact).judged = fact;
    else if (fact.kind === 'RunEnded') runOf(fact).ended = fact;
  }
  for (const { requested, attempts } of runs.values()) {
    for (const jobs of [requested, attempts]) jobs.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  }
  return [...runs.values()];
}

/** Which model served when, oldest first. A deployment that failed or was rolled back changes nothing. */
export function servedPeriods({ deployments, runs, makers = [], endpoint }: History): Served[] {
  const done = deployments
    .filter(({ outcome }) => outcome === 'DEPLOYED')
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return done.map((deployment, i) => {
    const to = done[i + 1]?.at;
    const gone = to === undefined && endpoint !== undefined ? whyNot(endpoint, deployment) : undefined;
    return {
      version: deployment.modelVersion,
      from: deployment.at,
      to,
      ...(gone !== undefined && { gone }),
      deployment,
      run: [...runs, ...makers].find(({ runId }) => runId === deployment.runId),
    };
  });
}

/** The end of a stretch of time, as a person reads it. */
export function until({ to, gone }: Served, show: (iso: string) => string): string {
  if (to !== undefined) return show(to);
  return gone === undefined ? 'now' : 'unknown';
}

/** The version that a run registered, if it did. */
export function versionOf({ ended }: Run): number | undefined {
  const arn = ended?.modelPackageArn;
  return arn === undefined ? undefined : packageVersion(arn);
}

/** Why a model came to serve, in words. */
export function whyServed({ run, deployment }: Served): string {
  const asked = run?.started === undefined ? '' : `${REASONS_IN_WORDS[run.started.reason]}; `;
  return `${asked}${run?.judged?.because ?? `deployed by ${deployment.deploymentId}`}`;
}

/** Why a run was started. */
export const REASONS_IN_WORDS = {
  manual: 'asked for by hand',
  data: 'new data',
  drift: 'drift was found',
  schedule: 'by schedule',
} as const;

/** A handler's failure is JSON with a message; others are text. */
export function causeText(cause: string): string {
  try {
    return JSON.parse(cause).errorMessage ?? cause;
  } catch {
    return cause;
  }
}

/**
 * The statuses in which an endpoint answers, by the configuration that it names.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
 */
const ANSWERS: readonly string[] = ['InService', 'Updating', 'SystemUpdating', 'RollingBack'];

/** Why the version that was deployed last does not serve; undefined if it does. */
function whyNot(
  { name, status, configName }: EndpointNow,
  { modelVersion, endpointConfigName }: Pick<DeploymentEnded, 'modelVersion' | 'endpointConfigName'>,
): string | undefined {
  if (status === undefined) return `the endpoint ${name} does not exist: no model serves`;
  if (status === 'UpdateRollbackFailed') return `the endpoint ${name} is ${status}: which model serves is not certain`;
  if (!ANSWERS.includes(status)) return `the endpoint ${name} is ${status}: no model serves`;
  if (configName === endpointConfigName) return undefined;
  return `the endpoint ${name} serves ${configName}, and not v${modelVersion} that was deployed last: a deployment is about to end, or somebody has changed it`;
}
