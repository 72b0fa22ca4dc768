const FOUR_AND_EIGHT = { '12xlarge': 4, '24xlarge': 4, '48xlarge': 8 };

/** GPUs of the sizes that have several, of each family that trains. */
const SEVERAL_GPUS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  g4dn: { '12xlarge': 4 },
  g5: FOUR_AND_EIGHT,
  g6: FOUR_AND_EIGHT,
  g6e: FOUR_AND_EIGHT,
  g7e: { '12xlarge': 2, '24xlarge': 4, '48xlarge': 8 },
  p3: { '8xlarge': 4, '16xlarge': 8 },
  p3dn: { '24xlarge': 8 },
  p4d: { '24xlarge': 8 },
  p4de: { '24xlarge': 8 },
  p5: { '48xlarge': 8 },
  p5e: { '48xlarge': 8 },
  p5en: { '48xlarge': 8 },
  'p6-b200': { '48xlarge': 8 },
  'p6-b300': { '48xlarge': 8 },
};

/** Families with a local NVMe drive: a `d` after the generation says so, and of what has accelerators the newer ones. */
const LOCAL_DISK = /^ml\.([a-z]+\d+[a-z]*d[a-z]*|g[5-9][a-z]*|p[5-9][a-z0-9-]*|trn\d+[a-z]*)\./;

/** How many processes torchrun starts on an instance: one for each GPU, and one where there is none. */
export function processesOn(type: string): number {
  const [, family = '', size = ''] = /^ml\.([a-z0-9-]+)\.([a-z0-9]+)$/.exec(type) ?? [];
  return SEVERAL_GPUS[family]?.[size] ?? 1;
}

/** Whether an instance keeps its data on a local drive, which encrypts it by itself. */
export function hasLocalDisk(type: string): boolean {
  return LOCAL_DISK.test(type);
}
