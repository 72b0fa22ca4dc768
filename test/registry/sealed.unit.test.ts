import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ErrorName } from '../../lib/core/errors';
import { jobName, runKeys } from '../../lib/core/names';
import { refuseChanged, sealedKey, sealOf } from '../../lib/core/registry/sealed';

const model = { uri: 's3://bucket/runs/r/sealed/j/model.tar.gz', versionId: 'v1', sha256: 'sum' };

describe('a sealed model', () => {
  test('lies where no pattern of a job’s role reaches, whatever run and job are called', () => {
    // what training and scoring jobs may write; in IAM a star takes slashes as well
    const patterns = [/^runs\/.*\/models\/.*$/s, /^runs\/.*\/checkpoints\/.*$/s, /^runs\/.*\/scores\/.*$/s];
    const runId = fc
      .string({ minLength: 1, maxLength: 80, size: 'max', unit: 'grapheme' })
      .filter((id) => !id.includes('/'));
    fc.assert(
      fc.property(fc.oneof(runId, fc.constantFrom('models', 'scores', '..')), (run) => {
        const job = jobName(
          { pipeline: 'models', registry: 'r', runId: run, startedAt: '2026-03-01T00:00:00.000Z' },
          1,
        );
        const key = sealedKey(run, `s3://bucket/${runKeys(run).models}${job}/output/model.tar.gz`);
        expect(key).toBe(`runs/${run}/sealed/${job}/model.tar.gz`);
        expect(patterns.filter((pattern) => pattern.test(key))).toEqual([]);
      }),
    );
  });

  test.each(['s3://bucket/runs/other/models/j/output/model.tar.gz', 's3://bucket/runs/r/models/', 's3://bucket/x'])(
    'is made of what a job of the run wrote, not of %s',
    (archive) => {
      expect(() => sealedKey('r', archive)).toThrow(
        `must lie below runs/r/models/, where its training job writes, got ${archive}`,
      );
    },
  );

  test('is told by version and checksum together', () => {
    expect(() => refuseChanged('the package', model, { versionId: 'v1', sha256: 'sum' })).not.toThrow();
    for (const found of [
      undefined,
      {},
      { versionId: 'v1' },
      { versionId: 'v2', sha256: 'sum' },
      { versionId: 'v1', sha256: 'x' },
    ]) {
      expect(() => refuseChanged('the package', model, found)).toThrow(
        expect.objectContaining({
          name: ErrorName.MODEL_CHANGED,
          message: expect.stringContaining('version v1 with SHA-256 sum'),
        }),
      );
    }
  });

  test('is named whole in the metadata, or not at all', () => {
    expect(sealOf({ modelVersionId: 'v', modelSha256: 's', runId: 'r' })).toEqual({ versionId: 'v', sha256: 's' });
    const halves: Record<string, string>[] = [
      { modelVersionId: 'v' },
      { modelSha256: 's' },
      { modelVersionId: '', modelSha256: 's' },
    ];
    for (const half of halves) expect(sealOf(half)).toBeUndefined();
  });
});
