import { Duration, Size } from 'aws-cdk-lib';
import { JUDGE_DEFAULTS } from './core/judge/judgement';
import { Promotion, type RetryPolicy, type TrainingPipelineProps } from './training-pipeline-props';

/** What a pipeline does where nobody says otherwise; the props' comments quote it. */
export const TRAINING_DEFAULTS = {
  preparationMemory: Size.mebibytes(3008),
  holdoutShare: 0.2,
  validationShare: 0.1,
  confidence: JUDGE_DEFAULTS.confidence,
  promotion: Promotion.NOT_WORSE,
  minSliceRows: JUDGE_DEFAULTS.minSliceRows,
  autoApprove: true,
  scoringInstanceType: 'ml.m5.large',
  retryPolicy: { quotaWait: Duration.hours(1), maxPasses: 3, passInterval: Duration.minutes(15) },
} as const satisfies Partial<TrainingPipelineProps>;

type Defaulted = keyof typeof TRAINING_DEFAULTS;

/** The props of a pipeline, with the defaults. */
export type TrainingSettings = Omit<TrainingPipelineProps, Defaulted> &
  Required<Pick<TrainingPipelineProps, Defaulted>> & { readonly retryPolicy: Required<RetryPolicy> };

/** Takes the defaults where props say nothing. */
export function withDefaults(props: TrainingPipelineProps): TrainingSettings {
  const retryPolicy = { ...TRAINING_DEFAULTS.retryPolicy, ...given(props.retryPolicy ?? {}) };
  return { ...props, ...TRAINING_DEFAULTS, ...given(props), retryPolicy };
}

/** Without what is undefined. */
function given<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
