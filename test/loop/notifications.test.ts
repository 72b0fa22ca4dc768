import { CloudWatchClient, DescribeAlarmsCommand } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { SFNClient, StartExecutionCommand, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { csv, flights } from './flights';
import { Loop, type Template } from './loop';

/** Sets what `ContinuousTraining` has no prop for. */
function atMostTwoRunsADay({ Resources }: Template): void {
  const controllers = Object.values<Template>(Resources).filter(({ Properties }) =>
    Properties?.Environment?.Variables?.SETTINGS?.includes?.('"maxRunsPerDay":24'),
  );
  expect(controllers).toHaveLength(1);
  const { Variables } = controllers[0].Properties.Environment;
  Variables.SETTINGS = Variables.SETTINGS.replace('"maxRunsPerDay":24', '"maxRunsPerDay":2');
}

describe('people are told', () => {
  let loop: Loop;
  beforeAll(async () => {
    loop = await Loop.start({ autoApprove: false, notificationEmails: ['ops@example.com'], edit: atMostTwoRunsADay });
  }, 240_000);
  afterAll(() => loop.stop());

  /** What is told from here on until nothing moves any more. */
  async function toldAfter(act: () => Promise<unknown>): Promise<string[]> {
    const before = loop.told().length;
    await act();
    await loop.rest();
    return loop.told().slice(before);
  }

  test('of a run that failed, with the file and what is wrong with it', async () => {
    const told = await toldAfter(() => loop.put('incoming/empty.csv', ''));
    expect(told).toContainEqual(
      expect.stringMatching(
        /^"flights: the run data-\w+ failed: Perennial\.DataUnreadable: .*empty\.csv.*\(lib\/RUNBOOK\.md, RunFailed\)"$/,
      ),
    );
    expect(told).toContainEqual(expect.stringMatching(/^ALARM: ".*FailedRunAlarm/));
    expect(told).toContainEqual(expect.stringMatching(/^ALARM: ".*PrepareFunctionErrorAlarm/));
  });

  test('of an approval that waits, with what to type', async () => {
    const told = await toldAfter(async () => loop.put('incoming/january.csv', csv(await flights(1, 8000))));
    expect(told).toEqual([
      expect.stringMatching(
        /^"flights: the run data-\w+ made version 1, which waits for approval: perennial approve 1, or perennial reject 1 \(lib\/RUNBOOK\.md, ApprovalWaits\)"$/,
      ),
    ]);
  }, 240_000);

  test('of a deployment that failed, with the cause', async () => {
    const modelPackageArn = `arn:aws:sagemaker:us-east-1:000000000000:model-package/${loop.output('ModelPackageGroup')}/99`;
    const told = await toldAfter(() =>
      new SFNClient(loop.engine.clientConfig).send(
        new StartExecutionCommand({
          stateMachineArn: loop.output('DeploymentMachine'),
          name: 'of-nothing',
          input: JSON.stringify({ modelPackageArn, approvedAt: '2026-03-01T00:00:00.000Z' }),
        }),
      ),
    );
    expect(told).toContainEqual(
      expect.stringMatching(
        /^"flights: the deployment of-nothing of version 99 failed: Perennial\.NotDeployable: .*DeploymentFailed\)"$/,
      ),
    );
    expect(told).toContainEqual(expect.stringMatching(/^ALARM: ".*FailedDeploymentAlarm/));
  });

  test('of a run that was stopped, which it could not say itself', async () => {
    const sfn = new SFNClient(loop.engine.clientConfig);
    const told = await toldAfter(async () => {
      const { executionArn } = await sfn.send(
        new StartExecutionCommand({ stateMachineArn: loop.output('TrainingMachine'), name: 'by-hand', input: '{}' }),
      );
      await sfn.send(new StopExecutionCommand({ executionArn }));
    });
    expect(told).toContain('"flights: by-hand ended as ABORTED before it could say how (lib/RUNBOOK.md, Stopped)"');
  });

  test('of a day whose budget of runs is used up', async () => {
    const told = await toldAfter(() => loop.put('incoming/february.csv', 'one run too many\n'));
    expect(told).toEqual([expect.stringMatching(/^"flights: 2 runs a day may start .*RUNBOOK\.md, BudgetReached\)"$/)]);
  });

  test('of drift, and of the data that it needs', async () => {
    const nextDay = async (windowId: string): Promise<string[]> => {
      loop.engine.advance(24 * 3_600_000); // beyond the cooldown
      const detail = { pipeline: 'flights', windowId, windowEnd: '2026-03-01T00:00:00.000Z', modelVersion: 1 };
      const Detail = JSON.stringify({ ...detail, reportKey: 'monitor/w1.json', summary: 'the delays are longer' });
      return toldAfter(() =>
        new EventBridgeClient(loop.engine.clientConfig).send(
          new PutEventsCommand({ Entries: [{ Source: 'perennial', DetailType: 'Perennial Drift Detected', Detail }] }),
        ),
      );
    };
    await nextDay('w1'); // what waited for another day is tried, and refused
    await nextDay('w2'); // what is left is trained on
    expect(await nextDay('w3')).toEqual([
      '"flights: the delays are longer (lib/RUNBOOK.md, Drift)"',
      expect.stringMatching(/^"flights: .*RUNBOOK\.md, DataNeeded\)"$/),
    ]);
  });

  test.each([
    ['FlightsControllerTriggersDeadLetters', 'LostTriggerAlarm'],
    ['FlightsDeploymentApprovalsDeadLetters', 'LostApprovalAlarm'],
    ['FlightsMonitorDeadLetters', 'LostWindowAlarm'],
    ['FlightsNotificationsDeadLetters', 'LostNotificationAlarm'],
  ])('of what lies in %s, by its alarm', async (queue, alarm) => {
    const found = loop.engine.assembly.ofType('AWS::SQS::Queue').filter(({ logicalId }) => logicalId.startsWith(queue));
    expect(found).toHaveLength(1);
    const told = await toldAfter(() =>
      new SQSClient(loop.engine.clientConfig).send(
        new SendMessageCommand({ QueueUrl: found[0]?.physicalId as string, MessageBody: 'lost' }),
      ),
    );
    expect(told).toEqual([expect.stringMatching(new RegExp(`^ALARM: ".*${alarm}`))]);
  });

  test('of a monitor that has judged nothing for a day', async () => {
    loop.engine.advance(2 * 24 * 3_600_000);
    const told = await toldAfter(() =>
      new CloudWatchClient(loop.engine.clientConfig).send(new DescribeAlarmsCommand({})),
    );
    expect(told).toContainEqual(expect.stringMatching(/^ALARM: ".*StaleAlarm/));
  });

  test('at no address but those that were given, from which nothing leaves this machine', () => {
    const topics = loop.engine.assembly.ofType('AWS::SNS::Subscription').map(({ properties }) => properties.Endpoint);
    expect(topics).toEqual(['ops@example.com']);
  });
});
