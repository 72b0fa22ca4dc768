import { randomUUID } from 'node:crypto';
import { ApiError } from '../../service';
import { StatesError } from './errors';

/** How Step Functions names a service: in errors of its `aws-sdk:` and of its optimized integrations. */
interface Naming {
  /** `aws-sdk:` prefix, and the name of its catch-all exception without `Exception`. */
  readonly sdk: string;
  /** Prefix of the optimized integration's errors, and its catch-all. */
  readonly optimized?: { readonly prefix: string; readonly generic: string };
  /** What messages call the service. */
  readonly label?: string;
}

const NAMES: Readonly<Record<string, Naming>> = {
  cloudwatch: { sdk: 'CloudWatch' },
  dynamodb: { sdk: 'DynamoDb', optimized: { prefix: 'DynamoDB', generic: 'AmazonDynamoDBException' } },
  eventbridge: { sdk: 'EventBridge', optimized: { prefix: 'EventBridge', generic: 'AmazonEventBridgeException' } },
  events: { sdk: 'EventBridge', optimized: { prefix: 'EventBridge', generic: 'AmazonEventBridgeException' } },
  lambda: { sdk: 'Lambda', optimized: { prefix: 'Lambda', generic: 'AWSLambdaException' } },
  s3: { sdk: 'S3' },
  sagemaker: {
    sdk: 'SageMaker',
    optimized: { prefix: 'SageMaker', generic: 'AmazonSageMakerException' },
    label: 'AmazonSageMaker',
  },
  sfn: { sdk: 'Sfn' },
  sns: { sdk: 'Sns', optimized: { prefix: 'SNS', generic: 'AmazonSNSException' } },
  sqs: { sdk: 'Sqs', optimized: { prefix: 'SQS', generic: 'AmazonSQSException' } },
  ssm: { sdk: 'Ssm' },
  states: { sdk: 'Sfn', optimized: { prefix: 'StepFunctions', generic: 'AWSStepFunctionsException' } },
};

/** Codes that no service models as an exception of its own; integrations report them under the catch-all. */
const UNMODELED =
  /^(AccessDenied(Exception)?|ValidationException|ValidationError|Throttling(Exception)?|UnrecognizedClient(Exception)?|InternalFailure|InvalidParameterCombination|MissingParameter|NotAuthorized|UnknownOperation(Exception)?|InvalidAction)$/;

/** An API's failure under the name by which a `Catch` can match it. */
export function serviceError(service: string, optimized: boolean, error: ApiError): StatesError {
  const naming = NAMES[service] ?? { sdk: capital(service) };
  const own = `${error.code.replace(/(Exception|Fault)$/, '')}Exception`;
  const modeled = !UNMODELED.test(error.code);
  if (optimized && naming.optimized !== undefined) {
    const { prefix, generic } = naming.optimized;
    const name = `${prefix}.${modeled ? own : generic}`;
    const label = naming.label ?? naming.sdk;
    return new StatesError(
      name,
      `${error.message} (Service: ${label}; Status Code: ${error.status}; Error Code: ${error.code}; Request ID: ${randomUUID()}; Proxy: null)`,
    );
  }
  const name = `${naming.sdk}.${modeled ? own : `${naming.sdk}Exception`}`;
  return new StatesError(
    name,
    `${error.message} (Service: ${naming.sdk}, Status Code: ${error.status}, Request ID: ${randomUUID()})`,
  );
}

/** The name under which a Task fails that has lost the connection to its service, and so does not know what came of it. */
export function connectionLost(type: string): string {
  const [, sdk] = /^aws-sdk:(.+)$/.exec(type) ?? [];
  if (sdk !== undefined) return `${NAMES[sdk]?.sdk ?? capital(sdk)}.SdkClientException`;
  const service = type === 'lambda-function' ? 'lambda' : type;
  return `${NAMES[service]?.optimized?.prefix ?? capital(service)}.SdkClientException`;
}

/** Turns API failures into the state machine's; passes everything else on. */
export async function translated<T>(service: string, optimized: boolean, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw error instanceof ApiError ? serviceError(service, optimized, error) : error;
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
