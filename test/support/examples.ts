import type { App } from 'aws-cdk-lib';
import { FlightsStack } from '../../examples/flights/stack';
import { GpuStack } from '../../examples/gpu/stack';
import { OwnScriptStack } from '../../examples/own-script/stack';
import { DeployOnly, TrainOnly, WatchOnly } from '../../examples/parts/stacks';
import type { ITrainer } from '../../lib';

/** All stacks of the examples, in one app. */
export function exampleStacks(app: App) {
  const { training, deployment, watching } = partsExample(app);
  return [
    ...[FlightsStack, GpuStack, OwnScriptStack].map((Example) => new Example(app, Example.name)),
    training,
    deployment,
    watching,
  ];
}

/** The three stacks that train, deploy and watch by themselves. */
export function partsExample(app: App, trainer?: ITrainer) {
  const training = new TrainOnly(app, 'TrainOnly', trainer);
  const deployment = new DeployOnly(app, 'DeployOnly', training);
  return { training, deployment, watching: new WatchOnly(app, 'WatchOnly', training, deployment) };
}
