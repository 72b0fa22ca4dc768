import { isDeepStrictEqual } from 'node:util';
import { checkFaults, FaultsError } from '../../engine/src/services/sagemaker/faults';
import { settings } from '../../lambdas/shared/env';
import { type Contract, parseContract } from '../../lib/core/dataset/contract';
import { CONTROLLER_DEFAULTS } from '../../lib/core/dataset/controller';
import { createSnapshot, parseSnapshot } from '../../lib/core/dataset/snapshot';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { parseJson, readBaseline, readLabels, readProfile, readReport, readRun } from '../../lib/core/ledger/stored';
import { EnvName } from '../../lib/core/names';
import { RIDES } from '../support/preparation';
import { refusedByName } from './contract';
import { anyJson, below, fuzz, mutated, pick, type Random, type Tally } from './mutate';

const KEY = 'runs/data-0123456789ab/x.json';
const CONTRACT: Contract = parseContract(RIDES);
const SNAPSHOT = createSnapshot(
  ['a', 'b'].map((name) => ({
    key: `incoming/${name}.csv`,
    versionId: 'v1',
    size: 1000,
    etag: 'e',
    lastModified: new Date(0),
  })),
);
const NUMBER = { kind: 'number', edges: [1, 2], counts: [1, 2, 3], missing: 0, mean: 1.5, deviation: 0.5 };
const CATEGORY = { kind: 'category', values: ['a', ''], counts: [3, 2], other: 1, missing: 0 };
const PROFILE = {
  contractId: 'abc',
  rows: 6,
  features: { km: NUMBER, city: CATEGORY, rain: CATEGORY, hour: NUMBER },
  target: { ...NUMBER, edges: [1], counts: [3, 3] },
};

/** Each document that is read: a good one, and its reader, which gives what was read. */
const DOCUMENTS: ReadonlyArray<{ readonly good: object; readonly read: (document: unknown) => unknown }> = [
  {
    good: {
      runId: 'data-0123456789ab',
      startedAt: '2026-03-01T00:00:00.000Z',
      reason: 'data',
      evidence: [{ reason: 'data', eventId: 'e', at: '2026-03-01T00:00:00.000Z', detail: { key: 'incoming/a.csv' } }],
      contract: CONTRACT,
      split: { holdout: 0.2, validation: 0.1 },
      snapshot: SNAPSHOT,
    },
    read: (document) => readRun(document, KEY),
  },
  { good: SNAPSHOT, read: (document) => parseSnapshot(document, KEY) },
  { good: PROFILE, read: (document) => readProfile(document, KEY) },
  {
    good: { labels: [0, 1, 1], slices: { city: { values: ['Bonn', ''], codes: [0, 1, 0] } } },
    read: (document) => readLabels(document, KEY),
  },
  {
    good: {
      runId: 'data-0123456789ab',
      contract: CONTRACT,
      profile: PROFILE,
      scores: NUMBER,
      judgement: { verdict: 'FIRST', metric: 'auc', candidate: 0.8, candidateError: 0.01, rows: 6 },
    },
    read: (document) => readBaseline(document, KEY),
  },
  {
    good: {
      windowId: 'w',
      verdict: 'OK',
      findings: [
        { family: 'inputs', feature: 'km', statistic: 'chiSquare', effect: 0.1, threshold: 0.2, drifted: true },
      ],
    },
    read: (document) => readReport(document, KEY),
  },
  {
    good: {
      training: [
        { kind: 'capacity', afterSeconds: 900, match: { instanceType: 'ml.g5.2xlarge', spot: true } },
        { kind: 'interruption', afterLine: 'round 20:', resumes: false, times: 2 },
        { kind: 'nodeLoss', host: 'algo-2' },
      ],
    },
    read(document) {
      try {
        return checkFaults(document, KEY);
      } catch (error) {
        throw error instanceof FaultsError ? new PerennialError(ErrorName.INVALID_DOCUMENT, error.message) : error;
      }
    },
  },
  {
    good: { cooldownMinutes: 60, maxRunsPerDay: 24, assess: { scoreDropThreshold: 0.02 } },
    read(document) {
      process.env[EnvName.SETTINGS] = json(document);
      return settings(CONTROLLER_DEFAULTS);
    },
  },
];

/** Every reader gives a document that it accepts again and gives the same again, or INVALID_DOCUMENT that names the mistake. */
export function fuzzDocuments(cases: number): Promise<Tally> {
  return fuzz('documents', cases, (next, number) => {
    const { good, read } = DOCUMENTS[number % DOCUMENTS.length] as (typeof DOCUMENTS)[number];
    return refusedByName(() => {
      const document = number % 7 === 6 ? torn(next, good) : number % 5 === 4 ? anyJson(next) : mutated(next, good);
      const once = read(document);
      if (!isDeepStrictEqual(read(once), once)) throw new Error('it is read otherwise when read again');
    });
  });
}

/** The JSON of a document with some characters cut or put in, as an object that was edited by hand. */
function torn(next: Random, good: object): unknown {
  const json = JSON.stringify(good);
  const at = below(next, json.length);
  const text =
    next() < 0.5
      ? json.slice(0, at) + json.slice(at + 1 + below(next, 20))
      : json.slice(0, at) + pick(next, ['"', '{', ']', ',', '1e999', 'null', '\ufeff', '']) + json.slice(at);
  return parseJson(text, KEY);
}

/** What an environment variable would hold; what JSON cannot say is nonsense there, too. */
function json(document: unknown): string {
  try {
    return JSON.stringify(document) ?? 'nonsense';
  } catch {
    return 'nonsense';
  }
}
