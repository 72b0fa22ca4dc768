import { isDeepStrictEqual } from 'node:util';
import { contractId, parseContract } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { RIDES } from '../support/preparation';
import { anyJson, fuzz, mutated, type Tally } from './mutate';

/** A contract that has everything a contract can have. */
const FULL = {
  columns: [
    { name: 'id', type: 'string', unique: true },
    { name: 'day', type: 'date', minimum: '1987-01-01', maximum: '2040-01-01' },
    { name: 'delay', type: 'integer', minimum: -60, maximum: 3000, nullable: true },
    { name: 'code', type: 'integer', allowed: [1, 2, 3] },
    { name: 'origin', type: 'string', allowed: ['BOS', 'JFK'] },
    { name: 'distance', type: 'number', minimum: 0.5 },
  ],
  key: 'id',
  eventTime: 'day',
  features: [
    'distance',
    'origin',
    { name: 'hour', sql: 'hour(day)', kind: 'number' },
    { name: 'code', kind: 'category' },
  ],
  target: { name: 'late', sql: 'delay > 15', problem: 'binary' },
  slices: ['origin', 'code'],
  maxBadShare: 0.1,
};

/** A message must fit into an event, an item and a cause. */
const LONGEST_MESSAGE = 15_000;

/**
 * Whatever JSON is given, `parseContract` gives a contract that it accepts again and gives the same again,
 * or INVALID_DOCUMENT that names the mistake.
 */
export function fuzzContract(cases: number): Promise<Tally> {
  return fuzz('contracts', cases, (next, number) => {
    const value = number % 5 === 4 ? anyJson(next) : mutated(next, number % 2 === 0 ? RIDES : FULL);
    return refusedByName(() => {
      const contract = parseContract(value);
      if (!isDeepStrictEqual(parseContract(contract), contract))
        throw new Error('it is read otherwise when read again');
      const again = JSON.parse(JSON.stringify(contract));
      if (!isDeepStrictEqual(parseContract(again), contract)) throw new Error('it is read otherwise after JSON');
      if (!/^[0-9a-f]{12}$/.test(contractId(contract))) throw new Error('it has no id');
    });
  });
}

/** `accepted`, or `refused` if it was with a name and a message of a bearable length; else throws. */
export function refusedByName(work: () => void): 'accepted' | 'refused' {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof PerennialError) || error.name !== ErrorName.INVALID_DOCUMENT) throw error;
    if (!/must|mistake|there are no |has no '/.test(error.message))
      throw new Error(`the message names no mistake: ${error.message}`);
    if (error.message.length > LONGEST_MESSAGE) throw new Error(`the message has ${error.message.length} characters`);
    return 'refused';
  }
}
