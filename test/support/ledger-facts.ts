import type { Evidence } from '../../lib/core/dataset/documents';
import { type AttemptEnded, type LedgerFact, type NewFact, newFact } from '../../lib/core/ledger/facts';
import { LedgerKey } from '../../lib/core/ledger/keys';
import type { Finding } from '../../lib/core/watch/findings';

export const PIPELINE = 'flights';

const DATA = ['3f2a91bc0d12aa55', '77aa0c1d2e3f9b8c', 'c01dbeef12345678', 'deadbeef00112233'].map((head) =>
  head.padEnd(64, '0'),
);
const arn = (version: number) => `arn:aws:sagemaker:us-east-1:000000000000:model-package/flights/${version}`;
const at = (hour: number, minute: number, second = 0) =>
  new Date(Date.UTC(2026, 10, 23, hour, minute, second)).toISOString();
const ofPipeline = (facts: readonly NewFact[]) => facts.map((fact) => ({ pk: PIPELINE, ...fact }) as LedgerFact);

/** A story: a first model, a better one after new data, drift, a run that is inconclusive, and one that fails. */
export function ledgerItems(): LedgerFact[] {
  const runs = [
    { id: 'data-3f2a91bc0d12', reason: 'data', data: DATA[0], start: at(8, 0), end: at(8, 4), version: 1 },
    { id: 'data-77aa0c1d2e3f', reason: 'data', data: DATA[1], start: at(9, 30), end: at(9, 35, 20), version: 2 },
    {
      id: 'drift-c01dbeef1234-9a8b7c6d',
      reason: 'drift',
      data: DATA[2],
      start: at(11, 0),
      end: at(11, 5),
      version: undefined,
    },
    {
      id: 'data-deadbeef0011',
      reason: 'data',
      data: DATA[3],
      start: at(12, 0),
      end: at(12, 0, 40),
      version: undefined,
    },
  ] as const;
  const verdicts = [
    {
      verdict: 'FIRST',
      candidate: 0.6987,
      trivial: 0.5,
      difference: 0.1987,
      interval: [0.1951, 0.2023],
      rows: 87_342,
      because: 'AUC 0.6987 against 0.5 of the trivial answer',
    },
    {
      verdict: 'BETTER',
      candidate: 0.6874,
      champion: 0.6652,
      championVersion: 1,
      difference: 0.0222,
      interval: [0.0187, 0.0257],
      rows: 91_003,
      because: 'the AUC of the candidate is higher than that of version 1 by 0.0187 to 0.0257',
    },
    {
      verdict: 'INCONCLUSIVE',
      candidate: 0.671,
      champion: 0.6731,
      championVersion: 2,
      difference: -0.0021,
      interval: [-0.0068, 0.0026],
      rows: 95_871,
      because: 'the AUC of the candidate may be lower than that of version 2 by more than 0.005; version 2 stays',
    },
  ] as const;
  const facts = runs.flatMap((run, i): NewFact[] => {
    const [name, start, end] = [{ runId: run.id, startedAt: run.start }, new Date(run.start), new Date(run.end)];
    const evidence: Evidence[] = [
      {
        reason: run.reason,
        eventId: `e${i}`,
        at: run.start,
        detail: run.reason === 'drift' ? { summary: 'hour has moved' } : { key: `incoming/2001-0${i + 1}.parquet` },
      },
    ];
    const index = newFact.runIndex(start, name);
    const started = newFact.runStarted(start, {
      ...name,
      reason: run.reason,
      evidence,
      dataVersion: run.data,
      files: i + 1,
      bytes: (i + 1) * 7_340_032,
    });
    const verdict = verdicts[i];
    if (verdict === undefined) {
      const error = {
        name: 'Perennial.DataUnreadable',
        cause: JSON.stringify({
          errorMessage: 'incoming/2001-05.parquet cannot be read: it is empty. Upload it again, or delete it',
        }),
      };
      return [index, started, newFact.runEnded(end, { ...name, outcome: 'FAILED', error })];
    }
    return [
      index,
      started,
      newFact.runPrepared(start, {
        ...name,
        rows: { read: 440_000, quarantined: 312 * i, train: 314_000, validation: 35_000, holdout: verdict.rows },
        quarantine: i === 0 ? [] : [{ reason: 'delay: must be a number, got <missing>', rows: 312 * i }],
        cutoff: '2001-02-28T23:59:00Z',
      }),
      ...attempts(run, i === 1),
      newFact.runJudged(end, { ...name, problem: 'binary', metric: 'auc', ...verdict }),
      newFact.runEnded(end, {
        ...name,
        ...(run.version === undefined
          ? { outcome: 'REJECTED' }
          : { outcome: 'PROMOTED', modelPackageArn: arn(run.version) }),
      }),
    ];
  });
  const deployments = [
    { modelVersion: 1, startedAt: at(8, 4, 10), end: at(8, 9), runId: runs[0].id },
    { modelVersion: 2, startedAt: at(9, 36), end: at(9, 41), runId: runs[1].id },
  ].map(({ end, modelVersion, ...rest }) =>
    newFact.deploymentEnded(new Date(end), {
      deploymentId: `deploy-v${modelVersion}-0a1b2c3d`,
      endpointName: 'flights',
      modelPackageArn: arn(modelVersion),
      modelVersion,
      outcome: 'DEPLOYED',
      ...rest,
    }),
  );
  const windows = (['OK', 'INSUFFICIENT', 'DRIFT', 'OK'] as const).map((verdict, i) => {
    const when = at(8 + i, 20 + 9 * i);
    return newFact.windowJudged(new Date(when), {
      windowId: `w${i}`,
      windowEnd: when,
      modelVersion: i < 2 ? 1 : 2,
      verdict,
      rows: 20_000 + 1_000 * i,
      reportKey: `monitor/w${i}.json`,
      summary:
        verdict === 'DRIFT'
          ? 'hour has moved by 0.23 (0.1 matters); the AUC fell from 0.687 to 0.649'
          : 'nothing that matters has moved',
    });
  });
  const decisions = runs.map((run, i) =>
    newFact.decision({
      sk: LedgerKey.decision(run.start, `e${i}`),
      at: run.start,
      eventId: `e${i}`,
      reason: run.reason,
      decided: 'STARTED',
      runId: run.id,
      because: '1 trigger, 3 files',
    }),
  );
  return ofPipeline([
    ...facts,
    ...deployments,
    ...windows,
    ...decisions,
    newFact.decision({
      sk: LedgerKey.decision(at(11, 30), 'e9'),
      at: at(11, 30),
      eventId: 'e9',
      reason: 'drift',
      decided: 'IGNORED',
      because: 'the last run ended 25 min ago, and drift starts none within 60 min',
    }),
    ...newFact.refusedFile(
      new Date(at(12, 0, 39)),
      {
        key: 'incoming/2001-05.parquet',
        versionId: 'v1',
        runId: runs[3].id,
        because: 'it is empty. Upload it again, or delete it',
      },
      { runId: runs[3].id, startedAt: runs[3].start },
    ),
  ]);
}

/** A run's training jobs: one that trained, after one for which there was no machine if `twice`. */
function attempts(
  run: { readonly id: string; readonly start: string; readonly end: string },
  twice: boolean,
): NewFact[] {
  const job = (attempt: number) => `flights-${run.id}-4ad1-${attempt}`;
  const name = { runId: run.id, startedAt: run.start };
  const ends: Array<Pick<AttemptEnded, 'option' | 'spot' | 'status'> & Partial<AttemptEnded>> = [
    {
      option: 'ml.g4dn.xlarge, spot',
      spot: true,
      status: 'Failed',
      failureKind: 'CAPACITY',
      failure: 'CapacityError: no machine',
    },
    {
      option: 'ml.g4dn.xlarge',
      spot: false,
      status: 'Completed',
      billableSeconds: 84,
      trainingSeconds: 84,
      costUsd: 0.0172,
    },
  ];
  return (twice ? ends : ends.slice(1)).flatMap(({ option, ...rest }, i) => [
    newFact.attemptStarted(new Date(run.start), {
      ...name,
      job: job(i + 1),
      option,
      maxRuntimeSeconds: 14_400,
      ...(twice && { expectedUsd: 0.0168 }),
      atMostUsd: 2.9702,
    }),
    newFact.attemptEnded(new Date(run.end), {
      ...name,
      job: job(i + 1),
      option,
      instanceType: 'ml.g4dn.xlarge',
      instanceCount: 1,
      costUsd: 0,
      ...rest,
    }),
  ]);
}

/** What the monitor found in the story's windows. */
export function ledgerFindings(): Record<string, Finding[]> {
  const effects = [
    { hour: 0.012, origin: 0.03, score: 0.02, drop: 0.004, auc: 0.6947 },
    { hour: 0.05, origin: 0.061, score: 0.04, drop: 0.011, auc: 0.6877 },
    { hour: 0.23, origin: 0.12, score: 0.16, drop: 0.038, auc: 0.6494 },
    { hour: 0.06, origin: 0.02, score: 0.03, drop: 0.009, auc: 0.6784 },
  ];
  return Object.fromEntries(
    effects.map(({ hour, origin, score, drop, auc }, i) => {
      const finding = (
        rest: Pick<Finding, 'family' | 'statistic' | 'value' | 'effect' | 'threshold'> & Partial<Finding>,
      ): Finding => ({
        p: 0.5,
        adjusted: 0.5,
        evidence: 0,
        evidenceNeeded: 2880,
        enough: true,
        drifted: rest.effect >= rest.threshold && i === 2,
        ...rest,
      });
      return [
        `w${i}`,
        [
          finding({
            family: 'inputs',
            feature: 'hour',
            statistic: 'chiSquare',
            value: 900,
            effect: hour,
            threshold: 0.1,
          }),
          finding({
            family: 'inputs',
            feature: 'origin',
            statistic: 'chiSquare',
            value: 400,
            effect: origin,
            threshold: 0.1,
          }),
          finding({ family: 'predictions', statistic: 'chiSquare', value: 300, effect: score, threshold: 0.1 }),
          finding({
            family: 'performance',
            statistic: 'performanceDrop',
            value: auc,
            limit: auc + drop - 0.02,
            effect: drop,
            threshold: 0.02,
          }),
        ],
      ];
    }),
  );
}
