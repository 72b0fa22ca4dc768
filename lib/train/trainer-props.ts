import type { Duration, Size } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { CapacityOption } from './capacity-option';
import type { ServingImage, TrainingImage } from './trainer-images';

/** What a training job needs to know about how a model is trained and served. */
export interface TrainerConfig {
  /** The image that trains, on machines with a GPU if there are several images. */
  readonly image: string;
  /**
   * The image that trains on machines without a GPU.
   *
   * @default - the same as on machines with one
   */
  readonly cpuImage?: string;
  /** The ARNs of the repositories of the images that train. */
  readonly repositoryArns: string[];
  /** The image that serves what was trained. */
  readonly servingImage: string;
  /** The ARN of its repository. */
  readonly servingRepositoryArn: string;
  /** The environment of the container that serves. */
  readonly servingEnvironment: Record<string, string>;
  /**
   * The code in script mode: a `.tar.gz` in S3.
   *
   * @default - the image is all there is
   */
  readonly source?: TrainerSource;
  /** What tells one version of the code from another: an asset's hash, an image's tag or digest. */
  readonly codeVersion: string;
  /** What the code is told, all strings. */
  readonly hyperparameters: Record<string, string>;
  /** The environment of the container that trains. */
  readonly environment: Record<string, string>;
  /** For each metric that the code prints, the regular expression that finds it. */
  readonly metrics: Record<string, string>;
  /**
   * SageMaker's name of the framework, for the registry.
   *
   * @default - it has none
   */
  readonly framework?: string;
  /**
   * Its version, for the registry.
   *
   * @default - it is not told
   */
  readonly frameworkVersion?: string;
  /** Where it trains: tried in this order. */
  readonly compute: CapacityOption[];
  /** The longest that a training job may run. */
  readonly maxDuration: Duration;
  /**
   * The memory that one GPU must have.
   *
   * @default - any, or no GPU, will do
   */
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
  /**
   * The key of its bucket.
   *
   * @default - the app knows of none
   */
  readonly key?: kms.IKey;
}

/** What all trainers can be told. */
export interface TrainerProps {
  /**
   * The longest that a training job may run, 1 minute to 28 days.
   *
   * @default Duration.hours(4)
   */
  readonly maxDuration?: Duration;

  /**
   * The memory that one GPU must have, so that no capacity option is a machine on which the model does not fit.
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
   * Where to train: tried in order until one capacity option has trained the model.
   *
   * @default - ml.g4dn.xlarge as a spot machine, then at the full price, then ml.g5.xlarge
   */
  readonly compute?: CapacityOption[];

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

/** Properties of {@link Trainer.tabular}. */
export interface TabularTrainerProps extends TrainerProps {
  /**
   * Where to train: tried in order until one capacity option has trained the model. Several GPUs and machines train together.
   *
   * @default - ml.g5.xlarge as a spot machine, then at the full price, then ml.g5.2xlarge
   */
  readonly compute?: CapacityOption[];

  /**
   * The network's and its training's parameters, e.g. `{ epochs: '40', members: '32', learning_rate: '0.001' }`;
   * training/tabular/train.py says which there are.
   *
   * @default - the training script's: 4 members of 3 layers of 256, 20 epochs, early stopping after 5
   */
  readonly hyperparameters?: Record<string, string>;

  /**
   * What makes two trainings on the same data and kind of machine equal.
   *
   * @default 42
   */
  readonly seed?: number;
}

/** Properties of {@link Trainer.pytorch}. */
export interface PyTorchTrainerProps extends TrainerProps {
  /** The folder with the script and all that it imports; hidden files and `__pycache__` stay behind. */
  readonly sourceDirectory: string;

  /** The `.py` or `.sh` file that trains, by its path in the folder. */
  readonly entryPoint: string;

  /**
   * Where to train: tried in order until one capacity option has trained the model.
   *
   * @default - ml.g5.xlarge as a spot machine, then at the full price, then ml.g5.2xlarge
   */
  readonly compute?: CapacityOption[];

  /**
   * What pip installs before the script starts, a requirement an entry, e.g. `['einops==0.8.1']`.
   *
   * @default - what the folder's requirements.txt says, if it has one
   */
  readonly requirements?: string[];

  /**
   * What the script is told, as `--name value`; besides, it is told `--problem` (binary or regression) and `--key`
   * (the name of the contract's key, if it has one).
   *
   * @default - nothing besides
   */
  readonly hyperparameters?: Record<string, string>;

  /**
   * The metrics that the script prints: by name, a regular expression whose one group is the value, e.g.
   * `{ 'validation:auc': 'validation:auc=([0-9.]+)' }`. At most 40.
   *
   * @default - none; a search for hyperparameters needs one
   */
  readonly metrics?: Record<string, string>;

  /**
   * Whether torchrun starts the script once for each GPU, on all machines, where there are several.
   *
   * @default false
   */
  readonly torchrun?: boolean;

  /**
   * The image that serves. AWS's training image cannot, and its last image that serves gets no patches any more.
   *
   * @default ServingImage.pytorch()
   */
  readonly servingImage?: ServingImage;
}

/** Properties of {@link Trainer.container}. */
export interface ContainerTrainerProps extends TrainerProps {
  /** The image that trains. */
  readonly image: TrainingImage;

  /** Where to train: tried in order until one capacity option has trained the model. */
  readonly compute: CapacityOption[];

  /**
   * The image that serves.
   *
   * @default - the one that trains
   */
  readonly servingImage?: ServingImage;

  /**
   * What the container finds in `/opt/ml/input/config/hyperparameters.json`; besides, there is `problem` (binary or
   * regression) and `key` (the name of the contract's key, if it has one).
   *
   * @default - nothing besides
   */
  readonly hyperparameters?: Record<string, string>;

  /**
   * The metrics that the container prints: by name, a regular expression whose one group is the value. At most 40.
   *
   * @default - none; a search for hyperparameters needs one
   */
  readonly metrics?: Record<string, string>;
}
