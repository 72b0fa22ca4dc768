import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { CAUGHT, jsonata } from '../steps/expressions';
import { FunctionTask } from '../steps/function-task';
import { SAGEMAKER_RETRY, SERVICE_RETRY } from '../steps/retries';

/**
 * A state that runs one of our functions and outputs its report.
 *
 * @param payload an object whose strings may be JSONata, or one JSONata expression for the whole: a member
 * that may be missing needs the latter, because alone it would fail when it yields nothing
 */
export function invoke(
  scope: Construct,
  id: string,
  lambdaFunction: lambda.IFunction,
  payload: Record<string, unknown> | string,
  assign?: Record<string, unknown>,
): FunctionTask {
  const task = new FunctionTask(scope, id, {
    function: lambdaFunction,
    payload,
    outputs: jsonata('$states.result.Payload'),
    assign,
  });
  task.addRetry(SERVICE_RETRY);
  return task;
}

export interface SageMakerCall {
  /** The API's action in camelCase. */
  readonly action: string;
  /** The ARNs that the call is about. */
  readonly resources: string[];
  /** The request, as the API has it; strings may be JSONata. */
  readonly parameters: Record<string, unknown>;
  /** Further permissions that the call needs. */
  readonly statements?: iam.PolicyStatement[];
  readonly assign?: Record<string, unknown>;
}

/** A state that makes one call of SageMaker's API. */
export function callSageMaker(scope: Construct, id: string, call: SageMakerCall): tasks.CallAwsService {
  const task = tasks.CallAwsService.jsonata(scope, id, {
    service: 'sagemaker',
    action: call.action,
    iamAction: `sagemaker:${call.action.charAt(0).toUpperCase()}${call.action.slice(1)}`,
    iamResources: call.resources,
    additionalIamStatements: call.statements,
    parameters: call.parameters,
    assign: call.assign,
  });
  task.addRetry(SAGEMAKER_RETRY);
  return task;
}

/** Sends every failure of a state where it is recorded, with `$failure` set. */
export function orFail<T extends sfn.TaskStateBase>(state: T, failed: sfn.IChainable): T {
  state.addCatch(failed, { errors: ['States.ALL'], assign: { failure: CAUGHT } });
  return state;
}

/** Goes on after a call that makes something under a fixed name; that it is there already is success. */
export function makeOnce(
  scope: Construct,
  task: tasks.CallAwsService,
  next: sfn.IChainable,
  failed: sfn.IChainable,
): void {
  task.next(next);
  task.addCatch(
    sfn.Choice.jsonata(scope, `${task.id}: there already?`)
      .when(sfn.Condition.jsonata(jsonata("$contains($failure.cause, 'already existing')")), next)
      .otherwise(failed),
    { errors: ['States.ALL'], assign: { failure: CAUGHT } },
  );
}
