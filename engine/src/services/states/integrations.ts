import { randomUUID } from 'node:crypto';
import { signingName } from '../../gateway/signing-names';
import { ApiError, type Caller, type Context, type RoleCaller, type Shape } from '../../service';
import { StatesError } from './errors';
import type { TaskCall } from './frame';
import { JOBS, runJob } from './jobs';
import { serviceError, translated } from './service-errors';
import { camelCase, epochTime, isoTime, jsonOf, pascalCase, renamed } from './shapes';

/** Services whose own members begin with a small letter; `aws-sdk:` shows them with a capital. */
const CAMEL_CASE_SERVICES = ['states', 'logs'];

/** The optimized integrations that do one call and give its answer. */
const OPTIMIZED: Readonly<Record<string, readonly string[]>> = {
  dynamodb: ['getItem', 'putItem', 'updateItem', 'deleteItem'],
  events: ['putEvents'],
  sagemaker: [...Object.keys(JOBS), 'createModel', 'createEndpointConfig', 'createEndpoint', 'updateEndpoint'],
  sns: ['publish'],
  sqs: ['sendMessage'],
};

/**
 * The fields that the optimized integrations are known to take; SageMaker has more, which these refuse.
 * `aws-sdk:sagemaker:…` takes them all.
 */
export const KNOWN_FIELDS: Readonly<Record<string, readonly string[]>> = {
  createEndpoint: ['EndpointName', 'EndpointConfigName', 'Tags'],
  createEndpointConfig: ['EndpointConfigName', 'ProductionVariants', 'KmsKeyId', 'Tags'],
  updateEndpoint: ['EndpointName', 'EndpointConfigName'],
};

/** Does the work of Tasks by calls to the engine's other services, as the state machine's role. */
export class Integrations {
  constructor(
    private readonly context: Context,
    /** The caller that the state machine's role makes. */
    private readonly own: () => RoleCaller,
    /** Waits until an execution has ended; gives what DescribeExecution says of it. */
    private readonly ended: (executionArn: string, signal: AbortSignal) => Promise<Shape>,
  ) {}

  async run(call: TaskCall): Promise<unknown> {
    const { type, action, pattern, arn } = call.resource;
    const caller = this.caller(call);
    if (type.startsWith('aws-sdk:')) return await this.sdk(type.slice('aws-sdk:'.length), call, caller);
    if (type === 'lambda-function') return (await this.invoke(arn, call.arguments, caller)).Payload;
    const given = (call.arguments ?? {}) as Shape;
    if (type === 'lambda' && action === 'invoke') {
      const { FunctionName, Payload = {}, ...rest } = given;
      return await this.invoke(FunctionName, Payload, caller, rest);
    }
    if (type === 'states' && action === 'startExecution') return await this.startExecution(call, given, caller);
    const job = type === 'sagemaker' && pattern === 'sync' ? JOBS[action] : undefined;
    if (job !== undefined) return await runJob(this.context, call, caller, job);
    if (OPTIMIZED[type]?.includes(action) !== true || pattern?.startsWith('sync') === true) {
      throw new StatesError(
        'States.Runtime',
        `the local engine has no integration ${arn}. It has aws-sdk:<service>:<action>, lambda:invoke, states:startExecution[.sync|.sync:2], .sync for ${Object.keys(JOBS).join(', ')}, and ${Object.entries(
          OPTIMIZED,
        )
          .map(([service, actions]) => `${service}: ${actions.join(', ')}`)
          .join('; ')}`,
      );
    }
    return await this.optimized(type, action, given, caller);
  }

  private caller(call: TaskCall): RoleCaller {
    const own = this.own();
    if (call.roleArn === undefined) return own;
    // as anybody would: the machine's role must be allowed it, and trusted by the other
    return this.context.assumeRoleAs(own, { roleArn: call.roleArn, session: own.session ?? 'StepFunctions' });
  }

  private async sdk(name: string, call: TaskCall, caller: Caller): Promise<unknown> {
    const service = signingName(name);
    const camel = CAMEL_CASE_SERVICES.includes(service);
    const given = (call.arguments ?? {}) as Shape;
    const answer = await translated(name, false, () =>
      this.context.call(service, pascalCase(call.resource.action), camel ? renamed(given, camelCase) : given, caller),
    );
    const shape = await jsonOf(answer ?? {}, isoTime);
    return camel ? renamed(shape, pascalCase) : shape;
  }

  private async optimized(service: string, action: string, given: Shape, caller: Caller): Promise<unknown> {
    const known = service === 'sagemaker' ? KNOWN_FIELDS[action] : undefined;
    const unknown = Object.keys(given).find((field) => known !== undefined && !known.includes(field));
    if (unknown !== undefined) {
      throw new StatesError(
        'States.Runtime',
        `The field "${unknown}" is not supported by Step Functions. Use aws-sdk:sagemaker:${action}, which takes every field of the API.`,
      );
    }
    const input = service === 'dynamodb' ? given : embedded(given);
    const answer = await translated(service, true, () => this.context.call(service, pascalCase(action), input, caller));
    if (action === 'putEvents' && answer.FailedEntryCount > 0) {
      throw new StatesError('EventBridge.FailedEntry', JSON.stringify(answer));
    }
    return await jsonOf(answer ?? {}, epochTime);
  }

  private async invoke(FunctionName: string, payload: unknown, caller: Caller, rest: Shape = {}): Promise<Shape> {
    const answer = await translated('lambda', true, () =>
      this.context.call('lambda', 'Invoke', { ...rest, FunctionName, Payload: JSON.stringify(payload) }, caller),
    );
    const text = answer.Payload === undefined ? '' : Buffer.from(answer.Payload).toString('utf8');
    if (answer.FunctionError !== undefined) {
      const { errorType } = parsed(text) as { errorType?: string };
      throw new StatesError(errorType ?? 'Lambda.Unknown', text);
    }
    return {
      ExecutedVersion: answer.ExecutedVersion ?? '$LATEST',
      ...(text !== '' && { Payload: parsed(text) }),
      SdkHttpMetadata: { HttpStatusCode: answer.StatusCode },
      SdkResponseMetadata: { RequestId: randomUUID() },
      StatusCode: answer.StatusCode,
    };
  }

  private async startExecution(call: TaskCall, given: Shape, caller: Caller): Promise<unknown> {
    const { StateMachineArn: stateMachineArn, Name: name, Input = {} } = given;
    const input = typeof Input === 'string' ? Input : JSON.stringify(Input);
    const begin = async () => {
      const started = await translated('states', true, () =>
        this.context.call('states', 'StartExecution', { stateMachineArn, input, ...(name && { name }) }, caller),
      );
      return { ExecutionArn: started.executionArn, StartDate: epochTime(started.startDate) };
    };
    const answer = (call.resumed?.answer as Shape) ?? (await begin());
    const { pattern } = call.resource;
    if (pattern === undefined || pattern === 'waitForTaskToken') return answer;
    if (call.resumed === undefined) call.submitted(answer);
    const stop = () =>
      !this.context.signal.aborted &&
      this.context.background(`stop ${answer.ExecutionArn}`, async () => {
        await this.context.call('states', 'StopExecution', { executionArn: answer.ExecutionArn }, caller);
      });
    call.signal.addEventListener('abort', stop);
    try {
      const ended = renamed(await jsonOf(await this.ended(answer.ExecutionArn, call.signal), epochTime), pascalCase);
      if (pattern === 'sync:2') {
        for (const field of ['Input', 'Output']) {
          if (typeof ended[field] === 'string') ended[field] = parsed(ended[field]);
        }
      }
      if (ended.Status !== 'SUCCEEDED') throw new StatesError('States.TaskFailed', JSON.stringify(ended));
      return ended;
    } finally {
      call.signal.removeEventListener('abort', stop);
    }
  }
}

/** SNS, SQS and EventBridge take text where a state machine may give an object. */
function embedded(given: Shape): Shape {
  const texts = ['Message', 'MessageBody', 'Detail'];
  const members = Object.entries(given).map(([key, value]) => {
    if (key === 'Entries' && Array.isArray(value)) return [key, value.map(embedded)];
    return [key, texts.includes(key) && typeof value === 'object' ? JSON.stringify(value) : value];
  });
  return Object.fromEntries(members);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Anything that an integration threw, as a state machine's failure. */
export function integrationFailure(error: unknown): StatesError {
  if (error instanceof StatesError) return error;
  if (error instanceof ApiError) return serviceError('states', true, error);
  return new StatesError('States.Runtime', error instanceof Error ? error.message : String(error));
}
