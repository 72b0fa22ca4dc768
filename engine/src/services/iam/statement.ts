import { type Facts, readConditions } from './condition';
import { type Arn, glob, type ResourcePattern, resource, type Syntax } from './pattern';
import { type Principals, readNotPrincipals, readPrincipals } from './principal';

/** What is asked: one action on one resource. */
export interface Question {
  /** e.g. `s3:getobject`, in lower case. */
  readonly action: string;
  readonly resource: Arn;
  readonly facts: Facts;
}

/** A statement of a policy, ready to be asked. */
export interface Statement {
  readonly effect: 'Allow' | 'Deny';
  /** Where it stands, for messages and the usage report: its Sid, or e.g. `DefaultPolicy[2]`. */
  readonly label: string;
  /** Whether action, resource and conditions take the question in. */
  readonly takes: (question: Question) => boolean;
  /** Whom it speaks of; absent in the policies of identities. */
  readonly principals?: Principals;
  /** Whether it speaks of all but some (`NotPrincipal`). */
  readonly excepts?: true;
  /** The actions as written, each with whether it takes one in. */
  readonly actions: ReadonlyMap<string, (action: string) => boolean>;
  /** As written. */
  readonly resources: readonly string[];
}

/** What a document belongs to: it says what its statements must have. */
export type PolicyKind =
  /** Of a role: also its boundary, and what a session adds. */
  | 'identity'
  /** Of a bucket, queue, topic, function, key. */
  | 'resource'
  /** Who may assume a role. */
  | 'trust';

const VERSIONS = ['2012-10-17', '2008-10-17'];
const ELEMENTS = 'Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition'.split(' ');

/**
 * Reads a policy document.
 *
 * @param where names the document in messages, e.g. `Stack/Role/DefaultPolicy`
 * @throws Error naming document and statement, on what AWS would refuse and on what the engine does not know
 */
export function readPolicy(document: unknown, kind: PolicyKind, where: string): Statement[] {
  const { Version, Statement } = objectOf(document, where);
  if (Version !== undefined && !VERSIONS.includes(String(Version))) {
    throw new Error(`${where}: Version must be ${VERSIONS.join(' or ')}, got ${JSON.stringify(Version)}`);
  }
  if (Statement === undefined) throw new Error(`${where}: a policy must have a Statement`);
  const syntax = { variables: Version === '2012-10-17' };
  return [Statement].flat().map((raw, index) => {
    const at = `${where}, statement ${index}`;
    const statement = objectOf(raw, at);
    const { Sid } = statement;
    try {
      return readStatement(statement, kind, syntax, typeof Sid === 'string' ? Sid : `${where}[${index}]`);
    } catch (error) {
      throw new Error(`${at}${Sid === undefined ? '' : ` (${Sid})`}: ${(error as Error).message}`);
    }
  });
}

function readStatement(raw: Record<string, unknown>, kind: PolicyKind, syntax: Syntax, label: string): Statement {
  const unknown = Object.keys(raw).find((name) => !ELEMENTS.includes(name));
  if (unknown !== undefined) throw new Error(`a statement must have ${ELEMENTS.join(', ')}, got ${unknown}`);
  const { Effect: effect } = raw;
  if (effect !== 'Allow' && effect !== 'Deny') {
    throw new Error(`Effect must be Allow or Deny, got ${JSON.stringify(effect)}`);
  }
  const [action, notAction] = either(raw, 'Action', 'NotAction');
  const [on, notOn] = kind === 'trust' ? [undefined, []] : either(raw, 'Resource', 'NotResource');
  const principals = kind === 'identity' ? undefined : whom(raw);
  if (kind === 'identity' && (raw.Principal ?? raw.NotPrincipal) !== undefined) {
    throw new Error("the policy of a role names no Principal: that is its trust policy's, or a resource's");
  }
  const actions = new Map((action ?? notAction).map((pattern) => [pattern, readAction(pattern)]));
  const resources = (on ?? notOn).map((pattern) => readResource(pattern, kind, syntax));
  const conditions = readConditions(raw.Condition, syntax);
  const takesAction = anyOf([...actions.values()]);
  const takesResource = ({ resource, facts }: Question): boolean =>
    resources.some((like) => like(resource, facts.variables));
  const takes = (question: Question): boolean =>
    takesAction(question.action) === (action !== undefined) &&
    takesResource(question) === (on !== undefined) &&
    conditions.every((holds) => holds(question.facts));
  const written = { actions: action === undefined ? new Map() : actions, resources: on ?? [] };
  const whose = {
    ...(principals !== undefined && { principals }),
    ...(raw.NotPrincipal !== undefined && { excepts: true as const }),
  };
  return { effect, label, takes, ...whose, ...written };
}

/** One of two elements as a list, and not the other. */
function either(raw: Record<string, unknown>, name: string, other: string): [string[] | undefined, string[]] {
  const [is, isNot] = [raw[name], raw[other]];
  if ((is === undefined) === (isNot === undefined))
    throw new Error(`a statement must have ${name} or ${other}, and not both`);
  const list = [is ?? isNot].flat();
  const odd = list.find((one) => typeof one !== 'string');
  if (odd !== undefined) throw new Error(`${name} must be texts, got ${JSON.stringify(odd)}`);
  return is === undefined ? [undefined, list as string[]] : [list as string[], []];
}

function whom({ Principal, NotPrincipal }: Record<string, unknown>): Principals {
  if ((Principal === undefined) === (NotPrincipal === undefined)) {
    throw new Error("the statement of a resource's policy must have Principal or NotPrincipal, and not both");
  }
  return Principal === undefined ? readNotPrincipals(NotPrincipal) : readPrincipals(Principal);
}

function readAction(pattern: string): (action: string) => boolean {
  if (!/^(\*|[a-z0-9-]+:[a-z0-9*?]+)$/i.test(pattern)) {
    throw new Error(`an action must be * or a service and its action, as s3:GetObject is, got ${pattern}`);
  }
  const like = glob(pattern.toLowerCase(), { variables: false });
  return (action) => like(action, none);
}

function readResource(pattern: string, kind: PolicyKind, syntax: Syntax): ResourcePattern {
  if (pattern !== '*' && !/^arn:/.test(pattern)) throw new Error(`a resource must be * or an ARN, got ${pattern}`);
  return resource(pattern, { ...syntax, completed: kind === 'identity' });
}

function anyOf(tests: readonly ((action: string) => boolean)[]): (action: string) => boolean {
  return (action) => tests.some((test) => test(action));
}

function none(): undefined {
  return undefined;
}

function objectOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${where}: expected an object, got ${JSON.stringify(value)}`);
}
