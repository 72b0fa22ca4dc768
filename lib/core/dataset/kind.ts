import { ErrorName, PerennialError } from '../errors';

/**
 * A kind of data set: what a trainer finds in its channels, and how models are asked about it. Constructs and handlers
 * take these from here; what reads the files of tables is the data engine, and what reads their captured requests
 * `watch/capture`.
 */
export interface DatasetKind {
  /** As contracts have it. */
  readonly name: string;
  /** The content type of the channels `train` and `validation`. */
  readonly channelType: string;
  readonly requests: {
    /** The content type of what a model is asked, and of the holdout. */
    readonly contentType: string;
    /** The content type of what it answers. */
    readonly answerType: string;
    /** How batch transform divides the holdout into requests. */
    readonly splitType: 'Line' | 'None';
    /** How it puts the answers together. */
    readonly assembleWith: 'Line' | 'None';
  };
}

/** Rows and columns, from CSV or Parquet; a model is asked in CSV, a row a line, and answers a score a line. */
export const TABLE: DatasetKind = {
  name: 'table',
  channelType: 'application/x-parquet',
  requests: { contentType: 'text/csv', answerType: 'text/csv', splitType: 'Line', assembleWith: 'Line' },
};

/** Every kind of data set; a contract that names none means the first. */
export const KINDS: readonly [DatasetKind, ...DatasetKind[]] = [TABLE];

/**
 * The kind of that name, as contracts have it.
 *
 * @throws PerennialError INVALID_DOCUMENT if there is none
 */
export function kindOf(name: string): DatasetKind {
  const kind = KINDS.find((one) => one.name === name);
  if (kind !== undefined) return kind;
  throw new PerennialError(
    ErrorName.INVALID_DOCUMENT,
    `kind must be one of ${kindNames()}, got ${name}; correct the contract`,
  );
}

/** The names of all kinds, as they stand in a sentence. */
export function kindNames(): string {
  return KINDS.map(({ name }) => name).join(', ');
}
