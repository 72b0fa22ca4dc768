import fc from 'fast-check';
import jsonata from 'jsonata';
import { describe, expect, test } from 'vitest';
import {
  endpointConfigName,
  jobName,
  modelName,
  ownPrefix,
  parseS3Uri,
  scoringModelName,
  searchName,
  searchPrefix,
  shortHash,
  versionInName,
} from '../../lib/core/names';
import { EXECUTION_HASH, RUN_SLUG, TRY } from '../../lib/machine/expressions';

const letters = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789');
/** A legal name of this many characters at most; often as long as it may be. */
const named = (most: number) =>
  fc
    .array(fc.tuple(fc.constantFrom('', '-'), letters), { minLength: 1, maxLength: most, size: 'max' })
    .map((parts) => parts.map(([hyphen, letter]) => hyphen + letter).join(''))
    .map((name) => name.replace(/^-/, '').slice(0, most).replace(/-$/, 'x'));
const pipelines = fc.oneof(named(20), fc.constant('p'.repeat(20)), fc.constant('p'));
const endpoints = fc.oneof(named(40), fc.constant('e'.repeat(40)));
const registries = fc.oneof(named(63), fc.constant('r'.repeat(63)));
const versions = fc.oneof(fc.integer({ min: 1, max: 99_999 }), fc.constant(99_999));
const runIds = fc.oneof(
  fc.string({ minLength: 1, maxLength: 80, size: 'max', unit: fc.constantFrom(...'azAZ09_-.') }),
  fc.constantFrom('data-0123456789ab', 'schedule-0123456789ab-01234567', '-x-', '_', 'a'.repeat(80)),
);
const startedAt = fc.constantFrom('2026-03-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z');

const LEGAL = /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/;
const LEGAL_SEARCH = /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}$/;

describe('names that SageMaker keeps', () => {
  test('are legal for every name that a pipeline, an endpoint, a registry or an execution may have', () => {
    const owner = fc.record({ pipeline: pipelines, registry: registries, runId: runIds, startedAt });
    fc.assert(
      fc.property(owner, endpoints, versions, fc.integer({ min: 1, max: 9999 }), (run, endpoint, version, attempt) => {
        const { pipeline, registry } = run;
        expect(modelName(endpoint, registry, version, run)).toMatch(LEGAL);
        expect(endpointConfigName(endpoint, registry, version, run)).toMatch(LEGAL);
        expect(scoringModelName(pipeline, registry, `v${version}-01234567`)).toMatch(LEGAL);
        expect(jobName(run, attempt)).toMatch(LEGAL);
        expect(searchName(run, attempt)).toMatch(LEGAL_SEARCH);
      }),
      { numRuns: 1000 },
    );
  });

  test('of scoring jobs are legal, too, whatever the execution is called and however often it is tried', async () => {
    const tries = fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }));
    await fc.assert(
      fc.asyncProperty(
        pipelines,
        registries,
        runIds,
        startedAt,
        tries,
        async (pipeline, registry, Name, at, [n, m]) => {
          const expression = jsonata(
            `'${ownPrefix(pipeline, registry)}' & ${RUN_SLUG} & '-' & ${EXECUTION_HASH} & '-a' & ${TRY}`,
          );
          expression.registerFunction('hash', (text: string) => shortHash(text, 64));
          const context = { Execution: { Name, StartTime: at, RedriveCount: n }, State: { RetryCount: m } };
          expect(await expression.evaluate(undefined, { states: { context } })).toMatch(LEGAL);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('begin with what no other pipeline and no other registry has, also where one name begins as the other', () => {
    const pair = fc.oneof(
      fc.tuple(pipelines, pipelines),
      named(9).map((name) => [name, `${name}-b`] as const),
      named(9).map((name) => [name, `${name}b`] as const),
      named(9).map((name) => [name, `${name}-c`] as const), // as the names of scoring models go on
      named(9).map((name) => [name, `${name}-v1`] as const), // as those of models do
    );
    fc.assert(
      fc.property(pair, fc.tuple(registries, registries), ([a, b], [one, other]) => {
        fc.pre((a !== b || one !== other) && shortHash(one, 6) !== shortHash(other, 6));
        const run = { runId: 'data-0123456789ab', startedAt: '2026-03-01T00:00:00.000Z' };
        for (const registry of [one, other]) {
          const his = { pipeline: b, registry, ...run };
          if (a === b && registry === one) continue;
          const names = [jobName(his, 1), scoringModelName(b, registry, 'v1'), modelName(b, registry, 1, 'x')];
          expect(names.filter((name) => name.startsWith(ownPrefix(a, one)))).toEqual([]);
          expect(searchName(his, 1).startsWith(searchPrefix(a, one))).toBe(false);
          expect(versionInName(a, one, modelName(b, registry, 1, 'x'))).toBeUndefined();
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('tell long pipelines apart that begin alike, where only 32 characters are allowed', () => {
    const long = (end: string) => `a-very-long-pipe${end}`;
    expect(searchPrefix(long('one'), 'models')).not.toBe(searchPrefix(long('two'), 'models'));
    expect(searchPrefix('flights', 'models')).toBe(ownPrefix('flights', 'models'));
  });

  test('are equal for equal contents alone', () => {
    const made = (content: object) => modelName('flights', 'models', 1, content);
    expect(made({ image: 'a', role: 'r' })).toBe(made({ image: 'a', role: 'r' }));
    expect(made({ image: 'a', role: 'r' })).not.toBe(made({ image: 'a', role: 'of a stack made anew' }));
    expect(versionInName('flights', 'models', made({}))).toBe(1);
  });
});

test('an S3 address is split at its bucket, whatever characters its key holds', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.oneof(fc.constantFrom('\n', '\r', '\u2028', '/'), fc.string({ unit: 'grapheme' })) }),
      (key) => {
        expect(parseS3Uri(`s3://bucket/${key}`)).toEqual({ bucket: 'bucket', key });
      },
    ),
  );
  expect(() => parseS3Uri('s3://bucket')).toThrow('must look like s3://bucket/key, got s3://bucket');
});

describe('the name of a job', () => {
  const run = {
    pipeline: 'flights',
    registry: 'models',
    runId: 'data-0123456789ab',
    startedAt: '2026-03-01T00:00:00.000Z',
  };

  test('is the same for the same attempt, and another for another or in another execution', () => {
    expect(jobName(run, 1)).toBe(jobName(run, 1));
    expect(jobName(run, 1)).toMatch(/^flights-[0-9a-f]{6}-data-0123456789ab-[0-9a-f]{4}-1$/);
    expect(jobName(run, 2)).not.toBe(jobName(run, 1));
    expect(jobName({ ...run, startedAt: '2026-06-01T00:00:00.000Z' }, 1)).not.toBe(jobName(run, 1));
    expect(searchName({ ...run, startedAt: '2026-06-01T00:00:00.000Z' }, 1)).not.toBe(searchName(run, 1));
  });
});
