import type { Context } from '../service';
import { CloudFormation } from '../services/cloudformation/service';
import { CloudWatch } from '../services/cloudwatch/service';
import { DynamoDb } from '../services/dynamodb/service';
import { EventBridge } from '../services/events/service';
import { Inspection } from '../services/inspection/service';
import { Lambda } from '../services/lambda/service';
import { FunctionLogs, Logs } from '../services/logs/service';
import { S3 } from '../services/s3/service';
import type { SageMakerOptions } from '../services/sagemaker/host';
import { SageMaker } from '../services/sagemaker/service';
import { Scheduler } from '../services/scheduler/service';
import { Sns } from '../services/sns/service';
import { Sqs } from '../services/sqs/service';
import { StepFunctions } from '../services/states/service';
import { Sts } from '../services/sts/service';

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
