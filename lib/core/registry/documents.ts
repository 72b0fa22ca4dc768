import type { SealedModel } from './sealed';

/** `lambdas/registry/seal-model.handler.ts`: puts a trained model where no job may write. */
export interface SealRequest {
  readonly runId: string;
  /** Where the training job wrote it, `s3://bucket/key`. */
  readonly model: string;
}

export type SealReport = SealedModel;
