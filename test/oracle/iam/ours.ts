import { decide } from '../../../lib/local/iam/decide';
import { arnOf } from '../../../lib/local/iam/pattern';
import { readPolicy } from '../../../lib/local/iam/statement';
import { ACCOUNT, type Case, type Document, REGION, ROLE, SESSION } from './generate';

export { cases } from './generate';

/** What the engine's judge says to a case. */
export function isAllowed({ action, resource, context, identity, boundary, session, resourcePolicy }: Case): boolean {
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
  const identityOf = { session: SESSION, role: ROLE, account: ACCOUNT, region: REGION };
  const question = { action: action.toLowerCase(), resource: arnOf(resource), facts: { get, variables } };
  return decide(policies, identityOf, question).allowed;
}
