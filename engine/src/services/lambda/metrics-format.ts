/** One value of a metric, as a handler logs it. */
export interface LoggedMetric {
  readonly namespace: string;
  readonly name: string;
  readonly value: number;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit?: string;
}

/** The metrics in a log line of CloudWatch's embedded metric format; none in any other line. */
export function loggedMetrics(line: string): LoggedMetric[] {
  if (!line.includes('"_aws"')) return [];
  let entry: Record<string, unknown> & { _aws?: { CloudWatchMetrics?: Directive[] } };
  try {
    entry = JSON.parse(line);
  } catch {
    return [];
  }
  const found: LoggedMetric[] = [];
  for (const { Namespace, Dimensions = [[]], Metrics = [] } of entry._aws?.CloudWatchMetrics ?? []) {
    for (const names of Dimensions) {
      const dimensions = Object.fromEntries(names.map((name) => [name, String(entry[name])]));
      for (const { Name, Unit } of Metrics) {
        for (const value of [entry[Name]].flat()) {
          if (typeof value !== 'number') continue;
          found.push({
            namespace: Namespace,
            name: Name,
            value,
            dimensions,
            ...(Unit !== undefined && { unit: Unit }),
          });
        }
      }
    }
  }
  return found;
}

interface Directive {
  readonly Namespace: string;
  readonly Dimensions?: readonly (readonly string[])[];
  readonly Metrics?: readonly { readonly Name: string; readonly Unit?: string }[];
}
