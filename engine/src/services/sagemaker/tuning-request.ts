import type { ContinuousParameterRange, MetricDefinition } from '@aws-sdk/client-sagemaker';
import type { Checked } from '../../api/checked';
import { ApiError, type Shape } from '../../service';
import { invalid, type Tag } from './host';
import type { TrainingRequest, TuningConfig, TuningDefinition, TuningRequest } from './requests';
import * as shape from './shape';
import { required } from './shape';
import { withSlash } from './staging';
import { checkRequest } from './training-request';
import { gridSize, type Point } from './tuning-search';

/** The hyperparameter by which SageMaker tells a training job what it is judged by. */
const OBJECTIVE = '_tuning_objective_metric';

/** The definition of the training jobs, as SageMaker completes and shows it. */
export function definitionOf({
  HyperParameterTuningJobConfig: config,
  TrainingJobDefinition: given,
}: TuningRequest): TuningDefinition {
  const { MetricName } = config.HyperParameterTuningJobObjective;
  return { ...given, StaticHyperParameters: { ...given.StaticHyperParameters, [OBJECTIVE]: MetricName } };
}

/** The request of one training job of a tuning job. */
export function trainingRequest(
  definition: TuningDefinition,
  name: string,
  point: Point,
  tags: Tag[] | undefined,
): TrainingRequest {
  const { DefinitionName: _, StaticHyperParameters, HyperParameterTuningResourceConfig: tuned, ...given } = definition;
  const { AllocationStrategy: __, InstanceConfigs: [first] = [], ...own } = tuned ?? {};
  const checkpoints = given.CheckpointConfig;
  return {
    ...given,
    TrainingJobName: name,
    HyperParameters: { ...StaticHyperParameters, ...point },
    ResourceConfig: given.ResourceConfig ?? { ...own, ...first },
    ...(checkpoints && {
      CheckpointConfig: { ...checkpoints, S3Uri: `${withSlash(checkpoints.S3Uri)}${name}/` },
    }),
    ...(tags && { Tags: tags }),
  };
}

/** Refuses a CreateHyperParameterTuningJob that SageMaker would refuse, or that this engine cannot run. */
export function checkTuningRequest(input: Shape): void {
  shape.validate(input, REQUEST);
  const { HyperParameterTuningJobConfig: config, TrainingJobDefinition: definition, Tags } = input;
  checkRanges(config, definition);
  const { MetricName } = config.HyperParameterTuningJobObjective;
  const metrics: string[] = (definition.AlgorithmSpecification.MetricDefinitions ?? []).map(
    (one: MetricDefinition) => one.Name,
  );
  if (definition.AlgorithmSpecification.TrainingImage !== undefined && !metrics.includes(MetricName)) {
    throw invalid(
      `The objective metric ${MetricName} must be one of the MetricDefinitions, got ${metrics.join(', ') || 'none'}`,
    );
  }
  if ((definition.ResourceConfig === undefined) === (definition.HyperParameterTuningResourceConfig === undefined)) {
    throw invalid('TrainingJobDefinition must have either ResourceConfig or HyperParameterTuningResourceConfig.');
  }
  try {
    checkRequest(trainingRequest(definitionOf(input), 'training-job', {}, Tags));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw invalid(`TrainingJobDefinition: ${error.message}`);
  }
}

/** Rules about what is searched, and how far. */
function checkRanges(
  { Strategy, ParameterRanges: ranges, ResourceLimits: limits }: TuningConfig,
  definition: TuningDefinition,
): void {
  const { IntegerParameterRanges = [], ContinuousParameterRanges = [], CategoricalParameterRanges = [] } = ranges;
  const numbers = [...IntegerParameterRanges, ...ContinuousParameterRanges];
  const names = [...numbers, ...CategoricalParameterRanges].map(({ Name }) => Name);
  if (names.length === 0) throw invalid('ParameterRanges must have at least one range.');
  const twice = names.find(
    (name, index) => names.indexOf(name) < index || name in (definition.StaticHyperParameters ?? {}),
  );
  if (twice !== undefined) {
    throw invalid(`Hyperparameter ${twice} must have one range, and none among StaticHyperParameters.`);
  }
  for (const range of IntegerParameterRanges) checkRange(range, true);
  for (const range of ContinuousParameterRanges) checkRange(range, false);
  const { MaxNumberOfTrainingJobs: most } = limits;
  if (Strategy !== 'Grid') {
    if (most === undefined) throw invalid(`ResourceLimits.MaxNumberOfTrainingJobs is required for ${Strategy}.`);
    return;
  }
  if (numbers.length > 0) {
    throw invalid(`Grid takes CategoricalParameterRanges alone, got a range for ${numbers[0].Name}`);
  }
  const size = gridSize(CategoricalParameterRanges);
  if (most !== undefined && most !== size) {
    throw invalid(`MaxNumberOfTrainingJobs must be the grid's ${size} combinations, or be left out; got ${most}`);
  }
}

function checkRange(
  { Name, MinValue, MaxValue, ScalingType = 'Auto' }: Checked<ContinuousParameterRange>,
  integer: boolean,
): void {
  const [min, max] = [MinValue, MaxValue].map((text: string) => (text.trim() === '' ? Number.NaN : Number(text)));
  const fits = integer ? Number.isInteger : Number.isFinite;
  if (!fits(min) || !fits(max) || min > max) {
    const kind = integer ? 'integers' : 'numbers';
    throw invalid(`MinValue and MaxValue of ${Name} must be ${kind} in order, got ${MinValue} and ${MaxValue}`);
  }
  if (ScalingType === 'Logarithmic' && min <= 0) {
    throw invalid(`Logarithmic scaling needs values greater than 0, got ${MinValue} for ${Name}`);
  }
  if (ScalingType === 'ReverseLogarithmic' && (integer || min < 0 || max >= 1)) {
    throw invalid(
      `ReverseLogarithmic scaling needs a continuous range within 0 <= x < 1, got ${MinValue} to ${MaxValue} for ${Name}`,
    );
  }
}

const { text, whole, number, flag, list, map, structure, anything, environment, tags, vpc, roleArn } = shape;

/** A member that the API has and this engine does not do. */
function refused(instead: string): shape.Members[string] {
  return { check: (_, path) => [`'${path}' is not supported by this engine; ${instead}`] };
}

export const tuningName = text({ min: 1, max: 32, pattern: /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}$/ });
const value = text({ max: 256 });
const instances = {
  InstanceType: text({ pattern: /^ml\.[a-z0-9-]+\.[a-z0-9-]+$/ }),
  InstanceCount: whole(0, 2 ** 31 - 1),
  VolumeSizeInGB: whole(0, 2 ** 31 - 1),
};
const range = structure({
  Name: required(value),
  MinValue: required(value),
  MaxValue: required(value),
  ScalingType: text({ oneOf: ['Auto', 'Linear', 'Logarithmic', 'ReverseLogarithmic'] }),
});
/** What a training job has as well is left to {@link checkRequest}. */
const REQUEST: shape.Members = {
  HyperParameterTuningJobName: required(tuningName),
  HyperParameterTuningJobConfig: required(
    structure({
      Strategy: required(text({ oneOf: ['Bayesian', 'Random', 'Grid'] })),
      StrategyConfig: refused('it is for the strategy Hyperband; use Bayesian, Random or Grid'),
      HyperParameterTuningJobObjective: required(
        structure({
          Type: required(text({ oneOf: ['Maximize', 'Minimize'] })),
          MetricName: required(text({ min: 1, max: 255 })),
        }),
      ),
      ResourceLimits: required(
        structure({
          MaxNumberOfTrainingJobs: whole(1, 2 ** 31 - 1),
          MaxParallelTrainingJobs: required(whole(1, 2 ** 31 - 1)),
          MaxRuntimeInSeconds: whole(120, 15_768_000),
        }),
      ),
      ParameterRanges: required(
        structure({
          IntegerParameterRanges: list(range, 0, 30),
          ContinuousParameterRanges: list(range, 0, 30),
          CategoricalParameterRanges: list(
            structure({ Name: required(value), Values: required(list(value, 1, 30)) }),
            0,
            30,
          ),
          AutoParameters: refused('name the ranges'),
        }),
      ),
      TrainingJobEarlyStoppingType: text({ oneOf: ['Off', 'Auto'] }),
      TuningJobCompletionCriteria: structure({
        TargetObjectiveMetricValue: number(-Number.MAX_VALUE, Number.MAX_VALUE),
        BestObjectiveNotImproving: structure({ MaxNumberOfTrainingJobsNotImproving: whole(3, 2 ** 31 - 1) }),
        ConvergenceDetected: structure({ CompleteOnConvergence: text({ oneOf: ['Disabled', 'Enabled'] }) }),
      }),
      RandomSeed: whole(0, 2 ** 31 - 1),
    }),
  ),
  TrainingJobDefinition: required(
    structure({
      DefinitionName: text({ min: 1, max: 64, pattern: /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}$/ }),
      TuningObjective: refused('give HyperParameterTuningJobConfig.HyperParameterTuningJobObjective'),
      HyperParameterRanges: refused('give HyperParameterTuningJobConfig.ParameterRanges'),
      StaticHyperParameters: map(text({ max: 256 }), text({ max: 2500 }), 100),
      AlgorithmSpecification: required(
        structure({
          TrainingImage: text({ max: 255 }),
          TrainingInputMode: required(text({ oneOf: ['Pipe', 'File', 'FastFile'] })),
          AlgorithmName: text({ min: 1, max: 170 }),
          MetricDefinitions: list(
            structure({ Name: required(text({ min: 1, max: 255 })), Regex: required(text({ min: 1, max: 500 })) }),
            0,
            40,
          ),
        }),
      ),
      RoleArn: required(roleArn),
      InputDataConfig: anything,
      VpcConfig: vpc,
      OutputDataConfig: required(anything),
      ResourceConfig: anything,
      HyperParameterTuningResourceConfig: structure({
        ...instances,
        VolumeKmsKeyId: text({ max: 2048 }),
        AllocationStrategy: text({ oneOf: ['Prioritized'] }),
        InstanceConfigs: list(
          structure({
            InstanceType: required(instances.InstanceType),
            InstanceCount: required(instances.InstanceCount),
            VolumeSizeInGB: required(whole(1, 2 ** 31 - 1)),
          }),
          1,
          6,
        ),
      }),
      StoppingCondition: required(anything),
      EnableNetworkIsolation: flag,
      EnableInterContainerTrafficEncryption: flag,
      EnableManagedSpotTraining: flag,
      CheckpointConfig: structure({ S3Uri: required(shape.uri), LocalPath: text({ max: 4096 }) }),
      RetryStrategy: anything,
      Environment: environment(512),
    }),
  ),
  TrainingJobDefinitions: refused('give one TrainingJobDefinition'),
  WarmStartConfig: refused('start without it'),
  Tags: tags,
  Autotune: refused('name ranges and limits'),
};
