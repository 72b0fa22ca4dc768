import type { Verdict } from '../judge/judgement';

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

/** The output of the training machine. */
export interface TrainingOutput {
  readonly runId: string;
  readonly outcome: Outcome;
  readonly verdict: Verdict;
  /** One sentence: why the verdict is what it is. */
  readonly because: string;
}

/** Detail of {@link Events.RUN_ENDED}. */
export interface RunEndedDetail {
  readonly pipeline: string;
  readonly runId: string;
  readonly outcome: Outcome;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
