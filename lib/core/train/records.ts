import type { CapacityOptionSpec } from './attempts';
import type { TuningDocument } from './documents';
import { directionOf } from './printed-metric';
import type { Trial, TuningRules } from './tuning';

/** The machines of a capacity option, as a fact names them. */
export function machinesOf({ label, instances, spot }: CapacityOptionSpec) {
  return {
    option: label,
    instanceType: instances[0]?.instanceType as string,
    instanceCount: instances.reduce((sum, { count }) => sum + count, 0),
    spot,
  };
}

/** What a search for hyperparameters has tried, and which trial's model goes on. */
export function tuningDocument(
  runId: string,
  { metric, target }: Pick<TuningRules, 'metric' | 'target'>,
  trials: readonly Trial[],
  best: Trial,
): TuningDocument {
  const { iteration, hyperparameters } = best;
  return {
    runId,
    metric,
    higherIsBetter: directionOf(metric),
    ...(target !== undefined && { target }),
    trials,
    chosen: iteration,
    hyperparameters,
  };
}
