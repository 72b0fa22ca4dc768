import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { ErrorName } from '../../core/errors';
import { type Expression, equals, exists, expression, jsonata } from '../../machine/jsonata';
import { mostPolls, untilNextPoll } from '../../machine/poll';
import { quotaRetry, retryIntervalJsonata, triesWithin } from '../../machine/retries';
import { callSageMaker, orFail, when } from '../../machine/state-parts';
import { endpointArns } from './endpoint-resources';
import { $, assign, seen } from './endpoint-variables';
import { type EndpointStatesProps, updateEndpoint } from './make';

/** The longest update that SageMaker allows; and the way back, which is all at once. */
const HOURS = { forward: 8, back: 4 };

/**
 * Waits for the endpoint to stop changing: it must serve the configuration of `$plan`. Where machines were lacking, it is
 * tried again for as long as quotas are waited for.
 *
 * @param serving where to go on then
 */
export function settle(scope: Construct, props: EndpointStatesProps, serving: sfn.IChainable): sfn.IChainable {
  const { rolledBack, failed } = props;
  const silentRollback = failure(
    scope,
    'SageMaker rolled back',
    `'the endpoint serves ' & ${seen.EndpointConfigName} & ' and not ' & ${$.plan.endpointConfigName} & ` +
      `': the new model did not pass its health check, or an alarm fired. ' & (${exists(seen.FailureReason)} ` +
      `? ${seen.FailureReason} : 'SageMaker gives no reason; look at the log of the endpoint.')`,
  );
  const broken = failure(
    scope,
    'Endpoint failed',
    `'the endpoint is ' & ${seen.EndpointStatus} & ': ' & (${exists(seen.FailureReason)} ` +
      `? ${seen.FailureReason} : 'it did not come into service in time')`,
  );
  const lacking =
    `${exists(seen.FailureReason)} and ` +
    `$contains(${seen.FailureReason}, /InsufficientInstanceCapacity|Unable to provision requested/)`;
  const tries = triesWithin(props.quotaWait.toSeconds());
  const wait = sfn.Wait.jsonata(scope, 'Wait for machines', {
    time: sfn.WaitTime.seconds(jsonata(retryIntervalJsonata($.waits))),
    assign: assign({ waits: jsonata(expression<number>(`${$.waits} + 1`)), polls: 0 }),
  });
  const noMachines = failure(
    scope,
    'No machines',
    `${seen.FailureReason} & '${HOW_TO_TRY_AGAIN}'`,
    ErrorName.NO_MACHINES,
  );
  const isThere = equals(seen.EndpointStatus, 'InService');
  return waitFor(scope, 'the new model', HOURS.forward, props, (settled) =>
    settled
      .when(serves($.plan.endpointConfigName), serving)
      .when(
        when(expression<boolean>(`${lacking} and ${$.waits} < ${tries} and ${$.looks} < ${mostPolls(HOURS.forward)}`)),
        wait.next(props.planAgain),
      )
      .when(
        when(expression<boolean>(lacking)),
        noMachines.next(
          sfn.Choice.jsonata(scope, 'Does the model before serve?')
            .when(when(exists($.plan.previousConfigName)), rolledBack)
            .otherwise(failed),
        ),
      )
      .when(when(isThere), silentRollback.next(rolledBack))
      .otherwise(broken.next(failed)),
  );
}

/** What a person does about a deployment that found no machines. */
const HOW_TO_TRY_AGAIN = '; the version stays approved: perennial approve it again when there are machines';

/** Brings the model before back; a first model is taken out of service. */
export function bringBack(scope: Construct, props: EndpointStatesProps): sfn.IChainable {
  const { endpointName, owner, rolledBack, failed } = props;
  const undo = updateEndpoint(
    scope,
    'Bring back the model before',
    $.plan.previousConfigName,
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
    settled.when(serves($.plan.previousConfigName), rolledBack).otherwise(failed),
  );
  const withdraw = callSageMaker(scope, 'Take out of service', {
    action: 'deleteEndpoint',
    own: { owner, resources: [endpointArns(scope, endpointName, owner).endpoint] },
    parameters: { EndpointName: endpointName },
  });
  return sfn.Choice.jsonata(scope, 'Was there a model before?')
    .when(when(exists($.plan.previousConfigName)), orFail(undo, failed).next(undone))
    .otherwise(orFail(withdraw, failed).next(rolledBack));
}

function serves(configName: Expression<string | undefined>): sfn.Condition {
  return when(
    expression<boolean>(`${equals(seen.EndpointStatus, 'InService')} and ${seen.EndpointConfigName} = ${configName}`),
  );
}

function failure(scope: Construct, id: string, cause: string, name: string = ErrorName.DEPLOYMENT_FAILED): sfn.Pass {
  return sfn.Pass.jsonata(scope, id, {
    assign: assign({ failure: { name, cause: jsonata(expression<string>(cause)) } }),
  });
}

/**
 * Looks at the endpoint until it has stopped changing: that it is `InService` says nothing yet, because
 * SageMaker rolls a failed update back without a word. Events about endpoints are best effort, so none is waited for.
 */
function waitFor(
  scope: Construct,
  what: string,
  hours: number,
  props: EndpointStatesProps,
  settle: (settled: sfn.Choice) => sfn.Choice,
): sfn.IChainable {
  const { endpointName, owner, failed } = props;
  const wait = sfn.Wait.jsonata(scope, `Wait for ${what}`, untilNextPoll());
  const look = callSageMaker(scope, `Look at ${what}`, {
    action: 'describeEndpoint',
    resources: [endpointArns(scope, endpointName, owner).endpoint],
    parameters: { EndpointName: endpointName },
  });
  const settled = sfn.Choice.jsonata(scope, `Is ${what} settled?`).when(
    when(
      expression<boolean>(
        `(${seen.EndpointStatus} in ['Creating', 'Updating', 'SystemUpdating', 'RollingBack'] ` +
          `or ${exists(seen.PendingDeploymentSummary)}) and ${$.polls} < ${mostPolls(hours)}`,
      ),
    ),
    wait,
  );
  return wait.next(orFail(look, failed)).next(settle(settled));
}
