import { Aws } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';

export interface FunctionTaskProps extends sfn.TaskStateJsonataBaseProps {
  readonly function: lambda.IFunction;
  /** What the function is given: an object whose strings may be JSONata, or one JSONata expression. */
  readonly payload: unknown;
}

/** Runs a function. CDK's own task would also allow every version and alias of it (`<function>:*`). */
export class FunctionTask extends sfn.TaskStateBase {
  protected readonly taskMetrics?: sfn.TaskMetricsConfig;
  protected readonly taskPolicies?: iam.PolicyStatement[];

  constructor(
    scope: Construct,
    id: string,
    private readonly task: FunctionTaskProps,
  ) {
    super(scope, id, { ...task, queryLanguage: sfn.QueryLanguage.JSONATA });
    this.taskPolicies = [
      new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [task.function.functionArn] }),
    ];
  }

  protected _renderTask(): object {
    return {
      Resource: `arn:${Aws.PARTITION}:states:::lambda:invoke`,
      Arguments: { FunctionName: this.task.function.functionArn, Payload: this.task.payload },
    };
  }
}
