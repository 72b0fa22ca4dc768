import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Machine } from '../src/services/states/definition';
import { asStatesError, StatesError } from '../src/services/states/errors';
import { History, type HistoryEvent, Trail } from '../src/services/states/history';
import { Interpreter } from '../src/services/states/interpreter';
import { Evaluator } from '../src/services/states/jsonata';
import { problems } from '../src/services/states/validate';

/** What Step Functions does with a state machine. The first state is where it starts. */
interface Case {
  readonly it: string;
  readonly states: Machine['States'];
  readonly input: unknown;
  /** What the tasks return or fail with, in order. */
  readonly tasks?: readonly { readonly output?: unknown; readonly error?: string; readonly cause?: string }[];
  readonly ends: 'SUCCEEDED' | 'FAILED';
  readonly output?: unknown;
  readonly error?: string;
  /** Word for word. */
  readonly cause?: string;
  /** The whole history: event types, with the state's name at entry and exit. */
  readonly events?: readonly string[];
  /** Which event each of them names as the one before it. */
  readonly previous?: readonly number[];
  /** Seconds between attempts, in order. */
  readonly waits?: readonly number[];
  /** What the tasks were given, in order. */
  readonly arguments?: readonly unknown[];
  /** Whether waits end only by being aborted. */
  readonly endlessWaits?: boolean;
}

const folder = join(import.meta.dirname, 'fixtures/states');

describe.each(readdirSync(folder))('%s', (file) => {
  const cases: Case[] = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  test.each(cases)('$it', async (wanted) => {
    const { outcome, history, waits, given } = await run(wanted);
    const { ends, output, error } = wanted;
    expect(outcome).toMatchObject({ ends, output, error });
    if (wanted.cause !== undefined) expect(outcome.cause).toBe(wanted.cause);
    if (wanted.events !== undefined) expect(history.map(line)).toEqual(wanted.events);
    if (wanted.previous !== undefined) {
      expect(history.map(({ previousEventId }) => previousEventId)).toEqual(wanted.previous);
    }
    if (wanted.waits !== undefined) expect(waits).toEqual(wanted.waits);
    if (wanted.arguments !== undefined) expect(given).toEqual(wanted.arguments);
    expect(history.map(({ id }) => id)).toEqual(history.map((_, index) => index + 1));
    expect(history.every(({ id, previousEventId }) => previousEventId < id)).toBe(true);
  });
});

async function run(wanted: Case) {
  const { states, input, tasks = [], endlessWaits = false } = wanted;
  const evaluator = new Evaluator(
    () => 0.5,
    () => Date.parse('2001-02-03T04:05:06Z'),
  );
  const definition: Machine = { QueryLanguage: 'JSONata', StartAt: Object.keys(states)[0] ?? '', States: states };
  expect(problems(definition, evaluator)).toEqual([]);
  const results = [...tasks];
  const waits: number[] = [];
  const given: unknown[] = [];
  const clock = {
    now: Date.now,
    advance: () => undefined,
    sleep: async (milliseconds: number, signal?: AbortSignal) => {
      waits.push(milliseconds / 1000);
      if (endlessWaits) await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    },
  };
  const history = new History(clock.now);
  const trail = new Trail(history);
  const unexpected = () => {
    throw new Error('not part of these cases');
  };
  const interpreter = new Interpreter({
    clock,
    evaluator,
    region: 'us-east-1',
    random: () => 0.5,
    token: unexpected,
    distribute: () => undefined,
    read: unexpected,
    write: unexpected,
    task: async (call) => {
      given.push(call.arguments);
      const result = results.shift();
      if (result === undefined) return unexpected();
      if (call.resource.pattern !== undefined) call.submitted({});
      if (result.error !== undefined) throw new StatesError(result.error, result.cause);
      return result.output;
    },
  });
  trail.add('ExecutionStarted');
  const scope = {
    variables: new Map(),
    trail,
    signal: new AbortController().signal,
    context: { Execution: { Input: input }, StateMachine: { Id: 'arn:aws:states:us-east-1:1:stateMachine:m' } },
  };
  const outcome = await interpreter.run(definition, input, scope).then(
    (output) => ({ ends: 'SUCCEEDED', output, error: undefined, cause: undefined }),
    (thrown) => {
      const { error, reason: cause } = asStatesError(thrown);
      return { ends: 'FAILED', output: undefined, error, cause };
    },
  );
  trail.add(outcome.ends === 'SUCCEEDED' ? 'ExecutionSucceeded' : 'ExecutionFailed');
  expect(results).toEqual([]);
  return { outcome, history: history.events, waits, given };
}

function line(event: HistoryEvent): string {
  const details = (event.stateEnteredEventDetails ?? event.stateExitedEventDetails) as { name: string } | undefined;
  return details === undefined ? event.type : `${event.type} ${details.name}`;
}
