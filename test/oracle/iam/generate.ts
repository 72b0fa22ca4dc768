import { random } from '../../../lib/core/random';

/** Who asks: the session of a role, a user, or a service of AWS in its own name. */
export type Asker = 'session' | 'user' | 'service';

/** One request, and everything that has a say in it. */
export interface Case {
  readonly asker: Asker;
  readonly action: string;
  readonly resource: string;
  readonly context: Readonly<Record<string, string | string[]>>;
  readonly identity: readonly Document[];
  readonly boundary?: Document;
  readonly session?: Document;
  readonly resourcePolicy?: Document;
}

export interface Document {
  readonly Version: string;
  readonly Statement: readonly Record<string, unknown>[];
}

export interface Options {
  /**
   * Whether to ask as well what the oracle is known to answer otherwise than AWS's documentation does.
   *
   * @default false
   */
  readonly disputed?: boolean;
}

export const ACCOUNT = '111122223333';
export const REGION = 'eu-west-1';
export const ROLE = `arn:aws:iam::${ACCOUNT}:role/worker`;
export const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/worker/session`;
export const USER = `arn:aws:iam::${ACCOUNT}:user/anna`;
export const SERVICE = 'events.amazonaws.com';
const OTHER = `arn:aws:iam::${ACCOUNT}:role/other`;
const STRANGER = '444455556666';

/** What is asked for: actions, and a resource that they are for. */
const ASKED: readonly (readonly [actions: string, resource: string])[] = [
  ['s3:GetObject s3:PutObject s3:DeleteObject', 'arn:aws:s3:::data/runs/a-1/model.tar.gz'],
  ['s3:ListBucket s3:ListBucketVersions', 'arn:aws:s3:::data'],
  ['sqs:SendMessage sqs:ReceiveMessage sqs:DeleteMessage', `arn:aws:sqs:${REGION}:${ACCOUNT}:triggers`],
  ['sns:Publish sns:Subscribe', `arn:aws:sns:${REGION}:${ACCOUNT}:feedback`],
  ['dynamodb:GetItem dynamodb:PutItem dynamodb:Query', `arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/ledger`],
  ['lambda:InvokeFunction', `arn:aws:lambda:${REGION}:${ACCOUNT}:function:prepare`],
  ['states:StartExecution', `arn:aws:states:${REGION}:${ACCOUNT}:stateMachine:training`],
  [
    'sagemaker:DescribeTrainingJob sagemaker:StopTrainingJob',
    `arn:aws:sagemaker:${REGION}:${ACCOUNT}:training-job/a-1`,
  ],
  ['events:PutEvents', `arn:aws:events:${REGION}:${ACCOUNT}:event-bus/default`],
  [
    'kms:Decrypt kms:GenerateDataKey kms:CreateGrant',
    `arn:aws:kms:${REGION}:${ACCOUNT}:key/00000000-0000-4000-8000-000000000000`,
  ],
  ['sts:AssumeRole', `arn:aws:iam::${ACCOUNT}:role/target`],
];

type Kind = 'text' | 'arn' | 'number' | 'date' | 'flag' | 'address' | 'texts' | 'bytes';

/** Condition keys that AWS knows for every action, and values that a request may have for them. */
const KEYS: Readonly<Record<string, readonly [Kind, readonly string[]]>> = {
  'aws:PrincipalTag/team': ['text', ['data', 'Data', 'a*', 'models']],
  'aws:userid': ['text', ['AROAXXXXXXXXXXXXXXXXX:session', 'AROAYYYYYYYYYYYYYYYYY:other']],
  'aws:RequestedRegion': ['text', [REGION, 'us-east-1']],
  'aws:SourceIdentity': ['text', ['anna', 'ben']],
  'aws:UserAgent': ['text', ['aws-cli/2', 'aws-sdk-js/3', '']],
  'aws:SourceArn': [
    'arn',
    [`arn:aws:events:${REGION}:${ACCOUNT}:rule/r`, `arn:aws:lambda:${REGION}:${ACCOUNT}:function:f`],
  ],
  'aws:EpochTime': ['number', ['1767225600', '1767225601', '5']],
  'aws:CurrentTime': ['date', ['2026-01-01T00:00:00Z', '2026-06-01T12:30:00Z', '2025-12-31T23:59:59.5Z']],
  'aws:TokenIssueTime': ['date', ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00+01:00']],
  'aws:SecureTransport': ['flag', ['true', 'false']],
  'aws:ViaAWSService': ['flag', ['true', 'false']],
  'aws:PrincipalTag/seal': ['bytes', ['QmluYXJ5', 'AAEC', 'qmluyxj5']],
  'aws:SourceIp': ['address', ['10.1.2.3', '192.0.2.7', '2001:db8::1']],
  'aws:CalledVia': ['texts', ['athena.amazonaws.com', 'cloudformation.amazonaws.com', 'dynamodb.amazonaws.com']],
  'aws:TagKeys': ['texts', ['team', 'cost', 'Team']],
};

const OPERATORS: Readonly<Record<Kind, readonly string[]>> = {
  text: 'StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike'.split(
    ' ',
  ),
  texts: 'StringEquals StringNotEquals StringLike StringNotLike StringEqualsIgnoreCase'.split(' '),
  arn: 'ArnEquals ArnNotEquals ArnLike ArnNotLike StringLike StringEquals'.split(' '),
  number:
    'NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals'.split(
      ' ',
    ),
  date: 'DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals'.split(' '),
  flag: ['Bool'],
  bytes: ['BinaryEquals'],
  address: ['IpAddress', 'NotIpAddress'],
};

const WANTED: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  arn: [
    `arn:aws:events:${REGION}:${ACCOUNT}:rule/*`,
    'arn:aws:*:*:*:*',
    `arn:aws:lambda:*:${ACCOUNT}:function:*`,
    'arn:aws:lambda:eu-*-1:*:function:?',
    'arn:aws:lambda',
  ],
  number: ['1767225600', '1767225600.5', '-1', '5.0', '6'],
  date: ['2026-01-01T00:00:00Z', '2026-01-01', '2026-01', '2026-06-01T12:30Z', '2025-12-31T23:59:59.500Z'],
  flag: ['true', 'false', 'TRUE'],
  address: ['10.0.0.0/8', '10.1.2.3', '10.1.2.3/32', '10.1.0.0/16', '192.0.2.0/29', '2001:db8::/32', '2001:db8::1/128'],
};

/** The cases of a seed: always the same. */
export function* cases(seed: number, count: number, options: Options = {}): Generator<Case> {
  const dice = new Dice(random(seed));
  for (let i = 0; i < count; i++) yield new Maker(dice, options).make();
}

class Dice {
  constructor(private readonly next: () => number) {}

  chance(share: number): boolean {
    return this.next() < share;
  }

  upTo(most: number): number {
    return Math.floor(this.next() * (most + 1));
  }

  of<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T;
  }

  some<T>(list: readonly T[], least = 0): T[] {
    const taken = list.filter(() => this.chance(0.4));
    return taken.length >= least ? taken : [this.of(list)];
  }
}

/** Makes one case: policies that have to do with what is asked, so that small things decide. */
class Maker {
  private readonly action: string;
  private readonly resource: string;
  private readonly asker: Asker;
  private readonly context: Record<string, string | string[]>;

  constructor(
    private readonly dice: Dice,
    private readonly options: Options,
  ) {
    const [actions, resource] = dice.of(ASKED);
    this.action = dice.of(actions.split(' '));
    this.resource = resource;
    this.asker = dice.of(['session', 'session', 'session', 'user', 'service']);
    this.context = {
      ...(this.asker !== 'service' && {
        'aws:PrincipalArn': this.asker === 'user' ? USER : ROLE,
        'aws:PrincipalAccount': ACCOUNT,
      }),
    };
    for (const [key, [kind, values]] of Object.entries(KEYS)) {
      if (dice.chance(0.35)) continue;
      this.context[key] = kind === 'texts' ? dice.some(values, 1) : dice.of(values);
    }
  }

  make(): Case {
    const { dice, asker, action, resource, context } = this;
    const isClosed = /^(kms|sts):/.test(action);
    const isService = asker === 'service';
    const identity = Array.from({ length: isService ? 0 : dice.upTo(2) }, () => this.document('identity'));
    const boundary = !isService && dice.chance(0.4) ? this.document('identity') : undefined;
    const resourcePolicy =
      isClosed || isService || dice.chance(0.6)
        ? this.document(action === 'sts:AssumeRole' ? 'trust' : 'resource')
        : undefined;
    const session = asker === 'session' && dice.chance(0.3) ? this.document('identity') : undefined;
    return {
      asker,
      action,
      resource,
      context,
      identity,
      ...(boundary && { boundary }),
      ...(session && (this.options.disputed || !namesSession(resourcePolicy)) && { session }),
      ...(resourcePolicy && { resourcePolicy }),
    };
  }

  private document(kind: 'identity' | 'resource' | 'trust'): Document {
    const Statement = Array.from({ length: 1 + this.dice.upTo(2) }, () => this.statement(kind));
    const hasVariables = JSON.stringify(Statement).includes('${');
    const isOld = this.dice.chance(0.1) && (this.options.disputed || !hasVariables);
    return { Version: isOld ? '2008-10-17' : '2012-10-17', Statement };
  }

  private statement(kind: 'identity' | 'resource' | 'trust'): Record<string, unknown> {
    const { dice } = this;
    const Effect = dice.chance(0.75) ? 'Allow' : 'Deny';
    const conditions = dice.chance(0.55) ? undefined : this.conditions();
    const resources = dice.chance(0.9) ? 'Resource' : 'NotResource';
    return {
      Effect,
      ...(kind !== 'identity' && this.principal(Effect)),
      [dice.chance(0.9) ? 'Action' : 'NotAction']: this.oneOrMore(() => this.actionPattern()),
      ...(kind !== 'trust' && {
        [resources]: this.oneOrMore(() => this.resourcePattern(kind, resources === 'Resource')),
      }),
      ...(conditions && { Condition: conditions }),
    };
  }

  private principal(effect: string): Record<string, unknown> {
    const { dice } = this;
    const own = this.asker === 'user' ? [USER, USER, USER] : [ROLE, ROLE, SESSION];
    const AWS = this.oneOrMore(() =>
      dice.of([...own, ACCOUNT, `arn:aws:iam::${ACCOUNT}:root`, OTHER, STRANGER, `${SESSION}-2`]),
    );
    const services = [SERVICE, SERVICE, 'sns.amazonaws.com'];
    const Service = this.asker === 'service' ? this.oneOrMore(() => dice.of(services)) : SERVICE;
    const name = dice.chance(effect === 'Deny' ? 0.25 : 0.05) ? 'NotPrincipal' : 'Principal';
    if (name === 'NotPrincipal') return { NotPrincipal: { AWS } };
    const people =
      this.asker === 'service' ? [{ Service }, { AWS, Service }, { Service }] : [{ AWS }, { AWS }, { AWS }];
    return { Principal: dice.of<unknown>(['*', { AWS: '*' }, ...people, { Service }]) };
  }

  private actionPattern(): string {
    const { dice, action } = this;
    const [service = '', name = ''] = action.split(':');
    return dice.of([
      action,
      action,
      `${service}:*`,
      '*',
      `${service}:${name.slice(0, 3)}*`,
      `${service}:*${name.slice(-4)}`,
      action.toUpperCase(),
      `${service}:${name.slice(0, -1)}?`,
      `${service}:Tag*`,
      'ec2:*',
    ]);
  }

  private resourcePattern(kind: string, mayLackValue: boolean): string {
    const { dice, resource } = this;
    const parts = resource.split(':');
    const last = parts.length - 1;
    const with_ = (index: number, text: string) => parts.map((part, i) => (i === index ? text : part)).join(':');
    const end = parts[last] as string;
    const hasTeam = this.context['aws:PrincipalTag/team'] !== undefined;
    const variables = [
      "${aws:PrincipalTag/none, 'x'}",
      ...(hasTeam || mayLackValue ? ['${aws:PrincipalTag/team}'] : []),
    ];
    const variable = () => `${resource.slice(0, -4)}${dice.of(variables)}`;
    const shapes = [
      () => resource,
      () => '*',
      () => `${resource.slice(0, -2)}*`,
      () => `${resource.slice(0, -1)}?`,
      () => with_(3, '*'),
      () => with_(4, '*'),
      () => with_(4, STRANGER),
      () => `${parts.slice(0, 5).join(':')}:*`,
      () => `${resource}x`,
      () => with_(last, `${end.slice(0, -4)}*${end.slice(-2)}`),
      () => with_(2, parts[2] === 's3' ? 's3' : 's*'),
      variable,
      ...(kind === 'identity'
        ? [() => parts.slice(0, 3).join(':'), () => parts.slice(0, 4).join(':'), () => `arn:aws:${parts[2]}:*`]
        : []),
    ];
    return dice.of(shapes)();
  }

  private conditions(): Record<string, Record<string, unknown>> {
    const { dice } = this;
    const block: Record<string, Record<string, unknown>> = {};
    for (let left = 1 + dice.upTo(1); left > 0; left--) {
      const [key, [kind, values]] = dice.of(Object.entries(KEYS));
      const shown = dice.chance(0.1) ? key.toUpperCase().replace('PRINCIPALTAG/TEAM', 'PRINCIPALTAG/team') : key;
      if (dice.chance(0.08)) {
        block.Null = { ...block.Null, [shown]: dice.of(['true', 'false', true]) };
        continue;
      }
      const operator = this.operator(kind, this.context[key] === undefined);
      block[operator] = { ...block[operator], [shown]: this.oneOrMore(() => this.wanted(kind, operator, values)) };
    }
    return block;
  }

  private operator(kind: Kind, isMissing: boolean): string {
    const { dice } = this;
    const bare = dice.of(OPERATORS[kind]);
    const set =
      kind === 'texts'
        ? dice.of(['ForAllValues:', 'ForAnyValue:', 'ForAnyValue:', ''])
        : dice.chance(0.05)
          ? 'ForAllValues:'
          : '';
    const isDisputed = set === 'ForAnyValue:' && isMissing; // AWS: "evaluate the condition element as true"
    const suffix = dice.chance(0.2) && (this.options.disputed || !isDisputed) ? 'IfExists' : '';
    const operator = `${set}${bare}${suffix}`;
    return dice.chance(0.05) ? operator.toLowerCase() : operator;
  }

  private wanted(kind: Kind, operator: string, values: readonly string[]): unknown {
    const { dice, options } = this;
    const disputed: Partial<Record<Kind, string[]>> = {
      address: ['0.0.0.0/0', '::/0'],
      date: ['1767225600'],
      text: ['${aws:PrincipalTag/none}'],
    };
    if (options.disputed && disputed[kind] && dice.chance(0.2)) return dice.of(disputed[kind] as string[]);
    if (kind === 'text' || kind === 'texts') {
      const value = dice.of(values);
      const isNegated = /not/i.test(operator);
      return dice.of([
        value,
        value,
        `${value.slice(0, 2)}*`,
        value.toUpperCase(),
        `?${value.slice(1)}`,
        "${aws:PrincipalTag/none, 'data'}",
        ...(isNegated ? [] : ['${aws:PrincipalTag/none}']),
        ...(isNegated && this.context['aws:RequestedRegion'] === undefined ? [] : ['${aws:RequestedRegion}']),
      ]);
    }
    if (kind === 'address' && !options.disputed) {
      return dice.of((WANTED.address ?? []).filter((block) => block.includes('/')));
    }
    return dice.of([...(WANTED[kind] ?? []), ...(kind === 'flag' || kind === 'date' ? [] : values)]);
  }

  private oneOrMore<T>(make: () => T): T | T[] {
    return this.dice.chance(0.7) ? make() : Array.from({ length: 1 + this.dice.upTo(2) }, make);
  }
}

function namesSession(document: Document | undefined): boolean {
  return JSON.stringify(document ?? '').includes(`"${SESSION}"`);
}
