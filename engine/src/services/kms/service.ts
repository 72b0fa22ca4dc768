import {
  ApiError,
  type AwsEnvironment,
  type Caller,
  type Context,
  type KeyUse,
  type KeyUser,
  type Refusal,
  type RequiredPermission,
  type Resource,
  type Shape,
} from '../../service';
import { RESOURCES } from './resources';

/** What a service says to who may not use a key, and to everybody if the key is disabled. */
interface Refusals {
  readonly denied: Refusal;
  readonly disabled: Refusal;
}

const LAMBDA = 'Lambda was unable to decrypt the environment variables because';
const SETTINGS = "Please check the function's KMS key settings. KMS Exception:";
const DYNAMODB = 'KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: ';

/** The services that ask, each in its own words. */
const REFUSALS = {
  s3: { denied: { code: 'AccessDenied', status: 403 }, disabled: { code: 'KMS.DisabledException', status: 400 } },
  sqs: { denied: { code: 'KmsAccessDenied', status: 400 }, disabled: { code: 'KmsDisabled', status: 400 } },
  sns: { denied: { code: 'KMSAccessDenied', status: 400 }, disabled: { code: 'KMSDisabled', status: 400 } },
  lambda: {
    denied: {
      code: 'KMSAccessDeniedException',
      status: 502,
      before: `${LAMBDA} KMS access was denied. ${SETTINGS} AccessDeniedExceptionKMS Message: `,
    },
    disabled: {
      code: 'KMSDisabledException',
      status: 502,
      before: `${LAMBDA} the KMS key used is disabled. ${SETTINGS} DisabledExceptionKMS Message: `,
    },
  },
  dynamodb: always({ code: 'AccessDeniedException', status: 400, before: DYNAMODB }),
  logs: always({ code: 'AccessDeniedException', status: 400 }),
  sagemaker: always({ code: 'AccessDeniedException', status: 400 }),
} satisfies Record<KeyUser, Refusals>;

function always(refusal: Refusal): Refusals {
  return { denied: refusal, disabled: refusal };
}

interface Key {
  readonly arn: string;
  readonly isEnabled: boolean;
  readonly aliases: string[];
}

/** The policy of a key that is made without one. @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html */
export function keyPolicy({ partition, account }: AwsEnvironment, { KeyPolicy }: Shape): Shape {
  const root = { Effect: 'Allow', Principal: { AWS: `arn:${partition}:iam::${account}:root` } };
  return KeyPolicy ?? { Version: '2012-10-17', Statement: { ...root, Action: 'kms:*', Resource: '*' } };
}

const AWS_MANAGED = /:alias\/aws\/(.+)$/;

/**
 * Whose key it is that AWS keeps for a service in every account; undefined for other keys.
 *
 * @param arn of its alias, by which the engine knows it
 */
export function ownerOf(arn: string): string | undefined {
  return AWS_MANAGED.exec(arn)?.[1];
}

/**
 * The policy of such a key: whoever may use the service may use it through the service, but no other service.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk
 */
export function managedKeyPolicy({ region, account, urlSuffix }: AwsEnvironment, owner: string): Shape {
  const Condition = {
    StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `${owner}.${region}.${urlSuffix}` },
  };
  const Statement = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'kms:*', Resource: '*', Condition };
  return { Version: '2012-10-17', Statement };
}

/** KMS, as far as other services use it: which key is meant, and what must be allowed. */
export class Kms {
  readonly resourceTypes = Object.keys(RESOURCES);
  /** Keys that are used and are not in the template, by ARN. */
  readonly strangers = new Set<string>();
  private readonly keys = new Map<string, Key>();
  private readonly targets = new Map<string, string>();

  constructor(
    private readonly aws: AwsEnvironment,
    resources: readonly Resource[],
  ) {
    for (const { type, arn, properties } of resources) {
      if (type === 'AWS::KMS::Key')
        this.keys.set(arn, { arn, isEnabled: String(properties.Enabled) !== 'false', aliases: [] });
    }
    for (const { type, arn, properties } of resources) {
      if (type !== 'AWS::KMS::Alias') continue;
      const target = this.arnOf(properties.TargetKeyId);
      this.targets.set(arn, target);
      this.keys.get(target)?.aliases.push(properties.AliasName);
    }
  }

  /** The ARN of a key; of one that AWS manages, and of a stranger that is known by its alias, that of the alias. */
  arnOf(key: string): string {
    const { partition, region, account } = this.aws;
    const inFull = `arn:${partition}:kms:${region}:${account}`;
    const named = key.startsWith('arn:') ? key : `${inFull}:${key.startsWith('alias/') ? '' : 'key/'}${key}`;
    const arn = this.targets.get(named) ?? named;
    if (!this.keys.has(arn) && ownerOf(arn) === undefined) this.strangers.add(arn);
    return arn;
  }

  /**
   * What IAM must allow, and the key's policy.
   *
   * @throws ApiError if the key is disabled
   */
  needs({ key, actions, via, context = {}, withoutSource = false }: KeyUse): RequiredPermission[] {
    const resource = this.arnOf(key);
    const { isEnabled = true, aliases = [] } = this.keys.get(resource) ?? {};
    const { denied, disabled }: Refusals = REFUSALS[via];
    if (!isEnabled) {
      throw new ApiError(disabled.code, `${disabled.before ?? ''}${resource} is disabled.`, disabled.status);
    }
    const alias = /^(?:arn:.*:)?(alias\/.+)$/.exec(key)?.[1];
    const names = Object.keys(context);
    const conditions = {
      ...(aliases.length > 0 && { 'kms:ResourceAliases': aliases }),
      ...(alias !== undefined && { 'kms:RequestAlias': alias }),
      ...(names.length > 0 && { 'kms:EncryptionContextKeys': names }),
      ...Object.fromEntries(names.map((name) => [`kms:EncryptionContext:${name}`, context[name] as string])),
    };
    return actions.map((action) => ({
      action: `kms:${action}`,
      resource,
      via,
      refusal: denied,
      withoutSource,
      // what services ask for a grant is for what they encrypt
      conditions: action === 'CreateGrant' ? { ...conditions, 'kms:GrantIsForAWSResource': 'true' } : conditions,
    }));
  }
}

/** Throws, in the service's own words, unless somebody may use a key. */
export function checkKeyUse(context: Context, caller: Caller, use: KeyUse): void {
  for (const need of context.keyNeeds(use)) context.authorize(caller, need);
}
