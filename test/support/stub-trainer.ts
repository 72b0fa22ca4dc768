import { join } from 'node:path';
import { CapacityOption, type ITrainer, ServingImage, Trainer } from '../../lib';

/** Trains in a second: a model that knows the hour of the day alone. */
export function stubTrainer(): ITrainer {
  return Trainer.pytorch({
    sourceDirectory: join('test', 'kills', 'training'),
    entryPoint: 'train.py',
    compute: [CapacityOption.onDemand('ml.m5.2xlarge')],
    servingImage: ServingImage.xgboost(),
  });
}
