import type { Caller, Context } from '../../service';
import type { Alarm, AlarmState } from './alarm';

/** Does one of an alarm's actions; never throws for what a topic or function does. */
export async function act(context: Context, alarm: Alarm, actionArn: string, previous: AlarmState): Promise<void> {
  const { aws } = context;
  const service = actionArn.split(':')[2];
  const at = new Date(alarm.updated).toISOString();
  const message = {
    AlarmName: alarm.name,
    AlarmDescription: alarm.definition.AlarmDescription ?? null,
    AWSAccountId: aws.account,
    Region: aws.region,
    AlarmArn: alarm.arn,
    NewStateValue: alarm.state,
    NewStateReason: alarm.reason,
    StateChangeTime: at,
    OldStateValue: previous,
  };
  const caller: Caller = {
    kind: 'service',
    principal: service === 'lambda' ? 'lambda.alarms.cloudwatch.amazonaws.com' : 'cloudwatch.amazonaws.com',
    sourceArn: alarm.arn,
  };
  try {
    if (service === 'sns') {
      const Subject = `${alarm.state}: "${alarm.name}" in ${aws.region}`.slice(0, 100);
      await context.call('sns', 'Publish', { TopicArn: actionArn, Subject, Message: JSON.stringify(message) }, caller);
    } else if (service === 'lambda') {
      const Payload = JSON.stringify({
        source: 'aws.cloudwatch',
        alarmArn: alarm.arn,
        accountId: aws.account,
        time: at,
        region: aws.region,
        alarmData: { alarmName: alarm.name, state: { value: alarm.state, reason: alarm.reason, timestamp: at } },
      });
      await context.call('lambda', 'Invoke', { FunctionName: actionArn, InvocationType: 'Event', Payload }, caller);
    } else {
      context.log('cloudwatch', `the action ${actionArn} of alarm ${alarm.name} does nothing here`);
    }
  } catch (error) {
    context.log('cloudwatch', `the action ${actionArn} of alarm ${alarm.name} failed: ${(error as Error).message}`);
  }
}
