import { Duration, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { JudgeRules, Outcome } from '../core/documents';
import { ErrorName } from '../core/errors';
import { ownPrefix, scoringModelName } from '../core/names';
import type { Owner } from '../core/ownership';
import { passRoleToSageMaker, sageMakerArn } from '../private/grants';
import { diskKey, kmsKeyId } from '../private/keys';
import { jobTags, tagsOf } from '../private/owner-tags';
import { callSageMaker, invoke, makeOnce, orFail } from '../private/state-parts';
import type { TrainerConfig } from '../trainer';
import { CAUGHT, EXECUTION_HASH, jsonata, RUN_ID, RUN_SLUG, runUri, STARTED_AT, TRY } from './expressions';
import { containerOf } from './register';
import { SAGEMAKER_RETRY } from './retries';
import { SageMakerJob } from './sagemaker-job';

export interface ScoreProps {
  readonly owner: Owner;
  readonly trainer: TrainerConfig;
  /** The role that the models have while they score. */
  readonly role: iam.IRole;
  readonly instanceType: string;
  /** What encrypts the volume of the instance, if it can be. */
  readonly encryptionKey: kms.IKey | undefined;
  /** The key that objects are under. */
  readonly objectsKey: kms.IKey | undefined;
  /** The function that finds the model to beat. */
  readonly champion: lambda.IFunction;
  /** The function that compares. */
  readonly judge: lambda.IFunction;
  readonly rules: JudgeRules;
  /** Where a judged candidate goes on. */
  readonly judged: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Lets the candidate and the champion answer the same rows, each in the container that serves it, and compares.
 *
 * Reads `$model`; sets `$champion`, `$judgement` and `$outcome`.
 */
export function score(scope: Construct, props: ScoreProps): sfn.IChainable {
  const { owner, role, failed } = props;
  const { pipeline, registry } = owner;
  const models = [sageMakerArn(Stack.of(scope), `model/${scoringModelName(pipeline, registry, '*')}`)];
  const candidateName = jsonata(`'${scoringModelName(pipeline, registry, '')}' & ${EXECUTION_HASH}`);

  const container = containerOf(props.trainer);
  const candidate = callSageMaker(scope, 'Create candidate model', {
    action: 'createModel',
    resources: models,
    statements: [passRoleToSageMaker(role)],
    parameters: {
      ModelName: candidateName,
      ExecutionRoleArn: role.roleArn,
      PrimaryContainer: container,
      Tags: tagsOf(owner),
    },
  });
  const champion = invoke(
    scope,
    'Champion',
    props.champion,
    { candidate: { modelName: candidateName, container } },
    { champion: jsonata('$states.result.Payload') },
  );
  const scored = sfn.Parallel.jsonata(scope, 'Score')
    .branch(transform(scope, 'Score candidate', 'candidate', candidateName, props))
    .branch(
      sfn.Choice.jsonata(scope, 'Is there a champion?')
        .when(
          sfn.Condition.jsonata(jsonata('$exists($champion.champion)')),
          transform(scope, 'Score champion', 'champion', jsonata('$champion.champion.modelName'), props),
        )
        .otherwise(sfn.Pass.jsonata(scope, 'First model')),
    );
  scored.addCatch(failed, {
    errors: ['States.ALL'],
    assign: { failure: { name: ErrorName.SCORING_FAILED, cause: CAUGHT.cause } },
  });
  const judge = invoke(
    scope,
    'Judge',
    props.judge,
    jsonata(
      `{'runId': ${RUN_ID}, 'startedAt': ${STARTED_AT}, 'champion': $champion.champion, 'rules': ${JSON.stringify(props.rules)}}`,
    ),
    { judgement: jsonata('$states.result.Payload'), outcome: 'REJECTED' satisfies Outcome },
  );
  const forget = callSageMaker(scope, 'Delete candidate model', {
    action: 'deleteModel',
    own: { owner, resources: models },
    parameters: { ModelName: candidateName },
  });
  for (const state of [champion, judge, forget]) orFail(state, failed);
  // which also looks whether what is there under the candidate's name is the candidate
  makeOnce(scope, candidate, champion, champion, failed);
  champion.next(scored).next(judge).next(forget).next(props.judged);
  return candidate;
}

function transform(
  scope: Construct,
  id: string,
  model: 'candidate' | 'champion',
  modelName: string,
  { owner, instanceType, encryptionKey, objectsKey }: ScoreProps,
): SageMakerJob {
  const volumeKey = diskKey(instanceType, encryptionKey);
  const job = new SageMakerJob(scope, id, {
    kind: 'TransformJob',
    namePrefix: ownPrefix(owner.pipeline, owner.registry),
    arguments: {
      TransformJobName: jsonata(
        `'${ownPrefix(owner.pipeline, owner.registry)}' & ${RUN_SLUG} & '-' & ${EXECUTION_HASH} & ` +
          `'-${model === 'candidate' ? 'a' : 'b'}' & ${TRY}`,
      ),
      ModelName: modelName,
      BatchStrategy: 'MultiRecord',
      MaxPayloadInMB: 6,
      TransformInput: {
        ContentType: 'text/csv',
        SplitType: 'Line',
        DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: runUri((keys) => keys.holdoutRows) } },
      },
      TransformOutput: {
        Accept: 'text/csv',
        AssembleWith: 'Line',
        S3OutputPath: runUri((keys) => keys.scores(model)),
        ...kmsKeyId(objectsKey),
      },
      Tags: jobTags(owner),
      TransformResources: {
        InstanceType: instanceType,
        InstanceCount: 1,
        ...(volumeKey !== undefined && { VolumeKmsKeyId: volumeKey.keyArn }),
      },
    },
    taskTimeout: sfn.Timeout.duration(Duration.hours(6)),
  });
  job.addRetry(SAGEMAKER_RETRY);
  return job;
}
