import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { CAUGHT } from './expressions';
import { FunctionTask } from './function-task';
import { type Assigned, type Expression, expression, jsonata, type Path, path, type Templated } from './jsonata';
import { SAGEMAKER_RETRY, SERVICE_RETRY } from './retries';
import { SageMakerCall, type SageMakerCallProps } from './sagemaker-call';

/**
 * A state that runs one of our functions and outputs its report. `invoke<Request, Report, Variables>` names what the
 * function is given, what it answers, and the machine's variables; the compiler holds all three against its handler.
 *
 * @param payload the request: members that are always there may be JSONata each; where one may be missing the whole
 * must be, see `object` in `jsonata.ts`, because a field fails that yields nothing
 * @param assign the variables that are set from the report
 */
export function invoke<Request = never, Report = never, Variables = Record<never, never>>(
  scope: Construct,
  id: string,
  lambdaFunction: lambda.IFunction,
  payload: Templated<NoInfer<Request>>,
  assign?: (report: Path<NoInfer<Report>>) => Assigned<NoInfer<Variables>>,
): FunctionTask {
  const report = path<Report>('$states.result.Payload');
  const task = new FunctionTask(scope, id, {
    function: lambdaFunction,
    payload,
    outputs: jsonata(report),
    assign: assign?.(report),
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

/** A condition of a choice. */
export function when(condition: Expression<boolean>): sfn.Condition {
  return sfn.Condition.jsonata(jsonata(condition));
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
      .when(when(expression("$contains($failure.cause, 'already existing')")), there, {
        assign: { failure: null },
      })
      .otherwise(failed),
    { errors: ['States.ALL'], assign: { failure: CAUGHT } },
  );
}
