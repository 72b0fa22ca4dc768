import { afterEach, expect, test } from 'vitest';
import { Engine } from '../src/engine/engine';
import { KeyRing } from '../src/gateway/keys';
import { forgetOldest } from '../src/services/sagemaker/host';
import { assemblyOf } from './support/assembly';

// what the engine keeps of what goes through it; executions, metrics and logs have tests of their own

let engine: Engine | undefined;
afterEach(() => engine?.stop());

const ROOT = { kind: 'root' } as const;

test('the newest 20,000 entries of the log, 1,000 events and 1,000 messages of topics are kept', async () => {
  const Alarm = {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      ...{ AlarmName: 'a', Namespace: 'App', MetricName: 'Failed', Statistic: 'Sum', Period: 86_400 },
      ...{ EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: 'GreaterThanOrEqualToThreshold' },
    },
  };
  const Topic = { Type: 'AWS::SNS::Topic', Properties: { TopicName: 'news' } };
  engine = await Engine.start({ assembly: assemblyOf({ Alarm, Topic }), schedules: false });
  const { cloudwatch, sns, events } = engine.services;
  for (let i = 1; i <= 21_000; i++) {
    const input = { AlarmName: 'a', StateValue: i % 2 === 0 ? 'OK' : 'ALARM', StateReason: `number ${i}` };
    await cloudwatch.operations.SetAlarmState?.run(input, ROOT); // is logged, and emits an event
    if (engine.log.length > 20_000) throw new Error(`the log has ${engine.log.length} entries`);
  }
  for (let i = 1; i <= 1_100; i++) {
    const input = { TopicArn: 'arn:aws:sns:us-east-1:000000000000:news', Message: `number ${i}` };
    await sns.operations.Publish?.run(input, ROOT);
  }
  expect(engine.log.length).toBeGreaterThan(17_000);
  expect(events.events).toHaveLength(1_000);
  expect(events.events.at(-1)?.event.detail.state.reason).toBe('number 21000');
  expect(sns.published).toHaveLength(1_000);
  expect(sns.published.at(-1)?.message).toBe('number 1100');
});

test('of jobs that have ended, the newest 1,000 are kept, and all that run', () => {
  const jobs = new Map(
    Array.from({ length: 1_500 }, (_, number) => [`job-${number}`, { number, ended: number % 5 > 0 }]),
  );
  forgetOldest(
    jobs,
    ({ ended }) => ended,
    ({ number }) => jobs.delete(`job-${number}`),
  );
  const left = [...jobs.values()];
  expect(left.filter(({ ended }) => ended)).toHaveLength(1_000);
  expect(left.filter(({ ended }) => !ended)).toHaveLength(300);
  expect(left.filter(({ ended }) => ended)[0]?.number).toBe(251);
});

test('access keys that have ended are dropped, and those that count are not', () => {
  const keys = new KeyRing();
  const first = keys.issue('arn:aws:iam::000000000000:role/r', 's', Date.now() - 1);
  const lasting = keys.issue('arn:aws:iam::000000000000:role/r', 's');
  for (let i = 0; i < 2_000; i++) keys.issue('arn:aws:iam::000000000000:role/r', 's', Date.now() - 1);
  expect(keys.find(first.accessKeyId)).toBeUndefined();
  expect(keys.find(lasting.accessKeyId)).toBeDefined();
  expect(keys.find(keys.root.accessKeyId)).toBeDefined();
});
