import { decide } from '../../../engine/src/services/iam/decide';
import { arnOf } from '../../../engine/src/services/iam/pattern';
import type { Identity } from '../../../engine/src/services/iam/principal';
import { readPolicy } from '../../../engine/src/services/iam/statement';
import { ACCOUNT, type Asker, type Case, type Document, REGION, ROLE, SERVICE, SESSION, USER } from './generate';

export { ACCOUNT, cases, SERVICE, SESSION, USER } from './generate';

const IDENTITIES: Readonly<Record<Asker, Identity>> = {
  session: { session: SESSION, role: ROLE, account: ACCOUNT, region: REGION },
  user: { session: USER, account: ACCOUNT, region: REGION }, // who is named straight, without a role behind
  service: { service: SERVICE, region: REGION },
};

/** What the engine's judge says to a case. */
export function isAllowed({
  asker,
  action,
  resource,
  context,
  identity,
  boundary,
  session,
  resourcePolicy,
}: Case): boolean {
  const isTrust = action === 'sts:AssumeRole';
  const read = (document: Document | undefined) => document && readPolicy(document, 'identity', 'case');
  const facts = new Map(Object.entries(context).map(([key, value]) => [key.toLowerCase(), value]));
  const get = (key: string) => facts.get(key);
  const variables = (key: string) => {
    const value = facts.get(key);
    return typeof value === 'string' ? value : undefined;
  };
  const policies = {
    identity: identity.flatMap((document) => readPolicy(document, 'identity', 'case')),
    boundary: read(boundary),
    session: read(session),
    resource: resourcePolicy === undefined ? [] : readPolicy(resourcePolicy, isTrust ? 'trust' : 'resource', 'case'),
    closed: /^(kms|sts):/.test(action),
  };
  const question = { action: action.toLowerCase(), resource: arnOf(resource), facts: { get, variables } };
  return decide(policies, IDENTITIES[asker], question).allowed;
}
