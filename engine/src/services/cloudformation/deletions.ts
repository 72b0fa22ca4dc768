import type { Resource, Service } from '../../service';
import type { Kept, StateStore } from '../../state/state-store';

/** What outlives a stack: data, and what was made by calls rather than by the template. */
const OUTLIVES = ['clock', 's3/', 'dynamodb/', 'sagemaker/', 'cloudwatch/metrics', 'cloudformation/'];

/** What must be known of the stacks that were deleted, when they are deployed again. */
export class Deletions {
  /** How often the app's stacks have been deleted. */
  readonly count: number;
  private readonly retained = new Map<string, Resource>();
  private readonly kept: { readonly count: Kept<{ readonly count: number }>; readonly retained: Kept<Resource> };

  constructor(private readonly store: StateStore) {
    this.kept = {
      count: store.collection('cloudformation/deletions', { count: 'number' }),
      retained: store.collection('cloudformation/retained', { type: 'string', physicalId: 'string' }),
    };
    let found = 0;
    this.kept.count.restore(({ count }) => {
      found = count;
    });
    this.kept.retained.restore((one, key) => this.retained.set(key, one));
    this.count = found;
  }

  /** Keeps what is true once the stacks are gone: their queues, rules, schedules and executions have gone with them. */
  record(retained: readonly Resource[]): void {
    this.store.keepOnly(OUTLIVES);
    this.kept.count.put('count', { count: this.count + 1 });
    for (const resource of retained) this.kept.retained.put(keyOf(resource), resource);
  }

  /**
   * Refuses what would be made under a name that something retained has, as CloudFormation does.
   *
   * @throws Error naming it, and what to do
   */
  refuseRetained(resources: readonly Resource[], services: readonly Service[]): void {
    if (this.retained.size === 0) return;
    const isHeld = (resource: Resource) => services.some((service) => service.holds?.(resource));
    for (const [key, resource] of this.retained) {
      if (!isHeld(resource)) this.kept.retained.delete(key); // somebody has deleted it since
      const other = resources.find((one) => keyOf(one) === key);
      if (other === undefined || !isHeld(resource)) continue;
      throw new Error(
        `${other.path}: ${other.physicalId} of type ${other.type} already exists: it was retained when its stack was deleted; give the new one another name, or begin with another state folder`,
      );
    }
  }
}

function keyOf({ type, physicalId }: Pick<Resource, 'type' | 'physicalId'>): string {
  return `${type}/${physicalId}`;
}
