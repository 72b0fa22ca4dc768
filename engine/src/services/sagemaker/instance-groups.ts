import type { TrainingRequest } from './requests';

/** Instances of one type, as `InstanceGroups` has them. */
export interface InstanceGroup {
  readonly InstanceGroupName: string;
  readonly InstanceType: string;
  readonly InstanceCount: number;
}

/** The groups of instances that a request asks for: one without a name of its own, unless it names several. */
export function groupsOf(resources: TrainingRequest['ResourceConfig']): InstanceGroup[] {
  const { InstanceType = '', InstanceCount = 0, InstanceGroups } = resources;
  return InstanceGroups ?? [{ InstanceGroupName: 'homogeneousCluster', InstanceType, InstanceCount }];
}

/** The hosts' names, in the order of the groups. */
export function hostNames(groups: readonly InstanceGroup[]): string[] {
  const count = groups.reduce((sum, { InstanceCount }) => sum + InstanceCount, 0);
  return Array.from({ length: count }, (_, i) => `algo-${i + 1}`);
}
