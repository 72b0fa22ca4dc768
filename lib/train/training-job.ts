import { Duration, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { kindOf } from '../core/dataset/kind';
import { ownPrefix, searchPrefix } from '../core/names';
import type { AttemptRules, CapacityOptionSpec } from '../core/train/attempts';
import { jsonata, literal, object, present } from '../machine/jsonata';
import { SageMakerJob } from '../machine/sagemaker-job';
import { kmsKeyId } from '../private/keys';
import { jobTags } from '../private/owner-tags';
import type { TrainingParts } from '../training-step';
import { $, assign, runUri } from '../training-variables';
import type { CapacityOption } from './capacity-option';
import type { SearchRequest } from './tuning';

export interface TrainingJobProps extends TrainingParts {
  /** The role that the jobs run as. */
  readonly role: iam.IRole;
  readonly rules: AttemptRules;
  /** The search that is left to SageMaker; none, if absent. */
  readonly search: SearchRequest | undefined;
}

/** Beyond all that a job may take, the time in which SageMaker must have ended it. */
const MARGIN = Duration.hours(1);
/** An execution may not take longer, so no state can. */
const LONGEST = Duration.days(365);
/** How long a job may wait for machines at the full price, where nobody says. */
const LONGEST_PENDING = Duration.days(1);

/** One training job, or a tuning job that makes several. */
export function trainingJob(props: TrainingJobProps, option: CapacityOption, index: number): SageMakerJob {
  const { states, role, owner, rules, search } = props;
  const spec = rules.capacityOptions[index] as CapacityOptionSpec;
  const { maxPendingSeconds } = option._request();
  const { region } = Stack.of(states);
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
  const Tags = jobTags(states, owner);
  if (search !== undefined) {
    return new SageMakerJob(states, `Tune on option ${index + 1}`, {
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
  return new SageMakerJob(states, `Train on option ${index + 1}`, {
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
function definitionOf({ contract, trainer, role, encryptionKey, data }: TrainingJobProps, option: CapacityOption) {
  const { spot, resources, maxPendingSeconds } = option._request(encryptionKey);
  const channel = (ChannelName: string, S3Uri: string) => ({
    ChannelName,
    ContentType: kindOf(contract.kind).channelType,
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
    OutputDataConfig: { S3OutputPath: runUri((keys) => keys.models), ...kmsKeyId(data.encryptionKey) },
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
  { trainer, contract }: TrainingJobProps,
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
function trialHyperparameters(region: string, props: TrainingJobProps, option: CapacityOption) {
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
