import { expect, test } from 'vitest';
import type { Contract } from '../../lib/core/dataset/contract';
import { type CapturedLine, parseCapturedLine } from '../../lib/core/watch/capture';
import { ASSESS_DEFAULTS } from '../../lib/core/watch/findings';
import { CASES, Dice, garble, mutate, ODD, SEED } from './fuzz';
import { lookAt } from './window';

const contract: Contract = {
  kind: 'table',
  columns: [{ name: 'id', type: 'string', nullable: false, unique: true }],
  key: 'id',
  features: [
    { name: 'distance', kind: 'number', sql: 'distance' },
    { name: 'origin', kind: 'category', sql: 'origin' },
  ],
  target: { name: 'late', sql: 'late', problem: 'binary' },
  slices: [],
  maxBadShare: 0.1,
};

/** One to three rows, asked and answered as an endpoint would. */
function good(dice: Dice): object {
  const rows = Array.from({ length: 1 + dice.whole(3) }, () => [
    `k${dice.whole(1000)}`,
    dice.whole(5000) / 2,
    dice.pick(['OAK', 'SFO', 'a "b", c', null]),
  ]);
  const scores = rows.map(() => dice.whole(1000) / 1000);
  const csv = rows.map((row) => row.map((cell) => JSON.stringify(cell ?? '').replaceAll('\\"', '""')).join(','));
  const [input, output, encoding] = dice.pick([
    [csv.join('\n'), scores.join('\n'), 'CSV'],
    [JSON.stringify(rows), JSON.stringify(scores), 'JSON'],
    [
      JSON.stringify({ instances: rows.map((features) => ({ features })) }),
      JSON.stringify({ predictions: scores.map((score) => ({ score })) }),
      'JSON',
    ],
    [Buffer.from(csv.join('\n')).toString('base64'), Buffer.from(scores.join('\n')).toString('base64'), 'BASE64'],
  ]) as [string, string, string];
  return envelope(input, output, encoding);
}

function envelope(input: unknown, output: unknown, encoding: unknown): object {
  return {
    captureData: {
      endpointInput: { observedContentType: 'text/csv', mode: 'INPUT', data: input, encoding },
      endpointOutput: { observedContentType: 'text/csv', mode: 'OUTPUT', data: output, encoding },
    },
    eventMetadata: { eventId: 'e', inferenceTime: '2026-03-01T12:00:00Z' },
    eventVersion: '0',
  };
}

/** Something odd in the envelope, in the question, in the answer or in the text of the line. */
function odd(dice: Dice): string {
  switch (dice.whole(6)) {
    case 0:
      return JSON.stringify(mutate(mutate(good(dice), dice), dice));
    case 1: {
      const json = JSON.stringify(dice.chance(0.5) ? { predictions: dice.pick(ODD) } : dice.pick(ODD));
      return JSON.stringify(envelope('[["k",1,"OAK"]]', json, 'JSON'));
    }
    case 2: {
      const question = JSON.stringify(mutate([['k', 1, 'OAK']], dice));
      return JSON.stringify(envelope(question, '[0.5]', dice.pick(['JSON', 'CSV', 'BASE64', ...ODD])));
    }
    case 3: {
      const text = () => garble(dice.pick(['k,1,OAK\nl,"2",""\n', '0.5\n0.25\n', 'azE=', '\u0000', '﻿k,1,OAK']), dice);
      return JSON.stringify(envelope(text(), text(), dice.pick(['CSV', 'BASE64', 'JSON'])));
    }
    case 4:
      return garble(JSON.stringify(good(dice)), dice);
    default:
      return JSON.stringify(dice.pick(ODD)) ?? '';
  }
}

const one = (line: string) => line.replaceAll('\n', ' ');
const oddLines = (count: number) => Array.from({ length: count }, (_, i) => one(odd(new Dice(SEED * 1e6 + i))));

/** What is not as it must be; undefined if all is. */
function wrong(parsed: CapturedLine): string | undefined {
  if ('skipped' in parsed) return undefined;
  if ('unreadable' in parsed) return parsed.unreadable.length > 0 ? undefined : 'no reason';
  if (parsed.rows.length === 0) return 'no row';
  for (const { key, features, score, at } of parsed.rows) {
    const [distance, origin] = features;
    if (typeof key !== 'string') return `key ${key}`;
    if (features.length !== 2) return `${features.length} features`;
    if (distance !== null && !(typeof distance === 'number' && Number.isFinite(distance)))
      return `distance ${distance}`;
    if (origin !== null && typeof origin !== 'string') return `origin ${origin}`;
    if (!(typeof score === 'number' && score >= 0 && score <= 1)) return `score ${score}`;
    if (at !== Date.UTC(2026, 2, 1, 12)) return `time ${at}`;
  }
  return undefined;
}

test(`${CASES} odd lines are rows or have a reason, and never a failure`, () => {
  const found = { rows: 0, unreadable: 0, skipped: 0 };
  for (const [i, line] of oddLines(CASES).entries()) {
    const began = performance.now();
    let parsed: CapturedLine;
    try {
      parsed = parseCapturedLine(line, contract);
    } catch (error) {
      throw new Error(`case ${SEED * 1e6 + i}, ${line.slice(0, 500)}`, { cause: error });
    }
    expect(wrong(parsed), `case ${SEED * 1e6 + i}, ${line.slice(0, 500)}`).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(5_000);
    found[Object.keys(parsed)[0] as keyof typeof found]++;
  }
  expect(found.rows + found.unreadable + found.skipped).toBe(CASES);
  expect(found.rows).toBeGreaterThan(CASES / 50);
  expect(found.unreadable).toBeGreaterThan(CASES / 3);
  console.log(`captured lines, seed ${SEED}: ${JSON.stringify(found)}`);
}, 600_000);

test('all of them in one window leave the good rows, and are counted by their reasons', async () => {
  const lines = oddLines(CASES).filter((line) => line.trim() !== '');
  const parsed = lines.map((line) => parseCapturedLine(line, contract));
  const rows = parsed.flatMap((one) => ('rows' in one ? one.rows : []));
  const unreadable = parsed.filter((one) => 'unreadable' in one).length;

  const { report } = await lookAt(contract, lines, ASSESS_DEFAULTS);

  expect(report.captured).toBe(rows.length);
  expect(report.unreadable.reduce((sum, { rows }) => sum + rows, 0)).toBe(unreadable);
}, 600_000);
