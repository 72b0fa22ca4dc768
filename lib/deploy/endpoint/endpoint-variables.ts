import type { EndpointPlan } from '../../core/deploy/documents';
import { type Assigned, stateInput, variables } from '../../machine/jsonata';
import type { DeploymentVariables } from '../deployment-variables';

/** What the states of an endpoint find: they come after the plan. */
export interface EndpointVariables extends Omit<DeploymentVariables, 'plan'> {
  readonly plan: EndpointPlan;
}

/** The variables, each as it is read: `$.plan.action` is `$plan.action`. */
export const $ = variables<EndpointVariables>();

/** The variables that a state sets. */
export function assign(values: Assigned<EndpointVariables>): Assigned<EndpointVariables> {
  return values;
}

/** An endpoint as the state that looks at it outputs it: what SageMaker's `DescribeEndpoint` answers. */
export interface EndpointDescription {
  readonly EndpointStatus: string;
  readonly EndpointConfigName: string;
  readonly FailureReason?: string;
  readonly PendingDeploymentSummary?: object;
}

/** What the state before has seen of the endpoint. */
export const seen = stateInput<EndpointDescription>();
