import { type DynamoDBClient, QueryCommand } from '@aws-sdk/client-dynamodb';
import { fromItem } from '../../lambdas/ledger/items';
import type {
  AttemptStarted,
  Decision,
  DeploymentEnded,
  Fact,
  RefusedFile,
  RunEnded,
  RunJudged,
  RunPrepared,
  RunStarted,
  TrainingAttempt,
  WindowJudged,
} from '../../lib/core/ledger/ledger';
import { type EndpointNow, whyNot } from './endpoint';

/** Everything the ledger says about one run. */
export interface Run {
  readonly runId: string;
  /** ISO. */
  readonly startedAt: string;
  readonly started?: RunStarted;
  readonly prepared?: RunPrepared;
  /** The training jobs that were asked for, in order. */
  readonly requested: readonly AttemptStarted[];
  /** Those that have ended. */
  readonly attempts: readonly TrainingAttempt[];
  readonly judged?: RunJudged;
  readonly ended?: RunEnded;
}

/** A pipeline's ledger; each list is in order of time. */
export interface Facts {
  readonly pipeline: string;
  readonly runs: readonly Run[];
  readonly deployments: readonly DeploymentEnded[];
  readonly windows: readonly WindowJudged[];
  readonly decisions: readonly Decision[];
  readonly refused: readonly RefusedFile[];
  /** Beside the ledger; absent where that alone is read. */
  readonly endpoint?: EndpointNow;
}

/** A stretch of time in which one model version served. */
export interface Served {
  readonly version: number;
  /** ISO. */
  readonly from: string;
  /** ISO; absent for the version that was deployed last. */
  readonly to?: string;
  /** Why the version that was deployed last does not serve now, since whenever; absent if it does. */
  readonly gone?: string;
  readonly deployment: DeploymentEnded;
  /** The run that made it, if the ledger still has it. */
  readonly run?: Run;
}

/** Reads a pipeline's whole ledger. */
export async function readFacts(client: DynamoDBClient, table: string, pipeline: string): Promise<Facts> {
  const items: Fact[] = [];
  let ExclusiveStartKey: import('@aws-sdk/client-dynamodb').QueryCommandOutput['LastEvaluatedKey'];
  do {
    const page = await client.send(
      new QueryCommand({
        TableName: table,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': { S: pipeline } },
        ExclusiveStartKey,
      }),
    );
    items.push(...(page.Items ?? []).map((item) => fromItem<Fact>(item)));
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey !== undefined);
  return toFacts(pipeline, items);
}

/** Sorts a ledger's items by what they are about; items that are no facts (leases, the monitor's state) are left out. */
export function toFacts(pipeline: string, items: readonly Fact[]): Facts {
  const sorted = [...items].sort((a, b) => (a.sk < b.sk ? -1 : a.sk > b.sk ? 1 : 0));
  const of = <T extends Fact>(kind: string) => sorted.filter(({ sk }) => sk.startsWith(`${kind}#`)) as T[];
  return {
    pipeline,
    runs: runsOf(of('RUN')),
    deployments: of('DEPLOYMENT'),
    windows: of('MONITOR'),
    decisions: of('DECISION'),
    refused: of('REFUSED'),
  };
}

function runsOf(items: readonly Fact[]): Run[] {
  type Growing = { -readonly [key in keyof Run]: Run[key] } & {
    requested: AttemptStarted[];
    attempts: TrainingAttempt[];
  };
  const runs = new Map<string, Growing>();
  for (const item of items) {
    const [, startedAt = '', runId = '', fact] = item.sk.split('#');
    const run = runs.get(`${startedAt}#${runId}`) ?? { runId, startedAt, requested: [], attempts: [] };
    runs.set(`${startedAt}#${runId}`, run);
    if (fact === 'START') run.started = item as RunStarted;
    else if (fact === 'PREPARED') run.prepared = item as RunPrepared;
    else if (fact === 'STARTED') run.requested.push(item as AttemptStarted);
    else if (fact === 'ATTEMPT') run.attempts.push(item as TrainingAttempt);
    else if (fact === 'VERDICT') run.judged = item as RunJudged;
    else if (fact === 'END') run.ended = item as RunEnded;
  }
  for (const { requested, attempts } of runs.values()) {
    for (const jobs of [requested, attempts]) jobs.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  }
  return [...runs.values()];
}

/** Which model served when, oldest first. A deployment that failed or was rolled back changes nothing. */
export function servedPeriods({ deployments, runs, endpoint }: Facts): Served[] {
  const done = deployments
    .filter(({ outcome }) => outcome === 'DEPLOYED')
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return done.map((deployment, i) => {
    const to = done[i + 1]?.at;
    const gone = to === undefined && endpoint !== undefined ? whyNot(endpoint, deployment) : undefined;
    return {
      version: deployment.version,
      from: deployment.at,
      to,
      ...(gone !== undefined && { gone }),
      deployment,
      run: runs.find(({ runId }) => runId === deployment.runId),
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
  return arn === undefined ? undefined : Number(arn.slice(arn.lastIndexOf('/') + 1));
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
