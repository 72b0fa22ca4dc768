/** A job ends for this reason; the text is its FailureReason. */
export class JobFailure extends Error {}

/** Failures of S3 on behalf of a job end it as SageMaker's do. */
export async function clientSide<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof JobFailure) throw error;
    throw new JobFailure(`ClientError: ${what}: ${(error as Error).name}: ${(error as Error).message}`);
  }
}
