import type { Contract } from '../../lib/core/dataset/contract';
import { CaptureCollector, type CapturedWindow, LONGEST_LINE } from '../../lib/core/watch/captured-window';
import { type CaptureRange, captureFolders, isCapturedIn } from '../../lib/core/watch/window';
import { type S3Store, whyUnavailable } from '../shared/s3-store';

/** Reads what an endpoint has captured, line by line: no file is in memory as a whole. */
export async function readCapture(
  store: Pick<S3Store, 'lines' | 'list'>,
  endpointName: string,
  contract: Contract,
  range: CaptureRange,
): Promise<CapturedWindow> {
  const collector = new CaptureCollector(contract, range.asked);
  for (const folder of captureFolders(endpointName, range)) {
    for (const { key, lastModified } of await store.list(folder)) {
      if (!isCapturedIn(range, key, lastModified)) continue;
      try {
        for await (const line of await store.lines(key, LONGEST_LINE)) collector.addLine(line);
      } catch (error) {
        const because = whyUnavailable(error);
        if (because === undefined) throw error;
        collector.addMissing(key, because);
      }
    }
  }
  return collector.window;
}
