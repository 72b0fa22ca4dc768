import type {
  DescribeHyperParameterTuningJobResponse,
  DescribeTrainingJobResponse,
  HyperParameterTrainingJobSummary,
  HyperParameterTuningJobSummary,
  TrainingJobStatus,
} from '@aws-sdk/client-sagemaker';

import type { TuningDefinition, TuningRequest } from './requests';
import type { Point } from './tuning-search';

/** One training job of a tuning job. */
export interface Trial {
  readonly name: string;
  readonly arn: string;
  readonly point: Point;
  readonly CreationTime: Date;
  /** Why it could not be started. */
  refused?: string;
  /** As DescribeTrainingJob last showed it. */
  described?: DescribeTrainingJobResponse;
}

/** One tuning job, from its request to its end. */
export interface TuningJob {
  readonly input: TuningRequest;
  readonly arn: string;
  /** The definition of its training jobs, as SageMaker completes it. */
  readonly definition: TuningDefinition;
  readonly CreationTime: Date;
  readonly trials: Trial[];
  /** Trials that have ended, in the order in which they did. */
  readonly ended: Trial[];
  status: 'InProgress' | 'Stopping' | 'Completed' | 'Failed' | 'Stopped';
  modified: Date;
  end?: Date;
  failure?: string;
}

/** A tuning job as it is kept: with the names of the trials that have ended. */
export type KeptTuning = Omit<TuningJob, 'ended'> & { readonly ended: readonly string[] };

export function keptTuning(job: TuningJob): KeptTuning {
  return { ...job, ended: job.ended.map(({ name }) => name) };
}

/** The share of the best value by which a better one must exceed it to count as progress. */
const PROGRESS = 0.01;

/** The value of the objective that a trial came to; undefined if it failed or told none. */
export function objectiveOf({ input }: TuningJob, { described }: Trial): number | undefined {
  const { MetricName } = input.HyperParameterTuningJobConfig.HyperParameterTuningJobObjective;
  if (!['Completed', 'Stopped'].includes(described?.TrainingJobStatus ?? '')) return undefined;
  return described?.FinalMetricDataList?.find((metric) => metric.MetricName === MetricName)?.Value;
}

export function hasEnded({ refused, described }: Trial): boolean {
  return refused !== undefined || ['Completed', 'Failed', 'Stopped'].includes(described?.TrainingJobStatus ?? '');
}

/** The ended trials that have a value, in the order in which they ended. */
export function judged(job: TuningJob): { trial: Trial; value: number }[] {
  return job.ended.flatMap((trial) => {
    const value = objectiveOf(job, trial);
    return value === undefined ? [] : [{ trial, value }];
  });
}

/** How much better one value is than another; negative if it is worse. */
function gain({ input }: TuningJob, value: number, than: number): number {
  const { Type } = input.HyperParameterTuningJobConfig.HyperParameterTuningJobObjective;
  return Type === 'Maximize' ? value - than : than - value;
}

/** The trial with the best value; of equals, the first that ended. */
export function best(job: TuningJob): { trial: Trial; value: number } | undefined {
  const [first, ...others] = judged(job);
  return others.reduce((found, one) => (found && gain(job, one.value, found.value) > 0 ? one : found), first);
}

/** How many trials have ended since the last that was better by 1 % than all before it. */
export function notImproving(job: TuningJob): number {
  let [reached, since]: [number | undefined, number] = [undefined, 0];
  for (const { value } of judged(job)) {
    const progress = reached === undefined || gain(job, value, reached) >= Math.abs(reached) * PROGRESS;
    since = progress ? 0 : since + 1;
    if (progress) reached = value;
  }
  return since;
}

/** Whether a criterion of completion is met. */
export function isGoodEnough(job: TuningJob): boolean {
  const criteria = job.input.HyperParameterTuningJobConfig.TuningJobCompletionCriteria ?? {};
  const { TargetObjectiveMetricValue: target, BestObjectiveNotImproving: stagnation } = criteria;
  const found = best(job);
  if (target !== undefined && found !== undefined && gain(job, found.value, target) >= 0) return true;
  const patience = stagnation?.MaxNumberOfTrainingJobsNotImproving;
  return patience !== undefined && notImproving(job) >= patience;
}

/** A trial as the tuning job's operations show it. */
export function summary(job: TuningJob, trial: Trial): HyperParameterTrainingJobSummary {
  const { described, refused } = trial;
  const { MetricName } = job.input.HyperParameterTuningJobConfig.HyperParameterTuningJobObjective;
  const value = objectiveOf(job, trial);
  const failure = refused ?? described?.FailureReason;
  return {
    ...(job.definition.DefinitionName && { TrainingJobDefinitionName: job.definition.DefinitionName }),
    TrainingJobName: trial.name,
    TrainingJobArn: trial.arn,
    CreationTime: trial.CreationTime,
    ...(described?.TrainingStartTime && { TrainingStartTime: described.TrainingStartTime }),
    ...(described?.TrainingEndTime && { TrainingEndTime: described.TrainingEndTime }),
    TrainingJobStatus: statusOf(trial),
    TunedHyperParameters: trial.point,
    ...(failure !== undefined && { FailureReason: failure }),
    ...(value !== undefined && { FinalHyperParameterTuningJobObjectiveMetric: { MetricName, Value: value } }),
    ObjectiveStatus: !hasEnded(trial) ? 'Pending' : value === undefined ? 'Failed' : 'Succeeded',
  };
}

function statusOf({ described, refused }: Trial): TrainingJobStatus {
  return refused === undefined ? (described?.TrainingJobStatus ?? 'InProgress') : 'Failed';
}

/** How many trials are in which state, and how many have a value. */
export function counters(
  job: TuningJob,
): Pick<HyperParameterTuningJobSummary, 'TrainingJobStatusCounters' | 'ObjectiveStatusCounters'> {
  const count = (fits: (trial: Trial) => boolean) => job.trials.filter(fits).length;
  const internal = ({ described }: Trial) => /^InternalServerError/.test(described?.FailureReason ?? '');
  const failed = (trial: Trial) => statusOf(trial) === 'Failed';
  const succeeded = judged(job).length;
  return {
    TrainingJobStatusCounters: {
      Completed: count((trial) => statusOf(trial) === 'Completed'),
      InProgress: count((trial) => !hasEnded(trial)),
      RetryableError: count((trial) => failed(trial) && internal(trial)),
      NonRetryableError: count((trial) => failed(trial) && !internal(trial)),
      Stopped: count((trial) => statusOf(trial) === 'Stopped'),
    },
    ObjectiveStatusCounters: {
      Succeeded: succeeded,
      Pending: job.trials.length - job.ended.length,
      Failed: job.ended.length - succeeded,
    },
  };
}

/** As DescribeHyperParameterTuningJob shows it. */
export function describeTuning(job: TuningJob, now: Date): Partial<DescribeHyperParameterTuningJobResponse> {
  const { Tags: _, ...echoed } = job.input;
  const found = best(job);
  return {
    ...echoed,
    TrainingJobDefinition: job.definition,
    HyperParameterTuningJobArn: job.arn,
    HyperParameterTuningJobStatus: job.status,
    CreationTime: job.CreationTime,
    LastModifiedTime: job.modified,
    ...(job.end && { HyperParameterTuningEndTime: job.end }),
    ...counters(job),
    ...(found && { BestTrainingJob: summary(job, found.trial) }),
    ...(job.failure !== undefined && { FailureReason: job.failure }),
    TuningJobCompletionDetails: { NumberOfTrainingJobsObjectiveNotImproving: notImproving(job) },
    ConsumedResources: { RuntimeInSeconds: Math.round((+(job.end ?? now) - +job.CreationTime) / 1000) },
  };
}
