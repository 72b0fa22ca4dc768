import type { Contract } from '../dataset/contract';
import { type CapturedLine, type CapturedRow, parseCapturedLine } from './capture';
import type { MonitorReport } from './documents';

/** The captured predictions of a window, and what of them could not be read. */
export interface CapturedWindow extends Pick<MonitorReport, 'unreadable' | 'unavailable'> {
  /** In the order of their times. */
  readonly rows: readonly CapturedRow[];
}

/** Bytes of a captured line; a request and its answer have 25 MB each at most, and some more as base64. */
export const LONGEST_LINE = 128 * 2 ** 20;
/** Reasons that are counted separately, and files that are named. */
const [MOST_REASONS, MOST_NAMED] = [100, 20];

/** Collects captured predictions. What cannot be read is counted: a line by its reason, a file by its name. */
export class CaptureCollector {
  private readonly rows: CapturedRow[] = [];
  private readonly reasons = new Map<string, number>();
  private readonly missing: Array<{ readonly key: string; readonly because: string }> = [];

  /** @param asked milliseconds since the epoch; rows that were requested earlier are left out */
  constructor(
    private readonly contract: Contract,
    private readonly asked: number,
  ) {}

  /** @param line without its end; undefined if it is longer than {@link LONGEST_LINE} */
  addLine(line: Uint8Array | undefined): void {
    const parsed: CapturedLine =
      line === undefined
        ? { unreadable: `the line is longer than ${LONGEST_LINE / 2 ** 20} MiB` }
        : parseCapturedLine(line, this.contract);
    if ('rows' in parsed) {
      for (const row of parsed.rows) if (row.at >= this.asked) this.rows.push(row);
    } else if ('unreadable' in parsed) this.countReason(parsed.unreadable);
  }

  /** Notes a file that is deleted, archived, or not readable by the monitor. */
  addMissing(key: string, because: string): void {
    this.missing.push({ key, because });
  }

  get window(): CapturedWindow {
    return {
      rows: [...this.rows].sort((a, b) => a.at - b.at),
      unreadable: [...this.reasons].map(([reason, rows]) => ({ reason, rows })).sort((a, b) => b.rows - a.rows),
      unavailable: { files: this.missing.length, named: this.missing.slice(0, MOST_NAMED) },
    };
  }

  private countReason(reason: string): void {
    const name = this.reasons.has(reason) || this.reasons.size < MOST_REASONS ? reason : 'other reasons';
    this.reasons.set(name, (this.reasons.get(name) ?? 0) + 1);
  }
}

/** What of a window could not be read, as the end of a sentence; empty if everything was. */
export function describeUnread({ unreadable, unavailable }: CapturedWindow): string {
  const lines = unreadable.reduce((sum, { rows }) => sum + rows, 0);
  const [first] = unreadable;
  const [file] = unavailable.named;
  return [
    first && `; ${lines} captured lines cannot be read, most often because ${first.reason}`,
    file && `; ${unavailable.files} capture files cannot be had, e.g. ${file.key} (${file.because.slice(0, 200)})`,
  ]
    .filter((part) => part !== undefined)
    .join('');
}
