import { join } from 'node:path';
import { App, Duration, Size, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as kms from 'aws-cdk-lib/aws-kms';
import fc from 'fast-check';
import jsonata from 'jsonata';
import { expect, test } from 'vitest';
import { checkRequest } from '../../engine/src/services/sagemaker/training-request';
import { checkTuningRequest } from '../../engine/src/services/sagemaker/tuning-request';
import { mistakesIn } from '../../engine/test/support/api-shape';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  HyperparameterRange,
  type ITrainer,
  ModelRegistry,
  RunLedger,
  SearchStrategy,
  ServingImage,
  Trainer,
  type TrainerProps,
  TrainingImage,
  TrainingPipeline,
  Tuning,
} from '../../lib';
import { jobName, searchName } from '../../lib/core/names';
import type { AttemptReport } from '../../lib/core/train/documents';
import { definitionsOf, type State } from '../support/definition';
import { CONTRACT } from '../support/stacks';

const MINE = '123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine';
const KEY = 'arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000';
const PLAN = 'arn:aws:sagemaker:eu-west-1:123456789012:training-plan/mine';
const ROLE = 'arn:aws:iam::123456789012:role/training';
/** Prices, so that a ceiling can be had with any of these types. */
const TYPES = {
  'ml.m5.xlarge': 0.2,
  'ml.p3.2xlarge': 3.8,
  'ml.g5.xlarge': 1.4,
  'ml.g5.12xlarge': 7,
  'ml.p5.48xlarge': 60,
};
const WITH_LOCAL_DRIVE = /g5|p5/;

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const seconds = (min: number, max: number) => fc.integer({ min, max }).map((value) => Duration.seconds(value));
const hours = (min: number, max: number) => fc.integer({ min, max }).map((value) => Duration.hours(value));
/** A text of any kind, as long as Step Functions takes it for one. */
const said = (maxLength: number) =>
  fc.string({ maxLength, unit: 'binary' }).filter((text) => !/^\{%.*%\}$/s.test(text));
const name = fc
  .stringMatching(/^[a-z][a-z0-9_.-]{0,20}$/)
  .filter((word) => !/^(problem|key|seed|sagemaker_.*)$/.test(word));
const hyperparameters = maybe(fc.dictionary(name, said(200), { maxKeys: 70 }));
const without = <T extends object>(props: T) =>
  Object.fromEntries(Object.entries(props).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };

const type = fc.constantFrom(...Object.keys(TYPES));
/** Capacity options of all kinds, made once there is a stack to have a key in. */
const optionOf = (most: number): fc.Arbitrary<(key: kms.IKey) => CapacityOption> => {
  const instanceCount = fc.integer({ min: 1, max: most });
  const options = fc.record({
    volumeSize: maybe(fc.integer({ min: 1, max: 16_384 }).map(Size.gibibytes)),
    gpuMemory: maybe(fc.constant(Size.gibibytes(16))),
    withKey: fc.boolean(),
  });
  const longer = fc.record({
    maxPending: maybe(seconds(7_200, 2_419_200)),
    trainingPlanArn: maybe(fc.constant(PLAN)),
    keepAlive: maybe(seconds(0, 21_600)),
  });
  const keyed = (key: kms.IKey, withKey: boolean, ...types: string[]) =>
    withKey && !types.some((of) => WITH_LOCAL_DRIVE.test(of)) ? { volumeKey: key } : {};
  const spot = fc.tuple(type, instanceCount, options, maybe(seconds(0, 2_419_200))).map(
    ([of, count, { withKey, ...rest }, maxWait]) =>
      (key: kms.IKey) =>
        CapacityOption.spot(of, without({ instanceCount: count, maxWait, ...rest, ...keyed(key, withKey, of) })),
  );
  const onDemand = fc.tuple(type, instanceCount, options, longer).map(
    ([of, count, { withKey, ...rest }, more]) =>
      (key: kms.IKey) =>
        CapacityOption.onDemand(of, without({ instanceCount: count, ...rest, ...more, ...keyed(key, withKey, of) })),
  );
  const group = fc.record({
    name: fc.stringMatching(/^[a-zA-Z0-9_-]{1,64}$/),
    instanceType: type,
    instanceCount: fc.integer({ min: 1, max: 50 }),
  });
  const groups = fc
    .tuple(
      fc.uniqueArray(group, { minLength: 1, maxLength: 5, selector: (one) => one.name }),
      options,
      longer.map(({ keepAlive: _, ...rest }) => rest),
    )
    .map(
      ([kinds, { withKey, ...rest }, more]) =>
        (key: kms.IKey) =>
          CapacityOption.groups(
            kinds,
            without({ ...rest, ...more, ...keyed(key, withKey, ...kinds.map((one) => one.instanceType)) }),
          ),
    );
  return most > 1 ? fc.oneof(spot, onDemand, groups) : fc.oneof(spot, onDemand);
};

const common: fc.Arbitrary<TrainerProps> = fc
  .record({
    maxDuration: maybe(seconds(60, 28 * 86_400)),
    environment: maybe(
      fc.dictionary(
        fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,30}$/).filter((of) => of !== '__proto__'),
        said(512),
        {
          maxKeys: 100,
        },
      ),
    ),
  })
  .map(without);
const metrics = fc
  .uniqueArray(
    said(50).filter((of) => of !== '' && of !== '__proto__'),
    { minLength: 1, maxLength: 40 },
  )
  .map((names) =>
    Object.fromEntries(
      // so that it tells which way it points, and can be searched by
      names.map((of, i) => [`${of}_loss`, `metric ${i}=([0-9.]+)`]),
    ),
  );
const PRINTED = ['validation:auc', 'train:auc'];

interface Case {
  readonly trainer: (key: kms.IKey) => ITrainer;
  /** What can be searched by. */
  readonly metrics: readonly string[];
}

const trainer: fc.Arbitrary<Case> = fc.oneof(
  fc
    .tuple(common, hyperparameters, fc.array(optionOf(1), { minLength: 1, maxLength: 6 }))
    .map(([props, told, capacityOptions]) => ({
      metrics: PRINTED,
      trainer: (key: kms.IKey) =>
        Trainer.xgboost({
          ...props,
          ...without({ hyperparameters: told }),
          compute: capacityOptions.map((make) => make(key)),
        }),
    })),
  fc
    .tuple(common, hyperparameters, fc.array(optionOf(1000), { minLength: 1, maxLength: 6 }), fc.nat(2 ** 31 - 1))
    .map(([props, told, capacityOptions, seed]) => ({
      metrics: PRINTED,
      trainer: (key: kms.IKey) =>
        Trainer.tabular({
          ...props,
          ...without({ hyperparameters: told }),
          seed,
          compute: capacityOptions.map((make) => make(key)),
        }),
    })),
  fc.boolean().chain((torchrun) =>
    fc
      .tuple(common, hyperparameters, fc.array(optionOf(torchrun ? 1000 : 1), { minLength: 1, maxLength: 4 }), metrics)
      .map(([props, told, capacityOptions, printed]) => ({
        metrics: Object.keys(printed),
        trainer: (key: kms.IKey) =>
          Trainer.pytorch({
            ...props,
            ...without({ hyperparameters: told }),
            sourceDirectory: join('examples', 'own-script', 'training'),
            entryPoint: 'train.py',
            metrics: printed,
            torchrun,
            servingImage: ServingImage.fromUri(`${MINE}:serving`),
            compute: capacityOptions.map((make) => make(key)),
          }),
      })),
  ),
  fc
    .tuple(common, hyperparameters, fc.array(optionOf(1000), { minLength: 1, maxLength: 4 }), metrics)
    .map(([props, told, capacityOptions, printed]) => ({
      metrics: Object.keys(printed),
      trainer: (key: kms.IKey) =>
        Trainer.container({
          ...props,
          ...without({ hyperparameters: told }),
          metrics: printed,
          image: TrainingImage.fromUri(`${MINE}:1.4`),
          compute: capacityOptions.map((make) => make(key)),
        }),
    })),
);

const ranges = fc.uniqueArray(name, { minLength: 1, maxLength: 20 }).chain((names) =>
  fc.tuple(
    ...names.map((of) =>
      fc.oneof(
        fc.constant(HyperparameterRange.number(of, 1e-7, 0.5, true)),
        fc.constant(HyperparameterRange.integer(of, -5, 5)),
        fc
          .uniqueArray(
            said(100).filter((text) => text !== ''),
            { minLength: 2, maxLength: 30 },
          )
          .map((values) => HyperparameterRange.choice(of, values)),
      ),
    ),
  ),
);

const testCase = fc.record({
  trainer: trainer.chain((made) =>
    fc
      .option(
        fc.record({
          ranges,
          maxTrials: fc.integer({ min: 2, max: 20 }),
          metric: fc.constantFrom(...made.metrics),
          target: maybe(fc.double({ min: -1e9, max: 1e9, noNaN: true })),
          atSageMaker: fc.boolean(),
          trialsAtOnce: fc.integer({ min: 1, max: 10 }),
          strategy: fc.constantFrom(...Object.values(SearchStrategy)),
        }),
        { nil: undefined, freq: 2 }, // as often a plain job as a search, so that every kind is met
      )
      .map((tuning) => ({ ...made, tuning })),
  ),
  pipelineName: fc.stringMatching(/^[a-z0-9](-?[a-z0-9]){0,9}$/),
  hasKey: fc.boolean(),
  retryPolicy: fc
    .record({
      quotaWait: maybe(hours(0, 2)), // longer is refused with six capacity options
      maxPasses: maybe(fc.integer({ min: 1, max: 3 })), // more are refused with this many capacity options
      passInterval: maybe(hours(0, 24)),
    })
    .map(without),
  budget: fc
    .record({
      maxCostPerRun: maybe(fc.integer({ min: 1, max: 1000 })),
      maxCostPerMonth: maybe(fc.integer({ min: 1, max: 1000 })),
    })
    .map((money) => ({ ...without(money), prices: TYPES })),
  region: fc.constantFrom('us-east-1', 'eu-west-1', undefined),
  // what the function decides by the time that the job is asked for
  runId: fc.oneof(
    fc.constant('data-0123456789ab'),
    fc.string({ minLength: 1, maxLength: 80, size: 'max', unit: fc.constantFrom(...'azAZ09_-') }),
  ),
  attempt: fc.integer({ min: 1, max: 9999 }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  iteration: fc.integer({ min: 1, max: 20 }),
});

/** Fills the JSONata of a request in. */
async function filled(value: unknown, bindings: Record<string, unknown>): Promise<unknown> {
  if (typeof value === 'string') {
    const [, expression] = /^\{%(.*)%\}$/s.exec(value) ?? [];
    if (expression === undefined) return value;
    return JSON.parse(JSON.stringify(await jsonata(expression).evaluate(undefined, bindings)));
  }
  if (Array.isArray(value)) return Promise.all(value.map((item) => filled(item, bindings)));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(async ([key, item]) => [key, await filled(item, bindings)]);
  return Object.fromEntries(await Promise.all(members));
}

test('whatever the props, every capacity option has a state whose request SageMaker takes, at synthesis and as it is sent', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(testCase, async (made) => {
      const { tuning } = made.trainer;
      const env = made.region === undefined ? {} : { env: { region: made.region, account: '123456789012' } };
      const stack = new Stack(new App(), 'Stack', env);
      const { key: _, ...keyless } = CONTRACT;
      const search =
        tuning && (tuning.atSageMaker ? Tuning.sageMaker(without(tuning)) : Tuning.oneByOne(without(tuning)));
      new TrainingPipeline(stack, 'Training', {
        dataset: new DatasetBucket(stack, 'Dataset'),
        ledger: new RunLedger(stack, 'Ledger'),
        registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
        contract: DataContract.fromObject(made.hasKey ? CONTRACT : keyless),
        trainer: made.trainer.trainer(kms.Key.fromKeyArn(stack, 'Key', KEY)),
        pipelineName: made.pipelineName,
        retryPolicy: made.retryPolicy,
        budget: made.budget,
        ...(search && { tuning: search }),
      });
      const [definition] = Object.values(definitionsOf(Template.fromStack(stack)));
      const states = definition?.States as Record<string, State>;
      const { rules } = states['Next attempt'].Arguments.Payload;
      const jobs = Object.entries(states).filter(([id]) => /^(Train|Tune) on option \d+$/.test(id));
      expect(jobs).toHaveLength(rules.capacityOptions.length);

      for (const [id, { Arguments, TimeoutSeconds }] of jobs) {
        const option = Number(/\d+$/.exec(id)?.[0]) - 1;
        const spec = rules.capacityOptions[option];
        const isSearch = id.startsWith('Tune');
        const operation = isSearch ? 'CreateHyperParameterTuningJob' : 'CreateTrainingJob';
        expect(mistakesIn(operation, Arguments)).toEqual([]);

        const circumstances = {
          pipeline: made.pipelineName,
          registry: 'models',
          runId: made.runId,
          startedAt: '2026-11-25T00:00:00.000Z',
        };
        const maxRuntimeSeconds = Math.max(60, Math.round(made.share * spec.maxRuntimeSeconds));
        const job: AttemptReport['job'] = {
          name: (isSearch ? searchName : jobName)(circumstances, made.attempt),
          option,
          maxRuntimeSeconds,
          maxWaitSeconds: maxRuntimeSeconds + (spec.maxWaitSeconds ?? 0),
          checkpoints: `${made.iteration}/`,
          hyperparameters: rules.tuning?.suggestions[made.iteration - 1] ?? {},
        };
        const context = { Execution: { Name: made.runId, StartTime: circumstances.startedAt } };
        // biome-ignore lint/suspicious/noExplicitAny: requests are SageMaker's own
        const request: any = await filled(Arguments, { attempt: { job }, data: 's3://bucket/', states: { context } });
        const training = isSearch ? request.TrainingJobDefinition : request;
        training.RoleArn = ROLE; // a reference in the template

        expect(mistakesIn(operation, request)).toEqual([]);
        if (isSearch) checkTuningRequest(request);
        else checkRequest(request);

        const given = isSearch ? training.StaticHyperParameters : training.HyperParameters;
        expect(Object.values(given).filter((value) => typeof value !== 'string')).toEqual([]);
        expect(Object.keys(given).length).toBeLessThanOrEqual(100);
        expect(isSearch ? request.HyperParameterTuningJobName : request.TrainingJobName).toMatch(
          isSearch ? /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}$/ : /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/,
        );
        const { MaxRuntimeInSeconds, MaxWaitTimeInSeconds, MaxPendingTimeInSeconds = 0 } = training.StoppingCondition;
        if (spec.spot) expect(MaxWaitTimeInSeconds).toBeGreaterThanOrEqual(MaxRuntimeInSeconds);
        else expect(MaxWaitTimeInSeconds).toBeUndefined();
        expect(training.EnableManagedSpotTraining).toBe(spec.spot);
        // else Step Functions gives up a job that goes on
        expect(TimeoutSeconds).toBeGreaterThan(
          Math.max(MaxWaitTimeInSeconds ?? 0, MaxRuntimeInSeconds + MaxPendingTimeInSeconds),
        );
        seen.add(`${isSearch ? 'search' : rules.tuning ? 'trials' : 'job'}, ${spec.spot ? 'spot' : 'on demand'}`);
      }
    }),
    { numRuns: 60 },
  );
  expect([...seen].sort()).toEqual(
    ['job', 'search', 'trials'].flatMap((kind) => [`${kind}, on demand`, `${kind}, spot`]).sort(),
  );
}, 180_000);
