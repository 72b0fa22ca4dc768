import type { Machine } from '../../engine/src/services/states/definition';
import type { TaskCall } from '../../engine/src/services/states/frame';
import { History, Trail } from '../../engine/src/services/states/history';
import { Interpreter } from '../../engine/src/services/states/interpreter';
import { Evaluator } from '../../engine/src/services/states/jsonata';

/** What a played part of a machine came to. */
export interface Played {
  readonly events: History['events'];
  /** The state that ended it. */
  readonly end: string;
  readonly variables: ReadonlyMap<string, unknown>;
  readonly hours: number;
}

/**
 * Plays a part of a state machine in the engine's interpreter: what Tasks ask is answered by a function, and waits take
 * no time.
 *
 * @param ends states at which it ends
 */
export async function play(
  machine: Machine,
  {
    from = machine.StartAt,
    input = {},
    variables = {},
    ends,
  }: {
    readonly from?: string;
    readonly input?: object;
    readonly variables?: Readonly<Record<string, unknown>>;
    readonly ends: readonly string[];
  },
  answer: (call: TaskCall) => unknown,
): Promise<Played> {
  const start = Date.parse('2026-03-01T00:00:00Z');
  let now = start;
  const history = new History(() => now);
  const scope = new Map<string, unknown>(Object.entries(variables));
  let end = from;
  const interpreter = new Interpreter({
    clock: {
      now: () => now,
      sleep: async (ms) => {
        now += ms;
      },
      advance: () => undefined,
    },
    evaluator: new Evaluator(
      () => 0.5,
      () => now,
    ),
    region: 'eu-west-1',
    random: () => 0.999, // jitter makes no wait shorter
    task: async (call) => answer(call),
    token: () => {
      throw new Error('no state waits for a token');
    },
    distribute: () => undefined,
    read: async () => [],
    write: async () => undefined,
  });
  const States = { ...machine.States };
  for (const name of ends) States[name] = { Type: 'Pass', End: true };
  await interpreter.run(
    { ...machine, States },
    input,
    {
      variables: scope,
      trail: new Trail(history),
      signal: new AbortController().signal,
      context: {
        Execution: { Id: 'arn', Name: 'data-0123456789ab', StartTime: '2026-03-01T00:00:00.000Z', Input: input },
        State: { RetryCount: 0 },
        StateMachine: {},
      },
      entering: ({ state }) => {
        end = state;
      },
    },
    from,
  );
  return { events: history.events, end, variables: scope, hours: (now - start) / 3_600_000 };
}
