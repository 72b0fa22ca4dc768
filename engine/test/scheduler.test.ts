import {
  ConflictException,
  CreateScheduleCommand,
  DeleteScheduleCommand,
  GetScheduleCommand,
  ListSchedulesCommand,
  ResourceNotFoundException,
  SchedulerClient,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiError, type Resource, type Shape } from '../src/service';
import { readSchedule } from '../src/services/scheduler/schedule-expression';
import { Scheduler } from '../src/services/scheduler/service';
import { Door } from './support/door';
import { RecordingContext } from './support/recording-context';

const QUEUE = 'arn:aws:sqs:eu-west-1:111111111111:jobs';
const ROLE = 'arn:aws:iam::111111111111:role/scheduler';
const MINUTE = 60_000;

let context: RecordingContext;
let scheduler: Scheduler;

beforeEach(() => {
  context = new RecordingContext();
  scheduler = new Scheduler(context);
});
afterEach(() => {
  context.stop();
  scheduler.stop();
});

function schedule(expression: string, properties: Shape = {}, target: Shape = {}): Resource {
  return {
    stack: 'Stack',
    logicalId: 'Nightly',
    path: 'Stack/Nightly',
    type: 'AWS::Scheduler::Schedule',
    physicalId: 'nightly',
    arn: 'arn:aws:scheduler:eu-west-1:111111111111:schedule/default/nightly',
    properties: {
      ScheduleExpression: expression,
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: { Arn: QUEUE, RoleArn: ROLE, ...target },
      ...properties,
    },
  };
}

async function passes(milliseconds: number): Promise<void> {
  await context.clock.advance(milliseconds);
  await context.idle();
}

describe('a schedule', () => {
  test('calls its target on time, under its role', async () => {
    scheduler.load([schedule('rate(10 minutes)', {}, { Input: '{"at":"<aws.scheduler.scheduled-time>"}' })]);
    await passes(25 * MINUTE);
    expect(context.calls.map(({ input, caller }) => [input.MessageBody, caller])).toEqual([
      ['{"at":"2026-01-01T00:10:00Z"}', { kind: 'role', roleArn: ROLE }],
      ['{"at":"2026-01-01T00:20:00Z"}', { kind: 'role', roleArn: ROLE }],
    ]);
  });

  test('sends an event of its own when no input is given', async () => {
    scheduler.load([schedule('at(2026-01-01T00:01:00)')]);
    await passes(2 * MINUTE);
    expect(JSON.parse(context.calls[0]?.input.MessageBody)).toMatchObject({
      source: 'aws.scheduler',
      'detail-type': 'Scheduled Event',
      time: '2026-01-01T00:01:00Z',
    });
  });

  test('does nothing while it is disabled, but fires by hand', async () => {
    scheduler.load([schedule('rate(1 minute)', { State: 'DISABLED' })]);
    await passes(10 * MINUTE);
    expect(context.calls).toHaveLength(0);
    scheduler.fire('nightly');
    await context.idle();
    expect(context.calls).toHaveLength(1);
    expect(() => scheduler.fire('daily')).toThrow('no schedule is called daily; there are: default/nightly');
  });

  test('does not keep anybody waiting while it sleeps', async () => {
    scheduler.load([schedule('rate(1 day)')]);
    await context.idle();
    expect(context.calls).toHaveLength(0);
  });

  test('keeps to its start and its end', async () => {
    scheduler.load([
      schedule('rate(1 minute)', { StartDate: '2026-01-01T00:10:00Z', EndDate: '2026-01-01T00:12:30Z' }),
    ]);
    await passes(60 * MINUTE);
    expect(context.calls).toHaveLength(2);
  });

  test('is deleted after its last time, if it asks for that', async () => {
    scheduler.load([schedule('at(2026-01-01T00:01:00)', { ActionAfterCompletion: 'DELETE' })]);
    await passes(2 * MINUTE);
    expect(() => scheduler.fire('nightly')).toThrow('there are: none');
  });

  test('may make any call of the SDK', async () => {
    scheduler.load([
      schedule(
        'at(2026-01-01T00:01:00)',
        {},
        {
          Arn: 'arn:aws:scheduler:::aws-sdk:sfn:startExecution',
          Input: '{"StateMachineArn":"arn:m","Name":"run-<aws.scheduler.execution-id>"}',
        },
      ),
    ]);
    await passes(2 * MINUTE);
    expect(context.calls).toMatchObject([
      {
        service: 'states',
        operation: 'StartExecution',
        input: { stateMachineArn: 'arn:m', name: expect.stringMatching(/^run-[\da-f-]{36}$/) },
      },
    ]);
  });

  test('may put an event on a bus', async () => {
    context.answer = () => ({ Entries: [{ EventId: '1' }] });
    const bus = 'arn:aws:events:eu-west-1:111111111111:event-bus/default';
    const target = { Arn: bus, EventBridgeParameters: { Source: 'mine', DetailType: 'Tick' }, Input: '{"n":1}' };
    scheduler.load([schedule('at(2026-01-01T00:01:00)', {}, target)]);
    await passes(2 * MINUTE);
    expect(context.calls[0]?.input.Entries).toMatchObject([
      { EventBusName: bus, Source: 'mine', DetailType: 'Tick', Detail: '{"n":1}' },
    ]);
  });

  test('sends what cannot be delivered to its dead-letter queue', async () => {
    context.answer = ({ operation }) => {
      if (operation === 'Invoke') throw new ApiError('AccessDeniedException', 'not allowed', 403);
      return {};
    };
    const target = { Arn: 'arn:aws:lambda:eu-west-1:111111111111:function:f', DeadLetterConfig: { Arn: QUEUE } };
    scheduler.load([schedule('at(2026-01-01T00:01:00)', {}, target)]);
    await passes(2 * MINUTE);
    expect(context.calls[1]?.input.MessageAttributes).toMatchObject({
      ERROR_CODE: { StringValue: 'NO_PERMISSIONS' },
      SCHEDULE_ARN: { StringValue: schedule('').arn },
      SCHEDULED_TIME: { StringValue: '2026-01-01T00:01:00Z' },
    });
  });
});

describe('the SDK', () => {
  /** Serves the scheduler alone, for the SDK's client to talk to. */
  async function withClient(use: (client: SchedulerClient) => Promise<void>): Promise<void> {
    context.answer = async ({ operation, input, caller }) => scheduler.operations[operation]?.run(input, caller);
    const services = new Map([['scheduler', scheduler]]);
    const door = new Door({ services, call: (...call) => context.call(...call) });
    await door.gateway.listen(0);
    const client = new SchedulerClient(door.client);
    try {
      await use(client);
    } finally {
      client.destroy();
      await door.gateway.close();
    }
  }
  const request = {
    Name: 'hourly',
    ScheduleExpression: 'rate(1 hour)',
    FlexibleTimeWindow: { Mode: 'OFF' as const },
    Target: { Arn: QUEUE, RoleArn: ROLE },
  };

  test('creates, reads, changes, lists and deletes schedules', async () => {
    await withClient(async (client) => {
      const { ScheduleArn } = await client.send(new CreateScheduleCommand(request));
      expect(ScheduleArn).toBe('arn:aws:scheduler:eu-west-1:111111111111:schedule/default/hourly');
      await client.send(new UpdateScheduleCommand({ ...request, ScheduleExpression: 'rate(2 hours)' }));
      const found = await client.send(new GetScheduleCommand({ Name: 'hourly' }));
      expect(found).toMatchObject({ ScheduleExpression: 'rate(2 hours)', CreationDate: new Date('2026-01-01') });
      expect((await client.send(new ListSchedulesCommand({ NamePrefix: 'h' }))).Schedules).toHaveLength(1);
      await client.send(new DeleteScheduleCommand({ Name: 'hourly' }));
      expect((await client.send(new ListSchedulesCommand({}))).Schedules).toEqual([]);
    });
  });

  test('gets the errors of the API', async () => {
    await withClient(async (client) => {
      await client.send(new CreateScheduleCommand(request));
      await expect(client.send(new CreateScheduleCommand(request))).rejects.toBeInstanceOf(ConflictException);
      await expect(client.send(new GetScheduleCommand({ Name: 'no' }))).rejects.toBeInstanceOf(
        ResourceNotFoundException,
      );
      const wrong = { ...request, Name: 'x', ScheduleExpression: 'rate(1 hours)' };
      await expect(client.send(new CreateScheduleCommand(wrong))).rejects.toMatchObject({
        name: 'ValidationException',
      });
      const homeless = { ...request, Name: 'x', GroupName: 'nowhere' };
      await expect(client.send(new CreateScheduleCommand(homeless))).rejects.toThrow(
        'Schedule group nowhere does not exist.',
      );
    });
  });
});

describe('a schedule expression', () => {
  const next = (expression: string, after: string, zone?: string) => {
    const due = readSchedule(expression, Date.parse('2026-01-01T00:00:00Z'), zone).next(Date.parse(after));
    return due === undefined ? undefined : new Date(due).toISOString().slice(0, 16);
  };

  test.each([
    ['rate(1 minute)', '2026-01-01T00:00:00Z', '2026-01-01T00:01'],
    ['rate(12 hours)', '2026-01-02T13:00:00Z', '2026-01-03T00:00'],
    ['rate(7 days)', '2026-01-01T00:00:00Z', '2026-01-08T00:00'],
    ['cron(0 12 * * ? *)', '2026-01-01T12:00:00Z', '2026-01-02T12:00'],
    ['cron(0/15 9-17 ? * MON-FRI *)', '2026-01-02T17:45:00Z', '2026-01-05T09:00'],
    ['cron(30 6 1 JAN,JUL ? *)', '2026-01-01T06:30:00Z', '2026-07-01T06:30'],
    ['cron(0 0 L * ? *)', '2026-02-01T00:00:00Z', '2026-02-28T00:00'],
    ['cron(0 0 15W * ? *)', '2026-02-01T00:00:00Z', '2026-02-16T00:00'], // the 15th is a Sunday
    ['cron(0 0 1W * ? *)', '2026-07-31T00:00:00Z', '2026-08-03T00:00'], // the 1st is a Saturday; never the month before
    ['cron(0 0 ? * 6L *)', '2026-01-01T00:00:00Z', '2026-01-30T00:00'],
    ['cron(0 0 ? * 2#3 *)', '2026-01-01T00:00:00Z', '2026-01-19T00:00'],
    ['cron(0 0 29 2 ? *)', '2026-01-01T00:00:00Z', '2028-02-29T00:00'],
    ['cron(0 0 1 1 ? 2025)', '2026-01-01T00:00:00Z', undefined],
    ['at(2026-05-01T08:30:00)', '2026-01-01T00:00:00Z', '2026-05-01T08:30'],
    ['at(2026-05-01T08:30:00)', '2026-05-01T08:30:00Z', undefined],
  ])('%s after %s is due at %s', (expression, after, due) => {
    expect(next(expression, after)).toBe(due);
  });

  test('keeps to the local time of its zone, in winter and in summer', () => {
    expect(next('cron(0 9 * * ? *)', '2026-01-10T00:00:00Z', 'Europe/Berlin')).toBe('2026-01-10T08:00');
    expect(next('cron(0 9 * * ? *)', '2026-07-10T00:00:00Z', 'Europe/Berlin')).toBe('2026-07-10T07:00');
    expect(next('at(2026-07-10T09:00:00)', '2026-01-01T00:00:00Z', 'America/New_York')).toBe('2026-07-10T13:00');
  });

  test('skips a local time that a change of the clocks skips', () => {
    // on 2026-03-29 clocks in Berlin went from 02:00 to 03:00
    expect(next('cron(30 2 * * ? *)', '2026-03-28T02:00:00Z', 'Europe/Berlin')).toBe('2026-03-30T00:30');
  });

  test.each([
    'rate(1 minutes)',
    'rate(5 minute)',
    'rate(0 days)',
    'rate(5 weeks)',
    'cron(0 12 * * ?)',
    'cron(0 12 * * * *)',
    'cron(0 12 ? * ? *)',
    'cron(60 12 * * ? *)',
    'cron(0 12 * 13 ? *)',
    'cron(0 12 5-1 * ? *)',
    'at(tomorrow)',
    'daily',
  ])('is refused: %s', (expression) => {
    expect(() => readSchedule(expression, 0)).toThrow(`Invalid Schedule Expression ${expression}.`);
  });

  test('is refused in a time zone that does not exist', () => {
    expect(() => readSchedule('cron(0 9 * * ? *)', 0, 'Mars/Olympus')).toThrow('Invalid Schedule Expression');
  });
});
