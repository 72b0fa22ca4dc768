import { ApiError, type Shape } from '../../service';
import type { Series } from './metric-math';

export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

/** An alarm: its definition as in the template or in PutMetricAlarm, and the state it is in. */
export interface Alarm {
  readonly name: string;
  readonly arn: string;
  readonly definition: Shape;
  state: AlarmState;
  reason: string;
  updated: number;
}

const COMPARISONS: Readonly<Record<string, (value: number, threshold: number) => boolean>> = {
  GreaterThanThreshold: (value, threshold) => value > threshold,
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

/** The starts of the periods that an alarm looks at, newest first; the running one counts once it has data. */
export function evaluatedPeriods(
  now: number,
  periodMs: number,
  count: number,
  hasData: (start: number) => boolean,
): number[] {
  const current = Math.floor(now / periodMs) * periodMs;
  const newest = hasData(current) ? current : current - periodMs;
  return Array.from({ length: count }, (_, i) => newest - i * periodMs);
}

/** What the alarm's state should be, and why. */
export function judge(
  alarm: Alarm,
  series: Series,
  now: number,
  periodMs: number,
): { state: AlarmState; reason: string } {
  const { definition } = alarm;
  const compare = COMPARISONS[definition.ComparisonOperator];
  if (!compare) {
    throw new ApiError(
      'ValidationError',
      `the comparison of alarm ${alarm.name} must be one of ${Object.keys(COMPARISONS).join(', ')}, got '${definition.ComparisonOperator}'`,
    );
  }
  const threshold = Number(definition.Threshold);
  const evaluated = Number(definition.EvaluationPeriods ?? 1);
  const needed = Number(definition.DatapointsToAlarm ?? evaluated);
  const missing: string = definition.TreatMissingData ?? 'missing';
  const values = evaluatedPeriods(now, periodMs, evaluated, (start) => series.has(start)).map((start) =>
    series.get(start),
  );
  const present = values.filter((value) => value !== undefined);
  const absent = values.length - present.length;
  const breaching = present.filter((value) => compare(value, threshold)).length;

  const shown = present.map((value) => Number(value.toPrecision(6))).join(', ');
  const about = `${breaching} of the last ${evaluated} datapoints [${shown}] crossed the threshold (${definition.ComparisonOperator} ${threshold}), ${absent} missing; ${needed} needed for ALARM`;
  if (breaching + (missing === 'breaching' ? absent : 0) >= needed) return { state: 'ALARM', reason: about };
  if (present.length === 0 && missing === 'missing') return { state: 'INSUFFICIENT_DATA', reason: 'no datapoints' };
  if (present.length === 0 && missing === 'ignore') return { state: alarm.state, reason: alarm.reason };
  return { state: 'OK', reason: about };
}
