/** `lambdas/prepare/prepare.handler.ts`: checks, quarantines, derives, splits, profiles. */
export interface PrepareRequest {
  readonly runId: string;
}

export interface PrepareReport {
  readonly rows: {
    readonly read: number;
    readonly quarantined: number;
    readonly train: number;
    readonly validation: number;
    readonly holdout: number;
  };
  /** The reasons of quarantined rows, most frequent first, at most 20. */
  readonly quarantine: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
  /** ISO time of the newest row that is trained on; absent without an event time. */
  readonly cutoff?: string;
}

/** One line of the quarantine. */
export interface QuarantinedRow {
  readonly file: string;
  /** 1-based line of a CSV file (the header is line 1), or 1-based row of a Parquet file. */
  readonly line: number;
  /** What, got, allowed: one text a broken rule. */
  readonly reasons: readonly string[];
  readonly row: Readonly<Record<string, unknown>>;
}
