import { ApiError } from '../service';

/** One value, or a summary of several, at a time. */
export interface Datum {
  readonly at: number;
  readonly sum: number;
  readonly count: number;
  readonly min: number;
  readonly max: number;
}

export interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly data: Datum[];
}

/** The oldest values of a metric are dropped beyond this many. */
const KEPT = 100_000;

export class Metrics {
  private readonly metrics = new Map<string, Metric>();

  add(namespace: string, name: string, dimensions: Readonly<Record<string, string>>, datum: Datum): void {
    const id = idOf(namespace, name, dimensions);
    let metric = this.metrics.get(id);
    if (!metric) {
      metric = { namespace, name, dimensions, data: [] };
      this.metrics.set(id, metric);
    }
    metric.data.push(datum);
    if (metric.data.length > KEPT) metric.data.splice(0, KEPT / 10);
  }

  all(): Iterable<Metric> {
    return this.metrics.values();
  }

  /** The statistic of each period that has data, by the period's start; periods count from the epoch. */
  series(of: Omit<Metric, 'data'>, statistic: string, periodMs: number, from: number, to: number): Map<number, number> {
    const periods = new Map<number, Datum[]>();
    for (const datum of this.metrics.get(idOf(of.namespace, of.name, of.dimensions))?.data ?? []) {
      if (datum.at < from || datum.at >= to) continue;
      const start = Math.floor(datum.at / periodMs) * periodMs;
      const data = periods.get(start);
      if (data) data.push(datum);
      else periods.set(start, [datum]);
    }
    return new Map([...periods].sort(([a], [b]) => a - b).map(([start, data]) => [start, summary(data, statistic)]));
  }
}

export function idOf(namespace: string, name: string, dimensions: Readonly<Record<string, string>>): string {
  const sorted = Object.keys(dimensions)
    .sort()
    .map((key) => [key, dimensions[key]]);
  return JSON.stringify([namespace, name, sorted]);
}

export function summary(data: readonly Datum[], statistic: string): number {
  const total = (member: 'sum' | 'count') => data.reduce((sum, datum) => sum + datum[member], 0);
  switch (statistic) {
    case 'Sum':
      return total('sum');
    case 'SampleCount':
      return total('count');
    case 'Average':
      return total('sum') / total('count');
    case 'Minimum':
      return Math.min(...data.map(({ min }) => min));
    case 'Maximum':
      return Math.max(...data.map(({ max }) => max));
  }
  const share = Number(/^p(\d{1,2}(?:\.\d+)?|100)$/.exec(statistic)?.[1]) / 100;
  if (Number.isNaN(share)) {
    throw new ApiError(
      'InvalidParameterValue',
      `the statistic must be Sum, SampleCount, Average, Minimum, Maximum or p0 to p100, got '${statistic}'`,
    );
  }
  return percentile(data, share);
}

function percentile(data: readonly Datum[], share: number): number {
  const sorted = data.map(({ sum, count }) => ({ value: sum / count, count })).sort((a, b) => a.value - b.value);
  const wanted = share * sorted.reduce((sum, { count }) => sum + count, 0);
  let seen = 0;
  for (const { value, count } of sorted) {
    seen += count;
    if (seen >= wanted) return value;
  }
  return sorted[sorted.length - 1].value;
}
