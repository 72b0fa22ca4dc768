import {
  type CloudWatchLogsClient,
  DescribeLogStreamsCommand,
  GetLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import {
  DescribeHyperParameterTuningJobCommand,
  DescribeTrainingJobCommand,
  type DescribeTrainingJobResponse,
  paginateListTrainingJobsForHyperParameterTuningJob,
  type SageMakerClient,
  StopHyperParameterTuningJobCommand,
  StopTrainingJobCommand,
} from '@aws-sdk/client-sagemaker';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import type { JobFacts } from '../../lib/core/train/failures';
import type { Trial } from '../../lib/core/train/tuning';
import { unlessMissing } from '../shared/sagemaker';

/** Jobs of one kind, as SageMaker knows them. */
export interface Jobs {
  /** A job; undefined if there is none of this name. */
  find(name: string): Promise<JobFacts | undefined>;
  /** Asks a job to stop. */
  stop(name: string): Promise<void>;
}

/** Where SageMaker writes what training jobs print, a stream a host. */
export const LOG_GROUP = '/aws/sagemaker/TrainingJobs';

export function sageMakerJobs(client: SageMakerClient): Record<'training' | 'tuning', Jobs> {
  const training: Jobs = {
    find: async (TrainingJobName) => {
      const found = await unlessMissing(client.send(new DescribeTrainingJobCommand({ TrainingJobName })));
      return found && factsOf(found);
    },
    stop: async (TrainingJobName) => {
      await client.send(new StopTrainingJobCommand({ TrainingJobName }));
    },
  };
  const tuning: Jobs = {
    find: (name) => findTuning(client, training, name),
    stop: async (HyperParameterTuningJobName) => {
      await client.send(new StopHyperParameterTuningJobCommand({ HyperParameterTuningJobName }));
    },
  };
  return { training, tuning };
}

/** Of a job's description, what matters. */
export function factsOf(job: DescribeTrainingJobResponse): JobFacts {
  const { TrainingJobStatus: status, FinalMetricDataList: metrics } = job;
  const interruptions = job.SecondaryStatusTransitions?.filter(({ Status }) => Status === 'Interrupted').length;
  return {
    status: statusOf(status),
    secondaryStatus: job.SecondaryStatus,
    failureReason: job.FailureReason,
    billableSeconds: job.BillableTimeInSeconds,
    trainingSeconds: job.TrainingTimeInSeconds,
    ...(interruptions && { interruptions }),
    arn: job.TrainingJobArn,
    model: job.ModelArtifacts?.S3ModelArtifacts,
    ...(metrics && {
      metrics: Object.fromEntries(metrics.map(({ MetricName = '', Value = Number.NaN }) => [MetricName, Value])),
    }),
  };
}

/** A tuning job as one that trains: its best model, and the seconds of all its training jobs. */
async function findTuning(client: SageMakerClient, training: Jobs, name: string): Promise<JobFacts | undefined> {
  const request = { HyperParameterTuningJobName: name };
  const found = await unlessMissing(client.send(new DescribeHyperParameterTuningJobCommand(request)));
  if (found === undefined) return undefined;
  const status = statusOf(found.HyperParameterTuningJobStatus);
  if (status === 'InProgress' || status === 'Stopping') return { status };

  const trials: Trial[] = [];
  let [billableSeconds, trainingSeconds] = [0, 0];
  let failureReason: string | undefined;
  for await (const page of paginateListTrainingJobsForHyperParameterTuningJob({ client }, request)) {
    for (const summary of page.TrainingJobSummaries ?? []) {
      const facts = await training.find(summary.TrainingJobName as string);
      billableSeconds += facts?.billableSeconds ?? 0;
      trainingSeconds += facts?.trainingSeconds ?? 0;
      failureReason ??= facts?.failureReason;
      trials.push({
        iteration: trials.length + 1,
        hyperparameters: summary.TunedHyperParameters ?? {},
        job: summary.TrainingJobName,
        value: summary.FinalHyperParameterTuningJobObjectiveMetric?.Value,
        model: facts?.model,
        arn: facts?.arn,
      });
    }
  }
  const best = trials.find(({ job }) => job === found.BestTrainingJob?.TrainingJobName);
  const objective = found.HyperParameterTuningJobConfig?.HyperParameterTuningJobObjective?.MetricName;
  return {
    status,
    // that all training jobs failed says nothing; why the first did, does
    failureReason: failureReason ?? found.FailureReason,
    ...(trainingSeconds > 0 && { billableSeconds, trainingSeconds }),
    arn: best?.arn,
    model: best?.model,
    ...(objective !== undefined && best?.value !== undefined && { metrics: { [objective]: best.value } }),
    trials,
  };
}

function statusOf(status: string | undefined): JobFacts['status'] {
  const known = (['InProgress', 'Stopping', 'Completed', 'Failed', 'Stopped'] as const).find((one) => one === status);
  if (known === undefined) {
    throw new PerennialError(ErrorName.TRAINING_FAILED, `the training job must have a status, got ${status}`);
  }
  return known;
}

/** The end of a job's log; of several hosts, of the one that wrote last. */
export async function lastLines(logs: CloudWatchLogsClient, streams: string, limit: number): Promise<string[]> {
  const group = { logGroupName: LOG_GROUP };
  try {
    const { logStreams = [] } = await logs.send(
      new DescribeLogStreamsCommand({ ...group, logStreamNamePrefix: streams }),
    );
    const newest = logStreams.sort((a, b) => (b.lastEventTimestamp ?? 0) - (a.lastEventTimestamp ?? 0))[0];
    if (newest?.logStreamName === undefined) return [];
    const { events = [] } = await logs.send(
      new GetLogEventsCommand({ ...group, logStreamName: newest.logStreamName, limit, startFromHead: false }),
    );
    return events.map(({ message = '' }) => message);
  } catch (error) {
    if ((error as Error).name === 'ResourceNotFoundException') return []; // no job of this account has written a line yet
    throw error;
  }
}
