import type { Duration, Size } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Offer } from './offer';
import { xgboost } from './private/trainers';

/** What a training job needs to know about how a model is trained and served. */
export interface TrainerConfig {
  /** The image that trains, on machines with a GPU if there are several images. */
  readonly image: string;
  /** The image that trains on machines without a GPU; the same, if absent. */
  readonly cpuImage?: string;
  /** The ARNs of the repositories of the images that train. */
  readonly repositoryArns: string[];
  /** The image that serves what was trained. */
  readonly servingImage: string;
  /** The ARN of its repository. */
  readonly servingRepositoryArn: string;
  /** The environment of the container that serves. */
  readonly servingEnvironment: Record<string, string>;
  /** The code in script mode: a `.tar.gz` in S3; absent where the image is all there is. */
  readonly source?: TrainerSource;
  /** What tells one version of the code from another: an asset's hash, an image's tag or digest. */
  readonly codeVersion: string;
  /** What the code is told, all strings. */
  readonly hyperparameters: Record<string, string>;
  /** The environment of the container that trains. */
  readonly environment: Record<string, string>;
  /** For each metric that the code prints, the regular expression that finds it. */
  readonly metrics: Record<string, string>;
  /** SageMaker's name of the framework, for the registry; absent if it has none. */
  readonly framework?: string;
  /** Its version, for the registry. */
  readonly frameworkVersion?: string;
  /** Where it trains: tried in this order. */
  readonly compute: Offer[];
  /** The longest that a training job may run. */
  readonly maxDuration: Duration;
  /** The memory that one GPU must have; absent if any, or none, will do. */
  readonly gpuMemory?: Size;
  /** Whether the script is started by torchrun, once a GPU and machine, where there are several. */
  readonly torchrun: boolean;
}

/** A training script in S3. */
export interface TrainerSource {
  /** The archive's address. */
  readonly url: string;
  /** The ARN of the archive's object. */
  readonly arn: string;
  /** The file in it that trains. */
  readonly program: string;
}

/** What all trainers can be told. */
export interface TrainerProps {
  /**
   * Where to train: tried in order until one offer has trained the model.
   *
   * @default - for XGBoost ml.g4dn.xlarge, for the others ml.g5.xlarge: spot, then at the full price, then the next larger type
   */
  readonly compute?: Offer[];

  /**
   * The longest that a training job may run, 1 minute to 28 days.
   *
   * @default Duration.hours(4)
   */
  readonly maxDuration?: Duration;

  /**
   * The memory that one GPU must have, so that no offer is a machine on which the model does not fit.
   *
   * @default - any GPU, or none, will do
   */
  readonly gpuMemory?: Size;

  /**
   * The environment of the container that trains. Anybody who may describe the job can read it: no secrets.
   *
   * @default - none
   */
  readonly environment?: Record<string, string>;
}

/** Properties of {@link Trainer.xgboost}. */
export interface XGBoostTrainerProps extends TrainerProps {
  /**
   * XGBoost's own parameters, e.g. `{ num_round: '200', max_depth: '8', eta: '0.1' }`.
   *
   * @default - the training script's: 200 rounds, depth 8, eta 0.1, early stopping after 20 rounds
   */
  readonly hyperparameters?: Record<string, string>;

  /**
   * What makes two trainings on the same data equal.
   *
   * @default 42
   */
  readonly seed?: number;
}

/** How a model is trained: an algorithm, its parameters and the machines it runs on. */
export abstract class Trainer {
  /** Gradient-boosted trees in SageMaker's XGBoost container, on the GPU where the machine has one. */
  public static xgboost(props: XGBoostTrainerProps = {}): Trainer {
    return new BoundTrainer((scope) => xgboost(scope, props));
  }

  /** Makes the assets that the trainer needs, and says how its jobs are started. */
  public abstract bind(scope: Construct): TrainerConfig;
}

class BoundTrainer extends Trainer {
  constructor(private readonly config: (scope: Construct) => TrainerConfig) {
    super();
  }

  public bind(scope: Construct): TrainerConfig {
    return this.config(scope);
  }
}
