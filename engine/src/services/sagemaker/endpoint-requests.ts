import * as shape from './shape';
import { required } from './shape';

const { text, whole, number, flag, list, structure, anything, tags, name } = shape;
const SIZE = structure({
  Type: required(text({ oneOf: ['INSTANCE_COUNT', 'CAPACITY_PERCENT'] })),
  Value: required(whole(1, 2 ** 31 - 1)),
});
const DEPLOYMENT = structure({
  BlueGreenUpdatePolicy: structure({
    TrafficRoutingConfiguration: required(
      structure({
        Type: required(text({ oneOf: ['ALL_AT_ONCE', 'CANARY', 'LINEAR'] })),
        WaitIntervalInSeconds: required(whole(0, 3600)),
        CanarySize: SIZE,
        LinearStepSize: SIZE,
      }),
    ),
    TerminationWaitInSeconds: whole(0, 3600),
    MaximumExecutionTimeoutInSeconds: whole(600, 28_800),
  }),
  RollingUpdatePolicy: structure({
    MaximumBatchSize: required(SIZE),
    WaitIntervalInSeconds: required(whole(0, 3600)),
    MaximumExecutionTimeoutInSeconds: whole(600, 28_800),
    RollbackMaximumBatchSize: SIZE,
  }),
  AutoRollbackConfiguration: structure({
    Alarms: list(structure({ AlarmName: text({ min: 1, max: 255 }) }), 1, 10),
  }),
});
export const CREATE: shape.Members = {
  EndpointName: required(name),
  EndpointConfigName: required(name),
  DeploymentConfig: DEPLOYMENT,
  Tags: tags,
};
export const UPDATE: shape.Members = {
  EndpointName: required(name),
  EndpointConfigName: required(name),
  RetainAllVariantProperties: flag,
  ExcludeRetainedVariantProperties: anything,
  DeploymentConfig: DEPLOYMENT,
  RetainDeploymentConfig: flag,
};
export const REWEIGH: shape.Members = {
  EndpointName: required(name),
  DesiredWeightsAndCapacities: required(
    list(
      structure({
        VariantName: required(name),
        DesiredWeight: number(0, Number.MAX_VALUE),
        DesiredInstanceCount: whole(0, 2 ** 31 - 1),
        ServerlessUpdateConfig: anything,
      }),
      1,
      10,
    ),
  ),
};
