import { describe, expect, test } from 'vitest';
import { type FailureKind, failureOf, type JobFacts, refusalOf } from '../../lib/core/train/failures';

const CAPACITY =
  'CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.';

describe('a job that has ended', () => {
  test.each<[string, JobFacts, FailureKind]>([
    ['no machine', { status: 'Failed', failureReason: CAPACITY }, 'CAPACITY'],
    [
      'no machine, in the words of endpoints',
      {
        status: 'Failed',
        failureReason:
          'Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different ML instance type or after some time.',
      },
      'CAPACITY',
    ],
    ['no machine in time', { status: 'Stopped', secondaryStatus: 'MaxPendingTimeExceeded' }, 'CAPACITY'],
    ['no spot machine', { status: 'Stopped', secondaryStatus: 'MaxWaitTimeExceeded' }, 'SPOT_TIMEOUT'],
    ['time over', { status: 'Stopped', secondaryStatus: 'MaxRuntimeExceeded' }, 'CLIENT'],
    ['stopped by hand', { status: 'Stopped', secondaryStatus: 'Stopped' }, 'CANCELLED'],
    [
      'the script',
      { status: 'Failed', failureReason: 'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "x"' },
      'ALGORITHM',
    ],
    [
      'the script, which speaks of capacity and throttling itself',
      { status: 'Failed', failureReason: 'AlgorithmError: CapacityError: Rate exceeded InternalServerError' },
      'ALGORITHM',
    ],
    [
      'the data',
      { status: 'Failed', failureReason: 'ClientError: Data download failed:NoSuchKey: No objects found' },
      'CLIENT',
    ],
    [
      'S3 that is asked too often',
      {
        status: 'Failed',
        failureReason: 'ClientError: Data download failed: SlowDown: Please reduce your request rate',
      },
      'THROTTLE',
    ],
    [
      'SageMaker',
      { status: 'Failed', failureReason: 'InternalServerError: We encountered an internal error. Please try again.' },
      'INTERNAL',
    ],
    ['nobody knows what', { status: 'Failed' }, 'INTERNAL'],
    ['something new', { status: 'Failed', failureReason: 'Something that nobody has seen yet' }, 'INTERNAL'],
    ['a completed job without a model', { status: 'Completed' }, 'ALGORITHM'],
  ])('failed because of %s', (_, facts, kind) => {
    const failure = failureOf(facts);
    expect(failure?.kind).toBe(kind);
    expect(failure?.reason).toMatch(/./);
  });

  test('has not failed if it completed with a model, and only then', () => {
    expect(failureOf({ status: 'Completed', model: 's3://b/model.tar.gz' })).toBeUndefined();
    for (const status of ['Stopped', 'Failed', 'Stopping', 'InProgress'] as const) {
      expect(failureOf({ status, model: 's3://b/model.tar.gz' })).toBeDefined();
    }
  });

  test('tells an interruption from a machine that never came', () => {
    const facts = { status: 'Stopped', secondaryStatus: 'MaxWaitTimeExceeded' } as const;
    expect(failureOf(facts)?.reason).toBe('no spot machine came in time');
    expect(failureOf({ ...facts, interruptions: 1 })?.reason).toContain('taken away (once)');
    expect(failureOf({ ...facts, interruptions: 3 })?.reason).toContain('taken away (3 times)');
  });

  test('says whether it ran for as long as it was allowed', () => {
    expect(failureOf({ status: 'Stopped', secondaryStatus: 'MaxRuntimeExceeded' })?.atTimeLimit).toBe(true);
    expect(failureOf({ status: 'Stopped', secondaryStatus: 'Stopped' })?.atTimeLimit).toBeUndefined();
  });
});

describe('a job that could not be started', () => {
  const sdk = (code: string, text: string, status = 400) =>
    `${text} (Service: AmazonSageMaker; Status Code: ${status}; Error Code: ${code}; Request ID: 1)`;

  test.each<[string, string, FailureKind]>([
    [
      'SageMaker.ResourceLimitExceededException',
      "The account-level service limit 'ml.g5.2xlarge for training job usage' is 0 Instances, with current utilization of 0 Instances and a request delta of 1 Instances.",
      'QUOTA',
    ],
    ['SageMaker.AmazonSageMakerException', sdk('ThrottlingException', 'Rate exceeded'), 'THROTTLE'],
    ['ThrottlingException', '', 'THROTTLE'],
    ['SageMaker.AmazonSageMakerException', sdk('ValidationException', '1 validation error detected'), 'CLIENT'],
    ['SageMaker.AmazonSageMakerException', sdk('AccessDeniedException', 'User is not authorized'), 'CLIENT'],
    ['SageMaker.AmazonSageMakerException', sdk('InternalFailure', 'null', 500), 'INTERNAL'],
    ['SageMaker.SageMakerException', sdk('ServiceUnavailable', 'null', 503), 'INTERNAL'],
    ['SageMaker.SdkClientException', 'Unable to execute HTTP request: Read timed out', 'INTERNAL'],
    ['SageMaker.ResourceNotFoundException', 'no such training plan', 'CLIENT'],
    ['States.Timeout', '', 'INTERNAL'],
    ['States.TaskFailed', 'no JSON', 'INTERNAL'],
    ['States.QueryEvaluationError', 'The JSONata expression failed', 'CLIENT'],
    ['States.Permissions', 'not authorized to create managed-rule', 'CLIENT'],
    ['SageMaker.AmazonSageMakerException', sdk('ValidationException', 'InsufficientInstanceCapacity'), 'CAPACITY'],
  ])('%s: %s', (name, cause, kind) => {
    expect(refusalOf({ name, cause })).toEqual({ kind, reason: cause === '' ? name : cause });
  });
});
