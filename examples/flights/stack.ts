import { join } from 'node:path';
import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { CapacityOption, ContinuousTraining, DataContract, Trainer } from '../../lib';

/** Predicts whether a flight arrives more than 15 minutes late. */
export class FlightsStack extends Stack {
  readonly flights: ContinuousTraining;

  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    // #region flights
    this.flights = new ContinuousTraining(this, 'Flights', {
      pipelineName: 'flights',
      contract: DataContract.fromFile(join('examples', 'flights', 'contract.json')),
      trainer: Trainer.xgboost({
        compute: [
          CapacityOption.spot('ml.g4dn.xlarge'),
          CapacityOption.onDemand('ml.g4dn.xlarge'),
          CapacityOption.onDemand('ml.g5.xlarge'),
        ],
        hyperparameters: { num_round: '60', max_depth: '8', eta: '0.3' },
      }),
      newestFiles: 2,
      scoreDropThreshold: 0.01,
    });
    // #endregion
  }
}
