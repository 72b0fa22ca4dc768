import type { Context } from '../service';
import type { Kept, Members } from '../state/state-store';

export interface OutboxOptions<T> {
  /** In the store, e.g. `events/deliveries`. */
  readonly name: string;
  readonly members: Members;
  /** What is being done, for the list of what keeps the engine busy. */
  readonly label: (item: T) => string;
  /** Several of them, for the person who starts the engine, e.g. `deliveries of events`. */
  readonly plural: string;
  /**
   * Does it; ends early when the engine stops.
   *
   * @param progress keeps how far it has come, so that a restart goes on from there
   */
  readonly work: (item: T, progress: (item: T) => void) => Promise<void>;
}

/**
 * Work that nobody awaits and that is done at least once, also if the engine ends before: it is kept until it is done,
 * and the next start does it again.
 */
export class Outbox<T> {
  private readonly kept: Kept<T>;
  private last = 0;

  constructor(
    private readonly context: Context,
    private readonly options: OutboxOptions<T>,
  ) {
    this.kept = context.store.collection(options.name, options.members);
    const left: [number, T][] = [];
    this.kept.restore((item, key) => left.push([Number(key), item]));
    if (left.length === 0) return;
    left.sort(([one], [other]) => one - other);
    this.last = left.at(-1)?.[0] ?? 0;
    context.recovered(`${options.plural} that were not done yet are done now: ${left.length}`);
    context.whenReady(() => {
      for (const [number, item] of left) this.begin(number, item);
    });
  }

  /** Keeps it, together with what else is being changed, and begins. */
  add(item: T): void {
    this.last += 1;
    this.kept.put(String(this.last), item);
    this.begin(this.last, item);
  }

  private begin(number: number, item: T): void {
    const { label, work } = this.options;
    this.context.background(label(item), async () => {
      try {
        await work(item, (further) => this.kept.put(String(number), further));
      } finally {
        if (!this.context.signal.aborted) this.kept.delete(String(number));
      }
    });
  }
}
