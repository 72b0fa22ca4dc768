import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { CAUGHT, jsonata } from './expressions';
import { FunctionTask } from './function-task';
import { SAGEMAKER_RETRY, SERVICE_RETRY } from './retries';
import { SageMakerCall, type SageMakerCallProps } from './sagemaker-call';

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

/** A state that makes one call of SageMaker's API. */
export function callSageMaker(scope: Construct, id: string, call: SageMakerCallProps): SageMakerCall {
  const task = new SageMakerCall(scope, id, call);
  task.addRetry(SAGEMAKER_RETRY);
  return task;
}

/** Sends every failure of a state where it is recorded, with `$failure` set. */
export function orFail<T extends sfn.TaskStateBase>(state: T, failed: sfn.IChainable): T {
  state.addCatch(failed, { errors: ['States.ALL'], assign: { failure: CAUGHT } });
  return state;
}

/**
 * Goes on after a call that makes something under a fixed name, also where it is there already.
 *
 * @param there where to go then: to what looks whether it is ours
 */
export function makeOnce(
  scope: Construct,
  task: SageMakerCall,
  next: sfn.IChainable,
  there: sfn.IChainable,
  failed: sfn.IChainable,
): void {
  task.next(next);
  task.addCatch(
    sfn.Choice.jsonata(scope, `${task.id}: there already?`)
      .when(sfn.Condition.jsonata(jsonata("$contains($failure.cause, 'already existing')")), there, {
        assign: { failure: null },
      })
      .otherwise(failed),
    { errors: ['States.ALL'], assign: { failure: CAUGHT } },
  );
}
