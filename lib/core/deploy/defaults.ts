/** What a deployment does that is not told otherwise. */
export const DEPLOYMENT_DEFAULTS = {
  reconcileMinutes: 60,
} as const;

/** How an endpoint serves that is not told otherwise. */
export const ENDPOINT_DEFAULTS = {
  instanceType: 'ml.m5.large',
  instanceCount: 1,
  /** Per cent of requests captured. */
  capturePercent: 100,
  maxLatencySeconds: 1,
  bakeMinutes: 5,
  quotaWaitMinutes: 60,
} as const;
