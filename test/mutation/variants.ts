import { App, Duration } from 'aws-cdk-lib';
import * as kms from 'aws-cdk-lib/aws-kms';
import { ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { FlightsStack } from '../../examples/flights/stack';
import { CapacityOption, DataContract, HyperparameterRange, ScheduleTrigger, Trainer, Tuning } from '../../lib';
import { CONTRACT, emptyStack, templateOf, wholeLoop } from '../support/stacks';
import type { Json } from './mutants';

const ranges = [HyperparameterRange.integer('max_depth', 3, 9)];
const compute = [
  CapacityOption.spot('ml.g5.2xlarge', { maxWait: Duration.hours(1) }),
  CapacityOption.onDemand('ml.g5.2xlarge'),
  CapacityOption.onDemand('ml.g6e.xlarge', { maxPending: Duration.hours(2) }),
];

/** The apps whose templates are broken, by name: what most users have first. */
export const VARIANTS: Record<string, () => Json> = {
  'bin/app.ts': () => templateOf(new FlightsStack(new App(), 'Flights')).toJSON(),
  'the smallest loop': () => loop({}),
  regression: () => loop({ contract: DataContract.fromObject({ ...CONTRACT, features: ['kind'], target: 'size' }) }),
  'several capacity options': () => loop({ trainer: Trainer.xgboost({ compute }), servingInstanceCount: 4 }),
  'tuning one by one': () => loop({ tuning: Tuning.oneByOne({ ranges, maxTrials: 3 }) }),
  'tuning by SageMaker': () => loop({ tuning: Tuning.sageMaker({ ranges, maxTrials: 3 }) }),
  'approved by hand, on a schedule': () =>
    loop({ autoApprove: false, triggers: [new ScheduleTrigger(ScheduleExpression.rate(Duration.days(1)))] }),
  'under a key': () => {
    const stack = emptyStack();
    return loop({ stack, encryptionKey: new kms.Key(stack, 'Key') });
  },
};

function loop(props: Parameters<typeof wholeLoop>[0]): Json {
  return templateOf(wholeLoop(props).stack).toJSON();
}
