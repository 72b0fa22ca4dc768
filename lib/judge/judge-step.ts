import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { ChampionReport, ChampionRequest, JudgeReport, JudgeRequest } from '../core/judge/documents';
import type { JudgeRules } from '../core/judge/judgement';
import { EnvName, Prefix, scoringModelName } from '../core/names';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { jsonata, literal, object } from '../machine/jsonata';
import { callSageMaker, invoke, makeOnce, orFail, when } from '../machine/state-parts';
import { allowContainer } from '../private/container-role';
import {
  grantList,
  grantObjects,
  grantOutputKey,
  grantSageMaker,
  passRoleToSageMaker,
  sageMakerArn,
  sageMakerPrincipal,
} from '../private/grants';
import { Handler } from '../private/handler';
import { diskKey, diskKeyStatements } from '../private/keys';
import { tagsOf } from '../private/owner-tags';
import type { TrainingStep } from '../training-step';
import { $, assign, type TrainingVariables } from '../training-variables';
import { candidateContainer, candidateModel } from './candidate-model';
import { type ScoreProps, scoreBoth } from './score';

export interface JudgeStepProps extends ScoreProps {
  readonly rules: JudgeRules;
}

/**
 * Lets the candidate and the champion answer the same rows, each in the container that serves it, and compares. What is
 * good enough goes on, all else ends the run.
 *
 * Reads `$model` and `$replay`; sets `$champion`, `$judgement` and `$outcome`.
 */
export class JudgeStep implements TrainingStep {
  /** Finds the model to beat. */
  readonly champion: lambda.Function;
  /** Compares. */
  readonly judge: lambda.Function;
  /** The role that models have while they score. */
  readonly role: iam.Role;

  constructor(private readonly props: JudgeStepProps) {
    this.role = scoringRole(props);
    this.champion = this.championFunction();
    this.judge = this.judgeFunction();
  }

  private championFunction(): lambda.Function {
    const { pipeline: scope, owner, data, ledger, encryptionKey } = this.props;
    const { pipeline, registry } = owner;
    const stack = Stack.of(scope);
    const champion = new Handler(scope, 'Champion', {
      bundle: 'champion',
      description: 'Finds the model that a candidate must beat (lambdas/judge/champion.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: {
        [EnvName.MODEL_PACKAGE_GROUP]: registry,
        [EnvName.SCORING_ROLE]: this.role.roleArn,
      },
    });
    ledger.grantRead(champion.function, pipeline);
    grantSageMaker(champion.role, stack, ['sagemaker:DescribeModelPackage'], [`model-package/${registry}/*`]);
    grantSageMaker(
      champion.role,
      stack,
      ['sagemaker:CreateModel', 'sagemaker:AddTags'],
      [`model/${scoringModelName(pipeline, registry, 'v*')}`],
    );
    grantSageMaker(
      champion.role,
      stack,
      ['sagemaker:DescribeModel', 'sagemaker:ListTags'],
      [`model/${scoringModelName(pipeline, registry, '*')}`],
    );
    champion.role.addToPolicy(passRoleToSageMaker(this.role));
    grantObjects(champion.role, data, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`]);
    return champion.function;
  }

  private judgeFunction(): lambda.Function {
    const { pipeline, owner, data, ledger, encryptionKey } = this.props;
    const judge = new Handler(pipeline, 'Judge', {
      bundle: 'judge',
      description: 'Compares the candidate with the champion on the holdout (lambdas/judge/judge.handler.ts)',
      timeout: Duration.minutes(10),
      memorySize: 2048,
      encryptionKey,
      environment: { [EnvName.DATA_BUCKET]: data.bucketName },
    });
    grantObjects(judge.role, data, ['s3:GetObject', 's3:PutObject'], [Prefix.RUNS]);
    ledger.grantAppend(judge.function, owner.pipeline);
    return judge.function;
  }

  states(next: sfn.IChainable): sfn.IChainable {
    const { states, owner, trainer, rules, failed } = this.props;
    const { pipeline, registry } = owner;
    const container = candidateContainer(trainer);
    const Tags = tagsOf(states, owner);
    const candidate = callSageMaker(states, 'Create candidate model', {
      action: 'createModel',
      resources: [sageMakerArn(Stack.of(states), `model/${scoringModelName(pipeline, registry, '*')}`)],
      statements: [passRoleToSageMaker(this.role)],
      parameters: {
        ModelName: jsonata(candidateModel(owner)),
        ExecutionRoleArn: this.role.roleArn,
        PrimaryContainer: container,
        Tags,
      },
    });
    const champion = invoke<ChampionRequest, ChampionReport, TrainingVariables>(
      states,
      'Champion',
      this.champion,
      { candidate: { modelName: jsonata(candidateModel(owner)), container }, tags: Tags },
      (champion) => ({ champion: jsonata(champion) }),
    );
    const request = object<JudgeRequest>({
      runId: RUN_ID,
      startedAt: STARTED_AT,
      champion: $.champion.champion,
      rules: literal(rules),
    });
    const judge = invoke<JudgeRequest, JudgeReport, TrainingVariables>(
      states,
      'Judge',
      this.judge,
      jsonata(request),
      (judgement) => ({ judgement: jsonata(judgement), outcome: 'REJECTED' }),
    );
    // which also looks whether what is there under the candidate's name is the candidate
    makeOnce(states, candidate, champion, champion, failed);
    const judged = orFail(judge, failed).next(this.isGoodEnough(next));
    orFail(champion, failed).next(scoreBoth(this.props, judged));
    return candidate;
  }

  private isGoodEnough(next: sfn.IChainable): sfn.IChainable {
    const { states, finished } = this.props;
    return (
      sfn.Choice.jsonata(states, 'Good enough?')
        // however good on data of old, it may lack what the model in service has learnt since
        .when(when($.replay), finished, { assign: assign({ outcome: 'REPLAYED' }) })
        .when(when($.judgement.promote), next)
        .otherwise(finished)
    );
  }
}

/** The role that models have while they score the holdout. */
function scoringRole({ pipeline, data, trainer, instanceType, encryptionKey }: JudgeStepProps): iam.Role {
  const role = new iam.Role(pipeline, 'ScoringRole', {
    description: `Models of ${pipeline.node.path} while they score the holdout`,
    assumedBy: sageMakerPrincipal(Stack.of(pipeline)),
  });
  allowContainer(role, [trainer.servingRepositoryArn]);
  grantObjects(role, data, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`, `${Prefix.RUNS}*/prepared/holdout/`]);
  grantObjects(role, data, ['s3:PutObject', 's3:AbortMultipartUpload'], [`${Prefix.RUNS}*/scores/`]);
  grantList(role, data, [`${Prefix.RUNS}*/sealed/`, `${Prefix.RUNS}*/prepared/holdout/`]);
  grantOutputKey(role, data);
  for (const one of diskKeyStatements(diskKey(instanceType, encryptionKey))) role.addToPolicy(one);
  return role;
}
