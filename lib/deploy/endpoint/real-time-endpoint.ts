import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { ENDPOINT_DEFAULTS } from '../../core/deploy/defaults';
import { Prefix, VARIANT_NAME } from '../../core/names';
import { LONGEST_QUOTA_WAIT } from '../../machine/retries';
import { allowContainer } from '../../private/container-role';
import { grantObjects, sageMakerPrincipal } from '../../private/grants';
import { diskKey } from '../../private/keys';
import { outside } from '../../private/validate';
import { xgboostRepository } from '../../train/images';
import type { RealTimeEndpointProps, ServingTargetConfig, ServingTargetOptions } from '../serving-target-props';
import { endpointAlarms } from './alarms';
import { configurationOf } from './configuration';
import { type EndpointStatesProps, make } from './make';
import { bringBack, settle } from './settle';
import { smokeTest } from './smoke-test';

/** A real-time endpoint: its role, its alarms, and the states that make it, move it to another model and back. */
export function realTimeEndpoint(
  scope: Construct,
  options: ServingTargetOptions,
  props: RealTimeEndpointProps,
): ServingTargetConfig {
  const { encryptionKey } = options;
  const data = options.dataset.bucket;
  const endpointName = props.endpointName ?? options.pipelineName;
  const {
    instanceType = ENDPOINT_DEFAULTS.instanceType,
    instanceCount = ENDPOINT_DEFAULTS.instanceCount,
    capturePercent = ENDPOINT_DEFAULTS.capturePercent,
    maxLatency = Duration.seconds(ENDPOINT_DEFAULTS.maxLatencySeconds),
    bakeTime = Duration.minutes(ENDPOINT_DEFAULTS.bakeMinutes),
    quotaWait = Duration.minutes(ENDPOINT_DEFAULTS.quotaWaitMinutes),
    imageRepositoryArn = xgboostRepository(scope),
  } = props;

  const role = new iam.Role(scope, 'ServingRole', {
    description: `Models that serve on ${endpointName}`,
    assumedBy: sageMakerPrincipal(Stack.of(scope)),
  });
  grantObjects(role, data, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`]);
  grantObjects(role, data, ['s3:PutObject'], [Prefix.CAPTURE]);
  allowContainer(role, [imageRepositoryArn]);

  const disk = diskKey(instanceType, encryptionKey);
  const configuration = configurationOf({ instanceType, instanceCount, capturePercent }, data, disk);
  const alarms = endpointAlarms(scope, endpointName, maxLatency);
  const states = new Construct(scope, 'EndpointStates');
  const common: EndpointStatesProps = {
    ...options,
    endpointName,
    owner: { pipeline: options.pipelineName, registry: options.registry.groupName },
    instanceCount,
    alarms,
    bakeTime,
    quotaWait,
  };
  const ask = smokeTest(scope, states, { endpointName, data, encryptionKey });
  const changing = settle(states, common, ask);
  return {
    name: endpointName,
    make: make(states, { ...common, role, configuration, diskKey: disk, skipped: options.skipped, changing }),
    smokeTest: ask,
    undo: bringBack(states, common),
    endpoint: { configuration: { ...configuration }, role },
    alarms,
    capturePrefix: `${Prefix.CAPTURE}${endpointName}/${VARIANT_NAME}/`,
    mistakes: [
      outside(bakeTime.toSeconds(), 0, 3600) && `bakeTime must be 0 to 60 minutes, got ${bakeTime.toHumanString()}`,
      outside(quotaWait.toSeconds(), 0, LONGEST_QUOTA_WAIT.toSeconds()) &&
        `quotaWait must be 0 to 4 hours, got ${quotaWait.toHumanString()}`,
    ].filter((mistake) => mistake !== false),
  };
}
