import { Stack, Token } from 'aws-cdk-lib';
import type { Construct, IConstruct } from 'constructs';

/** A name that one construct holds in an account and region. */
interface Claim {
  readonly by: Construct;
  readonly what: string;
  readonly name: string;
}

/** By app. */
const claims = new WeakMap<IConstruct, Claim[]>();

/**
 * Claims a name that only one construct of its kind may hold in an account and region.
 *
 * Within one app this tells at synthesis what CloudFormation would tell of two: there each kind has one resource
 * under a physical name made from it.
 *
 * @param what the kind and the prop, e.g. `pipelineName of a TrainingPipeline`
 * @returns the mistake if another construct holds it already, for `refuse`
 */
export function claim(by: Construct, what: string, name: string): string | false {
  const { root } = by.node;
  const held = claims.get(root) ?? [];
  claims.set(root, [...held, { by, what, name }]);
  const other = held.find((one) => one.what === what && one.name === name && mayShareAPlace(one.by, by));
  return (
    other !== undefined &&
    `the ${what} must be the only one of its name in an account and region, got '${name}', which ${other.by.node.path} ` +
      'has as well; give one of them another name, or bind their stacks to different accounts or regions'
  );
}

/** Whether two constructs may be deployed to the same account and region: what is not known yet may be the same. */
function mayShareAPlace(a: Construct, b: Construct): boolean {
  const [one, other] = [Stack.of(a), Stack.of(b)];
  const maybeSame = (x: string, y: string) => x === y || Token.isUnresolved(x) || Token.isUnresolved(y);
  return maybeSame(one.account, other.account) && maybeSame(one.region, other.region);
}
