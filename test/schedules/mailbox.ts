import { type Agenda, MINUTE } from './agenda';

interface Letter {
  readonly id: string;
  readonly body: string;
  visibleAt: number;
  receives: number;
}

/** A queue with its dead letters, and the function that takes from it. */
export class Mailbox {
  readonly dead: string[] = [];
  readonly letters: Letter[] = [];
  /** When the queue is looked into next. */
  private polls = Number.POSITIVE_INFINITY;
  private ids = 0;

  /** @param take handles a batch; gives the ids of those that are to come again, and throws if all are */
  constructor(
    private readonly agenda: Agenda,
    private readonly take: (batch: ReadonlyArray<{ readonly messageId: string; readonly body: string }>) => Promise<{
      readonly batchItemFailures: ReadonlyArray<{ readonly itemIdentifier: string }>;
    }>,
    private readonly visibility = 13 * MINUTE,
    private readonly window = MINUTE,
  ) {}

  put(body: string): void {
    this.letters.push({ id: `m${this.ids++}`, body, visibleAt: this.agenda.time, receives: 0 });
    this.poll(this.window);
  }

  private poll(wait: number): void {
    const at = this.agenda.time + wait;
    if (this.polls <= at) return;
    this.polls = at;
    this.agenda.in(wait, async () => {
      if (this.polls !== at) return; // an earlier one has come in between
      this.polls = Number.POSITIVE_INFINITY;
      await this.receive();
      const waiting = this.letters.map(({ visibleAt }) => visibleAt - this.agenda.time);
      if (waiting.length > 0) this.poll(Math.max(this.window, Math.min(...waiting)));
    });
  }

  private async receive(): Promise<void> {
    const { dice, time } = this.agenda;
    const visible = this.letters.filter(({ visibleAt }) => visibleAt <= time);
    for (const letter of visible) {
      if (letter.receives >= 5) {
        this.letters.splice(this.letters.indexOf(letter), 1);
        this.dead.push(letter.body);
      }
    }
    const taken = visible.filter(({ receives }) => receives < 5).slice(0, 100);
    for (let i = taken.length - 1; i > 0; i--) {
      const j = dice.whole(i + 1);
      [taken[i], taken[j]] = [taken[j] as Letter, taken[i] as Letter];
    }
    for (const letter of taken) {
      letter.receives++;
      letter.visibleAt = time + this.visibility;
    }
    // two functions may be at work at once
    const cut = dice.chance(0.3) ? dice.whole(taken.length + 1) : taken.length;
    await Promise.all([taken.slice(0, cut), taken.slice(cut)].map((batch) => this.handle(batch)));
  }

  private async handle(batch: readonly Letter[]): Promise<void> {
    if (batch.length === 0) return;
    let again: ReadonlySet<string>;
    try {
      const { batchItemFailures } = await this.take(batch.map(({ id, body }) => ({ messageId: id, body })));
      again = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    } catch {
      return; // all of them come again
    }
    for (const letter of batch) if (!again.has(letter.id)) this.letters.splice(this.letters.indexOf(letter), 1);
  }
}
