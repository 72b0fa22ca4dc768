import type { Tag } from '../ownership';
import type { JudgeRules, Verdict } from './judgement';

/** A registered model version as runs and deployments speak of it. */
export interface ModelVersion {
  readonly version: number;
  readonly modelPackageArn: string;
  readonly runId: string;
  /** The SageMaker model that batch transform and the endpoint use. */
  readonly modelName: string;
}

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
  /** Of the model with which the champion is scored. */
  readonly tags: readonly Tag[];
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
