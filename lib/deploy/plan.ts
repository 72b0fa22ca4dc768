import { Duration, Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type {
  EndpointConfiguration,
  PlanEndpointRequest,
  PlanVersionRequest,
  VersionPlan,
} from '../core/deploy/documents';
import { Prefix } from '../core/names';
import { jsonata } from '../machine/jsonata';
import { invoke, orFail } from '../machine/state-parts';
import { grantObjects, grantSageMaker } from '../private/grants';
import { Handler } from '../private/handler';
import type { DeploymentStepProps } from './deployment-step';
import { $, type DeploymentVariables } from './deployment-variables';
import { endpointResources } from './endpoint/endpoint-resources';
import type { ServingTargetConfig } from './serving-target-props';

export interface PlanProps extends DeploymentStepProps {
  /** The pipeline whose versions are deployed. */
  readonly versionsOf: string;
  readonly serving: ServingTargetConfig;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/** Looks whether the version may be deployed, and decides what is to be made: sets `$plan`. */
export function plan(
  scope: Construct,
  states: Construct,
  props: PlanProps,
): { function: lambda.Function; state: sfn.TaskStateBase } {
  const { owner, versionsOf, serving, dataset, encryptionKey, failed } = props;
  const { endpoint, name: endpointName } = serving;
  const handler = new Handler(scope, 'Plan', {
    bundle: 'plan-deployment',
    description: 'Decides what a deployment has to make (lambdas/deploy/plan-deployment.handler.ts)',
    timeout: Duration.minutes(1),
    memorySize: 256,
    encryptionKey,
    environment: {},
  });
  grantObjects(handler.role, dataset.bucket, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`]);
  const allow = (action: string, ...resources: string[]) =>
    grantSageMaker(handler.role, Stack.of(scope), [`sagemaker:${action}`], resources);
  allow('DescribeModelPackage', `model-package/${owner.registry}/*`);
  if (endpoint !== undefined) {
    const { endpoint: itself, configs, models } = endpointResources(endpointName, owner);
    allow('DescribeEndpoint', itself);
    allow('DescribeEndpointConfig', configs);
    allow('DescribeModel', models);
    allow('ListTags', itself, configs, models);
  }

  const version = { modelPackageArn: jsonata($.modelPackageArn), versionsOf };
  const set = (report: Parameters<typeof jsonata<VersionPlan>>[0]) => ({ plan: jsonata(report) });
  const state =
    endpoint === undefined
      ? invoke<PlanVersionRequest, VersionPlan, DeploymentVariables>(states, 'Plan', handler.function, version, set)
      : invoke<PlanEndpointRequest, VersionPlan, DeploymentVariables>(
          states,
          'Plan',
          handler.function,
          {
            ...version,
            endpointName,
            owner,
            configuration: endpoint.configuration as unknown as EndpointConfiguration,
            servingRole: endpoint.role.roleArn,
          },
          set,
        );
  return { function: handler.function, state: orFail(state, failed) };
}
