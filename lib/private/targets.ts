import { Stack } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as scheduler from 'aws-cdk-lib/aws-scheduler-targets';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { grantKeyToSend, letRulesPublish, letRulesSend } from './keys';

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
  ) {}

  bind(rule: events.IRule): events.RuleTargetConfig {
    this.topic.addToResourcePolicy(fromRule(rule, 'sns:Publish', this.topic.topicArn));
    letRulesPublish(this.topic, this.topic.masterKey);
    letRule(rule, this.deadLetterQueue);
    return {
      arn: this.topic.topicArn,
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
