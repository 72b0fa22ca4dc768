import { Duration } from 'aws-cdk-lib';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { kindOf } from '../core/dataset/kind';
import { ErrorName } from '../core/errors';
import { ownPrefix } from '../core/names';
import type { CaughtError } from '../core/train/failures';
import { CAUGHT, EXECUTION_HASH, RUN_SLUG, TRY } from '../machine/expressions';
import {
  type Expression,
  equals,
  exists,
  expression,
  jsonata,
  literal,
  type Path,
  stateInput,
  type Text,
} from '../machine/jsonata';
import { retryIntervalJsonata, SAGEMAKER_RETRY, triesWithin } from '../machine/retries';
import { SageMakerJob } from '../machine/sagemaker-job';
import { when } from '../machine/state-parts';
import { diskKey, kmsKeyId } from '../private/keys';
import { jobTags } from '../private/owner-tags';
import type { StepProps } from '../training-step';
import { $, assign, runAddress, runUri, type TrainingVariables } from '../training-variables';
import { candidateModel } from './candidate-model';

export interface ScoreProps extends StepProps {
  readonly instanceType: string;
  /** How long an instance to score on is waited for; a quota that lets one model be scored at a time needs some. */
  readonly quotaWait: Duration;
}

/** The least that an instance is waited for: the one of the other model must have been given back. */
const LEAST_QUOTA_WAIT = Duration.minutes(10);

/** Which of the two a model is. */
type Side = TrainingVariables['unscored'][number];

/** What is told of a model that was to be scored beside the other. */
interface Scored {
  /** Whether there was no machine for it. */
  readonly refused: boolean;
  readonly model?: Side;
}

/**
 * Both are scored side by side; where machines are lacking, one after the other, again and again: what has been paid for
 * is not thrown away because a quota is full.
 */
export function scoreBoth(props: ScoreProps, scored: sfn.IChainable): sfn.IChainable {
  const { states, failed } = props;
  const both = sfn.Parallel.jsonata(states, 'Score', {
    assign: assign({ unscored: jsonata(expression<Side[]>('[$states.result[refused].model]')), tries: 0 }),
  })
    .branch(sideBySide('candidate', props))
    .branch(
      sfn.Choice.jsonata(states, 'Is there a champion?')
        .when(when(exists($.champion.champion)), sideBySide('champion', props))
        .otherwise(sfn.Pass.jsonata(states, 'First model', { outputs: { refused: false } satisfies Scored })),
    );
  const failure = assign({ failure: { name: ErrorName.SCORING_FAILED, cause: CAUGHT.cause } });
  both.addCatch(failed, { errors: ['States.ALL'], assign: failure });

  const alone = transform('Score alone', expression(`${$.unscored}[0]`), `'-' & $string(${$.tries})`, props, {
    assign: assign({
      unscored: jsonata(expression<Side[]>(`$count(${$.unscored}) > 1 ? [${$.unscored}[1]] : []`)),
    }),
  });
  const all = sfn.Choice.jsonata(states, 'All scored?')
    .when(when(expression(`$count(${$.unscored}) = 0`)), scored)
    .otherwise(alone);
  const wait = sfn.Wait.jsonata(states, 'Wait to score', {
    time: sfn.WaitTime.seconds(jsonata(retryIntervalJsonata($.tries))),
    assign: assign({ tries: jsonata(expression<number>(`${$.tries} + 1`)), failure: null }),
  });
  const tries = triesWithin(Math.max(props.quotaWait.toSeconds(), LEAST_QUOTA_WAIT.toSeconds()));
  alone.addCatch(
    sfn.Choice.jsonata(states, 'Can it be scored later?')
      .when(when(expression(`${$.tries} < ${tries} and ${isPassing($.failure)}`)), wait.next(alone))
      .otherwise(failed),
    { errors: ['States.ALL'], assign: failure },
  );
  alone.next(all);
  return both.next(all);
}

/** Scores a model beside the other; outputs whether there was no machine for it. */
function sideBySide(model: Side, props: ScoreProps): sfn.IChainable {
  const { states } = props;
  const job = transform(`Score ${model}`, literal(model), "''", props, {
    outputs: { refused: false } satisfies Scored,
  });
  const caught = stateInput<CaughtError>();
  job.addCatch(
    sfn.Choice.jsonata(states, `Can the ${model} be scored later?`)
      .when(
        when(isPassing(caught)),
        sfn.Pass.jsonata(states, `The ${model} is scored later`, {
          outputs: { refused: true, model } satisfies Scored,
        }),
      )
      .otherwise(
        sfn.Fail.jsonata(states, `The ${model} cannot be scored`, {
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
  id: string,
  model: Expression<Side>,
  again: string,
  { states, owner, data, contract, instanceType, encryptionKey }: ScoreProps,
  state: sfn.TaskStateJsonataBaseProps,
): SageMakerJob {
  const { requests } = kindOf(contract.kind);
  const volumeKey = diskKey(instanceType, encryptionKey);
  const isCandidate = equals(model, 'candidate');
  const job = new SageMakerJob(states, id, {
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
        ContentType: requests.contentType,
        SplitType: requests.splitType,
        DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: runUri((keys) => keys.holdoutRows) } },
      },
      TransformOutput: {
        Accept: requests.answerType,
        AssembleWith: requests.assembleWith,
        S3OutputPath: jsonata(
          `${isCandidate} ? ${runAddress((keys) => keys.scores('candidate'))} : ${runAddress((keys) => keys.scores('champion'))}`,
        ),
        ...kmsKeyId(data.encryptionKey),
      },
      Tags: jobTags(states, owner),
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
