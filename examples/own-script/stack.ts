import { join } from 'node:path';
import { Duration, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { CapacityOption, ContinuousTraining, DataContract, ServingImage, Trainer } from '../../lib';

/** The flights by a PyTorch script of one's own. */
export class OwnScriptStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    // #region own-script
    new ContinuousTraining(this, 'Flights', {
      contract: DataContract.fromFile(join('examples', 'flights', 'contract.json')),
      trainer: Trainer.pytorch({
        sourceDirectory: join('examples', 'own-script', 'training'),
        entryPoint: 'train.py',
        requirements: ['pyarrow'], // where the image does not have it
        hyperparameters: { epochs: '10' },
        metrics: { 'validation:logloss': 'validation:logloss=([0-9.]+)' },
        compute: [
          CapacityOption.spot('ml.g5.xlarge', { maxWait: Duration.minutes(30) }),
          CapacityOption.onDemand('ml.g5.xlarge'),
          CapacityOption.onDemand('ml.m5.2xlarge'), // no GPU: slower, but rarely sold out
        ],
        servingImage: ServingImage.pytorch(),
      }),
    });
    // #endregion
  }
}
