import type { Duration, Size } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { DataContract } from './dataset/data-contract';
import type { IDataset } from './dataset/dataset';
import type { IRunLedger } from './ledger/run-ledger';
import type { IModelRegistry } from './registry/model-registry';
import type { ITrainer } from './train/trainer';
import type { Tuning } from './train/tuning';

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
