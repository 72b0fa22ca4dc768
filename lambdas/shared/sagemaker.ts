import {
  ListTagsCommand,
  paginateListEndpointConfigs,
  paginateListModels,
  type SageMakerClient,
  SageMakerServiceException,
} from '@aws-sdk/client-sagemaker';
import type { Tags } from '../../lib/core/ownership';

/** Something in SageMaker. */
export interface Named {
  readonly name: string;
  readonly arn: string;
}

/**
 * What a call answers; undefined if the thing that it names does not exist.
 *
 * SageMaker has no error of its own for that: it is a ValidationException with one of these texts.
 */
export async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The tags of a resource; none if it is gone by now. */
export async function tagsOf(client: SageMakerClient, ResourceArn: string | undefined): Promise<Tags> {
  // a resource has no more than 50
  const found = await unlessMissing(client.send(new ListTagsCommand({ ResourceArn, MaxResults: 100 })));
  return Object.fromEntries((found?.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}

/** The models that have such a part in their names. */
export async function modelsNamed(client: SageMakerClient, NameContains: string): Promise<Named[]> {
  const found: Named[] = [];
  for await (const { Models = [] } of paginateListModels({ client }, { NameContains })) {
    found.push(...Models.map(({ ModelName: name = '', ModelArn: arn = '' }) => ({ name, arn })));
  }
  return found;
}

/** The endpoint configurations that have such a part in their names. */
export async function configsNamed(client: SageMakerClient, NameContains: string): Promise<Named[]> {
  const found: Named[] = [];
  for await (const { EndpointConfigs = [] } of paginateListEndpointConfigs({ client }, { NameContains })) {
    found.push(
      ...EndpointConfigs.map(({ EndpointConfigName: name = '', EndpointConfigArn: arn = '' }) => ({ name, arn })),
    );
  }
  return found;
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof SageMakerServiceException &&
    (error.name === 'ResourceNotFound' ||
      /could not find|does not exist|cannot find|resource not found/i.test(error.message))
  );
}
