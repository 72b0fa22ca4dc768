import type { App } from 'aws-cdk-lib';
import { FlightsStack } from '../../examples/flights/stack';
import { GpuStack } from '../../examples/gpu/stack';
import { OwnScriptStack } from '../../examples/own-script/stack';
import { DeployOnly, TrainOnly, WatchAndRetrain } from '../../examples/parts/stacks';

/** All stacks of the examples, in one app. */
export function exampleStacks(app: App) {
  const training = new TrainOnly(app, 'TrainOnly');
  return [
    ...[FlightsStack, GpuStack, OwnScriptStack, WatchAndRetrain].map((Example) => new Example(app, Example.name)),
    training,
    new DeployOnly(app, 'DeployOnly', training),
  ];
}
