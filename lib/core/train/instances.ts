/** A family of instances that training jobs may use. */
interface Family {
  /** e.g. `xlarge 2xlarge` */
  readonly sizes: string;
  /** GPUs of the sizes that have any; one where a size is not named. */
  readonly gpus?: Readonly<Record<string, number>>;
  /** GiB of one GPU. */
  readonly gpuMemory?: number;
  /** Whether the disk is a local NVMe drive: it has the instance's own size, and no key of one's own can encrypt it. */
  readonly localDisk?: true;
}

const FOUR_AND_EIGHT = { '12xlarge': 4, '24xlarge': 4, '48xlarge': 8 };
const GENERAL = 'large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge';

/**
 * The instances that `CreateTrainingJob` accepts; those that one cannot get any more (m4, c4, p2) left out.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
 */
const FAMILIES: Readonly<Record<string, Family>> = {
  t3: { sizes: 'medium large xlarge 2xlarge' },
  m5: { sizes: 'large xlarge 2xlarge 4xlarge 12xlarge 24xlarge' },
  m6i: { sizes: `${GENERAL} 32xlarge` },
  m7i: { sizes: `${GENERAL} 48xlarge` },
  m8i: { sizes: `${GENERAL} 32xlarge 48xlarge 96xlarge` },
  c5: { sizes: 'xlarge 2xlarge 4xlarge 9xlarge 18xlarge' },
  c5n: { sizes: 'xlarge 2xlarge 4xlarge 9xlarge 18xlarge' },
  c6i: { sizes: 'xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge' },
  c7i: { sizes: `${GENERAL} 48xlarge` },
  c8i: { sizes: 'xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge' },
  r5: { sizes: GENERAL },
  r5d: { sizes: GENERAL, localDisk: true },
  r6i: { sizes: `${GENERAL} 32xlarge` },
  r7i: { sizes: `${GENERAL} 48xlarge` },
  r8i: { sizes: `${GENERAL} 32xlarge 48xlarge 96xlarge` },
  g4dn: {
    sizes: 'xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge',
    gpus: { '12xlarge': 4 },
    gpuMemory: 16,
    localDisk: true,
  },
  g5: {
    sizes: 'xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge',
    gpus: FOUR_AND_EIGHT,
    gpuMemory: 24,
    localDisk: true,
  },
  g6: {
    sizes: 'xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge',
    gpus: FOUR_AND_EIGHT,
    gpuMemory: 24,
    localDisk: true,
  },
  g6e: {
    sizes: 'xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge',
    gpus: FOUR_AND_EIGHT,
    gpuMemory: 48,
    localDisk: true,
  },
  g7e: {
    sizes: '2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge',
    gpus: { '12xlarge': 2, '24xlarge': 4, '48xlarge': 8 },
    gpuMemory: 96,
    localDisk: true,
  },
  p3: { sizes: '2xlarge 8xlarge 16xlarge', gpus: { '8xlarge': 4, '16xlarge': 8 }, gpuMemory: 16 },
  p3dn: { sizes: '24xlarge', gpus: { '24xlarge': 8 }, gpuMemory: 32, localDisk: true },
  p4d: { sizes: '24xlarge', gpus: { '24xlarge': 8 }, gpuMemory: 40, localDisk: true },
  p4de: { sizes: '24xlarge', gpus: { '24xlarge': 8 }, gpuMemory: 80, localDisk: true },
  p5: { sizes: '4xlarge 48xlarge', gpus: { '48xlarge': 8 }, gpuMemory: 80, localDisk: true },
  p5e: { sizes: '48xlarge', gpus: { '48xlarge': 8 }, gpuMemory: 141, localDisk: true },
  p5en: { sizes: '48xlarge', gpus: { '48xlarge': 8 }, gpuMemory: 141, localDisk: true },
  'p6-b200': { sizes: '48xlarge', gpus: { '48xlarge': 8 }, gpuMemory: 180, localDisk: true },
  'p6-b300': { sizes: '48xlarge', gpus: { '48xlarge': 8 }, gpuMemory: 268, localDisk: true },
};

/** What is known of an instance that trains. */
export interface Instance {
  /** GPUs of one instance; 0 where it has none. */
  readonly gpus: number;
  /** GiB of one GPU; 0 where there is none. */
  readonly gpuMemory: number;
  /** Whether its disk is a local NVMe drive. */
  readonly localDisk: boolean;
}

/** What is known of an instance type, e.g. `ml.g5.2xlarge`; undefined if training jobs cannot have it. */
export function instanceOf(type: string): Instance | undefined {
  const [, name = '', size = ''] = /^ml\.([a-z0-9-]+)\.([a-z0-9]+)$/.exec(type) ?? [];
  const family = FAMILIES[name];
  if (family === undefined || !family.sizes.split(' ').includes(size)) return undefined;
  const { gpus, gpuMemory = 0, localDisk = false } = family;
  return { gpus: gpuMemory === 0 ? 0 : (gpus?.[size] ?? 1), gpuMemory, localDisk };
}

/** Families with a local NVMe drive: a `d` after the generation says so, and of what has accelerators the newer ones. */
const LOCAL_DISK = /^ml\.([a-z]+\d+[a-z]*d[a-z]*|g[5-9][a-z]*|p[5-9][a-z0-9-]*|trn\d+[a-z]*)\./;

/**
 * Whether an instance that trains or serves keeps its data on a local drive, which encrypts it by itself.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
 */
export function hasLocalDisk(type: string): boolean {
  return instanceOf(type)?.localDisk ?? LOCAL_DISK.test(type);
}

/** Instance types that training jobs can have and that look like this one, for messages. */
export function similarInstances(type: string): string[] {
  const family = type.replace(/^ml\./, '').split('.')[0] ?? '';
  const names = Object.keys(FAMILIES).filter((name) => name === family);
  const near = names.length > 0 ? names : Object.keys(FAMILIES).filter((name) => name[0] === family[0]);
  return near.flatMap((name) => (FAMILIES[name] as Family).sizes.split(' ').map((size) => `ml.${name}.${size}`));
}
