import { Annotations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { type ImageReference, pytorchImage, xgboostImage } from './images';

/** Of SageMaker's image. */
export const XGBOOST_VERSION = '3.2-0';
const PYTORCH_SERVING_VERSION = '2.6.0';
const PYTORCH_SERVING = `${PYTORCH_SERVING_VERSION}-cpu-py312-ubuntu22.04-sagemaker`;

/** How a container of SageMaker's finds the script that serves, in the model's archive. */
export const SCRIPT_SERVING: Record<string, string> = {
  SAGEMAKER_PROGRAM: 'inference.py',
  SAGEMAKER_SUBMIT_DIRECTORY: '/opt/ml/model/code',
  SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT: 'text/csv', // else a request that accepts anything is answered in JSON
};

/** The image that serves, and what it is told. */
export interface Serving extends ImageReference {
  readonly environment: Record<string, string>;
  /** SageMaker's name of the framework, where the image is one's. */
  readonly framework?: string;
  readonly frameworkVersion?: string;
}

/** SageMaker's XGBoost image with a script in the model's archive. */
export function xgboostServing(scope: Construct): Serving {
  return { ...xgboostImage(scope, XGBOOST_VERSION), environment: SCRIPT_SERVING };
}

/** AWS's last image that serves PyTorch models; warns. */
export function lastPyTorchServing(scope: Construct): Serving {
  const image = pytorchImage(scope, 'pytorch-inference', PYTORCH_SERVING);
  Annotations.of(scope).addWarningV2(
    'perennial:unpatched-image',
    `models are served by AWS's last PyTorch inference image (pytorch-inference:${PYTORCH_SERVING}), which has got no ` +
      'security patches since 2026-06-30; give an image of your own as servingImage (ServingImage.fromEcr), or export ' +
      'the weights as plain arrays and take ServingImage.xgboost()',
  );
  return {
    ...image,
    environment: SCRIPT_SERVING,
    framework: 'PYTORCH',
    frameworkVersion: PYTORCH_SERVING_VERSION,
  };
}
