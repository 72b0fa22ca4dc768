import { readFile } from 'node:fs/promises';
import { runInNewContext } from 'node:vm';
import type {
  DescribeTrainingJobResponse,
  MetricData,
  SecondaryStatus,
  SecondaryStatusTransition,
} from '@aws-sdk/client-sagemaker';
import { ownPart } from '../../engine/paths';

import type { LogFile } from '../logs/log-file';
import type { Container } from './container';
import type { TrainingFault } from './faults';
import type { InstanceGroup } from './instance-groups';
import type { TrainingRequest } from './requests';
import type { CheckpointSync } from './training-checkpoints';

/** How long an expression may search a log. */
const LONGEST_SEARCH_MS = 1000;

/** What a transition into a status says. */
export const STATUS_MESSAGES: Readonly<Record<string, string>> = {
  Starting: 'Starting the training job',
  Pending: 'Training job waiting for capacity',
  Downloading: 'Downloading input data',
  Training: 'Training image download completed. Training in progress.',
  Interrupted: 'Training job interrupted: the spot instances were taken away',
  Restarting: 'Restarting the training job after an internal error',
  Uploading: 'Uploading generated training model',
  Stopping: 'Stopping the training job',
  Completed: 'Training job completed',
  Failed: 'Training job failed',
};

/** While EC2 has no instances of the type. */
export const NO_INSTANCES = 'Insufficient capacity error from EC2 while launching instances, retrying!';

/** Why a job ends before its script does. */
export interface StopReason {
  readonly secondary: 'Stopped' | 'MaxRuntimeExceeded' | 'MaxWaitTimeExceeded';
  readonly message: string;
}

export const StopReason = {
  asked: { secondary: 'Stopped', message: 'Training job stopped' },
  runtime: {
    secondary: 'MaxRuntimeExceeded',
    message: 'Training job runtime exceeded MaxRuntimeInSeconds provided',
  },
  wait: {
    secondary: 'MaxWaitTimeExceeded',
    message: 'Training job wait time exceeded MaxWaitTimeInSeconds provided',
  },
  pending: {
    secondary: 'Stopped',
    message: 'Training job pending time exceeded MaxPendingTimeInSeconds provided',
  },
} as const satisfies Readonly<Record<string, StopReason>>;

/** One training job, from its request to its end. */
export interface Job {
  readonly input: TrainingRequest;
  readonly arn: string;
  /** Its hosts' folders lie in here. */
  readonly folder: string;
  readonly CreationTime: Date;
  status: 'InProgress' | 'Stopping' | 'Completed' | 'Failed' | 'Stopped';
  secondary: SecondaryStatus;
  modified: Date;
  started?: Date;
  ended?: Date;
  failure?: string;
  model?: string;
  metrics: MetricData[];
  readonly transitions: SecondaryStatusTransition[];
  /** The hosts of the present attempt. */
  nodes: readonly Node[];
  /** Real seconds in which scripts ran, of all attempts. */
  trained: number;
  /** Seconds of the engine's time in which it waited for instances. */
  waited: number;
  /** How often it was started again after an internal error. */
  retries: number;
  /** What will go wrong with it. */
  fault?: TrainingFault | undefined;
  /** Set when somebody or a limit asks for its end. */
  stop?: StopReason;
  /** Ends its waits when it is asked to stop. */
  readonly stopping: AbortController;
  /** What each of its hosts wrote; a host that starts again begins another. */
  readonly streams: StreamName[];
}

/** One of a job's hosts: here a child process with a folder that it sees as /opt/ml. */
export interface Node {
  /** e.g. `algo-1` */
  readonly name: string;
  readonly group: InstanceGroup;
  readonly folder: string;
  readonly stream: StreamName;
  /** The newest lines of its log. */
  readonly last: string[];
  log?: LogFile;
  checkpoints?: CheckpointSync;
  container?: Container;
  /** Whether its script was told to end. */
  isEnding?: boolean;
}

/** The log of one host, as CloudWatch Logs would have it. */
export interface StreamName {
  /** e.g. `job/algo-1-1796342400` */
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
}

/** A job as it is kept: what is left of it when the engine has ended. */
export type KeptJob = Omit<Job, 'nodes' | 'stopping' | 'fault' | 'folder'>;

export function keptJob(job: Job): KeptJob {
  const { nodes: _, stopping: __, fault: ___, folder: ____, ...kept } = job;
  return kept;
}

/** As DescribeTrainingJob shows it. */
export function describeJob(job: Job): Partial<DescribeTrainingJobResponse> {
  const { Tags: _, ...echoed } = job.input;
  const seconds = job.started && job.ended ? Math.max(1, Math.round(job.trained)) : undefined;
  return {
    ...echoed,
    TrainingJobArn: job.arn,
    TrainingJobStatus: job.status,
    SecondaryStatus: job.secondary,
    ModelArtifacts: { S3ModelArtifacts: job.model },
    EnableNetworkIsolation: echoed.EnableNetworkIsolation ?? false,
    EnableInterContainerTrafficEncryption: echoed.EnableInterContainerTrafficEncryption ?? false,
    EnableManagedSpotTraining: echoed.EnableManagedSpotTraining ?? false,
    CreationTime: job.CreationTime,
    LastModifiedTime: job.modified,
    SecondaryStatusTransitions: job.transitions.map((transition) => ({ ...transition })),
    ...(job.started && { TrainingStartTime: job.started }),
    ...(job.ended && { TrainingEndTime: job.ended }),
    ...(seconds !== undefined && { TrainingTimeInSeconds: seconds, BillableTimeInSeconds: seconds }),
    ...((echoed.ResourceConfig.KeepAlivePeriodInSeconds ?? 0) > 0 &&
      job.started && {
        WarmPoolStatus: { Status: job.ended ? 'Available' : 'InUse', ResourceRetainedBillableTimeInSeconds: 0 },
      }),
    ...(job.metrics.length > 0 && { FinalMetricDataList: job.metrics }),
    ...(job.failure !== undefined && { FailureReason: job.failure }),
  };
}

/** What a host's script says about itself: its failure file, else what it last wrote, as the toolkit would. */
export async function failureText({ folder, last }: Node): Promise<string> {
  const told = await ownPart(folder, 'output/failure')
    .then((file) => readFile(file, 'utf8'))
    .catch(() => '');
  if (told !== '') return told.slice(0, 1024);
  return `ExecuteUserScriptError: ${last.join('\n')}`.slice(0, 1024);
}

/**
 * The last value of each metric that its definition finds in the log.
 *
 * @param lines what all hosts wrote, in its order
 */
export function finalMetrics(job: Job, lines: readonly string[]): MetricData[] {
  const found: MetricData[] = [];
  for (const { Name, Regex } of job.input.AlgorithmSpecification.MetricDefinitions ?? []) {
    const value = lastMatch(Regex, lines);
    if (value !== undefined && Number.isFinite(Number(value))) {
      found.push({ MetricName: Name, Value: Number(value), Timestamp: job.ended });
    }
  }
  return found;
}

/** The first group of the last match; none for an expression that would take the engine's time on these lines. */
function lastMatch(expression: string, lines: readonly string[]): string | undefined {
  const search = 'lines.flatMap((line) => [...line.matchAll(new RegExp(expression, "g"))]).at(-1)?.[1]';
  try {
    return runInNewContext(search, { lines, expression }, { timeout: LONGEST_SEARCH_MS });
  } catch {
    return undefined;
  }
}
