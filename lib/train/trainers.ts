import { Duration } from 'aws-cdk-lib';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { PROBLEMS } from '../core/problem';
import { built } from '../private/assets';
import { noCount, refuse } from '../private/validate';
import { CapacityOption } from './capacity-option';
import { pytorchImage, xgboostImage } from './images';
import { lastPyTorchServing, type Serving, XGBOOST_VERSION, xgboostServing } from './serving';
import { packedSource } from './source-archive';
import type {
  ContainerTrainerProps,
  PyTorchTrainerProps,
  TabularTrainerProps,
  TrainerConfig,
  TrainerProps,
  TrainerSource,
  XGBoostTrainerProps,
} from './trainer-props';

/** AWS's PyTorch images. @see https://github.com/aws/deep-learning-containers/blob/master/available_images.md */
const PYTORCH_GPU = '2.13-cu133-amzn2023-sagemaker';
const PYTORCH_CPU = '2.13-cpu-amzn2023-sagemaker';

/** What our own training scripts print, as `validation:auc=0.71`. */
const PRINTED_METRICS: Record<string, string> = Object.fromEntries(
  ['train', 'validation'].flatMap((part) =>
    PROBLEMS.flatMap(({ printed }) => printed).map((metric) => [
      `${part}:${metric}`,
      `${part}:${metric}=([0-9.eE+-]+)`,
    ]),
  ),
);

/** The trainer of SageMaker's XGBoost container. */
export function xgboost(scope: Construct, props: XGBoostTrainerProps): TrainerConfig {
  const { uri, repositoryArn } = xgboostImage(scope, XGBOOST_VERSION);
  return {
    ...common(props),
    ...ownSource(scope, 'xgboost'),
    ...servedBy({ ...xgboostServing(scope), framework: 'XGBOOST', frameworkVersion: XGBOOST_VERSION }),
    compute: props.compute ?? [
      CapacityOption.spot('ml.g4dn.xlarge'),
      CapacityOption.onDemand('ml.g4dn.xlarge'),
      CapacityOption.onDemand('ml.g5.xlarge'),
    ],
    image: uri,
    repositoryArns: [repositoryArn],
    hyperparameters: seeded(scope, props),
    metrics: PRINTED_METRICS,
    torchrun: false,
  };
}

/** Our own trainer of neural networks for tables. */
export function tabular(scope: Construct, props: TabularTrainerProps): TrainerConfig {
  return {
    ...common(props),
    ...ownSource(scope, 'tabular'),
    ...inPyTorch(scope, props),
    ...servedBy(xgboostServing(scope)),
    hyperparameters: seeded(scope, props),
    metrics: PRINTED_METRICS,
    torchrun: true,
  };
}

/** The trainer of a script of the user's own. */
export function pytorch(scope: Construct, props: PyTorchTrainerProps): TrainerConfig {
  const { asset, program } = packedSource(scope, props);
  const torchrun = props.torchrun ?? false;
  refuse(scope, [
    torchrun && !program.endsWith('.py') && `entryPoint must be a .py file for torchrun, got '${props.entryPoint}'`,
  ]);
  return {
    ...common(props),
    ...inPyTorch(scope, props),
    ...servedBy(props.servingImage?._bind(scope) ?? lastPyTorchServing(scope)),
    source: sourceOf(asset, program),
    codeVersion: asset.assetHash,
    hyperparameters: props.hyperparameters ?? {},
    metrics: props.metrics ?? {},
    torchrun,
  };
}

/** The trainer of an image of the user's own. */
export function container(scope: Construct, props: ContainerTrainerProps): TrainerConfig {
  const image = props.image._bind(scope);
  return {
    ...common(props),
    ...servedBy(props.servingImage?._bind(scope) ?? { ...image, environment: {} }),
    compute: props.compute,
    image: image.uri,
    repositoryArns: [image.repositoryArn],
    codeVersion: image.version,
    hyperparameters: props.hyperparameters ?? {},
    metrics: props.metrics ?? {},
    torchrun: false,
  };
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
      CapacityOption.spot('ml.g5.xlarge'),
      CapacityOption.onDemand('ml.g5.xlarge'),
      CapacityOption.onDemand('ml.g5.2xlarge'),
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
    noCount(seed, 0, 2 ** 31 - 1) && `seed must be a whole number from 0 to 2147483647, got ${seed}`,
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
