import { ApiError } from '../../service';

/** A schedule: when it is next due. */
export interface Schedule {
  /** Milliseconds since the epoch of the first moment after `after`; undefined if there is none. */
  next(after: number): number | undefined;
}

const UNITS: Readonly<Record<string, number | undefined>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/**
 * Reads `rate(5 minutes)`, `cron(0 12 * * ? *)` or `at(2026-01-31T12:00:00)`.
 *
 * @param start milliseconds since the epoch from which rates count
 * @param timeZone of cron and at, e.g. `Europe/Berlin`
 * @throws ApiError `ValidationException`
 */
export function readSchedule(expression: string, start: number, timeZone = 'UTC'): Schedule {
  const [, kind, body] = /^(rate|cron|at)\((.*)\)$/.exec(expression) ?? [];
  const schedule =
    body === undefined
      ? undefined
      : kind === 'rate'
        ? readRate(body, start)
        : kind === 'cron'
          ? readCron(body, timeZone)
          : readAt(body, timeZone);
  if (schedule === undefined) {
    throw new ApiError(
      'ValidationException',
      `Invalid Schedule Expression ${expression}. Allowed: rate(5 minutes), cron(minute hour day month weekday year) and, in EventBridge Scheduler, at(yyyy-mm-ddThh:mm:ss)`,
    );
  }
  return schedule;
}

function readRate(body: string, start: number): Schedule | undefined {
  const [, count, unit, plural] = /^([1-9]\d*) (minute|hour|day)(s?)$/.exec(body) ?? [];
  const length = UNITS[unit ?? ''];
  if (length === undefined || (count === '1') !== (plural === '')) return undefined;
  const interval = Number(count) * length;
  return { next: (after) => start + (Math.floor(Math.max(0, after - start) / interval) + 1) * interval };
}

function readAt(body: string, timeZone: string): Schedule | undefined {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)$/.exec(body)?.map(Number) ?? [];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  const moment = fromLocal({ year, month, day, hour: hour ?? 0, minute: minute ?? 0 }, timeZone);
  if (moment === undefined) return undefined;
  const due = moment + (second ?? 0) * 1000;
  return { next: (after) => (due > after ? due : undefined) };
}

interface LocalTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const LAST_YEAR = 2199;
const DAY = UNITS.day as number;

function readCron(body: string, timeZone: string): Schedule | undefined {
  const fields = body.trim().split(/\s+/);
  const [minute, hour, dayOfMonth, month, dayOfWeek, year] = fields;
  if (year === undefined || fields.length !== 6) return undefined;
  if ((dayOfMonth === '?') === (dayOfWeek === '?')) return undefined; // exactly one of the two must be left open
  const minutes = readField(minute as string, 0, 59);
  const hours = readField(hour as string, 0, 23);
  const months = readField(month as string, 1, 12, MONTHS);
  const years = readField(year, 1970, LAST_YEAR);
  const days = readDays(dayOfMonth as string, dayOfWeek as string);
  if (!minutes || !hours || !months || !years || !days || !knownZone(timeZone)) return undefined;
  return {
    next: (after) => {
      const local = toLocal(after, timeZone);
      for (let day = Date.UTC(local.year, local.month - 1, local.day); ; day += DAY) {
        const date = new Date(day);
        if (date.getUTCFullYear() > LAST_YEAR) return undefined;
        if (!years.has(date.getUTCFullYear()) || !months.has(date.getUTCMonth() + 1) || !days(date)) continue;
        for (const h of hours) {
          for (const m of minutes) {
            const moment = fromLocal(
              {
                year: date.getUTCFullYear(),
                month: date.getUTCMonth() + 1,
                day: date.getUTCDate(),
                hour: h,
                minute: m,
              },
              timeZone,
            );
            if (moment !== undefined && moment > after) return moment;
          }
        }
      }
    },
  };
}

/** The values, ascending, that one field allows: lists of `*`, `a`, `a-b`, each with an optional `/step`. */
function readField(field: string, min: number, max: number, names: readonly string[] = []): Set<number> | undefined {
  const value = (text: string) => {
    const named = names.indexOf(text.toUpperCase());
    return named >= 0 ? named + min : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  };
  const values: number[] = [];
  for (const part of field.split(',')) {
    const [range = '', step] = part.split('/');
    const [from = '', to] = range.split('-');
    const low = from === '*' ? min : value(from);
    const high = to !== undefined ? value(to) : from === '*' || step !== undefined ? max : low;
    const stride = step === undefined ? 1 : Number(step);
    if (!(low >= min && high <= max && low <= high && Number.isInteger(stride) && stride >= 1)) return undefined;
    for (let n = low; n <= high; n += stride) values.push(n);
  }
  return new Set(values.sort((a, b) => a - b));
}

/** Which days the two day fields allow, with `L` (last), `15W` (nearest workday), `6L` (last Friday) and `6#2` (second Friday). */
function readDays(dayOfMonth: string, dayOfWeek: string): ((date: Date) => boolean) | undefined {
  if (dayOfWeek === '?') {
    if (dayOfMonth === 'L') return (date) => date.getUTCDate() === lastDay(date);
    const [, near] = /^(\d{1,2})W$/.exec(dayOfMonth) ?? [];
    if (near !== undefined) return (date) => date.getUTCDate() === nearestWorkday(date, Number(near));
    const days = readField(dayOfMonth, 1, 31);
    return days && ((date) => days.has(date.getUTCDate()));
  }
  const [, last] = /^([1-7])L$/.exec(dayOfWeek) ?? [];
  if (last !== undefined) {
    return (date) => date.getUTCDay() + 1 === Number(last) && date.getUTCDate() + 7 > lastDay(date);
  }
  const [, weekday, nth] = /^([1-7])#([1-5])$/.exec(dayOfWeek) ?? [];
  if (weekday !== undefined) {
    return (date) => date.getUTCDay() + 1 === Number(weekday) && Math.ceil(date.getUTCDate() / 7) === Number(nth);
  }
  const days = readField(dayOfWeek === 'L' ? '7' : dayOfWeek, 1, 7, WEEKDAYS);
  return days && ((date) => days.has(date.getUTCDay() + 1));
}

function lastDay(date: Date): number {
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
}

/** The workday of the date's month that is nearest to a day of it. */
function nearestWorkday(date: Date, day: number): number {
  const wanted = Math.min(day, lastDay(date));
  const weekday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), wanted)).getUTCDay();
  if (weekday === 6) return wanted === 1 ? 3 : wanted - 1;
  if (weekday === 0) return wanted === lastDay(date) ? wanted - 2 : wanted + 1;
  return wanted;
}

function knownZone(timeZone: string): boolean {
  try {
    formatter(timeZone);
    return true;
  } catch {
    return false;
  }
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  formatters.set(timeZone, made);
  return made;
}

function toLocal(moment: number, timeZone: string): LocalTime {
  const parts = Object.fromEntries(
    formatter(timeZone)
      .formatToParts(moment)
      .map(({ type, value }) => [type, Number(value)]),
  );
  return parts as unknown as LocalTime;
}

/** The moment of a local time; undefined in the hour that a change to summer time skips. */
function fromLocal(local: LocalTime, timeZone: string): number | undefined {
  if (!knownZone(timeZone)) return undefined;
  const asUtc = ({ year, month, day, hour, minute }: LocalTime) => Date.UTC(year, month - 1, day, hour, minute);
  const wanted = asUtc(local);
  // the zone's offset at about that time; asked twice, because the guess may lie on the other side of a change
  const guess = wanted - (asUtc(toLocal(wanted, timeZone)) - wanted);
  const moment = wanted - (asUtc(toLocal(guess, timeZone)) - guess);
  return asUtc(toLocal(moment, timeZone)) === wanted ? moment : undefined;
}
