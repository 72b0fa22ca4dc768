/** What an hour of an instance costs, and how far that can be trusted. */
export interface Price {
  readonly instanceType: string;
  /** USD an hour and instance, on demand. */
  readonly usdPerHour: number;
  /** ISO date on which it was so. */
  readonly asOf: string;
  /** `list`: read off AWS's price list on that day; `derived`: EC2's list price and SageMaker's usual premium; `own`: told by the app. */
  readonly source: 'list' | 'derived' | 'own';
}

const list = (asOf: string, usdPerHour: number) => ({ asOf, usdPerHour, source: 'list' as const });
const derived = (usdPerHour: number) => ({ asOf: '2026-11-23', usdPerHour, source: 'derived' as const });

/**
 * Training's on-demand prices by region. What is not here is unknown and printed as such: a guess would be believed.
 * SageMaker's price is not always EC2's plus a premium (the g6e family trains at EC2's own price).
 *
 * @see https://aws.amazon.com/sagemaker/ai/pricing/
 */
const TRAINING: Readonly<Record<string, Readonly<Record<string, Omit<Price, 'instanceType'>>>>> = {
  'us-east-1': {
    'ml.m5.large': list('2026-08-11', 0.115),
    'ml.m5.xlarge': derived(0.23),
    'ml.m5.2xlarge': derived(0.461),
    'ml.m5.4xlarge': derived(0.922),
    'ml.m6i.large': derived(0.115),
    'ml.m6i.xlarge': derived(0.23),
    'ml.m6i.2xlarge': derived(0.461),
    'ml.m6i.4xlarge': derived(0.922),
    'ml.m7i.large': derived(0.121),
    'ml.m7i.xlarge': derived(0.242),
    'ml.m7i.2xlarge': derived(0.484),
    'ml.m7i.4xlarge': derived(0.968),
    'ml.c5.xlarge': derived(0.204),
    'ml.c7i.large': derived(0.107),
    'ml.c7i.xlarge': derived(0.214),
    'ml.c7i.2xlarge': derived(0.428),
    'ml.c7i.4xlarge': derived(0.857),
    'ml.g4dn.xlarge': derived(0.7364),
    'ml.g5.xlarge': list('2026-08-17', 1.408),
    'ml.g5.2xlarge': list('2026-08-20', 1.515),
    'ml.g5.4xlarge': derived(2.03),
    'ml.g5.8xlarge': derived(3.06),
    'ml.g5.12xlarge': derived(7.09),
    'ml.g5.24xlarge': derived(10.18),
    'ml.g5.48xlarge': derived(20.36),
    'ml.g6e.xlarge': list('2026-05-01', 1.861),
    'ml.g6e.2xlarge': list('2026-05-01', 2.24),
    'ml.g6e.12xlarge': list('2026-05-01', 10.49),
    'ml.g7e.2xlarge': list('2026-05-01', 3.36),
  },
};

/**
 * What an hour of training on an instance costs; undefined if nobody knows.
 *
 * @param own the app's own prices, in USD an hour by instance type, which go before ours
 */
export function trainingPrice(
  region: string,
  instanceType: string,
  own: Readonly<Record<string, number>> = {},
): Price | undefined {
  const told = own[instanceType];
  if (told !== undefined) return { instanceType, usdPerHour: told, asOf: '', source: 'own' };
  const known = TRAINING[region]?.[instanceType];
  return known && { instanceType, ...known };
}

/** An amount of money as a person reads it; unknown where there is none. */
export function usd(amount: number | undefined): string {
  return amount === undefined ? 'unknown' : `${money(amount)} USD`;
}

/** The same without its unit: cents, and less where it is less. */
export function money(amount: number): string {
  const most = amount !== 0 && amount < 1 ? 4 : 2;
  return amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: most });
}
