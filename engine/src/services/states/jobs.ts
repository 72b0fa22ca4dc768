import type { Caller, Context, RequiredPermission, Shape } from '../../service';
import { StatesError } from './errors';
import type { TaskCall } from './frame';
import { translated } from './service-errors';
import { epochTime, jsonOf } from './shapes';

/** How often a job is looked at; Step Functions learns of its end by an event. */
const POLL_MS = 100;

interface Job {
  /** `TrainingJob`: gives `CreateTrainingJob`, `TrainingJobName`, `TrainingJobStatus`. */
  readonly kind: string;
  /** In ARNs. */
  readonly resource: string;
  /** The rule by which Step Functions hears of the end. */
  readonly rule: string;
}

/** SageMaker's jobs, by the action that starts them. */
export const JOBS: Readonly<Record<string, Job>> = {
  createTrainingJob: { kind: 'TrainingJob', resource: 'training-job', rule: 'TrainingJobs' },
  createTransformJob: { kind: 'TransformJob', resource: 'transform-job', rule: 'TransformJobs' },
  createProcessingJob: { kind: 'ProcessingJob', resource: 'processing-job', rule: 'ProcessingJobs' },
  createHyperParameterTuningJob: {
    kind: 'HyperParameterTuningJob',
    resource: 'hyper-parameter-tuning-job',
    rule: 'TuningJobs',
  },
};

/** What the role of a machine must be allowed when the machine is created, because it waits for these jobs. */
export function ruleNeeds(action: string, aws: Context['aws']): readonly RequiredPermission[] {
  const rule =
    action === 'startExecution'
      ? 'StepFunctionsGetEventsForStepFunctionsExecutionRule'
      : `StepFunctionsGetEventsForSageMaker${JOBS[action]?.rule}Rule`;
  const resource = `arn:${aws.partition}:events:${aws.region}:${aws.account}:rule/${rule}`;
  return ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'].map((name) => ({ action: name, resource }));
}

/**
 * Starts a SageMaker job, waits for its end and gives its description.
 *
 * A job that was stopped counts as failed. Whether Step Functions agrees is undocumented;
 * a model that nobody finished training must not pass for a success.
 */
export async function runJob(context: Context, call: TaskCall, caller: Caller, job: Job): Promise<unknown> {
  const given = call.arguments as Shape;
  const name = String(given[`${job.kind}Name`]);
  const { partition, region, account } = context.aws;
  const arn = `arn:${partition}:sagemaker:${region}:${account}:${job.resource}/${name}`;
  const tags = [...(given.Tags ?? []), { Key: 'MANAGED_BY_AWS', Value: 'STARTED_BY_STEP_FUNCTIONS' }];
  const describe = () =>
    context.call('sagemaker', `Describe${job.kind}`, { [`${job.kind}Name`]: name }, caller) as Promise<Shape>;

  if (call.resumed === undefined) {
    const started = await translated('sagemaker', true, async () => {
      context.authorize(caller, { action: 'sagemaker:AddTags', resource: arn });
      return await context.call('sagemaker', `Create${job.kind}`, { ...given, Tags: tags }, caller);
    });
    if (call.signal.aborted) return stop(context, caller, job, name);
    call.submitted(await jsonOf(started, epochTime));
  }
  const abort = () => stop(context, caller, job, name);
  call.signal.addEventListener('abort', abort);
  try {
    for (;;) {
      const described = await translated('sagemaker', true, describe);
      const status = described[`${job.kind}Status`];
      if (status === 'Completed') return await jsonOf(described, epochTime);
      if (status === 'Failed' || status === 'Stopped') {
        throw new StatesError('States.TaskFailed', JSON.stringify(await jsonOf(described, epochTime)));
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (call.signal.aborted) return undefined; // nobody listens any more
    }
  } finally {
    call.signal.removeEventListener('abort', abort);
  }
}

function stop(context: Context, caller: Caller, job: Job, name: string): void {
  if (context.signal.aborted) return; // the engine ends, not the execution
  context.background(`stop ${job.kind} ${name}`, async () => {
    await context.call('sagemaker', `Stop${job.kind}`, { [`${job.kind}Name`]: name }, caller);
  });
}
