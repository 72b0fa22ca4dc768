import { ApiError } from '../../service';
import { updated } from './evaluate';
import { type Path, parseUpdate } from './expression';
import { conditionOf, placeholdersOf } from './read';
import type { WriteRequest } from './requests';
import { namesOf, type Table } from './table';
import { type Item, invalid } from './values';

/** A write that has been checked and not yet been done. */
export interface Write {
  readonly table: Table;
  readonly key: Item;
  readonly before: Item | undefined;
  /** What the item becomes; undefined if it is deleted. */
  readonly after: Item | undefined;
  /** The attributes that an update names. */
  readonly touched?: readonly string[];
}

export type WriteKind = 'Put' | 'Update' | 'Delete' | 'ConditionCheck';

/** Checks a write against the table as it is; throws `ConditionalCheckFailedException` if its condition does not hold. */
export function prepare(kind: WriteKind, table: Table, input: WriteRequest): Write {
  const expressions = kind === 'Update' ? ['UpdateExpression', 'ConditionExpression'] : ['ConditionExpression'];
  const placeholders = placeholdersOf(input, expressions);
  const item = kind === 'Put' ? table.checked(input.Item ?? {}) : undefined;
  const key = item ? table.keyOf(item) : table.checkedKey(input.Key);
  const before = table.get(key);
  const met = conditionOf(input, placeholders);
  const text = kind === 'Update' ? input.UpdateExpression : undefined;
  const update = text === undefined ? undefined : parseUpdate(text, placeholders);
  placeholders.checkUsed();
  if (!met(before)) {
    const details = input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && before ? { Item: before } : {};
    throw new ApiError('ConditionalCheckFailedException', 'The conditional request failed', 400, details);
  }
  if (kind === 'Put') return { table, key, before, after: item };
  if (kind === 'Delete') return { table, key, before, after: undefined };
  if (kind === 'ConditionCheck') return { table, key, before, after: before };
  const base = before ?? key;
  if (!update) return { table, key, before, after: base, touched: [] };

  const paths: Path[] = [...update.set, ...update.add, ...update.delete].map(({ path }) => path);
  const touched = [...paths, ...update.remove].map(([name]) => String(name));
  for (const name of namesOf(table.keys)) {
    if (touched.includes(name)) {
      throw invalid(
        `One or more parameter values were invalid: Cannot update attribute ${name}. This attribute is part of the key`,
      );
    }
  }
  return { table, key, before, after: table.checkedUpdate(updated(update, base), touched), touched };
}

/** The attributes that a reply shows. */
export function returned(write: Write, wanted = 'NONE', allowed = ['NONE', 'ALL_OLD']): { Attributes?: Item } {
  if (!allowed.includes(wanted)) throw invalid('ReturnValues can only be ALL_OLD or NONE');
  const { before, after, touched = [] } = write;
  const only = (item: Item | undefined) =>
    item && Object.fromEntries(Object.entries(item).filter(([name]) => touched.includes(name)));
  const shown = {
    NONE: undefined,
    ALL_OLD: before,
    ALL_NEW: after,
    UPDATED_OLD: only(before),
    UPDATED_NEW: only(after),
  }[wanted];
  return shown && Object.keys(shown).length > 0 ? { Attributes: shown } : {};
}
