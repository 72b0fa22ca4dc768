import type { Context } from '../../service';
import type { Execution } from './execution';

/** Tells metrics, log and EventBridge what has become of an execution; an express one leaves no trace there. */
export function announce(context: Context, execution: Execution): void {
  const { machine, status, name, input, output, startDate, stopDate } = execution;
  if (machine.type === 'EXPRESS') return;
  const dimensions = { StateMachineArn: machine.arn };
  const metric = (what: string, value: number, unit: string) =>
    context.metric('AWS/States', what, value, dimensions, unit);
  if (status === 'RUNNING') metric('ExecutionsStarted', 1, 'Count');
  else {
    metric(
      { SUCCEEDED: 'ExecutionsSucceeded', FAILED: 'ExecutionsFailed', TIMED_OUT: 'ExecutionsTimedOut' }[
        status as string
      ] ?? 'ExecutionsAborted',
      1,
      'Count',
    );
    metric('ExecutionTime', (stopDate?.getTime() ?? 0) - startDate.getTime(), 'Milliseconds');
  }
  context.log('states', `${machine.name} ${name} ${status}`, {
    executionArn: execution.arn,
    status,
    ...(execution.error !== undefined && { error: execution.error }),
    ...(execution.cause !== undefined && { cause: execution.cause }),
  });
  context.emit({
    source: 'aws.states',
    'detail-type': 'Step Functions Execution Status Change',
    resources: [execution.arn],
    detail: {
      executionArn: execution.arn,
      stateMachineArn: machine.arn,
      name,
      status,
      startDate: startDate.getTime(),
      stopDate: stopDate?.getTime() ?? null,
      input,
      inputDetails: { included: true },
      output: output ?? null,
      outputDetails: output === undefined ? null : { included: true },
      error: execution.error ?? null,
      cause: execution.cause ?? null,
      redriveCount: execution.redriveCount,
    },
  });
}
