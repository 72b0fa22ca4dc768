import { Outbox } from '../../delivery/outbox';
import {
  ApiError,
  type Context,
  type Operation,
  type RequiredPermission,
  type Resource,
  type Service,
  type Shape,
} from '../../service';
import { fingerprint } from '../../state/fingerprint';
import type { Kept } from '../../state/state-store';
import { act } from './actions';
import { type Alarm, type AlarmState, judge } from './alarm';
import { evaluate, type Series } from './metric-math';
import { type Bucket, type Datum, idOf, type Metric, type MetricName, Metrics } from './metrics';
import { RESOURCES } from './resources';

/** An alarm as it is kept; with the fingerprint of the template's, if it is one of those. */
type KeptAlarm = Alarm & { readonly template?: string };

/** An action of an alarm that is to be done. */
interface Action {
  readonly alarm: Alarm;
  readonly arn: string;
  readonly previous: AlarmState;
}

/** Real milliseconds after which what metrics have got is kept; a crash takes no more than that. */
const KEEP_MS = 1_000;

/**
 * CloudWatch: metrics in memory, kept once a second, and alarms that are judged when a metric of theirs arrives, when a
 * period ends, or when asked for.
 */
export class CloudWatch implements Service {
  readonly name = 'monitoring';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly metrics = new Metrics((metric, bucket) => this.kept.buckets.delete(bucketKey(metric, bucket)));
  private readonly kept: {
    readonly buckets: Kept<{ readonly metric: MetricName; readonly bucket: Bucket }>;
    readonly alarms: Kept<KeptAlarm>;
  };
  /** What has changed since the metrics were last kept. */
  private changed = new Map<Bucket, Metric>();
  private keeping: NodeJS.Timeout | undefined;
  private readonly actions: Outbox<Action>;
  private readonly earlier = new Map<string, KeptAlarm>();
  private readonly templates = new Map<string, string>();
  private readonly alarms = new Map<string, Alarm>();
  /** The alarms that look at a metric. */
  private readonly watching = new Map<string, Set<Alarm>>();
  /** The periods, in milliseconds, at whose ends alarms are judged. */
  private readonly periods = new Set<number>();

  constructor(private readonly context: Context) {
    this.kept = {
      buckets: context.store.collection('cloudwatch/metrics', { metric: 'object', bucket: 'object' }),
      alarms: context.store.collection('cloudwatch/alarms', {
        ...{
          name: 'string',
          arn: 'string',
          definition: 'object',
          state: 'string',
          reason: 'string',
          updated: 'number',
        },
        template: 'string?',
      }),
    };
    this.kept.buckets.restore(({ metric, bucket }) => {
      if (!Array.isArray(bucket.values)) throw new Error('it has no values');
      this.metrics.restore(metric, bucket);
    });
    this.kept.alarms.restore((alarm, name) => this.earlier.set(name, alarm));
    this.actions = new Outbox(context, {
      name: 'cloudwatch/actions',
      members: { alarm: 'object', arn: 'string', previous: 'string' },
      plural: 'actions of alarms',
      label: ({ alarm }) => `action of alarm ${alarm.name}`,
      work: ({ alarm, arn, previous }) => act(context, alarm, arn, previous),
    });
    const onAll = (action: string, run: Operation['run']): Operation => ({
      needs: () => [{ action: `cloudwatch:${action}`, resource: '*' }],
      run,
    });
    const onAlarms = (action: string, run: Operation['run']): Operation => ({
      needs: (input) => this.alarmNeeds(action, input),
      run,
    });
    this.operations = {
      PutMetricData: {
        needs: ({ Namespace }) => [
          {
            action: 'cloudwatch:PutMetricData',
            resource: '*',
            conditions: { 'cloudwatch:namespace': Namespace ?? '' },
          },
        ],
        run: (input) => this.putMetricData(input),
      },
      ListMetrics: onAll('ListMetrics', (input) => this.listMetrics(input)),
      GetMetricData: onAll('GetMetricData', (input) => this.getMetricData(input)),
      GetMetricStatistics: onAll('GetMetricStatistics', (input) => this.getMetricStatistics(input)),
      PutMetricAlarm: onAlarms('PutMetricAlarm', (input) => {
        this.putAlarm(input);
        return {};
      }),
      DeleteAlarms: onAlarms('DeleteAlarms', ({ AlarmNames = [] }) => {
        for (const name of AlarmNames) this.delete(name);
        return {};
      }),
      DescribeAlarms: onAlarms('DescribeAlarms', (input) => this.describeAlarms(input)),
      SetAlarmState: onAlarms('SetAlarmState', ({ AlarmName, StateValue, StateReason }) => {
        this.change(this.alarm(AlarmName), StateValue, StateReason);
        return {};
      }),
    };
  }

  load(resources: readonly Resource[]): void {
    for (const { type, physicalId, arn, properties } of resources) {
      if (type !== 'AWS::CloudWatch::Alarm') continue;
      const template = fingerprint(properties);
      const known = this.earlier.get(physicalId);
      this.templates.set(physicalId, template);
      this.addAlarm(physicalId, arn, known?.template === template ? known.definition : properties, known);
    }
    for (const [name, alarm] of this.earlier) {
      if (this.alarms.has(name)) continue;
      if (alarm.template === undefined) this.addAlarm(name, alarm.arn, alarm.definition, alarm);
      else this.kept.alarms.delete(name); // the template has it no more
    }
  }

  stop(): void {
    this.keepMetrics();
  }

  record(
    namespace: string,
    name: string,
    value: number,
    dimensions: Readonly<Record<string, string>>,
    _unit?: string,
  ): void {
    const at = this.context.clock.now();
    this.add({ namespace, name, dimensions }, { at, sum: value, count: 1, min: value, max: value });
  }

  private add(named: MetricName, datum: Datum): void {
    const { metric, bucket } = this.metrics.add(named, datum);
    this.changed.set(bucket, metric);
    if (!this.context.signal.aborted) this.keeping ??= setTimeout(() => this.keepMetrics(), KEEP_MS).unref();
    for (const alarm of this.watching.get(idOf(named)) ?? []) this.judge(alarm);
  }

  private keepMetrics(): void {
    clearTimeout(this.keeping);
    this.keeping = undefined;
    const changed = this.changed;
    this.changed = new Map();
    try {
      this.context.store.together(() => {
        for (const [bucket, { namespace, name, dimensions }] of changed) {
          const metric = { namespace, name, dimensions };
          this.kept.buckets.put(bucketKey(metric, bucket), { metric, bucket });
        }
      });
    } catch (error) {
      this.context.log('cloudwatch', `keeping the metrics failed: ${(error as Error).message}`);
    }
  }

  private alarmArn(name: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:cloudwatch:${region}:${account}:alarm:${name}`;
  }

  private alarmNeeds(action: string, { AlarmName, AlarmNames }: Shape): RequiredPermission[] {
    const names: string[] = AlarmNames ?? [AlarmName ?? '*'];
    return names.map((name) => ({ action: `cloudwatch:${action}`, resource: this.alarmArn(name) }));
  }

  private alarm(name: string): Alarm {
    const alarm = this.alarms.get(name);
    if (alarm) return alarm;
    const have = [...this.alarms.keys()].join(', ') || 'none';
    throw new ApiError('ResourceNotFound', `there is no alarm '${name}' (there are: ${have})`, 404);
  }

  private putAlarm(input: Shape): void {
    const { AlarmName: name } = input;
    this.addAlarm(name, this.alarmArn(name), input);
  }

  /** @param known the state that it is in, if it was there before */
  private addAlarm(name: string, arn: string, definition: Shape, known?: Alarm): void {
    this.forget(name);
    const {
      state = 'INSUFFICIENT_DATA',
      reason = 'Unchecked: Initial alarm creation',
      updated = this.context.clock.now(),
    } = known ?? {};
    const alarm: Alarm = { name, arn, definition, state, reason, updated };
    this.keep(alarm);
    this.alarms.set(name, alarm);
    this.judgeEvery(periodOf(definition));
    for (const { MetricStat } of queriesOf(definition)) {
      if (!MetricStat) continue;
      const id = idOf(metricOf(MetricStat.Metric));
      const watchers = this.watching.get(id) ?? new Set();
      this.watching.set(id, watchers.add(alarm));
    }
  }

  private keep(alarm: Alarm): void {
    const template = this.templates.get(alarm.name);
    this.kept.alarms.put(alarm.name, { ...alarm, ...(template !== undefined && { template }) });
  }

  private delete(name: string): void {
    this.forget(name);
    this.kept.alarms.delete(name);
  }

  private forget(name: string): void {
    const alarm = this.alarms.get(name);
    this.alarms.delete(name);
    if (alarm) for (const watchers of this.watching.values()) watchers.delete(alarm);
  }

  /** Judges the alarms of a period whenever it ends: time alone fires one that looks for what is missing, or clears it. */
  private judgeEvery(period: number): void {
    const { clock, signal, schedules } = this.context;
    if (schedules === false || this.periods.has(period)) return;
    this.periods.add(period);
    const keep = async () => {
      while (!signal.aborted) {
        await clock.sleep(period - (clock.now() % period), signal);
        for (const alarm of signal.aborted ? [] : this.alarms.values()) {
          if (periodOf(alarm.definition) === period) this.refresh(alarm);
        }
      }
    };
    void keep();
  }

  private judge(alarm: Alarm): void {
    const queries = queriesOf(alarm.definition);
    const period = periodOf(alarm.definition) / 1000;
    const now = this.context.clock.now();
    const periods = Number(alarm.definition.EvaluationPeriods ?? 1) + 1;
    const from = (Math.floor(now / (period * 1000)) - periods) * period * 1000;
    const result = queries.find(({ ReturnData }) => String(ReturnData ?? true) !== 'false') ?? queries[0];
    try {
      const series = this.series(result, queries, period, from, now + 1);
      const { state, reason } = judge(alarm, series, now, period * 1000);
      if (state !== alarm.state) this.change(alarm, state, reason);
    } catch (error) {
      this.context.log('cloudwatch', `the alarm ${alarm.name} cannot be judged: ${(error as Error).message}`);
    }
  }

  /** The values of a query: a metric's statistic, or math over other queries. */
  private series(query: Shape, queries: readonly Shape[], period: number, from: number, to: number): Series {
    if (query.MetricStat) {
      const { Metric, Stat, Period = period } = query.MetricStat;
      return this.metrics.series(metricOf(Metric), Stat, Period * 1000, from, to);
    }
    const step = Number(query.Period ?? period) * 1000;
    const periods: number[] = [];
    for (let start = Math.floor(from / step) * step; start < to; start += step) periods.push(start);
    const named = (id: string) => {
      const found = queries.find((one) => one.Id === id && one !== query);
      if (!found)
        throw new ApiError('ValidationError', `Error in expression '${query.Expression}': unknown id '${id}'`);
      return this.series(found, queries, period, from, to);
    };
    return evaluate(String(query.Expression), named, periods);
  }

  private change(alarm: Alarm, state: AlarmState, reason: string): void {
    this.context.store.together(() => this.changeTo(alarm, state, reason));
  }

  private changeTo(alarm: Alarm, state: AlarmState, reason: string): void {
    const previous = { value: alarm.state, reason: alarm.reason, timestamp: new Date(alarm.updated).toISOString() };
    alarm.state = state;
    alarm.reason = reason;
    alarm.updated = this.context.clock.now();
    this.keep(alarm);
    const timestamp = new Date(alarm.updated).toISOString();
    this.context.log('cloudwatch', `alarm ${alarm.name}: ${previous.value} -> ${state}: ${reason}`);
    this.context.emit({
      source: 'aws.cloudwatch',
      'detail-type': 'CloudWatch Alarm State Change',
      resources: [alarm.arn],
      detail: {
        alarmName: alarm.name,
        state: { value: state, reason, timestamp },
        previousState: previous,
        configuration: { description: alarm.definition.AlarmDescription, metrics: eventMetrics(alarm.definition) },
      },
    });
    const { AlarmActions, OKActions, InsufficientDataActions, ActionsEnabled = true } = alarm.definition;
    if (String(ActionsEnabled) === 'false') return;
    const actions: string[] =
      { ALARM: AlarmActions, OK: OKActions, INSUFFICIENT_DATA: InsufficientDataActions }[state] ?? [];
    for (const arn of actions) this.actions.add({ alarm: { ...alarm }, arn, previous: previous.value });
  }

  private describeAlarms({ AlarmNames, AlarmNamePrefix = '', StateValue }: Shape): Shape {
    for (const alarm of this.alarms.values()) this.refresh(alarm);
    const found = [...this.alarms.values()].filter(
      ({ name, state }) =>
        (AlarmNames === undefined || AlarmNames.includes(name)) &&
        name.startsWith(AlarmNamePrefix) &&
        (StateValue === undefined || state === StateValue),
    );
    const MetricAlarms = found.map(({ name, arn, definition, state, reason, updated }) => ({
      ...definition,
      AlarmName: name,
      AlarmArn: arn,
      StateValue: state,
      StateReason: reason,
      StateUpdatedTimestamp: new Date(updated),
    }));
    return { MetricAlarms, CompositeAlarms: [] };
  }

  /** Judges anew what time alone may have changed; a state that was set by hand stays for its period. */
  private refresh(alarm: Alarm): void {
    const period = periodOf(alarm.definition);
    const setByHand =
      this.context.clock.now() - alarm.updated < period && alarm.reason !== 'Unchecked: Initial alarm creation';
    if (!setByHand) this.judge(alarm);
  }

  private putMetricData({ Namespace, MetricData = [] }: Shape): Shape {
    if (!Namespace) throw new ApiError('MissingParameter', 'The parameter Namespace is required.');
    for (const one of MetricData) {
      const at = one.Timestamp === undefined ? this.context.clock.now() : timeOf(one.Timestamp);
      const named = { namespace: Namespace, name: one.MetricName, dimensions: dimensionsOf(one) };
      for (const datum of dataOf(one, at)) this.add(named, datum);
    }
    return {};
  }

  private listMetrics({ Namespace, MetricName, Dimensions = [] }: Shape): Shape {
    const found = [...this.metrics.all()].filter(
      ({ namespace, name, dimensions }) =>
        (Namespace === undefined || namespace === Namespace) &&
        (MetricName === undefined || name === MetricName) &&
        Dimensions.every(
          ({ Name, Value }: Shape) =>
            dimensions[Name] !== undefined && (Value === undefined || dimensions[Name] === Value),
        ),
    );
    return {
      Metrics: found.map(({ namespace, name, dimensions }) => ({
        Namespace: namespace,
        MetricName: name,
        Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
      })),
    };
  }

  private getMetricData({ MetricDataQueries = [], StartTime, EndTime, ScanBy }: Shape): Shape {
    const queries = MetricDataQueries.map(numbered);
    const period = Math.max(...queries.map(({ MetricStat }: Shape) => MetricStat?.Period ?? 0), 1);
    const MetricDataResults = queries
      .filter(({ ReturnData }: Shape) => String(ReturnData ?? true) !== 'false')
      .map((query: Shape) => {
        const points = [...this.series(query, queries, period, timeOf(StartTime), timeOf(EndTime))];
        if (ScanBy !== 'TimestampAscending') points.reverse();
        return {
          Id: query.Id,
          Label: query.Label ?? query.MetricStat?.Metric.MetricName ?? query.Id,
          Timestamps: points.map(([start]) => new Date(start)),
          Values: points.map(([, value]) => value),
          StatusCode: 'Complete',
        };
      });
    return { MetricDataResults, Messages: [] };
  }

  private getMetricStatistics(input: Shape): Shape {
    const { Namespace, MetricName, Period, StartTime, EndTime, Statistics = [], ExtendedStatistics = [] } = input;
    const metric = { namespace: Namespace, name: MetricName, dimensions: dimensionsOf(input) };
    const points = new Map<number, Shape>();
    for (const statistic of [...Statistics, ...ExtendedStatistics]) {
      const series = this.metrics.series(metric, statistic, Number(Period) * 1000, timeOf(StartTime), timeOf(EndTime));
      for (const [start, value] of series) {
        const point = points.get(start) ?? { Timestamp: new Date(start), Unit: 'None' };
        if (ExtendedStatistics.includes(statistic)) {
          point.ExtendedStatistics = { ...point.ExtendedStatistics, [statistic]: value };
        } else {
          point[statistic] = value;
        }
        points.set(start, point);
      }
    }
    return { Label: MetricName, Datapoints: [...points.values()] };
  }
}

/** Milliseconds of an alarm's period: its own, or that of its metric math. */
function periodOf(definition: Shape): number {
  const { MetricStat, Period } = definition.Metrics?.find((query: Shape) => query.MetricStat ?? query.Period) ?? {};
  return Number(definition.Period ?? MetricStat?.Period ?? Period ?? 60) * 1000;
}

/** An alarm's queries: the one metric that it names itself, or those of its metric math. */
function queriesOf(definition: Shape): Shape[] {
  if (definition.Metrics) return definition.Metrics.map(numbered);
  const { Namespace, MetricName, Dimensions, Period, Statistic, ExtendedStatistic } = definition;
  const Metric = { Namespace, MetricName, Dimensions };
  return [
    {
      Id: 'm1',
      MetricStat: { Metric, Period: Number(Period ?? 60), Stat: Statistic ?? ExtendedStatistic ?? 'Average' },
    },
  ];
}

function numbered(query: Shape): Shape {
  return query.MetricStat
    ? { ...query, MetricStat: { ...query.MetricStat, Period: Number(query.MetricStat.Period) } }
    : query;
}

function eventMetrics(definition: Shape): Shape[] {
  return queriesOf(definition).map(({ Id, MetricStat, Expression, ReturnData }) => ({
    id: Id,
    returnData: String(ReturnData ?? true) !== 'false',
    ...(Expression !== undefined && { expression: Expression }),
    ...(MetricStat && {
      metricStat: {
        metric: {
          namespace: MetricStat.Metric.Namespace,
          name: MetricStat.Metric.MetricName,
          dimensions: dimensionsOf(MetricStat.Metric),
        },
        period: MetricStat.Period,
        stat: MetricStat.Stat,
      },
    }),
  }));
}

function metricOf(metric: Shape): MetricName {
  return { namespace: metric.Namespace, name: metric.MetricName, dimensions: dimensionsOf(metric) };
}

function bucketKey(metric: MetricName, { at }: Bucket): string {
  return `${idOf(metric)} ${at}`;
}

function dimensionsOf({ Dimensions = [] }: Shape): Record<string, string> {
  return Object.fromEntries((Dimensions ?? []).map(({ Name, Value }: Shape) => [Name, String(Value)]));
}

/** Times come as dates from inside, in seconds by JSON, as text by the query protocol. */
function timeOf(time: Date | number | string): number {
  const at = time instanceof Date ? time.getTime() : typeof time === 'number' ? time * 1000 : Date.parse(time);
  if (Number.isNaN(at)) throw new ApiError('InvalidParameterValue', `not a time: ${time}`);
  return at;
}

function dataOf({ Value, Values, Counts, StatisticValues, StorageResolution }: Shape, at: number): Datum[] {
  const resolution = Number(StorageResolution) === 1 ? 1 : 60;
  if (StatisticValues) {
    const { Sum, SampleCount, Minimum, Maximum } = StatisticValues;
    return [
      { at, sum: Number(Sum), count: Number(SampleCount), min: Number(Minimum), max: Number(Maximum), resolution },
    ];
  }
  const values: number[] = (Values ?? [Value]).map(Number);
  return values.map((value, i) => {
    if (!Number.isFinite(value)) {
      throw new ApiError('InvalidParameterValue', `a metric's value must be a finite number, got ${value}`);
    }
    const count = Number(Counts?.[i] ?? 1);
    return { at, sum: value * count, count, min: value, max: value, resolution };
  });
}
