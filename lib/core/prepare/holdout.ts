import type { HoldoutLabels } from '../judge/judgement';

/** Collects the labels of the holdout, and the slice of each row: a slice's values are named once, rows have their places. */
export class HoldoutCollector {
  private readonly labels: number[] = [];
  private readonly slices: ReadonlyArray<{
    readonly name: string;
    readonly codes: number[];
    readonly known: Map<string, number>;
  }>;

  constructor(slices: readonly string[]) {
    this.slices = slices.map((name) => ({ name, codes: [], known: new Map() }));
  }

  /**
   * Adds rows that follow those before.
   *
   * @param labels one per row
   * @param values by slice, in the order of the slices: one per row; null is the empty text
   */
  add(labels: readonly unknown[], values: ReadonlyArray<readonly unknown[]>): void {
    for (const label of labels) this.labels.push(label as number);
    for (const [i, { codes, known }] of this.slices.entries()) {
      for (const cell of values[i] ?? []) {
        const value = (cell ?? '') as string;
        const code = known.get(value) ?? known.size;
        known.set(value, code);
        codes.push(code);
      }
    }
  }

  get document(): HoldoutLabels {
    const slices = this.slices.map(({ name, codes, known }) => [name, { values: [...known.keys()], codes }] as const);
    return { labels: this.labels, slices: Object.fromEntries(slices) };
  }
}
