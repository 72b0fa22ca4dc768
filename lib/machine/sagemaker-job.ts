import { Aws, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { passRoleToSageMaker, sageMakerArn } from '../private/grants';

/** The kinds of jobs that Step Functions can start and wait for. */
const KINDS = {
  TrainingJob: { arn: 'training-job', rule: 'StepFunctionsGetEventsForSageMakerTrainingJobsRule', passesRole: true },
  TransformJob: {
    arn: 'transform-job',
    rule: 'StepFunctionsGetEventsForSageMakerTransformJobsRule',
    passesRole: false,
  },
  HyperParameterTuningJob: {
    arn: 'hyper-parameter-tuning-job',
    rule: 'StepFunctionsGetEventsForSageMakerTuningJobsRule',
    passesRole: true,
  },
} as const;

export interface SageMakerJobProps extends sfn.TaskStateJsonataBaseProps {
  readonly kind: keyof typeof KINDS;
  /** What all names of these jobs begin with; the permissions end there. */
  readonly namePrefix: string;
  /** The request, as the API has it; strings may be JSONata. */
  readonly arguments: Record<string, unknown>;
  /** The role that the job runs as, where the request names one. */
  readonly role?: iam.IRole;
}

/**
 * Starts a SageMaker job and waits for its end.
 *
 * CDK's own tasks lack spot, checkpoints and transform settings, and grant `sagemaker:AddTags` on a
 * resource that is no ARN when the job's name is JSONata; so the request is ours, field by field.
 *
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
 */
export class SageMakerJob extends sfn.TaskStateBase {
  protected readonly taskMetrics?: sfn.TaskMetricsConfig;
  protected readonly taskPolicies?: iam.PolicyStatement[];

  constructor(
    scope: Construct,
    id: string,
    private readonly job: SageMakerJobProps,
  ) {
    super(scope, id, {
      ...job,
      queryLanguage: sfn.QueryLanguage.JSONATA,
      integrationPattern: sfn.IntegrationPattern.RUN_JOB,
    });
    const { arn, rule, passesRole } = KINDS[job.kind];
    const stack = Stack.of(this);
    this.taskPolicies = [
      new iam.PolicyStatement({
        // Step Functions marks what it starts, and looks for its mark
        actions: [
          `sagemaker:Create${job.kind}`,
          `sagemaker:Describe${job.kind}`,
          `sagemaker:Stop${job.kind}`,
          'sagemaker:AddTags',
          'sagemaker:ListTags',
        ],
        resources: [sageMakerArn(stack, `${arn}/${job.namePrefix}*`)],
      }),
      new iam.PolicyStatement({
        actions: ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
        resources: [stack.formatArn({ service: 'events', resource: 'rule', resourceName: rule })],
      }),
      ...(passesRole && job.role ? [passRoleToSageMaker(job.role)] : []),
    ];
  }

  protected _renderTask(): object {
    return {
      Resource: `arn:${Aws.PARTITION}:states:::sagemaker:create${this.job.kind}.sync`,
      Arguments: this.job.arguments,
    };
  }
}
