import type { Identity, Naming } from './principal';
import type { Question, Statement } from './statement';

/** Everything that has a say in a request. */
export interface Policies {
  /** The role's own. */
  readonly identity: readonly Statement[];
  /** What the role can be allowed at most. */
  readonly boundary?: readonly Statement[] | undefined;
  /** What the session can be allowed at most. */
  readonly session?: readonly Statement[] | undefined;
  /** The resource's. */
  readonly resource: readonly Statement[];
  /** Whether nobody may who is not let in by the resource's policy, whatever the identity's say: keys, and roles. */
  readonly closed?: boolean;
}

export type PolicyName = 'identity-based policy' | 'resource-based policy' | 'permissions boundary' | 'session policy';

export type Decision =
  | { readonly allowed: true; readonly by: readonly Statement[] }
  /** `by` is the statement that denies; without it nothing allows. */
  | { readonly allowed: false; readonly because: PolicyName; readonly by?: Statement };

/**
 * Decides as AWS does within one account.
 *
 * What a resource's policy allows a session goes beyond all else; what it allows everybody goes beyond the boundary,
 * and what it allows a role neither beyond the boundary nor the session's policy; what it allows the account leaves the
 * decision to the identity's own policies.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
export function decide(policies: Policies, identity: Identity, question: Question): Decision {
  const asked = (statements: readonly Statement[]) => statements.filter(({ takes }) => takes(question));
  const ofResource = asked(policies.resource)
    .map((statement) => ({ statement, named: named(statement, identity, policies) }))
    .filter(({ named }) => named !== undefined);
  const ofIdentity = asked(policies.identity);
  const ofBoundary = policies.boundary && asked(policies.boundary);
  const ofSession = policies.session && asked(policies.session);

  const all: [PolicyName, readonly Statement[] | undefined][] = [
    ['resource-based policy', ofResource.map(({ statement }) => statement)],
    ['identity-based policy', ofIdentity],
    ['permissions boundary', ofBoundary],
    ['session policy', ofSession],
  ];
  for (const [because, statements] of all) {
    const by = statements?.find(({ effect }) => effect === 'Deny');
    if (by !== undefined) return { allowed: false, because, by };
  }

  const namings = new Set(ofResource.map(({ named }) => named));
  const isBound = ofBoundary?.length === 0;
  const isNarrowed = ofSession?.length === 0;
  const allow = { allowed: true, by: ofIdentity } as const;
  if (namings.has('session') || namings.has('service') || (namings.has('anyone') && !isNarrowed)) return allow;
  const isLetIn = namings.has('anyone') || namings.has('role');
  const counts = policies.closed !== true || namings.has('account');
  if (!isLetIn && !counts) return { allowed: false, because: 'resource-based policy' };
  if (!isLetIn && ofIdentity.length === 0) {
    return {
      allowed: false,
      because: identity.service === undefined ? 'identity-based policy' : 'resource-based policy',
    };
  }
  if (isBound) return { allowed: false, because: 'permissions boundary' };
  return isNarrowed ? { allowed: false, because: 'session policy' } : allow;
}

/**
 * As what a statement names who asks. One that denies all but some denies whoever has a permissions boundary, named or not.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
 */
function named(
  { effect, principals, excepts }: Statement,
  identity: Identity,
  { boundary }: Policies,
): Naming | undefined {
  if (effect === 'Deny' && excepts && boundary !== undefined) return 'anyone';
  return principals?.(identity);
}
