import type * as ecr from 'aws-cdk-lib/aws-ecr';
import type { Construct } from 'constructs';
import { addressedImage, type ImageReference, repositoryImage } from './images';
import { lastPyTorchServing, SCRIPT_SERVING, type Serving, xgboostServing } from './serving';

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
