import { ListTagsCommand, type SageMakerClient, SageMakerServiceException } from '@aws-sdk/client-sagemaker';
import type { Tags } from '../../lib/core/ownership';

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

function isMissing(error: unknown): boolean {
  return (
    error instanceof SageMakerServiceException &&
    (error.name === 'ResourceNotFound' ||
      /could not find|does not exist|cannot find|resource not found/i.test(error.message))
  );
}
