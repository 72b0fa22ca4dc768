import type { Snapshot, SnapshotFile } from '../dataset/documents';
import { snapshotBytes } from '../dataset/snapshot';
import { ErrorName, PerennialError } from '../errors';
import { listed } from '../listed';
import { inBytes } from './limits';
import type { Failure, Search, Step } from './search';

/** A file with which no further run shall be made, and why. */
export interface FileRefusal {
  readonly file: SnapshotFile;
  readonly because: string;
}

/** How the preparation of a run ends that could not be prepared. */
export interface Ending {
  readonly refused: readonly FileRefusal[];
  readonly error: PerennialError;
}

/** What to do where the data is too much for the function that prepares it. */
export const FEWER_FILES =
  'Train on the newest files alone (newestFiles), or give the function that prepares them more memory (preparationMemory)';

/** How the search for the file that cannot be prepared ends: guilty files are refused, or it is said why none is. */
export function endingOf(
  snapshot: Snapshot,
  { guilty }: Pick<Search, 'guilty'>,
  { end, failure }: Extract<Step, { readonly step: 'END' }>,
): Ending {
  const { files } = snapshot;
  const { because } = failure;
  if (end === 'FOUND') {
    const refused = guilty.map((one) => {
      const file = files[one.file] as SnapshotFile;
      return { file, because: blame(file.key, one.failure) };
    });
    const messages = refused.map(({ because }) => because);
    return { refused, error: new PerennialError(ErrorName.DATA_UNREADABLE, listed(messages, 5, '. ')) };
  }
  const together = `${files.length} files of ${inBytes(snapshotBytes(snapshot))}`;
  const error =
    end === 'TOO_MUCH'
      ? new PerennialError(
          ErrorName.DATA_TOO_LARGE,
          `the ${together} are too much for the function that prepares them, and no one alone is to blame: ${because}. ${FEWER_FILES}`,
        )
      : new PerennialError(
          ErrorName.PREPARATION_FAILED,
          `the ${together} cannot be prepared, and no file alone is the cause: ${because}. A person is needed: ` +
            'look at the log of the function that prepares data, and report a fault that is not yours',
        );
  return { refused: [], error };
}

/** What is wrong with a file that fails alone, and what its owner can do. */
function blame(key: string, { kind, because }: Failure): string {
  const what = `${key} cannot be prepared: ${because}`;
  return kind === 'FAULT'
    ? `${what}. Correct it and upload it again, or delete it; if nothing is wrong with it, keep a copy and report the fault`
    : `${what}. Upload it in smaller parts, or delete it`;
}

/** What is wrong with a file that S3 does not hand out. */
export function unavailable({ key }: SnapshotFile, error: Error): PerennialError {
  const message =
    `${key} cannot be had: ${error.name}: ${error.message}. ` +
    'Upload it again, restore it from the archive, or let the function that prepares data read it (and its key), and delete it otherwise';
  return new PerennialError(ErrorName.DATA_UNREADABLE, message, { cause: error });
}

/** The error of a run because of files that cannot be used: it has the name of the first, and the words of five. */
export function errorOfAll(errors: readonly PerennialError[]): PerennialError | undefined {
  const [first] = errors;
  if (first === undefined) return undefined;
  const messages = errors.map((error) => error.message);
  return new PerennialError(first.name as ErrorName, listed(messages, 5, '. '), { cause: first });
}
