import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { EnvName, ownPrefix, Prefix, searchPrefix } from '../core/names';
import type { AttemptRules } from '../core/train/attempts';
import type { AttemptReport, AttemptRequest } from '../core/train/documents';
import { CAUGHT, RUN_ID, STARTED_AT } from '../machine/expressions';
import { equals, expression, jsonata, present } from '../machine/jsonata';
import type { SageMakerJob } from '../machine/sagemaker-job';
import { invoke, orFail, when } from '../machine/state-parts';
import { allowContainer, readJobLogs } from '../private/container-role';
import { grantList, grantObjects, grantOutputKey, grantSageMaker, sageMakerPrincipal } from '../private/grants';
import { Handler } from '../private/handler';
import { diskKeyStatements, grantKey } from '../private/keys';
import type { StepProps, TrainingStep } from '../training-step';
import { $, assign, type TrainingVariables } from '../training-variables';
import { trainingJob } from './training-job';
import type { SearchRequest } from './tuning';

export interface TrainStepProps extends StepProps {
  readonly rules: AttemptRules;
  /** The search that is left to SageMaker; none, if absent. */
  readonly search: SearchRequest | undefined;
  /** The key of the bucket of CDK's assets, where the trainer's source does not tell it. */
  readonly assetsKey: kms.IKey | undefined;
}

/**
 * Walks the capacity options until one of them has trained: a function decides, and each capacity option has a state of its own, so that
 * its request stands in the definition as it is sent.
 *
 * Reads `$attempt` and `$caught` (null before the first job); sets `$model` (address of the model's archive) and
 * `$trainingJobArn`.
 */
export class TrainStep implements TrainingStep {
  /** Records how a job ended, and decides what comes next. */
  readonly function: lambda.Function;
  /** The role that the jobs run as. */
  readonly role: iam.Role;

  constructor(private readonly props: TrainStepProps) {
    this.role = trainingRole(props);
    const { pipeline, owner, data, ledger, rules, encryptionKey } = props;
    const stack = Stack.of(pipeline);
    const attempt = new Handler(pipeline, 'Attempt', {
      bundle: 'attempt',
      description: 'Records how a training job ended, and decides on the next (lambdas/train/attempt.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: { [EnvName.DATA_BUCKET]: data.bucketName, [EnvName.MODEL_PACKAGE_GROUP]: owner.registry },
    });
    this.function = attempt.function;
    const jobs = `${ownPrefix(owner.pipeline, owner.registry)}*`;
    ledger.grantAppend(attempt.function, owner.pipeline);
    ledger.grantRead(attempt.function, owner.pipeline);
    grantSageMaker(
      attempt.role,
      stack,
      ['sagemaker:DescribeTrainingJob', 'sagemaker:StopTrainingJob'],
      [`training-job/${jobs}`],
    );
    const { tuning, search } = rules;
    const searches = `${searchPrefix(owner.pipeline, owner.registry)}*`;
    for (const statement of readJobLogs(stack, search === undefined ? jobs : searches)) {
      attempt.role.addToPolicy(statement);
    }
    if (tuning ?? search) grantObjects(attempt.role, data, ['s3:PutObject'], [Prefix.RUNS]);
    if (search !== undefined) {
      grantSageMaker(
        attempt.role,
        stack,
        [
          'sagemaker:DescribeHyperParameterTuningJob',
          'sagemaker:ListTrainingJobsForHyperParameterTuningJob',
          'sagemaker:StopHyperParameterTuningJob',
        ],
        [`hyper-parameter-tuning-job/${searches}`],
      );
      grantSageMaker(attempt.role, stack, ['sagemaker:DescribeTrainingJob'], [`training-job/${searches}`]);
    }
  }

  states(next: sfn.IChainable): sfn.IChainable {
    const { states, trainer, rules, failed } = this.props;
    const decide = invoke<AttemptRequest, AttemptReport, TrainingVariables>(
      states,
      'Next attempt',
      this.function,
      {
        runId: jsonata(RUN_ID),
        startedAt: jsonata(STARTED_AT),
        rules,
        progress: jsonata(expression<AttemptRequest['progress']>(`${$.attempt} ? ${$.attempt.progress} : null`)),
        caught: jsonata($.caught),
      },
      (attempt) => ({ attempt: jsonata(attempt) }),
    );
    const jobs = trainer.compute.map((option, i) => trainingJob({ ...this.props, role: this.role }, option, i));
    for (const job of jobs) {
      job.addCatch(decide, {
        errors: ['States.ALL'],
        assign: assign({
          caught: {
            name: CAUGHT.name,
            cause: jsonata(
              expression<string>(
                "$exists($states.errorOutput.Cause) ? $substring($states.errorOutput.Cause, 0, 2000) : ''",
              ),
            ),
          },
        }),
      });
      job.next(decide);
    }
    const onOption = whichOption(states, jobs);
    const wait = sfn.Wait.jsonata(states, 'Wait for machines', {
      time: sfn.WaitTime.seconds(jsonata($.attempt.waitSeconds)),
    });
    wait.next(
      sfn.Choice.jsonata(states, 'Has the job ended?')
        .when(when(equals($.attempt.action, 'LOOK')), decide)
        .otherwise(onOption),
    );
    const choice = sfn.Choice.jsonata(states, 'Trained?')
      .when(when(equals($.attempt.action, 'TRAINED')), next, {
        assign: assign({
          model: jsonata(present($.attempt.model)),
          trainingJobArn: jsonata(present($.attempt.trainingJobArn)),
        }),
      })
      .when(when(equals($.attempt.action, 'FAILED')), failed, {
        assign: assign({ failure: jsonata(present($.attempt.failure)) }),
      })
      .when(when(expression(`${$.attempt.waitSeconds} > 0`)), wait)
      .otherwise(onOption);
    return orFail(decide, failed).next(choice);
  }
}

/** The role that training jobs run as. */
function trainingRole({ pipeline, data, trainer, assetsKey, encryptionKey }: TrainStepProps): iam.Role {
  const { source, compute, repositoryArns } = trainer;
  const role = new iam.Role(pipeline, 'TrainingRole', {
    description: `Training jobs of ${pipeline.node.path}`,
    assumedBy: sageMakerPrincipal(Stack.of(pipeline)),
  });
  allowContainer(role, repositoryArns);
  if (source !== undefined) {
    role.addToPolicy(new iam.PolicyStatement({ actions: ['s3:GetObject'], resources: [source.arn] }));
    grantKey(role, assetsKey ?? source.key, role, 's3', ['kms:Decrypt']);
  }
  const diskKeys = new Set(compute.map((option) => option._volumeKey(encryptionKey)));
  for (const key of diskKeys) for (const one of diskKeyStatements(key)) role.addToPolicy(one);
  grantObjects(role, data, ['s3:GetObject'], [`${Prefix.RUNS}*/prepared/`, `${Prefix.RUNS}*/checkpoints/`]);
  grantObjects(
    role,
    data,
    ['s3:PutObject', 's3:AbortMultipartUpload'],
    [`${Prefix.RUNS}*/models/`, `${Prefix.RUNS}*/checkpoints/`],
  );
  // SageMaker deletes in S3 what the script deletes, and may look for the folder without its slash
  grantObjects(role, data, ['s3:DeleteObject'], [`${Prefix.RUNS}*/checkpoints/`]);
  grantList(role, data, [`${Prefix.RUNS}*/prepared/`, `${Prefix.RUNS}*/checkpoints`]);
  grantOutputKey(role, data);
  return role;
}

/** The state of the capacity option that was decided on. */
function whichOption(scope: Construct, jobs: SageMakerJob[]): sfn.IChainable {
  const [first, ...others] = jobs as [SageMakerJob, ...SageMakerJob[]];
  if (others.length === 0) return first;
  const choice = sfn.Choice.jsonata(scope, 'Which option?');
  others.forEach((job, i) => {
    choice.when(when(equals($.attempt.job.option, i + 1)), job);
  });
  return choice.otherwise(first);
}
