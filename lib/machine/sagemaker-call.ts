import { Aws } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { Owner } from '../core/ownership';
import { onOwn } from '../private/owner-tags';

export interface SageMakerCallProps extends sfn.TaskStateJsonataBaseProps {
  /** The API's action in camelCase. */
  readonly action: string;
  /** The ARNs that the call is about; the first is what is made, and may be tagged where the request has tags. */
  readonly resources?: string[];
  /** Likewise, of what the call may change or take away only where it has the owner's tags. */
  readonly own?: { readonly owner: Owner; readonly resources: string[] };
  /** The request, as the API has it; strings may be JSONata. */
  readonly parameters: Record<string, unknown>;
  /** Further permissions that the call needs. */
  readonly statements?: iam.PolicyStatement[];
}

/** Makes one call of SageMaker's API. CDK's own task can put no condition on what it allows. */
export class SageMakerCall extends sfn.TaskStateBase {
  protected readonly taskMetrics?: sfn.TaskMetricsConfig;
  protected readonly taskPolicies?: iam.PolicyStatement[];

  constructor(
    scope: Construct,
    id: string,
    private readonly call: SageMakerCallProps,
  ) {
    super(scope, id, { ...call, queryLanguage: sfn.QueryLanguage.JSONATA });
    const { action, resources = [], own, parameters, statements = [] } = call;
    const actions = [`sagemaker:${action.charAt(0).toUpperCase()}${action.slice(1)}`];
    this.taskPolicies = [
      ...(resources.length > 0 ? [new iam.PolicyStatement({ actions, resources })] : []),
      ...(own === undefined ? [] : [onOwn(own.owner, actions, own.resources)]),
      ...('Tags' in parameters
        ? [new iam.PolicyStatement({ actions: ['sagemaker:AddTags'], resources: resources.slice(0, 1) })]
        : []),
      ...statements,
    ];
  }

  protected _renderTask(): object {
    return {
      Resource: `arn:${Aws.PARTITION}:states:::aws-sdk:sagemaker:${this.call.action}`,
      Arguments: this.call.parameters,
    };
  }
}
