import { describe, expect, test } from 'vitest';
import { pipelinesOf } from '../../../bin/commands/app';
import { bytes, duration, signed } from '../../../bin/commands/format';
import { describeEvent, greeting, isTrouble } from '../../../bin/commands/local';
import { printRun, stepsOf } from '../../../bin/commands/run';
import { printRuns, printServed, printTable } from '../../../bin/commands/tables';
import type { Decision } from '../../../lib/core/ledger/facts';
import { historyOf, servedPeriods } from '../../../lib/core/ledger/history';
import { ledgerItems, PIPELINE } from '../../support/ledger-facts';

const facts = historyOf(PIPELINE, ledgerItems());

describe('the facts of a ledger', () => {
  test('are sorted by what they are about, whatever their order', () => {
    const backwards = historyOf(PIPELINE, ledgerItems().reverse());
    expect(backwards).toEqual(facts);
    expect(facts.runs.map(({ runId }) => runId)).toEqual([
      'data-3f2a91bc0d12',
      'data-77aa0c1d2e3f',
      'drift-c01dbeef1234-9a8b7c6d',
      'data-deadbeef0011',
    ]);
    expect(facts).toMatchObject({
      deployments: { length: 2 },
      windows: { length: 4 },
      decisions: { length: 5 },
      refused: { length: 1 },
    });
  });

  test('a deployment that was rolled back changes nothing about what serves', () => {
    const [first, second] = facts.deployments;
    const rolledBack = {
      ...second,
      at: '2026-11-23T13:00:00.000Z',
      outcome: 'ROLLED_BACK',
      modelVersion: 3,
    } as typeof second;
    const periods = servedPeriods({
      ...facts,
      deployments: [first, second, rolledBack].filter((one) => one !== undefined),
    });
    expect(periods.map(({ version, to }) => [version, to])).toEqual([
      [1, second?.at],
      [2, undefined],
    ]);
  });
});

describe('a table', () => {
  test('has a line below its heads, and numbers on the right', () => {
    expect(
      printTable(
        ['NAME', 'ROWS'],
        [
          ['a', '7'],
          ['long name', '1,234'],
        ],
        [1],
      ),
    ).toBe(['NAME        ROWS', '─────────  ─────', 'a              7', 'long name  1,234'].join('\n'));
  });

  test('of runs has reason, data version, verdict and interval of each', () => {
    const [, , first, second, third, last] = printRuns(facts).split('\n');
    expect(first).toMatch(
      /data +3f2a91bc0d12 +436,342 +FIRST +auc 0\.6987 +\+0\.1987 \[\+0\.1951, \+0\.2023\] over the trivial answer +PROMOTED v1$/,
    );
    expect(second).toMatch(/BETTER +auc 0\.6874 +\+0\.0222 \[\+0\.0187, \+0\.0257\] over v1 +PROMOTED v2$/);
    expect(third).toMatch(/drift +c01dbeef1234 .*INCONCLUSIVE .*−0\.0021 \[−0\.0068, \+0\.0026\] over v2 +REJECTED$/);
    expect(last).toMatch(/FAILED$/);
  });

  test('of runs is followed by the files that were refused, with the reason', () => {
    const [head, , row] = printRuns(facts).split('\n\n')[1]?.split('\n') ?? [];
    expect(head).toMatch(/^FILE REFUSED +SINCE \(UTC\) +BECAUSE$/);
    expect(row).toMatch(/^incoming\/2001-05\.parquet +2026-11-23 12:00 +it is empty\. Upload it again, or delete it$/);
    const [file] = facts.refused;
    const many = Array.from({ length: 25 }, (_, i) => ({ ...file, key: `incoming/${i}.csv` }) as typeof file);
    expect(printRuns({ ...facts, refused: many as (typeof facts)['refused'] })).toMatch(/\nand 5 more, which/);
  });

  test('of one run names the files that it refused, and no others', () => {
    const [first] = facts.runs;
    const last = facts.runs.at(-1);
    expect(printRun(facts, last as NonNullable<typeof last>, [])).toMatch(
      /incoming\/2001-05\.parquet +2026-11-23 12:00 +it is empty/,
    );
    expect(printRun(facts, first as NonNullable<typeof first>, [])).not.toContain('FILE REFUSED');
  });

  test('of what served tells from when to when', () => {
    expect(printServed(servedPeriods(facts))).toMatch(/09:41 +now +v2 +data-77aa0c1d2e3f/);
  });

  test('of runs is followed by what has come since and started none', () => {
    expect(printRuns(facts)).not.toContain('IGNORED');
    const ignored = { ...facts.decisions[0], at: '2026-11-24T00:00:00.000Z', reason: 'drift', decided: 'IGNORED' };
    const decisions = [...facts.decisions, { ...ignored, because: 'no labelled data has come' } as Decision];
    expect(printRuns({ ...facts, decisions })).toMatch(
      /\n\nSINCE THEN.*\n.*\n2026-11-24 00:00 +drift +no labelled data has come\n\nFILE REFUSED/,
    );
    expect(printRuns({ ...facts, runs: [], decisions })).toMatch(/^no run yet.*\n\nSINCE THEN/);
  });

  test.each([
    [{ status: 'InService', configName: 'v2' }, undefined],
    [{ status: 'Updating', configName: 'v2' }, undefined],
    [{}, 'the endpoint flights does not exist: no model serves'],
    [{ status: 'Creating', configName: 'v2' }, 'the endpoint flights is Creating: no model serves'],
    [{ status: 'Failed', configName: 'v2' }, 'the endpoint flights is Failed: no model serves'],
    [{ status: 'OutOfService', configName: 'v2' }, 'the endpoint flights is OutOfService: no model serves'],
    [{ status: 'Deleting', configName: 'v2' }, 'the endpoint flights is Deleting: no model serves'],
    [{ status: 'UpdateRollbackFailed', configName: 'v2' }, 'which model serves is not certain'],
    [{ status: 'InService', configName: 'v1' }, 'the endpoint flights serves v1, and not v2 that was deployed last'],
  ])('of what served says of the endpoint %j whether it serves the version deployed last', (endpoint, because) => {
    const deployments = facts.deployments.map((one) => ({ ...one, endpointConfigName: `v${one.modelVersion}` }));
    const periods = servedPeriods({ ...facts, deployments, endpoint: { name: 'flights', ...endpoint } });
    expect(periods.map(({ gone }) => gone)).toEqual([
      undefined,
      because === undefined ? undefined : expect.stringContaining(because),
    ]);
    expect(printServed(periods)).toMatch(because === undefined ? /09:41 +now +v2 .*[^:]$/s : /09:41 +unknown +v2 /);
    if (because !== undefined) expect(printServed(periods)).toContain(because);
  });

  test('says what to do while there is nothing', () => {
    const nothing = historyOf(PIPELINE, []);
    expect(printRuns(nothing)).toContain('upload data to incoming/');
    expect(printServed(servedPeriods(nothing))).toBe('no model has served yet');
  });
});

test('numbers read as people write them', () => {
  expect([duration(1_234), duration(84_000), duration(5_400_000), duration(200_000_000)]).toEqual([
    '1.2 s',
    '1 min 24 s',
    '1 h 30 min',
    '2 days',
  ]);
  expect([bytes(0), bytes(999), bytes(7_340_032)]).toEqual(['0 B', '999 B', '7.3 MB']);
  expect([signed(0), signed(-0.00214), signed(12_345.67)]).toEqual(['+0.0000', '−0.0021', '+12,345.7']);
});

test('the pipelines of a stack are found by the ends of its outputs, each by its own', () => {
  const names = [
    'Pipeline',
    'DataBucket',
    'LedgerTable',
    'TrainingMachine',
    'DeploymentMachine',
    'ModelPackageGroup',
    'Endpoint',
  ];
  const of = (id: string, value: string) =>
    Object.fromEntries(names.map((name) => [`${id}${name}12AB34CD`, `${value}-${name}`]));
  const outputs = { Website: 'x', OtherEndpoint: 'y', ...of('Flights', 'f'), ...of('TeamTrains', 't') };
  expect(pipelinesOf('S', outputs)).toMatchObject([
    { stack: 'S', pipeline: 'f-Pipeline', endpoint: 'f-Endpoint', trainingMachine: 'f-TrainingMachine' },
    { pipeline: 't-Pipeline', dataBucket: 't-DataBucket' },
  ]);
});

test('the steps of a run are paired from its history, side by side where they ran so', () => {
  const at = (second: number) => new Date(second * 1000);
  const entered = (name: string, second: number) =>
    ({ id: 0, type: 'TaskStateEntered', timestamp: at(second), stateEnteredEventDetails: { name } }) as const;
  const exited = (name: string, second: number) =>
    ({ id: 0, type: 'TaskStateExited', timestamp: at(second), stateExitedEventDetails: { name } }) as const;
  const events = [
    entered('A', 0),
    exited('A', 1),
    entered('B', 1),
    entered('C', 2),
    exited('B', 5),
    exited('C', 4),
    entered('A', 6),
  ];
  expect(stepsOf(events)).toEqual([
    { state: 'A', enteredAt: at(0), milliseconds: 1000 },
    { state: 'B', enteredAt: at(1), milliseconds: 4000 },
    { state: 'C', enteredAt: at(2), milliseconds: 2000 },
    { state: 'A', enteredAt: at(6) },
  ]);
});

describe('perennial local', () => {
  test('greets with what clients need', () => {
    const text = greeting({
      url: 'http://127.0.0.1:4566',
      stateDir: '/state',
      environment: {
        AWS_ENDPOINT_URL: 'http://127.0.0.1:4566',
        AWS_REGION: 'eu-west-1',
        AWS_ACCESS_KEY_ID: 'LKIA',
        AWS_SECRET_ACCESS_KEY: 'a/b+c',
      },
      outputs: { Stack: { DataBucket: 'bucket' } },
      inert: [
        ...['Stack/A', 'Stack/B'].map((path) => ({ path, type: 'AWS::Logs::LogGroup', why: 'no logs' })),
        {
          path: 'Stack/Dashboard',
          type: 'AWS::CloudWatch::Dashboard',
          why: 'the engine does nothing with this type',
        },
      ],
    });
    expect(text).toContain('  export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n');
    expect(text).toContain('  export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1\n');
    expect(text).toContain('  export AWS_ACCESS_KEY_ID=LKIA AWS_SECRET_ACCESS_KEY=a/b+c\n');
    expect(text).toMatch(/Stack +DataBucket +bucket/);
    expect(text).toMatch(/AWS::CloudWatch::Dashboard +Stack\/Dashboard/);
    expect(text).toMatch(/AWS::Logs::LogGroup +2 of them/);
  });

  test.each([
    [
      'an upload that starts something',
      'aws.s3',
      'Object Created',
      { object: { key: 'incoming/a.csv', size: 1500 } },
      true,
      'uploaded incoming/a.csv (1.5 KB)',
    ],
    ['an object of its own', 'aws.s3', 'Object Created', { object: { key: 'runs/x', size: 1 } }, false, undefined],
    [
      'an execution',
      'aws.states',
      'Step Functions Execution Status Change',
      { name: 'data-1', status: 'RUNNING' },
      false,
      'execution data-1 RUNNING',
    ],
    [
      'a job',
      'aws.sagemaker',
      'SageMaker Training Job State Change',
      { TrainingJobName: 'j', TrainingJobStatus: 'Completed' },
      false,
      'training job j Completed',
    ],
    [
      'an approval',
      'aws.sagemaker',
      'SageMaker Model Package State Change',
      {
        ModelPackageGroupName: 'g',
        ModelPackageArn: 'arn:aws:sagemaker:r:a:model-package/g/3',
        ModelApprovalStatus: 'Approved',
      },
      true,
      'model package g/3 Approved',
    ],
    [
      'the end of a run',
      'perennial',
      'Perennial Run Ended',
      { pipeline: 'p', runId: 'data-1', outcome: 'PROMOTED' },
      true,
      'run ended data-1 PROMOTED',
    ],
    [
      'drift',
      'perennial',
      'Perennial Drift Detected',
      { pipeline: 'p', summary: 'hour has moved' },
      true,
      'drift detected hour has moved',
    ],
  ])('tells of %s in a line', (_, source, type, detail, matched, line) => {
    expect(describeEvent({ source, 'detail-type': type, detail }, matched)).toBe(line);
  });

  test('tells of trouble, not of calls that are refused as they were meant to be', () => {
    const trouble = (message: string, detail?: Record<string, unknown>) =>
      isTrouble({ at: new Date(), service: 's', message, ...(detail && { detail }) });
    expect(trouble('PutObject failed: AccessDenied: no', { by: 'role' })).toBe(true);
    expect(trouble('the event could not be delivered to a queue: no')).toBe(true);
    expect(trouble('DescribeEndpoint failed: ValidationException: none', { by: 'role' })).toBe(false);
    expect(trouble('PutObject', { by: 'role' })).toBe(false);
  });
});
