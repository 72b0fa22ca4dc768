import { Duration, Stack } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import type { ServingSettings } from '../core/documents';
import { ownPrefix, Prefix, VARIANT_NAME } from '../core/names';
import type { ModelRegistry } from '../model-registry';
import { passRoleToSageMaker, sageMakerArn } from '../private/grants';
import { diskKey, diskKeyStatements, kmsKeyId } from '../private/keys';
import { callSageMaker, makeOnce, orFail } from '../private/state-parts';
import { jsonata } from './expressions';

export interface EndpointProps {
  readonly endpointName: string;
  readonly registry: ModelRegistry;
  readonly serving: ServingSettings;
  /** Alarms that bring the old model back while a new one takes over. */
  readonly alarms: cloudwatch.IAlarm[];
  /** How long they are watched. */
  readonly bakeTime: Duration;
}

export interface ServeProps extends EndpointProps {
  readonly data: s3.IBucket;
  /** The role under which models serve. */
  readonly role: iam.IRole;
  /** What encrypts the disks of the instances, if it can be. */
  readonly encryptionKey: kms.IKey | undefined;
  /** Where an endpoint that is changing goes on. */
  readonly changing: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Makes model, configuration and endpoint under the names of `$plan`, or moves the endpoint to them.
 *
 * What is there already was made by an earlier try.
 */
export function serve(scope: Construct, props: ServeProps): sfn.IChainable {
  const { endpointName, serving, failed } = props;
  const stack = Stack.of(scope);
  const { endpoint, configs, models } = arnsOf(scope, props);
  const key = diskKey(serving.instanceType, props.encryptionKey);

  const model = callSageMaker(scope, 'Create model', {
    action: 'createModel',
    resources: [models, sageMakerArn(stack, `model-package/${props.registry.groupName}/*`)],
    statements: [passRoleToSageMaker(props.role)],
    parameters: {
      ModelName: jsonata('$plan.modelName'),
      ExecutionRoleArn: props.role.roleArn,
      Containers: [{ ModelPackageName: jsonata('$modelPackageArn') }],
    },
  });
  const config = callSageMaker(scope, 'Create endpoint configuration', {
    action: 'createEndpointConfig',
    resources: [configs, models],
    parameters: {
      EndpointConfigName: jsonata('$plan.endpointConfigName'),
      ProductionVariants: [
        {
          VariantName: VARIANT_NAME,
          ModelName: jsonata('$plan.modelName'),
          InstanceType: serving.instanceType,
          InitialInstanceCount: serving.instanceCount,
          InitialVariantWeight: 1,
        },
      ],
      DataCaptureConfig: {
        EnableCapture: serving.capturePercent > 0,
        InitialSamplingPercentage: serving.capturePercent,
        DestinationS3Uri: captureUri(props.data),
        CaptureOptions: [{ CaptureMode: 'Input' }, { CaptureMode: 'Output' }],
        // what is not named here is captured as base64
        CaptureContentTypeHeader: { CsvContentTypes: ['text/csv'] },
        ...kmsKeyId(props.data.encryptionKey),
      },
      ...kmsKeyId(key),
    },
  });
  const create = callSageMaker(scope, 'Create endpoint', {
    action: 'createEndpoint',
    resources: [endpoint, configs],
    // SageMaker uses the disks' key in the name of who makes the endpoint
    statements: diskKeyStatements(key),
    parameters: { EndpointName: endpointName, EndpointConfigName: jsonata('$plan.endpointConfigName') },
  });
  const update = updateEndpoint(scope, 'Update endpoint', '$plan.endpointConfigName', traffic(props), props);

  const isThere = sfn.Choice.jsonata(scope, 'Is there an endpoint?')
    .when(sfn.Condition.jsonata(jsonata("$plan.action = 'create'")), create)
    .otherwise(update);
  makeOnce(scope, model, config, failed);
  makeOnce(scope, config, isThere, failed);
  makeOnce(scope, create, props.changing, failed);
  orFail(update, failed).next(props.changing);
  return model;
}

/** Moves the endpoint to a configuration. The caller must be allowed to see the alarms that it names. */
export function updateEndpoint(
  scope: Construct,
  id: string,
  configName: string,
  deploymentConfig: object,
  props: EndpointProps,
): tasks.CallAwsService {
  const { endpointName, alarms } = props;
  const { endpoint, configs } = arnsOf(scope, props);
  return callSageMaker(scope, id, {
    action: 'updateEndpoint',
    resources: [endpoint, configs],
    statements: [
      new iam.PolicyStatement({
        actions: ['cloudwatch:DescribeAlarms'],
        resources: alarms.map(({ alarmArn }) => alarmArn),
      }),
    ],
    parameters: {
      EndpointName: endpointName,
      EndpointConfigName: jsonata(configName),
      DeploymentConfig: deploymentConfig,
    },
  });
}

/** All at once with one instance, for less of it is none; else a tenth first. */
function traffic({ serving, alarms, bakeTime }: EndpointProps): object {
  const WaitIntervalInSeconds = bakeTime.toSeconds();
  const canary = { Type: 'INSTANCE_COUNT', Value: Math.max(1, Math.floor(serving.instanceCount / 10)) };
  return {
    BlueGreenUpdatePolicy: {
      TrafficRoutingConfiguration:
        serving.instanceCount === 1
          ? { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds }
          : { Type: 'CANARY', CanarySize: canary, WaitIntervalInSeconds },
      TerminationWaitInSeconds: 0,
      MaximumExecutionTimeoutInSeconds: Duration.hours(1).toSeconds() + 2 * WaitIntervalInSeconds,
    },
    AutoRollbackConfiguration: { Alarms: alarms.map(({ alarmName }) => ({ AlarmName: alarmName })) },
  };
}

export function arnsOf(scope: Construct, { endpointName, registry }: EndpointProps) {
  const stack = Stack.of(scope);
  const own = `${ownPrefix(endpointName, registry.groupName)}v*`;
  return {
    endpoint: sageMakerArn(stack, `endpoint/${endpointName}`),
    configs: sageMakerArn(stack, `endpoint-config/${own}`),
    models: sageMakerArn(stack, `model/${own}`),
  };
}

/** Where what an endpoint is asked is captured, below a folder of the endpoint's own. */
export function captureUri(data: s3.IBucket): string {
  return `s3://${data.bucketName}/${Prefix.CAPTURE.slice(0, -1)}`;
}
