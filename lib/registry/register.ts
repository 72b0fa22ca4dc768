import { Stack } from 'aws-cdk-lib';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { Owner } from '../core/ownership';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { expression, jsonata } from '../machine/jsonata';
import { callSageMaker, orFail } from '../machine/state-parts';
import { sageMakerArn } from '../private/grants';
import type { TrainerConfig } from '../train/trainer-props';
import { $, assign, runUri } from '../training-variables';

export interface RegisterProps {
  readonly trainer: TrainerConfig;
  readonly owner: Owner;
  /** Whether the version is approved at once, by rule. */
  readonly approve: boolean;
  /** Where a registered version goes on. */
  readonly registered: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Registers the candidate with its lineage, and approves it if that is the rule: the same event as a person's approval.
 *
 * Reads `$model`, `$seal`, `$judgement`, `$reason`, `$dataVersion` and `$trainingJobArn`; sets `$modelPackageArn` and `$outcome`.
 */
export function register(scope: Construct, props: RegisterProps): sfn.IChainable {
  const { trainer, owner } = props;
  const { pipeline, registry } = owner;
  const stack = Stack.of(scope);
  const packages = sageMakerArn(stack, `model-package/${registry}/*`);
  const document = (uri: string) => ({ ContentType: 'application/json', S3Uri: uri });
  const create = callSageMaker(scope, 'Register', {
    action: 'createModelPackage',
    resources: [sageMakerArn(stack, `model-package-group/${registry}`), packages],
    parameters: {
      ModelPackageGroupName: registry,
      ModelPackageDescription: jsonata(`$substring(${$.judgement.because}, 0, 1024)`),
      ModelApprovalStatus: 'PendingManualApproval',
      // the same run registers once, however often this state is tried; another pipeline, or a run made anew, by itself
      ClientToken: jsonata(`$substring($hash('${pipeline} ' & ${RUN_ID} & ' ' & ${STARTED_AT}, 'SHA-256'), 0, 36)`),
      InferenceSpecification: {
        Containers: [
          {
            ...containerOf(trainer),
            ...(trainer.framework !== undefined && { Framework: trainer.framework }),
            ...(trainer.frameworkVersion !== undefined && { FrameworkVersion: trainer.frameworkVersion }),
          },
        ],
        SupportedContentTypes: ['text/csv'],
        SupportedResponseMIMETypes: ['text/csv'],
      },
      ModelMetrics: {
        ModelQuality: { Statistics: document(runUri((keys) => keys.judgement)) },
        ModelDataQuality: { Statistics: document(runUri((keys) => keys.profile)) },
      },
      DriftCheckBaselines: { ModelDataQuality: { Statistics: document(runUri((keys) => keys.baseline)) } },
      MetadataProperties: { GeneratedBy: jsonata($.trainingJobArn) },
      CustomerMetadataProperties: {
        // versions take no tags
        pipeline,
        runId: jsonata(RUN_ID),
        reason: jsonata($.reason),
        dataVersion: jsonata($.dataVersion),
        codeVersion: trainer.codeVersion,
        verdict: jsonata($.judgement.verdict),
        // compared again before the version is deployed
        modelVersionId: jsonata($.seal.versionId),
        modelSha256: jsonata($.seal.sha256),
      },
    },
    assign: assign({
      modelPackageArn: jsonata(expression<string>('$states.result.ModelPackageArn')),
      outcome: 'AWAITING_APPROVAL',
    }),
  });
  orFail(create, props.failed);
  if (!props.approve) return create.next(props.registered);

  const approve = callSageMaker(scope, 'Approve', {
    action: 'updateModelPackage',
    resources: [packages],
    parameters: {
      ModelPackageArn: jsonata($.modelPackageArn),
      ModelApprovalStatus: 'Approved',
      ApprovalDescription: jsonata(`$substring('By rule: ' & ${$.judgement.because}, 0, 1024)`),
    },
    assign: assign({ outcome: 'PROMOTED' }),
  });
  return create.next(orFail(approve, props.failed)).next(props.registered);
}

/** The container that serves the candidate, as SageMaker's models and packages name it. */
export function containerOf({ servingImage, servingEnvironment }: TrainerConfig) {
  return { Image: servingImage, ModelDataUrl: jsonata($.model), Environment: servingEnvironment };
}
