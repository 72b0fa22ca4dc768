import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { S3Client } from '@aws-sdk/client-s3';
import { SageMakerClient } from '@aws-sdk/client-sagemaker';
import { newFact } from '../../lib/core/ledger/facts';
import { LedgerPrefix } from '../../lib/core/ledger/keys';
import { EnvName, runKeys } from '../../lib/core/names';
import {
  type AttemptContext,
  type CapacityOptionSpec,
  costOf,
  firstAttempt,
  lookSeconds,
  type Next,
  nextAttempt,
} from '../../lib/core/train/attempts';
import type { AttemptReport, AttemptRequest } from '../../lib/core/train/documents';
import { type Failure, failureAfter, type JobFacts, LOG_LINES, needsLog, withLog } from '../../lib/core/train/failures';
import { historyOf, spentByOthers } from '../../lib/core/train/history';
import { machinesOf, tuningDocument } from '../../lib/core/train/records';
import { bestTrial } from '../../lib/core/train/tuning';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import { type Ledger, queryFacts } from '../ledger/ledger';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { S3Store } from '../shared/s3-store';
import { type Jobs, LOG_GROUP, lastLines, sageMakerJobs } from './training-jobs';

export interface AttemptPorts {
  readonly pipeline: string;
  /** The name of the model package group. */
  readonly registry: string;
  readonly region: string;
  readonly ledger: Ledger;
  readonly store: Pick<S3Store, 'putJson'>;
  /** Training jobs, and tuning jobs. */
  readonly jobs: Record<'training' | 'tuning', Jobs>;
  /** The last lines that the script of a job has written, whose log streams' names begin so. */
  lastLines(streams: string): Promise<string[]>;
  now(): Date;
}

/** Runs {@link attempt} on SageMaker, its logs and the ledger. */
export async function handler(request: AttemptRequest): Promise<AttemptReport> {
  return attempt(onAws(), request);
}

/**
 * Records how the last training job ended, and decides on the next.
 *
 * What counts is the job as SageMaker knows it, whatever the state machine was told: a call that was cut off may have
 * started one, and one whose name is taken already is the very job that was asked for. So no run has two at once.
 */
export async function attempt(ports: AttemptPorts, request: AttemptRequest): Promise<AttemptReport> {
  const { ledger } = ports;
  const { runId, startedAt, rules, progress } = request;
  if (progress?.currentJob === undefined) {
    return report(ports, request, firstAttempt(rules, await contextOf(ports, request)));
  }
  const { currentJob } = progress;
  const jobs = ports.jobs[rules.search === undefined ? 'training' : 'tuning'];
  const facts = await jobs.find(currentJob.name);
  if (facts?.status === 'InProgress' || facts?.status === 'Stopping') {
    // a state that has run out of time has asked for the end already, but only once
    if (request.caught?.name === 'States.Timeout' && facts.status === 'InProgress') await jobs.stop(currentJob.name);
    const looks = progress.looks ?? 0;
    return { action: 'LOOK', progress: { ...progress, looks: looks + 1 }, waitSeconds: lookSeconds(looks) };
  }

  const option = rules.capacityOptions[currentJob.option] as CapacityOptionSpec;
  const streams = rules.search === undefined ? `${currentJob.name}/` : `${currentJob.name}-`;
  const failure = await withLogTail(ports, streams, failureAfter(facts, request.caught));
  const { billableSeconds, trainingSeconds, interruptions, metrics } = facts ?? {};
  await ledger.append(
    newFact.attemptEnded(ports.now(), {
      runId,
      startedAt,
      job: currentJob.name,
      ...machinesOf(option),
      status: facts?.status ?? 'Refused',
      failureKind: failure?.kind,
      failure: failure?.reason,
      billableSeconds,
      trainingSeconds,
      interruptions,
      costUsd: costOf(option, billableSeconds ?? 0, ports.region, rules.prices),
      ...(rules.tuning && {
        iteration: currentJob.iteration,
        hyperparameters: rules.tuning.suggestions[currentJob.iteration - 1],
      }),
      metrics,
    }),
  );
  const ended = {
    billableSeconds: billableSeconds ?? 0,
    trial: { value: rules.tuning && metrics?.[rules.tuning.metric], model: facts?.model, arn: facts?.arn },
  };
  return report(ports, request, nextAttempt(rules, progress, failure, ended, await contextOf(ports, request)), facts);
}

/** Writes what is decided, and says it to the machine. */
async function report(
  ports: AttemptPorts,
  { runId, startedAt, rules }: AttemptRequest,
  next: Next,
  ended?: JobFacts,
): Promise<AttemptReport> {
  const { progress } = next;
  if (next.action === 'FAILED') return { action: 'FAILED', progress, waitSeconds: 0, failure: next.failure };
  if (next.action === 'TRAINED') {
    const search = rules.tuning ?? rules.search;
    const trials = rules.search === undefined ? progress.trials : (ended?.trials ?? []);
    const best = search && bestTrial(search, trials);
    if (search && best) await ports.store.putJson(runKeys(runId).tuning, tuningDocument(runId, search, trials, best));
    const { model, arn } = (rules.tuning && best) ?? ended ?? {};
    return { action: 'TRAINED', progress, waitSeconds: 0, model, trainingJobArn: arn };
  }
  const { currentJob, hyperparameters, waitSeconds } = next;
  const option = rules.capacityOptions[currentJob.option] as CapacityOptionSpec;
  const { maxRuntimeSeconds, expectedUsd, atMostUsd } = currentJob;
  const asked = { job: currentJob.name, option: option.label, maxRuntimeSeconds, expectedUsd, atMostUsd };
  await ports.ledger.append(newFact.attemptStarted(ports.now(), { runId, startedAt, ...asked }));
  return {
    action: 'TRAIN',
    progress,
    waitSeconds,
    job: {
      name: currentJob.name,
      option: currentJob.option,
      maxRuntimeSeconds: currentJob.maxRuntimeSeconds,
      maxWaitSeconds: currentJob.maxRuntimeSeconds + (option.maxWaitSeconds ?? 0),
      checkpoints: `${currentJob.iteration}/`,
      hyperparameters,
    },
  };
}

/** A failure of the script's, with its own last lines. */
async function withLogTail(ports: AttemptPorts, streams: string, failure?: Failure): Promise<Failure | undefined> {
  if (failure === undefined || !needsLog(failure)) return failure;
  return withLog(failure, await ports.lastLines(streams), `${LOG_GROUP}, stream ${streams}…`);
}

/** So many of the newest facts about runs are looked through for jobs that tell how long one takes. */
const MOST_RECENT = 500;

/** What is known of money and time, from the newest facts and those of the month, however long the ledger is. */
async function contextOf(
  { ledger, pipeline, registry, region, now }: AttemptPorts,
  request: AttemptRequest,
): Promise<AttemptContext> {
  const { runId, startedAt, rules } = request;
  const recent = await queryFacts(ledger, LedgerPrefix.RUNS, { newestFirst: true, limit: MOST_RECENT });
  const history = historyOf(recent, runId);
  const spentThisMonthUsd =
    rules.maxCostPerMonth === undefined
      ? 0
      : spentByOthers(await queryFacts(ledger, `${LedgerPrefix.RUNS}${startedAt.slice(0, 7)}`), runId);
  return { pipeline, registry, runId, startedAt, region, now: now().toISOString(), history, spentThisMonthUsd };
}

const onAws = lazy((): AttemptPorts => {
  const logs = new CloudWatchLogsClient();
  return {
    pipeline: env(EnvName.PIPELINE),
    registry: env(EnvName.MODEL_PACKAGE_GROUP),
    region: env('AWS_REGION'),
    ledger: dynamoLedger(),
    store: new S3Store(new S3Client(), env(EnvName.DATA_BUCKET)),
    jobs: sageMakerJobs(new SageMakerClient()),
    lastLines: (streams) => lastLines(logs, streams, LOG_LINES),
    now: () => new Date(),
  };
});
