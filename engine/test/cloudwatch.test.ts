import {
  CloudWatchClient,
  DeleteAlarmsCommand,
  DescribeAlarmsCommand,
  GetMetricDataCommand,
  GetMetricStatisticsCommand,
  ListMetricsCommand,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
  SetAlarmStateCommand,
} from '@aws-sdk/client-cloudwatch';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../src/engine/clock';
import { evaluate } from '../src/services/cloudwatch/metric-math';
import { Metrics } from '../src/services/cloudwatch/metrics';
import { CloudWatch } from '../src/services/cloudwatch/service';
import { ServedContext } from './support/served-context';

const TOPIC = 'arn:aws:sns:eu-west-1:111122223333:alerts';
const START = Date.parse('2026-11-23T12:00:00Z');
let clock: ManualClock;
let context: ServedContext;
let cloudwatch: CloudWatch;
let client: CloudWatchClient;

beforeEach(async () => {
  clock = new ManualClock(START);
  context = new ServedContext({ clock });
  cloudwatch = new CloudWatch(context);
  await context.serve(cloudwatch);
  client = new CloudWatchClient(context.client);
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

const record = (value: number, dimensions = { Pipeline: 'p' }) => cloudwatch.record('App', 'Failed', value, dimensions);

function alarm(properties: object = {}) {
  cloudwatch.load([
    {
      stack: 'App',
      logicalId: 'Alarm',
      path: 'App/Alarm',
      type: 'AWS::CloudWatch::Alarm',
      physicalId: 'failures',
      arn: 'arn:aws:cloudwatch:eu-west-1:111122223333:alarm:failures',
      properties: {
        Namespace: 'App',
        MetricName: 'Failed',
        Dimensions: [{ Name: 'Pipeline', Value: 'p' }],
        Statistic: 'Sum',
        Period: 60,
        EvaluationPeriods: 1,
        Threshold: 2,
        ComparisonOperator: 'GreaterThanOrEqualToThreshold',
        AlarmActions: [TOPIC],
        ...properties,
      },
    },
  ]);
}

async function state(): Promise<string | undefined> {
  const { MetricAlarms = [] } = await client.send(new DescribeAlarmsCommand({ AlarmNames: ['failures'] }));
  return MetricAlarms[0]?.StateValue;
}

describe('metrics', () => {
  test('are read as statistics of their periods', async () => {
    for (const value of [1, 2, 3]) record(value);
    await clock.advance(60_000);
    record(10);
    const { Datapoints = [] } = await client.send(
      new GetMetricStatisticsCommand({
        Namespace: 'App',
        MetricName: 'Failed',
        Dimensions: [{ Name: 'Pipeline', Value: 'p' }],
        Period: 60,
        Statistics: ['Sum', 'Average', 'Minimum', 'Maximum', 'SampleCount'],
        StartTime: new Date(START),
        EndTime: new Date(START + 120_000),
      }),
    );
    expect(Datapoints).toMatchObject([
      { Timestamp: new Date(START), Sum: 6, Average: 2, Minimum: 1, Maximum: 3, SampleCount: 3 },
      { Timestamp: new Date(START + 60_000), Sum: 10 },
    ]);
  });

  test('put by a client are read back, with math over them', async () => {
    const Dimensions = [{ Name: 'Pipeline', Value: 'p' }];
    await client.send(
      new PutMetricDataCommand({
        Namespace: 'App',
        MetricData: [
          { MetricName: 'Failed', Dimensions, Values: [1, 2], Counts: [3, 1], Timestamp: new Date(START + 1000) },
          { MetricName: 'All', Dimensions, StatisticValues: { Sum: 20, SampleCount: 4, Minimum: 1, Maximum: 9 } },
        ],
      }),
    );
    const stat = (Id: string, MetricName: string, ReturnData: boolean) => ({
      Id,
      ReturnData,
      MetricStat: { Metric: { Namespace: 'App', MetricName, Dimensions }, Period: 60, Stat: 'Sum' },
    });
    const { MetricDataResults } = await client.send(
      new GetMetricDataCommand({
        StartTime: new Date(START),
        EndTime: new Date(START + 60_000),
        MetricDataQueries: [
          stat('f', 'Failed', true),
          stat('a', 'All', false),
          { Id: 'share', Expression: '100 * f / a' },
        ],
      }),
    );
    expect(MetricDataResults).toMatchObject([
      { Id: 'f', Values: [5], Timestamps: [new Date(START)] },
      { Id: 'share', Values: [25] },
    ]);
    const { Metrics = [] } = await client.send(new ListMetricsCommand({ Namespace: 'App' }));
    expect(Metrics.map(({ MetricName }) => MetricName)).toEqual(['Failed', 'All']);
  });
});

describe('alarms', () => {
  test('go off when the metric comes, tell the bus and publish', async () => {
    alarm();
    record(1);
    expect(context.events.map(({ detail }) => detail.state.value)).toEqual(['OK']);
    record(1);
    await Promise.all(context.work);
    expect(context.events.at(-1)).toMatchObject({
      source: 'aws.cloudwatch',
      'detail-type': 'CloudWatch Alarm State Change',
      resources: ['arn:aws:cloudwatch:eu-west-1:111122223333:alarm:failures'],
      detail: { alarmName: 'failures', state: { value: 'ALARM' }, previousState: { value: 'OK' } },
    });
    const [publish] = context.calls.filter(({ service }) => service === 'sns');
    expect(publish).toMatchObject({
      operation: 'Publish',
      input: { TopicArn: TOPIC, Subject: 'ALARM: "failures" in eu-west-1' },
      caller: { principal: 'cloudwatch.amazonaws.com' },
    });
  });

  test('do not look at other dimensions', async () => {
    alarm();
    record(9, { Pipeline: 'other' });
    expect(await state()).toBe('INSUFFICIENT_DATA');
  });

  test.each([
    ['missing', 'INSUFFICIENT_DATA'],
    ['notBreaching', 'OK'],
    ['breaching', 'ALARM'],
    ['ignore', 'ALARM'],
  ])('that treat missing data as %s become %s', async (TreatMissingData, expected) => {
    alarm({ TreatMissingData });
    record(5);
    await clock.advance(300_000);
    expect(await state()).toBe(expected);
  });

  test('need so many of so many datapoints', async () => {
    alarm({ EvaluationPeriods: 3, DatapointsToAlarm: 2, TreatMissingData: 'notBreaching' });
    const seen: (string | undefined)[] = [];
    for (const value of [5, 0, 5, 0, 0]) {
      record(value);
      seen.push(await state());
      await clock.advance(60_000);
    }
    expect(seen).toEqual(['OK', 'OK', 'ALARM', 'OK', 'OK']);
  });

  test('judge metric math', async () => {
    const metric = (Id: string, MetricName: string) => ({
      Id,
      ReturnData: false,
      MetricStat: { Metric: { Namespace: 'App', MetricName }, Period: 60, Stat: 'Sum' },
    });
    alarm({
      Namespace: undefined,
      MetricName: undefined,
      Statistic: undefined,
      Period: undefined,
      Metrics: [metric('e', 'Errors'), metric('n', 'Calls'), { Id: 'rate', Expression: 'FILL(e, 0) / n' }],
      Threshold: 0.5,
    });
    cloudwatch.record('App', 'Calls', 10, {});
    expect(await state()).toBe('OK');
    cloudwatch.record('App', 'Errors', 6, {});
    expect(await state()).toBe('ALARM');
  });

  test('go off when a period ends without what they look for, and nobody asks', async () => {
    alarm({ ComparisonOperator: 'LessThanThreshold', Threshold: 1, TreatMissingData: 'breaching' });
    record(1);
    await clock.advance(60_000);
    expect(context.calls).toEqual([]);
    await clock.advance(60_000);
    await Promise.all(context.work);
    expect(context.calls.map(({ operation }) => operation)).toEqual(['Publish']);
  });

  test('are set by hand, made and deleted by clients', async () => {
    alarm();
    await client.send(new SetAlarmStateCommand({ AlarmName: 'failures', StateValue: 'ALARM', StateReason: 'drill' }));
    expect(await state()).toBe('ALARM');
    await client.send(
      new PutMetricAlarmCommand({
        AlarmName: 'own',
        Namespace: 'App',
        MetricName: 'Failed',
        Statistic: 'Maximum',
        Period: 60,
        EvaluationPeriods: 1,
        Threshold: 1,
        ComparisonOperator: 'LessThanThreshold',
      }),
    );
    const all = await client.send(new DescribeAlarmsCommand({}));
    expect(all.MetricAlarms?.map(({ AlarmName }) => AlarmName)).toEqual(['failures', 'own']);
    await client.send(new DeleteAlarmsCommand({ AlarmNames: ['failures'] }));
    expect(await state()).toBeUndefined();
    const gone = new SetAlarmStateCommand({ AlarmName: 'failures', StateValue: 'OK', StateReason: 'x' });
    await expect(client.send(gone)).rejects.toThrow("there is no alarm 'failures'");
  });
});

describe('metric math', () => {
  const series = new Map([
    ['a', new Map([[0, 6]])],
    [
      'b',
      new Map([
        [0, 2],
        [60, 0],
      ]),
    ],
  ]);
  const value = (expression: string) => [...evaluate(expression, (id) => series.get(id) ?? new Map(), [0, 60])];

  test('follows the order of operations, and skips what has no value', () => {
    expect(value('a + b * 2')).toEqual([[0, 10]]);
    expect(value('(a - b) / b')).toEqual([[0, 2]]);
    expect(value('-a')).toEqual([[0, -6]]);
    expect(value('FILL(a, 1) / b')).toEqual([[0, 3]]);
    expect(value('FILL(a, 1) + b')).toEqual([
      [0, 8],
      [60, 1],
    ]);
  });

  test.each(['ANOMALY_DETECTION_BAND(a, 2)', 'a +', 'a b', '(a', 'IF(a > 1, 2)'])('refuses %s', (expression) => {
    expect(() => value(expression)).toThrow('the local engine does');
  });
});

test('putting data asks for permission in its namespace', async () => {
  await client.send(new PutMetricDataCommand({ Namespace: 'App', MetricData: [{ MetricName: 'm', Value: 1 }] }));
  expect(context.asked).toEqual([
    { action: 'cloudwatch:PutMetricData', resource: '*', conditions: { 'cloudwatch:namespace': 'App' } },
  ]);
});

describe('what is kept of metrics', () => {
  const named = { namespace: 'App', name: 'Latency', dimensions: {} };
  const datum = (at: number, value: number) => ({ at, sum: value, count: 1, min: value, max: value });

  test('is bounded in buckets, and the oldest are dropped', () => {
    const dropped: number[] = [];
    const metrics = new Metrics((_, { at }) => dropped.push(at));
    for (let minute = 0; minute < 6000; minute++) metrics.add(named, datum(minute * 60_000, minute));
    expect([...metrics.all()][0]?.buckets).toHaveLength(5000);
    expect(dropped).toHaveLength(1000);
    expect(metrics.series(named, 'Minimum', 86_400_000, 0, Number.MAX_SAFE_INTEGER).values().next().value).toBe(1000);
  });

  test('is bounded in metrics, and the one that has been silent for longest is dropped', () => {
    const metrics = new Metrics();
    for (let i = 0; i < 2500; i++) metrics.add({ ...named, dimensions: { Job: `${i}` } }, datum(i * 60_000, 1));
    const left = [...metrics.all()].map(({ dimensions }) => Number(dimensions.Job));
    expect(left).toHaveLength(2000);
    expect(Math.min(...left)).toBe(500);
  });

  test('is bounded in values: sums, counts and extremes stay exact, percentiles nearly so', () => {
    const metrics = new Metrics();
    const values = Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 10_000);
    for (const value of values) metrics.add(named, datum(0, value));
    const [metric] = metrics.all();
    expect(metric?.buckets[0]?.values.length).toBeLessThanOrEqual(50);
    const of = (statistic: string) => metrics.series(named, statistic, 60_000, 0, 1).get(0) ?? Number.NaN;
    expect(of('Sum')).toBe(values.reduce((sum, value) => sum + value, 0));
    expect([of('SampleCount'), of('Minimum'), of('Maximum')]).toEqual([10_000, 0, 9999]);
    for (const share of [10, 50, 90]) expect(Math.abs(of(`p${share}`) - share * 100)).toBeLessThan(1000);
  });

  test('tells minutes apart, and seconds where the sender says so', () => {
    const metrics = new Metrics();
    const fine = { ...named, name: 'Fine' };
    for (const second of [1, 2, 61]) {
      metrics.add(named, datum(second * 1000, 1));
      metrics.add(fine, { ...datum(second * 1000, 1), resolution: 1 });
    }
    expect([...metrics.series(named, 'Sum', 1000, 0, 100_000).keys()]).toEqual([0, 60_000]);
    expect([...metrics.series(fine, 'Sum', 1000, 0, 100_000).keys()]).toEqual([1000, 2000, 61_000]);
  });
});
