import { Duration, Stack } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { EndpointConfiguration, ServingSettings } from '../core/deploy/documents';
import { ErrorName } from '../core/errors';
import { ownPrefix, Prefix, VARIANT_NAME } from '../core/names';
import type { Owner } from '../core/ownership';
import { CAUGHT } from '../machine/expressions';
import { jsonata } from '../machine/jsonata';
import { QUOTA_ERRORS, quotaRetry } from '../machine/retries';
import type { SageMakerCall } from '../machine/sagemaker-call';
import { callSageMaker, makeOnce, orFail } from '../machine/state-parts';
import { passRoleToSageMaker, sageMakerArn } from '../private/grants';
import { diskKeyStatements, kmsKeyId } from '../private/keys';
import { tagsOf } from '../private/owner-tags';

export interface EndpointProps {
  readonly endpointName: string;
  /** Whose the endpoint is. */
  readonly owner: Owner;
  readonly serving: ServingSettings;
  /** Alarms that bring the old model back while a new one takes over. */
  readonly alarms: cloudwatch.IAlarm[];
  /** How long they are watched. */
  readonly bakeTime: Duration;
  /** How long instances are waited for that a quota or a lack of capacity refuses. */
  readonly quotaWait: Duration;
}

export interface ServeProps extends EndpointProps {
  /** The role under which models serve. */
  readonly role: iam.IRole;
  readonly configuration: EndpointConfiguration;
  /** What encrypts the disks of the instances, if anything does. */
  readonly diskKey: kms.IKey | undefined;
  /** Where an endpoint that is changing goes on. */
  readonly changing: sfn.IChainable;
  /** Where it is decided anew what is to be made. */
  readonly planAgain: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Makes model, configuration and endpoint under the names of `$plan`, or moves the endpoint to them.
 *
 * What `$plan` has found to be there, and ours, is not made again. What turns out to be there all the same is looked at
 * by the plan first: an earlier try has made it, or somebody else.
 */
export function serve(scope: Construct, props: ServeProps): sfn.IChainable {
  const { endpointName, owner, planAgain, changing, failed } = props;
  const { endpoint, configs, models } = arnsOf(scope, props);
  const Tags = tagsOf(owner);
  const model = callSageMaker(scope, 'Create model', {
    action: 'createModel',
    resources: [models, sageMakerArn(Stack.of(scope), `model-package/${owner.registry}/*`)],
    statements: [passRoleToSageMaker(props.role)],
    parameters: {
      ModelName: jsonata('$plan.modelName'),
      ExecutionRoleArn: props.role.roleArn,
      Containers: [{ ModelPackageName: jsonata('$modelPackageArn') }],
      Tags,
    },
  });
  const { ProductionVariants, ...others } = props.configuration;
  const config = callSageMaker(scope, 'Create endpoint configuration', {
    action: 'createEndpointConfig',
    resources: [configs, models],
    parameters: {
      EndpointConfigName: jsonata('$plan.endpointConfigName'),
      ProductionVariants: ProductionVariants.map((variant) => ({ ...variant, ModelName: jsonata('$plan.modelName') })),
      ...others,
      Tags,
    },
  });
  const create = callSageMaker(scope, 'Create endpoint', {
    action: 'createEndpoint',
    resources: [endpoint, configs],
    // SageMaker uses the disks' key in the name of who makes the endpoint
    statements: diskKeyStatements(props.diskKey),
    parameters: { EndpointName: endpointName, EndpointConfigName: jsonata('$plan.endpointConfigName'), Tags },
    assign: { polls: 0 },
  });
  const update = updateEndpoint(scope, 'Update endpoint', '$plan.endpointConfigName', traffic(props), props);

  for (const change of [create, update]) {
    change.addRetry(quotaRetry(props.quotaWait));
    change.addCatch(failed, {
      errors: QUOTA_ERRORS,
      assign: { failure: { name: ErrorName.NO_MACHINES, cause: CAUGHT.cause } },
    });
  }
  const isThere = sfn.Choice.jsonata(scope, 'Is there an endpoint?')
    .when(sfn.Condition.jsonata(jsonata("$plan.action = 'create'")), create)
    .otherwise(update);
  const unless = (id: string, exists: string, make: sfn.IChainable, next: sfn.IChainable) =>
    sfn.Choice.jsonata(scope, id)
      .when(sfn.Condition.jsonata(jsonata(exists)), next)
      .otherwise(make);
  const withConfig = unless('Is there a configuration?', '$plan.exists.config', config, isThere);
  makeOnce(scope, model, withConfig, planAgain, failed);
  makeOnce(scope, config, isThere, planAgain, failed);
  // one that serves another configuration is told by what waits for it
  makeOnce(scope, create, changing, changing, failed);
  orFail(update, failed).next(changing);
  return unless('Is there a model?', '$plan.exists.model', model, withConfig);
}

/** Moves the endpoint to a configuration. The caller must be allowed to see the alarms that it names. */
export function updateEndpoint(
  scope: Construct,
  id: string,
  configName: string,
  deploymentConfig: object,
  props: EndpointProps,
): SageMakerCall {
  const { endpointName, owner, alarms } = props;
  const { endpoint, configs } = arnsOf(scope, props);
  return callSageMaker(scope, id, {
    action: 'updateEndpoint',
    resources: [configs],
    own: { owner, resources: [endpoint] },
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
    assign: { polls: 0 },
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

export function arnsOf(scope: Construct, { endpointName, owner }: EndpointProps) {
  const stack = Stack.of(scope);
  const own = `${ownPrefix(endpointName, owner.registry)}v*`;
  return {
    endpoint: sageMakerArn(stack, `endpoint/${endpointName}`),
    configs: sageMakerArn(stack, `endpoint-config/${own}`),
    models: sageMakerArn(stack, `model/${own}`),
  };
}

/**
 * How an endpoint serves whatever model, as SageMaker's request has it.
 *
 * @param diskKey what encrypts the disks of the instances, if anything does
 */
export function configurationOf(
  { instanceType, instanceCount, capturePercent }: ServingSettings,
  data: s3.IBucket,
  diskKey: kms.IKey | undefined,
): EndpointConfiguration {
  return {
    ProductionVariants: [
      {
        VariantName: VARIANT_NAME,
        InstanceType: instanceType,
        InitialInstanceCount: instanceCount,
        InitialVariantWeight: 1,
      },
    ],
    DataCaptureConfig: {
      EnableCapture: capturePercent > 0,
      InitialSamplingPercentage: capturePercent,
      DestinationS3Uri: `s3://${data.bucketName}/${Prefix.CAPTURE.slice(0, -1)}`,
      CaptureOptions: [{ CaptureMode: 'Input' }, { CaptureMode: 'Output' }],
      // what is not named here is captured as base64
      CaptureContentTypeHeader: { CsvContentTypes: ['text/csv'] },
      ...kmsKeyId(data.encryptionKey),
    },
    ...kmsKeyId(diskKey),
  };
}
