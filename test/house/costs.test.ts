import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { FlightsStack } from '../../examples/flights/stack';

test('the README says how many alarms, metrics and keys are paid for while nothing happens', () => {
  const template = Template.fromStack(new FlightsStack(new App(), 'Flights'));
  const alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm'));
  const metrics = alarms.reduce(
    (sum, { Properties }) =>
      sum + (Properties.Metrics?.filter(({ MetricStat }: { MetricStat?: object }) => MetricStat).length ?? 1),
    0,
  );
  const keys = Object.keys(template.findResources('AWS::KMS::Key')).length;
  const total = (metrics * 0.1 + keys).toFixed(2);
  expect(keys).toBe(1);
  expect(readFileSync('README.md', 'utf8')).toContain(
    `| ${total} a month: ${alarms.length} alarms on ${metrics} metrics at 0.10, and a key at 1.00;`,
  );
});
