import { Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { ErrorName } from '../core/errors';
import { callSageMaker, invoke, orFail } from '../private/state-parts';
import { CAUGHT, jsonata } from './expressions';
import { arnsOf, type EndpointProps, updateEndpoint } from './serve';

/** Seconds between two looks at a changing endpoint. */
export const POLL_SECONDS = 30;

/** Looks at a changing endpoint before it is given up: 8 hours, the longest update that SageMaker allows. */
const MAX_POLLS = (8 * 3600) / POLL_SECONDS;

export interface VerifyProps extends EndpointProps {
  /** The function that asks the new endpoint. */
  readonly smokeTest: lambda.IFunction;
  /** Where a model that is proven to serve goes on. */
  readonly deployed: sfn.IChainable;
  /** Where the model before is back, or nothing serves again; `$failure` is set. */
  readonly rolledBack: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Waits for the endpoint, and then believes only what it answers: it must serve the configuration of `$plan` and
 * pass the smoke test. If it does not, the model before comes back; a first model is taken out of service.
 */
export function verify(scope: Construct, props: VerifyProps): sfn.IChainable {
  const { endpointName, rolledBack, failed } = props;
  const smoke = invoke(scope, 'Smoke test', props.smokeTest, { endpointName, runId: jsonata('$plan.runId') });
  smoke.addCatch(bringBack(scope, props), { errors: ['States.ALL'], assign: { failure: CAUGHT } });
  smoke.next(props.deployed);

  const silentRollback = failure(
    scope,
    'SageMaker rolled back',
    "'the endpoint serves ' & $states.input.EndpointConfigName & ' and not ' & $plan.endpointConfigName & " +
      "': the new model did not pass its health check, or an alarm fired. ' & ($exists($states.input.FailureReason) " +
      "? $states.input.FailureReason : 'SageMaker gives no reason; look at the log of the endpoint.')",
  );
  const broken = failure(
    scope,
    'Endpoint failed',
    "'the endpoint is ' & $states.input.EndpointStatus & ': ' & ($exists($states.input.FailureReason) " +
      "? $states.input.FailureReason : 'it did not come into service in time')",
  );
  return waitFor(scope, 'the new model', props, (settled) =>
    settled
      .when(serves('$plan.endpointConfigName'), smoke)
      .when(
        sfn.Condition.jsonata(jsonata("$states.input.EndpointStatus = 'InService'")),
        silentRollback.next(rolledBack),
      )
      .otherwise(broken.next(failed)),
  );
}

function bringBack(scope: Construct, props: VerifyProps): sfn.IChainable {
  const { endpointName, rolledBack, failed } = props;
  const undo = updateEndpoint(
    scope,
    'Bring back the model before',
    '$plan.previousConfigName',
    {
      BlueGreenUpdatePolicy: {
        TrafficRoutingConfiguration: { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 0 },
        TerminationWaitInSeconds: 0,
      },
    },
    props,
  );
  const undone = waitFor(scope, 'the old model', props, (settled) =>
    settled.when(serves('$plan.previousConfigName'), rolledBack).otherwise(failed),
  );
  const withdraw = callSageMaker(scope, 'Take out of service', {
    action: 'deleteEndpoint',
    own: { owner: props.owner, resources: [arnsOf(scope, props).endpoint] },
    parameters: { EndpointName: endpointName },
  });
  return sfn.Choice.jsonata(scope, 'Was there a model before?')
    .when(sfn.Condition.jsonata(jsonata('$exists($plan.previousConfigName)')), orFail(undo, failed).next(undone))
    .otherwise(orFail(withdraw, failed).next(rolledBack));
}

function serves(configName: string): sfn.Condition {
  return sfn.Condition.jsonata(
    jsonata(`$states.input.EndpointStatus = 'InService' and $states.input.EndpointConfigName = ${configName}`),
  );
}

function failure(scope: Construct, id: string, cause: string): sfn.Pass {
  return sfn.Pass.jsonata(scope, id, {
    assign: { failure: { name: ErrorName.DEPLOYMENT_FAILED, cause: jsonata(cause) } },
  });
}

/**
 * Looks at the endpoint until it has stopped changing: that it is `InService` says nothing yet, because
 * SageMaker rolls a failed update back without a word. Events about endpoints are best effort, so none is waited for.
 */
function waitFor(
  scope: Construct,
  what: string,
  props: VerifyProps,
  settle: (settled: sfn.Choice) => sfn.Choice,
): sfn.IChainable {
  const { endpointName, failed } = props;
  const wait = sfn.Wait.jsonata(scope, `Wait for ${what}`, {
    time: sfn.WaitTime.duration(Duration.seconds(POLL_SECONDS)),
    assign: { polls: jsonata('$polls + 1') },
  });
  const look = callSageMaker(scope, `Look at ${what}`, {
    action: 'describeEndpoint',
    resources: [arnsOf(scope, props).endpoint],
    parameters: { EndpointName: endpointName },
  });
  const settled = sfn.Choice.jsonata(scope, `Is ${what} settled?`).when(
    sfn.Condition.jsonata(
      jsonata(
        "($states.input.EndpointStatus in ['Creating', 'Updating', 'SystemUpdating', 'RollingBack'] " +
          `or $exists($states.input.PendingDeploymentSummary)) and $polls < ${MAX_POLLS}`,
      ),
    ),
    wait,
  );
  return wait.next(orFail(look, failed)).next(settle(settled));
}
