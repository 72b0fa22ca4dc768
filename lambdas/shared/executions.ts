import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  paginateListExecutions,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';

/** What Step Functions says of an execution. */
export interface Execution {
  /** RUNNING, PENDING_REDRIVE, or how it ended. */
  readonly status: string;
  /** ISO. */
  readonly startedAt: string;
  /** ISO; absent while it runs. */
  readonly endedAt?: string;
  readonly input?: string;
}

/** The executions of one state machine; tests have them in memory. */
export interface Executions {
  /**
   * Starts an execution; its name is its idempotency key. While it runs, starting it again with the same input does
   * nothing.
   *
   * @returns false if an execution of this name has ended already
   */
  start(name: string, input: string): Promise<boolean>;
  /** An execution, as it was a moment ago; undefined if there is none. */
  find(name: string): Promise<Execution | undefined>;
  /** The names of those that run. */
  running(): Promise<string[]>;
}

/** The ARN of an execution of a state machine. */
export function executionArn(stateMachineArn: string, name: string): string {
  return `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
}

/** The executions of a state machine on AWS. */
export function awsExecutions(stateMachineArn: string, sfn = new SFNClient()): Executions {
  return {
    async start(name, input) {
      try {
        await sfn.send(new StartExecutionCommand({ stateMachineArn, name, input }));
        return true;
      } catch (error) {
        if (error instanceof ExecutionAlreadyExists) return false;
        throw error;
      }
    },
    async find(name) {
      try {
        const request = new DescribeExecutionCommand({ executionArn: executionArn(stateMachineArn, name) });
        const { status = '', startDate, stopDate, input } = await sfn.send(request);
        const startedAt = (startDate ?? new Date(0)).toISOString();
        return { status, startedAt, ...(stopDate && { endedAt: stopDate.toISOString() }), input };
      } catch (error) {
        if (error instanceof ExecutionDoesNotExist) return undefined;
        throw error;
      }
    },
    async running() {
      const names: string[] = [];
      for await (const { executions = [] } of paginateListExecutions(
        { client: sfn },
        { stateMachineArn, statusFilter: 'RUNNING' },
      )) {
        names.push(...executions.map(({ name = '' }) => name));
      }
      return names;
    },
  };
}

/**
 * Starts an execution that was decided on before, unless somebody has started another one since: then it is started
 * when that is looked at again.
 *
 * @returns false if it has ended already
 */
export async function startAlone(executions: Executions, name: string, input: string): Promise<boolean> {
  const others = (await executions.running()).filter((other) => other !== name);
  return others.length > 0 || executions.start(name, input);
}

/** Whether an execution has ended, for all that is known. */
export function hasEnded({ status }: Execution): boolean {
  return status !== 'RUNNING' && status !== 'PENDING_REDRIVE';
}
