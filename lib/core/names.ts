import { createHash } from 'node:crypto';

/** Where things lie in the data bucket. A prefix ends with a slash. */
export const Prefix = {
  /** Labelled data to train on; an upload here starts a run. */
  INCOMING: 'incoming/',
  /** Rows that were predicted, now with their true outcome; an upload here is scored first, then becomes training data. */
  GROUND_TRUTH: 'ground-truth/',
  /** Snapshots: lists of training data, one object per data version. */
  SNAPSHOTS: 'snapshots/',
  /** Everything a run makes, below its own id. */
  RUNS: 'runs/',
  /** What the endpoint was asked and answered, as SageMaker captures it. */
  CAPTURE: 'capture/',
  /** The monitor's reports, one object a window. */
  MONITOR: 'monitor/',
} as const;

/** The keys of one run's documents in the data bucket. */
export function runKeys(runId: string) {
  const root = `${Prefix.RUNS}${runId}/`;
  return {
    root,
    /** {@link import('./documents').RunDocument}: contract, snapshot, reason. */
    run: `${root}run.json`,
    /** Training rows, Parquet: features and target, in contract order. */
    train: `${root}prepared/train/`,
    /** Rows for early stopping, Parquet, same columns. */
    validation: `${root}prepared/validation/`,
    /** The holdout as the serving container reads it: CSV without header, key first if there is one, then the features. */
    holdoutRows: `${root}prepared/holdout/rows.csv`,
    /** {@link import('./documents').HoldoutLabels}, row for row with {@link holdoutRows}. */
    holdoutLabels: `${root}holdout/labels.json`,
    /** Rows that break the contract, JSON Lines: {@link import('./documents').QuarantinedRow}. */
    quarantine: `${root}quarantine/rows.jsonl`,
    /** {@link import('./prepare/profile').Profile} of the training rows. */
    profile: `${root}profile.json`,
    /** Below it SageMaker writes `<job>/output/model.tar.gz`. */
    models: `${root}models/`,
    /** Below it the model's archive is copied to `<job>/model.tar.gz` before it is judged; no job may write here. */
    sealed: `${root}sealed/`,
    /** Below it, a folder for each set of hyperparameters, shared by all attempts of the run. */
    checkpoints: `${root}checkpoints/`,
    /** {@link import('./documents').TuningDocument}: the hyperparameters that were tried, and those that were chosen. */
    tuning: `${root}tuning.json`,
    /** Where batch transform writes. */
    scores: (model: 'candidate' | 'champion') => `${root}scores/${model}/`,
    /** What it writes about {@link holdoutRows}: one score a line. */
    answers: (model: 'candidate' | 'champion') => `${root}scores/${model}/rows.csv.out`,
    /** {@link import('./judge/judge').Judgement}. */
    judgement: `${root}judgement.json`,
    /** {@link import('./documents').Baseline}: what the monitor compares with. */
    baseline: `${root}baseline.json`,
  };
}

/** What may start a run, strongest first: of several at once, the first named gives the run its name. */
export const REASONS = ['manual', 'data', 'drift', 'schedule'] as const;
export type Reason = (typeof REASONS)[number];

/** The sources and detail types of the events that the product sends and receives. */
export const Events = {
  /** Source of every event that the product sends. */
  SOURCE: 'perennial',
  /** The monitor found drift; detail: {@link import('./documents').DriftDetail}. */
  DRIFT_DETECTED: 'Perennial Drift Detected',
  /** Somebody asks for a run; detail: {@link import('./documents').RunRequestedDetail}. */
  RUN_REQUESTED: 'Perennial Run Requested',
  /** The time for a scheduled run has come; sent by EventBridge Scheduler to the controller's queue; no detail but the pipeline. */
  SCHEDULE: 'Perennial Schedule',
  /** No more runs start by themselves today; detail: {@link import('./documents').BudgetReachedDetail}. */
  BUDGET_REACHED: 'Perennial Budget Reached',
  /** The time has come to look for what no event has told of; sent by EventBridge Scheduler to the queues of controller and deployments. */
  RECONCILE: 'Perennial Reconcile',
  /** Drift came to nothing, for want of data that people must see to; detail: {@link import('./documents').DataNeededDetail}. */
  DATA_NEEDED: 'Perennial Data Needed',
  /** A run ended; detail: {@link import('./documents').RunEndedDetail}. */
  RUN_ENDED: 'Perennial Run Ended',
  /** A deployment ended; detail: {@link import('./documents').DeploymentEndedDetail}. */
  DEPLOYMENT_ENDED: 'Perennial Deployment Ended',
} as const;

/** The namespace of the product's CloudWatch metrics; dimension `Pipeline`. */
export const METRICS_NAMESPACE = 'Perennial';

export const MetricName = {
  /** Rows that a run may train and judge on (count). */
  ROWS_ACCEPTED: 'RowsAccepted',
  /** Rows set aside by a run (count). */
  ROWS_QUARANTINED: 'RowsQuarantined',
  /** The candidate's metric on the holdout (the metric's own unit). */
  CANDIDATE_METRIC: 'CandidateMetric',
  /** The largest effect among a window's findings (0 = none). */
  DRIFT_EFFECT: 'DriftEffect',
  /** Windows that the monitor has judged (count); none for long means that nobody is watching. */
  WINDOWS_JUDGED: 'WindowsJudged',
} as const;

/** The environment variables by which a construct tells its handlers what to use. */
export const EnvName = {
  /** Name of the data bucket. */
  DATA_BUCKET: 'DATA_BUCKET',
  /** Name of the ledger table. */
  LEDGER_TABLE: 'LEDGER_TABLE',
  /** The pipeline's name: partition key of the ledger, dimension of the metrics. */
  PIPELINE: 'PIPELINE',
  /** The handler's rules, as JSON; its type stands in `lambdas/README.md`. */
  SETTINGS: 'SETTINGS',
  /** MiB of the function's own disk, which Lambda does not tell it. */
  STORAGE_MIB: 'STORAGE_MIB',
  /** ARN of the training machine. */
  TRAINING_MACHINE: 'TRAINING_MACHINE',
  /** ARN of the deployment machine. */
  DEPLOYMENT_MACHINE: 'DEPLOYMENT_MACHINE',
  /** Name of the group that models are registered in. */
  MODEL_PACKAGE_GROUP: 'MODEL_PACKAGE_GROUP',
  /** Name of the endpoint; its models and configurations begin with it, see {@link ownPrefix}. */
  ENDPOINT_NAME: 'ENDPOINT_NAME',
  /** The pipelines whose versions are deployed. */
  VERSIONS_OF: 'VERSIONS_OF',
  /** ARN of the role under which models score the holdout. */
  SCORING_ROLE: 'SCORING_ROLE',
} as const;

export type EnvName = (typeof EnvName)[keyof typeof EnvName];

/** The first `length` hexadecimal digits of the SHA-256 of some text. */
export function shortHash(text: string, length = 12): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

/**
 * The name of a run, which is its execution's name and so its idempotency key.
 *
 * The same reason, data and evidence give the same name; at most 45 characters of `[a-z0-9-]`.
 *
 * @param evidence what tells two runs of the same data apart (a window's or a request's id); none for new data
 */
export function runId(reason: Reason, dataVersion: string, evidence?: string): string {
  const base = `${reason}-${dataVersion.slice(0, 12)}`;
  return evidence === undefined ? base : `${base}-${shortHash(evidence, 8)}`;
}

/** The name of a deployment's execution: one an approval. */
export function deploymentId(version: number, approvedAt: string): string {
  return `deploy-v${version}-${shortHash(approvedAt, 8)}`;
}

/**
 * What the names begin with that SageMaker keeps for a pipeline or an endpoint, and what its permissions end with:
 * the name and the mark of the registry, which is unique in an account and region. So no two pipelines and no two
 * registries meet, also where one's name begins as the other's.
 *
 * @param name of the pipeline (at most 20 characters) or the endpoint (at most 40)
 * @param registry the name of the model package group
 */
export function ownPrefix(name: string, registry: string): string {
  return `${name}-${shortHash(registry, MARK)}-`;
}

/** Hexadecimal digits of a registry's mark. */
const MARK = 6;

/** A version's SageMaker model: another content is another name. At most 63 characters, up to version 99,999. */
export function modelName(endpoint: string, registry: string, version: number, content: unknown): string {
  return `${ownPrefix(endpoint, registry)}v${version}-${contentHash(content)}`;
}

/** The endpoint configuration of a version: other settings, or another model, are another name. */
export function endpointConfigName(endpoint: string, registry: string, version: number, settings: unknown): string {
  return `${ownPrefix(endpoint, registry)}v${version}-${contentHash(settings)}`;
}

/** The version in the name of an endpoint's model or configuration; undefined if it is none of this endpoint's. */
export function versionInName(endpoint: string, registry: string, name: string): number | undefined {
  const prefix = ownPrefix(endpoint, registry);
  const [, version] = (name.startsWith(prefix) && /^v(\d+)-[0-9a-f]{8}$/.exec(name.slice(prefix.length))) || [];
  return version === undefined ? undefined : Number(version);
}

/**
 * The SageMaker model with which the holdout is scored: of a run's candidate, or of the version in service (`v3`).
 * No deployed model has such a name, so that the permission to make and delete these ends there.
 */
export function scoringModelName(pipeline: string, registry: string, of: string): string {
  return `${ownPrefix(pipeline, registry)}c-${of}`;
}

/** Whether a scoring model is a run's candidate, not the version in service. */
export function isCandidateModel(pipeline: string, registry: string, name: string): boolean {
  const prefix = scoringModelName(pipeline, registry, '');
  return name.startsWith(prefix) && /^[0-9a-f]{8}$/.test(name.slice(prefix.length));
}

/** The run in whose name a job is made. */
export interface JobOwner {
  readonly pipeline: string;
  /** The name of the model package group. */
  readonly registry: string;
  readonly runId: string;
  /** ISO time at which the run's execution began: a run of the same name may be made again. */
  readonly startedAt: string;
}

/**
 * A training job's name: one an attempt, because SageMaker never forgets a name. It does not change when the attempt
 * is made again (a retry, a redrive), so that the name itself keeps a second job from being started.
 */
export function jobName({ pipeline, registry, runId, startedAt }: JobOwner, attempt: number): string {
  const prefix = ownPrefix(pipeline, registry);
  const end = `${shortHash(startedAt, 4)}-${attempt}`;
  const name = `${prefix}${runId.replace(/[^a-zA-Z0-9]+/g, '-').replace(/^-/, '')}-${end}`;
  return name.length <= 63 ? name : `${prefix}${shortHash(runId, 20)}-${end}`;
}

/** Of a tuning job's name, of which SageMaker makes those of its training jobs, 32 characters at most. */
const LONGEST_SEARCH = 32;
/** Of these, what tells the runs and attempts of a pipeline apart: a hash, a hyphen and up to four digits. */
const SEARCH_END = { hash: 7, whole: 12 };

/** What the names of a pipeline's tuning jobs begin with; a long name gives way to a mark of its own. */
export function searchPrefix(pipeline: string, registry: string): string {
  const longest = LONGEST_SEARCH - SEARCH_END.whole - MARK - 2;
  return pipeline.length <= longest
    ? ownPrefix(pipeline, registry)
    : ownPrefix(pipeline.slice(0, longest), `${registry}/${pipeline}`);
}

/** A tuning job's name, as {@link jobName}. */
export function searchName({ pipeline, registry, runId, startedAt }: JobOwner, attempt: number): string {
  return `${searchPrefix(pipeline, registry)}${shortHash(`${runId} ${startedAt}`, SEARCH_END.hash)}-${attempt}`;
}

function contentHash(content: unknown): string {
  return shortHash(JSON.stringify(content), 8);
}

/** The one variant of every endpoint; constant, because a scaling target blocks its renaming. */
export const VARIANT_NAME = 'main';

/** The inference id of questions that are no customer's: what is captured of them does not count. */
export const SMOKE_TEST_ID = 'perennial-smoke-test';

/** The version number at the end of a model package's ARN. */
export function packageVersion(modelPackageArn: string): number {
  return Number(modelPackageArn.slice(modelPackageArn.lastIndexOf('/') + 1));
}

/** Splits `s3://bucket/key`; a key may hold any character, line ends too. */
export function parseS3Uri(uri: string): { bucket: string; key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.*)$/s.exec(uri) ?? [];
  if (bucket === undefined) {
    throw new Error(`an S3 address must look like s3://bucket/key, got ${uri}`);
  }
  return { bucket, key };
}

/** The state of a deployment that asks, last of all, whether the version is still approved. */
export const LOOK_AT_APPROVAL = 'Look at its approval';
