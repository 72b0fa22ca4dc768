import { randomUUID } from 'node:crypto';
import type { State } from './definition';
import { Aborted, asStatesError, EvaluationError, payload, StatesError } from './errors';
import { type Frame, type MapResult, type Runner, unexpected } from './frame';
import { History, Trail } from './history';
import { together } from './side-by-side';

/** Iterations of an inline Map that run at once when the state does not say. */
const INLINE_WIDTH = 40;
/** Child executions of a Distributed Map that run at once; AWS would run 10,000. */
const DISTRIBUTED_WIDTH = 100;

interface Item {
  readonly index: number;
  readonly value: unknown;
  /** Where the items were an object: the value's key. */
  readonly key?: string;
}

/** Runs a Map, inline or distributed; gives the state's result. */
export async function runMap(interpreter: Runner, frame: Frame): Promise<unknown> {
  const { state } = frame;
  const distributed = state.ItemProcessor?.ProcessorConfig?.Mode === 'DISTRIBUTED';
  const values = await readItems(interpreter, frame, distributed);
  const width =
    state.MaxConcurrency === undefined ? 0 : await interpreter.whole(frame, 'MaxConcurrency', state.MaxConcurrency, 0);
  const items = await select(interpreter, frame, values);
  frame.scope.trail.add('MapStateStarted', { length: items.length });
  const results = distributed
    ? await runDistributed(interpreter, frame, items, Math.min(width || DISTRIBUTED_WIDTH, DISTRIBUTED_WIDTH))
    : await runInline(interpreter, frame, items, Math.min(width || INLINE_WIDTH, INLINE_WIDTH));
  payload(results, frame.name);
  frame.scope.trail.aside('MapStateSucceeded');
  return results;
}

async function readItems(interpreter: Runner, frame: Frame, distributed: boolean): Promise<Item[]> {
  const { state } = frame;
  if (state.ItemReader !== undefined) {
    const { Resource: resource, Arguments, ReaderConfig } = state.ItemReader;
    const given = await interpreter.evaluate(frame, 'ItemReader/Arguments', Arguments ?? {});
    const config = await interpreter.evaluate(frame, 'ItemReader/ReaderConfig', ReaderConfig ?? {});
    const call = {
      resource,
      arguments: given as Record<string, unknown>,
      config: config as Record<string, unknown>,
    };
    const values = await interpreter.host.read(call);
    const most = call.config.MaxItems;
    return (typeof most === 'number' ? values.slice(0, most) : values).map((value, index) => ({ value, index }));
  }
  const items = 'Items' in state ? await interpreter.evaluate(frame, 'Items', state.Items) : frame.input;
  if (Array.isArray(items)) return items.map((value, index) => ({ value, index }));
  if (distributed && items !== null && typeof items === 'object') {
    return Object.entries(items).map(([key, value], index) => ({ key, value, index }));
  }
  if ('Items' in state) throw unexpected('Items', state.Items, 'array', items);
  throw new EvaluationError(`Map state input must be an array but was: ${JSON.stringify(items)}`);
}

/** Each item with its place in the context, as `ItemSelector` makes its input. */
interface Input {
  readonly input: unknown;
  readonly context: Record<string, unknown>;
}

async function select(interpreter: Runner, frame: Frame, items: readonly Item[]): Promise<Input[]> {
  const { state, states } = frame;
  const inputs: Input[] = [];
  for (const { index, value, key } of items) {
    const place = { Item: { Index: index, Value: value, ...(key !== undefined && { Key: key }) } };
    const context = { ...states.context, Map: place };
    const item: Frame = { ...frame, states: { ...states, context } };
    const selected = 'ItemSelector' in state;
    const input = selected ? await interpreter.evaluate(item, 'ItemSelector', state.ItemSelector) : value;
    inputs.push({ input, context });
  }
  return inputs;
}

async function runInline(
  interpreter: Runner,
  frame: Frame,
  inputs: readonly Input[],
  width: number,
): Promise<unknown[]> {
  const { state, scope, name } = frame;
  const trails: Trail[] = [];
  const ended = new Set<number>();
  // Iterations that follow each other are one line of events; so many lines go on side by side.
  const free = Array.from({ length: width }, () => scope.trail.fork());
  const iterations = inputs.map(({ input, context }, index) => async (signal: AbortSignal) => {
    const line = free.pop() ?? scope.trail.fork();
    line.add('MapIterationStarted', { name, index });
    const trail = line.fork();
    trails[index] = line;
    await null; // the iterations that begin together are recorded together
    const variables = new Map(scope.variables);
    try {
      const output = await interpreter.run(processor(state), input, { variables, trail, signal, context });
      line.follow(trail);
      trail.add('MapIterationSucceeded', { name, index });
      trails[index] = trail;
      ended.add(index);
      free.push(line);
      return output;
    } catch (thrown) {
      line.follow(trail);
      throw thrown;
    }
  });
  const { results, failed, left } = await together(iterations, width, scope.signal);
  if (failed === undefined) {
    scope.trail.join(trails);
    return results;
  }
  scope.trail.follow(trails[failed.index] as Trail);
  for (const [index, types] of left.entries()) {
    if (trails[index] === undefined || ended.has(index)) continue;
    const event = index === failed.index ? 'MapIterationFailed' : 'MapIterationAborted';
    scope.trail.beside(event, { name, index });
    for (const type of types) scope.trail.beside(`${type}StateAborted`);
  }
  throw failed.failure;
}

/**
 * Runs every item, or batch, as an execution of its own: without the outer variables, and
 * without a trace in the history of the execution that started it.
 */
async function runDistributed(
  interpreter: Runner,
  frame: Frame,
  items: readonly Input[],
  width: number,
): Promise<unknown> {
  const { state, scope, states, name } = frame;
  interpreter.host.distribute();
  const inputs = await batch(interpreter, frame, items);
  const tolerated = await tolerance(interpreter, frame, inputs.length);
  const machine = String((states.context.StateMachine as { Id: string }).Id).replace(':stateMachine:', ':mapRun:');
  const mapRunArn = `${machine}/${state.Label ?? name}:${randomUUID()}`;
  scope.trail.add('MapRunStarted', { mapRunArn });
  let failed = 0;
  const children = inputs.map(({ input, context }) => async (signal: AbortSignal): Promise<MapResult> => {
    const trail = new Trail(new History(() => interpreter.host.clock.now()));
    try {
      const variables = new Map<string, unknown>();
      return { input, output: await interpreter.run(processor(state), input, { variables, trail, signal, context }) };
    } catch (thrown) {
      if (signal.aborted) throw new Aborted();
      failed += 1;
      if (failed > tolerated) {
        throw new StatesError(
          'States.ExceedToleratedFailureThreshold',
          `The specified tolerated failure threshold was exceeded: ${failed} of ${inputs.length} failed, ${tolerated} may; the last with ${asStatesError(thrown).message}`,
        );
      }
      return { input, error: asStatesError(thrown) };
    }
  });
  try {
    const { results, failed } = await together(children, width, scope.signal);
    if (failed !== undefined) throw failed.failure;
    const written = state.ResultWriter === undefined ? undefined : await write(interpreter, frame, mapRunArn, results);
    scope.trail.add('MapRunSucceeded');
    return written ?? results.filter(({ error }) => error === undefined).map(({ output }) => output);
  } catch (thrown) {
    if (!scope.signal.aborted) {
      const { error, reason: cause } = asStatesError(thrown);
      scope.trail.add('MapRunFailed', { error, cause });
    }
    throw thrown;
  }
}

async function write(
  interpreter: Runner,
  frame: Frame,
  mapRunArn: string,
  results: readonly MapResult[],
): Promise<unknown> {
  const template = frame.state.ResultWriter?.Arguments;
  if (template === undefined) return undefined;
  const given = await interpreter.evaluate(frame, 'ResultWriter/Arguments', template);
  return await interpreter.host.write({ arguments: given as Record<string, unknown>, mapRunArn, results });
}

/** How many items may fail: the count or the share, whichever is reached first. */
async function tolerance(interpreter: Runner, frame: Frame, length: number): Promise<number> {
  const { ToleratedFailureCount: count, ToleratedFailurePercentage: percentage } = frame.state;
  const limits: number[] = [];
  if (count !== undefined) limits.push(await interpreter.whole(frame, 'ToleratedFailureCount', count, 0));
  if (percentage !== undefined) {
    const share = await interpreter.evaluate(frame, 'ToleratedFailurePercentage', percentage);
    if (typeof share !== 'number' || share < 0 || share > 100) {
      throw unexpected('ToleratedFailurePercentage', percentage, 'a number from 0 to 100', share);
    }
    limits.push(Math.floor((share / 100) * length));
  }
  return limits.length === 0 ? 0 : Math.min(...limits);
}

async function batch(interpreter: Runner, frame: Frame, items: readonly Input[]): Promise<readonly Input[]> {
  const template = frame.state.ItemBatcher;
  if (template === undefined) return items;
  const given = (await interpreter.evaluate(frame, 'ItemBatcher', template)) as {
    MaxItemsPerBatch?: number;
    MaxInputBytesPerBatch?: number;
    BatchInput?: unknown;
  };
  const { MaxItemsPerBatch: most = Number.POSITIVE_INFINITY, MaxInputBytesPerBatch: bytes = 262_144 } = given;
  const BatchInput = 'BatchInput' in given ? { BatchInput: given.BatchInput } : {};
  const overhead = Buffer.byteLength(JSON.stringify({ ...BatchInput, Items: [] }));
  const batches: unknown[][] = [];
  let size = 0;
  for (const { input } of items) {
    const length = Buffer.byteLength(JSON.stringify(input)) + 1;
    const last = batches.at(-1);
    if (last === undefined || last.length >= most || size + length > bytes) {
      batches.push([input]);
      size = overhead + length;
    } else {
      last.push(input);
      size += length;
    }
  }
  return batches.map((Items) => ({ input: { ...BatchInput, Items }, context: frame.states.context }));
}

function processor({ ItemProcessor }: State) {
  if (ItemProcessor === undefined) throw new StatesError('States.Runtime', 'a Map needs an ItemProcessor');
  return ItemProcessor;
}
