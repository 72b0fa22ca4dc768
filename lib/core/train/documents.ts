import type { AttemptRules, TrainingProgress } from './attempts';
import type { CaughtError } from './failures';
import type { Hyperparameters, Trial } from './tuning';

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
