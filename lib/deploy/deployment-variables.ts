import type { VersionPlan } from '../core/deploy/documents';
import type { CaughtError } from '../core/train/failures';
import { type Assigned, variables } from '../machine/jsonata';

/** What the deployment machine carries from state to state, wherever a version is to serve. */
export interface DeploymentVariables {
  readonly modelPackageArn: string;
  /** Null before the version has been looked at. */
  readonly plan: VersionPlan | null;
  /** What the deployment ends with, or null. */
  readonly failure: CaughtError | null;
  /** Looks at the change under way, and those of the whole execution. */
  readonly polls: number;
  readonly looks: number;
  /** How often machines were waited for. */
  readonly waits: number;
}

/** The variables, each as it is read: `$.modelPackageArn` is `$modelPackageArn`. */
export const $ = variables<DeploymentVariables>();

/** The variables that a state sets. */
export function assign(values: Assigned<DeploymentVariables>): Assigned<DeploymentVariables> {
  return values;
}
