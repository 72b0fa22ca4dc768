import { Duration, Token } from 'aws-cdk-lib';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { Offer } from '../offer';
import type {
  ContainerTrainerProps,
  PyTorchTrainerProps,
  TabularTrainerProps,
  TrainerConfig,
  TrainerProps,
  TrainerSource,
  XGBoostTrainerProps,
} from '../trainer-props';
import { built } from './assets';
import { pytorchImage, xgboostImage } from './images';
import { lastPyTorchServing, type Serving, XGBOOST_VERSION, xgboostServing } from './serving';
import { packedSource } from './source-archive';
import { outside, refuse } from './validate';

/** SageMaker's own bounds. @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html */
const LONGEST_HYPERPARAMETER = 2500;
const LONGEST_VARIABLE = 512;
const LONGEST_METRIC = 255;
const LONGEST_REGEX = 500;
const MOST_METRICS = 40;
/** Of the 100 that a job may have, the product sets 8 itself, and a search for more sets up to 20. */
const MOST_HYPERPARAMETERS = 70;
/** What the product tells every trainer, whatever its own hyperparameters are. */
const RESERVED = /^(problem|key|sagemaker_.*)$/;

/** AWS's PyTorch images. @see https://github.com/aws/deep-learning-containers/blob/master/available_images.md */
const PYTORCH_GPU = '2.13-cu133-amzn2023-sagemaker';
const PYTORCH_CPU = '2.13-cpu-amzn2023-sagemaker';

/** What our own training scripts print, as `validation:auc=0.71`. */
const PRINTED_METRICS: Record<string, string> = Object.fromEntries(
  ['train', 'validation'].flatMap((part) =>
    ['auc', 'logloss', 'rmse', 'mae'].map((metric) => [`${part}:${metric}`, `${part}:${metric}=([0-9.eE+-]+)`]),
  ),
);

/** The trainer of SageMaker's XGBoost container. */
export function xgboost(scope: Construct, props: XGBoostTrainerProps): TrainerConfig {
  const { uri, repositoryArn } = xgboostImage(scope, XGBOOST_VERSION);
  return checked(scope, {
    ...common(props),
    ...ownSource(scope, 'xgboost'),
    ...servedBy({ ...xgboostServing(scope), framework: 'XGBOOST', frameworkVersion: XGBOOST_VERSION }),
    compute: props.compute ?? [
      Offer.spot('ml.g4dn.xlarge'),
      Offer.onDemand('ml.g4dn.xlarge'),
      Offer.onDemand('ml.g5.xlarge'),
    ],
    image: uri,
    repositoryArns: [repositoryArn],
    hyperparameters: seeded(scope, props),
    metrics: PRINTED_METRICS,
    torchrun: false,
  });
}

/** Our own trainer of neural networks for tables. */
export function tabular(scope: Construct, props: TabularTrainerProps): TrainerConfig {
  return checked(scope, {
    ...common(props),
    ...ownSource(scope, 'tabular'),
    ...inPyTorch(scope, props),
    ...servedBy(xgboostServing(scope)),
    hyperparameters: seeded(scope, props),
    metrics: PRINTED_METRICS,
    torchrun: true,
  });
}

/** The trainer of a script of the user's own. */
export function pytorch(scope: Construct, props: PyTorchTrainerProps): TrainerConfig {
  const { asset, program } = packedSource(scope, props);
  const torchrun = props.torchrun ?? false;
  refuse(scope, [
    torchrun && !program.endsWith('.py') && `entryPoint must be a .py file for torchrun, got '${props.entryPoint}'`,
  ]);
  return checked(scope, {
    ...common(props),
    ...inPyTorch(scope, props),
    ...servedBy(props.servingImage?._bind(scope) ?? lastPyTorchServing(scope)),
    source: sourceOf(asset, program),
    codeVersion: asset.assetHash,
    hyperparameters: props.hyperparameters ?? {},
    metrics: props.metrics ?? {},
    torchrun,
  });
}

/** The trainer of an image of the user's own. */
export function container(scope: Construct, props: ContainerTrainerProps): TrainerConfig {
  const image = props.image._bind(scope);
  return checked(scope, {
    ...common(props),
    ...servedBy(props.servingImage?._bind(scope) ?? { ...image, environment: {} }),
    compute: props.compute,
    image: image.uri,
    repositoryArns: [image.repositoryArn],
    codeVersion: image.version,
    hyperparameters: props.hyperparameters ?? {},
    metrics: props.metrics ?? {},
    torchrun: false,
  });
}

/** What every trainer takes over from its props. */
function common({ maxDuration, environment, gpuMemory }: TrainerProps) {
  return {
    maxDuration: maxDuration ?? Duration.hours(4),
    environment: environment ?? {},
    ...(gpuMemory !== undefined && { gpuMemory }),
  };
}

/** What trains in AWS's PyTorch images, and where. */
function inPyTorch(scope: Construct, props: Pick<PyTorchTrainerProps, 'compute'>) {
  const { uri, repositoryArn } = pytorchImage(scope, 'pytorch', PYTORCH_GPU);
  return {
    image: uri,
    cpuImage: pytorchImage(scope, 'pytorch', PYTORCH_CPU).uri,
    repositoryArns: [repositoryArn],
    compute: props.compute ?? [
      Offer.spot('ml.g5.xlarge'),
      Offer.onDemand('ml.g5.xlarge'),
      Offer.onDemand('ml.g5.2xlarge'),
    ],
  };
}

function servedBy({ uri, repositoryArn, environment, framework, frameworkVersion }: Serving) {
  return {
    servingImage: uri,
    servingRepositoryArn: repositoryArn,
    servingEnvironment: environment,
    ...(framework !== undefined && { framework, frameworkVersion }),
  };
}

/** The hyperparameters of our own scripts. */
function seeded(scope: Construct, { hyperparameters = {}, seed = 42 }: XGBoostTrainerProps): Record<string, string> {
  refuse(scope, [
    'seed' in hyperparameters && "hyperparameters must not name seed; give the trainer's seed instead",
    (outside(seed, 0, 2 ** 31 - 1) || (!Token.isUnresolved(seed) && !Number.isInteger(seed))) &&
      `seed must be a whole number from 0 to 2147483647, got ${seed}`,
  ]);
  return { ...hyperparameters, seed: String(seed) };
}

/** One of this package's own training scripts. */
function ownSource(scope: Construct, name: string): { source: TrainerSource; codeVersion: string } {
  const asset = new assets.Asset(scope, 'Source', { path: built('training', `${name}.tar.gz`) });
  return { source: sourceOf(asset, 'train.py'), codeVersion: asset.assetHash };
}

function sourceOf(asset: assets.Asset, program: string): TrainerSource {
  const key = asset.bucket.encryptionKey;
  return {
    url: asset.s3ObjectUrl,
    arn: asset.bucket.arnForObjects(asset.s3ObjectKey),
    program,
    ...(key !== undefined && { key }),
  };
}

/** Refuses what SageMaker, or the walk over the offers, would. */
function checked(scope: Construct, config: TrainerConfig): TrainerConfig {
  const { compute, maxDuration, hyperparameters, environment, gpuMemory, metrics, torchrun, source } = config;
  const reserved = Object.keys(hyperparameters).filter((name) => RESERVED.test(name));
  refuse(scope, [
    (compute.length < 1 || compute.length > 20) && `compute must be 1 to 20 offers, got ${compute.length}`,
    ...compute.flatMap((offer) => offer._mistakes(gpuMemory)),
    ...compute.map(
      (offer) =>
        !torchrun &&
        source !== undefined &&
        offer._instances > 1 &&
        `compute: this trainer uses one instance, got an offer of ${offer._instances}; take a larger one`,
    ),
    outside(maxDuration.toSeconds(), 60, 28 * 86400) &&
      `maxDuration must be 1 minute to 28 days, got ${maxDuration.toHumanString()}`,
    Object.keys(hyperparameters).length > MOST_HYPERPARAMETERS &&
      `hyperparameters must be at most ${MOST_HYPERPARAMETERS}, got ${Object.keys(hyperparameters).length}`,
    reserved.length > 0 &&
      `hyperparameters must not name ${reserved.join(', ')}, which the pipeline sets; take another name`,
    ...wrong('hyperparameters', hyperparameters, LONGEST_HYPERPARAMETER),
    Object.keys(environment).length > 100 &&
      `environment must have at most 100 variables, got ${Object.keys(environment).length}`,
    ...Object.keys(environment).map(
      (name) =>
        !/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) &&
        `environment: a variable's name must be letters, digits and underscores, got '${name}'`,
    ),
    ...wrong('environment', environment, LONGEST_VARIABLE),
    Object.keys(metrics).length > MOST_METRICS &&
      `metrics must be at most ${MOST_METRICS}, got ${Object.keys(metrics).length}`,
    ...Object.entries(metrics).map(([name, regex]) => wrongMetric(name, regex)),
  ]);
  return config;
}

/** What is wrong with texts that SageMaker is given by name. */
function wrong(prop: string, values: Record<string, string>, limit: number): Array<string | false> {
  return Object.entries(values).map(([name, value]) => {
    if (name.length < 1 || name.length > 256) return `${prop}: a name must be 1 to 256 characters, got '${name}'`;
    // what plain JavaScript gives all the same
    if (typeof value !== 'string') return `${prop} must be strings, got ${value} for ${name}`;
    if (Token.isUnresolved(value)) return false;
    if (isJsonata(value)) return `${prop} must not be JSONata, got ${value} for ${name}`;
    return value.length > limit && `${prop} must be at most ${limit} characters each, got ${name} with ${value.length}`;
  });
}

function wrongMetric(name: string, regex: string): string | false {
  if (name.length < 1 || name.length > LONGEST_METRIC) {
    return `metrics: a name must be 1 to ${LONGEST_METRIC} characters, got '${name}'`;
  }
  if (regex.length < 1 || regex.length > LONGEST_REGEX) {
    return `metrics: ${name} must be a regular expression of 1 to ${LONGEST_REGEX} characters, got ${regex.length}`;
  }
  if (Token.isUnresolved(regex)) return false;
  if (isJsonata(name) || isJsonata(regex)) return `metrics must not be JSONata, got ${regex} for ${name}`;
  const groups = groupsOf(regex);
  return (
    groups !== 1 &&
    `metrics: ${name} must be a regular expression with one group, which is the value, got ${regex}, which ${groups === undefined ? 'is none' : `has ${groups}`}`
  );
}

/** Whether Step Functions would take a text for an expression, and not for what it says. */
function isJsonata(text: string): boolean {
  return /^\{%.*%\}$/s.test(text);
}

/** How many groups a regular expression has; undefined if it is none. */
function groupsOf(regex: string): number | undefined {
  try {
    // with an empty alternative it matches anything, and says how many groups there are
    return (new RegExp(`${regex}|`).exec('') as RegExpExecArray).length - 1;
  } catch {
    return undefined;
  }
}
