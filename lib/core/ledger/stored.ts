import { parseContract } from '../dataset/contract';
import type { RunDocument } from '../dataset/documents';
import { SNAPSHOT } from '../dataset/snapshot';
import { ErrorName, PerennialError } from '../errors';
import type { HoldoutLabels, Judgement } from '../judge/judgement';
import { REASONS } from '../names';
import type { CategoryHistogram, Histogram, NumberHistogram, Profile } from '../prepare/profile';
import {
  byMember,
  count,
  fitting,
  isObject,
  isoTime,
  listOf,
  mapOf,
  number,
  object,
  oneOf,
  optional,
  own,
  readDocument,
  type Shape,
  show,
  text,
} from '../shape';
import type { Baseline, MonitorReport } from '../watch/documents';
import type { Finding } from '../watch/findings';

/**
 * Readers of the documents that runs leave behind. Whoever may write to the bucket may have edited them: what
 * is read is checked, and a mistake is named.
 */

const NUMBERS = fitting(
  object<NumberHistogram>({
    edges: listOf(number()),
    counts: listOf(count),
    missing: count,
    mean: number(),
    deviation: number(0),
  }),
  'edges that increase, and one count more than edges',
  ({ edges, counts }) =>
    counts.length === edges.length + 1 && edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number)),
);
const CATEGORIES = fitting(
  object<CategoryHistogram>({ values: listOf(text), counts: listOf(count), other: count, missing: count }),
  'one count for each value',
  ({ values, counts }) => counts.length === values.length,
);
const HISTOGRAM: Shape<Histogram> = byMember<Histogram>('kind', { number: NUMBERS, category: CATEGORIES });
const PROFILE = object<Profile>({
  contractId: text,
  rows: count,
  features: mapOf(HISTOGRAM),
  target: HISTOGRAM,
});

const RUN = object<RunDocument>({
  runId: text,
  startedAt: isoTime,
  reason: oneOf(REASONS),
  split: object({ holdout: number(0, 1), validation: number(0, 1) }),
  snapshot: SNAPSHOT,
});

const LABELS = fitting(
  object<HoldoutLabels>({
    labels: listOf(number()),
    slices: mapOf(object({ values: listOf(text), codes: listOf(count) })),
  }),
  'in each slice one code of a value for each label',
  ({ labels, slices }) =>
    Object.values(slices).every(
      ({ values, codes }) => codes.length === labels.length && codes.every((code) => code < values.length),
    ),
);

const JUDGEMENT = object<Judgement>({ metric: text, candidate: number(), candidateError: number(0) });

const BASELINE = object<Baseline>({ runId: text, profile: PROFILE, scores: HISTOGRAM, judgement: JUDGEMENT });

const REPORT = object<MonitorReport>({
  findings: listOf(
    object<Finding>({
      feature: optional(text),
      statistic: text as Shape<Finding['statistic']>,
      limit: optional(number()),
      effect: number(),
      threshold: number(),
    }),
  ),
});

const OURS = 'it is written by Perennial and never edited: restore its earlier version, or start another run';

/** The JSON of an object's text. */
export function parseJson(json: string, key: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    const message = `${key} must be JSON, got ${show(json)}; ${OURS}`;
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, message, { cause });
  }
}

/** Reads `runs/<id>/run.json`. */
export function readRun(document: unknown, key: string): RunDocument {
  const run = readDocument(RUN, document, `${key} must be the document of a run`, OURS);
  return { ...run, contract: parseContract(contractOf(document)) };
}

/** Reads `runs/<id>/baseline.json`. */
export function readBaseline(document: unknown, key: string): Baseline {
  const contract = parseContract(contractOf(document));
  const shape = fitting(BASELINE, 'in its profile each feature of its contract', ({ profile: { features } }) =>
    contract.features.every(({ name, kind }) => Object.hasOwn(features, name) && features[name].kind === kind),
  );
  return { ...readDocument(shape, document, `${key} must be the baseline of a model`, OURS), contract };
}

/** Reads `runs/<id>/profile.json`. */
export function readProfile(document: unknown, key: string): Profile {
  return readDocument(PROFILE, document, `${key} must be the profile of training rows`, OURS);
}

/** Reads `runs/<id>/holdout/labels.json`. */
export function readLabels(document: unknown, key: string): HoldoutLabels {
  return readDocument(LABELS, document, `${key} must be the labels of a holdout`, OURS);
}

/** Reads `monitor/<window>.json`. */
export function readReport(document: unknown, key: string): MonitorReport {
  return readDocument(REPORT, document, `${key} must be a report of the monitor`, 'it is written by the monitor alone');
}

function contractOf(document: unknown): unknown {
  return isObject(document) ? own(document, 'contract') : undefined;
}
