import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { ownPrefix } from '../../core/names';
import type { Owner } from '../../core/ownership';
import { sageMakerArn } from '../../private/grants';

/** An endpoint and what is made for it, as resources of SageMaker's. */
export interface EndpointResources {
  readonly endpoint: string;
  readonly configs: string;
  readonly models: string;
}

/** What the permissions name, without what comes before in an ARN. */
export function endpointResources(endpointName: string, { registry }: Owner): EndpointResources {
  const own = `${ownPrefix(endpointName, registry)}v*`;
  return { endpoint: `endpoint/${endpointName}`, configs: `endpoint-config/${own}`, models: `model/${own}` };
}

/** The same as ARNs. */
export function endpointArns(scope: Construct, endpointName: string, owner: Owner): EndpointResources {
  const { endpoint, configs, models } = endpointResources(endpointName, owner);
  const arn = (resource: string) => sageMakerArn(Stack.of(scope), resource);
  return { endpoint: arn(endpoint), configs: arn(configs), models: arn(models) };
}
