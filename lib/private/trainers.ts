import { Duration, Token } from 'aws-cdk-lib';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { Offer } from '../offer';
import type { TrainerConfig, TrainerProps, TrainerSource, XGBoostTrainerProps } from '../trainer';
import { built } from './assets';
import { xgboostImage } from './images';
import { outside, refuse } from './validate';

/** SageMaker's own bounds. @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html */
const LONGEST_HYPERPARAMETER = 2500;
const LONGEST_VARIABLE = 512;
/** Of the 100 that a job may have, the product sets some itself. */
const MOST_HYPERPARAMETERS = 90;

/** The trainer of SageMaker's XGBoost container. */
export function xgboost(scope: Construct, props: XGBoostTrainerProps): TrainerConfig {
  const { uri, repositoryArn } = xgboostImage(scope, '3.2-0');
  const { source, codeVersion } = ownSource(scope, 'xgboost');
  return checked(scope, {
    ...common(props, [Offer.spot('ml.g4dn.xlarge'), Offer.onDemand('ml.g4dn.xlarge'), Offer.onDemand('ml.g5.xlarge')]),
    image: uri,
    repositoryArns: [repositoryArn],
    source,
    codeVersion,
    hyperparameters: { ...props.hyperparameters, seed: String(props.seed ?? 42) },
    metrics: PRINTED_METRICS,
    framework: 'XGBOOST',
    frameworkVersion: '3.2-0',
    servingImage: uri,
    servingRepositoryArn: repositoryArn,
    servingEnvironment: SCRIPT_SERVING,
    torchrun: false,
  });
}

/** What our own training scripts print, as `validation:auc=0.71`. */
const PRINTED_METRICS: Record<string, string> = Object.fromEntries(
  ['train', 'validation'].flatMap((part) =>
    ['auc', 'logloss', 'rmse', 'mae'].map((metric) => [`${part}:${metric}`, `${part}:${metric}=([0-9.eE+-]+)`]),
  ),
);

/** How a container of SageMaker's finds the script that serves, in the model's archive. */
const SCRIPT_SERVING: Record<string, string> = {
  SAGEMAKER_PROGRAM: 'inference.py',
  SAGEMAKER_SUBMIT_DIRECTORY: '/opt/ml/model/code',
  SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT: 'text/csv', // else a request that accepts anything is answered in JSON
};

/** One of this package's own training scripts. */
function ownSource(scope: Construct, name: string): { source: TrainerSource; codeVersion: string } {
  const asset = new assets.Asset(scope, 'Source', { path: built('training', `${name}.tar.gz`) });
  return { source: sourceOf(asset, 'train.py'), codeVersion: asset.assetHash };
}

function sourceOf(asset: assets.Asset, program: string): TrainerSource {
  return { url: asset.s3ObjectUrl, arn: asset.bucket.arnForObjects(asset.s3ObjectKey), program };
}

/** What every trainer takes over from its props. */
function common(props: TrainerProps, defaults: Offer[]) {
  return {
    compute: props.compute ?? defaults,
    maxDuration: props.maxDuration ?? Duration.hours(4),
    environment: props.environment ?? {},
    ...(props.gpuMemory !== undefined && { gpuMemory: props.gpuMemory }),
  };
}

/** Refuses what SageMaker, or the walk over the offers, would. */
function checked(scope: Construct, config: TrainerConfig): TrainerConfig {
  const { compute, maxDuration, hyperparameters, environment, gpuMemory, torchrun, source } = config;
  const longParameter = longest(hyperparameters, LONGEST_HYPERPARAMETER);
  const longVariable = longest(environment, LONGEST_VARIABLE);
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
    longParameter !== undefined &&
      `hyperparameters must be at most ${LONGEST_HYPERPARAMETER} characters each, got ${longParameter} with more`,
    Object.keys(environment).length > 100 &&
      `environment must have at most 100 variables, got ${Object.keys(environment).length}`,
    longVariable !== undefined &&
      `environment must have at most ${LONGEST_VARIABLE} characters a variable, got ${longVariable} with more`,
  ]);
  return config;
}

/** The name of a value that is too long. */
function longest(values: Record<string, string>, limit: number): string | undefined {
  return Object.entries(values).find(([, value]) => !Token.isUnresolved(value) && value.length > limit)?.[0];
}
