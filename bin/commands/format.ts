/** `391,204` */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** A metric with four digits after the point, as people compare them; of a smaller one the first three that say something. */
export function metric(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.0005) return String(Number(value.toPrecision(3)));
  return Math.abs(value) >= 1000 ? value.toLocaleString('en-US', { maximumFractionDigits: 1 }) : value.toFixed(4);
}

/** `+0.0081` */
export function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${metric(Math.abs(value))}`;
}

/** `[+0.0055, +0.0107]` */
export function interval([low, high]: readonly [number, number], form = signed): string {
  return `[${form(low)}, ${form(high)}]`;
}

/** `2026-11-23 11:40` (UTC). */
export function minute(iso: string): string {
  return iso.slice(0, 16).replace('T', ' ');
}

/** `2 min 5 s` */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** Bytes with a unit. */
export function bytes(value: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${(value / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** As much of a data version as tells two apart. */
export function shortVersion(dataVersion: string | undefined): string {
  return dataVersion?.slice(0, 12) ?? '–';
}

/** `3 runs`, `1 run` */
export function several(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}
