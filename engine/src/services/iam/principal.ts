/** By what a resource's policy can know who makes a request. */
export interface Identity {
  /** Of a role's session, e.g. `arn:aws:sts::123456789012:assumed-role/worker/session`. */
  readonly session?: string;
  readonly role?: string;
  readonly account?: string;
  /** Of an AWS service that acts in its own name, e.g. `events.amazonaws.com`. */
  readonly service?: string;
  /** The region that a service acts in: `states.eu-west-1.amazonaws.com` means `states.amazonaws.com` there. */
  readonly region: string;
}

/** As what a statement names somebody; nothing else of what it names is more exact. */
export type Naming = 'session' | 'anyone' | 'role' | 'account' | 'service';

/** As what a statement names who makes a request; undefined if it does not. */
export type Principals = (identity: Identity) => Naming | undefined;

const KINDS = ['AWS', 'Service', 'Federated', 'CanonicalUser'];

/**
 * Reads the `Principal` of a statement.
 *
 * @throws Error on what AWS would refuse
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
 */
export function readPrincipals(element: unknown): Principals {
  const named = namesIn(element);
  const people = new Set((named.AWS ?? []).map(readPerson));
  const services = new Set(named.Service ?? []);
  return ({ session, role, account, service, region }) => {
    if (service !== undefined && (services.has(service) || services.has(inRegion(service, region)))) return 'service';
    if (session !== undefined && people.has(session)) return 'session';
    if (people.has('*')) return 'anyone';
    if (role !== undefined && people.has(role)) return 'role';
    return account !== undefined && people.has(account) ? 'account' : undefined;
  };
}

/** Everybody whom the element does not name. */
export function readNotPrincipals(element: unknown): Principals {
  const named = readPrincipals(element);
  return (identity) => (named(identity) === undefined ? 'anyone' : undefined);
}

function namesIn(element: unknown): Record<string, string[]> {
  if (element === '*') return { AWS: ['*'] };
  if (typeof element !== 'object' || element === null || Array.isArray(element)) {
    throw new Error(`a principal must be * or an object with ${KINDS.join(', ')}, got ${JSON.stringify(element)}`);
  }
  const entries = Object.entries(element).map(([kind, names]) => {
    const list = [names].flat();
    if (!KINDS.includes(kind)) throw new Error(`a principal must be one of ${KINDS.join(', ')}, got ${kind}`);
    const odd = list.find((name) => typeof name !== 'string');
    if (odd !== undefined) throw new Error(`a principal must be named by a text, got ${JSON.stringify(odd)}`);
    return [kind, list] as const;
  });
  return Object.fromEntries(entries);
}

/** An account's number and its ARN mean the same. */
function readPerson(name: string): string {
  const [, account] = /^arn:[^:]+:iam::(\d{12}):root$/.exec(name) ?? [];
  if (account !== undefined) return account;
  // AWS shows what was deleted by its unique id
  if (/^(\*|\d{12}|A[A-Z]{3}[A-Z0-9]{12,}|arn:[^:]+:(iam|sts)::[^:*?]+:[^*?]+)$/.test(name)) return name;
  throw new Error(
    `a principal of AWS must be *, an account, or the ARN of a user, a role or a session without wildcards, got ${name}`,
  );
}

function inRegion(service: string, region: string): string {
  return service.replace('.', `.${region}.`);
}
