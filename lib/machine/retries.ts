import { Duration } from 'aws-cdk-lib';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { ErrorName } from '../core/errors';
import { MOST_ATTEMPTS } from '../core/prepare/search';
import { RETRY_INTERVAL, retryIntervalSeconds } from '../core/train/attempts';
import { type Expression, expression, type Text } from './jsonata';

/**
 * For calls that SageMaker throttles, and for things it has just made and does not find yet
 * (model, configuration, endpoint): 3, 6, 12, 24, 48 s, so a minute and a half.
 * The generic names stand for throttling, validation and access alike; a wrong request
 * therefore fails after that time, with its own message.
 */
export const SAGEMAKER_RETRY: sfn.RetryProps = {
  errors: ['SageMaker.AmazonSageMakerException', 'SageMaker.SageMakerException', 'ThrottlingException'],
  interval: Duration.seconds(3),
  maxAttempts: 5,
  backoffRate: 2,
  maxDelay: Duration.minutes(1),
  jitterStrategy: sfn.JitterType.FULL,
};

/**
 * For faults of the services themselves, not of what they were asked: 2, 4, 8, 16, 32, 60 s. The last ones are those
 * that a function's own calls meet, whose names become the function's errors; every function may be run again.
 */
export const SERVICE_RETRY: sfn.RetryProps = {
  errors: [
    'Lambda.ClientExecutionTimeoutException',
    'Lambda.ServiceException',
    'Lambda.AWSLambdaException',
    'Lambda.SdkClientException',
    'Lambda.TooManyRequestsException',
    'DynamoDB.InternalServerErrorException',
    'DynamoDB.ProvisionedThroughputExceededException',
    'ThrottlingException',
    'ProvisionedThroughputExceededException',
    'RequestLimitExceeded',
    'SlowDown',
    'InternalError',
    'InternalServerError',
    'InternalFailure',
    'ServiceUnavailable',
    'TimeoutError',
  ],
  interval: Duration.seconds(2),
  maxAttempts: 6,
  backoffRate: 2,
  maxDelay: Duration.minutes(1),
  jitterStrategy: sfn.JitterType.FULL,
};

/**
 * For preparation, which looks for the file that makes it fail, also after it was ended without a word (no time, no
 * memory, a crash), whatever Lambda calls that: as often as the search may need, at first after 5 s and then after a
 * minute at most. So long is S3 waited for, too: half an hour in all. What has a name would fail again.
 */
export const PREPARE_RETRIES: readonly sfn.RetryProps[] = [
  {
    errors: [
      ErrorName.DATA_UNREADABLE,
      ErrorName.DATA_REJECTED,
      ErrorName.DATA_TOO_LARGE,
      ErrorName.PREPARATION_FAILED,
      ErrorName.INVALID_DOCUMENT,
      'AccessDenied',
      'AccessDeniedException',
      'NoSuchBucket',
    ],
    maxAttempts: 0,
  },
  {
    errors: ['States.ALL'],
    interval: Duration.seconds(5),
    maxAttempts: MOST_ATTEMPTS + 5,
    backoffRate: 1.5,
    maxDelay: Duration.minutes(1),
    jitterStrategy: sfn.JitterType.FULL,
  },
];

/** How often something is asked for again until it has been waited for so long. */
export function triesWithin(seconds: number): number {
  let waited = 0;
  let tries = 0;
  for (; waited < seconds; tries++) waited += retryIntervalSeconds(tries);
  return tries;
}

/** {@link retryIntervalSeconds} as JSONata. */
export function retryIntervalJsonata(tries: Expression<number>): Text<number> {
  const { firstSeconds, growth, longestSeconds } = RETRY_INTERVAL;
  return expression(`$round($min([${longestSeconds}, ${firstSeconds} * $power(${growth}, ${tries})]))`);
}

/** The longest that machines are waited for in a deployment: it holds up the next. */
export const LONGEST_QUOTA_WAIT = Duration.hours(4);

/** What a call is refused with where a quota is full. */
export const QUOTA_ERRORS = ['SageMaker.ResourceLimitExceededException', 'SageMaker.ResourceLimitExceeded'];

/** For a call that a full quota refuses at once: others may give instances back. */
export function quotaRetry(wait: Duration): sfn.RetryProps {
  const { firstSeconds, growth, longestSeconds } = RETRY_INTERVAL;
  return {
    errors: QUOTA_ERRORS,
    interval: Duration.seconds(firstSeconds),
    backoffRate: growth,
    maxDelay: Duration.seconds(longestSeconds),
    maxAttempts: triesWithin(wait.toSeconds()),
  };
}
