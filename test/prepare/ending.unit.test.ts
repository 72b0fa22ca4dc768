import { describe, expect, test } from 'vitest';
import type { SnapshotFile } from '../../lib/core/dataset/documents';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { endingOf, errorOfAll, unavailable } from '../../lib/core/prepare/ending';
import type { Failure } from '../../lib/core/prepare/search';

const files = ['a.csv', 'b.csv'].map((key) => ({ key, versionId: 'v1', size: 1000, etag: 'e' }) as SnapshotFile);
const snapshot = { dataVersion: 'd', files };
const failure: Failure = { range: { from: 0, to: 2 }, kind: 'CAPACITY', because: 'Out of Memory' };

describe('endingOf', () => {
  test('refuses guilty files, and says what each owner can do', () => {
    const guilty = [
      { file: 1, failure },
      { file: 0, failure: { ...failure, kind: 'FAULT', because: 'it is odd' } as const },
    ];
    const { refused, error } = endingOf(snapshot, { guilty }, { step: 'END', end: 'FOUND', failure });
    expect(refused).toEqual([
      { file: files[1], because: 'b.csv cannot be prepared: Out of Memory. Upload it in smaller parts, or delete it' },
      {
        file: files[0],
        because: expect.stringMatching(/^a.csv cannot be prepared: it is odd. Correct it and upload it again/),
      },
    ]);
    expect(error.name).toBe(ErrorName.DATA_UNREADABLE);
    expect(error.message).toBe(refused.map(({ because }) => because).join('. '));
  });

  test.each([
    [
      'TOO_MUCH',
      ErrorName.DATA_TOO_LARGE,
      /^the 2 files of 2.0 KB are too much .*Out of Memory. Train on the newest files/,
    ],
    [
      'UNEXPLAINED',
      ErrorName.PREPARATION_FAILED,
      /^the 2 files of 2.0 KB cannot be prepared, and no file alone .*A person is needed/,
    ],
  ] as const)('%s refuses no file: %s', (end, name, message) => {
    const { refused, error } = endingOf(snapshot, { guilty: [] }, { step: 'END', end, failure });
    expect(refused).toEqual([]);
    expect(error).toMatchObject({ name, message: expect.stringMatching(message) });
  });
});

describe('errorOfAll', () => {
  test('has the name of the first error, and the words of five', () => {
    const errors = Array.from(
      { length: 7 },
      (_, i) => new PerennialError(i === 0 ? ErrorName.DATA_REJECTED : ErrorName.DATA_UNREADABLE, `file ${i}`),
    );
    expect(errorOfAll(errors)).toMatchObject({
      name: ErrorName.DATA_REJECTED,
      message: 'file 0. file 1. file 2. file 3. file 4 and 2 more',
      cause: errors[0],
    });
  });

  test('is nothing without an error', () => {
    expect(errorOfAll([])).toBeUndefined();
  });
});

test('a file that S3 does not hand out is named with the reason', () => {
  const error = Object.assign(new Error('it is archived'), { name: 'InvalidObjectState' });
  expect(unavailable(files[0] as SnapshotFile, error)).toMatchObject({
    name: ErrorName.DATA_UNREADABLE,
    message: expect.stringMatching(/^a.csv cannot be had: InvalidObjectState: it is archived. Upload it again/),
  });
});
