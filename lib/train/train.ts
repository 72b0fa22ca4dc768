import { Duration, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { Contract } from '../core/dataset/contract';
import { ownPrefix, searchPrefix } from '../core/names';
import type { Owner } from '../core/ownership';
import type { AttemptRules, CapacityOptionSpec } from '../core/train/attempts';
import type { AttemptReport, AttemptRequest } from '../core/train/documents';
import { CAUGHT, RUN_ID, STARTED_AT } from '../machine/expressions';
import { equals, expression, jsonata, literal, object, present } from '../machine/jsonata';
import { SageMakerJob } from '../machine/sagemaker-job';
import { invoke, orFail, when } from '../machine/state-parts';
import { kmsKeyId } from '../private/keys';
import { jobTags } from '../private/owner-tags';
import { $, assign, runUri, type TrainingVariables } from '../training-variables';
import type { CapacityOption } from './capacity-option';
import type { TrainerConfig } from './trainer-props';
import type { SearchRequest } from './tuning';

export interface TrainProps {
  readonly owner: Owner;
  readonly contract: Contract;
  readonly trainer: TrainerConfig;
  /** The role that the jobs run as. */
  readonly role: iam.IRole;
  /** The function that records how a job ended, and decides what comes next. */
  readonly attempt: lambda.IFunction;
  readonly rules: AttemptRules;
  /** What encrypts the jobs' volumes, where they can be. */
  readonly encryptionKey: kms.IKey | undefined;
  /** The key that objects are under, which SageMaker else does not ask the bucket for. */
  readonly objectsKey: kms.IKey | undefined;
  /** The search that is left to SageMaker. */
  readonly search?: SearchRequest;
  /** Where a trained model goes on. */
  readonly trained: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/** Beyond all that a job may take, the time in which SageMaker must have ended it. */
const MARGIN = Duration.hours(1);
/** An execution may not take longer, so no state can. */
const LONGEST = Duration.days(365);
/** How long a job may wait for machines at the full price, where nobody says. */
const LONGEST_PENDING = Duration.days(1);

/**
 * Walks the capacity options until one of them has trained: a function decides, and each capacity option has a state of its own, so that
 * its request stands in the definition as it is sent.
 *
 * Reads `$attempt` and `$caught` (null before the first job); sets `$model` (address of the model's archive) and
 * `$trainingJobArn`.
 */
export function train(scope: Construct, props: TrainProps): sfn.IChainable {
  const { trainer, failed } = props;
  const decide = invoke<AttemptRequest, AttemptReport, TrainingVariables>(
    scope,
    'Next attempt',
    props.attempt,
    {
      runId: jsonata(RUN_ID),
      startedAt: jsonata(STARTED_AT),
      rules: props.rules,
      progress: jsonata(expression<AttemptRequest['progress']>(`${$.attempt} ? ${$.attempt.progress} : null`)),
      caught: jsonata($.caught),
    },
    (attempt) => ({ attempt: jsonata(attempt) }),
  );
  const jobs = trainer.compute.map((option, i) => trainingJob(scope, props, option, i));
  for (const job of jobs) {
    job.addCatch(decide, {
      errors: ['States.ALL'],
      assign: assign({
        caught: {
          name: CAUGHT.name,
          cause: jsonata(
            expression<string>(
              "$exists($states.errorOutput.Cause) ? $substring($states.errorOutput.Cause, 0, 2000) : ''",
            ),
          ),
        },
      }),
    });
    job.next(decide);
  }
  const onOption = whichOption(scope, jobs);
  const wait = sfn.Wait.jsonata(scope, 'Wait for machines', {
    time: sfn.WaitTime.seconds(jsonata($.attempt.waitSeconds)),
  });
  wait.next(
    sfn.Choice.jsonata(scope, 'Has the job ended?')
      .when(when(equals($.attempt.action, 'LOOK')), decide)
      .otherwise(onOption),
  );
  const next = sfn.Choice.jsonata(scope, 'Trained?')
    .when(when(equals($.attempt.action, 'TRAINED')), props.trained, {
      assign: assign({
        model: jsonata(present($.attempt.model)),
        trainingJobArn: jsonata(present($.attempt.trainingJobArn)),
      }),
    })
    .when(when(equals($.attempt.action, 'FAILED')), failed, {
      assign: assign({ failure: jsonata(present($.attempt.failure)) }),
    })
    .when(when(expression(`${$.attempt.waitSeconds} > 0`)), wait)
    .otherwise(onOption);
  return orFail(decide, failed).next(next);
}

/** The state of the capacity option that was decided on. */
function whichOption(scope: Construct, jobs: SageMakerJob[]): sfn.IChainable {
  const [first, ...others] = jobs as [SageMakerJob, ...SageMakerJob[]];
  if (others.length === 0) return first;
  const choice = sfn.Choice.jsonata(scope, 'Which option?');
  others.forEach((job, i) => {
    choice.when(when(equals($.attempt.job.option, i + 1)), job);
  });
  return choice.otherwise(first);
}

/** One training job, or a tuning job that makes several. */
function trainingJob(scope: Construct, props: TrainProps, option: CapacityOption, index: number): SageMakerJob {
  const { role, owner, rules, search } = props;
  const spec = rules.capacityOptions[index] as CapacityOptionSpec;
  const { maxPendingSeconds } = option._request();
  const { region } = Stack.of(scope);
  const waves = search === undefined ? 1 : Math.ceil(search.maxTrials / search.atOnce);
  const wait = spec.maxWaitSeconds ?? maxPendingSeconds ?? LONGEST_PENDING.toSeconds();
  const common = {
    comment: spec.label,
    role,
    // longer than all that the job may take
    taskTimeout: sfn.Timeout.duration(
      Duration.seconds(Math.min(waves * (spec.maxRuntimeSeconds + wait) + MARGIN.toSeconds(), LONGEST.toSeconds())),
    ),
    assign: assign({ caught: null }),
  };
  const definition = definitionOf(props, option);
  const Tags = jobTags(owner);
  if (search !== undefined) {
    return new SageMakerJob(scope, `Tune on option ${index + 1}`, {
      ...common,
      kind: 'HyperParameterTuningJob',
      namePrefix: searchPrefix(owner.pipeline, owner.registry),
      arguments: {
        HyperParameterTuningJobName: jsonata($.attempt.job.name),
        HyperParameterTuningJobConfig: search.config,
        TrainingJobDefinition: {
          StaticHyperParameters: without(search.names, hyperparameters(region, props, option)),
          ...definition,
        },
        Tags,
      },
    });
  }
  return new SageMakerJob(scope, `Train on option ${index + 1}`, {
    ...common,
    kind: 'TrainingJob',
    namePrefix: ownPrefix(owner.pipeline, owner.registry),
    arguments: {
      TrainingJobName: jsonata($.attempt.job.name),
      HyperParameters: trialHyperparameters(region, props, option),
      ...definition,
      Tags,
    },
  });
}

/** What training jobs and the definition in a tuning job have in common. */
function definitionOf({ trainer, role, encryptionKey, objectsKey }: TrainProps, option: CapacityOption) {
  const { spot, resources, maxPendingSeconds } = option._request(encryptionKey);
  const channel = (ChannelName: string, S3Uri: string) => ({
    ChannelName,
    ContentType: 'application/x-parquet',
    DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri, S3DataDistributionType: 'FullyReplicated' } },
  });
  const [trainUri, validationUri] = [runUri((keys) => keys.train), runUri((keys) => keys.validation)];
  return {
    RoleArn: role.roleArn,
    AlgorithmSpecification: {
      TrainingImage: option._gpus > 0 ? trainer.image : (trainer.cpuImage ?? trainer.image),
      TrainingInputMode: 'File',
      MetricDefinitions: Object.entries(trainer.metrics).map(([Name, Regex]) => ({ Name, Regex })),
    },
    InputDataConfig: [channel('train', trainUri), channel('validation', validationUri)],
    OutputDataConfig: { S3OutputPath: runUri((keys) => keys.models), ...kmsKeyId(objectsKey) },
    CheckpointConfig: { S3Uri: runUri((keys) => keys.checkpoints, $.attempt.job.checkpoints) },
    ResourceConfig: resources,
    EnableManagedSpotTraining: spot,
    StoppingCondition: {
      MaxRuntimeInSeconds: jsonata($.attempt.job.maxRuntimeSeconds),
      ...(spot && { MaxWaitTimeInSeconds: jsonata($.attempt.job.maxWaitSeconds) }),
      ...(maxPendingSeconds !== undefined && { MaxPendingTimeInSeconds: maxPendingSeconds }),
    },
    ...(Object.keys(trainer.environment).length > 0 && { Environment: trainer.environment }),
  };
}

/** What the script is told: the trainer's own words, ours, and SageMaker's for script mode and torchrun. */
function hyperparameters(
  region: string,
  { trainer, contract }: TrainProps,
  option: CapacityOption,
): Record<string, string> {
  const { source } = trainer;
  return {
    ...trainer.hyperparameters,
    problem: contract.target.problem,
    ...(contract.key !== undefined && { key: contract.key }),
    ...(source !== undefined && {
      sagemaker_program: source.program,
      sagemaker_submit_directory: source.url,
      sagemaker_region: region,
    }),
    ...(source !== undefined &&
      trainer.torchrun &&
      (option._gpus > 1 || option._instances > 1) && {
        sagemaker_torch_distributed_enabled: 'true',
        sagemaker_instance_type: option._spec(trainer.maxDuration).instances[0]?.instanceType as string,
      }),
  };
}

/** The same for one job of a run, with what the run's search tries. */
function trialHyperparameters(region: string, props: TrainProps, option: CapacityOption) {
  const told = hyperparameters(region, props, option);
  const isScript = props.trainer.source !== undefined;
  if (props.rules.tuning === undefined) {
    return { ...told, ...(isScript && { sagemaker_job_name: jsonata($.attempt.job.name) }) };
  }
  const name = isScript
    ? object<{ sagemaker_job_name: string }>({ sagemaker_job_name: present($.attempt.job.name) })
    : '{}';
  return jsonata(`$merge([${literal(told)}, ${name}, ${$.attempt.job.hyperparameters}])`);
}

function without(names: readonly string[], values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
}
