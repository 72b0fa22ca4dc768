import { Duration, Size } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { CapacityOptionSpec } from '../core/train/attempts';
import { hasLocalDisk, instanceOf, similarInstances } from '../core/train/instances';
import { INSTANCE_TYPE, noCount, outside } from '../private/validate';

/** What every {@link CapacityOption} may say of its machines. */
export interface CapacityOptionProps {
  /**
   * How many instances train together; from two on, the trainer must know how.
   *
   * @default 1
   */
  readonly instanceCount?: number;

  /**
   * The volume for data, checkpoints and model. Instances with a local drive have that instead, of their own size.
   *
   * @default Size.gibibytes(30)
   */
  readonly volumeSize?: Size;

  /**
   * What encrypts the volume. Instances with a local drive (most with a GPU) encrypt it by themselves and take no key.
   *
   * @default - the pipeline's encryptionKey, else SageMaker's own key
   */
  readonly volumeKey?: kms.IKey;

  /**
   * The memory of one GPU, for an instance type that this version does not know yet.
   *
   * @default - from the table of known instance types
   */
  readonly gpuMemory?: Size;

  /**
   * The GPUs of one instance, for an instance type that this version does not know yet.
   *
   * @default - from the table of known instance types
   */
  readonly gpuCount?: number;
}

/** What {@link CapacityOption.spot} may be told. */
export interface SpotOptions extends CapacityOptionProps {
  /**
   * How long a job may wait for a spot machine, at first and after interruptions together, besides the time that it runs.
   *
   * @default Duration.hours(1)
   */
  readonly maxWait?: Duration;
}

/** What {@link CapacityOption.onDemand} may be told. */
export interface OnDemandOptions extends CapacityOptionProps {
  /**
   * How long the machines are kept for the next job, and paid for: 0 to 6 hours. Needs a quota for warm pools; without
   * one SageMaker silently keeps none. Machines in a cluster of several kinds cannot be kept.
   *
   * @default - they are given back at once
   */
  readonly keepAlive?: Duration;

  /**
   * How long a job may wait for its machines: 2 hours to 28 days. SageMaker heeds it for machines with a GPU.
   *
   * @default - as long as SageMaker lets it
   */
  readonly maxPending?: Duration;

  /**
   * The ARN of a training plan, whose reserved machines are used.
   *
   * @default - no plan
   */
  readonly trainingPlanArn?: string;
}

/** Machines of one kind in a cluster of several kinds. */
export interface InstanceGroup {
  /** How the script's channels and `SM_*` variables name the group: up to 64 letters, digits, hyphens and underscores. */
  readonly name: string;

  /** e.g. `ml.g5.2xlarge` */
  readonly instanceType: string;

  /** How many. */
  readonly instanceCount: number;
}

/** The request's members that say on what machines a job runs, and when it ends. */
export interface CapacityOptionRequest {
  readonly resources: Record<string, unknown>;
  readonly spot: boolean;
  readonly maxPendingSeconds?: number;
}

/**
 * One way to get machines for training. Several are tried in order until one has trained the model; all attempts of a
 * run go on from the same checkpoints.
 */
export class CapacityOption {
  /** Spot machines: cheaper by up to two thirds, and may be taken away; the job then goes on from its checkpoint. */
  public static spot(instanceType: string, options: SpotOptions = {}): CapacityOption {
    return new CapacityOption([{ name: '', instanceType, instanceCount: options.instanceCount ?? 1 }], options, 'spot');
  }

  /** Machines at the full price, which stay until the job ends. */
  public static onDemand(instanceType: string, options: OnDemandOptions = {}): CapacityOption {
    return new CapacityOption(
      [{ name: '', instanceType, instanceCount: options.instanceCount ?? 1 }],
      options,
      'on demand',
    );
  }

  /** A cluster of machines of several kinds, at the full price: up to 5 groups. */
  public static groups(groups: InstanceGroup[], options: OnDemandOptions = {}): CapacityOption {
    return new CapacityOption(groups, options, 'groups');
  }

  private constructor(
    private readonly groups: InstanceGroup[],
    private readonly options: SpotOptions & OnDemandOptions,
    private readonly kind: 'spot' | 'on demand' | 'groups',
  ) {}

  /** What encrypts the volume, where nobody has said so for this capacity option: a key, unless a machine can take none. @internal */
  public _volumeKey(encryptionKey: kms.IKey | undefined): kms.IKey | undefined {
    const { volumeKey } = this.options;
    return (
      volumeKey ?? (this.groups.some(({ instanceType }) => hasLocalDisk(instanceType)) ? undefined : encryptionKey)
    );
  }

  /** GPUs of each instance, at most; 0 where there are none. @internal */
  public get _gpus(): number {
    return Math.max(
      ...this.groups.map(({ instanceType }) => this.options.gpuCount ?? instanceOf(instanceType)?.gpus ?? 0),
    );
  }

  /** All instances together. @internal */
  public get _instances(): number {
    return this.groups.reduce((sum, { instanceCount }) => sum + instanceCount, 0);
  }

  /** What is wrong with the capacity option. @internal */
  public _mistakes(neededGpuMemory?: Size): string[] {
    const { volumeKey, volumeSize, keepAlive, maxPending, maxWait, gpuMemory, gpuCount, trainingPlanArn } =
      this.options;
    const name = this._label;
    const types = this.groups.map(({ instanceType }) => instanceType);
    const isTold = gpuMemory !== undefined && gpuCount !== undefined;
    const mistakes: Array<string | false> = [
      ...types.map(
        (type) => !INSTANCE_TYPE.test(type) && `an instance type must look like ml.g5.2xlarge, got '${type}'`,
      ),
      ...types.map(
        (type) =>
          INSTANCE_TYPE.test(type) &&
          instanceOf(type) === undefined &&
          !isTold &&
          `training has no ${type}, as far as this version knows; it has ${similarInstances(type).join(', ') || 'none like it'}; tell gpuCount and gpuMemory if it is newer`,
      ),
      ...this.groups.map(
        ({ instanceCount }) =>
          noCount(instanceCount, 1, 1000) &&
          `${name}: instanceCount must be a whole number from 1 to 1000, got ${instanceCount}`,
      ),
      volumeSize !== undefined &&
        outside(volumeSize.toGibibytes(), 1, 16_384) &&
        `${name}: volumeSize must be 1 GiB to 16 TiB, got ${volumeSize.toGibibytes()} GiB`,
      volumeKey !== undefined &&
        types.some((type) => instanceOf(type)?.localDisk) &&
        `${name}: volumeKey must not be given, because the instance has a local drive that SageMaker encrypts itself`,
      keepAlive !== undefined &&
        outside(keepAlive.toSeconds(), 0, 21_600) &&
        `${name}: keepAlive must be 0 to 6 hours, got ${keepAlive.toHumanString()}`,
      maxPending !== undefined &&
        outside(maxPending.toSeconds(), 7_200, 2_419_200) &&
        `${name}: maxPending must be 2 hours to 28 days, got ${maxPending.toHumanString()}`,
      maxWait !== undefined &&
        outside(maxWait.toSeconds(), 0, 28 * 86_400) &&
        `${name}: maxWait must be 0 to 28 days, got ${maxWait.toHumanString()}`,
      // what plain JavaScript, or another language, may ask for all the same
      this.kind === 'spot' &&
        keepAlive !== undefined &&
        `${name}: keepAlive must not be given, spot machines are not kept`,
      this.kind === 'spot' &&
        trainingPlanArn !== undefined &&
        `${name}: trainingPlanArn must not be given, a plan's machines are no spot machines`,
      trainingPlanArn !== undefined &&
        !/^arn:|\$\{Token/.test(trainingPlanArn) &&
        `${name}: trainingPlanArn must be an ARN, got '${trainingPlanArn}'`,
    ];
    if (this.kind === 'groups') {
      const names = this.groups.map((group) => group.name);
      mistakes.push(
        // https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html#train-warm-pools-considerations
        keepAlive !== undefined && `${name}: keepAlive must not be given, a cluster of several kinds is not kept`,
        (names.length < 1 || names.length > 5) && `there must be 1 to 5 instance groups, got ${names.length}`,
        new Set(names).size < names.length && `instance groups must have names of their own, got ${names.join(', ')}`,
        ...names.map(
          (group) =>
            !/^[a-zA-Z0-9_-]{1,64}$/.test(group) &&
            `an instance group's name must be up to 64 letters, digits, hyphens and underscores, got '${group}'`,
        ),
      );
    }
    if (neededGpuMemory !== undefined) {
      const needed = neededGpuMemory.toGibibytes();
      for (const type of types) {
        const has = gpuMemory?.toGibibytes() ?? instanceOf(type)?.gpuMemory ?? 0;
        mistakes.push(
          has < needed &&
            `${name}: gpuMemory needed is ${needed} GiB, and a GPU of ${type} has ${has}; take one with more`,
        );
      }
    }
    return mistakes.filter((mistake) => mistake !== false);
  }

  /** As the machine's functions know it. @internal */
  public _spec(maxDuration: Duration): CapacityOptionSpec {
    const { keepAlive, maxWait } = this.options;
    return {
      label: this._label,
      instances: this.groups.map(({ instanceType, instanceCount }) => ({ instanceType, count: instanceCount })),
      spot: this.kind === 'spot',
      maxRuntimeSeconds: maxDuration.toSeconds(),
      ...(this.kind === 'spot' && { maxWaitSeconds: (maxWait ?? Duration.hours(1)).toSeconds() }),
      ...(keepAlive !== undefined && { keepAliveSeconds: keepAlive.toSeconds() }),
    };
  }

  /** As the job's request has it. @internal */
  public _request(encryptionKey?: kms.IKey): CapacityOptionRequest {
    const { volumeSize, keepAlive, maxPending, trainingPlanArn } = this.options;
    const [first] = this.groups;
    const volumeKey = this._volumeKey(encryptionKey);
    return {
      spot: this.kind === 'spot',
      resources: {
        ...(this.kind === 'groups'
          ? {
              InstanceGroups: this.groups.map(({ name, instanceType, instanceCount }) => ({
                InstanceGroupName: name,
                InstanceType: instanceType,
                InstanceCount: instanceCount,
              })),
            }
          : { InstanceType: first?.instanceType, InstanceCount: first?.instanceCount }),
        VolumeSizeInGB: (volumeSize ?? Size.gibibytes(30)).toGibibytes(),
        ...(volumeKey !== undefined && { VolumeKmsKeyId: volumeKey.keyArn }),
        ...(keepAlive !== undefined && { KeepAlivePeriodInSeconds: keepAlive.toSeconds() }),
        ...(trainingPlanArn !== undefined && { TrainingPlanArn: trainingPlanArn }),
      },
      ...(maxPending !== undefined && { maxPendingSeconds: maxPending.toSeconds() }),
    };
  }

  private get _label(): string {
    const machines = this.groups.map(({ instanceType, instanceCount }) =>
      instanceCount === 1 ? instanceType : `${instanceCount} × ${instanceType}`,
    );
    return this.kind === 'spot' ? `${machines.join(' + ')}, spot` : machines.join(' + ');
  }
}
