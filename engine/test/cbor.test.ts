import { cbor } from '@smithy/core/cbor';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCbor, encodeCbor } from '../src/gateway/cbor';

/** What CBOR and JSON both have; `-0` is 0 in CBOR, and a member called `__proto__` is lost on AWS's reader. */
const json = fc
  .jsonValue()
  .map((value) => JSON.parse(JSON.stringify(value)))
  .filter((value) => !JSON.stringify(value).includes('"__proto__"'));

test('reads what AWS writes', () => {
  fc.assert(
    fc.property(json, (value) => {
      expect(decodeCbor(Buffer.from(cbor.serialize(value)))).toEqual(value);
    }),
  );
});

test('writes what AWS reads', () => {
  fc.assert(
    fc.property(json, (value) => {
      expect(cbor.deserialize(encodeCbor(value))).toEqual(value);
    }),
  );
});

test.each([
  ['a half-precision float', 'f93e00', 1.5],
  ['a single-precision float', 'fa47c35000', 100000],
  ['a list of unknown length', '9f0102ff', [1, 2]],
  ['a map of unknown length', 'bf6161f5ff', { a: true }],
  ['a text in pieces', '7f61616162ff', 'ab'],
  ['a time', 'c11a514b67b0', 1363896240],
  ['8 bytes of length', '1b000000e8d4a51000', 1000000000000],
])('reads %s', (_, hex, expected) => {
  expect(decodeCbor(Buffer.from(hex, 'hex'))).toEqual(expected);
});

test('refuses text that ends too early', () => {
  expect(() => decodeCbor(Buffer.from('6561', 'hex'))).toThrow('ends too early');
});

test('writes times as times, and leaves out what is undefined', () => {
  expect(encodeCbor({ at: new Date(1500), gone: undefined }).toString('hex')).toBe('a1626174c1fb3ff8000000000000');
});
