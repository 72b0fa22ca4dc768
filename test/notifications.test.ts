import { Match, Template } from 'aws-cdk-lib/assertions';
import { Alarm, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { describe, expect, test } from 'vitest';
import { Notifications, type NotificationsProps } from '../lib';
import { emptyStack, templateOf, wholeLoop } from './support/stacks';

/** Notifications of one part, which is an alarm. */
function notifications(props: Partial<NotificationsProps> = {}, stack = emptyStack()) {
  const metric = new Metric({ namespace: 'Mine', metricName: 'Mine' });
  const alarm = new Alarm(stack, 'Alarm', { metric, threshold: 1, evaluationPeriods: 1 });
  return new Notifications(stack, 'Notifications', { pipelineName: 'loop', parts: [alarm], ...props });
}

describe('Notifications', () => {
  test('every alarm of the loop notifies the one topic', () => {
    const { stack, loop } = wholeLoop();
    const topic = stack.resolve(loop.notifications.topic.topicArn);
    const alarms = Object.values(templateOf(stack).findResources('AWS::CloudWatch::Alarm'));
    expect(alarms.length).toBe(stack.node.findAll().filter((node) => node instanceof Alarm).length);
    expect(
      alarms.filter(({ Properties }) => JSON.stringify(Properties.AlarmActions) !== JSON.stringify([topic])),
    ).toEqual([]);
  });

  test('every function has an alarm on its errors, and every dead-letter queue one on what lies in it', () => {
    const { stack } = wholeLoop();
    const template = templateOf(stack);
    const watched = (metric: string, dimension: string) =>
      Object.values(template.findResources('AWS::CloudWatch::Alarm', { Properties: { MetricName: metric } })).map(
        ({ Properties }) => Properties.Dimensions.find(({ Name }: { Name: string }) => Name === dimension).Value,
      );
    const functions = Object.keys(template.findResources('AWS::Lambda::Function')).map((Ref) => ({ Ref }));
    expect(watched('Errors', 'FunctionName')).toEqual(expect.arrayContaining(functions));
    const letters = Object.keys(template.findResources('AWS::SQS::Queue'))
      .filter((id) => /DeadLetters/.test(id))
      .map((id) => ({ 'Fn::GetAtt': [id, 'QueueName'] }));
    expect(letters).toHaveLength(4);
    expect(watched('ApproximateNumberOfMessagesVisible', 'QueueName')).toEqual(expect.arrayContaining(letters));
  });

  test('a topic of its own is encrypted with a key that rotates, and that alarms and rules may use', () => {
    const { stack } = wholeLoop();
    const template = templateOf(stack);
    template.hasResourceProperties('AWS::SNS::Topic', {
      KmsMasterKeyId: { 'Fn::GetAtt': [Match.stringLikeRegexp('NotificationsKey'), 'Arn'] },
    });
    const statement = (service: string) =>
      Match.objectLike({
        Effect: 'Allow',
        Principal: { Service: service },
        Action: ['kms:GenerateDataKey*', 'kms:Decrypt'],
      });
    template.hasResourceProperties('AWS::KMS::Key', {
      EnableKeyRotation: true,
      KeyPolicy: {
        Statement: Match.arrayWith([statement('cloudwatch.amazonaws.com'), statement('events.amazonaws.com')]),
      },
    });
  });

  test('takes a topic, addresses and a key of yours', () => {
    const stack = emptyStack();
    const mine = new Topic(stack, 'Mine');
    wholeLoop({ stack, notificationTopic: mine, notificationEmails: ['ops@example.com'] });
    const template = templateOf(stack);
    template.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'email',
      Endpoint: 'ops@example.com',
      TopicArn: stack.resolve(mine.topicArn),
    });
    template.resourceCountIs('AWS::KMS::Key', 0);
    const actions = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(
      ({ Properties }) => Properties.AlarmActions,
    );
    expect(new Set(actions.map((action) => JSON.stringify(action)))).toEqual(
      new Set([JSON.stringify([stack.resolve(mine.topicArn)])]),
    );
  });

  test('encrypts its topic with a key of yours', () => {
    const stack = emptyStack();
    const key = new Key(stack, 'Key');
    notifications({ encryptionKey: key }, stack);
    Template.fromStack(stack).hasResourceProperties('AWS::SNS::Topic', { KmsMasterKeyId: stack.resolve(key.keyArn) });
  });

  test('watches the parts that it is given, with no rule for machines where there is none', () => {
    const stack = emptyStack();
    const { rules, topic } = notifications({}, stack);
    expect(Object.keys(rules)).not.toContain('Stopped');
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'Mine',
      AlarmActions: [stack.resolve(topic.topicArn)],
    });
  });

  test.each<[Partial<NotificationsProps>, string]>([
    [{ parts: [] }, 'parts must name at least one construct of the pipeline, got none'],
    [{ emails: ['nobody'] }, "emails must be addresses, got 'nobody'"],
  ])('refuses %o', (props, message) => {
    expect(() => notifications(props)).toThrow(message);
  });
});
