import { ArnFormat, Stack } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as scheduler from 'aws-cdk-lib/aws-scheduler-targets';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { grantKeyToSend, letAlarmsPublish, letRulesPublish, letRulesSend } from './keys';

/**
 * A queue as the target of a rule, which alone may send there; and EventBridge may use the queues' keys. With a key
 * the CDK's own target would let every rule of any account send, and leave the dead-letter queue's key out.
 */
export class QueueTarget implements events.IRuleTarget {
  constructor(
    private readonly queue: sqs.IQueue,
    private readonly deadLetterQueue: sqs.IQueue,
  ) {}

  bind(rule: events.IRule): events.RuleTargetConfig {
    for (const queue of [this.queue, this.deadLetterQueue]) letRule(rule, queue);
    return {
      arn: this.queue.queueArn,
      targetResource: this.queue,
      deadLetterConfig: { arn: this.deadLetterQueue.queueArn },
    };
  }
}

/** A topic as the target of a rule, which alone may publish there. */
export class TopicTarget implements events.IRuleTarget {
  constructor(
    private readonly topic: sns.ITopic,
    private readonly deadLetterQueue: sqs.IQueue,
    private readonly input?: events.RuleTargetInput,
  ) {}

  bind(rule: events.IRule): events.RuleTargetConfig {
    this.topic.addToResourcePolicy(fromRule(rule, 'sns:Publish', this.topic.topicArn));
    letRulesPublish(this.topic, this.topic.masterKey);
    letRule(rule, this.deadLetterQueue);
    return {
      arn: this.topic.topicArn,
      input: this.input,
      targetResource: this.topic,
      deadLetterConfig: { arn: this.deadLetterQueue.queueArn },
    };
  }
}

/** A function as the target of a schedule, whose role may use the dead-letter queue's key as well. */
export class FunctionScheduleTarget extends scheduler.LambdaInvoke {
  constructor(
    lambdaFunction: lambda.IFunction,
    private readonly props: scheduler.ScheduleTargetBaseProps & { readonly deadLetterQueue: sqs.IQueue },
  ) {
    super(lambdaFunction, props);
  }

  protected override addTargetActionToRole(role: iam.IRole): void {
    super.addTargetActionToRole(role);
    grantKeyToSend(role, this.props.deadLetterQueue);
  }
}

/**
 * Lets the account's alarms publish to a topic. A policy of one's own takes the place of the one that would let them.
 *
 * @see https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html#sns-allow-cloudwatch-alarm-to-publish-to-topic-in-another-account
 */
export function letAlarms(scope: Construct, topic: sns.ITopic): void {
  const { account } = Stack.of(scope);
  const alarms = Stack.of(scope).formatArn({
    service: 'cloudwatch',
    resource: 'alarm',
    resourceName: '*',
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  topic.addToResourcePolicy(
    new iam.PolicyStatement({
      actions: ['sns:Publish'],
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': account }, ArnLike: { 'aws:SourceArn': alarms } },
    }),
  );
  letAlarmsPublish(scope, topic.masterKey, alarms);
}

/** Lets a rule, and through it EventBridge alone, send to a queue. */
export function letRule(rule: events.IRule, queue: sqs.IQueue): void {
  queue.addToResourcePolicy(fromRule(rule, 'sqs:SendMessage', queue.queueArn));
  letRulesSend(queue, queue);
}

function fromRule(rule: events.IRule, action: string, resource: string): iam.PolicyStatement {
  return new iam.PolicyStatement({
    actions: [action],
    principals: [new iam.ServicePrincipal('events.amazonaws.com')],
    resources: [resource],
    conditions: {
      StringEquals: { 'aws:SourceAccount': Stack.of(rule).account },
      ArnEquals: { 'aws:SourceArn': rule.ruleArn },
    },
  });
}
