import { Duration, Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { DeploymentOutcome, FinishDeploymentRequest } from '../core/deploy/documents';
import { EnvName } from '../core/names';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { jsonata, literal, object } from '../machine/jsonata';
import { invoke } from '../machine/state-parts';
import { allowEvents, grantSageMaker, listOf } from '../private/grants';
import { Handler } from '../private/handler';
import { onOwn } from '../private/owner-tags';
import type { DeploymentStepProps } from './deployment-step';
import { $ } from './deployment-variables';
import { endpointArns, endpointResources } from './endpoint/endpoint-resources';
import type { ServingTargetConfig } from './serving-target-props';

/** The ends of a deployment: each is recorded before the execution ends with it. */
export class Finish {
  /** The function that records them. */
  readonly function: lambda.Function;
  readonly skipped: sfn.IChainable;
  readonly rolledBack: sfn.IChainable;
  readonly failed: sfn.IChainable;
  private readonly handler: Handler;

  constructor(
    private readonly scope: Construct,
    private readonly states: Construct,
    private readonly props: DeploymentStepProps,
  ) {
    const { ledger, owner, encryptionKey } = props;
    this.handler = new Handler(scope, 'Finish', {
      bundle: 'finish-deployment',
      description:
        'Records the end of a deployment and clears what is out of use (lambdas/deploy/finish-deployment.handler.ts)',
      timeout: Duration.minutes(2),
      memorySize: 256,
      encryptionKey,
      environment: { [EnvName.MODEL_PACKAGE_GROUP]: owner.registry },
    });
    this.function = this.handler.function;
    ledger.grantLease(this.function, owner.pipeline);
    ledger.grantRead(this.function, owner.pipeline); // where the row that says what serves is lost, the facts say it
    const packages = `model-package/${owner.registry}/*`;
    grantSageMaker(this.function, Stack.of(scope), ['sagemaker:UpdateModelPackage'], [packages]);
    allowEvents(this.handler.role);

    const fail = sfn.Fail.jsonata(states, 'Deployment failed', {
      error: jsonata($.failure.name),
      cause: jsonata($.failure.cause),
    });
    this.failed = this.record('Record failure', 'FAILED').next(fail);
    this.rolledBack = this.record('Record rollback', 'ROLLED_BACK').next(fail);
    this.skipped = this.record('Record skip', 'SKIPPED').next(
      sfn.Succeed.jsonata(states, 'Nothing to do', { outputs: { version: jsonata($.plan.version) } }),
    );
  }

  /** The end of a version that serves on a target; of an endpoint, what is out of use since is cleared up. */
  deployed({ name, endpoint }: ServingTargetConfig): sfn.IChainable {
    this.function.addEnvironment(EnvName.ENDPOINT_NAME, name);
    if (endpoint !== undefined) this.allowToClearUp(name);
    return this.record('Record deployment', 'DEPLOYED').next(
      sfn.Succeed.jsonata(this.states, 'In service', {
        outputs: {
          endpointName: name,
          version: jsonata($.plan.version),
          modelPackageArn: jsonata($.modelPackageArn),
        },
      }),
    );
  }

  private allowToClearUp(endpointName: string): void {
    const { scope, props, handler } = this;
    const { endpoint, configs, models } = endpointResources(endpointName, props.owner);
    const arns = endpointArns(scope, endpointName, props.owner);
    grantSageMaker(handler.role, Stack.of(scope), ['sagemaker:DescribeEndpoint'], [endpoint]);
    grantSageMaker(handler.role, Stack.of(scope), ['sagemaker:ListTags'], [configs, models]);
    handler.role.addToPolicy(onOwn(props.owner, ['sagemaker:DeleteEndpointConfig'], [arns.configs]));
    handler.role.addToPolicy(onOwn(props.owner, ['sagemaker:DeleteModel'], [arns.models]));
    handler.role.addToPolicy(listOf('sagemaker:ListEndpointConfigs', 'sagemaker:ListModels'));
  }

  private record(id: string, outcome: DeploymentOutcome) {
    return invoke<FinishDeploymentRequest, void>(
      this.states,
      id,
      this.function,
      jsonata(
        object<FinishDeploymentRequest>(
          {
            deploymentId: RUN_ID,
            startedAt: STARTED_AT,
            outcome: literal(outcome),
            modelPackageArn: $.modelPackageArn,
          },
          { plan: $.plan, error: $.failure },
        ),
      ),
    );
  }
}
