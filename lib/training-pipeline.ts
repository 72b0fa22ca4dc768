import { type CustomResource, Duration, Names, Size, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { SnapshotReport, SnapshotRequest, TrainingInput } from './core/dataset/documents';
import { defaultMargin, JUDGE_DEFAULTS, type JudgeRules } from './core/judge/judgement';
import type { FinishRequest, TrainingOutput } from './core/ledger/documents';
import { EnvName, ownPrefix, Prefix, scoringModelName, searchPrefix } from './core/names';
import type { PrepareReport, PrepareRequest } from './core/prepare/documents';
import { metricOf, problemOf } from './core/problem';
import { type AttemptRules, capacityPrice, longestTraining, MOST_ATTEMPTS, mostAttempts } from './core/train/attempts';
import type { DataContract } from './dataset/data-contract';
import type { IDataset } from './dataset/dataset';
import { candidateModel, score } from './judge/score';
import type { IRunLedger } from './ledger/run-ledger';
import { RUN_ID, STARTED_AT } from './machine/expressions';
import {
  exists,
  expression,
  jsonata,
  literal,
  object,
  orElse,
  present,
  stateInput,
  type Templated,
} from './machine/jsonata';
import { machineLog } from './machine/machine-log';
import { PREPARE_RETRIES } from './machine/retries';
import { invoke, orFail, when } from './machine/state-parts';
import { sqlMistake } from './prepare/check-sql';
import { cleanUpAfter } from './private/clean-up';
import { allowContainer, readJobLogs } from './private/container-role';
import {
  allowEvents,
  grantList,
  grantObjects,
  grantOutputKey,
  grantSageMaker,
  passRoleToSageMaker,
  sageMakerPrincipal,
} from './private/grants';
import { Handler } from './private/handler';
import { diskKey, diskKeyStatements, grantKey, keyOf } from './private/keys';
import { allowCandidates } from './private/owner-tags';
import { claim } from './private/two-of-a-kind';
import { instanceTypeMistake, newestFilesMistake, noCount, outside, refuse } from './private/validate';
import type { IModelRegistry } from './registry/model-registry';
import { register } from './registry/register';
import { seal } from './registry/seal';
import { train } from './train/train';
import type { ITrainer } from './train/trainer';
import { checkedTrainer } from './train/trainer-checks';
import type { TrainerConfig } from './train/trainer-props';
import type { Tuning } from './train/tuning';
import { $, assign, type TrainingVariables } from './training-variables';

/**
 * In bytes. A state's input holds 256 KiB: the contract, and why the run began.
 *
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
 */
const LARGEST_CONTRACT = 200_000;

/** Which verdicts replace the model in service. */
export enum Promotion {
  /** Only a model that is better beyond doubt: for new algorithms and parameters. */
  BETTER = 'BETTER',
  /** Also one that is not worse by more than the margin: for the same model on newer data. */
  NOT_WORSE = 'NOT_WORSE',
}

/** Properties of a {@link TrainingPipeline}. */
export interface TrainingPipelineProps {
  /** What is uploaded, and where runs write. */
  readonly dataset: IDataset;

  /** Where every step is recorded. */
  readonly ledger: IRunLedger;

  /** Where models are registered. */
  readonly registry: IModelRegistry;

  /** What the data must look like, and what is predicted. */
  readonly contract: DataContract;

  /** How a model is trained. */
  readonly trainer: ITrainer;

  /**
   * The pipeline's name in the ledger, in events and in the names of jobs: 1 to 20 lower-case letters, digits and inner hyphens.
   *
   * @default - made from the construct's path
   */
  readonly pipelineName?: string;

  /**
   * Train on the newest so many files.
   *
   * @default - all files
   */
  readonly newestFiles?: number;

  /**
   * The memory of the function that prepares data, 1,024 to 10,240 MiB. More memory brings more processors along, and
   * room for more data: some gigabytes fit the default.
   *
   * @default Size.mebibytes(3008)
   */
  readonly preparationMemory?: Size;

  /**
   * The share of rows held out to judge both models on: the newest, where the contract names an event time.
   *
   * @default 0.2
   */
  readonly holdoutShare?: number;

  /**
   * The share of the remaining rows that stops the training early.
   *
   * @default 0.1
   */
  readonly validationShare?: number;

  /**
   * What is compared: `auc`, `logLoss`, `brier` or `accuracy` for a binary target, `rmse` or `mae` for a number.
   *
   * @default - `auc` or `rmse`
   */
  readonly metric?: string;

  /**
   * By how much a model may be worse and still count as not worse, 0 to 1: of AUC and accuracy as such, of an error
   * (RMSE, MAE, log loss, Brier) as a share of the champion's, so that the target's unit does not matter.
   *
   * @default - 0.005 of AUC and accuracy, 0.01 of an error
   */
  readonly margin?: number;

  /**
   * The confidence of the intervals, 0.5 to 0.9999.
   *
   * @default 0.95
   */
  readonly confidence?: number;

  /**
   * What the first model's metric must reach besides: at least, where more of it is better, else at most, in its unit.
   * It must always be better, beyond doubt, than the trivial answer: the training rows' base rate, mean or median.
   *
   * @default - to be better than the trivial answer is enough
   */
  readonly firstModelThreshold?: number;

  /**
   * Which verdicts replace the model in service.
   *
   * @default Promotion.NOT_WORSE
   */
  readonly promotion?: Promotion;

  /**
   * The fewest rows of a slice's value for it to be judged.
   *
   * @default 1000
   */
  readonly minSliceRows?: number;

  /**
   * Whether a model that passes is approved by this rule; else a person approves it in the registry.
   *
   * @default true
   */
  readonly autoApprove?: boolean;

  /**
   * The instance that scores the holdout.
   *
   * @default 'ml.m5.large'
   */
  readonly scoringInstanceType?: string;

  /**
   * How long machines are waited for, beyond what the trainer's capacity options say.
   *
   * @default - a full quota for an hour, and the capacity options three times over, a quarter of an hour apart
   */
  readonly retryPolicy?: RetryPolicy;

  /**
   * What training may cost; what would cost more is not begun.
   *
   * @default - any amount
   */
  readonly budget?: Budget;

  /**
   * How hyperparameters are searched for within a run.
   *
   * @default - the trainer's own are used
   */
  readonly tuning?: Tuning;

  /**
   * The key of yours that encrypts logs, the functions' environments and the disks of the instances that train and score.
   * Instances with a local drive encrypt it by themselves and take no key; what jobs write is under the bucket's key.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * The key of the bucket of CDK's assets, from which training jobs read their script, where that key is one of yours:
   * `cdk bootstrap --bootstrap-kms-key-id`.
   *
   * @default - the bucket has no key, or one made by `cdk bootstrap`, whose policy lets everybody in who may read the bucket
   */
  readonly assetsKey?: kms.IKey;
}

/** How long machines are waited for. */
export interface RetryPolicy {
  /**
   * How long a full quota is asked again before the next capacity option is tried, 0 to 24 hours.
   *
   * @default Duration.hours(1)
   */
  readonly quotaWait?: Duration;

  /**
   * How often the list of capacity options is tried before the run fails, 1 to 100.
   *
   * @default 3
   */
  readonly maxPasses?: number;

  /**
   * How long to wait before the list is tried again, up to 24 hours.
   *
   * @default Duration.minutes(15)
   */
  readonly passInterval?: Duration;
}

/** What training jobs may cost, at on-demand prices. A job is given no more time than the money lasts. */
export interface Budget {
  /**
   * USD that the jobs of one run may cost.
   *
   * @default - any amount
   */
  readonly maxCostPerRun?: number;

  /**
   * USD that the jobs of all runs that begin in one month (UTC) may cost.
   *
   * @default - any amount
   */
  readonly maxCostPerMonth?: number;

  /**
   * Your own prices, in USD an hour by instance type, e.g. `{ 'ml.g6.2xlarge': 1.22 }`; they go before those that are known.
   *
   * @default - a dated table of known prices (lib/core/train/prices.ts)
   */
  readonly prices?: Record<string, number>;
}

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

  /** The function that freezes the data. */
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

  private readonly props: TrainingPipelineProps;
  private readonly machineName: string;
  private readonly trainerConfig: TrainerConfig;
  private readonly attemptRules: AttemptRules;

  constructor(scope: Construct, id: string, props: TrainingPipelineProps) {
    super(scope, id);
    const { ledger } = props;
    const data = props.dataset.bucket;
    const registry = props.registry.groupName;
    const stack = Stack.of(this);
    const encryptionKey = keyOf(this, props.encryptionKey);
    const scoringInstanceType = props.scoringInstanceType ?? 'ml.m5.large';
    this.props = props;
    this.pipelineName =
      props.pipelineName ??
      Names.uniqueResourceName(this, { maxLength: 20, separator: '-' })
        .toLowerCase()
        .replace(/^-+|-+$/g, '');
    const preparationMemory = (props.preparationMemory ?? Size.mebibytes(3008)).toMebibytes();
    const contractBytes = Buffer.byteLength(JSON.stringify(props.contract._contract));
    refuse(this, [
      !/^[a-z0-9](-?[a-z0-9]){0,19}$/.test(this.pipelineName) &&
        `pipelineName must be 1 to 20 lower-case letters, digits and inner hyphens, got '${this.pipelineName}'`,
      claim(this, 'pipelineName of a TrainingPipeline', this.pipelineName),
      outside(props.holdoutShare ?? 0.2, 0.01, 0.9) && `holdoutShare must be 0.01 to 0.9, got ${props.holdoutShare}`,
      outside(props.validationShare ?? 0.1, 0.01, 0.5) &&
        `validationShare must be 0.01 to 0.5, got ${props.validationShare}`,
      ...metricMistakes(props),
      outside(props.confidence ?? 0.95, 0.5, 0.9999) && `confidence must be 0.5 to 0.9999, got ${props.confidence}`,
      newestFilesMistake(props.newestFiles),
      instanceTypeMistake('scoringInstanceType', scoringInstanceType),
      outside(preparationMemory, 1024, 10_240) &&
        `preparationMemory must be 1024 to 10240 MiB, got ${preparationMemory}`,
      noCount(props.minSliceRows ?? 1000, 30, Number.MAX_VALUE) &&
        `minSliceRows must be a whole number of at least 30, got ${props.minSliceRows}`,
      sqlMistake(props.contract._contract) ?? false,
      contractBytes > LARGEST_CONTRACT &&
        `contract must be at most ${LARGEST_CONTRACT} bytes of JSON, for Step Functions hands it on; got ${contractBytes}: name fewer columns`,
    ]);
    this.trainerConfig = checkedTrainer(this, props.trainer.bind(this));
    const { source, compute, repositoryArns, servingRepositoryArn } = this.trainerConfig;
    this.imageRepositoryArn = servingRepositoryArn;
    this.attemptRules = this.readRules();

    const ledgerEnvironment = {
      [EnvName.LEDGER_TABLE]: ledger.table.tableName,
      [EnvName.PIPELINE]: this.pipelineName,
    };
    const ownEnvironment = { [EnvName.MODEL_PACKAGE_GROUP]: registry };
    const jobs = `${ownPrefix(this.pipelineName, registry)}*`;
    const environment = { ...ledgerEnvironment, [EnvName.DATA_BUCKET]: data.bucketName };

    const snapshot = new Handler(this, 'Snapshot', {
      bundle: 'snapshot',
      description: 'Freezes the data of a run (lambdas/dataset/snapshot.handler.ts)',
      timeout: Duration.minutes(5),
      memorySize: 512,
      encryptionKey,
      environment,
    });
    this.snapshot = snapshot.function;
    grantList(snapshot.role, data, [Prefix.INCOMING, Prefix.GROUND_TRUTH], ['s3:ListBucketVersions']);
    grantObjects(snapshot.role, data, ['s3:GetObject'], [Prefix.SNAPSHOTS]);
    grantObjects(snapshot.role, data, ['s3:PutObject'], [Prefix.SNAPSHOTS, Prefix.RUNS]);
    ledger.grantAppend(snapshot.role, this.pipelineName);
    ledger.grantRead(snapshot.role, this.pipelineName);

    const prepare = new Handler(this, 'Prepare', {
      bundle: 'data',
      entry: 'prepare.handler',
      description: 'Checks, quarantines, derives and splits the data of a run (lambdas/prepare/prepare.handler.ts)',
      timeout: Duration.minutes(15),
      memorySize: preparationMemory,
      ephemeralStorageSize: Size.gibibytes(10),
      encryptionKey,
      environment,
    });
    this.prepare = prepare.function;
    grantObjects(prepare.role, data, ['s3:GetObject', 's3:PutObject'], [Prefix.RUNS]);
    grantObjects(prepare.role, data, ['s3:GetObjectVersion'], [Prefix.INCOMING, Prefix.GROUND_TRUTH]);
    ledger.grantLease(prepare.role, this.pipelineName); // it notes what it is at, for the next attempt

    this.trainingRole = new iam.Role(this, 'TrainingRole', {
      description: `Training jobs of ${this.node.path}`,
      assumedBy: sageMakerPrincipal(stack),
    });
    allowContainer(this.trainingRole, repositoryArns);
    if (source !== undefined) {
      this.trainingRole.addToPolicy(new iam.PolicyStatement({ actions: ['s3:GetObject'], resources: [source.arn] }));
      grantKey(this.trainingRole, props.assetsKey ?? source.key, this.trainingRole, 's3', ['kms:Decrypt']);
    }
    const diskKeys = new Set(compute.map((option) => option._volumeKey(encryptionKey)));
    for (const key of diskKeys) for (const one of diskKeyStatements(key)) this.trainingRole.addToPolicy(one);
    grantObjects(
      this.trainingRole,
      data,
      ['s3:GetObject'],
      [`${Prefix.RUNS}*/prepared/`, `${Prefix.RUNS}*/checkpoints/`],
    );
    grantObjects(
      this.trainingRole,
      data,
      ['s3:PutObject', 's3:AbortMultipartUpload'],
      [`${Prefix.RUNS}*/models/`, `${Prefix.RUNS}*/checkpoints/`],
    );
    // SageMaker deletes in S3 what the script deletes, and may look for the folder without its slash
    grantObjects(this.trainingRole, data, ['s3:DeleteObject'], [`${Prefix.RUNS}*/checkpoints/`]);
    grantList(this.trainingRole, data, [`${Prefix.RUNS}*/prepared/`, `${Prefix.RUNS}*/checkpoints`]);
    grantOutputKey(this.trainingRole, data);

    this.scoringRole = new iam.Role(this, 'ScoringRole', {
      description: `Models of ${this.node.path} while they score the holdout`,
      assumedBy: sageMakerPrincipal(stack),
    });
    allowContainer(this.scoringRole, [servingRepositoryArn]);
    grantObjects(
      this.scoringRole,
      data,
      ['s3:GetObject'],
      [`${Prefix.RUNS}*/sealed/`, `${Prefix.RUNS}*/prepared/holdout/`],
    );
    grantObjects(this.scoringRole, data, ['s3:PutObject', 's3:AbortMultipartUpload'], [`${Prefix.RUNS}*/scores/`]);
    grantList(this.scoringRole, data, [`${Prefix.RUNS}*/sealed/`, `${Prefix.RUNS}*/prepared/holdout/`]);
    grantOutputKey(this.scoringRole, data);
    for (const one of diskKeyStatements(diskKey(scoringInstanceType, encryptionKey))) this.scoringRole.addToPolicy(one);

    const attempt = new Handler(this, 'Attempt', {
      bundle: 'attempt',
      description: 'Records how a training job ended, and decides on the next (lambdas/train/attempt.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: { ...environment, ...ownEnvironment },
    });
    this.attempt = attempt.function;
    ledger.grantAppend(attempt.role, this.pipelineName);
    ledger.grantRead(attempt.role, this.pipelineName);
    grantSageMaker(
      attempt.role,
      stack,
      ['sagemaker:DescribeTrainingJob', 'sagemaker:StopTrainingJob'],
      [`training-job/${jobs}`],
    );
    const { tuning, search } = this.attemptRules;
    const searches = `${searchPrefix(this.pipelineName, registry)}*`;
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

    const sealer = new Handler(this, 'Seal', {
      bundle: 'seal-model',
      description: 'Puts a trained model where no job may write (lambdas/registry/seal-model.handler.ts)',
      timeout: Duration.minutes(15),
      memorySize: 256,
      encryptionKey,
      environment: {},
    });
    this.seal = sealer.function;
    grantObjects(sealer.role, data, ['s3:GetObject', 's3:GetObjectVersion'], [`${Prefix.RUNS}*/models/`]);
    grantObjects(
      sealer.role,
      data,
      ['s3:PutObject', 's3:AbortMultipartUpload', 's3:GetObjectVersion'],
      [`${Prefix.RUNS}*/sealed/`],
    );

    const champion = new Handler(this, 'Champion', {
      bundle: 'champion',
      description: 'Finds the model that a candidate must beat (lambdas/judge/champion.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: {
        ...ledgerEnvironment,
        ...ownEnvironment,
        [EnvName.STACK]: stack.stackName,
        [EnvName.SCORING_ROLE]: this.scoringRole.roleArn,
      },
    });
    this.champion = champion.function;
    ledger.grantRead(champion.role, this.pipelineName);
    grantSageMaker(champion.role, stack, ['sagemaker:DescribeModelPackage'], [this.packages()]);
    grantSageMaker(
      champion.role,
      stack,
      ['sagemaker:CreateModel', 'sagemaker:AddTags'],
      [`model/${scoringModelName(this.pipelineName, registry, 'v*')}`],
    );
    grantSageMaker(
      champion.role,
      stack,
      ['sagemaker:DescribeModel', 'sagemaker:ListTags'],
      [`model/${scoringModelName(this.pipelineName, registry, '*')}`],
    );
    champion.role.addToPolicy(passRoleToSageMaker(this.scoringRole));
    grantObjects(champion.role, data, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`]);

    const judge = new Handler(this, 'Judge', {
      bundle: 'judge',
      description: 'Compares the candidate with the champion on the holdout (lambdas/judge/judge.handler.ts)',
      timeout: Duration.minutes(10),
      memorySize: 2048,
      encryptionKey,
      environment,
    });
    this.judge = judge.function;
    grantObjects(judge.role, data, ['s3:GetObject', 's3:PutObject'], [Prefix.RUNS]);
    ledger.grantAppend(judge.role, this.pipelineName);

    const finish = new Handler(this, 'Finish', {
      bundle: 'finish',
      description: 'Records the end of a run and lets the next one begin (lambdas/ledger/finish.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: { ...ledgerEnvironment, [EnvName.MODEL_PACKAGE_GROUP]: registry },
    });
    this.finish = finish.function;
    ledger.grantLease(finish.role, this.pipelineName);
    allowEvents(finish.role);
    allowCandidates(finish.role, stack, { pipeline: this.pipelineName, registry });

    this.machineName = `${this.pipelineName}-training`;
    this.machine = new sfn.StateMachine(this, 'Machine', {
      // fixed, so that CloudFormation refuses a second pipeline of this name
      stateMachineName: this.machineName,
      comment: `Trains, judges and registers models of ${this.pipelineName}`,
      queryLanguage: sfn.QueryLanguage.JSONATA,
      definitionBody: sfn.DefinitionBody.fromChainable(this.definition(encryptionKey)),
      timeout: this.longestRun(),
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
        Registry: props.registry.groupName,
        Machine: this.machine.stateMachineArn,
      },
      { machineName: this.machineName, ledger, writesTo: [props.dataset, props.registry], encryptionKey },
    );
  }

  /** The states in the order of the data; every failure is recorded before the execution ends with it. */
  private definition(encryptionKey: kms.IKey | undefined): sfn.IChainable {
    const { props, pipelineName, trainerConfig: trainer } = this;
    const owner = { pipeline: pipelineName, registry: props.registry.groupName };
    const states = new Construct(this, 'States'); // a scope of their own: their names are what the console shows
    const failed = invoke<FinishRequest, void>(states, 'Record failure', this.finish, {
      runId: jsonata(RUN_ID),
      startedAt: jsonata(STARTED_AT),
      outcome: 'FAILED',
      error: jsonata(present($.failure)),
      candidateModel: jsonata(candidateModel(owner)),
    });
    failed.next(
      sfn.Fail.jsonata(states, 'Run failed', { error: jsonata($.failure.name), cause: jsonata($.failure.cause) }),
    );
    const finish = invoke<FinishRequest, void>(
      states,
      'Finish',
      this.finish,
      jsonata(
        object<FinishRequest>(
          { runId: RUN_ID, startedAt: STARTED_AT, outcome: $.outcome, candidateModel: candidateModel(owner) },
          { modelPackageArn: $.modelPackageArn },
        ),
      ),
    );
    finish.next(
      sfn.Succeed.jsonata(states, 'Done', {
        outputs: {
          runId: jsonata(RUN_ID),
          outcome: jsonata($.outcome),
          verdict: jsonata($.judgement.verdict),
          because: jsonata($.judgement.because),
        } satisfies Templated<TrainingOutput>,
      }),
    );

    const input = stateInput<Partial<TrainingInput>>();
    const byHand = { reason: 'manual', evidence: [] } satisfies TrainingInput;
    const snapshot = invoke<SnapshotRequest, SnapshotReport, TrainingVariables>(
      states,
      'Snapshot',
      this.snapshot,
      {
        runId: jsonata(RUN_ID),
        startedAt: jsonata(STARTED_AT),
        input: jsonata(expression<TrainingInput>(`$merge([${literal(byHand)}, ${input}])`)),
        contract: props.contract._contract,
        split: { holdout: props.holdoutShare ?? 0.2, validation: props.validationShare ?? 0.1 },
        ...(props.newestFiles !== undefined && { newestFiles: props.newestFiles }),
      },
      ({ dataVersion }) => ({
        data: `s3://${props.dataset.bucket.bucketName}/`,
        reason: jsonata(orElse(input.reason, byHand.reason)),
        replay: jsonata(expression<boolean>(`${exists(input.replay)} and ${input.replay}`)),
        dataVersion: jsonata(dataVersion),
        modelPackageArn: null,
        attempt: null,
        caught: null,
      }),
    );
    const prepare = invoke<PrepareRequest, PrepareReport>(states, 'Prepare', this.prepare, { runId: jsonata(RUN_ID) });
    for (const retry of PREPARE_RETRIES) prepare.addRetry(retry);

    const registered = register(states, {
      trainer,
      owner,
      approve: props.autoApprove ?? true,
      registered: finish,
      failed,
    });
    const judged = score(states, {
      owner,
      trainer,
      role: this.scoringRole,
      instanceType: props.scoringInstanceType ?? 'ml.m5.large',
      encryptionKey,
      objectsKey: props.dataset.bucket.encryptionKey,
      champion: this.champion,
      judge: this.judge,
      rules: this.rules(),
      quotaWait: Duration.seconds(this.attemptRules.quotaWaitSeconds),
      judged: sfn.Choice.jsonata(states, 'Good enough?')
        // however good on data of old, it may lack what the model in service has learnt since
        .when(when($.replay), finish, { assign: assign({ outcome: 'REPLAYED' }) })
        .when(when($.judgement.promote), registered)
        .otherwise(finish),
      failed,
    });
    const trained = train(states, {
      owner,
      contract: props.contract._contract,
      trainer,
      role: this.trainingRole,
      attempt: this.attempt,
      rules: this.attemptRules,
      search: props.tuning?._request(problemOf(props.contract._contract.target.problem)),
      encryptionKey,
      objectsKey: props.dataset.bucket.encryptionKey,
      trained: seal(states, { seal: this.seal, sealed: judged, failed }),
      failed,
    });
    return orFail(snapshot, failed).next(orFail(prepare, failed)).next(trained);
  }

  /** A backstop: all that training may take, and what the other states may; Step Functions allows a year. */
  private longestRun(): Duration {
    const seconds = longestTraining(this.attemptRules) + OTHER_STATES.toSeconds();
    return Duration.seconds(Math.min(seconds, Duration.days(365).toSeconds()));
  }

  /** How the capacity options are tried; refuses what could never begin. */
  private readRules(): AttemptRules {
    const { contract, retryPolicy = {}, budget = {}, tuning } = this.props;
    const { compute, maxDuration } = this.trainerConfig;
    const { region } = Stack.of(this);
    const quotaWait = retryPolicy.quotaWait ?? Duration.hours(1);
    const passInterval = retryPolicy.passInterval ?? Duration.minutes(15);
    const rules: AttemptRules = {
      capacityOptions: compute.map((option) => option._spec(maxDuration)),
      quotaWaitSeconds: quotaWait.toSeconds(),
      maxPasses: retryPolicy.maxPasses ?? 3,
      passIntervalSeconds: passInterval.toSeconds(),
      ...(budget.maxCostPerRun !== undefined && { maxCostPerRun: budget.maxCostPerRun }),
      ...(budget.maxCostPerMonth !== undefined && { maxCostPerMonth: budget.maxCostPerMonth }),
      ...(budget.prices !== undefined && { prices: budget.prices }),
      ...tuning?._rules(this, problemOf(contract._contract.target.problem)),
    };
    const metrics = Object.keys(this.trainerConfig.metrics);
    const looked = (rules.tuning ?? rules.search)?.metric;
    const hasCeiling = budget.maxCostPerRun !== undefined || budget.maxCostPerMonth !== undefined;
    refuse(this, [
      outside(rules.quotaWaitSeconds, 0, 86_400) &&
        `retryPolicy.quotaWait must be 0 to 24 hours, got ${quotaWait.toHumanString()}`,
      outside(rules.passIntervalSeconds, 0, 86_400) &&
        `retryPolicy.passInterval must be 0 to 24 hours, got ${passInterval.toHumanString()}`,
      noCount(rules.maxPasses, 1, 100) &&
        `retryPolicy.maxPasses must be a whole number from 1 to 100, got ${rules.maxPasses}`,
      outside(budget.maxCostPerRun ?? 1, 0.01, 1e9) &&
        `budget.maxCostPerRun must be at least 0.01 USD, got ${budget.maxCostPerRun}`,
      outside(budget.maxCostPerMonth ?? 1, 0.01, 1e9) &&
        `budget.maxCostPerMonth must be at least 0.01 USD, got ${budget.maxCostPerMonth}`,
      ...Object.entries(budget.prices ?? {}).map(
        ([type, price]) => outside(price, 0, 10_000) && `budget.prices must be USD an hour, got ${price} for ${type}`,
      ),
      ...limitMistakes(rules),
      looked !== undefined &&
        !metrics.includes(looked) &&
        `tuning.metric must be one that the trainer prints (${metrics.join(', ')}), got ${looked}`,
      ...rules.capacityOptions.map(
        (option) =>
          hasCeiling &&
          !Token.isUnresolved(region) &&
          capacityPrice(option, region, budget.prices) === undefined &&
          `budget: the price of ${option.label} in ${region} is unknown, and a ceiling needs one; tell it in budget.prices`,
      ),
    ]);
    return rules;
  }

  private rules(): JudgeRules {
    const { contract, metric, margin, confidence, firstModelThreshold, promotion, minSliceRows } = this.props;
    return {
      ...(metric !== undefined && { metric }),
      margin: margin ?? defaultMargin(metricOf(problemOf(contract._contract.target.problem), metric)),
      confidence: confidence ?? JUDGE_DEFAULTS.confidence,
      ...(firstModelThreshold !== undefined && { firstModelThreshold }),
      promote: promotion === Promotion.BETTER ? ['BETTER'] : JUDGE_DEFAULTS.promote,
      minSliceRows: minSliceRows ?? JUDGE_DEFAULTS.minSliceRows,
    };
  }

  private packages(): string {
    return `model-package/${this.props.registry.groupName}/*`;
  }
}

/** What is wrong with the metric, or with what goes by it. */
function metricMistakes({
  contract,
  metric,
  margin,
  firstModelThreshold,
}: TrainingPipelineProps): Array<string | false> {
  const problem = problemOf(contract._contract.target.problem);
  const names = problem.metrics.map(({ name }) => name);
  if (metric !== undefined && !names.includes(metric)) {
    return [`metric must be one of ${names.join(', ')} for a ${problem.name} target, got '${metric}'`];
  }
  const { isRelative, label, range } = metricOf(problem, metric);
  const [least, most] = range;
  const allowed = most === Number.MAX_VALUE ? `at least ${least}` : `${least} to ${most}`;
  return [
    outside(margin ?? 0, 0, 1) &&
      `margin must be 0 to 1${isRelative ? `, a share of the champion's ${label}` : ''}, got ${margin}`,
    outside(firstModelThreshold ?? least, least, most) &&
      `firstModelThreshold must be ${allowed}, got ${firstModelThreshold}`,
  ];
}

/** Beyond training, in the longest run: the data, scoring with all its retries, and what is recorded. */
const OTHER_STATES = Duration.days(3);

/** Bytes that a state may be given. @see https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html */
const LONGEST_PAYLOAD = 256 * 1024;

/** What would not fit an execution: its history, or the payload of a state. */
function limitMistakes(rules: AttemptRules): Array<string | false> {
  const attempts = mostAttempts(rules);
  // a state gets the rules, what has been tried so far, and the log of it
  const tried = JSON.stringify(rules.tuning?.suggestions ?? []).length + 500 * (rules.tuning?.suggestions.length ?? 0);
  const attemptBytes = JSON.stringify(rules).length + tried + 20_000;
  return [
    attempts > MOST_ATTEMPTS &&
      `retryPolicy: ${rules.capacityOptions.length} capacity options may be asked for ${attempts} times, and an execution's history holds ${MOST_ATTEMPTS}; lower maxPasses or quotaWait, or leave capacity options out`,
    attemptBytes > LONGEST_PAYLOAD &&
      `tuning: what is tried takes ${attemptBytes} bytes, and a state may be given ${LONGEST_PAYLOAD}; lower maxTrials, or shorten names and values`,
  ];
}
