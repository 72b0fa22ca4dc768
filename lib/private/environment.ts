import type * as iam from 'aws-cdk-lib/aws-iam';
import type { EnvName } from '../core/names';

/**
 * Tells a function by environment variables where to find what it has just been granted, so that the two never part.
 * Other grantees, as roles are, have no environment.
 */
export function tellFunction(grantee: iam.IGrantable, variables: Readonly<Partial<Record<EnvName, string>>>): void {
  if (!hasEnvironment(grantee)) return;
  for (const [name, value] of Object.entries(variables)) grantee.addEnvironment(name, value);
}

interface HasEnvironment {
  addEnvironment(name: string, value: string): unknown;
}

function hasEnvironment(grantee: object): grantee is HasEnvironment {
  return 'addEnvironment' in grantee; // every kind of function that an app makes, and none that is imported
}
