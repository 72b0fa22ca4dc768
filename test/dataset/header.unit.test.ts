import { describe, expect, test } from 'vitest';
import { parseContract } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { headerMistakes } from '../../lib/core/prepare/header';

const numbers = Array.from({ length: 2000 }, (_, i) => `customer_attribute_number_${i}`);
const contract = parseContract({
  columns: [...numbers.map((name) => ({ name, type: 'number' })), { name: 'y', type: 'boolean' }],
  features: numbers,
  target: { name: 'y', problem: 'binary' },
});

describe('what is wrong with the columns of a file', () => {
  test.each([
    ['three quarters are missing', [...numbers.slice(0, 500), 'y'], '1490 more columns are missing'],
    ['all are in upper case', [...numbers.map((name) => name.toUpperCase()), 'y'], 'CUSTOMER_ATTRIBUTE_NUMBER_0'],
    [
      'there are ten thousand too many',
      [...numbers, 'y', ...Array.from({ length: 10_000 }, (_, i) => `x${i}`)],
      '9,990 more',
    ],
    ['all are there twice', [...numbers, 'y', ...numbers], 'and 1,990 more must be there only once'],
    ['half a million have one name', Array.from({ length: 500_000 }, () => 'a'), 'must name the columns'],
    [
      'half a million have names of their own',
      [...numbers.slice(0, 9), ...Array.from({ length: 500_000 }, (_, i) => `${i}`)],
      'more columns are missing',
    ],
    [
      'one name is a megabyte',
      [...numbers.slice(1), 'y', 'x'.repeat(2 ** 20)],
      "column 'customer_attribute_number_0' is missing",
    ],
  ])('is said soon and in few words where %s', (_, names, part) => {
    const from = performance.now();
    const text = headerMistakes(contract, names).join('; ');
    expect(text).toContain(part);
    expect(text.length).toBeLessThan(12_000);
    expect(performance.now() - from).toBeLessThan(4000);
  });
});

test('no error of ours is longer than what carries it', () => {
  const { message } = new PerennialError(ErrorName.DATA_REJECTED, 'x'.repeat(300_000));
  expect(message).toMatch(/^x{8000}… \(292,000 more characters\)$/);
});
