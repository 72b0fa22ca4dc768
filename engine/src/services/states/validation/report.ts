import { shortened } from '../../../engine/text';

/** Collects what is wrong with a definition: each fault with Step Functions' code and words, and its place. */
export class Report {
  readonly faults: string[] = [];

  /** A fault of form: a field that is missing, unknown or of the wrong kind. */
  schema(at: string, message: string, more?: Detail): void {
    this.add('SCHEMA_VALIDATION_FAILED', at, message, more);
  }

  /** @param at e.g. `/States/Train/Retry[0]/BackoffRate` */
  add(code: string, at: string, message: string, { got, allowed }: Detail = {}): void {
    const details = [
      ...(got === undefined ? [] : [`got ${shown(got)}`]),
      ...(allowed === undefined ? [] : [`allowed: ${allowed}`]),
    ];
    this.faults.push(`${code}: ${message} at ${at || '/'}${details.length > 0 ? ` (${details.join('; ')})` : ''}`);
  }

  /** What Step Functions takes and the engine does not run. */
  unsupported(at: string, message: string): void {
    this.faults.push(`the local engine ${message} at ${at}`);
  }
}

export interface Detail {
  readonly got?: unknown;
  /** In words. */
  readonly allowed?: string;
}

/** A value as messages show it. */
function shown(value: unknown): string {
  return shortened(JSON.stringify(value) ?? String(value), 200);
}
