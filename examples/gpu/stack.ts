import { join } from 'node:path';
import { Duration, Size, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { CapacityOption, ContinuousTraining, DataContract, HyperparameterRange, Trainer, Tuning } from '../../lib';

/** The flights by a neural network on GPUs, with a search for hyperparameters, and a ceiling on what that costs. */
export class GpuStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    // #region gpu
    new ContinuousTraining(this, 'Flights', {
      contract: DataContract.fromFile(join('examples', 'flights', 'contract.json')),
      trainer: Trainer.tabular({
        compute: [
          CapacityOption.spot('ml.g5.2xlarge', { maxWait: Duration.minutes(30) }),
          CapacityOption.spot('ml.g6e.xlarge'),
          CapacityOption.onDemand('ml.g5.12xlarge'), // 4 GPUs: started by torchrun
        ],
        gpuMemory: Size.gibibytes(24),
        maxDuration: Duration.hours(2),
      }),
      retryPolicy: { quotaWait: Duration.minutes(30), maxPasses: 4, passInterval: Duration.minutes(20) },
      budget: { maxCostPerRun: 20, maxCostPerMonth: 200 },
      tuning: Tuning.oneByOne({
        ranges: [HyperparameterRange.number('learning_rate', 0.0005, 0.01, true)],
        maxTrials: 5,
        target: 0.72,
      }),
    });
    // #endregion
  }
}
