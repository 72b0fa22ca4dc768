import { Duration, Lazy, Size } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as kms from 'aws-cdk-lib/aws-kms';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  type InstanceGroup,
  ModelRegistry,
  type OnDemandOptions,
  RunLedger,
  type SpotOptions,
  Trainer,
  TrainingPipeline,
} from '../../lib';
import { instanceOf, similarInstances } from '../../lib/core/train/instances';
import { checkedTrainer } from '../../lib/train/trainer-checks';
import { CONTRACT, emptyStack } from '../support/stacks';

const HOUR = Duration.hours(1);
const PLAN = 'arn:aws:sagemaker:us-east-1:123456789012:training-plan/mine';
const groups = (...types: string[]): InstanceGroup[] =>
  types.map((instanceType, i) => ({ name: `group-${i + 1}`, instanceType, instanceCount: i + 1 }));

/** A trainer that is to train on one capacity option. */
const trainer = (option: CapacityOption, gpuMemory?: Size) =>
  Trainer.tabular({ compute: [option], ...(gpuMemory && { gpuMemory }) });
const take = (option: CapacityOption, gpuMemory?: Size) => {
  const scope = emptyStack();
  return checkedTrainer(scope, trainer(option, gpuMemory).bind(scope));
};

describe('CapacityOption.spot', () => {
  test('asks for one spot machine with 30 GiB, and waits an hour for it', () => {
    const option = CapacityOption.spot('ml.m5.xlarge');
    expect(option._request()).toEqual({
      spot: true,
      resources: { InstanceType: 'ml.m5.xlarge', InstanceCount: 1, VolumeSizeInGB: 30 },
    });
    expect(option._spec(Duration.hours(2))).toEqual({
      label: 'ml.m5.xlarge, spot',
      instances: [{ instanceType: 'ml.m5.xlarge', count: 1 }],
      spot: true,
      maxRuntimeSeconds: 7200,
      maxWaitSeconds: 3600,
    });
  });

  test('waits as long as it is told', () => {
    expect(CapacityOption.spot('ml.m5.xlarge', { maxWait: Duration.minutes(5) })._spec(HOUR).maxWaitSeconds).toBe(300);
    expect(CapacityOption.spot('ml.m5.xlarge', { maxWait: Duration.seconds(0) })._spec(HOUR).maxWaitSeconds).toBe(0);
  });
});

describe('CapacityOption.onDemand', () => {
  test('asks for one machine at the full price, and waits for it as long as SageMaker does', () => {
    const option = CapacityOption.onDemand('ml.g5.xlarge');
    expect(option._request()).toEqual({
      spot: false,
      resources: { InstanceType: 'ml.g5.xlarge', InstanceCount: 1, VolumeSizeInGB: 30 },
    });
    expect(option._spec(HOUR)).toEqual({
      label: 'ml.g5.xlarge',
      instances: [{ instanceType: 'ml.g5.xlarge', count: 1 }],
      spot: false,
      maxRuntimeSeconds: 3600,
    });
  });

  test('asks for what it is told', () => {
    const option = CapacityOption.onDemand('ml.m5.xlarge', {
      instanceCount: 4,
      volumeSize: Size.gibibytes(200),
      keepAlive: Duration.minutes(30),
      maxPending: Duration.days(1),
      trainingPlanArn: PLAN,
    });
    expect(() => take(option)).not.toThrow();
    expect(option._request()).toEqual({
      spot: false,
      maxPendingSeconds: 86_400,
      resources: {
        InstanceType: 'ml.m5.xlarge',
        InstanceCount: 4,
        VolumeSizeInGB: 200,
        KeepAlivePeriodInSeconds: 1800,
        TrainingPlanArn: PLAN,
      },
    });
    expect(option._spec(HOUR)).toMatchObject({ label: '4 × ml.m5.xlarge', keepAliveSeconds: 1800 });
    expect(option._instances).toBe(4);
  });

  test('takes a plan whose ARN is known only at deployment', () => {
    const trainingPlanArn = Lazy.string({ produce: () => PLAN });
    expect(() => take(CapacityOption.onDemand('ml.p5.48xlarge', { trainingPlanArn }))).not.toThrow();
  });
});

describe('CapacityOption.groups', () => {
  test('asks for machines of several kinds', () => {
    const option = CapacityOption.groups(groups('ml.g5.12xlarge', 'ml.c5.2xlarge'), { maxPending: Duration.hours(3) });
    expect(() => take(option)).not.toThrow();
    expect(option._request()).toEqual({
      spot: false,
      maxPendingSeconds: 10_800,
      resources: {
        InstanceGroups: [
          { InstanceGroupName: 'group-1', InstanceType: 'ml.g5.12xlarge', InstanceCount: 1 },
          { InstanceGroupName: 'group-2', InstanceType: 'ml.c5.2xlarge', InstanceCount: 2 },
        ],
        VolumeSizeInGB: 30,
      },
    });
    expect(option._spec(HOUR)).toMatchObject({
      label: 'ml.g5.12xlarge + 2 × ml.c5.2xlarge',
      instances: [
        { instanceType: 'ml.g5.12xlarge', count: 1 },
        { instanceType: 'ml.c5.2xlarge', count: 2 },
      ],
    });
    expect([option._gpus, option._instances]).toEqual([4, 3]);
  });

  test.each<[InstanceGroup[], string]>([
    [[], 'there must be 1 to 5 instance groups, got 0'],
    [groups(...Array.from({ length: 6 }, () => 'ml.c5.xlarge')), 'there must be 1 to 5 instance groups, got 6'],
    [
      [...groups('ml.c5.xlarge'), ...groups('ml.g5.xlarge')],
      'instance groups must have names of their own, got group-1, group-1',
    ],
    [
      [{ name: 'my group', instanceType: 'ml.c5.xlarge', instanceCount: 1 }],
      "an instance group's name must be up to 64 letters, digits, hyphens and underscores, got 'my group'",
    ],
    [
      [{ name: 'a', instanceType: 'ml.c5.xlarge', instanceCount: 0 }],
      '0 × ml.c5.xlarge: instanceCount must be a whole number from 1 to 1000, got 0',
    ],
    [groups('ml.c5.xlarge', 'ml.g5.huge'), 'training has no ml.g5.huge'],
  ])('refuses %j', (kinds, message) => {
    expect(() => take(CapacityOption.groups(kinds))).toThrow(message);
  });

  test('refuses to be kept, which SageMaker does not do', () => {
    expect(() => take(CapacityOption.groups(groups('ml.c5.xlarge'), { keepAlive: HOUR }))).toThrow(
      'ml.c5.xlarge: keepAlive must not be given, a cluster of several kinds is not kept',
    );
  });
});

describe('a capacity option', () => {
  const key = (optionOf: (volumeKey: kms.IKey) => CapacityOption) => {
    const stack = emptyStack();
    const volumeKey = new kms.Key(stack, 'Key');
    return { stack, volumeKey, option: optionOf(volumeKey) };
  };

  test('encrypts the volume with a key, which the training role may use for that', () => {
    const { stack, volumeKey, option } = key((volumeKey) => CapacityOption.spot('ml.p3.2xlarge', { volumeKey }));
    new TrainingPipeline(stack, 'Training', {
      dataset: new DatasetBucket(stack, 'Dataset'),
      ledger: new RunLedger(stack, 'Ledger'),
      registry: new ModelRegistry(stack, 'Registry'),
      contract: DataContract.fromObject(CONTRACT),
      trainer: trainer(option),
    });
    expect(option._request().resources.VolumeKmsKeyId).toBe(volumeKey.keyArn);
    const [policy] = Object.entries(Template.fromStack(stack).findResources('AWS::IAM::Policy'))
      .filter(([id]) => id.startsWith('TrainingTrainingRole'))
      .map(([, { Properties }]) => Properties.PolicyDocument.Statement);
    expect(policy).toContainEqual({
      Effect: 'Allow',
      Action: 'kms:CreateGrant',
      Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
      Resource: stack.resolve(volumeKey.keyArn),
    });
  });

  test.each(['ml.g4dn.xlarge', 'ml.g5.xlarge', 'ml.g6e.xlarge', 'ml.p4d.24xlarge', 'ml.p5.48xlarge', 'ml.r5d.xlarge'])(
    'refuses a key for %s, which has a local drive',
    (type) => {
      const { option } = key((volumeKey) => CapacityOption.onDemand(type, { volumeKey }));
      expect(() => take(option)).toThrow(
        `${type}: volumeKey must not be given, because the instance has a local drive that SageMaker encrypts itself`,
      );
    },
  );

  test('refuses a key where one kind of several has a local drive', () => {
    const { option } = key((volumeKey) => CapacityOption.groups(groups('ml.c5.xlarge', 'ml.g5.xlarge'), { volumeKey }));
    expect(() => take(option)).toThrow('volumeKey must not be given');
  });

  test.each<[OnDemandOptions, string]>([
    [{ instanceCount: 0 }, '0 × ml.m5.xlarge: instanceCount must be a whole number from 1 to 1000, got 0'],
    [{ instanceCount: 1001 }, 'instanceCount must be a whole number from 1 to 1000, got 1001'],
    [{ instanceCount: 1.5 }, 'instanceCount must be a whole number from 1 to 1000, got 1.5'],
    [{ volumeSize: Size.gibibytes(0) }, 'ml.m5.xlarge: volumeSize must be 1 GiB to 16 TiB, got 0 GiB'],
    [{ volumeSize: Size.tebibytes(17) }, 'volumeSize must be 1 GiB to 16 TiB, got 17408 GiB'],
    [{ keepAlive: Duration.hours(7) }, 'keepAlive must be 0 to 6 hours, got 7 hours'],
    [{ maxPending: HOUR }, 'maxPending must be 2 hours to 28 days, got 1 hour'],
    [{ maxPending: Duration.days(29) }, 'maxPending must be 2 hours to 28 days, got 29 days'],
    [{ trainingPlanArn: 'mine' }, "trainingPlanArn must be an ARN, got 'mine'"],
  ])('at the full price refuses %o', (options, message) => {
    expect(() => take(CapacityOption.onDemand('ml.m5.xlarge', options))).toThrow(message);
  });

  test.each<[SpotOptions, string]>([
    [{ maxWait: Duration.days(29) }, 'ml.m5.xlarge, spot: maxWait must be 0 to 28 days, got 29 days'],
    // what types do not allow, and plain JavaScript does all the same
    [{ keepAlive: HOUR } as SpotOptions, 'keepAlive must not be given, spot machines are not kept'],
    [
      { trainingPlanArn: PLAN } as SpotOptions,
      "trainingPlanArn must not be given, a plan's machines are no spot machines",
    ],
  ])('for spot machines refuses %o', (options, message) => {
    expect(() => take(CapacityOption.spot('ml.m5.xlarge', options))).toThrow(message);
  });

  test.each([
    ['g5.xlarge', "an instance type must look like ml.g5.2xlarge, got 'g5.xlarge'"],
    ['', "an instance type must look like ml.g5.2xlarge, got ''"],
    [
      'ml.g5.3xlarge',
      'training has no ml.g5.3xlarge, as far as this version knows; it has ml.g5.xlarge, ml.g5.2xlarge,',
    ],
    ['ml.g9.xlarge', 'it has ml.g4dn.xlarge, '],
    ['ml.z1.xlarge', 'it has none like it; tell gpuCount and gpuMemory if it is newer'],
    ['ml.m7g.xlarge', 'training has no ml.m7g.xlarge'], // Graviton serves, and does not train
  ])("refuses the type '%s'", (type, message) => {
    expect(() => take(CapacityOption.onDemand(type))).toThrow(message);
    expect(() => take(CapacityOption.spot(type))).toThrow(message);
  });

  test('takes a type that is not known yet, if told of its GPUs', () => {
    const newer = CapacityOption.spot('ml.p9.48xlarge', { gpuCount: 8, gpuMemory: Size.gibibytes(400) });
    expect(() => take(newer, Size.gibibytes(400))).not.toThrow();
    expect(newer._gpus).toBe(8);
    expect(() => take(newer, Size.gibibytes(401))).toThrow(
      'ml.p9.48xlarge, spot: gpuMemory needed is 401 GiB, and a GPU of ml.p9.48xlarge has 400; take one with more',
    );
    expect(() => take(CapacityOption.spot('ml.p9.48xlarge', { gpuCount: 8 }))).toThrow(
      'training has no ml.p9.48xlarge',
    );
    const plain = CapacityOption.onDemand('ml.m9i.large', { gpuCount: 0, gpuMemory: Size.gibibytes(0) });
    expect(() => take(plain)).not.toThrow();
    expect(plain._gpus).toBe(0);
  });

  test.each([
    [CapacityOption.onDemand('ml.g5.48xlarge'), 24, undefined],
    [CapacityOption.onDemand('ml.g5.48xlarge'), 25, 'gpuMemory needed is 25 GiB, and a GPU of ml.g5.48xlarge has 24'],
    [CapacityOption.spot('ml.p4de.24xlarge'), 80, undefined],
    [CapacityOption.onDemand('ml.m5.xlarge'), 1, 'gpuMemory needed is 1 GiB, and a GPU of ml.m5.xlarge has 0'],
    [
      CapacityOption.groups(groups('ml.g6e.xlarge', 'ml.g5.xlarge')),
      48,
      'a GPU of ml.g5.xlarge has 24; take one with more',
    ],
  ])('must have the memory that the model needs: %o, %i GiB', (option, needed, message) => {
    const taken = () => take(option, Size.gibibytes(needed));
    if (message === undefined) expect(taken).not.toThrow();
    else expect(taken).toThrow(message);
  });

  test('says all that is wrong with it', () => {
    const option = CapacityOption.onDemand('ml.g5.3xlarge', { instanceCount: 0, keepAlive: Duration.days(1) });
    expect(() => take(option)).toThrow(/training has no.*; .*instanceCount.*; .*keepAlive/);
  });

  test('asks for what its label says, and is legal, whatever its type and count', () => {
    const type = fc.constantFrom('ml.g5.xlarge', 'ml.m5.large', 'ml.p5.48xlarge');
    fc.assert(
      fc.property(type, fc.integer({ min: 1, max: 1000 }), fc.boolean(), (instanceType, instanceCount, spot) => {
        const option = (spot ? CapacityOption.spot : CapacityOption.onDemand)(instanceType, { instanceCount });
        const { resources } = option._request();
        const { label, instances } = option._spec(HOUR);
        expect(instances).toEqual([{ instanceType: resources.InstanceType, count: resources.InstanceCount }]);
        expect(label).toBe(`${instanceCount === 1 ? '' : `${instanceCount} × `}${instanceType}${spot ? ', spot' : ''}`);
        expect(option._mistakes()).toEqual([]);
      }),
    );
  });
});

describe('what is known of instances', () => {
  test.each([
    ['ml.g4dn.12xlarge', { gpus: 4, gpuMemory: 16, localDisk: true }],
    ['ml.g5.16xlarge', { gpus: 1, gpuMemory: 24, localDisk: true }],
    ['ml.g7e.12xlarge', { gpus: 2, gpuMemory: 96, localDisk: true }],
    ['ml.p5.4xlarge', { gpus: 1, gpuMemory: 80, localDisk: true }],
    ['ml.p3.16xlarge', { gpus: 8, gpuMemory: 16, localDisk: false }],
    ['ml.p6-b200.48xlarge', { gpus: 8, gpuMemory: 180, localDisk: true }],
    ['ml.c7i.large', { gpus: 0, gpuMemory: 0, localDisk: false }],
    ['ml.g5.metal', undefined],
    ['g5.xlarge', undefined],
  ])('%s: %j', (type, expected) => {
    expect(instanceOf(type)).toEqual(expected);
  });

  test('what is suggested can be had', () => {
    for (const wrong of ['ml.g5.huge', 'ml.p7.xlarge', 'ml.m9.large']) {
      const found = similarInstances(wrong);
      expect(found.length).toBeGreaterThan(0);
      expect(found.filter((type) => instanceOf(type) === undefined)).toEqual([]);
    }
  });
});
