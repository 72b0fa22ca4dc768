import { createHash } from 'node:crypto';
import { random } from '../../engine/random';

import type { CategoricalRange, ParameterRanges, TuningConfig } from './requests';

/** Hyperparameters as SageMaker gives them to a training job: all strings. */
export type Point = Readonly<Record<string, string>>;

/** How often a point that was tried already is drawn anew; a small space may have no other. */
const REDRAWS = 100;

/**
 * The points that a tuning job tries, in order.
 *
 * `Grid` is exact. `Random` draws from the ranges, and so does `Bayesian`, which here learns nothing from
 * what was tried: a seeded random search stands in for it.
 */
export function* candidates(config: TuningConfig, name: string): Generator<Point> {
  const { Strategy, ParameterRanges: ranges, ResourceLimits: limits, RandomSeed: seed = seedOf(name) } = config;
  if (Strategy === 'Grid') return yield* grid(ranges.CategoricalParameterRanges ?? []);
  const next = random(seed);
  const tried = new Set<string>();
  for (let number = 0; number < (limits.MaxNumberOfTrainingJobs ?? 0); number++) {
    let point = draw(ranges, next);
    for (let again = 0; again < REDRAWS && tried.has(JSON.stringify(point)); again++) point = draw(ranges, next);
    tried.add(JSON.stringify(point));
    yield point;
  }
}

/** How many points a grid has. */
export function gridSize(ranges: readonly CategoricalRange[]): number {
  return ranges.reduce((product, { Values }) => product * Values.length, 1);
}

function* grid([range, ...others]: readonly CategoricalRange[]): Generator<Point> {
  if (range === undefined) return yield {};
  for (const value of range.Values) {
    for (const rest of grid(others)) yield { [range.Name]: value, ...rest };
  }
}

function draw(ranges: ParameterRanges, next: () => number): Point {
  const { IntegerParameterRanges = [], ContinuousParameterRanges = [], CategoricalParameterRanges = [] } = ranges;
  const point: Record<string, string> = {};
  for (const { Name, MinValue, MaxValue, ScalingType } of IntegerParameterRanges) {
    const [min, max] = [Number(MinValue), Number(MaxValue)];
    // every whole number has the same share; on a logarithmic scale, of its width there
    point[Name] = String(Math.min(max, Math.floor(between(min, max + 1, ScalingType, next()))));
  }
  for (const { Name, MinValue, MaxValue, ScalingType } of ContinuousParameterRanges) {
    point[Name] = String(between(Number(MinValue), Number(MaxValue), ScalingType, next()));
  }
  for (const { Name, Values } of CategoricalParameterRanges) point[Name] = Values[Math.floor(next() * Values.length)];
  return point;
}

/** The value that lies at a share of the way from one end of a range to the other, on its scale. */
function between(min: number, max: number, scale: string | undefined, share: number): number {
  if (scale === 'Logarithmic') return min * (max / min) ** share;
  if (scale === 'ReverseLogarithmic') return 1 - (1 - min) * ((1 - max) / (1 - min)) ** share;
  return min + share * (max - min);
}

function seedOf(name: string): number {
  return createHash('sha256').update(name).digest().readInt32BE(0);
}
