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

test('the README says how much of what is created', () => {
  const template = Template.fromStack(new FlightsStack(new App(), 'Flights'));
  const words = [
    'no',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
    'ten',
    'eleven',
    'twelve',
  ];
  const counted = [...words, 'thirteen', 'fourteen', 'fifteen', 'sixteen'];
  const of = (type: string, one: string, many = `${one}s`) => {
    const { length } = Object.keys(template.findResources(type));
    return `${counted[length] ?? length} ${length === 1 ? one : many}`;
  };
  const created = [
    of('AWS::S3::Bucket', 'bucket'),
    of('AWS::DynamoDB::Table', 'table'),
    of('AWS::SageMaker::ModelPackageGroup', 'model package group'),
    of('AWS::StepFunctions::StateMachine', 'state machine'),
    of('AWS::Lambda::Function', 'function'),
    of('AWS::SQS::Queue', 'queue'),
    of('AWS::SNS::Topic', 'topic'),
  ].join(', ');
  expect(readFileSync('README.md', 'utf8').replace(/\s+/g, ' ')).toContain(`It creates ${created}, rules,`);
});
