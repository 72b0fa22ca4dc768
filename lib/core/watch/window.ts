import { isData } from '../dataset/snapshot';
import type { MonitorMessage } from '../messages';
import { Prefix, shortHash, VARIANT_NAME } from '../names';

/** An upload of ground truth: one version of an object in the data bucket. */
export interface Upload {
  readonly key: string;
  readonly versionId: string;
}

/** A period in which a model version was queried, and the window's name. */
export interface Window {
  readonly id: string;
  /** ISO. */
  readonly end: string;
  /** The upload whose rows are judged; absent for a scheduled window of captured predictions. */
  readonly groundTruth?: Upload;
}

/**
 * The window that an event asks to judge. Copies of an event name the same window.
 *
 * @returns undefined for an object that holds no data: the marker of a folder or of a tool
 */
export function windowOf({ at: end, upload }: MonitorMessage): Window | undefined {
  if (upload === undefined) return { id: shortHash(`captured ${end}`), end };
  if (!isData(upload.key)) return undefined;
  return { id: shortHash(`${upload.key} ${upload.versionId}`), end, groundTruth: upload };
}

/** Which captured files and rows a window contains; milliseconds since the epoch. */
export interface CaptureRange {
  /** Files written at or after this time, and before {@link to}. */
  readonly from: number;
  readonly to: number;
  /** Rows that were requested at or after this time. */
  readonly asked: number;
}

/**
 * The captured files and rows of a window. A scheduled window begins where the last one ended. An upload of ground
 * truth looks at all predictions of the model, because its rows may have been predicted at any time.
 *
 * @param deployed ISO time since when the model version is in service: earlier requests were to another one
 * @param until ISO end of the last scheduled window that was judged; absent before the first
 */
export function captureRange(
  { end, groundTruth }: Window,
  deployed: string,
  lookBackDays: number,
  until?: string,
): CaptureRange {
  const to = Date.parse(end);
  const inService = Math.floor(Date.parse(deployed) / 1000) * 1000; // times of capture may be whole seconds
  const asked = Math.max(to - lookBackDays * DAY, inService);
  const judged = groundTruth === undefined && until !== undefined ? Date.parse(until) : 0;
  return { from: Math.max(asked, judged), to, asked };
}

/** The prefixes of keys below which files of a range may be: `…/yyyy/mm/dd/`, of the UTC day on which each was begun. */
export function captureFolders(endpointName: string, { from, to }: CaptureRange): string[] {
  const folders: string[] = [];
  // a file that was begun the day before may have been written in the range
  for (let time = Math.floor(from / DAY) * DAY - DAY; time <= to; time += DAY) {
    const day = new Date(time).toISOString().slice(0, 10).replaceAll('-', '/');
    folders.push(`${Prefix.CAPTURE}${endpointName}/${VARIANT_NAME}/${day}/`);
  }
  return folders;
}

/**
 * Whether a file belongs to a range. What counts is when it was written, because SageMaker writes a request some time
 * after it was answered: so every file belongs to exactly one of the windows that follow each other.
 */
export function isCapturedIn({ from, to }: CaptureRange, key: string, written: Date): boolean {
  const time = written.getTime();
  return key.endsWith('.jsonl') && time >= from && time < to;
}

const DAY = 86_400_000;
