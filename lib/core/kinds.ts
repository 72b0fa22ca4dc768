import { ErrorName, PerennialError } from './errors';
import { listed } from './listed';
import { isObject, own, show } from './shape';

/**
 * The facts of the ledger, which are appended and never change, by kind, with the version in which they are written.
 *
 * A version is raised when what an older reader makes of the thing would be wrong: a member is renamed, goes, or means
 * something else. A further member raises none.
 */
export const FACT_KINDS = {
  RunIndex: 1,
  RunStarted: 1,
  RunPrepared: 1,
  AttemptStarted: 1,
  AttemptEnded: 1,
  RunJudged: 1,
  RunEnded: 1,
  DeploymentEnded: 1,
  WindowJudged: 1,
  Decision: 1,
  RefusedFile: 1,
  TornRow: 1,
} as const;

/** The rows of the ledger that change in place, likewise. */
export const ROW_KINDS = {
  TrainingLease: 1,
  DeploymentLease: 1,
  Serving: 1,
  FileSearch: 1,
  Watch: 1,
  Reading: 1,
} as const;

const STORED_KINDS = { ...FACT_KINDS, ...ROW_KINDS };

export type Kind = keyof typeof STORED_KINDS;

/** What says what it is, and in which version. */
export interface OfKind<K extends Kind> {
  readonly kind: K;
  readonly version: (typeof STORED_KINDS)[K];
}

/** A thing with its kind and version, as it is stored or sent. */
export function ofKind<K extends Kind, T extends object>(kind: K, value: T): T & OfKind<K> {
  return { kind, version: STORED_KINDS[kind], ...value };
}

/**
 * Refuses what is not of the kind and version that the reader knows.
 *
 * @param name names the thing, e.g. `runs/x/run.json`
 * @throws PerennialError INVALID_DOCUMENT
 */
export function checkKind(value: unknown, kinds: Kind | readonly Kind[], name: string): Kind {
  const allowed: readonly Kind[] = typeof kinds === 'string' ? [kinds] : kinds;
  const [kind, version] = isObject(value) ? [own(value, 'kind'), own(value, 'version')] : [];
  const found = allowed.find((one) => one === kind);
  if (found !== undefined && version === STORED_KINDS[found]) return found;
  const must = `${name} must have kind ${listed(allowed, 12, ' or ')} and version ${STORED_KINDS[found ?? allowed[0]]}`;
  const got = `got kind ${show(kind)} and version ${show(version)}`;
  const fix = isNewer(value, allowed)
    ? 'a newer version of cdk-perennial wrote it: deploy that version again'
    : 'it is written by Perennial and never edited: bring its earlier version back';
  throw new PerennialError(ErrorName.INVALID_DOCUMENT, `${must}, ${got}; ${fix}`);
}

/** Whether a thing is of a kind, or in a version, that only a later release knows. */
export function isNewer(value: unknown, kinds: readonly Kind[]): boolean {
  if (!isObject(value)) return false;
  const [kind, version] = [own(value, 'kind'), own(value, 'version')];
  if (typeof kind !== 'string' || !Number.isSafeInteger(version)) return false;
  const known = Object.hasOwn(STORED_KINDS, kind) ? (kind as Kind) : undefined;
  if (known === undefined) return true;
  return kinds.includes(known) && (version as number) > STORED_KINDS[known];
}
