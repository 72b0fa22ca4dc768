import { randomUUID } from 'node:crypto';
import { Outbox } from '../../delivery/outbox';
import { queueUrl } from '../../delivery/target-delivery';
import {
  ApiError,
  type Caller,
  type Context,
  type Operation,
  type RequiredPermission,
  type Resource,
  type Service,
  type Shape,
} from '../../service';
import type { Kept } from '../../state/state-store';
import { RESOURCES } from './resources';

interface Subscription {
  readonly arn: string;
  readonly topicArn: string;
  readonly protocol: string;
  readonly endpoint: string;
  /** Whether a queue gets the message alone, without SNS's envelope. */
  readonly raw: boolean;
}

/** A message as it was published, whoever got it: for tests and the CLI. */
export interface PublishedMessage {
  readonly at: Date;
  readonly topicArn: string;
  readonly messageId: string;
  readonly subject?: string;
  readonly message: string;
  readonly attributes: Readonly<Record<string, Shape>>;
}

/** Services that do not tell KMS on whose behalf they publish to an encrypted topic. @see https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services */
const UNTOLD = ['events.amazonaws.com'];

/** Published messages that are remembered; older ones are forgotten. */
const KEPT_MESSAGES = 1_000;

/** SNS: topics that fan out to queues and functions. What would leave the machine, e.g. e-mail, stays in {@link Sns.published}. */
export class Sns implements Service {
  readonly name = 'sns';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly operations: Readonly<Record<string, Operation>>;
  /** What was published, oldest first. */
  readonly published: PublishedMessage[] = [];
  private readonly topics = new Set<string>();
  /** The keys of encrypted topics, by topic. */
  private readonly keys = new Map<string, string>();
  private readonly subscriptions = new Map<string, Subscription>();
  /** What calls have made; the rest is the template's. */
  private readonly kept: {
    readonly topics: Kept<{ readonly key?: string }>;
    readonly subscriptions: Kept<Subscription>;
    readonly published: Kept<PublishedMessage>;
  };
  private readonly deliveries: Outbox<{ readonly to: Subscription; readonly published: PublishedMessage }>;

  constructor(private readonly context: Context) {
    const { store } = context;
    this.kept = {
      topics: store.collection('sns/topics', { key: 'string?' }),
      subscriptions: store.collection('sns/subscriptions', { arn: 'string', topicArn: 'string', endpoint: 'string' }),
      published: store.collection('sns/published', { at: 'object', messageId: 'string', message: 'string' }),
    };
    this.kept.topics.restore(({ key }, arn) => this.addTopic(arn, key));
    this.kept.subscriptions.restore((one, arn) => this.subscriptions.set(arn, one));
    this.kept.published.restore((one) => this.published.push(one));
    this.published.sort((one, other) => +one.at - +other.at);
    this.deliveries = new Outbox(context, {
      name: 'sns/deliveries',
      members: { to: 'object', published: 'object' },
      plural: 'deliveries of topics',
      label: ({ to }) => `delivery of ${to.topicArn} to ${to.endpoint}`,
      work: ({ to, published }) => this.deliver(to, published),
    });
    const onTopic = (action: string, run: Operation['run']): Operation => ({
      needs: (input) => [{ action: `sns:${action}`, resource: topicOf(input) }],
      run,
    });
    const onAll = (action: string, run: Operation['run']): Operation => ({
      needs: () => [{ action: `sns:${action}`, resource: '*' }],
      run,
    });
    this.operations = {
      CreateTopic: {
        needs: ({ Name }) => [{ action: 'sns:CreateTopic', resource: this.topicArn(Name) }],
        run: ({ Name, Attributes }) => {
          const TopicArn = this.topicArn(Name);
          if (this.topics.has(TopicArn)) return { TopicArn };
          const key = Attributes?.KmsMasterKeyId || undefined;
          this.kept.topics.put(TopicArn, { ...(key && { key }) });
          this.addTopic(TopicArn, key);
          return { TopicArn };
        },
      },
      DeleteTopic: onTopic('DeleteTopic', (input) => this.deleteTopic(input.TopicArn)),
      ListTopics: onAll('ListTopics', () => ({ Topics: [...this.topics].map((TopicArn) => ({ TopicArn })) })),
      GetTopicAttributes: onTopic('GetTopicAttributes', ({ TopicArn }) => ({
        Attributes: {
          TopicArn: this.known(TopicArn),
          Owner: context.aws.account,
          ...(this.keys.has(TopicArn) && { KmsMasterKeyId: this.keys.get(TopicArn) }),
        },
      })),
      Subscribe: onTopic('Subscribe', (input) => this.subscribe(input)),
      Unsubscribe: onAll('Unsubscribe', ({ SubscriptionArn }) => {
        this.forget(SubscriptionArn);
        return {};
      }),
      ListSubscriptions: onAll('ListSubscriptions', () => this.listed(() => true)),
      ListSubscriptionsByTopic: onTopic('ListSubscriptionsByTopic', ({ TopicArn }) => {
        this.known(TopicArn);
        return this.listed((one) => one.topicArn === TopicArn);
      }),
      Publish: {
        needs: (input, caller) => [
          { action: 'sns:Publish', resource: topicOf(input) },
          ...this.keyNeeds(topicOf(input), caller),
        ],
        run: (input) => this.publish(input),
      },
    };
  }

  load(resources: readonly Resource[]): void {
    for (const { type, arn, physicalId, properties } of resources) {
      if (type === 'AWS::SNS::Topic') {
        this.addTopic(arn, properties.KmsMasterKeyId);
        for (const { Protocol, Endpoint } of properties.Subscription ?? []) {
          this.add(`${arn}:${randomUUID()}`, { ...properties, TopicArn: arn, Protocol, Endpoint });
        }
      }
      if (type === 'AWS::SNS::Subscription') this.add(physicalId, properties);
    }
  }

  private addTopic(arn: string, key: string | undefined): void {
    this.topics.add(arn);
    if (key) this.keys.set(arn, key);
  }

  private add(arn: string, { TopicArn, Protocol, Endpoint, RawMessageDelivery, FilterPolicy }: Shape): void {
    if (FilterPolicy !== undefined) {
      throw new Error(
        `the subscription of ${Endpoint} to ${TopicArn} has a FilterPolicy, which the local engine does not apply`,
      );
    }
    const raw = String(RawMessageDelivery) === 'true';
    this.subscriptions.set(arn, { arn, topicArn: TopicArn, protocol: Protocol, endpoint: Endpoint, raw });
  }

  /** @see https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html */
  private keyNeeds(topicArn: string, caller: Caller): readonly RequiredPermission[] {
    const key = this.keys.get(topicArn);
    if (key === undefined) return [];
    return this.context.keyNeeds({
      key,
      actions: ['GenerateDataKey', 'Decrypt'],
      via: 'sns',
      context: { 'aws:sns:topicArn': topicArn },
      withoutSource: caller.kind === 'service' && UNTOLD.includes(caller.principal),
    });
  }

  private topicArn(name: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:sns:${region}:${account}:${name}`;
  }

  private known(topicArn: string): string {
    if (this.topics.has(topicArn)) return topicArn;
    const have = [...this.topics].join(', ') || 'none';
    throw new ApiError('NotFoundException', `Topic does not exist: ${topicArn} (there are: ${have})`, 404);
  }

  private deleteTopic(topicArn: string): Shape {
    this.context.store.together(() => {
      this.kept.topics.delete(topicArn);
      for (const one of this.subscriptions.values()) if (one.topicArn === topicArn) this.forget(one.arn);
    });
    this.topics.delete(topicArn);
    this.keys.delete(topicArn);
    return {};
  }

  private forget(subscriptionArn: string): void {
    this.kept.subscriptions.delete(subscriptionArn);
    this.subscriptions.delete(subscriptionArn);
  }

  private subscribe({ TopicArn, Protocol, Endpoint, Attributes = {} }: Shape): Shape {
    this.known(TopicArn);
    if (Attributes.FilterPolicy !== undefined) {
      throw new ApiError('NotImplemented', 'filter policies are not implemented', 501);
    }
    const arn = `${TopicArn}:${randomUUID()}`;
    this.add(arn, { TopicArn, Protocol, Endpoint, RawMessageDelivery: Attributes.RawMessageDelivery });
    this.kept.subscriptions.put(arn, this.subscriptions.get(arn) as Subscription);
    return { SubscriptionArn: arn };
  }

  private listed(wanted: (one: Subscription) => boolean): Shape {
    const Owner = this.context.aws.account;
    const Subscriptions = [...this.subscriptions.values()]
      .filter(wanted)
      .map(({ arn, topicArn, protocol, endpoint }) => ({
        SubscriptionArn: arn,
        TopicArn: topicArn,
        Protocol: protocol,
        Endpoint: endpoint,
        Owner,
      }));
    return { Subscriptions };
  }

  private publish(input: Shape): Shape {
    const { Message, Subject, MessageAttributes = {} } = input;
    const topicArn = this.known(topicOf(input));
    if (typeof Message !== 'string' || Message === '') {
      throw new ApiError('InvalidParameter', 'Invalid parameter: Empty message');
    }
    const published: PublishedMessage = {
      at: new Date(this.context.clock.now()),
      topicArn,
      messageId: randomUUID(),
      ...(Subject !== undefined && { subject: Subject }),
      message: Message,
      attributes: MessageAttributes,
    };
    this.context.log('sns', `published to ${topicArn}: ${Subject ?? Message.slice(0, 200)}`);
    this.context.store.together(() => {
      this.remember(published);
      for (const to of this.subscriptions.values()) {
        if (to.topicArn === topicArn) this.deliveries.add({ to, published });
      }
    });
    return { MessageId: published.messageId };
  }

  private remember(published: PublishedMessage): void {
    this.published.push(published);
    this.kept.published.put(published.messageId, published);
    const [oldest] = this.published.length > KEPT_MESSAGES ? this.published.splice(0, 1) : [];
    if (oldest !== undefined) this.kept.published.delete(oldest.messageId);
  }

  private async deliver(to: Subscription, published: PublishedMessage): Promise<void> {
    const caller: Caller = { kind: 'service', principal: 'sns.amazonaws.com', sourceArn: to.topicArn };
    const body = envelope(published);
    try {
      if (to.protocol === 'sqs') {
        await this.context.call(
          'sqs',
          'SendMessage',
          {
            QueueUrl: queueUrl(this.context, to.endpoint),
            MessageBody: to.raw ? published.message : JSON.stringify(body),
            ...(to.raw && { MessageAttributes: published.attributes }),
          },
          caller,
        );
      } else if (to.protocol === 'lambda') {
        const record = { EventSource: 'aws:sns', EventVersion: '1.0', EventSubscriptionArn: to.arn, Sns: body };
        const Payload = JSON.stringify({ Records: [record] });
        await this.context.call(
          'lambda',
          'Invoke',
          { FunctionName: to.endpoint, InvocationType: 'Event', Payload },
          caller,
        );
      } else {
        this.context.log('sns', `not sent from this machine: ${to.protocol} to ${to.endpoint}`);
      }
    } catch (error) {
      this.context.log(
        'sns',
        `could not deliver ${published.messageId} to ${to.endpoint}: ${(error as Error).message}`,
      );
    }
  }
}

function topicOf({ TopicArn, TargetArn }: Shape): string {
  const arn = TopicArn ?? TargetArn;
  if (typeof arn === 'string' && arn !== '') return arn;
  throw new ApiError('InvalidParameter', 'Invalid parameter: TopicArn is required');
}

function envelope({ messageId, topicArn, subject, message, at, attributes }: PublishedMessage): Shape {
  const shown = Object.entries(attributes).map(([name, { DataType, StringValue }]) => [
    name,
    { Type: DataType, Value: StringValue },
  ]);
  return {
    Type: 'Notification',
    MessageId: messageId,
    TopicArn: topicArn,
    ...(subject !== undefined && { Subject: subject }),
    Message: message,
    Timestamp: at.toISOString(),
    ...(shown.length > 0 && { MessageAttributes: Object.fromEntries(shown) }),
  };
}
