import { type CustomResource, Duration, Names } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { MetricName } from './core/names';
import { problemOf } from './core/problem';
import { longestTraining } from './core/train/attempts';
import { SnapshotStep } from './dataset/snapshot-step';
import { judgeRules, metricMistakes } from './judge/judge-rules';
import { JudgeStep } from './judge/judge-step';
import { FinishStep } from './ledger/finish-step';
import { machineLog } from './machine/machine-log';
import { sqlMistake } from './prepare/check-sql';
import { PrepareStep } from './prepare/prepare-step';
import { cleanUpAfter } from './private/clean-up';
import { keyOf } from './private/keys';
import { pipelineMetric } from './private/metrics';
import { claim } from './private/two-of-a-kind';
import { instanceTypeMistake, newestFilesMistake, noCount, outside, refuse } from './private/validate';
import { RegisterStep } from './registry/register-step';
import { SealStep } from './registry/seal-step';
import { attemptRules } from './train/attempt-rules';
import { TrainStep } from './train/train-step';
import { checkedTrainer } from './train/trainer-checks';
import { type TrainingSettings, withDefaults } from './training-defaults';
import type { TrainingPipelineProps } from './training-pipeline-props';
import { inOrder, type TrainingParts } from './training-step';

/**
 * In bytes. A state's input holds 256 KiB: the contract, and why the run began.
 *
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
 */
const LARGEST_CONTRACT = 200_000;

/** Beyond training, in the longest run: the data, scoring with all its retries, and what is recorded. */
const OTHER_STATES = Duration.days(3);

/** An execution may not take longer. */
const LONGEST_RUN = Duration.days(365);

/**
 * Trains a model on what was uploaded, judges it against the one in service, and registers it if it is good.
 *
 * Defines the training machine, its functions, and the roles of its jobs. Works alone: start the machine with
 * `{}`; or let a {@link RetrainController} start it.
 */
export class TrainingPipeline extends Construct {
  /** The pipeline's name. */
  public readonly pipelineName: string;

  /** The ARN of the repository of the image that serves. */
  public readonly imageRepositoryArn: string;

  /** The training machine. */
  public readonly machine: sfn.StateMachine;

  /** The role that training jobs run as. */
  public readonly trainingRole: iam.Role;

  /** The role that models have while they score the holdout. */
  public readonly scoringRole: iam.Role;

  /** The function that creates the snapshot of the data. */
  public readonly snapshot: lambda.Function;

  /** The function that checks, quarantines, derives and splits. */
  public readonly prepare: lambda.Function;

  /** The function that records how a training job ended, and decides on the next. */
  public readonly attempt: lambda.Function;

  /** The function that puts a trained model where no job may write. */
  public readonly seal: lambda.Function;

  /** The function that finds the model to beat. */
  public readonly champion: lambda.Function;

  /** The function that compares. */
  public readonly judge: lambda.Function;

  /** The function that records the end. */
  public readonly finish: lambda.Function;

  /** What stops jobs and takes models away when the stack is deleted, or the pipeline's name changes. */
  public readonly cleanUp: CustomResource;

  constructor(scope: Construct, id: string, props: TrainingPipelineProps) {
    super(scope, id);
    const settings = withDefaults(props);
    const { contract, dataset, ledger, registry, tuning, assetsKey } = settings;
    const encryptionKey = keyOf(this, props.encryptionKey);
    this.pipelineName = props.pipelineName ?? madeUpName(this);
    refuse(this, [
      !/^[a-z0-9](-?[a-z0-9]){0,19}$/.test(this.pipelineName) &&
        `pipelineName must be 1 to 20 lower-case letters, digits and inner hyphens, got '${this.pipelineName}'`,
      claim(this, 'pipelineName of a TrainingPipeline', this.pipelineName),
      ...mistakes(settings),
    ]);
    const trainer = checkedTrainer(this, props.trainer.bind(this));
    this.imageRepositoryArn = trainer.servingRepositoryArn;
    const rules = attemptRules(this, settings, trainer);

    const parts: TrainingParts = {
      pipeline: this,
      states: new Construct(this, 'States'),
      owner: { pipeline: this.pipelineName, registry: registry.groupName },
      data: dataset.bucket,
      ledger,
      contract: contract._contract,
      trainer,
      encryptionKey,
    };
    const finish = new FinishStep(parts);
    const { failed, finished } = finish;
    const run = { ...parts, failed, finished };
    const snapshot = new SnapshotStep({
      ...run,
      split: { holdout: settings.holdoutShare, validation: settings.validationShare },
      newestFiles: settings.newestFiles,
    });
    const prepare = new PrepareStep({ ...run, memory: settings.preparationMemory });
    const search = tuning?._request(problemOf(contract._contract.target.problem));
    const train = new TrainStep({ ...run, rules, search, assetsKey });
    const seal = new SealStep(run);
    const judge = new JudgeStep({
      ...run,
      rules: judgeRules(settings),
      instanceType: settings.scoringInstanceType,
      quotaWait: settings.retryPolicy.quotaWait,
    });
    const register = new RegisterStep({ ...run, approve: settings.autoApprove });

    this.snapshot = snapshot.function;
    this.prepare = prepare.function;
    this.trainingRole = train.role;
    this.attempt = train.function;
    this.seal = seal.function;
    this.scoringRole = judge.role;
    this.champion = judge.champion;
    this.judge = judge.judge;
    this.finish = finish.function;

    const longest = longestTraining(rules) + OTHER_STATES.toSeconds(); // a backstop
    const machineName = `${this.pipelineName}-training`;
    this.machine = new sfn.StateMachine(this, 'Machine', {
      // fixed, so that CloudFormation refuses a second pipeline of this name
      stateMachineName: machineName,
      comment: `Trains, judges and registers models of ${this.pipelineName}`,
      queryLanguage: sfn.QueryLanguage.JSONATA,
      definitionBody: sfn.DefinitionBody.fromChainable(
        inOrder([snapshot, prepare, train, seal, judge, register], finished),
      ),
      timeout: Duration.seconds(Math.min(longest, LONGEST_RUN.toSeconds())),
      tracingEnabled: true,
      logs: {
        destination: machineLog(this, 'MachineLog', encryptionKey),
        level: sfn.LogLevel.ALL,
        includeExecutionData: true,
      },
    });
    this.cleanUp = cleanUpAfter(
      this,
      {
        What: 'training',
        Pipeline: this.pipelineName,
        Registry: registry.groupName,
        Machine: this.machine.stateMachineArn,
      },
      { machineName, ledger, writesTo: [dataset, registry], encryptionKey },
    );
  }

  /** A metric that the runs write about themselves; the average of five minutes, unless told otherwise. */
  public metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return pipelineMetric(this.pipelineName, metricName, props);
  }

  /** Runs that failed, whatever the reason but time; the sum of five minutes, unless told otherwise. */
  public metricRunsFailed(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.machine.metricFailed(props);
  }

  /** Runs that came to their end, with or without a better model; the sum of five minutes, unless told otherwise. */
  public metricRunsSucceeded(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.machine.metricSucceeded(props);
  }

  /** Rows that a run may train and judge on; the average of five minutes, unless told otherwise. */
  public metricRowsAccepted(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(MetricName.ROWS_ACCEPTED, props);
  }

  /** Rows that break the contract; the average of five minutes, unless told otherwise. */
  public metricRowsQuarantined(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(MetricName.ROWS_QUARANTINED, props);
  }

  /** The candidate's metric on the holdout, in its unit; the average of five minutes, unless told otherwise. */
  public metricCandidateMetric(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(MetricName.CANDIDATE_METRIC, props);
  }
}

/** The construct's path, as a pipeline's name must look. */
function madeUpName(scope: Construct): string {
  return Names.uniqueResourceName(scope, { maxLength: 20, separator: '-' })
    .toLowerCase()
    .replace(/^-+|-+$/g, '');
}

/** What is wrong with the settings, but for the rules by which training is attempted. */
function mistakes(settings: TrainingSettings): Array<string | false> {
  const { holdoutShare, validationShare, confidence, minSliceRows, contract } = settings;
  const memory = settings.preparationMemory.toMebibytes();
  const contractBytes = Buffer.byteLength(JSON.stringify(contract._contract));
  return [
    outside(holdoutShare, 0.01, 0.9) && `holdoutShare must be 0.01 to 0.9, got ${holdoutShare}`,
    outside(validationShare, 0.01, 0.5) && `validationShare must be 0.01 to 0.5, got ${validationShare}`,
    ...metricMistakes(settings),
    outside(confidence, 0.5, 0.9999) && `confidence must be 0.5 to 0.9999, got ${confidence}`,
    newestFilesMistake(settings.newestFiles),
    instanceTypeMistake('scoringInstanceType', settings.scoringInstanceType),
    outside(memory, 1024, 10_240) && `preparationMemory must be 1024 to 10240 MiB, got ${memory}`,
    noCount(minSliceRows, 30, Number.MAX_VALUE) &&
      `minSliceRows must be a whole number of at least 30, got ${minSliceRows}`,
    sqlMistake(contract._contract) ?? false,
    contractBytes > LARGEST_CONTRACT &&
      `contract must be at most ${LARGEST_CONTRACT} bytes of JSON, for Step Functions hands it on; got ${contractBytes}: name fewer columns`,
  ];
}
