import { CloudFormation } from './cloudformation';
import { CloudWatch } from './cloudwatch';
import { DynamoDb } from './dynamodb';
import { EventBridge } from './events';
import { Inspection } from './inspection';
import { Lambda } from './lambda';
import { FunctionLogs, Logs } from './logs';
import { S3 } from './s3';
import { SageMaker } from './sagemaker';
import type { SageMakerOptions } from './sagemaker/host';
import { Scheduler } from './scheduler';
import type { Context } from './service';
import { Sns } from './sns';
import { Sqs } from './sqs';
import { StepFunctions } from './states';
import { Sts } from './sts';

/** Options that are passed on to single services. */
export interface ServiceOptions extends SageMakerOptions {
  /** A `node_modules` folder in which functions find what their bundles leave out. */
  readonly nodeModules?: string;
}

/** The engine's services, in the order in which they read the template. */
export type Services = ReturnType<typeof makeServices>;

export function makeServices(context: Context, options: ServiceOptions) {
  const s3 = new S3(context);
  const sqs = new Sqs(context);
  const sagemaker = new SageMaker(context, s3, options);
  const functionLogs = new FunctionLogs(context);
  return {
    sts: new Sts(context),
    cloudformation: new CloudFormation(context),
    inspection: new Inspection(context),
    s3,
    dynamodb: new DynamoDb(context),
    sqs,
    sns: new Sns(context),
    cloudwatch: new CloudWatch(context),
    events: new EventBridge(context),
    scheduler: new Scheduler(context),
    lambda: new Lambda(functionLogs.context, options, sqs),
    sagemaker,
    logs: new Logs(context, functionLogs, () => sagemaker.logStreams()),
    states: new StepFunctions(context, s3),
  };
}

/** The types that some service reads. */
export const HANDLED_TYPES: ReadonlySet<string> = new Set([
  'AWS::S3::Bucket',
  'AWS::S3::BucketPolicy',
  'AWS::DynamoDB::Table',
  'AWS::DynamoDB::GlobalTable',
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
  'AWS::Logs::LogGroup',
  'AWS::StepFunctions::StateMachine',
  'AWS::SageMaker::ModelPackageGroup',
  'AWS::IAM::Role',
  'AWS::IAM::Policy',
  'AWS::IAM::ManagedPolicy',
  'AWS::KMS::Key',
  'AWS::KMS::Alias',
  'Custom::S3BucketNotifications',
]);
