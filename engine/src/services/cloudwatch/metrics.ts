import { ApiError } from '../../service';

/** One value, or a summary of several, at a time. */
export interface Datum {
  readonly at: number;
  readonly sum: number;
  readonly count: number;
  readonly min: number;
  readonly max: number;
  /** Seconds that are told apart; 60 unless the sender says 1. */
  readonly resolution?: 1 | 60;
}

/** What came in one second or minute, as CloudWatch stores it. */
export interface Bucket {
  /** Its beginning, in milliseconds since the epoch. */
  readonly at: number;
  sum: number;
  count: number;
  min: number;
  max: number;
  /** The values in their order, and how often each came; where there are many, neighbours are merged. */
  values: [value: number, count: number][];
}

export interface MetricName {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

export interface Metric extends MetricName {
  /** Oldest first; never empty. */
  readonly buckets: Bucket[];
}

/** The oldest buckets of a metric are dropped beyond this many: three days and a half of minutes. */
const KEPT_BUCKETS = 5_000;
/** Of more metrics than this, the one that has been silent for longest is dropped. */
const KEPT_METRICS = 2_000;
/** Different values that a bucket tells apart, for percentiles; of more, neighbours are merged. */
const KEPT_VALUES = 50;

/** Metrics in memory: as much of them as is worth keeping. */
export class Metrics {
  private readonly metrics = new Map<string, Metric>();

  /** @param dropped told of what is dropped */
  constructor(private readonly dropped: (metric: Metric, bucket: Bucket) => void = () => {}) {}

  /** Gives the metric, and the bucket that the datum went into. */
  add(named: MetricName, datum: Datum): { readonly metric: Metric; readonly bucket: Bucket } {
    const metric = this.metric(named);
    const resolution = (datum.resolution ?? 60) * 1000;
    const bucket = bucketOf(metric, Math.floor(datum.at / resolution) * resolution);
    bucket.sum += datum.sum;
    bucket.count += datum.count;
    bucket.min = Math.min(bucket.min, datum.min);
    bucket.max = Math.max(bucket.max, datum.max);
    count(bucket, datum.sum / datum.count, datum.count);
    if (metric.buckets.length > KEPT_BUCKETS) this.dropped(metric, metric.buckets.shift() as Bucket);
    return { metric, bucket };
  }

  /** Takes a bucket of an earlier start. */
  restore(named: MetricName, bucket: Bucket): void {
    const { buckets } = this.metric(named);
    buckets.push(bucket);
    buckets.sort((one, other) => one.at - other.at);
  }

  all(): Iterable<Metric> {
    return this.metrics.values();
  }

  /** The statistic of each period that has data, by the period's start; periods count from the epoch. */
  series(of: MetricName, statistic: string, periodMs: number, from: number, to: number): Map<number, number> {
    const periods = new Map<number, Bucket[]>();
    const step = Math.min(periodMs, 60_000);
    const first = Math.floor(from / step) * step; // a start within a minute is rounded down
    for (const bucket of this.metrics.get(idOf(of))?.buckets ?? []) {
      if (bucket.at < first || bucket.at >= to) continue;
      const start = Math.floor(bucket.at / periodMs) * periodMs;
      const buckets = periods.get(start);
      if (buckets) buckets.push(bucket);
      else periods.set(start, [bucket]);
    }
    return new Map([...periods].sort(([a], [b]) => a - b).map(([start, data]) => [start, summary(data, statistic)]));
  }

  private metric(named: MetricName): Metric {
    const { namespace, name, dimensions } = named;
    const known = this.metrics.get(idOf(named));
    if (known !== undefined) return known;
    if (this.metrics.size >= KEPT_METRICS) this.dropSilent();
    const made = { namespace, name, dimensions, buckets: [] };
    this.metrics.set(idOf(named), made);
    return made;
  }

  private dropSilent(): void {
    const heard = ({ buckets }: Metric) => buckets.at(-1)?.at ?? 0;
    const silent = [...this.metrics.values()].reduce((one, other) => (heard(other) < heard(one) ? other : one));
    this.metrics.delete(idOf(silent));
    for (const bucket of silent.buckets) this.dropped(silent, bucket);
  }
}

export function idOf({ namespace, name, dimensions }: MetricName): string {
  const sorted = Object.keys(dimensions)
    .sort()
    .map((key) => [key, dimensions[key]]);
  return JSON.stringify([namespace, name, sorted]);
}

/** The bucket of a moment; it is nearly always the newest. */
function bucketOf({ buckets }: Metric, at: number): Bucket {
  let place = buckets.length;
  while (place > 0 && (buckets[place - 1]?.at ?? 0) > at) place -= 1;
  const known = buckets[place - 1];
  if (known?.at === at) return known;
  const made: Bucket = { at, sum: 0, count: 0, min: Number.MAX_VALUE, max: -Number.MAX_VALUE, values: [] };
  buckets.splice(place, 0, made);
  return made;
}

function count(bucket: Bucket, value: number, times: number): void {
  const { values } = bucket;
  let place = values.length;
  while (place > 0 && (values[place - 1]?.[0] ?? 0) > value) place -= 1;
  const known = values[place - 1];
  if (known?.[0] === value) known[1] += times;
  else values.splice(place, 0, [value, times]);
  if (values.length > KEPT_VALUES) bucket.values = halved(values);
}

/** Each two neighbours become one: their mean. */
function halved(values: Bucket['values']): Bucket['values'] {
  return values.flatMap(([value, times], index) => {
    if (index % 2 === 1) return [];
    const [next, more] = values[index + 1] ?? [0, 0];
    return [[(value * times + next * more) / (times + more), times + more]];
  });
}

export function summary(buckets: readonly Bucket[], statistic: string): number {
  const total = (member: 'sum' | 'count') => buckets.reduce((sum, bucket) => sum + bucket[member], 0);
  switch (statistic) {
    case 'Sum':
      return total('sum');
    case 'SampleCount':
      return total('count');
    case 'Average':
      return total('sum') / total('count');
    case 'Minimum':
      return Math.min(...buckets.map(({ min }) => min));
    case 'Maximum':
      return Math.max(...buckets.map(({ max }) => max));
  }
  const share = Number(/^p(\d{1,2}(?:\.\d+)?|100)$/.exec(statistic)?.[1]) / 100;
  if (Number.isNaN(share)) {
    throw new ApiError(
      'InvalidParameterValue',
      `the statistic must be Sum, SampleCount, Average, Minimum, Maximum or p0 to p100, got '${statistic}'`,
    );
  }
  return percentile(buckets, share);
}

function percentile(buckets: readonly Bucket[], share: number): number {
  const sorted = buckets.flatMap(({ values }) => values).sort(([one], [other]) => one - other);
  const wanted = share * sorted.reduce((sum, [, times]) => sum + times, 0);
  let seen = 0;
  for (const [value, times] of sorted) {
    seen += times;
    if (seen >= wanted) return value;
  }
  return sorted[sorted.length - 1][0];
}
