import { Stack } from 'aws-cdk-lib';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { kindOf } from '../core/dataset/kind';
import { candidateContainer } from '../judge/candidate-model';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { expression, jsonata } from '../machine/jsonata';
import type { SageMakerCall } from '../machine/sagemaker-call';
import { callSageMaker, orFail } from '../machine/state-parts';
import { sageMakerArn } from '../private/grants';
import type { StepProps, TrainingStep } from '../training-step';
import { $, assign, runUri } from '../training-variables';

export interface RegisterStepProps extends StepProps {
  /** Whether the version is approved at once, by rule. */
  readonly approve: boolean;
}

/**
 * Registers the candidate with its lineage, and approves it if that is the rule: the same event as a person's approval.
 *
 * Reads `$model`, `$seal`, `$judgement`, `$reason`, `$dataVersion` and `$trainingJobArn`; sets `$modelPackageArn` and `$outcome`.
 */
export class RegisterStep implements TrainingStep {
  constructor(private readonly props: RegisterStepProps) {}

  states(next: sfn.IChainable): sfn.IChainable {
    const { approve, failed } = this.props;
    const create = orFail(this.create(), failed);
    return approve ? create.next(orFail(this.approve(), failed)).next(next) : create.next(next);
  }

  private create(): SageMakerCall {
    const { states, contract, trainer, owner } = this.props;
    const { requests } = kindOf(contract.kind);
    const { pipeline, registry } = owner;
    const document = (uri: string) => ({ ContentType: 'application/json', S3Uri: uri });
    return callSageMaker(states, 'Register', {
      action: 'createModelPackage',
      resources: [sageMakerArn(Stack.of(states), `model-package-group/${registry}`), this.versions()],
      parameters: {
        ModelPackageGroupName: registry,
        ModelPackageDescription: jsonata(`$substring(${$.judgement.because}, 0, 1024)`),
        ModelApprovalStatus: 'PendingManualApproval',
        // the same run registers once, however often this state is tried; another pipeline, or a run made anew, by itself
        ClientToken: jsonata(`$substring($hash('${pipeline} ' & ${RUN_ID} & ' ' & ${STARTED_AT}, 'SHA-256'), 0, 36)`),
        InferenceSpecification: {
          Containers: [
            {
              ...candidateContainer(trainer),
              ...(trainer.framework !== undefined && { Framework: trainer.framework }),
              ...(trainer.frameworkVersion !== undefined && { FrameworkVersion: trainer.frameworkVersion }),
            },
          ],
          SupportedContentTypes: [requests.contentType],
          SupportedResponseMIMETypes: [requests.answerType],
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
  }

  private approve(): SageMakerCall {
    return callSageMaker(this.props.states, 'Approve', {
      action: 'updateModelPackage',
      resources: [this.versions()],
      parameters: {
        ModelPackageArn: jsonata($.modelPackageArn),
        ModelApprovalStatus: 'Approved',
        ApprovalDescription: jsonata(`$substring('By rule: ' & ${$.judgement.because}, 0, 1024)`),
      },
      assign: assign({ outcome: 'PROMOTED' }),
    });
  }

  private versions(): string {
    const { states, owner } = this.props;
    return sageMakerArn(Stack.of(states), `model-package/${owner.registry}/*`);
  }
}
