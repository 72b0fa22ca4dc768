import { Duration } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Machine } from '../../engine/src/services/states/definition';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  HyperparameterRange,
  ModelRegistry,
  RunLedger,
  Trainer,
  TrainingPipeline,
  type TrainingPipelineProps,
  Tuning,
} from '../../lib';
import { ErrorName, FAILURE_KINDS } from '../../lib/core';
import { definitionsOf } from '../support/definition';
import { asked, trained } from '../support/facts';
import { type Fate, SimulatedTraining } from '../support/simulated-training';
import { CONTRACT, emptyStack } from '../support/stacks';

/** Seconds that training takes, wherever. */
const NEEDED = 3600;

const OPTIONS = [
  CapacityOption.spot('ml.g5.2xlarge', { maxWait: Duration.hours(1) }),
  CapacityOption.spot('ml.g5.xlarge', { maxWait: Duration.minutes(30) }),
  CapacityOption.onDemand('ml.g5.2xlarge'),
  CapacityOption.onDemand('ml.g6e.xlarge'),
];

/** The training machine of a pipeline with these props. */
function machineWith(props: Partial<TrainingPipelineProps> = {}): Machine {
  const stack = emptyStack();
  new TrainingPipeline(stack, 'Training', {
    dataset: new DatasetBucket(stack, 'Dataset'),
    ledger: new RunLedger(stack, 'Ledger'),
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    contract: DataContract.fromObject(CONTRACT),
    trainer: Trainer.xgboost({ compute: OPTIONS, maxDuration: Duration.hours(2) }),
    pipelineName: 'loop',
    ...props,
  });
  const [definition] = Object.values(definitionsOf(Template.fromStack(stack)));
  return definition as unknown as Machine;
}

const CEILING = 2;
const plain = machineWith({ retryPolicy: { maxPasses: 2 } });
const frugal = machineWith({
  retryPolicy: { maxPasses: 2, quotaWait: Duration.minutes(20) },
  budget: { maxCostPerRun: CEILING },
});
const searching = machineWith({
  retryPolicy: { maxPasses: 2 },
  budget: { maxCostPerRun: 3 * CEILING },
  tuning: Tuning.oneByOne({ ranges: [HyperparameterRange.number('eta', 0.01, 0.3, true)], maxTrials: 4, target: 0.75 }),
});

const attemptsOf = ({ ledger }: SimulatedTraining) => ledger.all('RUN#').filter(({ kind }) => kind === 'AttemptEnded');
const failureOf = ({ ending }: SimulatedTraining) =>
  ending?.variables.get('failure') as { name: string; cause: string };

describe('trying the capacity options', () => {
  test('goes on with the next where there is no machine, and from the checkpoints of the last', async () => {
    const run = await new SimulatedTraining(
      plain,
      [{ kind: 'capacity', after: 900 }, { kind: 'interruption', after: 1500, back: false }, { kind: 'fine' }],
      NEEDED,
    ).run();

    expect(run.ending?.state).toBe('Seal model');
    expect(attemptsOf(run)).toMatchObject([
      { option: 'ml.g5.2xlarge, spot', spot: true, failureKind: 'CAPACITY', status: 'Failed', costUsd: 0 },
      { option: 'ml.g5.xlarge, spot', failureKind: 'SPOT_TIMEOUT', interruptions: 1, trainingSeconds: 1500 },
      {
        option: 'ml.g5.2xlarge',
        spot: false,
        status: 'Completed',
        trainingSeconds: NEEDED - 1500,
        billableSeconds: 2100,
      },
    ]);
    expect(run.ending?.variables.get('model')).toMatch(
      /^s3:\/\/bucket\/runs\/data-0123456789ab\/models\/loop-[0-9a-f]{6}-data-.*-3\/output/,
    );
  });

  test('asks a full quota again for a while, and then takes the next capacity option', async () => {
    const quota: Fate[] = Array.from({ length: 30 }, () => ({ kind: 'quota' }));
    const start = new SimulatedTraining(plain, quota, NEEDED);
    const before = start.now;
    const run = await start.run();
    const first = attemptsOf(run).filter(({ option }) => option === 'ml.g5.2xlarge, spot');

    expect(first.length).toBeGreaterThan(4);
    expect(first.length).toBeLessThan(14);
    const waited = Date.parse(first.at(-1)?.at) - before;
    expect(waited).toBeGreaterThan(0.7 * 3600_000);
    expect(waited).toBeLessThanOrEqual(3600_000);
    expect(first[0]).toMatchObject({ failureKind: 'QUOTA', status: 'Refused' });
  });

  test('meets a fault of SageMaker with the same capacity option twice, then with the next', async () => {
    const run = await new SimulatedTraining(
      plain,
      [{ kind: 'internal', after: 600 }, { kind: 'internal', after: 600 }, { kind: 'fault' }],
      NEEDED,
    ).run();
    expect(attemptsOf(run).map(({ option, failureKind }) => [option, failureKind])).toEqual([
      ['ml.g5.2xlarge, spot', 'INTERNAL'],
      ['ml.g5.2xlarge, spot', 'INTERNAL'],
      ['ml.g5.2xlarge, spot', 'INTERNAL'],
      ['ml.g5.xlarge, spot', undefined],
    ]);
    expect(attemptsOf(run).at(-1)).toMatchObject({ status: 'Completed', trainingSeconds: NEEDED - 1200 });
  });

  test.each([
    ['a script that fails', 'algorithm', 'ALGORITHM', 'ValueError: what a pity'],
    ['what cannot be done', 'client', 'CLIENT', 'Data download failed'],
    ['a job that somebody stops', 'cancelled', 'CANCELLED', 'somebody stopped the job'],
  ] as const)('ends at once with %s', async (_, kind, expected, text) => {
    const run = await new SimulatedTraining(
      plain,
      [
        { kind: 'capacity', after: 60 },
        { kind, after: 60 },
      ],
      NEEDED,
    ).run();

    expect(run.ending?.state).toBe('Record failure');
    expect(attemptsOf(run).at(-1)).toMatchObject({ failureKind: expected });
    expect(failureOf(run).name).toBe(ErrorName.TRAINING_FAILED);
    expect(failureOf(run).cause).toContain(text);
    expect(failureOf(run).cause).toMatch(/Before that: loop-[0-9a-f]{6}-data-0123456789ab/);
  });

  test('tells the whole log when no capacity option is left', async () => {
    const none: Fate[] = Array.from({ length: 20 }, () => ({ kind: 'capacity', after: 60 }));
    const run = await new SimulatedTraining(plain, none, NEEDED).run();

    expect(attemptsOf(run)).toHaveLength(8);
    const { cause } = failureOf(run);
    expect(cause).toMatch(/^none of the capacity options gave a machine in 2 passes: /);
    expect(cause.match(/CAPACITY/g)).toHaveLength(8);
    const [, , , fourth, fifth] = attemptsOf(run);
    expect(Date.parse(fifth?.at) - Date.parse(fourth?.at)).toBeGreaterThanOrEqual(15 * 60_000);
  });

  test('never has two jobs at once, where a call is cut off after it has made one', async () => {
    const run = await new SimulatedTraining(plain, [{ kind: 'cutOff' }], NEEDED).run();
    expect(run.violations).toEqual([]);
    expect(run.jobs.size).toBe(1);
    expect(attemptsOf(run)).toMatchObject([{ status: 'Completed' }]);
  });

  test('goes on after a redrive under a new name, once the stopped job has ended', async () => {
    const run = await new SimulatedTraining(
      plain,
      [{ kind: 'redriven', after: 900, later: 10, stopped: true }],
      NEEDED,
    ).run();
    expect(run.violations).toEqual([]);
    expect(attemptsOf(run)).toMatchObject([
      { status: 'Stopped', failureKind: 'INTERNAL' },
      { status: 'Completed', trainingSeconds: NEEDED - 1020 },
    ]);
  });
});

describe('the budget', () => {
  test('blocks a run whose first job it does not allow, before anything is spent', async () => {
    const machine = machineWith({ budget: { maxCostPerRun: 0.05 } });
    const run = await new SimulatedTraining(machine, [], NEEDED).run();
    expect(run.jobs.size).toBe(0);
    expect(failureOf(run).name).toBe(ErrorName.BUDGET_EXCEEDED);
    expect(failureOf(run).cause).toMatch(/ml.g5.xlarge.* would cost 0.\d+ USD, and 0.05 USD is left of 0.05 USD a run/);
  });

  test('gives a job no more time than the money lasts, and says so when that was too little', async () => {
    const machine = machineWith({
      budget: { maxCostPerRun: 1 },
      trainer: Trainer.xgboost({ compute: [OPTIONS[2] as CapacityOption], maxDuration: Duration.hours(2) }),
    });
    const run = await new SimulatedTraining(machine, [], NEEDED).run();
    expect(run.costUsd).toBeLessThanOrEqual(1);
    expect(run.costUsd).toBeGreaterThan(0.9);
    expect(failureOf(run).name).toBe(ErrorName.BUDGET_EXCEEDED);
    expect(failureOf(run).cause).toContain('checkpoints are kept');
  });

  test('counts what other runs of the month have cost, and may cost', async () => {
    const machine = machineWith({ budget: { maxCostPerMonth: 10 } });
    const simulated = new SimulatedTraining(machine, [], NEEDED);
    const at = '2026-03-01T00:00:00.000Z';
    simulated.ledger.add(trained(at, { job: 'j1', costUsd: 4 }), asked(at, { job: 'j1', atMostUsd: 9 }));
    simulated.ledger.add(asked(at, { job: 'j2', atMostUsd: 5.99 }));
    const run = await simulated.run();
    expect(run.jobs.size).toBe(0);
    expect(failureOf(run).cause).toContain('0.01 USD is left of 10.00 USD a month');
  });

  test('counts a month from its beginning', async () => {
    const machine = machineWith({ budget: { maxCostPerMonth: 10 } });
    const simulated = new SimulatedTraining(machine, [], NEEDED);
    simulated.ledger.add(trained('2026-02-28T23:00:00.000Z', { job: 'j1', costUsd: 10 }));
    expect((await simulated.run()).ending?.state).toBe('Seal model');
  });

  test('estimates by the newest jobs on the same machine', async () => {
    const simulated = new SimulatedTraining(plain, [], NEEDED);
    [3600, 7200, 1800].forEach((seconds, i) => {
      const startedAt = `2026-02-0${i + 1}T00:00:00.000Z`;
      simulated.ledger.add(trained(startedAt, { runId: `r${i}`, trainingSeconds: seconds }));
    });
    const run = await simulated.run();
    const [begun] = run.ledger.all('RUN#2026-03').filter(({ kind }) => kind === 'AttemptStarted');
    expect(begun.expectedUsd).toBeCloseTo(1.515, 6);
    expect(begun.atMostUsd).toBeCloseTo((1.515 * (7200 + 120)) / 3600, 6);
  });
});

describe('the search for hyperparameters', () => {
  const byEta = (parameters: Record<string, string>) =>
    0.7 + (parameters.eta === undefined ? 0 : 0.04 * Number(parameters.eta));

  test('tries the own ones first, then others on the same data, and takes the best', async () => {
    const run = await new SimulatedTraining(searching, [], 600, [], byEta).run();
    const document = run.store.parsed<{ trials: { value: number }[]; chosen: number; hyperparameters: object }>(
      'runs/data-0123456789ab/tuning.json',
    );
    expect(document.trials).toHaveLength(4);
    expect(document.trials[0]).toMatchObject({ iteration: 1, hyperparameters: {}, value: 0.7 });
    const best = Math.max(...document.trials.map(({ value }) => value));
    expect(document.trials[document.chosen - 1]?.value).toBe(best);
    expect(run.ending?.variables.get('model')).toContain(`-${document.chosen}/output`);
    expect(attemptsOf(run).map(({ iteration }) => iteration)).toEqual([1, 2, 3, 4]);
    expect(new Set([...run.jobs.keys()]).size).toBe(4);
  });

  test('ends with the first that reaches the target', async () => {
    const run = await new SimulatedTraining(searching, [], 600, [], (parameters) =>
      parameters.eta === undefined ? 0.7 : 0.76,
    ).run();
    expect(attemptsOf(run)).toHaveLength(2);
    expect(run.store.parsed<{ chosen: number }>('runs/data-0123456789ab/tuning.json').chosen).toBe(2);
  });

  test('gives each set checkpoints of its own, and all attempts at a set the same', async () => {
    const run = await new SimulatedTraining(
      searching,
      [{ kind: 'interruption', after: 300, back: false }],
      600,
      [],
      byEta,
    ).run();
    expect(attemptsOf(run).map(({ iteration, trainingSeconds }) => [iteration, trainingSeconds])).toEqual([
      [1, 300],
      [1, 300],
      [2, 600],
      [3, 600],
      [4, 600],
    ]);
  });

  test('goes on with the best so far when the money ends, or a later set fails', async () => {
    const fails: Fate[] = [
      { kind: 'fine' },
      { kind: 'algorithm', after: 60 },
      { kind: 'fine' },
      { kind: 'client', after: 60 },
    ];
    const run = await new SimulatedTraining(searching, fails, 600, [], byEta).run();
    expect(run.ending?.state).toBe('Seal model');
    expect(attemptsOf(run).map(({ failureKind }) => failureKind)).toEqual([
      undefined,
      'ALGORITHM',
      undefined,
      'CLIENT',
    ]);

    const poor = machineWith({
      budget: { maxCostPerRun: 1 },
      tuning: Tuning.oneByOne({ ranges: [HyperparameterRange.integer('max_depth', 3, 10)], maxTrials: 50 }),
    });
    const cut = await new SimulatedTraining(poor, [], 600, [], () => 0.7).run();
    expect(cut.ending?.state).toBe('Seal model');
    expect(cut.costUsd).toBeLessThanOrEqual(1);
    expect(attemptsOf(cut).length).toBeLessThan(50);
  });

  test('fails where the script does not print the metric', async () => {
    const run = await new SimulatedTraining(searching, [], 600, [], () => undefined as unknown as number).run();
    expect(failureOf(run).cause).toContain('printed no metric validation:auc');
  });
});

const seconds = (max: number) => fc.integer({ min: 1, max });
const fate: fc.Arbitrary<Fate> = fc.oneof(
  fc.constant<Fate>({ kind: 'fine' }),
  fc.record({
    kind: fc.constantFrom('capacity', 'maxWait', 'internal', 'nameless', 'cancelled', 'algorithm', 'client'),
    after: seconds(4000),
  }) as fc.Arbitrary<Fate>,
  fc.record({ kind: fc.constantFrom('capacity', 'internal'), after: seconds(4000) }) as fc.Arbitrary<Fate>,
  fc.record({ kind: fc.constant('interruption' as const), after: seconds(3000), back: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('quota', 'throttle', 'fault') }) as fc.Arbitrary<Fate>,
  fc.constant<Fate>({ kind: 'cutOff' }),
  fc.record({ kind: fc.constant('timeout' as const), after: seconds(3000), stopped: fc.boolean() }),
  fc.record({
    kind: fc.constant('redriven' as const),
    after: seconds(3000),
    later: seconds(7000),
    stopped: fc.boolean(),
  }),
);

test('no schedule of faults ends in two live jobs, a success without a model, a job without a record, more money than allowed, or a failure of no kind', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('plain', 'frugal', 'searching'),
      fc.array(fate, { maxLength: 12 }),
      fc.integer({ min: 300, max: 9000 }),
      fc.uniqueArray(fc.nat(12), { maxLength: 3 }),
      async (which, fates, needed, crashes) => {
        const machine = { plain, frugal, searching }[which];
        const run = await new SimulatedTraining(machine, fates, needed, crashes).run();
        const attempts = attemptsOf(run);
        const { state, variables } = run.ending as NonNullable<typeof run.ending>;

        expect(run.violations).toEqual([]);
        for (const name of run.jobs.keys()) {
          expect(attempts.filter(({ job }) => job === name)).toHaveLength(1);
          expect(run.jobs.get(name)?.endsAt).toBeLessThanOrEqual(run.now);
        }
        for (const { status, failureKind, failure } of attempts) {
          if (status === 'Completed') expect(failureKind).toBeUndefined();
          else expect(FAILURE_KINDS).toContain(failureKind);
          if (failureKind !== undefined) expect(failure).toMatch(/./);
        }
        if (which === 'frugal') expect(run.costUsd).toBeLessThanOrEqual(CEILING);
        if (which === 'searching') expect(run.costUsd).toBeLessThanOrEqual(3 * CEILING);
        const recorded = attempts.reduce((sum, { costUsd }) => sum + costUsd, 0);
        expect(recorded).toBeCloseTo(run.costUsd, 6);
        if (state === 'Seal model') {
          const model = variables.get('model');
          expect(
            attempts
              .filter(({ status }) => status === 'Completed')
              .map(({ job }) => `s3://bucket/runs/data-0123456789ab/models/${job}/output/model.tar.gz`),
          ).toContain(model);
        } else {
          expect(state).toBe('Record failure');
          expect(Object.values(ErrorName)).toContain(failureOf(run).name);
          expect(failureOf(run).cause).toMatch(/./);
        }
        const outcome = state === 'Seal model' ? 'trained' : failureOf(run).name;
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      },
    ),
    { numRuns: 1000 },
  );
  expect([...seen.keys()].sort()).toEqual([ErrorName.BUDGET_EXCEEDED, ErrorName.TRAINING_FAILED, 'trained']);
}, 240_000);
