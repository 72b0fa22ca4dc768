import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Shape } from '../service';
import type { Container } from './container';

/** What a transition into a status says. */
export const STATUS_MESSAGES: Readonly<Record<string, string>> = {
  Starting: 'Starting the training job',
  Downloading: 'Downloading input data',
  Training: 'Training image download completed. Training in progress.',
  Uploading: 'Uploading generated training model',
  Stopping: 'Stopping the training job',
  Completed: 'Training job completed',
  Failed: 'Training job failed',
  Stopped: 'Training job stopped',
  MaxRuntimeExceeded: 'Training job runtime exceeded MaxRuntimeInSeconds provided',
};

/** A job ends for this reason; the text is its FailureReason. */
export class JobFailure extends Error {}

/** One training job, from its request to its end. */
export interface Job {
  readonly input: Shape;
  readonly arn: string;
  readonly folder: string;
  readonly CreationTime: Date;
  status: 'InProgress' | 'Stopping' | 'Completed' | 'Failed' | 'Stopped';
  secondary: string;
  modified: Date;
  started?: Date;
  ended?: Date;
  failure?: string;
  model?: string;
  metrics: Shape[];
  readonly transitions: Shape[];
  container?: Container;
  /** Set when somebody or the clock asks for its end; says which. */
  stop?: 'Stopped' | 'MaxRuntimeExceeded';
  /** The checkpoints that S3 has, by their times. */
  checkpoints: Map<string, number>;
  /** Its own log, the newest lines. */
  readonly lines: string[];
}

/** As DescribeTrainingJob shows it. */
export function describeJob(job: Job): Shape {
  const { Tags: _, ...echoed } = job.input;
  const seconds = job.started && job.ended ? Math.max(1, Math.round((+job.ended - +job.started) / 1000)) : undefined;
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
    ...(job.metrics.length > 0 && { FinalMetricDataList: job.metrics }),
    ...(job.failure !== undefined && { FailureReason: job.failure }),
  };
}

/** What the job's script says about itself: its failure file, else what it last wrote, as the toolkit would. */
export async function failureText(job: Job): Promise<string> {
  const file = join(job.folder, 'output', 'failure');
  const told = await readFile(file, 'utf8').catch(() => '');
  if (told !== '') return told.slice(0, 1024);
  const last = job.lines.slice(-6).join('\n');
  return `ExecuteUserScriptError: ${last}`.slice(0, 1024);
}

/** The last value of each metric that its definition finds in the log. */
export function finalMetrics(job: Job): Shape[] {
  const found: Shape[] = [];
  for (const { Name, Regex } of job.input.AlgorithmSpecification.MetricDefinitions ?? []) {
    const pattern = new RegExp(Regex, 'g');
    const value = job.lines.flatMap((line) => [...line.matchAll(pattern)]).at(-1)?.[1];
    if (value !== undefined && Number.isFinite(Number(value))) {
      found.push({ MetricName: Name, Value: Number(value), Timestamp: job.ended });
    }
  }
  return found;
}

/** Failures of S3 on behalf of a job end it as SageMaker's do. */
export async function clientSide<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof JobFailure) throw error;
    throw new JobFailure(`ClientError: ${what}: ${(error as Error).name}: ${(error as Error).message}`);
  }
}
