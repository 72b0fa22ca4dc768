import { Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { SmokeTestReport, SmokeTestRequest } from '../core/deploy/documents';
import { ErrorName } from '../core/errors';
import { LOOK_AT_APPROVAL } from '../core/names';
import { CAUGHT } from '../machine/expressions';
import { expression, jsonata } from '../machine/jsonata';
import { mostPolls, untilNextPoll } from '../machine/poll';
import { quotaRetry, retryIntervalJsonata, triesWithin } from '../machine/retries';
import { callSageMaker, invoke, orFail } from '../machine/state-parts';
import { sageMakerArn } from '../private/grants';
import { arnsOf, type EndpointProps, updateEndpoint } from './serve';

/** The longest update that SageMaker allows; and the way back, which is all at once. */
const HOURS = { forward: 8, back: 4 };

export interface VerifyProps extends EndpointProps {
  /** The function that asks the new endpoint. */
  readonly smokeTest: lambda.IFunction;
  /** Where a model that is proven to serve goes on. */
  readonly deployed: sfn.IChainable;
  /** Where it is decided anew what is to be made, after machines were lacking. */
  readonly planAgain: sfn.IChainable;
  /** Where the model before is back, or nothing serves again; `$failure` is set. */
  readonly rolledBack: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Waits for the endpoint, and then believes only what it answers: it must serve the configuration of `$plan` and
 * pass the smoke test; and its version must still be approved. If not, the model before comes back; a first model is
 * taken out of service.
 * Where machines were lacking, it is tried again for as long as quotas are waited for.
 */
export function verify(scope: Construct, props: VerifyProps): sfn.IChainable {
  const { endpointName, rolledBack, failed } = props;
  const smoke = invoke<SmokeTestRequest, SmokeTestReport>(scope, 'Smoke test', props.smokeTest, {
    endpointName,
    runId: jsonata(expression<string>('$plan.runId')),
  });
  const back = bringBack(scope, props);
  smoke.addCatch(back, { errors: ['States.ALL'], assign: { failure: CAUGHT } });
  const look = callSageMaker(scope, LOOK_AT_APPROVAL, {
    action: 'describeModelPackage',
    resources: [sageMakerArn(Stack.of(scope), `model-package/${props.owner.registry}/*`)],
    parameters: { ModelPackageName: jsonata('$modelPackageArn') },
  });
  look.addCatch(back, { errors: ['States.ALL'], assign: { failure: CAUGHT } });
  const withdrawn = failure(
    scope,
    'Approval withdrawn',
    "$modelPackageArn & ' must still be Approved when its deployment ends, got ' & $states.input.ModelApprovalStatus & " +
      "': somebody changed it meanwhile, so the model before is brought back'",
    ErrorName.NOT_DEPLOYABLE,
  );
  smoke.next(look).next(
    sfn.Choice.jsonata(scope, 'Is it still approved?')
      .when(sfn.Condition.jsonata(jsonata("$states.input.ModelApprovalStatus = 'Approved'")), props.deployed)
      .otherwise(withdrawn.next(back)),
  );

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
  const lacking =
    '$exists($states.input.FailureReason) and ' +
    '$contains($states.input.FailureReason, /InsufficientInstanceCapacity|Unable to provision requested/)';
  const tries = triesWithin(props.quotaWait.toSeconds());
  const wait = sfn.Wait.jsonata(scope, 'Wait for machines', {
    time: sfn.WaitTime.seconds(jsonata(retryIntervalJsonata(expression('$waits')))),
    assign: { waits: jsonata('$waits + 1'), polls: 0 },
  });
  const noMachines = failure(
    scope,
    'No machines',
    `$states.input.FailureReason & '${HOW_TO_TRY_AGAIN}'`,
    ErrorName.NO_MACHINES,
  );
  const isThere = "$states.input.EndpointStatus = 'InService'";
  return waitFor(scope, 'the new model', HOURS.forward, props, (settled) =>
    settled
      .when(serves('$plan.endpointConfigName'), smoke)
      .when(
        sfn.Condition.jsonata(jsonata(`${lacking} and $waits < ${tries} and $looks < ${mostPolls(HOURS.forward)}`)),
        wait.next(props.planAgain),
      )
      .when(
        sfn.Condition.jsonata(jsonata(lacking)),
        noMachines.next(
          sfn.Choice.jsonata(scope, 'Does the model before serve?')
            .when(sfn.Condition.jsonata(jsonata('$exists($plan.previousConfigName)')), rolledBack)
            .otherwise(failed),
        ),
      )
      .when(sfn.Condition.jsonata(jsonata(isThere)), silentRollback.next(rolledBack))
      .otherwise(broken.next(failed)),
  );
}

/** What a person does about a deployment that found no machines. */
const HOW_TO_TRY_AGAIN = '; the version stays approved: perennial approve it again when there are machines';

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
  undo.addRetry(quotaRetry(props.quotaWait));
  const undone = waitFor(scope, 'the old model', HOURS.back, props, (settled) =>
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

function failure(scope: Construct, id: string, cause: string, name: string = ErrorName.DEPLOYMENT_FAILED): sfn.Pass {
  return sfn.Pass.jsonata(scope, id, { assign: { failure: { name, cause: jsonata(cause) } } });
}

/**
 * Looks at the endpoint until it has stopped changing: that it is `InService` says nothing yet, because
 * SageMaker rolls a failed update back without a word. Events about endpoints are best effort, so none is waited for.
 */
function waitFor(
  scope: Construct,
  what: string,
  hours: number,
  props: VerifyProps,
  settle: (settled: sfn.Choice) => sfn.Choice,
): sfn.IChainable {
  const { endpointName, failed } = props;
  const wait = sfn.Wait.jsonata(scope, `Wait for ${what}`, untilNextPoll());
  const look = callSageMaker(scope, `Look at ${what}`, {
    action: 'describeEndpoint',
    resources: [arnsOf(scope, props).endpoint],
    parameters: { EndpointName: endpointName },
  });
  const settled = sfn.Choice.jsonata(scope, `Is ${what} settled?`).when(
    sfn.Condition.jsonata(
      jsonata(
        "($states.input.EndpointStatus in ['Creating', 'Updating', 'SystemUpdating', 'RollingBack'] " +
          `or $exists($states.input.PendingDeploymentSummary)) and $polls < ${mostPolls(hours)}`,
      ),
    ),
    wait,
  );
  return wait.next(orFail(look, failed)).next(settle(settled));
}
