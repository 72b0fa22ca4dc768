import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CloudFormation } from './cloudformation';
import { Inspection } from './inspection';
import type { Context, EventSink, MetricSink, Service, Shape } from './service';
import { Sts } from './sts';

/** Options that are passed on to single services. */
export interface ServiceOptions {
  /** How to run Python for jobs and endpoints; passed to SageMaker. */
  readonly python?: Shape;
  /** A `node_modules` folder in which functions find what their bundles leave out; passed to Lambda. */
  readonly nodeModules?: string;
}

export interface Services {
  readonly [name: string]: Service | undefined;
}

/** The classes by file; a file that does not exist yet is left out. */
const CLASSES: readonly (readonly [file: string, name: string])[] = [
  ['s3', 'S3'],
  ['dynamodb', 'DynamoDb'],
  ['sqs', 'Sqs'],
  ['sns', 'Sns'],
  ['cloudwatch', 'CloudWatch'],
  ['events', 'EventBridge'],
  ['scheduler', 'Scheduler'],
  ['lambda', 'Lambda'],
  ['sagemaker', 'SageMaker'],
  ['states', 'StepFunctions'],
  ['cloudformation', 'CloudFormation'],
  ['inspection', 'Inspection'],
];

const classes = new Map<string, Shape>();

export async function findServices(): Promise<void> {
  for (const [file, name] of CLASSES) {
    if (classes.has(file) || !existsSync(join(__dirname, `${file}.ts`))) continue;
    const module = await import(/* @vite-ignore */ `./${file}.ts`);
    if (module[name] !== undefined) classes.set(file, module[name]);
  }
}

export function makeServices(
  context: Context,
  options: ServiceOptions,
): Services & {
  events?: EventSink & Service;
  cloudwatch?: MetricSink & Service;
  scheduler?: Service & { fire(name: string): void };
} {
  const made: Record<string, Shape> = {
    sts: new Sts(context),
    cloudformation: new CloudFormation(context),
    inspection: new Inspection(context),
  };
  for (const [file] of CLASSES) {
    const Class = classes.get(file);
    if (Class === undefined) continue;
    made[file] =
      file === 'sagemaker' || file === 'states'
        ? new Class(context, made.s3, options)
        : new Class(context, options, made.sqs); // Lambda polls queues
  }
  return made;
}

/** The types that some service reads. */
export const HANDLED_TYPES: ReadonlySet<string> = new Set([
  'AWS::S3::Bucket',
  'AWS::S3::BucketPolicy',
  'AWS::DynamoDB::Table',
  'AWS::SQS::Queue',
  'AWS::SQS::QueuePolicy',
  'AWS::SNS::Topic',
  'AWS::SNS::TopicPolicy',
  'AWS::SNS::Subscription',
  'AWS::CloudWatch::Alarm',
  'AWS::Events::Rule',
  'AWS::Events::EventBus',
  'AWS::Scheduler::Schedule',
  'AWS::Scheduler::ScheduleGroup',
  'AWS::Lambda::Function',
  'AWS::Lambda::Permission',
  'AWS::Lambda::EventSourceMapping',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Lambda::Version',
  'AWS::Lambda::Alias',
  'AWS::StepFunctions::StateMachine',
  'AWS::SageMaker::ModelPackageGroup',
  'AWS::IAM::Role',
  'AWS::IAM::Policy',
  'AWS::IAM::ManagedPolicy',
  'Custom::S3BucketNotifications',
]);
