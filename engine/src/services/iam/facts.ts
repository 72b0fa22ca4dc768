import type { AwsEnvironment, Caller, RequiredPermission } from '../../service';
import type { Facts } from './condition';

/** What a request's facts are made from. */
export interface Circumstances {
  readonly aws: AwsEnvironment;
  readonly caller: Caller;
  readonly need: RequiredPermission;
  /** The role that the caller has, if it has one. */
  readonly role: { readonly id: string; readonly tags: Readonly<Record<string, string>> } | undefined;
  /** Tags of the resource that are in the template. */
  readonly resourceTags: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

type Value = string | readonly string[] | undefined;

/** Services that tell what they call for whom. @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-calledvia */
const TELLING = ['dynamodb'];

/**
 * The keys that AWS always sends, if there is anything to send. The engine speaks plain HTTP to itself; on AWS the
 * same call would use TLS.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
 */
const ALWAYS: Readonly<Record<string, (circumstances: Circumstances) => Value>> = {
  'aws:securetransport': () => 'true',
  'aws:requestedregion': ({ aws }) => aws.region,
  'aws:resourceaccount': ({ aws }) => aws.account,
  'aws:currenttime': ({ now }) => new Date(now).toISOString(),
  'aws:epochtime': ({ now }) => String(Math.floor(now / 1000)),
  'aws:viaawsservice': ({ need }) => String(need.via !== undefined),
  'aws:calledvia': ({ need }) =>
    need.via !== undefined && TELLING.includes(need.via) ? [principalOf(need.via)] : undefined,
  'aws:calledviafirst': (circumstances) => ALWAYS['aws:calledvia']?.(circumstances)?.[0],
  'aws:calledvialast': (circumstances) => ALWAYS['aws:calledvia']?.(circumstances)?.at(-1),
  'aws:principalisawsservice': ({ caller }) => String(caller.kind === 'service'),
  'aws:principalservicename': ({ caller }) => (caller.kind === 'service' ? caller.principal : undefined),
  'aws:principalservicenameslist': ({ caller }) => (caller.kind === 'service' ? [caller.principal] : undefined),
  'aws:sourcearn': ({ caller, need }) =>
    caller.kind === 'service' && caller.sourceArn !== '' && !need.withoutSource ? caller.sourceArn : undefined,
  'aws:sourceaccount': ({ caller, need, aws }) =>
    caller.kind === 'service' && !need.withoutSource ? aws.account : undefined,
  'aws:principalarn': ({ caller }) => (caller.kind === 'role' ? caller.roleArn : undefined),
  'aws:principalaccount': ({ caller, aws }) => (caller.kind === 'service' ? undefined : aws.account),
  'aws:principaltype': ({ caller }) => ({ role: 'AssumedRole', root: 'Account', service: undefined })[caller.kind],
  'aws:userid': ({ caller, role, aws }) =>
    caller.kind === 'role'
      ? `${role?.id}:${caller.session ?? 'local'}`
      : caller.kind === 'root'
        ? aws.account
        : undefined,
  'aws:tokenissuetime': ({ caller, now }) =>
    caller.kind === 'role' ? new Date(caller.since ?? now).toISOString() : undefined,
  'aws:sourceip': ({ caller, need }) => (caller.kind === 'service' || need.via !== undefined ? undefined : '127.0.0.1'),
};

/** Those of every request to S3. @see https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html */
const OF_S3: Readonly<Record<string, (circumstances: Circumstances) => Value>> = {
  's3:tlsversion': () => '1.3',
  's3:signatureversion': () => 'AWS4-HMAC-SHA256',
  's3:resourceaccount': ({ aws }) => aws.account,
};

/** Those of every request to KMS. @see https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html */
const OF_KMS: Readonly<Record<string, (circumstances: Circumstances) => Value>> = {
  'kms:calleraccount': ({ caller, aws }) => (caller.kind === 'service' ? undefined : aws.account),
  'kms:viaservice': ({ need, aws }) =>
    need.via === undefined ? undefined : `${need.via}.${aws.region}.${aws.urlSuffix}`,
};

const OF_SERVICE: Readonly<Record<string, typeof OF_S3>> = { s3: OF_S3, kms: OF_KMS };

const PRINCIPAL_TAG = 'aws:principaltag/';
const RESOURCE_TAG = 'aws:resourcetag/';

/** The condition keys of a request: those of the call itself, and those that AWS always sends. */
export function factsOf(circumstances: Circumstances): Facts {
  const { caller, need, role, resourceTags } = circumstances;
  let own: Map<string, Value> | undefined;
  const get = (key: string): Value => {
    own ??= new Map(Object.entries(need.conditions ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
    const value = own.get(key) ?? ALWAYS[key]?.(circumstances);
    if (value !== undefined) return value.length === 0 && typeof value !== 'string' ? undefined : value;
    if (key.startsWith(PRINCIPAL_TAG) && caller.kind === 'role') {
      return tagOf(key.slice(PRINCIPAL_TAG.length), { ...role?.tags, ...caller.tags });
    }
    if (key.startsWith(RESOURCE_TAG)) return tagOf(key.slice(RESOURCE_TAG.length), resourceTags);
    return OF_SERVICE[need.action.slice(0, need.action.indexOf(':'))]?.[key]?.(circumstances);
  };
  const variables = (key: string) => {
    const value = get(key);
    return typeof value === 'string' ? value : undefined;
  };
  return { get, variables };
}

function tagOf(name: string, tags: Readonly<Record<string, string>>): string | undefined {
  return Object.entries(tags).find(([key]) => key.toLowerCase() === name)?.[1];
}

function principalOf(service: string): string {
  return `${service}.amazonaws.com`;
}
