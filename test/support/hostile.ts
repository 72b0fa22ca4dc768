/** What keeps its form, because code decides by it. */
const CHOSEN =
  /^(pk|sk|at|.*At|reason|decided|outcome|verdict|problem|family|statistic|kind|failureKind|runId|status|dataVersion|cutoff|reportKey)$/;

/** The same value, with a text added to every string in it that somebody else may have written. */
export function everywhere<T>(value: T, text: string, key = ''): T {
  const change = (one: unknown, name: string): unknown => {
    if (typeof one === 'string') return CHOSEN.test(name) ? one : `${one}${text}`;
    if (Array.isArray(one)) return one.map((item) => change(item, name));
    if (one === null || typeof one !== 'object') return one;
    return Object.fromEntries(Object.entries(one).map(([member, item]) => [member, change(item, member)]));
  };
  return change(value, key) as T;
}
