import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CloudFormation } from './cloudformation';
import { DynamoDb } from './dynamodb';
import { EventBridge } from './events';
import { Inspection } from './inspection';
import { Lambda } from './lambda';
import { S3 } from './s3';
import { SageMaker } from './sagemaker';
import type { SageMakerOptions } from './sagemaker/host';
import { Scheduler } from './scheduler';
import type { Context, MetricSink, Service, Shape } from './service';
import { Sqs } from './sqs';
import { StepFunctions } from './states';
import { Sts } from './sts';

/** Options that are passed on to single services. */
export interface ServiceOptions extends SageMakerOptions {
  /** A `node_modules` folder in which functions find what their bundles leave out. */
  readonly nodeModules?: string;
}

const LATE: readonly (readonly [file: string, name: string])[] = [
  ['sns', 'Sns'],
  ['cloudwatch', 'CloudWatch'],
];
const classes = new Map<string, Shape>();

export async function findServices(): Promise<void> {
  for (const [file, name] of LATE) {
    if (classes.has(file) || !existsSync(join(__dirname, `${file}.ts`))) continue;
    const module = await import(/* @vite-ignore */ `./${file}.ts`);
    if (module[name] !== undefined) classes.set(file, module[name]);
  }
}

/** The engine's services, in the order in which they read the template. */
export type Services = ReturnType<typeof makeServices>;

export function makeServices(context: Context, options: ServiceOptions) {
  const late: Record<string, Service> = {};
  for (const [file, Class] of classes) late[file] = new Class(context, options);
  const s3 = new S3(context);
  const sqs = new Sqs(context);
  return {
    sts: new Sts(context),
    cloudformation: new CloudFormation(context),
    inspection: new Inspection(context),
    s3,
    dynamodb: new DynamoDb(context),
    ...(late as { sns?: Service; cloudwatch?: Service & MetricSink }),
    sqs,
    events: new EventBridge(context),
    scheduler: new Scheduler(context),
    lambda: new Lambda(context, options, sqs),
    sagemaker: new SageMaker(context, s3, options),
    states: new StepFunctions(context, s3),
  };
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
