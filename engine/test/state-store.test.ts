import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { SetAside } from '../src/state/set-aside';
import { type Members, StateStore } from '../src/state/state-store';

let folder: string;
let aside: SetAside;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'store-')), 'state');
});

const journal = () => join(folder, 'journal.jsonl');

function open(): StateStore {
  aside = new SetAside(folder);
  return new StateStore(folder, aside);
}

/** What the next engine finds in a collection. */
function kept(name = 'things', members?: Members): Record<string, unknown> {
  const store = open();
  const found: [string, unknown][] = [];
  store.collection(name, members).restore((value, key) => found.push([key, value]));
  store.close();
  return Object.fromEntries(found);
}

describe('the store', () => {
  test('keeps values by their keys, dates as dates', () => {
    const store = open();
    const things = store.collection('things');
    things.put('a', { at: new Date(5), deep: [{ at: new Date(6) }] });
    things.put('b', { n: 1 });
    things.put('b', { n: 2 });
    things.put('c', {});
    things.delete('c');
    store.collection('others').put('a', { n: 3 });
    store.close();
    expect(kept()).toEqual({ a: { at: new Date(5), deep: [{ at: new Date(6) }] }, b: { n: 2 } });
    expect(kept('others')).toEqual({ a: { n: 3 } });
  });

  test('gives what a map would hold, whatever was put, deleted and done together, and however often it was opened', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const change = fc.record({ key, value: fc.option(fc.nat(), { nil: undefined }) });
    const step = fc.oneof(fc.constant('reopen' as const), fc.array(change, { maxLength: 4 }));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        folder = join(mkdtempSync(join(tmpdir(), 'store-')), 'state');
        let store = open();
        const model = new Map<string, { n: number }>();
        for (const one of steps) {
          if (one === 'reopen') {
            store.close();
            store = open();
          } else {
            const things = store.collection<{ n: number }>('things');
            store.together(() => {
              for (const { key: name, value } of one) {
                if (value === undefined) things.delete(name);
                else things.put(name, { n: value });
                if (value === undefined) model.delete(name);
                else model.set(name, { n: value });
              }
            });
          }
        }
        store.close();
        expect(kept()).toEqual(Object.fromEntries(model));
      }),
      { numRuns: 50 },
    );
  });

  test('does what is done together wholly or not at all, wherever a crash cuts the journal off', () => {
    const store = open();
    const things = store.collection('things');
    things.put('before', { n: 0 });
    store.together(() => {
      things.put('a', { n: 1 });
      things.put('b', { n: 2 });
    });
    const written = readFileSync(journal());
    const start = written.indexOf('\n') + 1;
    for (let end = start; end < written.length; end++) {
      writeFileSync(journal(), written.subarray(0, end));
      expect(kept()).toEqual({ before: { n: 0 } });
      expect(aside.told.filter((told) => !told.endsWith('it is cut off'))).toEqual([]);
    }
    writeFileSync(journal(), written);
    expect(kept()).toEqual({ before: { n: 0 }, a: { n: 1 }, b: { n: 2 } });
  });

  test('is as large as what counts, however often that changes', () => {
    const store = open();
    const things = store.collection('things');
    for (let i = 0; i < 30_000; i++) things.put('busy', { text: 'x'.repeat(1000), i });
    things.put('quiet', { n: 1 });
    store.close();
    expect(statSync(journal()).size).toBeLessThan(10 * 2 ** 20);
    expect(kept()).toEqual({ busy: { text: 'x'.repeat(1000), i: 29_999 }, quiet: { n: 1 } });
    expect(statSync(journal()).size).toBeLessThan(2000);
  });

  test('takes nothing any more once it is closed', () => {
    const store = open();
    store.close();
    expect(() => store.collection('things').put('a', {})).toThrow('the engine has ended');
  });
});

describe('what cannot be read', () => {
  test.each([
    ['no JSON', '{"name":"data-1","inp'],
    ['no change', '{"a":1}'],
    ['a number', '7'],
    ['nothing', ''],
    ['a change without a key', '["things"]'],
    ['a group with something else in it', '[["things","x",{}],4]'],
    ['bytes', '\u0000\ufffd\u0001'],
  ])('in the journal is set aside, and the rest goes on: %s', (_, line) => {
    const store = open();
    store.collection('things').put('a', { n: 1 });
    store.close();
    appendFileSync(journal(), `${line}\n["things","b",{"n":2}]\n`);
    expect(kept()).toEqual({ a: { n: 1 }, b: { n: 2 } });
    expect(aside.told).toEqual([
      expect.stringMatching(/^a line of journal\.jsonl is set aside in set-aside\/journal\.jsonl: ./),
    ]);
    expect(readFileSync(join(folder, 'set-aside', 'journal.jsonl'), 'utf8')).toBe(`${line}\n`);
    expect(readFileSync(join(folder, 'set-aside', 'reasons.txt'), 'utf8')).toContain(aside.told[0]);
    expect(kept()).toEqual({ a: { n: 1 }, b: { n: 2 } }); // and is not met again
    expect(aside.told).toEqual([]);
  });

  test('of a journal that is something else altogether is set aside line by line', () => {
    open().close();
    writeFileSync(journal(), 'PK\u0003\u0004\nbinary\n');
    expect(kept()).toEqual({});
    expect(aside.told).toHaveLength(2);
  });

  test.each([
    ['a text', 'x', 'it must be an object, got string'],
    ['a list', [], 'its name must be string, got nothing'],
    ['null', null, 'it must be an object, got nothing'],
    ['one without a member', {}, 'its name must be string, got nothing'],
    ['one with another kind of member', { name: 4 }, 'its name must be string, got number'],
    ['one that its service cannot use', { name: 'bad' }, 'no such thing'],
  ])('as a value is set aside: %s', (_, value, why) => {
    open().close();
    appendFileSync(journal(), `${JSON.stringify(['things', 'odd', value])}\n["things","good",{"name":"good"}]\n`);
    const found: unknown[] = [];
    const store = open();
    store.collection<{ name: string }>('things', { name: 'string', more: 'number?' }).restore((one) => {
      if (one.name === 'bad') throw new Error('no such thing');
      found.push(one);
    });
    store.close();
    expect(found).toEqual([{ name: 'good' }]);
    expect(aside.told).toEqual([`things/odd is set aside in set-aside/values.jsonl: ${why}`]);
    expect(kept()).toEqual({ good: { name: 'good' } });
  });

  test('as a file is moved, and no other is overwritten by it', () => {
    open();
    for (const text of ['one', 'two']) {
      writeFileSync(join(folder, 'odd.json'), text);
      aside.file(join(folder, 'odd.json'), 'it is torn');
    }
    expect(existsSync(join(folder, 'odd.json'))).toBe(false);
    expect(readdirSync(join(folder, 'set-aside')).sort()).toEqual(['odd.json', 'odd.json.2', 'reasons.txt']);
    expect(readFileSync(join(folder, 'set-aside', 'odd.json.2'), 'utf8')).toBe('two');
  });
});
