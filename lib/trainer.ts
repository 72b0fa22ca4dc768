import type { Duration, Size } from 'aws-cdk-lib';
import type * as ecr from 'aws-cdk-lib/aws-ecr';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import type { Offer } from './offer';
import { addressedImage, type ImageReference, repositoryImage } from './private/images';
import {
  container,
  lastPyTorchServing,
  pytorch,
  SCRIPT_SERVING,
  type Serving,
  tabular,
  xgboost,
  xgboostServing,
} from './private/trainers';

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
  /** The key of its bucket, where the app knows of one. */
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
   * Where to train: tried in order until one offer has trained the model.
   *
   * @default - ml.g4dn.xlarge as a spot machine, then at the full price, then ml.g5.xlarge
   */
  readonly compute?: Offer[];

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
   * Where to train: tried in order until one offer has trained the model. Several GPUs and machines train together.
   *
   * @default - ml.g5.xlarge as a spot machine, then at the full price, then ml.g5.2xlarge
   */
  readonly compute?: Offer[];

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
   * Where to train: tried in order until one offer has trained the model.
   *
   * @default - ml.g5.xlarge as a spot machine, then at the full price, then ml.g5.2xlarge
   */
  readonly compute?: Offer[];

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

  /** Where to train: tried in order until one offer has trained the model. */
  readonly compute: Offer[];

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

/** An image of one's own that trains: SageMaker starts it with `train`. */
export class TrainingImage {
  /**
   * An image in a repository of this app's.
   *
   * @param tagOrDigest a tag that stays what it is, so not `latest`, or a digest (`sha256:…`)
   */
  public static fromEcr(repository: ecr.IRepository, tagOrDigest: string): TrainingImage {
    return new TrainingImage((scope) => repositoryImage(scope, repository, tagOrDigest));
  }

  /**
   * An image by its address, in any account's ECR whose policy lets this one pull.
   *
   * @param repositoryArn the repository, for the permission to pull; needed only where the address is known at deployment
   */
  public static fromUri(uri: string, repositoryArn?: string): TrainingImage {
    return new TrainingImage((scope) => addressedImage(scope, uri, repositoryArn));
  }

  private constructor(private readonly image: (scope: Construct) => ImageReference) {}

  /** @internal */
  public _bind(scope: Construct): ImageReference {
    return this.image(scope);
  }
}

/**
 * An image that serves a model, both on the endpoint and while the model is judged.
 *
 * It runs on machines without a GPU: images for GPUs need a driver that an endpoint must be told of
 * (`InferenceAmiVersion`), which {@link ModelDeployment} does not do.
 */
export class ServingImage {
  /**
   * AWS's last image that serves PyTorch models: PyTorch 2.6, Python 3.12, no GPU. AWS has not patched it since
   * 2026-06-30, so that synthesis warns.
   *
   * The model's archive must hold `code/inference.py`, see {@link Trainer.pytorch}.
   */
  public static pytorch(): ServingImage {
    return new ServingImage(lastPyTorchServing);
  }

  /**
   * SageMaker's XGBoost image, which is patched, for a script whose `code/inference.py` needs no more than numpy and
   * pyarrow: one that exports its weights as plain arrays.
   */
  public static xgboost(): ServingImage {
    return new ServingImage(xgboostServing);
  }

  /**
   * An image of one's own in a repository of this app's; it answers `GET /ping` and `POST /invocations` on port 8080.
   *
   * @param tagOrDigest a tag that stays what it is, so not `latest`, or a digest (`sha256:…`)
   */
  public static fromEcr(repository: ecr.IRepository, tagOrDigest: string): ServingImage {
    return new ServingImage((scope) => ({
      ...repositoryImage(scope, repository, tagOrDigest),
      environment: SCRIPT_SERVING,
    }));
  }

  /**
   * An image by its address, in any account's ECR whose policy lets this one pull.
   *
   * @param repositoryArn the repository, for the permission to pull; needed only where the address is known at deployment
   */
  public static fromUri(uri: string, repositoryArn?: string): ServingImage {
    return new ServingImage((scope) => ({ ...addressedImage(scope, uri, repositoryArn), environment: SCRIPT_SERVING }));
  }

  private constructor(private readonly image: (scope: Construct) => Serving) {}

  /** @internal */
  public _bind(scope: Construct): Serving {
    return this.image(scope);
  }
}

/**
 * How a model is trained: an algorithm, its parameters and the machines it runs on.
 *
 * All of them find Parquet in the channels `train` and `validation` (the features in the contract's order, the target
 * last) and a folder `/opt/ml/checkpoints` that outlives the machine: what is there, a job of the same run goes on from.
 */
export abstract class Trainer {
  /** Gradient-boosted trees in SageMaker's XGBoost container, on the GPU where the machine has one. */
  public static xgboost(props: XGBoostTrainerProps = {}): Trainer {
    return new BoundTrainer((scope) => xgboost(scope, props));
  }

  /**
   * An ensemble of neural networks for tables, in AWS's PyTorch container: on all GPUs of all machines together, or
   * without one. It is served in SageMaker's XGBoost container, for it needs no PyTorch any more.
   */
  public static tabular(props: TabularTrainerProps = {}): Trainer {
    return new BoundTrainer((scope) => tabular(scope, props));
  }

  /**
   * A script of one's own in AWS's PyTorch container (2.13).
   *
   * It writes the model to `SM_MODEL_DIR`, and what serves it to `code/inference.py` below: `model_fn(model_dir)`,
   * `input_fn(body, content_type)`, `predict_fn(data, model)` and `output_fn(prediction, accept)`. A request is CSV
   * without a header: the key, if the contract has one, then the features in their order. The answer is one number a line.
   */
  public static pytorch(props: PyTorchTrainerProps): Trainer {
    return new BoundTrainer((scope) => pytorch(scope, props));
  }

  /**
   * An image of one's own, which SageMaker starts with `train`; and, unless another one serves, with `serve`.
   *
   * It writes the model to `/opt/ml/model`. A request for scores is CSV without a header: the key, if the contract has
   * one, then the features in their order. The answer is one number a line.
   */
  public static container(props: ContainerTrainerProps): Trainer {
    return new BoundTrainer((scope) => container(scope, props));
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
