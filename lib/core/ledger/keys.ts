import { shortHash } from '../names';

/**
 * The ledger: one DynamoDB table, partition key `pk` (the pipeline's name), sort key `sk`.
 *
 * Facts are appended under keys that a retry makes again, and never overwritten. Sorted by
 * key they are sorted by time within their prefix, so "what ran last" is one query that ends early.
 * Nobody takes a key apart: what a fact is says its `kind`, and what it is about its members.
 *
 * | sort key | kind of the fact |
 * |---|---|
 * | `RUN-ID#<run>#<started>` | `RunIndex`: finds the rest of a run by its id |
 * | `RUN#<started>#<run>#START` | `RunStarted` |
 * | `RUN#<started>#<run>#PREPARED` | `RunPrepared` |
 * | `RUN#<started>#<run>#STARTED#<job>` | `AttemptStarted` |
 * | `RUN#<started>#<run>#ATTEMPT#<job>` | `AttemptEnded` |
 * | `RUN#<started>#<run>#REFUSED#<file>` | `RefusedFile`, once more: the files that failed the run |
 * | `RUN#<started>#<run>#VERDICT` | `RunJudged` |
 * | `RUN#<started>#<run>#END` | `RunEnded` |
 * | `DEPLOYMENT#<started>#<deployment>` | `DeploymentEnded` |
 * | `MONITOR#<window end>#<window>` | `WindowJudged` |
 * | `MONITOR#<window end>#<window>#REFUSED#<file>` | `RefusedFile`, once more: the ground truth that could not be used |
 * | `DECISION#<event time>#<event id>` | `Decision` |
 * | `DECISION#<event time>#<event id>#LATER` | `Decision`: what became of a trigger that was remembered |
 * | `REFUSED#<key>#<version id>` | `RefusedFile`: whether a file may be used is one item |
 * | `TORN#<row>#<hash>` | `TornRow` |
 *
 * What would be longer than DynamoDB allows is cut, and ends in a hash of the whole: the row itself names what the
 * key no longer does.
 *
 * Some rows change in place. They carry a `revision`: who writes names the one it has read.
 *
 * | sort key | kind of the row |
 * |---|---|
 * | `LEASE#training`, `LEASE#deployment` | `TrainingLease`, `DeploymentLease`: who holds the machine, and what waits |
 * | `SERVING#model` | `Serving`: the version in service |
 * | `PREPARING#<started>#<run>` | `FileSearch`: what preparation is at |
 * | `WATCH#<model version>` | `Watch`: the monitor's running evidence about a version |
 * | `READING#<window>` | `Reading`: how often the monitor has begun to read an upload of ground truth |
 */
export const LedgerKey = {
  run: (
    startedAt: string,
    runId: string,
    fact: 'START' | 'PREPARED' | `STARTED#${string}` | `ATTEMPT#${string}` | `REFUSED#${string}` | 'VERDICT' | 'END',
  ) => sortKey(`${LedgerPrefix.run(startedAt, runId)}${fact}`),
  runIndex: (runId: string, startedAt: string) => sortKey(`${LedgerPrefix.runIndex(runId)}#${startedAt}`),
  deployment: (startedAt: string, deploymentId: string) =>
    sortKey(`${LedgerPrefix.DEPLOYMENTS}${startedAt}#${deploymentId}`),
  monitor: (windowEnd: string, windowId: string) => sortKey(`${LedgerPrefix.WINDOWS}${windowEnd}#${windowId}`),
  refusedInWindow: (windowEnd: string, windowId: string, file: string) =>
    sortKey(`${LedgerPrefix.WINDOWS}${windowEnd}#${windowId}#REFUSED#${file}`),
  decision: (at: string, eventId: string) => sortKey(`${LedgerPrefix.DECISIONS}${at}#${eventId}`),
  /** What became of a trigger that was remembered, if no run served it. */
  decisionLater: (at: string, eventId: string) => sortKey(`${LedgerPrefix.DECISIONS}${at}#${eventId}#LATER`),
  refused: (key: string, versionId: string) => sortKey(`REFUSED#${key}#${versionId}`),
  torn: (row: string, was: string) => sortKey(`TORN#${row}#${shortHash(was)}`),
  preparing: (startedAt: string, runId: string) => sortKey(`PREPARING#${startedAt}#${runId}`),
  lease: (of: 'training' | 'deployment') => `LEASE#${of}`,
  serving: 'SERVING#model',
  watch: (modelVersion: number) => `WATCH#${modelVersion}`,
  /** How often the monitor has begun to read an upload of ground truth. */
  reading: (windowId: string) => `READING#${windowId}`,
} as const;

/** What the keys of facts begin with that are read together, in order of time. */
export const LedgerPrefix = {
  RUNS: 'RUN#',
  DEPLOYMENTS: 'DEPLOYMENT#',
  WINDOWS: 'MONITOR#',
  DECISIONS: 'DECISION#',
  run: (startedAt: string, runId: string) => `RUN#${startedAt}#${runId}#`,
  /** @param runId or its beginning */
  runIndex: (runId: string) => `RUN-ID#${runId}`,
} as const;

/**
 * Bytes of a sort key in DynamoDB.
 *
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
 */
const LONGEST_KEY = 1024;

function sortKey(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= LONGEST_KEY) return text;
  const hash = `#${shortHash(text, 64)}`;
  // the last character may have been cut in two: what is left of it decodes as U+FFFD
  return bytes.toString('utf8', 0, LONGEST_KEY - hash.length).replace(/\ufffd$/, '') + hash;
}
