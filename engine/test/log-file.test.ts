import { appendFileSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { LogFile } from '../src/services/logs/log-file';
import { StateStore } from '../src/state/state-store';

const stores: StateStore[] = [];
afterEach(() => {
  for (const store of stores.splice(0)) store.close();
});

function world() {
  const stateDir = mkdtempSync(join(tmpdir(), 'log-'));
  const store = new StateStore(stateDir);
  stores.push(store);
  const path = join(stateDir, 'logs', 'functions', 'f.jsonl');
  return { store, stateDir, path, open: () => new LogFile({ store, stateDir }, path) };
}

test('a log is read as it was written, by another start too', () => {
  const { open } = world();
  const log = open();
  expect(log.read()).toEqual([]);
  log.append({ at: 1, text: 'a\nb' });
  open().append({ at: 2, text: '' });
  expect(open().read()).toEqual([
    { at: 1, text: 'a\nb' },
    { at: 2, text: '' },
  ]);
});

test('a log keeps its newest lines, and no more than 4 MiB', () => {
  const { open, path } = world();
  const log = open();
  const text = 'x'.repeat(10_000);
  for (let at = 0; at < 1000; at++) {
    log.append({ at, text });
    expect(statSync(path).size).toBeLessThanOrEqual(4 * 2 ** 20);
  }
  const times = log.read().map(({ at }) => at);
  expect(times.length).toBeGreaterThan(200);
  expect(times).toEqual(Array.from({ length: times.length }, (_, index) => 1000 - times.length + index));
});

test('a line that was cut off is set aside, and the others go on', () => {
  const { open, path, store, stateDir } = world();
  open().append({ at: 1, text: 'whole' });
  appendFileSync(path, '[2,"cut o');
  const log = open();
  log.append({ at: 3, text: 'next' });
  expect(log.read().map(({ text }) => text)).toEqual(['whole', 'next']);
  expect(store.aside.told).toEqual([
    'a line of logs-functions-f.jsonl is set aside in set-aside/logs-functions-f.jsonl: it is no line of a log',
  ]);
  expect(readFileSync(join(stateDir, 'set-aside', 'logs-functions-f.jsonl'), 'utf8')).toBe('[2,"cut o\n');
});
