import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  DescribeRuleResponse,
  ListRulesRequest,
  ListRulesResponse,
  PutEventsRequest,
  PutEventsRequestEntry,
  PutEventsResponse,
  PutEventsResultEntry,
  PutRuleRequest,
  PutRuleResponse,
  PutTargetsRequest,
  RemoveTargetsRequest,
  RuleState,
  Target,
  TestEventPatternRequest,
} from '@aws-sdk/client-eventbridge';
import type { Checked } from '../../api/checked';
import { Outbox } from '../../delivery/outbox';
import { deliver, sendToArn } from '../../delivery/target-delivery';
import {
  ApiError,
  type BusEvent,
  type Caller,
  type Context,
  type Operation,
  type Resource,
  type Service,
  type Shape,
} from '../../service';
import { fingerprint } from '../../state/fingerprint';
import type { Kept } from '../../state/state-store';
import { readSchedule } from '../scheduler/schedule-expression';
import { Timetable } from '../scheduler/timetable';
import { compilePattern, type EventPattern, matchesPattern } from './event-pattern/pattern';
import { targetInput } from './input-transformer';
import { RESOURCES } from './resources';

/** An event as targets and patterns see it. */
export interface Envelope {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  /** ISO, whole seconds. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: Shape;
}

/** One event that came to a bus, and the names of the rules that it matched. */
export interface SeenEvent {
  readonly bus: string;
  readonly event: Envelope;
  readonly rules: readonly string[];
}

type RuleTarget = Checked<Target>;
/** Of a template too, where a pattern is an object. */
type RuleProperties = Omit<Checked<PutRuleRequest>, 'EventPattern'> & { readonly EventPattern?: string | object };
/** What names a rule. */
type Named = { readonly Name?: string; readonly Rule?: string; readonly EventBusName?: string };

interface Rule {
  readonly name: string;
  readonly arn: string;
  readonly bus: string;
  readonly description?: string;
  readonly pattern?: { readonly text: string; readonly compiled: EventPattern };
  readonly schedule?: string;
  state: RuleState;
  targets: RuleTarget[];
  readonly stop: AbortController;
  /** The fingerprint of the template's rule, if it is one of those. */
  readonly template?: string;
}

/** A rule as it is kept: its properties, as in the template, and what tells it. */
interface KeptRule {
  readonly properties: RuleProperties;
  readonly targets: RuleTarget[];
  readonly template?: string;
}

/** An event on its way to a target. */
interface Delivery {
  readonly rule: { readonly name: string; readonly arn: string };
  readonly target: RuleTarget;
  readonly event: Envelope;
  readonly since: number;
  readonly attempts: number;
}

const DEFAULT_BUS = 'default';
const MAX_ENTRIES = 10;
const MAX_BYTES = 2 ** 20;
/** Events that are remembered; older ones are forgotten. */
const MAX_SEEN = 1_000;
/** Milliseconds within which shuffled deliveries of one event spread. */
const SHUFFLE_WITHIN = 50;

/** EventBridge: buses, rules by pattern and by schedule, and their deliveries. */
export class EventBridge implements Service {
  readonly name = 'events';
  readonly resourceTypes = Object.keys(RESOURCES);

  /** The newest events, oldest first. */
  readonly events: SeenEvent[] = [];

  readonly operations: Readonly<Record<string, Operation>> = {
    PutEvents: {
      needs: (input: PutEventsRequest) => {
        // each entry is judged by itself: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
        return entriesOf(input).map((entry) => ({
          action: 'events:PutEvents',
          resource: this.busArn(busName(entry?.EventBusName)),
          conditions: {
            ...(entry?.Source !== undefined && { 'events:source': String(entry.Source) }),
            ...(entry?.DetailType !== undefined && { 'events:detail-type': String(entry.DetailType) }),
          },
        }));
      },
      run: (input) => this.putEvents(input),
    },
    PutRule: this.onRule('PutRule', (input: Checked<PutRuleRequest>) => this.putRule(input)),
    DeleteRule: this.onRule('DeleteRule', (input) => {
      const rule = this.rules.get(this.ruleArn(input));
      if (rule !== undefined && rule.targets.length > 0) {
        throw new ApiError('ValidationException', "Rule can't be deleted since it has targets.");
      }
      rule?.stop.abort();
      this.rules.delete(this.ruleArn(input));
      this.kept.delete(this.ruleArn(input));
      this.timetable.forget(this.ruleArn(input));
      return {};
    }),
    DescribeRule: this.onRule('DescribeRule', (input) => describe(this.find(input))),
    EnableRule: this.onRule('EnableRule', (input) => this.change(input, { state: 'ENABLED' })),
    DisableRule: this.onRule('DisableRule', (input) => this.change(input, { state: 'DISABLED' })),
    PutTargets: this.onRule('PutTargets', (input: Checked<PutTargetsRequest>) => {
      const ids = input.Targets.map((target) => target.Id);
      const others = this.find(input).targets.filter((target) => !ids.includes(target.Id));
      this.change(input, { targets: [...others, ...input.Targets] });
      return { FailedEntryCount: 0, FailedEntries: [] };
    }),
    RemoveTargets: this.onRule('RemoveTargets', (input: Checked<RemoveTargetsRequest>) => {
      this.change(input, { targets: this.find(input).targets.filter((target) => !input.Ids.includes(target.Id)) });
      return { FailedEntryCount: 0, FailedEntries: [] };
    }),
    ListTargetsByRule: this.onRule('ListTargetsByRule', (input) => ({ Targets: this.find(input).targets })),
    ListRules: {
      needs: () => [{ action: 'events:ListRules', resource: '*' }],
      run: ({ NamePrefix = '', EventBusName }: ListRulesRequest): ListRulesResponse => ({
        Rules: [...this.rules.values()]
          .filter((rule) => rule.bus === busName(EventBusName) && rule.name.startsWith(NamePrefix))
          .map(describe),
      }),
    },
    TestEventPattern: {
      needs: () => [{ action: 'events:TestEventPattern', resource: '*' }],
      run: ({ EventPattern, Event }: Checked<TestEventPatternRequest>) => ({
        Result: matchesPattern(compilePattern(EventPattern), JSON.parse(Event)),
      }),
    },
  };

  private readonly rules = new Map<string, Rule>();
  private readonly kept: Kept<KeptRule>;
  private readonly earlier = new Map<string, KeptRule>();
  private readonly timetable: Timetable;
  private readonly deliveries: Outbox<Delivery>;

  constructor(private readonly context: Context) {
    this.kept = context.store.collection('events/rules', {
      properties: 'object',
      targets: 'list',
      template: 'string?',
    });
    this.kept.restore((rule, arn) => this.earlier.set(arn, rule));
    this.timetable = new Timetable(context, 'events/timetable');
    this.deliveries = new Outbox(context, {
      name: 'events/deliveries',
      members: { rule: 'object', target: 'object', event: 'object', since: 'number', attempts: 'number' },
      plural: 'deliveries of events',
      label: ({ event, rule }) => `deliver ${event['detail-type']} by ${rule.name}`,
      work: async (delivery, progress) => {
        if (context.delivery.shuffle) await delay(context.random() * SHUFFLE_WITHIN);
        await this.deliverTo(delivery, progress);
      },
    });
  }

  load(resources: readonly Resource[]): void {
    for (const { type, physicalId, arn, properties } of resources) {
      if (type !== 'AWS::Events::Rule') continue;
      const name = properties.Name ?? physicalId.slice(physicalId.lastIndexOf('|') + 1);
      const template = fingerprint(properties);
      const known = this.earlier.get(arn);
      if (known?.template === template) this.addRule(known.properties, arn, known.targets, template);
      else this.addRule({ ...properties, Name: name }, arn, properties.Targets ?? [], template);
    }
    for (const [arn, { properties, targets, template }] of this.earlier) {
      if (template === undefined && !this.rules.has(arn)) this.addRule(properties, arn, targets);
      else if (!this.rules.has(arn)) this.kept.delete(arn); // the template has it no more
    }
  }

  stop(): void {
    for (const rule of this.rules.values()) rule.stop.abort();
  }

  /** Takes an event of an AWS service to the default bus. */
  accept(event: BusEvent): void {
    this.publish(event);
  }

  /** Takes an event to a bus; its deliveries run in the background. Returns its id. */
  publish(event: BusEvent, bus = DEFAULT_BUS): string {
    const { account, region } = this.context.aws;
    const envelope: Envelope = {
      version: '0',
      id: randomUUID(),
      'detail-type': event['detail-type'],
      source: event.source,
      account,
      time: wholeSeconds(event.time?.getTime() ?? this.context.clock.now()),
      region,
      resources: event.resources ?? [],
      detail: event.detail,
    };
    this.route(envelope, bus);
    return envelope.id;
  }

  private route(event: Envelope, bus: string): void {
    const plain = JSON.parse(JSON.stringify(event)); // what targets see is JSON: dates have become text
    const matched = [...this.rules.values()].filter(
      (rule) =>
        rule.bus === bus &&
        rule.state !== 'DISABLED' &&
        rule.pattern !== undefined &&
        matchesPattern(rule.pattern.compiled, plain),
    );
    this.events.push({ bus, event: plain, rules: matched.map((rule) => rule.name) });
    if (this.events.length > MAX_SEEN) this.events.shift();
    this.context.store.together(() => {
      for (const rule of matched) this.deliver(rule, plain);
    });
  }

  private deliver({ name, arn, targets }: Rule, event: Envelope): void {
    const since = this.context.clock.now();
    for (const target of targets) {
      for (let copy = 0; copy < this.context.delivery.copies; copy++) {
        this.deliveries.add({ rule: { name, arn }, target, event, since, attempts: 0 });
      }
    }
  }

  private deliverTo(delivery: Delivery, progress: (delivery: Delivery) => void): Promise<void> {
    const { rule, target, event, since, attempts } = delivery;
    const asEvents: Caller = { kind: 'service', principal: 'events.amazonaws.com', sourceArn: rule.arn };
    return deliver(this.context, {
      service: this.name,
      what: `${event['detail-type']} (rule ${rule.name})`,
      targetArn: target.Arn,
      retryPolicy: target.RetryPolicy,
      deadLetterArn: target.DeadLetterConfig?.Arn,
      deadLetterCaller: () => asEvents,
      body: () => JSON.stringify(event),
      attributes: { RULE_ARN: rule.arn },
      since,
      attempts,
      failed: (made) => progress({ ...delivery, attempts: made }),
      send: async () => {
        const caller =
          target.RoleArn === undefined
            ? asEvents
            : this.context.assumeRole(target.RoleArn, 'events.amazonaws.com', rule.arn, rule.name.slice(0, 64));
        const bus = /:event-bus\/(.+)$/.exec(target.Arn)?.[1];
        if (bus !== undefined) {
          this.context.authorize(caller, { action: 'events:PutEvents', resource: target.Arn });
          this.route(event, bus);
          return;
        }
        const input = targetInput(target, event, {
          ruleArn: rule.arn,
          ruleName: rule.name,
          ingestionTime: event.time,
        });
        await sendToArn(this.context, target, input, caller);
      },
    });
  }

  private putEvents(input: PutEventsRequest): PutEventsResponse {
    const entries = entriesOf(input);
    if (entries.length < 1 || entries.length > MAX_ENTRIES) {
      throw new ApiError(
        'ValidationException',
        `1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and ${MAX_ENTRIES}, got ${entries.length}`,
      );
    }
    if (entries.reduce((bytes, entry) => bytes + sizeOf(entry), 0) > MAX_BYTES) {
      throw new ApiError('ValidationException', 'Total size of the entries in the request is over the limit.');
    }
    const results = this.context.store.together(() => entries.map((entry) => this.putEvent(entry)));
    return { FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length, Entries: results };
  }

  private putEvent(entry: PutEventsRequestEntry): PutEventsResultEntry {
    const { Source, DetailType, Detail } = entry;
    if (!Source || !DetailType || !Detail) {
      const missing = Source ? (DetailType ? 'Detail' : 'DetailType') : 'Source';
      const ErrorMessage = `Parameter ${missing} is not valid. Reason: ${missing} is a required argument.`;
      return { ErrorCode: 'InvalidArgument', ErrorMessage };
    }
    if (Source.startsWith('aws.')) {
      return { ErrorCode: 'NotAuthorizedForSourceException', ErrorMessage: 'Not authorized for the source.' };
    }
    const detail = jsonObject(Detail);
    if (detail === undefined) return { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
    const EventId = this.publish(
      {
        source: Source,
        'detail-type': DetailType,
        detail,
        ...(entry.Resources !== undefined && { resources: entry.Resources }),
        ...(entry.Time !== undefined && { time: readTime(entry.Time) }),
      },
      busName(entry.EventBusName),
    );
    return { EventId };
  }

  private putRule(input: Checked<PutRuleRequest>): PutRuleResponse {
    if (!/^[\w.-]{1,64}$/.test(input.Name ?? '')) {
      throw new ApiError('ValidationException', `Parameter Name must be 1 to 64 of [.-_A-Za-z0-9], got ${input.Name}`);
    }
    const arn = this.ruleArn(input);
    const before = this.rules.get(arn);
    this.timetable.forget(arn);
    const rule = this.addRule(input, arn, before?.targets ?? [], before?.template);
    before?.stop.abort();
    return { RuleArn: rule.arn };
  }

  private change(input: Named, changes: Partial<Pick<Rule, 'state' | 'targets'>>): object {
    const rule = this.find(input);
    Object.assign(rule, changes);
    this.keep(rule);
    return {};
  }

  private keep({ name, arn, bus, description, pattern, schedule, state, targets, template }: Rule): void {
    const properties = {
      ...{ Name: name, EventBusName: bus, State: state },
      ...(description !== undefined && { Description: description }),
      ...(pattern !== undefined && { EventPattern: pattern.text }),
      ...(schedule !== undefined && { ScheduleExpression: schedule }),
    };
    this.kept.put(arn, { properties, targets, ...(template !== undefined && { template }) });
  }

  private addRule(properties: RuleProperties, arn: string, targets: RuleTarget[], template?: string): Rule {
    const { Name, EventPattern: pattern, ScheduleExpression: schedule } = properties;
    const { clock } = this.context;
    const rule: Rule = {
      name: Name,
      arn,
      bus: busName(properties.EventBusName),
      description: properties.Description,
      ...(pattern !== undefined && {
        pattern: {
          text: typeof pattern === 'string' ? pattern : JSON.stringify(pattern),
          compiled: compilePattern(pattern),
        },
      }),
      schedule,
      state: properties.State ?? 'ENABLED',
      targets,
      stop: new AbortController(),
      ...(template !== undefined && { template }),
    };
    if (rule.pattern === undefined && schedule === undefined) {
      throw new ApiError('ValidationException', 'Parameter(s) EventPattern or ScheduleExpression must be specified.');
    }
    if (schedule?.startsWith('at(')) {
      throw new ApiError('ValidationException', 'Parameter ScheduleExpression is not valid.');
    }
    if (schedule !== undefined) readSchedule(schedule, clock.now()); // refuses what is none
    this.rules.set(arn, rule);
    this.keep(rule);
    if (schedule !== undefined && this.context.schedules !== false) {
      const signal = AbortSignal.any([rule.stop.signal, this.context.signal]);
      const timed = { id: arn, expression: schedule };
      this.context.whenReady(() => void this.timetable.keep(timed, signal, (at) => this.fire(rule, at)));
    }
    return rule;
  }

  private fire(rule: Rule, at: number): void {
    if (rule.state === 'DISABLED') return;
    const { account, region } = this.context.aws;
    const event: Envelope = {
      version: '0',
      id: randomUUID(),
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account,
      time: wholeSeconds(at),
      region,
      resources: [rule.arn],
      detail: {},
    };
    this.deliver(rule, event);
  }

  private find(input: Named): Rule {
    const rule = this.rules.get(this.ruleArn(input));
    if (rule === undefined) {
      const bus = busName(input.EventBusName);
      throw new ApiError(
        'ResourceNotFoundException',
        `Rule ${input.Name ?? input.Rule} does not exist on EventBus ${bus}.`,
      );
    }
    return rule;
  }

  private onRule<I extends Named>(operation: string, run: (input: I) => object): Operation {
    return {
      needs: (input: I) => [{ action: `events:${operation}`, resource: this.ruleArn(input) }],
      run,
    };
  }

  private ruleArn(input: Named): string {
    const bus = busName(input.EventBusName);
    const name = input.Name ?? input.Rule;
    return this.arn(`rule/${bus === DEFAULT_BUS ? '' : `${bus}/`}${name}`);
  }

  private busArn(bus: string): string {
    return this.arn(`event-bus/${bus}`);
  }

  private arn(resource: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:events:${region}:${account}:${resource}`;
  }
}

/** A bus is named by its name or its ARN. */
function busName(nameOrArn: string | undefined): string {
  return nameOrArn === undefined ? DEFAULT_BUS : nameOrArn.slice(nameOrArn.lastIndexOf('/') + 1);
}

function entriesOf(input: PutEventsRequest): PutEventsRequestEntry[] {
  return Array.isArray(input?.Entries) ? input.Entries : [];
}

/** The bytes of an entry as EventBridge counts them. */
function sizeOf(entry: PutEventsRequestEntry): number {
  const texts = [entry.Source, entry.DetailType, entry.Detail, ...(entry.Resources ?? [])];
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ''), 0);
  return bytes + (entry.Time === undefined ? 0 : 14);
}

function jsonObject(text: string): Shape | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A time as clients write it: seconds since the epoch, ISO, or already a date. */
function readTime(time: Date | number | string): Date {
  return new Date(typeof time === 'number' ? time * 1000 : time);
}

function wholeSeconds(moment: number): string {
  return `${new Date(moment).toISOString().slice(0, 19)}Z`;
}

function describe(rule: Rule): DescribeRuleResponse {
  return {
    Name: rule.name,
    Arn: rule.arn,
    EventBusName: rule.bus,
    State: rule.state,
    Description: rule.description,
    EventPattern: rule.pattern?.text,
    ScheduleExpression: rule.schedule,
  };
}
