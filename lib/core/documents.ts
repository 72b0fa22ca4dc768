import type { Contract } from './dataset/contract';
import type { Judgement, JudgeRules, Verdict } from './judge/judgement';
import type { Reason } from './names';
import type { Owner } from './ownership';
import type { Histogram, Profile } from './prepare/profile';
import type { SealedModel } from './registry/sealed';
import type { AttemptRules, TrainingProgress } from './train/attempts';
import type { CaughtError } from './train/failures';
import type { Hyperparameters, Trial } from './train/tuning';
import type { AssessRules, Finding } from './watch/findings';

/** One object of the training data, exactly as it was. */
export interface SnapshotFile {
  readonly key: string;
  readonly versionId: string;
  /** Bytes. */
  readonly size: number;
  readonly etag: string;
}

/** A frozen list of training data; two of the same versions of the same files have the same `dataVersion`. */
export interface Snapshot {
  /** SHA-256 (hexadecimal) of the files' keys, version ids, sizes and ETags, in key order. */
  readonly dataVersion: string;
  /** In key order. */
  readonly files: readonly SnapshotFile[];
  /** Keys that were there but are not trained on, because a run could not use this version of them. */
  readonly leftOut?: readonly string[];
  /** Keys that were there but are not trained on, because an older file has the same content. */
  readonly alike?: readonly string[];
}

/** Why a run was started: one entry a trigger. */
export interface Evidence {
  readonly reason: Reason;
  /** The id of the EventBridge event or scheduled invocation. */
  readonly eventId: string;
  /** ISO time of the event. */
  readonly at: string;
  /** What the trigger knows: the uploaded key, the monitor's report, the person who asked. */
  readonly detail: Readonly<Record<string, string | number>>;
}

/** The input of the training machine. */
export interface TrainingInput {
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  /** The key of a {@link Snapshot} in the data bucket; without one, the run freezes the data itself. */
  readonly snapshotKey?: string;
  /** Whether a run of old is made again: its model is judged, and never registered. */
  readonly replay?: boolean;
  /** Further triggers that the run serves; the ledger's decisions name it for each. */
  readonly more?: number;
}

/** How the rows of a run are divided. */
export interface SplitRule {
  /** The share of rows held out to judge on: the newest where the contract names an event time, else by hash of the key. */
  readonly holdout: number;
  /** The share of the remaining rows for early stopping, by hash. */
  readonly validation: number;
}

/** What a run is made of (`runs/<id>/run.json`); enough to run it again. */
export interface RunDocument {
  readonly runId: string;
  /** ISO. */
  readonly startedAt: string;
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  readonly contract: Contract;
  readonly split: SplitRule;
  readonly snapshot: Snapshot;
}

/** `lambdas/dataset/snapshot.handler.ts`: freezes the data and writes the run's document. */
export interface SnapshotRequest {
  readonly runId: string;
  readonly startedAt: string;
  readonly input: TrainingInput;
  readonly contract: Contract;
  readonly split: SplitRule;
  /** Train on the newest so many files of `incoming/` and `ground-truth/`; all, if absent. */
  readonly newestFiles?: number;
}
export interface SnapshotReport {
  readonly dataVersion: string;
  readonly files: number;
  readonly bytes: number;
}

/** `lambdas/prepare/prepare.handler.ts`: checks, quarantines, derives, splits, profiles. */
export interface PrepareRequest {
  readonly runId: string;
}
export interface PrepareReport {
  readonly rows: {
    readonly read: number;
    readonly quarantined: number;
    readonly train: number;
    readonly validation: number;
    readonly holdout: number;
  };
  /** The reasons of quarantined rows, most frequent first, at most 20. */
  readonly quarantine: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
  /** ISO time of the newest row that is trained on; absent without an event time. */
  readonly cutoff?: string;
}

/** One line of the quarantine. */
export interface QuarantinedRow {
  readonly file: string;
  /** 1-based line of a CSV file (the header is line 1), or 1-based row of a Parquet file. */
  readonly line: number;
  /** What, got, allowed: one text a broken rule. */
  readonly reasons: readonly string[];
  readonly row: Readonly<Record<string, unknown>>;
}

/** `lambdas/train/attempt.handler.ts`: records how a training job ended, and decides what comes next. */
export interface AttemptRequest {
  readonly runId: string;
  readonly startedAt: string;
  readonly rules: AttemptRules;
  /** How far the run has come; null before its first job. */
  readonly progress: TrainingProgress | null;
  /** What the job's state was caught with; null if it was not. */
  readonly caught: CaughtError | null;
}
/** What the training machine does next. */
export interface AttemptReport {
  /** `LOOK`: the job is still there, ask again after the wait. */
  readonly action: 'TRAIN' | 'LOOK' | 'TRAINED' | 'FAILED';
  readonly progress: TrainingProgress;
  /** Seconds before it does. */
  readonly waitSeconds: number;
  /** `TRAIN`: what the job's request is completed with. */
  readonly job?: {
    readonly name: string;
    readonly option: number;
    readonly maxRuntimeSeconds: number;
    /** Spot: waiting and running together. */
    readonly maxWaitSeconds: number;
    /** The folder of its checkpoints below the run's, which jobs with the same hyperparameters share. */
    readonly checkpoints: string;
    readonly hyperparameters: Hyperparameters;
  };
  /** `TRAINED`: the address of the archive, and the job that made it. */
  readonly model?: string;
  readonly trainingJobArn?: string;
  /** `FAILED`. */
  readonly failure?: { readonly name: string; readonly cause: string };
}

/** The hyperparameters that a run tried (`runs/<id>/tuning.json`). */
export interface TuningDocument {
  readonly runId: string;
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly target?: number;
  readonly trials: readonly Trial[];
  /** The iteration whose model goes on. */
  readonly chosen: number;
  readonly hyperparameters: Hyperparameters;
}

/** A registered model version as runs and deployments speak of it. */
export interface ModelVersion {
  readonly version: number;
  readonly modelPackageArn: string;
  readonly runId: string;
  /** The SageMaker model that batch transform and the endpoint use. */
  readonly modelName: string;
}

/** `lambdas/registry/seal-model.handler.ts`: puts a trained model where no job may write. */
export interface SealRequest {
  readonly runId: string;
  /** Where the training job wrote it, `s3://bucket/key`. */
  readonly model: string;
}
export type SealReport = SealedModel;

/** What a model is made from, as SageMaker has it. */
export interface ModelContainer {
  readonly Image?: string;
  readonly ModelDataUrl?: string;
  readonly Environment?: Readonly<Record<string, string>>;
}

/** `lambdas/judge/champion.handler.ts`: which model a candidate must beat. */
export interface ChampionRequest {
  /** The model with which the candidate is scored. */
  readonly candidate: { readonly modelName: string; readonly container: ModelContainer };
}
export interface ChampionReport {
  /** Absent if none is in service, or if it cannot be scored any more. */
  readonly champion?: ModelVersion;
  /** Why there is none, in words for the ledger. */
  readonly note?: string;
}

/** `lambdas/judge/judge.handler.ts`: compares the scores of both models on the holdout. */
export interface JudgeRequest {
  readonly runId: string;
  readonly startedAt: string;
  readonly champion?: ModelVersion;
  readonly rules: JudgeRules;
}
/** What the training machine does with the judgement. */
export interface JudgeReport {
  readonly verdict: Verdict;
  readonly promote: boolean;
  readonly because: string;
}
/** Everything the monitor needs to know about a model version (`runs/<id>/baseline.json`). */
export interface Baseline {
  readonly runId: string;
  readonly contract: Contract;
  readonly profile: Profile;
  /** The candidate's scores on the holdout, with fixed edges. */
  readonly scores: Histogram;
  /** The candidate's metric on the holdout. */
  readonly judgement: Judgement;
}

/** How `lambdas/watch/monitor.handler.ts` watches. */
export interface MonitorRules {
  /** Days before a window's end in which captured predictions are looked for. */
  readonly lookBackDays: number;
  readonly assess: AssessRules;
}

/** What the monitor found in one window (`monitor/<window>.json`). */
export interface MonitorReport {
  readonly windowId: string;
  /** ISO. */
  readonly windowEnd: string;
  readonly pipeline: string;
  readonly version: number;
  readonly runId: string;
  /** The upload of true outcomes that is judged; absent for a window of captured predictions alone. */
  readonly groundTruth?: { readonly key: string; readonly versionId: string };
  readonly verdict: 'OK' | 'DRIFT' | 'INSUFFICIENT' | 'BAD_DATA';
  /** One sentence. */
  readonly summary: string;
  /** Rows that were compared with the baseline. */
  readonly rows: number;
  /** Captured predictions that were read. */
  readonly captured: number;
  /** Captured lines that could not be understood, by reason, most frequent first. */
  readonly unreadable: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
  /** Files of captured lines that could not be had: how many, and why, of 20 at most. */
  readonly unavailable: {
    readonly files: number;
    readonly named: ReadonlyArray<{ readonly key: string; readonly because: string }>;
  };
  /** Rows of the ground truth that break the contract, by reason, most frequent first. */
  readonly quarantine: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
  readonly findings: readonly Finding[];
}

/** How a run ended. */
export const OUTCOMES = ['PROMOTED', 'AWAITING_APPROVAL', 'REJECTED', 'REPLAYED', 'FAILED'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** `lambdas/ledger/finish.handler.ts`: writes the end of a run, frees the lease, and takes away what only the run needed. */
export interface FinishRequest {
  readonly runId: string;
  readonly startedAt: string;
  readonly outcome: Outcome;
  readonly modelPackageArn?: string;
  readonly error?: { readonly name: string; readonly cause: string };
  /** The SageMaker model with which the candidate was scored. */
  readonly candidateModel: string;
}

/** The input of the deployment machine. */
export interface DeploymentInput {
  readonly modelPackageArn: string;
  /** ISO time of the approval. */
  readonly approvedAt: string;
}

/** An endpoint configuration as SageMaker's request has it, but for its name, its tags and the model. */
export interface EndpointConfiguration {
  readonly ProductionVariants: ReadonlyArray<Readonly<Record<string, unknown>>>;
  readonly DataCaptureConfig: Readonly<Record<string, unknown>>;
  /** Encrypts the disks of the instances. */
  readonly KmsKeyId?: string;
}

/** How an endpoint serves. */
export interface ServingSettings {
  readonly instanceType: string;
  readonly instanceCount: number;
  /** Per cent of requests captured, 0 to 100. */
  readonly capturePercent: number;
}

/** `lambdas/deploy/plan-deployment.handler.ts`: decides names and what to do with the endpoint. */
export interface PlanDeploymentRequest {
  readonly modelPackageArn: string;
  readonly endpointName: string;
  readonly owner: Owner;
  /** The pipeline whose versions are deployed. */
  readonly versionsOf: string;
  readonly configuration: EndpointConfiguration;
  /** ARN of the role that the model serves under. */
  readonly servingRole: string;
}
export interface DeploymentPlan {
  readonly version: number;
  readonly runId: string;
  readonly modelName: string;
  readonly endpointConfigName: string;
  /** The configuration in service before; absent if there is none. */
  readonly previousConfigName?: string;
  /** What is there already, and is ours and equal: it is not made again. */
  readonly exists: { readonly model: boolean; readonly config: boolean };
  /** `wait`: the endpoint is changing, look again later. `recreate`: it has failed and must be deleted first. */
  readonly action: 'create' | 'update' | 'recreate' | 'wait' | 'none';
}

/** `lambdas/deploy/smoke-test.handler.ts`: asks the endpoint about rows of the holdout. */
export interface SmokeTestRequest {
  readonly endpointName: string;
  readonly runId: string;
}
export interface SmokeTestReport {
  readonly rows: number;
  readonly latencyMs: number;
}

export const DEPLOYMENT_OUTCOMES = ['DEPLOYED', 'ROLLED_BACK', 'FAILED', 'SKIPPED'] as const;
export type DeploymentOutcome = (typeof DEPLOYMENT_OUTCOMES)[number];

/** `lambdas/deploy/finish-deployment.handler.ts`. */
export interface FinishDeploymentRequest {
  readonly deploymentId: string;
  readonly startedAt: string;
  readonly modelPackageArn: string;
  readonly outcome: DeploymentOutcome;
  readonly plan?: DeploymentPlan;
  readonly error?: { readonly name: string; readonly cause: string };
}

/** Detail of {@link Events.RUN_REQUESTED}. */
export interface RunRequestedDetail {
  readonly pipeline: string;
  readonly requestedBy: string;
  /** Why, in the words of who asks. */
  readonly note?: string;
  /** Replay: train on this {@link Snapshot} instead of the data as it is, and only judge what comes of it. */
  readonly snapshotKey?: string;
}
/** What only people can give, who are told of it by {@link import('./names').Events}. */
export const NEEDS = [
  /** Drift was found, and no labelled data has come since the last run. */
  'NEWER_DATA',
  /** Run after run brought no better model: something else is wrong. */
  'BETTER_DATA',
  /** The day's runs are spent. */
  'BUDGET',
] as const;
export type Need = (typeof NEEDS)[number];

/** Detail of {@link Events.DATA_NEEDED}. */
export interface DataNeededDetail {
  readonly pipeline: string;
  readonly needs: Exclude<Need, 'BUDGET'>;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
/** Detail of {@link Events.DRIFT_DETECTED}. */
export interface DriftDetail {
  readonly pipeline: string;
  readonly windowId: string;
  /** ISO end of the window; the same in every copy of the event. */
  readonly windowEnd: string;
  readonly version: number;
  /** Key of the monitor's report in the data bucket. */
  readonly reportKey: string;
  /** One sentence. */
  readonly summary: string;
}
/** Detail of {@link Events.RUN_ENDED}. */
export interface RunEndedDetail {
  readonly pipeline: string;
  readonly runId: string;
  readonly outcome: Outcome;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
/** Detail of {@link Events.BUDGET_REACHED}. */
export interface BudgetReachedDetail {
  readonly pipeline: string;
  /** ISO date (UTC). */
  readonly day: string;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
/** Detail of {@link Events.DEPLOYMENT_ENDED}. */
export interface DeploymentEndedDetail {
  readonly pipeline: string;
  readonly deploymentId: string;
  readonly outcome: DeploymentOutcome;
  readonly modelPackageArn: string;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
