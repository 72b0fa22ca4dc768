import { SageMakerServiceException } from '@aws-sdk/client-sagemaker';

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

function isMissing(error: unknown): boolean {
  return (
    error instanceof SageMakerServiceException &&
    (error.name === 'ResourceNotFound' ||
      /could not find|does not exist|cannot find|resource not found/i.test(error.message))
  );
}
