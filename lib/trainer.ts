import { Duration } from 'aws-cdk-lib';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { built } from './private/assets';
import { xgboostImage } from './private/images';
import { outside, refuse } from './private/validate';

/** What a training job needs to know about how a model is trained and served. */
export interface TrainerConfig {
  /** The image that trains, and serves what it trained. */
  readonly image: string;
  /** The ARN of the image's repository. */
  readonly repositoryArn: string;
  /** The training code: a `.tar.gz` in script mode. */
  readonly source: assets.Asset;
  /** The file in the source that trains. */
  readonly program: string;
  /** What the code is told, all strings. */
  readonly hyperparameters: Record<string, string>;
  /** For each metric that the code prints, the regular expression that finds it. */
  readonly metrics: Record<string, string>;
  /** SageMaker's name of the framework, for the registry. */
  readonly framework: string;
  /** Its version, for the registry. */
  readonly frameworkVersion: string;
  /** The environment of the container that serves. */
  readonly servingEnvironment: Record<string, string>;
  /** e.g. `ml.g5.2xlarge` */
  readonly instanceType: string;
  /** The longest that a training job may run. */
  readonly maxDuration: Duration;
  /** GiB of the volume for data and model. */
  readonly volumeSize: number;
}

/** How a model is trained: an algorithm, its parameters and the machine it runs on. */
export abstract class Trainer {
  /** Gradient-boosted trees in SageMaker's XGBoost container, on the GPU where the instance has one. */
  public static xgboost(props: XGBoostTrainerProps = {}): Trainer {
    return new XGBoostTrainer(props);
  }

  /** Makes the assets that the trainer needs, and says how its jobs are started. */
  public abstract bind(scope: Construct): TrainerConfig;
}

/** Properties of an XGBoost trainer. */
export interface XGBoostTrainerProps {
  /**
   * XGBoost's own parameters, e.g. `{ num_round: '200', max_depth: '8', eta: '0.1' }`.
   *
   * @default - the training script's: 200 rounds, depth 8, eta 0.1, early stopping after 20 rounds
   */
  readonly hyperparameters?: Record<string, string>;

  /**
   * The instance that trains. A GPU pays from some millions of rows.
   *
   * @default 'ml.g4dn.xlarge'
   */
  readonly instanceType?: string;

  /**
   * The longest that a training job may run, 1 minute to 28 days.
   *
   * @default Duration.hours(4)
   */
  readonly maxDuration?: Duration;

  /**
   * What makes two trainings on the same data equal.
   *
   * @default 42
   */
  readonly seed?: number;
}

class XGBoostTrainer extends Trainer {
  constructor(private readonly props: XGBoostTrainerProps) {
    super();
  }

  public bind(scope: Construct): TrainerConfig {
    const instanceType = this.props.instanceType ?? 'ml.g4dn.xlarge';
    const maxDuration = this.props.maxDuration ?? Duration.hours(4);
    const tooLong = Object.entries(this.props.hyperparameters ?? {}).filter(([, value]) => value.length > 2500);
    refuse(scope, [
      !/^ml\.[a-z0-9-]+\.[a-z0-9]+$/.test(instanceType) &&
        `instanceType must look like ml.g5.2xlarge, got '${instanceType}'`,
      outside(maxDuration.toSeconds(), 60, 28 * 86400) &&
        `maxDuration must be 1 minute to 28 days, got ${maxDuration.toHumanString()}`,
      tooLong.length > 0 && `hyperparameters must be at most 2500 characters each, got ${tooLong[0]?.[0]} with more`,
    ]);
    const { uri, repositoryArn } = xgboostImage(scope, '3.2-0');
    return {
      image: uri,
      repositoryArn,
      source: new assets.Asset(scope, 'Source', { path: built('training', 'xgboost.tar.gz') }),
      program: 'train.py',
      hyperparameters: { ...this.props.hyperparameters, seed: String(this.props.seed ?? 42) },
      metrics: Object.fromEntries(
        ['train', 'validation'].flatMap((part) =>
          ['auc', 'logloss', 'rmse'].map((metric) => [`${part}:${metric}`, `${part}:${metric}=([0-9.eE+-]+)`]),
        ),
      ),
      framework: 'XGBOOST',
      frameworkVersion: '3.2-0',
      servingEnvironment: {
        SAGEMAKER_PROGRAM: 'inference.py',
        SAGEMAKER_SUBMIT_DIRECTORY: '/opt/ml/model/code',
        SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT: 'text/csv', // else a request that accepts anything is answered in JSON
      },
      instanceType,
      maxDuration,
      volumeSize: 30,
    };
  }
}
