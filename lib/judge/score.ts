import { Duration, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { ErrorName } from '../core/errors';
import type { ChampionReport, ChampionRequest, JudgeReport, JudgeRequest } from '../core/judge/documents';
import type { JudgeRules } from '../core/judge/judgement';
import { ownPrefix, scoringModelName } from '../core/names';
import type { Owner } from '../core/ownership';
import type { CaughtError } from '../core/train/failures';
import { CAUGHT, EXECUTION_HASH, RUN_ID, RUN_SLUG, STARTED_AT, TRY } from '../machine/expressions';
import {
  type Expression,
  equals,
  exists,
  expression,
  jsonata,
  literal,
  object,
  type Path,
  stateInput,
  type Text,
} from '../machine/jsonata';
import { retryIntervalJsonata, SAGEMAKER_RETRY, triesWithin } from '../machine/retries';
import { SageMakerJob } from '../machine/sagemaker-job';
import { callSageMaker, invoke, makeOnce, orFail, when } from '../machine/state-parts';
import { passRoleToSageMaker, sageMakerArn } from '../private/grants';
import { diskKey, kmsKeyId } from '../private/keys';
import { jobTags, tagsOf } from '../private/owner-tags';
import { containerOf } from '../registry/register';
import type { TrainerConfig } from '../train/trainer-props';
import { $, assign, runAddress, runUri, type TrainingVariables } from '../training-variables';

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
  /** How long an instance to score on is waited for; a quota that lets one model be scored at a time needs some. */
  readonly quotaWait: Duration;
  /** Where a judged candidate goes on. */
  readonly judged: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/** The least that an instance is waited for: the one of the other model must have been given back. */
const LEAST_QUOTA_WAIT = Duration.minutes(10);

/**
 * Lets the candidate and the champion answer the same rows, each in the container that serves it, and compares.
 *
 * Both are scored side by side; where machines are lacking, one after the other, again and again: what has been paid for
 * is not thrown away because a quota is full.
 *
 * Reads `$model`; sets `$champion`, `$judgement` and `$outcome`.
 */
export function score(scope: Construct, props: ScoreProps): sfn.IChainable {
  const { owner, role, failed } = props;
  const { pipeline, registry } = owner;
  const models = [sageMakerArn(Stack.of(scope), `model/${scoringModelName(pipeline, registry, '*')}`)];
  const candidateName = jsonata(candidateModel(owner));

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
  const champion = invoke<ChampionRequest, ChampionReport, TrainingVariables>(
    scope,
    'Champion',
    props.champion,
    { candidate: { modelName: candidateName, container } },
    (champion) => ({ champion: jsonata(champion) }),
  );
  const judge = invoke<JudgeRequest, JudgeReport, TrainingVariables>(
    scope,
    'Judge',
    props.judge,
    jsonata(
      object<JudgeRequest>({
        runId: RUN_ID,
        startedAt: STARTED_AT,
        champion: $.champion.champion,
        rules: literal(props.rules),
      }),
    ),
    (judgement) => ({ judgement: jsonata(judgement), outcome: 'REJECTED' }),
  );
  for (const state of [champion, judge]) orFail(state, failed);
  // which also looks whether what is there under the candidate's name is the candidate
  makeOnce(scope, candidate, champion, champion, failed);
  champion.next(scoreBoth(scope, props, judge.next(props.judged)));
  return candidate;
}

/** The name of the model with which the candidate is scored, as JSONata. */
export function candidateModel({ pipeline, registry }: Owner): Text<string> {
  return expression(`${literal(scoringModelName(pipeline, registry, ''))} & ${EXECUTION_HASH}`);
}

/** Which of the two a model is. */
type Side = TrainingVariables['unscored'][number];

/** What is told of a model that was to be scored beside the other. */
interface Scored {
  /** Whether there was no machine for it. */
  readonly refused: boolean;
  readonly model?: Side;
}

/** Side by side, and then, one after the other, what there was no machine for. */
function scoreBoth(scope: Construct, props: ScoreProps, scored: sfn.IChainable): sfn.IChainable {
  const { failed } = props;
  const both = sfn.Parallel.jsonata(scope, 'Score', {
    assign: assign({ unscored: jsonata(expression<Side[]>('[$states.result[refused].model]')), tries: 0 }),
  })
    .branch(sideBySide(scope, 'candidate', props))
    .branch(
      sfn.Choice.jsonata(scope, 'Is there a champion?')
        .when(when(exists($.champion.champion)), sideBySide(scope, 'champion', props))
        .otherwise(sfn.Pass.jsonata(scope, 'First model', { outputs: { refused: false } satisfies Scored })),
    );
  const failure = assign({ failure: { name: ErrorName.SCORING_FAILED, cause: CAUGHT.cause } });
  both.addCatch(failed, { errors: ['States.ALL'], assign: failure });

  const alone = transform(scope, 'Score alone', expression(`${$.unscored}[0]`), `'-' & $string(${$.tries})`, props, {
    assign: assign({
      unscored: jsonata(expression<Side[]>(`$count(${$.unscored}) > 1 ? [${$.unscored}[1]] : []`)),
    }),
  });
  const all = sfn.Choice.jsonata(scope, 'All scored?')
    .when(when(expression(`$count(${$.unscored}) = 0`)), scored)
    .otherwise(alone);
  const wait = sfn.Wait.jsonata(scope, 'Wait to score', {
    time: sfn.WaitTime.seconds(jsonata(retryIntervalJsonata($.tries))),
    assign: assign({ tries: jsonata(expression<number>(`${$.tries} + 1`)), failure: null }),
  });
  const tries = triesWithin(Math.max(props.quotaWait.toSeconds(), LEAST_QUOTA_WAIT.toSeconds()));
  alone.addCatch(
    sfn.Choice.jsonata(scope, 'Can it be scored later?')
      .when(when(expression(`${$.tries} < ${tries} and ${isPassing($.failure)}`)), wait.next(alone))
      .otherwise(failed),
    { errors: ['States.ALL'], assign: failure },
  );
  alone.next(all);
  return both.next(all);
}

/** Scores a model beside the other; outputs whether there was no machine for it. */
function sideBySide(scope: Construct, model: Side, props: ScoreProps): sfn.IChainable {
  const job = transform(scope, `Score ${model}`, literal(model), "''", props, {
    outputs: { refused: false } satisfies Scored,
  });
  const caught = stateInput<CaughtError>();
  job.addCatch(
    sfn.Choice.jsonata(scope, `Can the ${model} be scored later?`)
      .when(
        when(isPassing(caught)),
        sfn.Pass.jsonata(scope, `The ${model} is scored later`, { outputs: { refused: true, model } satisfies Scored }),
      )
      .otherwise(
        sfn.Fail.jsonata(scope, `The ${model} cannot be scored`, {
          error: jsonata(caught.name),
          cause: jsonata(caught.cause),
        }),
      ),
    { errors: ['States.ALL'], outputs: CAUGHT },
  );
  return job;
}

/** Whether a failure is a lack of machines, or SageMaker's own: worth another try. A script's own words do not count. */
function isPassing({ cause }: Path<CaughtError | null>): Text<boolean> {
  return expression(
    `($contains(${cause}, /^(CapacityError|InternalServerError)/) or ` +
      `($contains(${cause}, /ResourceLimitExceeded|account-level service limit|InsufficientInstanceCapacity|Throttling|Rate exceeded/) ` +
      `and $not($contains(${cause}, /^(Client|Algorithm)Error/))))`,
  );
}

/**
 * @param model which of the two, as JSONata
 * @param again what tells the job from those before, as JSONata
 */
function transform(
  scope: Construct,
  id: string,
  model: Expression<Side>,
  again: string,
  { owner, instanceType, encryptionKey, objectsKey }: ScoreProps,
  state: sfn.TaskStateJsonataBaseProps,
): SageMakerJob {
  const volumeKey = diskKey(instanceType, encryptionKey);
  const isCandidate = equals(model, 'candidate');
  const job = new SageMakerJob(scope, id, {
    ...state,
    kind: 'TransformJob',
    namePrefix: ownPrefix(owner.pipeline, owner.registry),
    arguments: {
      TransformJobName: jsonata(
        `'${ownPrefix(owner.pipeline, owner.registry)}' & $substring(${RUN_SLUG}, 0, 13) & '-' & ${EXECUTION_HASH} & ` +
          `(${isCandidate} ? '-a' : '-b') & ${TRY} & ${again}`,
      ),
      ModelName: jsonata(`${isCandidate} ? ${candidateModel(owner)} : ${$.champion.champion.modelName}`),
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
        S3OutputPath: jsonata(
          `${isCandidate} ? ${runAddress((keys) => keys.scores('candidate'))} : ${runAddress((keys) => keys.scores('champion'))}`,
        ),
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
