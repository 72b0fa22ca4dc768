import { S3Client } from '@aws-sdk/client-s3';
import type { JudgeReport, JudgeRequest } from '../../lib/core/judge/documents';
import { judge } from '../../lib/core/judge/judge';
import { parseScores } from '../../lib/core/judge/scores';
import { newFact } from '../../lib/core/ledger/facts';
import { readLabels, readProfile, readRun } from '../../lib/core/ledger/stored';
import { EnvName, MetricName, runKeys } from '../../lib/core/names';
import { problemOf } from '../../lib/core/problem';
import type { Baseline } from '../../lib/core/watch/documents';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import type { Ledger } from '../ledger/ledger';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { metric } from '../shared/metric';
import { S3Store } from '../shared/s3-store';

export interface JudgePorts {
  readonly ledger: Ledger;
  readonly store: Pick<S3Store, 'getJson' | 'getText' | 'putJson'>;
  now(): Date;
}

/** Runs {@link judgeRun} on the data bucket and the ledger, and records the candidate's metric. */
export async function handler(request: JudgeRequest): Promise<JudgeReport> {
  const { candidate, ...report } = await judgeRun(onAws(), request);
  metric(MetricName.CANDIDATE_METRIC, candidate, 'None');
  return report;
}

const onAws = lazy(
  (): JudgePorts => ({
    ledger: dynamoLedger(),
    store: new S3Store(new S3Client(), env(EnvName.DATA_BUCKET)),
    now: () => new Date(),
  }),
);

/** Compares both models' scores on the holdout, and keeps the judgement and what the monitor will compare with. */
export async function judgeRun(
  { ledger, store, now }: JudgePorts,
  { runId, startedAt, champion, rules }: JudgeRequest,
): Promise<JudgeReport & { readonly candidate: number }> {
  const keys = runKeys(runId);
  const answersOf = (model: 'candidate' | 'champion') => store.getText(keys.answers(model));
  const [{ contract }, { labels, slices }, profile, answers, others] = await Promise.all([
    store.getJson(keys.run).then((document) => readRun(document, keys.run)),
    store.getJson(keys.holdoutLabels).then((document) => readLabels(document, keys.holdoutLabels)),
    store.getJson(keys.profile).then((document) => readProfile(document, keys.profile)),
    answersOf('candidate'),
    champion && answersOf('champion'),
  ]);
  const problem = problemOf(contract.target.problem);
  const candidate = parseScores(problem.scores, answers);
  const judgement = judge({
    problem: problem.name,
    labels,
    slices,
    candidate,
    trained: { ...profile.trivial, histogram: profile.target },
    ...(champion && others && { champion: { version: champion.version, scores: parseScores(problem.scores, others) } }),
    rules,
  });

  const baseline: Baseline = {
    runId,
    contract,
    profile,
    scores: problem.scores.count(candidate),
    judgement,
  };
  await store.putJson(keys.judgement, judgement);
  await store.putJson(keys.baseline, baseline);
  const { verdict, promote, because } = judgement;
  await ledger.append(
    newFact.runJudged(now(), {
      runId,
      startedAt,
      verdict,
      problem: judgement.problem,
      metric: judgement.metric,
      candidate: judgement.candidate,
      champion: judgement.champion,
      championVersion: judgement.championVersion,
      trivial: judgement.trivial,
      difference: judgement.difference,
      interval: judgement.interval,
      rows: judgement.rows,
      because,
    }),
  );
  return { verdict, promote, because, candidate: judgement.candidate };
}
