import { Aborted, asStatesError, HeartbeatTimeout, payload, StatesError } from './errors';
import { type Frame, LONGEST_SECONDS, lost, type PendingToken, type Resource, type Runner } from './frame';
import { INCLUDED } from './history';
import type { Phase, Report, Submitted } from './progress';
import { connectionLost } from './service-errors';

export function parseResource(arn: string): Resource {
  if (/^arn:[^:]+:lambda:/.test(arn)) return { arn, type: 'lambda-function', action: 'invoke' };
  const parts = /^arn:[^:]+:states:::((?:aws-sdk:)?[\w-]+):(\w+)(?:\.(sync|sync:2|waitForTaskToken))?$/.exec(arn);
  const [, type, action, pattern] = parts ?? [];
  if (type === undefined || action === undefined) {
    throw new StatesError(
      'States.Runtime',
      `a Task's Resource must be a Lambda function's ARN or arn:<partition>:states:::<service>:<action>, got '${arn}'`,
    );
  }
  return { arn, type, action, ...(pattern !== undefined && { pattern: pattern as Resource['pattern'] }) };
}

/**
 * Runs one attempt of a Task, and records it.
 *
 * @param begun what an earlier start of the engine had begun of it
 */
export async function runTask(interpreter: Runner, frame: Frame, begun?: Phase): Promise<unknown> {
  const { host } = interpreter;
  const { state, scope, states } = frame;
  const resource = parseResource(state.Resource ?? '');
  const resumed = begun?.kind === 'submitted' ? begun : undefined;
  if (begun !== undefined && resumed === undefined) {
    const failure = new StatesError(connectionLost(resource.type), lost('what it asked for'));
    recorder(frame, resource, host.region).failed(failure);
    throw failure;
  }
  if (resumed?.report !== undefined) return reported(frame, resource, host.region, resumed.report);
  const pending = resource.pattern === 'waitForTaskToken' ? host.token(resumed?.token) : undefined;
  try {
    if (pending !== undefined) states.context = { ...states.context, Task: { Token: pending.token } };
    const given =
      resumed !== undefined
        ? resumed.arguments
        : 'Arguments' in state
          ? await interpreter.evaluate(frame, 'Arguments', state.Arguments)
          : frame.input;
    const limits = {
      timeout: await seconds(interpreter, frame, 'TimeoutSeconds'),
      heartbeat: await seconds(interpreter, frame, 'HeartbeatSeconds'),
    };
    const credentials = (await interpreter.evaluate(frame, 'Credentials', state.Credentials ?? {})) as {
      RoleArn?: string;
    };
    const record = recorder(frame, resource, host.region);
    const keep = keeper(frame, given, resumed?.output ?? null, pending);
    if (resumed === undefined) {
      record.scheduled(payload(given, frame.name), limits);
      frame.note({ kind: 'scheduled' });
    }
    try {
      const result = await within(limits, pending, scope.signal, async (signal) => {
        if (resumed !== undefined && pending !== undefined) return await pending.result;
        const submitted = (output: unknown) => {
          record.submitted(output);
          keep({ output });
        };
        const roleArn = credentials.RoleArn;
        const output = await host.task({
          resource,
          arguments: given,
          signal,
          submitted,
          ...(roleArn !== undefined && { roleArn }),
          ...(resumed !== undefined && { resumed: { answer: resumed.output } }),
        });
        if (pending === undefined) return output;
        submitted(output);
        return await pending.result;
      });
      record.succeeded(payload(result, resource.type === 'lambda-function' ? resource.arn : resource.type));
      return result;
    } catch (thrown) {
      if (!scope.signal.aborted) record.failed(asStatesError(thrown));
      throw thrown;
    }
  } finally {
    pending?.forget();
  }
}

/** Keeps what a Task waits for; also what the holder of its token reports, before that is told that it was heard. */
function keeper(frame: Frame, given: unknown, output: unknown, pending: PendingToken | undefined) {
  let phase: Submitted = { kind: 'submitted', arguments: given, output, ...(pending && { token: pending.token }) };
  const keep = (changes: Partial<Submitted>) => {
    phase = { ...phase, ...changes };
    frame.note(phase);
  };
  if (pending !== undefined) pending.reported = (report) => keep({ report });
  return keep;
}

/** Goes on with what the holder of a token had reported before the engine ended. */
function reported(frame: Frame, resource: Resource, region: string, report: Report): unknown {
  const record = recorder(frame, resource, region);
  if ('output' in report) {
    record.succeeded(payload(report.output, resource.type));
    return report.output;
  }
  const failure = new StatesError(report.error, report.cause);
  record.failed(failure);
  throw failure;
}

async function seconds(
  interpreter: Runner,
  frame: Frame,
  field: 'TimeoutSeconds' | 'HeartbeatSeconds',
): Promise<number | undefined> {
  const template = frame.state[field];
  return template === undefined ? undefined : await interpreter.whole(frame, field, template, 0, LONGEST_SECONDS);
}

interface Limits {
  readonly timeout: number | undefined;
  readonly heartbeat: number | undefined;
}

/**
 * Runs work until it ends, its time is over, its holder shows no sign of life, or nobody wants it any more.
 *
 * Time is real time, whatever the engine's clock does: jobs and handlers take the time that they take.
 */
async function within<T>(
  { timeout, heartbeat }: Limits,
  pending: PendingToken | undefined,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (outer.aborted) throw new Aborted();
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let beat: NodeJS.Timeout | undefined;
  let aborted: (() => void) | undefined;
  const ends = new Promise<never>((_, reject) => {
    aborted = () => reject(new Aborted());
    outer.addEventListener('abort', aborted);
    if (timeout !== undefined) {
      timer = after(timeout, () => reject(new StatesError('States.Timeout', undefined)));
    }
    if (heartbeat !== undefined && pending !== undefined) {
      const check = () => {
        if (Date.now() - pending.lastSign() > heartbeat * 1000) {
          reject(new HeartbeatTimeout());
        }
      };
      beat = setInterval(check, 50);
    }
  });
  try {
    const result = work(stop.signal);
    result.catch(() => undefined); // a failure after the race is nobody's any more
    return await Promise.race([result, ends]);
  } catch (error) {
    stop.abort();
    throw error;
  } finally {
    clearTimeout(timer);
    clearInterval(beat);
    if (aborted !== undefined) outer.removeEventListener('abort', aborted);
  }
}

/** A timer in real seconds; none where it would be longer than timers go, 24 days. */
export function after(seconds: number, run: () => void): NodeJS.Timeout | undefined {
  return seconds * 1000 < 2 ** 31 ? setTimeout(run, seconds * 1000) : undefined;
}

/** Writes a Task's events: `LambdaFunction…` for a function's own ARN, `Task…` for everything else. */
function recorder({ scope: { trail } }: Frame, resource: Resource, region: string) {
  const task = {
    resourceType: resource.type,
    resource: resource.pattern === undefined ? resource.action : `${resource.action}.${resource.pattern}`,
  };
  const direct = resource.type === 'lambda-function';
  const kind = direct ? 'LambdaFunction' : 'Task';
  const base = direct ? {} : task;
  return {
    scheduled(parameters: string, { timeout, heartbeat }: Limits) {
      const limits = {
        ...(timeout !== undefined && { timeoutInSeconds: timeout }),
        ...(heartbeat !== undefined && !direct && { heartbeatInSeconds: heartbeat }),
      };
      trail.add(
        `${kind}Scheduled`,
        direct
          ? { resource: resource.arn, input: parameters, inputDetails: INCLUDED, ...limits }
          : { ...task, region, parameters, ...limits },
      );
      trail.add(`${kind}Started`, direct ? undefined : task);
    },
    submitted(output: unknown) {
      trail.add('TaskSubmitted', { ...task, output: JSON.stringify(output), outputDetails: INCLUDED });
    },
    succeeded(output: string) {
      trail.add(`${kind}Succeeded`, { ...base, output, outputDetails: INCLUDED });
    },
    failed({ error, reason: cause }: StatesError) {
      const timed = error === 'States.Timeout';
      trail.add(`${kind}${timed ? 'TimedOut' : 'Failed'}`, { ...base, error, ...(cause !== undefined && { cause }) });
    },
  };
}
