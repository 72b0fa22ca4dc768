import { Stack } from 'aws-cdk-lib';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { ErrorName } from '../core/errors';
import { LOOK_AT_APPROVAL } from '../core/names';
import { CAUGHT } from '../machine/expressions';
import { equals, expression, jsonata, stateInput } from '../machine/jsonata';
import { callSageMaker, when } from '../machine/state-parts';
import { sageMakerArn } from '../private/grants';
import { $, assign } from './deployment-variables';

export interface VerifyProps {
  /** The name of the group that holds the version. */
  readonly registry: string;
  /** Asks what serves now. */
  readonly smokeTest: sfn.TaskStateBase;
  /** Brings back what served before. */
  readonly undo: sfn.IChainable;
  /** Where a version goes on that is proven to serve. */
  readonly deployed: sfn.IChainable;
}

/**
 * Believes only what a target answers: what serves must pass the smoke test, and its version must still be approved. If
 * not, what served before is brought back.
 */
export function verify(scope: Construct, { registry, smokeTest, undo, deployed }: VerifyProps): void {
  const look = callSageMaker(scope, LOOK_AT_APPROVAL, {
    action: 'describeModelPackage',
    resources: [sageMakerArn(Stack.of(scope), `model-package/${registry}/*`)],
    parameters: { ModelPackageName: jsonata($.modelPackageArn) },
  });
  for (const state of [smokeTest, look]) {
    state.addCatch(undo, { errors: ['States.ALL'], assign: assign({ failure: CAUGHT }) });
  }
  const { ModelApprovalStatus } = stateInput<{ readonly ModelApprovalStatus: string }>();
  const withdrawn = sfn.Pass.jsonata(scope, 'Approval withdrawn', {
    assign: assign({
      failure: {
        name: ErrorName.NOT_DEPLOYABLE,
        cause: jsonata(
          expression<string>(
            `${$.modelPackageArn} & ' must still be Approved when its deployment ends, got ' & ${ModelApprovalStatus} & ` +
              "': somebody changed it meanwhile, so the model before is brought back'",
          ),
        ),
      },
    }),
  });
  smokeTest.next(look).next(
    sfn.Choice.jsonata(scope, 'Is it still approved?')
      .when(when(equals(ModelApprovalStatus, 'Approved')), deployed)
      .otherwise(withdrawn.next(undo)),
  );
}
