import type { Metric, Scores } from '../judge/metric';
import type { Histogram } from '../prepare/profile';

/** What the monitor saw of one model version in one stretch of time. */
export interface MonitoredWindow {
  readonly rows: number;
  /** By feature, counted with the edges and values of the baseline's profile (see `countLike`). */
  readonly features: Readonly<Record<string, Histogram>>;
  /** What the model answered, counted with the edges of the baseline's scores. */
  readonly scores?: Histogram;
  /** Truth that has become known, row for row with what the model answers for it. */
  readonly performance?: { readonly labels: ArrayLike<number>; readonly scores: Scores };
}

/** When the monitor speaks of drift. */
export interface AssessRules {
  /** Chance of any significant finding in a window without drift, above 0 and below 1; shared among the findings (Holm). */
  readonly significanceLevel: number;
  /** Windows without drift between two false alarms, on average and at least. */
  readonly averageRunLength: number;
  /** From which shift of a distribution on it matters: see {@link Finding.effect}. */
  readonly psiThreshold: number;
  /** From which rise of the share of never seen categories on it matters. */
  readonly newCategories: number;
  /** From which drop of a metric whose high values are good (AUC, accuracy) on it matters, in the metric's unit. */
  readonly scoreDropThreshold: number;
  /** From which rise of an error (RMSE, MAE, log loss, Brier) on it matters, as a share of the baseline's error. */
  readonly errorIncreaseThreshold: number;
}

/**
 * Hourly windows without drift raise a false alarm once in 30 days at most; a shift of 0.1 is where
 * the population stability index is commonly read as "moderate".
 */
export const ASSESS_DEFAULTS: AssessRules = {
  significanceLevel: 0.05,
  averageRunLength: 720,
  psiThreshold: 0.1,
  newCategories: 0.02,
  scoreDropThreshold: 0.02,
  errorIncreaseThreshold: 0.05,
};

/** The setting from which a change of a metric matters. */
export function changeSetting({
  isRelative,
}: Pick<Metric, 'isRelative'>): 'scoreDropThreshold' | 'errorIncreaseThreshold' {
  return isRelative ? 'errorIncreaseThreshold' : 'scoreDropThreshold';
}

/** One comparison of a window with the baseline. */
export interface Finding {
  readonly family: 'inputs' | 'predictions' | 'performance';
  /** The feature, of an input. */
  readonly feature?: string;
  readonly statistic: 'chiSquare' | 'newCategories' | 'performanceDrop';
  /** The statistic: chi-square; the share of never seen categories; the metric in the window. */
  readonly value: number;
  /** The value from which on the change matters, of `performanceDrop`. */
  readonly limit?: number;
  /**
   * How big the difference is, whatever the number of rows.
   *
   * For `chiSquare` 8 × the Jensen-Shannon divergence less what chance alone makes of it: it equals the
   * population stability index where that is small, but is bounded by 5.55 and defined for empty bins.
   * For `newCategories` the rise of their share. For `performanceDrop` the drop, or the rise of an error
   * as a share of the baseline's.
   */
  readonly effect: number;
  /** From which effect on it matters. */
  readonly threshold: number;
  /** The chance of a difference like this without drift. */
  readonly p: number;
  /** {@link p} corrected for the number of findings (Holm). */
  readonly adjusted: number;
  /** Evidence over the windows so far (Shiryaev-Roberts); an alarm needs {@link evidenceNeeded}. */
  readonly evidence: number;
  readonly evidenceNeeded: number;
  /** Rows with which an effect of {@link threshold} would be significant; absent if the baseline has too few rows for any. */
  readonly rowsNeeded?: number;
  /** Whether the window has that many rows. */
  readonly enough: boolean;
  /** Shift of the mean in the baseline's standard deviations, of numbers. */
  readonly meanShift?: number;
  readonly drifted: boolean;
}

/** What is carried from window to window of one model version; plain JSON. */
export interface WatchState {
  readonly windows: number;
  /** Evidence by finding; absent means none. */
  readonly evidence: Readonly<Record<string, number>>;
}

/** Where watching a model version begins. */
export const NOTHING_SEEN: WatchState = { windows: 0, evidence: {} };

export interface Assessment {
  /** INSUFFICIENT: no drift was found, but some effect that matters could have gone unnoticed. */
  readonly verdict: 'OK' | 'DRIFT' | 'INSUFFICIENT';
  readonly findings: readonly Finding[];
  /** The largest effect as a multiple of the threshold from which it matters. */
  readonly effect: number;
  /** To be handed in with the version's next window. */
  readonly state: WatchState;
  /** One sentence a person understands. */
  readonly summary: string;
}
