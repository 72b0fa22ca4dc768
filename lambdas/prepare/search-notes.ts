import { nextRevision, type Row } from '../../lib/core/ledger/rows';
import { NOT_BEGUN, resumed, type Search } from '../../lib/core/prepare/search';
import { current, type Ledger } from '../ledger/ledger';

/** What is known of all attempts of a run to prepare its data. */
export class SearchNotes {
  search = NOT_BEGUN;
  private revision: unknown = 0;

  constructor(
    private readonly row: Row,
    private readonly ledger: Pick<Ledger, 'find' | 'swap'> | undefined,
  ) {}

  /** Reads what earlier attempts have noted; what one of them was at when it died, has failed. */
  async open(): Promise<void> {
    if (this.ledger === undefined) return;
    const { value, revision } = await current<object>(this.ledger, { ...this.row, nothing: NOT_BEGUN });
    this.revision = revision;
    this.search = resumed(value);
  }

  /** Notes what is done next; it is durable before it is done. */
  async write(search: Search): Promise<void> {
    this.search = search;
    if (this.ledger === undefined) return;
    if (!(await this.ledger.swap(this.row, this.revision, search))) {
      throw new Error('another attempt prepares the same data: this one ends');
    }
    this.revision = nextRevision(this.revision);
  }
}
