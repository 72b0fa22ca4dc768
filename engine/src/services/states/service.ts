import { randomUUID } from 'node:crypto';
import {
  ApiError,
  type Context,
  type Objects,
  type Operation,
  type Resource,
  type RoleCaller,
  type Service,
  type Shape,
} from '../../service';
import { fingerprint } from '../../state/fingerprint';
import { announce } from './announce';
import { type Machine, statesOf } from './definition';
import { PAYLOAD_LIMIT } from './errors';
import { Execution } from './execution';
import type { Host } from './frame';
import { Integrations, integrationFailure } from './integrations';
import { readItems, writeResults } from './items';
import { ruleNeeds } from './jobs';
import { Evaluator } from './jsonata';
import { KEPT_EXECUTIONS, KeptExecutions, type Left } from './kept-executions';
import { RESOURCES } from './resources';
import type { StateMachine } from './summary';
import { Tokens } from './tokens';
import { problems } from './validate';

/** The most characters of a definition. */
const DEFINITION_LIMIT = 1_048_576;

/**
 * Step Functions: runs the template's state machines, JSONata alone.
 *
 * Timeouts count real time, waits the engine's clock. A redrive runs the failed state again
 * from its start, also where it is a Parallel or a Map.
 */
export class StepFunctions implements Service {
  readonly name = 'states';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly machines = new Map<string, StateMachine>();
  /** By ARN, oldest first. */
  private readonly executions = new Map<string, Execution>();
  private readonly tokens = new Tokens();
  private readonly evaluator: Evaluator;
  private readonly kept: KeptExecutions;

  constructor(
    private readonly context: Context,
    private readonly objects: Objects,
  ) {
    this.kept = new KeptExecutions(context);
    this.evaluator = new Evaluator(
      () => context.random(),
      () => context.clock.now(),
    );
    this.operations = this.makeOperations();
  }

  load(resources: readonly Resource[]): void {
    for (const resource of resources) {
      if (resource.type === 'AWS::StepFunctions::StateMachine') this.create(resource);
    }
    this.restore();
  }

  async stop(): Promise<void> {
    const running = [...this.executions.values()].filter(({ status }) => status === 'RUNNING');
    await Promise.all(running.map((execution) => execution.suspend()));
  }

  private create(resource: Resource): void {
    const {
      DefinitionString,
      Definition,
      DefinitionSubstitutions = {},
      RoleArn,
      StateMachineType,
    } = resource.properties;
    const where = `state machine ${resource.path}`;
    if (DefinitionString === undefined && Definition === undefined) {
      throw new Error(`${where}: the local engine needs DefinitionString or Definition, not DefinitionS3Location`);
    }
    let text = DefinitionString ?? JSON.stringify(Definition);
    for (const [key, value] of Object.entries(DefinitionSubstitutions)) text = text.replaceAll(`\${${key}}`, value);
    if (text.length > DEFINITION_LIMIT) {
      const got = `got ${text.length.toLocaleString('en')}`;
      throw new Error(
        `${where}: its definition must have at most ${DEFINITION_LIMIT.toLocaleString('en')} characters, ${got}`,
      );
    }
    let definition: Machine;
    try {
      definition = JSON.parse(text);
    } catch (error) {
      throw new Error(`${where}: its definition is no JSON: ${(error as Error).message}`);
    }
    const type = StateMachineType === 'EXPRESS' ? 'EXPRESS' : 'STANDARD';
    const found = problems(definition, this.evaluator, type);
    if (found.length > 0) throw new Error(`${where} cannot run:\n  ${found.join('\n  ')}`);
    this.checkRules(definition, RoleArn, where);
    this.machines.set(resource.arn, {
      arn: resource.arn,
      name: resource.arn.slice(resource.arn.lastIndexOf(':') + 1),
      roleArn: RoleArn,
      type,
      definition,
      fingerprint: fingerprint(definition),
      created: new Date(this.context.clock.now()),
    });
  }

  /** As CreateStateMachine does: a role that is to wait for jobs must be allowed the rule that reports their end. */
  private checkRules(definition: Machine, roleArn: string, where: string): void {
    for (const { Resource = '' } of statesOf(definition)) {
      const [, action] = /:states:::(?:sagemaker|states):(\w+)\.sync/.exec(Resource) ?? [];
      if (action === undefined) continue;
      for (const need of ruleNeeds(action, this.context.aws)) {
        try {
          this.context.authorize({ kind: 'role', roleArn }, need);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          throw new Error(
            `${where}: '${roleArn}' is not authorized to create managed-rule. ${Resource} needs ${need.action} on ${need.resource}.`,
          );
        }
      }
    }
  }

  private restore(): void {
    const left = this.kept.restore((arn) => this.machine(arn));
    left.sort((one, other) => one.summary.startDate.getTime() - other.summary.startDate.getTime());
    const running: [Execution, Left][] = [];
    for (const one of left) {
      const machine = this.machine(one.summary.stateMachineArn);
      const execution = Execution.restore(machine, one.summary, one.events, this.context.clock, this.kept);
      this.executions.set(execution.arn, execution);
      if (execution.status === 'RUNNING') running.push([execution, one]);
    }
    this.kept.checkFiles(this.executions.values());
    for (const [execution, one] of running) this.goOn(execution, one);
  }

  /** Goes on with an execution that ran when the engine ended. */
  private goOn(execution: Execution, { resumed }: Left): void {
    const { machine, name } = execution;
    if (!execution.isCurrent) {
      const cause = 'The state machine was changed while the local engine was off, so this execution cannot go on.';
      this.context.recovered(`the execution ${name} of ${machine.name} was ended as ABORTED: ${cause}`);
      this.context.whenReady(() => execution.abandon(cause, (changed) => this.changed(changed)));
      return;
    }
    const at = resumed === undefined ? 'its beginning' : `the state '${resumed.entered.state}'`;
    const { phase } = resumed?.progress ?? {};
    const isLost = phase?.kind === 'scheduled' || phase?.kind === 'branches';
    this.context.recovered(
      `the execution ${name} of ${machine.name} goes on at ${at}${isLost ? ', whose work counts as failed: how far it had come is not known' : ''}`,
    );
    this.context.whenReady(() => {
      execution.resume(this.host(machine), (changed) => this.changed(changed), resumed);
      this.context.background(`execution ${name}`, () => execution.ended);
    });
  }

  private host(machine: StateMachine): Host {
    const { context, objects } = this;
    const caller = (): RoleCaller =>
      context.assumeRole(machine.roleArn, 'states.amazonaws.com', machine.arn, machine.name);
    const ended = (arn: string, signal: AbortSignal) => this.ended(arn, signal);
    const integrations = new Integrations(context, caller, ended);
    const asFailure = (error: unknown) => {
      throw integrationFailure(error);
    };
    return {
      clock: context.clock,
      evaluator: this.evaluator,
      region: context.aws.region,
      random: () => context.random(),
      task: (call) => integrations.run(call).catch(asFailure),
      token: (known) => this.tokens.issue(machine.arn, known),
      read: (call) => readItems(objects, caller(), call).catch(asFailure),
      write: (call) => writeResults(objects, caller(), call).catch(asFailure),
      distribute: () => {
        const need = { action: 'states:StartExecution', resource: machine.arn };
        try {
          context.authorize(caller(), need);
        } catch (error) {
          asFailure(error);
        }
      },
    };
  }

  private async ended(arn: string, signal: AbortSignal): Promise<Shape> {
    const execution = this.execution(arn);
    await Promise.race([
      execution.ended,
      new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    ]);
    return execution.describe();
  }

  private changed(execution: Execution): void {
    this.context.store.together(() => {
      if (execution.machine.type === 'STANDARD') {
        if (execution.status === 'RUNNING') this.kept.begin(execution);
        else this.kept.close(execution);
      }
      announce(this.context, execution);
      if (execution.status !== 'RUNNING') this.forgetOldest(execution.machine);
    });
  }

  /** Drops the oldest of a machine's executions that have ended, beyond those that are kept. */
  private forgetOldest(machine: StateMachine): void {
    const ended = [...this.executions.values()].filter((it) => it.machine === machine && it.status !== 'RUNNING');
    for (const execution of ended.slice(0, Math.max(0, ended.length - KEPT_EXECUTIONS))) {
      this.executions.delete(execution.arn);
      this.kept.drop(execution);
    }
  }

  private machine(arn: string): StateMachine {
    // A version's or an alias's ARN has one part more.
    const machine = this.machines.get(arn) ?? this.machines.get(String(arn).split(':').slice(0, 7).join(':'));
    if (machine === undefined) {
      throw new ApiError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${arn}'`);
    }
    return machine;
  }

  private execution(arn: string): Execution {
    const execution = this.executions.get(arn);
    if (execution === undefined) {
      throw new ApiError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
    }
    return execution;
  }

  private start(input: Shape): Execution {
    const machine = this.machine(input.stateMachineArn);
    const name: string = input.name ?? randomUUID();
    const text: string = input.input ?? '{}';
    if (!/^[^\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]{1,80}$/u.test(name)) {
      throw new ApiError(
        'InvalidName',
        `Invalid Name: '${name}'. An execution's name has 1 to 80 characters, best of 0-9, A-Z, a-z, - and _.`,
      );
    }
    if (Buffer.byteLength(text) > PAYLOAD_LIMIT) {
      throw new ApiError(
        'ValidationException',
        `1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to ${PAYLOAD_LIMIT}, got ${Buffer.byteLength(text)}`,
      );
    }
    try {
      JSON.parse(text);
    } catch (error) {
      throw new ApiError('InvalidExecutionInput', `Invalid State Machine Execution Input: ${(error as Error).message}`);
    }
    const execution = new Execution(machine, name, text, this.context.clock, this.kept);
    const same = this.executions.get(execution.arn);
    if (same !== undefined) {
      if (same.status === 'RUNNING' && same.input === text) return same;
      throw new ApiError('ExecutionAlreadyExists', `Execution Already Exists: '${execution.arn}'`);
    }
    this.executions.set(execution.arn, execution);
    this.begin(execution);
    return execution;
  }

  private begin(execution: Execution): void {
    const from = execution.redrivable ? execution.reopen() : undefined;
    execution.start(this.host(execution.machine), (changed) => this.changed(changed), from);
    this.context.background(`execution ${execution.name}`, () => execution.ended);
  }

  private redrive(execution: Execution): Date {
    if (!execution.redrivable) {
      throw new ApiError(
        'ExecutionNotRedrivable',
        `Execution cannot be redriven: '${execution.arn}' is ${execution.status}. Only executions that failed, timed out or were aborted can.`,
      );
    }
    this.begin(execution);
    return new Date(this.context.clock.now());
  }

  private makeOperations(): Record<string, Operation> {
    const on =
      (action: string, resource: (input: Shape) => string): Operation['needs'] =>
      (input) => [{ action: `states:${action}`, resource: resource(input) }];
    const machineArn = (input: Shape) => input.stateMachineArn as string;
    const executionArn = (input: Shape) => input.executionArn as string;
    const tokenMachine = (input: Shape) => this.tokens.machineOf(input.taskToken);
    const anything = () => '*';
    return {
      StartExecution: {
        needs: on('StartExecution', machineArn),
        run: (input) => {
          const { arn, startDate } = this.start(input);
          return { executionArn: arn, startDate };
        },
      },
      StartSyncExecution: {
        needs: on('StartSyncExecution', machineArn),
        run: async (input) => {
          const execution = this.start(input);
          await execution.ended;
          const { redriveCount: _, redriveStatus: __, ...described } = execution.describe();
          return described;
        },
      },
      StopExecution: {
        needs: on('StopExecution', executionArn),
        run: async (input) => {
          const execution = this.execution(input.executionArn);
          await execution.stop(input.error, input.cause);
          return { stopDate: execution.stopDate };
        },
      },
      RedriveExecution: {
        needs: on('RedriveExecution', executionArn),
        run: (input) => ({ redriveDate: this.redrive(this.execution(input.executionArn)) }),
      },
      DescribeExecution: {
        needs: on('DescribeExecution', executionArn),
        run: (input) => this.execution(input.executionArn).describe(),
      },
      ListExecutions: {
        needs: on('ListExecutions', machineArn),
        run: (input) => {
          const machine = this.machine(input.stateMachineArn);
          const all = [...this.executions.values()].reverse();
          const chosen = all.filter(
            (it) => it.machine === machine && (input.statusFilter === undefined || it.status === input.statusFilter),
          );
          const { items, ...rest } = page(chosen, input, 1000);
          return { executions: items.map(summary), ...rest };
        },
      },
      GetExecutionHistory: {
        needs: on('GetExecutionHistory', executionArn),
        run: (input) => {
          const { events } = this.execution(input.executionArn).past();
          const { items, ...rest } = page(input.reverseOrder === true ? events.toReversed() : events, input, 100);
          return { events: items, ...rest };
        },
      },
      DescribeStateMachine: {
        needs: on('DescribeStateMachine', machineArn),
        run: (input) => describeMachine(this.machine(input.stateMachineArn)),
      },
      DescribeStateMachineForExecution: {
        needs: on('DescribeStateMachineForExecution', executionArn),
        run: (input) => {
          const { machine } = this.execution(input.executionArn);
          const { creationDate, status: _, type: __, ...described } = describeMachine(machine);
          return { ...described, updateDate: creationDate };
        },
      },
      ListStateMachines: {
        needs: on('ListStateMachines', anything),
        run: (input) => {
          const { items, ...rest } = page([...this.machines.values()], input, 1000);
          const stateMachines = items.map(({ arn, name, type, created }) => {
            return { stateMachineArn: arn, name, type, creationDate: created };
          });
          return { stateMachines, ...rest };
        },
      },
      SendTaskSuccess: {
        needs: on('SendTaskSuccess', tokenMachine),
        run: (input) => {
          this.tokens.succeed(input.taskToken, input.output);
          return {};
        },
      },
      SendTaskFailure: {
        needs: on('SendTaskFailure', tokenMachine),
        run: (input) => {
          this.tokens.fail(input.taskToken, input.error, input.cause);
          return {};
        },
      },
      SendTaskHeartbeat: {
        needs: on('SendTaskHeartbeat', tokenMachine),
        run: (input) => {
          this.tokens.heartbeat(input.taskToken);
          return {};
        },
      },
    };
  }
}

function summary(execution: Execution): Shape {
  const { executionArn, stateMachineArn, name, status, startDate, stopDate, redriveCount } = execution.describe();
  return { executionArn, stateMachineArn, name, status, startDate, ...(stopDate && { stopDate }), redriveCount };
}

function describeMachine({ arn, name, type, roleArn, definition, created }: StateMachine): Shape {
  return {
    stateMachineArn: arn,
    name,
    status: 'ACTIVE',
    definition: JSON.stringify(definition),
    roleArn,
    type,
    creationDate: created,
  };
}

function page<T>(all: readonly T[], input: Shape, most: number): { items: readonly T[]; nextToken?: string } {
  const offset = input.nextToken === undefined ? 0 : Number(Buffer.from(input.nextToken, 'base64').toString());
  if (!Number.isInteger(offset)) throw new ApiError('InvalidToken', `Invalid Token: '${input.nextToken}'`);
  const end = offset + Math.min(input.maxResults || most, 1000);
  const items = all.slice(offset, end);
  return end < all.length ? { items, nextToken: Buffer.from(String(end)).toString('base64') } : { items };
}
