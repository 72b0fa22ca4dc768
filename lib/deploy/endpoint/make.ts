import { Duration, Stack } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { EndpointConfiguration } from '../../core/deploy/documents';
import { ErrorName } from '../../core/errors';
import type { Owner } from '../../core/ownership';
import { CAUGHT } from '../../machine/expressions';
import { type Expression, equals, expression, jsonata } from '../../machine/jsonata';
import { mostPolls } from '../../machine/poll';
import { QUOTA_ERRORS, quotaRetry } from '../../machine/retries';
import type { SageMakerCall } from '../../machine/sagemaker-call';
import { callSageMaker, makeOnce, orFail, when } from '../../machine/state-parts';
import { passRoleToSageMaker, sageMakerArn } from '../../private/grants';
import { diskKeyStatements } from '../../private/keys';
import { tagsOf } from '../../private/owner-tags';
import { endpointArns } from './endpoint-resources';
import { $, assign } from './endpoint-variables';

/** The longest that a change is waited for that was under way before. */
const LONGEST_CHANGE_HOURS = 4;

/** What all states of an endpoint are told. */
export interface EndpointStatesProps {
  readonly endpointName: string;
  /** Whose the endpoint is. */
  readonly owner: Owner;
  readonly instanceCount: number;
  /** Alarms that bring the old model back while a new one takes over. */
  readonly alarms: cloudwatch.IAlarm[];
  /** How long they are watched. */
  readonly bakeTime: Duration;
  /** How long instances are waited for that a quota or a lack of capacity refuses. */
  readonly quotaWait: Duration;
  /** Where it is decided anew what is to be made. */
  readonly planAgain: sfn.IChainable;
  /** Where the model before is back, or nothing serves again; `$failure` is set. */
  readonly rolledBack: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

export interface MakeProps extends EndpointStatesProps {
  /** The role under which models serve. */
  readonly role: iam.IRole;
  readonly configuration: EndpointConfiguration;
  /** What encrypts the disks of the instances, if anything does. */
  readonly diskKey: kms.IKey | undefined;
  /** Where a version goes on that serves already. */
  readonly skipped: sfn.IChainable;
  /** Where an endpoint that is changing goes on. */
  readonly changing: sfn.IChainable;
}

/** Does with the endpoint what `$plan` has decided. */
export function make(scope: Construct, props: MakeProps): sfn.IChainable {
  const { endpointName, owner, skipped, planAgain, failed } = props;
  const remove = callSageMaker(scope, 'Delete failed endpoint', {
    action: 'deleteEndpoint',
    own: { owner, resources: [endpointArns(scope, endpointName, owner).endpoint] },
    parameters: { EndpointName: endpointName },
  });
  const busy = sfn.Pass.jsonata(scope, 'Changes without end', {
    assign: assign({
      failure: {
        name: ErrorName.DEPLOYMENT_FAILED,
        cause: `the endpoint ${endpointName} must have stopped changing within ${LONGEST_CHANGE_HOURS} hours, but goes on; look at it, and approve the version again`,
      },
    }),
  });
  return sfn.Choice.jsonata(scope, 'What is to be done?')
    .when(when(equals($.plan.action, 'none')), skipped)
    .when(when(expression<boolean>(`${$.polls} > ${mostPolls(LONGEST_CHANGE_HOURS)}`)), busy.next(failed))
    .when(when(equals($.plan.action, 'wait')), planAgain)
    .when(when(equals($.plan.action, 'recreate')), orFail(remove, failed).next(planAgain))
    .otherwise(createOrUpdate(scope, props));
}

/**
 * Makes model, configuration and endpoint under the names of `$plan`, or moves the endpoint to them.
 *
 * What `$plan` has found to be there, and ours, is not made again. What turns out to be there all the same is looked at
 * by the plan first: an earlier try has made it, or somebody else.
 */
function createOrUpdate(scope: Construct, props: MakeProps): sfn.IChainable {
  const { endpointName, owner, planAgain, changing, failed } = props;
  const { endpoint, configs, models } = endpointArns(scope, endpointName, owner);
  const Tags = tagsOf(scope, owner);
  const model = callSageMaker(scope, 'Create model', {
    action: 'createModel',
    resources: [models, sageMakerArn(Stack.of(scope), `model-package/${owner.registry}/*`)],
    statements: [passRoleToSageMaker(props.role)],
    parameters: {
      ModelName: jsonata($.plan.modelName),
      ExecutionRoleArn: props.role.roleArn,
      Containers: [{ ModelPackageName: jsonata($.modelPackageArn) }],
      Tags,
    },
  });
  const { ProductionVariants, ...others } = props.configuration;
  const config = callSageMaker(scope, 'Create endpoint configuration', {
    action: 'createEndpointConfig',
    resources: [configs, models],
    parameters: {
      EndpointConfigName: jsonata($.plan.endpointConfigName),
      ProductionVariants: ProductionVariants.map((variant) => ({ ...variant, ModelName: jsonata($.plan.modelName) })),
      ...others,
      Tags,
    },
  });
  const create = callSageMaker(scope, 'Create endpoint', {
    action: 'createEndpoint',
    resources: [endpoint, configs],
    // SageMaker uses the disks' key in the name of who makes the endpoint
    statements: diskKeyStatements(props.diskKey),
    parameters: { EndpointName: endpointName, EndpointConfigName: jsonata($.plan.endpointConfigName), Tags },
    assign: assign({ polls: 0 }),
  });
  const update = updateEndpoint(scope, 'Update endpoint', $.plan.endpointConfigName, traffic(props), props);

  for (const change of [create, update]) {
    change.addRetry(quotaRetry(props.quotaWait));
    change.addCatch(failed, {
      errors: QUOTA_ERRORS,
      assign: assign({ failure: { name: ErrorName.NO_MACHINES, cause: CAUGHT.cause } }),
    });
  }
  const isThere = sfn.Choice.jsonata(scope, 'Is there an endpoint?')
    .when(when(equals($.plan.action, 'create')), create)
    .otherwise(update);
  const unless = (id: string, exists: Expression<boolean>, create: sfn.IChainable, next: sfn.IChainable) =>
    sfn.Choice.jsonata(scope, id).when(when(exists), next).otherwise(create);
  const withConfig = unless('Is there a configuration?', $.plan.exists.config, config, isThere);
  makeOnce(scope, model, withConfig, planAgain, failed);
  makeOnce(scope, config, isThere, planAgain, failed);
  // one that serves another configuration is told by what waits for it
  makeOnce(scope, create, changing, changing, failed);
  orFail(update, failed).next(changing);
  return unless('Is there a model?', $.plan.exists.model, model, withConfig);
}

/** Moves the endpoint to a configuration. The caller must be allowed to see the alarms that it names. */
export function updateEndpoint(
  scope: Construct,
  id: string,
  configName: Expression<string | undefined>,
  deploymentConfig: object,
  props: EndpointStatesProps,
): SageMakerCall {
  const { endpointName, owner, alarms } = props;
  const { endpoint, configs } = endpointArns(scope, endpointName, owner);
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
    assign: assign({ polls: 0 }),
  });
}

/** All at once with one instance, for less of it is none; else a tenth first. */
function traffic({ instanceCount, alarms, bakeTime }: EndpointStatesProps): object {
  const WaitIntervalInSeconds = bakeTime.toSeconds();
  const canary = { Type: 'INSTANCE_COUNT', Value: Math.max(1, Math.floor(instanceCount / 10)) };
  return {
    BlueGreenUpdatePolicy: {
      TrafficRoutingConfiguration:
        instanceCount === 1
          ? { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds }
          : { Type: 'CANARY', CanarySize: canary, WaitIntervalInSeconds },
      TerminationWaitInSeconds: 0,
      MaximumExecutionTimeoutInSeconds: Duration.hours(1).toSeconds() + 2 * WaitIntervalInSeconds,
    },
    AutoRollbackConfiguration: { Alarms: alarms.map(({ alarmName }) => ({ AlarmName: alarmName })) },
  };
}
