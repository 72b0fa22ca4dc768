import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromItem, toItem } from '../../lambdas/ledger/items';

test('what DynamoDB stores of a document reads back as the document', () => {
  const document = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ noUnicodeString: false }));
  fc.assert(
    fc.property(document, (value) => {
      const plain = JSON.parse(JSON.stringify(value));
      expect(fromItem(toItem(plain))).toEqual(plain);
    }),
  );
});

test('leaves out members that are undefined', () => {
  expect(toItem({ a: undefined, b: [1], c: null })).toEqual({ b: { L: [{ N: '1' }] }, c: { NULL: true } });
});

test('refuses a number that is not finite', () => {
  expect(() => toItem({ a: Number.NaN })).toThrow('must be finite, got NaN');
});
