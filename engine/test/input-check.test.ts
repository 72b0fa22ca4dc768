import { describe, expect, test } from 'vitest';
import { checkInput } from '../src/api/input-check';
import { sdkActions } from '../src/api/models';
import type { ApiError } from '../src/service';

function refusal(service: string, operation: string, input: unknown): { code: string; message: string } {
  try {
    checkInput(service, operation, input);
  } catch (error) {
    const { code, message } = error as ApiError;
    return { code, message };
  }
  return { code: 'none', message: '' };
}

const role = 'arn:aws:iam::000000000000:role/r';
const target = { Arn: 'arn:aws:sqs:us-east-1:000000000000:q', RoleArn: role };
const schedule = { Name: 's', ScheduleExpression: 'rate(1 day)', FlexibleTimeWindow: { Mode: 'OFF' }, Target: target };
const one = (failed: string) => `1 validation error detected: ${failed}`;
const entry = { Source: 's', DetailType: 'd', Detail: '{}' };

describe('inputs that the model of an API forbids', () => {
  test.each([
    [
      'dynamodb',
      'GetItem',
      { TableName: 't' },
      'ValidationException',
      one("Value null at 'key' failed to satisfy constraint: Member must not be null"),
    ],
    [
      'dynamodb',
      'ListTables',
      { Limit: 101 },
      'ValidationException',
      one("Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100"),
    ],
    [
      'dynamodb',
      'Query',
      { TableName: 't', Select: 'SOME' },
      'ValidationException',
      one(
        "Value 'SOME' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, SPECIFIC_ATTRIBUTES, COUNT]",
      ),
    ],
    [
      'sagemaker',
      'DescribeTrainingJob',
      { TrainingJobName: 'a_b' },
      'ValidationException',
      one(
        "Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
      ),
    ],
    [
      'sagemaker',
      'AddTags',
      { ResourceArn: 'arn:aws:sagemaker:us-east-1:000000000000:model/m', Tags: [{ Key: 'k'.repeat(129), Value: 'v' }] },
      'ValidationException',
      one(
        `Value '${'k'.repeat(129)}' at 'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal to 128`,
      ),
    ],
    [
      'events',
      'PutTargets',
      { Rule: 'r', Targets: [] },
      'ValidationException',
      one("Value '[]' at 'targets' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ],
    [
      'states',
      'StartExecution',
      { stateMachineArn: 'arn', name: 'n'.repeat(81) },
      'ValidationException',
      one(
        `Value '${'n'.repeat(81)}' at 'name' failed to satisfy constraint: Member must have length less than or equal to 80`,
      ),
    ],
    [
      'scheduler',
      'CreateSchedule',
      { ...schedule, FlexibleTimeWindow: { Mode: 'off' } },
      'ValidationException',
      one(
        "Value 'off' at 'flexibleTimeWindow.mode' failed to satisfy constraint: Member must satisfy enum value set: [OFF, FLEXIBLE]",
      ),
    ],
    [
      'logs',
      'GetLogEvents',
      { logGroupName: '', logStreamName: 's' },
      'InvalidParameterException',
      "2 validation errors detected: Value '' at 'logGroupName' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
    ],
    ['monitoring', 'PutMetricData', { MetricData: [] }, 'MissingParameter', 'The parameter Namespace is required.'],
    [
      'monitoring',
      'GetMetricStatistics',
      { Namespace: 'n', MetricName: 'm', StartTime: 0, EndTime: 1, Period: '0' },
      'ValidationError',
      one("Value '0' at 'period' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ],
    ['lambda', 'Invoke', { FunctionName: 'a b' }, 'ValidationException', undefined],
    [
      'sts',
      'AssumeRole',
      { RoleArn: role, RoleSessionName: 'a b' },
      'ValidationError',
      one(
        "Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
      ),
    ],
    [
      'dynamodb',
      'GetItem',
      { TableName: 7, Key: {} },
      'SerializationException',
      'NUMBER_VALUE cannot be converted to String',
    ],
    [
      'dynamodb',
      'Query',
      { TableName: 't', Limit: '5' },
      'SerializationException',
      'STRING_VALUE cannot be converted to Integer',
    ],
    [
      'dynamodb',
      'Query',
      { TableName: 't', ConsistentRead: 'true' },
      'SerializationException',
      'STRING_VALUE cannot be converted to Boolean',
    ],
    [
      'dynamodb',
      'GetItem',
      { TableName: 't', Key: [] },
      'SerializationException',
      'Start of list found where not expected',
    ],
    [
      'sagemaker',
      'ListModels',
      { NameContains: {} },
      'SerializationException',
      'Start of structure or map found where not expected.',
    ],
    [
      'sagemaker',
      'CreateModel',
      { ModelName: 'm', Containers: {} },
      'SerializationException',
      'Start of structure or map found where not expected.',
    ],
  ])('%s %s %j', (service, operation, input, code, message) => {
    expect(refusal(service, operation, input)).toEqual({
      code,
      message: message ?? expect.stringContaining("at 'functionName'"),
    });
  });

  test('name every fault of a request', () => {
    const { message } = refusal('scheduler', 'CreateSchedule', { Name: 'a b', FlexibleTimeWindow: {} });
    expect(message).toMatch(/^4 validation errors detected: /);
    for (const place of ['name', 'scheduleExpression', 'target', 'flexibleTimeWindow.mode'])
      expect(message).toContain(`at '${place}'`);
  });

  test.each([
    ['dynamodb', 'GetItem', { TableName: 't', Key: { k: { S: 'x' } } }],
    ['events', 'PutEvents', { Entries: Array(10).fill(entry) }],
    ['scheduler', 'CreateSchedule', { ...schedule, Unknown: 1 }],
    [
      'monitoring',
      'PutMetricAlarm',
      {
        AlarmName: 'a',
        ComparisonOperator: 'LessThanThreshold',
        EvaluationPeriods: '2',
        Threshold: '1.5',
        ActionsEnabled: 'true',
      },
    ],
    ['sagemaker', 'ListModels', { CreationTimeAfter: new Date(), MaxResults: 100, NextToken: null }],
  ])('let %s %s %j through', (service, operation, input) => {
    expect(refusal(service, operation, input).message).toBe('');
  });
});

describe('the actions of services', () => {
  test.each([
    ['sfn', 'StartExecution'],
    ['cloudwatchlogs', 'PutLogEvents'],
    ['databasemigration', 'StartReplicationTask'],
    ['ec2', 'DescribeInstances'],
  ])('%s has %s', (service, action) => expect(sdkActions(service)).toContain(action));

  test('no other service is known', () => expect(sdkActions('sagmaker')).toBeUndefined());
});
