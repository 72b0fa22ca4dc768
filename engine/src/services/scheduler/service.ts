import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type {
  CreateScheduleGroupInput,
  CreateScheduleInput,
  GetScheduleOutput,
  ListSchedulesInput,
  ListSchedulesOutput,
  Target,
} from '@aws-sdk/client-scheduler';
import type { Checked } from '../../api/checked';
import { Outbox } from '../../delivery/outbox';
import { deliver, sendToArn } from '../../delivery/target-delivery';
import { signingName } from '../../gateway/signing-names';
import {
  ApiError,
  type Caller,
  type Context,
  type Operation,
  type Resource,
  type Sent,
  type Service,
} from '../../service';
import { fingerprint } from '../../state/fingerprint';
import type { Kept } from '../../state/state-store';
import { camelCase, pascalCase } from '../states/shapes';
import { RESOURCES } from './resources';
import { readSchedule } from './schedule-expression';
import { Timetable } from './timetable';

/** A schedule as the API shows it; its times are numbers once it has been kept. */
type Schedule = Checked<GetScheduleOutput & CreateScheduleInput> &
  Required<Pick<GetScheduleOutput, 'Arn' | 'GroupName' | 'State'>>;

/** What names a schedule. */
type Named = { readonly Name?: string | undefined; readonly GroupName?: string | undefined };

/** A schedule as the API shows it (`GetSchedule`), and what stops its timer. */
interface Entry {
  readonly schedule: Schedule;
  readonly stop: AbortController;
}

/** A schedule as it is kept; with the fingerprint of the template's, if it is one of those. */
interface KeptSchedule {
  readonly schedule: Schedule;
  readonly template?: string;
}

/** One firing that is to reach its target. */
interface Firing {
  readonly schedule: Schedule;
  readonly scheduledAt: number;
  readonly executionId: string;
  readonly since: number;
  readonly attempts: number;
}

const DEFAULT_GROUP = 'default';
const NAME = /^[\w.-]{1,64}$/;

/** EventBridge Scheduler: schedules on the engine's clock, called under their own roles. */
export class Scheduler implements Service {
  readonly name = 'scheduler';
  readonly resourceTypes = Object.keys(RESOURCES);

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateSchedule: this.onSchedule('CreateSchedule', (input) => {
      if (this.entries.has(key(input)))
        throw new ApiError('ConflictException', `Schedule ${input.Name} already exists.`, 409);
      return { ScheduleArn: this.put(input, this.scheduleArn(input)).Arn };
    }),
    UpdateSchedule: this.onSchedule('UpdateSchedule', (input) => {
      const { schedule } = this.find(input);
      const template = this.kept.get(key(schedule))?.template;
      return { ScheduleArn: this.put({ ...input, CreationDate: schedule.CreationDate }, schedule.Arn, template).Arn };
    }),
    GetSchedule: this.onSchedule('GetSchedule', (input) => this.find(input).schedule),
    DeleteSchedule: this.onSchedule('DeleteSchedule', (input) => {
      this.remove(this.find(input));
      return {};
    }),
    ListSchedules: {
      needs: () => [{ action: 'scheduler:ListSchedules', resource: '*' }],
      run: ({ GroupName, NamePrefix = '', State }: ListSchedulesInput): ListSchedulesOutput => ({
        Schedules: [...this.entries.values()]
          .map(({ schedule }) => schedule)
          .filter((schedule) => GroupName === undefined || schedule.GroupName === GroupName)
          .filter((schedule) => State === undefined || schedule.State === State)
          .filter((schedule) => schedule.Name.startsWith(NamePrefix))
          .map(({ Arn, Name, GroupName: group, State: state, CreationDate, LastModificationDate, Target }) => ({
            Arn,
            Name,
            GroupName: group,
            State: state,
            CreationDate,
            LastModificationDate,
            Target: { Arn: Target.Arn },
          })),
      }),
    },
    CreateScheduleGroup: this.onGroup('CreateScheduleGroup', ({ Name }) => {
      if (this.groups.has(Name)) throw new ApiError('ConflictException', `Schedule group ${Name} already exists.`, 409);
      this.keptGroups.put(Name, {});
      this.groups.add(Name);
      return { ScheduleGroupArn: this.groupArn(Name) };
    }),
    GetScheduleGroup: this.onGroup('GetScheduleGroup', ({ Name }) => {
      this.requireGroup(Name);
      return { Name, Arn: this.groupArn(Name), State: 'ACTIVE' };
    }),
  };

  private readonly entries = new Map<string, Entry>();
  private readonly groups = new Set([DEFAULT_GROUP]);
  private readonly kept = new Map<string, KeptSchedule>();
  private readonly store: Kept<KeptSchedule>;
  private readonly keptGroups: Kept<object>;
  private readonly timetable: Timetable;
  private readonly firings: Outbox<Firing>;

  constructor(private readonly context: Context) {
    this.store = context.store.collection('scheduler/schedules', { schedule: 'object', template: 'string?' });
    this.store.restore((kept, name) => this.kept.set(name, kept));
    this.keptGroups = context.store.collection('scheduler/groups');
    this.keptGroups.restore((_, name) => this.groups.add(name));
    this.timetable = new Timetable(context, 'scheduler/timetable');
    this.firings = new Outbox(context, {
      name: 'scheduler/firings',
      members: {
        schedule: 'object',
        scheduledAt: 'number',
        executionId: 'string',
        since: 'number',
        attempts: 'number',
      },
      plural: 'firings of schedules',
      label: ({ schedule }) => `schedule ${schedule.Name}`,
      work: (firing, progress) => this.deliver(firing, progress),
    });
  }

  load(resources: readonly Resource[]): void {
    for (const { type, physicalId, properties } of resources) {
      if (type === 'AWS::Scheduler::ScheduleGroup') this.groups.add(properties.Name ?? physicalId);
    }
    for (const { type, physicalId, arn, properties } of resources) {
      if (type === 'AWS::Scheduler::Schedule')
        this.loadOne({ ...properties, Name: properties.Name ?? physicalId }, arn);
    }
    for (const [name, { schedule, template }] of this.kept) {
      if (this.entries.has(name)) continue;
      if (template === undefined) this.begin(schedule);
      else this.drop(name); // the template has it no more
    }
  }

  /** Takes a schedule of the template, or what calls have made of it since. */
  private loadOne(properties: Checked<CreateScheduleInput>, arn: string): void {
    const template = fingerprint(properties);
    const known = this.kept.get(key(properties));
    if (known?.template === template) this.begin(known.schedule);
    else this.put(properties, arn, template);
  }

  stop(): void {
    for (const { stop } of this.entries.values()) stop.abort();
  }

  /**
   * Fires a schedule now, whatever its state; the delivery runs in the background.
   *
   * @param name of the schedule, with `group/` before it if it is in a group of its own
   */
  fire(name: string): void {
    const full = name.includes('/') ? name : `${DEFAULT_GROUP}/${name}`;
    const entry = this.entries.get(full) ?? [...this.entries.values()].find(({ schedule }) => schedule.Name === name);
    if (entry === undefined) {
      throw new Error(`no schedule is called ${name}; there are: ${[...this.entries.keys()].join(', ') || 'none'}`);
    }
    this.fireAt(entry.schedule, this.context.clock.now());
  }

  async handle(request: IncomingMessage, response: ServerResponse, url: URL, { body, caller }: Sent): Promise<boolean> {
    const [, kind, rawName] = /^\/(schedules|schedule-groups)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    const operation = ROUTES[`${request.method} ${kind}${rawName === undefined ? '' : '/name'}`];
    if (operation === undefined) return false;
    const query = url.searchParams;
    const input = {
      ...(body.length > 0 && JSON.parse(body.toString())),
      ...(rawName !== undefined && { Name: decodeURIComponent(rawName) }),
      ...present({ GroupName: query.get('groupName') ?? query.get('ScheduleGroup') }),
      ...present({ NamePrefix: query.get('NamePrefix'), State: query.get('State') }),
    };
    try {
      reply(response, 200, await this.context.call(this.name, operation, input, caller));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      response.setHeader('x-amzn-errortype', error.code);
      reply(response, error.status, { Message: error.message });
    }
    return true;
  }

  private put(
    input: Checked<CreateScheduleInput> & Pick<GetScheduleOutput, 'CreationDate'>,
    arn: string,
    template?: string,
  ): Schedule {
    if (!NAME.test(input.Name)) {
      throw new ApiError('ValidationException', `Name must be 1 to 64 of [0-9a-zA-Z-_.], got ${input.Name}`);
    }
    for (const member of ['ScheduleExpression', 'FlexibleTimeWindow', 'Target'] as const) {
      if (input[member] === undefined) throw new ApiError('ValidationException', `${member} must be given.`);
    }
    if (!input.Target.Arn || !input.Target.RoleArn) {
      throw new ApiError('ValidationException', 'Target must have Arn and RoleArn.');
    }
    this.requireGroup(input.GroupName ?? DEFAULT_GROUP);
    const { clock } = this.context;
    const now = new Date(clock.now());
    const schedule: Schedule = {
      ScheduleExpressionTimezone: 'UTC',
      ActionAfterCompletion: 'NONE',
      CreationDate: now,
      ...input,
      State: input.State ?? 'ENABLED',
      GroupName: input.GroupName ?? DEFAULT_GROUP,
      Arn: arn,
      LastModificationDate: now,
    };
    readSchedule(schedule.ScheduleExpression, now.getTime(), schedule.ScheduleExpressionTimezone); // refuses what is none
    const kept = { schedule, ...(template !== undefined && { template }) };
    this.kept.set(key(schedule), kept);
    this.store.put(key(schedule), kept);
    this.timetable.forget(key(schedule));
    this.begin(schedule);
    return schedule;
  }

  private begin(schedule: Schedule): void {
    this.entries.get(key(schedule))?.stop.abort();
    const entry: Entry = { schedule, stop: new AbortController() };
    this.entries.set(key(schedule), entry);
    if (schedule.State !== 'ENABLED' || this.context.schedules === false) return;
    this.context.whenReady(() => void this.keep(entry));
  }

  /** Fires on time until the schedule is replaced or over. Nothing waits for it. */
  private async keep({ schedule, stop }: Entry): Promise<void> {
    const signal = AbortSignal.any([stop.signal, this.context.signal]);
    const [from, to] = [time(schedule.StartDate), time(schedule.EndDate)];
    const timed = {
      id: key(schedule),
      expression: schedule.ScheduleExpression,
      timeZone: schedule.ScheduleExpressionTimezone,
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
    };
    await this.timetable.keep(timed, signal, (at) => this.fireAt(schedule, at));
    if (!signal.aborted && schedule.ActionAfterCompletion === 'DELETE') this.remove({ schedule, stop });
  }

  private remove({ schedule, stop }: Entry): void {
    stop.abort();
    this.entries.delete(key(schedule));
    this.drop(key(schedule));
  }

  private drop(name: string): void {
    this.kept.delete(name);
    this.store.delete(name);
    this.timetable.forget(name);
  }

  private fireAt(schedule: Schedule, scheduledAt: number): void {
    const since = this.context.clock.now();
    this.firings.add({ schedule, scheduledAt, executionId: randomUUID(), since, attempts: 0 });
  }

  private deliver(firing: Firing, progress: (firing: Firing) => void): Promise<void> {
    const { schedule, scheduledAt, executionId, since, attempts } = firing;
    const { Arn: scheduleArn, Name, GroupName, Target: target } = schedule;
    const scheduledTime = `${new Date(scheduledAt).toISOString().slice(0, 19)}Z`;
    const input = (attempt: number) =>
      (target.Input ?? this.defaultInput(scheduleArn, scheduledTime))
        .replaceAll('<aws.scheduler.schedule-arn>', scheduleArn)
        .replaceAll('<aws.scheduler.scheduled-time>', scheduledTime)
        .replaceAll('<aws.scheduler.execution-id>', executionId)
        .replaceAll('<aws.scheduler.attempt-number>', String(attempt));
    const role = () =>
      this.context.assumeRole(target.RoleArn, 'scheduler.amazonaws.com', this.groupArn(GroupName), Name);
    return deliver(this.context, {
      service: this.name,
      what: `schedule ${Name}`,
      targetArn: target.Arn,
      retryPolicy: target.RetryPolicy,
      deadLetterArn: target.DeadLetterConfig?.Arn,
      deadLetterCaller: role,
      body: () => input(1),
      attributes: { SCHEDULE_ARN: scheduleArn, EXECUTION_ID: executionId, SCHEDULED_TIME: scheduledTime },
      since,
      attempts,
      failed: (made) => progress({ ...firing, attempts: made }),
      send: (attempt) => this.send(target, input(attempt), role(), scheduleArn),
    });
  }

  private async send(target: Checked<Target>, input: string, caller: Caller, scheduleArn: string): Promise<void> {
    const [, sdkService, action] = /^arn:[^:]+:scheduler:::aws-sdk:([^:]+):([^:]+)$/.exec(target.Arn) ?? [];
    if (sdkService !== undefined && action !== undefined) {
      const service = signingName(sdkService);
      await this.context.call(service, pascalCase(action), parameters(service, input), caller);
    } else if (/:event-bus\//.test(target.Arn)) {
      const { Source, DetailType } = target.EventBridgeParameters ?? {};
      const entry = { EventBusName: target.Arn, Source, DetailType, Detail: input, Resources: [scheduleArn] };
      const { Entries } = await this.context.call('events', 'PutEvents', { Entries: [entry] }, caller);
      const [{ ErrorCode, ErrorMessage }] = Entries;
      if (ErrorCode !== undefined) throw new ApiError(ErrorCode, ErrorMessage);
    } else {
      await sendToArn(this.context, target, input, caller);
    }
  }

  private defaultInput(scheduleArn: string, scheduledTime: string): string {
    const { account, region } = this.context.aws;
    return JSON.stringify({
      version: '0',
      id: randomUUID(),
      'detail-type': 'Scheduled Event',
      source: 'aws.scheduler',
      account,
      time: scheduledTime,
      region,
      resources: [scheduleArn],
      detail: '{}',
    });
  }

  private find(input: Named): Entry {
    const entry = this.entries.get(key(input));
    if (entry === undefined) {
      throw new ApiError('ResourceNotFoundException', `Schedule ${input.Name} does not exist.`, 404);
    }
    return entry;
  }

  private requireGroup(name: string): void {
    if (!this.groups.has(name)) {
      throw new ApiError('ResourceNotFoundException', `Schedule group ${name} does not exist.`, 404);
    }
  }

  private onSchedule(operation: string, run: (input: Checked<CreateScheduleInput>) => object): Operation {
    return {
      needs: (input: Partial<CreateScheduleInput>) => [
        { action: `scheduler:${operation}`, resource: this.scheduleArn(input) },
        ...(input.Target?.RoleArn === undefined
          ? []
          : [
              {
                action: 'iam:PassRole',
                resource: input.Target.RoleArn,
                conditions: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
              },
            ]),
      ],
      run,
    };
  }

  private onGroup(operation: string, run: (input: Checked<CreateScheduleGroupInput>) => object): Operation {
    return {
      needs: ({ Name }: Checked<CreateScheduleGroupInput>) => [
        { action: `scheduler:${operation}`, resource: this.groupArn(Name) },
      ],
      run,
    };
  }

  private scheduleArn({ Name, GroupName = DEFAULT_GROUP }: Named): string {
    return this.arn(`schedule/${GroupName}/${Name}`);
  }

  private groupArn(group: string): string {
    return this.arn(`schedule-group/${group}`);
  }

  private arn(resource: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:scheduler:${region}:${account}:${resource}`;
  }
}

const ROUTES: Readonly<Record<string, string | undefined>> = {
  'POST schedules/name': 'CreateSchedule',
  'PUT schedules/name': 'UpdateSchedule',
  'GET schedules/name': 'GetSchedule',
  'DELETE schedules/name': 'DeleteSchedule',
  'GET schedules': 'ListSchedules',
  'POST schedule-groups/name': 'CreateScheduleGroup',
  'GET schedule-groups/name': 'GetScheduleGroup',
};

function key({ Name, GroupName = DEFAULT_GROUP }: Named): string {
  return `${GroupName}/${Name}`;
}

/** A universal target's input: members in the SDK's capitals, which Step Functions' API writes small. */
function parameters(service: string, input: string): object {
  let value: object;
  try {
    value = JSON.parse(input);
  } catch {
    throw new ApiError('ValidationException', `a universal target's Input must be a JSON object, got ${input}`);
  }
  if (service !== 'states') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [camelCase(name), member]));
}

/** A date of the API (seconds), of a template (ISO), or already one. */
function time(date: Date | number | string | undefined): number | undefined {
  return date === undefined ? undefined : new Date(typeof date === 'number' ? date * 1000 : date).getTime();
}

function present(values: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null));
}

/** REST-JSON writes times as seconds. */
function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body, function (this: Record<string, unknown>, member: string, value: unknown) {
    const raw = this[member];
    return raw instanceof Date ? raw.getTime() / 1000 : value;
  });
  response.writeHead(status, { 'content-type': 'application/json' }).end(text);
}
