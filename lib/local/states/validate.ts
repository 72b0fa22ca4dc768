import type { Machine, State } from './definition';
import { type Evaluator, expression } from './jsonata';

const TYPES = ['Pass', 'Succeed', 'Fail', 'Choice', 'Wait', 'Task', 'Parallel', 'Map'];
const JSONPATH_FIELDS = [
  'InputPath',
  'OutputPath',
  'ResultPath',
  'ResultSelector',
  'Parameters',
  'ItemsPath',
  'SecondsPath',
  'TimestampPath',
  'TimeoutSecondsPath',
  'HeartbeatSecondsPath',
  'ErrorPath',
  'CausePath',
  'MaxConcurrencyPath',
  'Result',
];

/** Everything that Step Functions, or the local engine, would refuse in a definition; each names its state. */
export function problems(definition: Machine, evaluator: Evaluator): string[] {
  const found: string[] = [];
  checkMachine(definition, definition.QueryLanguage, new Set(), evaluator, found);
  return found;
}

function checkMachine(
  machine: Machine,
  language: string | undefined,
  outer: ReadonlySet<string>,
  evaluator: Evaluator,
  found: string[],
): void {
  const names = Object.keys(machine.States ?? {});
  if (!names.includes(machine.StartAt)) found.push(`StartAt names '${machine.StartAt}', which is no state`);
  const assigned = new Set<string>();
  for (const state of Object.values(machine.States ?? {})) {
    for (const assigns of [state, ...(state.Choices ?? []), ...(state.Catch ?? [])]) {
      for (const name of Object.keys((assigns.Assign as object | undefined) ?? {})) assigned.add(name);
    }
  }
  for (const name of assigned) {
    if (outer.has(name))
      found.push(`the variable '${name}' is assigned in an outer scope and in a branch or Map of it`);
  }
  const visible = new Set([...outer, ...assigned]);
  for (const [name, state] of Object.entries(machine.States ?? {})) {
    const at = `state '${name}'`;
    checkState(at, state, state.QueryLanguage ?? language, names, evaluator, found);
    for (const branch of state.Branches ?? []) checkMachine(branch, language, visible, evaluator, found);
    if (state.ItemProcessor !== undefined) {
      // The executions of a Distributed Map have variables of their own.
      const scope = state.ItemProcessor.ProcessorConfig?.Mode === 'DISTRIBUTED' ? new Set<string>() : visible;
      checkMachine(state.ItemProcessor, language, scope, evaluator, found);
    }
  }
}

function checkState(
  at: string,
  state: State,
  language: string | undefined,
  names: readonly string[],
  evaluator: Evaluator,
  found: string[],
): void {
  if (!TYPES.includes(state.Type)) found.push(`${at}: Type must be one of ${TYPES.join(', ')}, got '${state.Type}'`);
  if (language !== 'JSONata') {
    found.push(
      `${at}: the local engine runs JSONata states alone, this one is ${language ?? 'JSONPath'}. Set QueryLanguage 'JSONata' on the state machine`,
    );
    return;
  }
  for (const field of JSONPATH_FIELDS) {
    if (field in state)
      found.push(`${at}: the field ${field} belongs to JSONPath, this state's query language is JSONata`);
  }
  const targets = [
    state.Next,
    state.Default,
    ...[...(state.Choices ?? []), ...(state.Catch ?? [])].map((it) => it.Next),
  ];
  for (const target of targets) {
    if (target !== undefined && !names.includes(target)) found.push(`${at}: Next names '${target}', which is no state`);
  }
  const ends = ['Succeed', 'Fail', 'Choice'].includes(state.Type);
  if (!ends && (state.Next === undefined) === (state.End !== true)) found.push(`${at}: needs either Next or End`);
  if (state.Type === 'Task' && typeof state.Resource !== 'string') found.push(`${at}: a Task needs a Resource`);
  if (state.Type === 'Choice' && (state.Choices ?? []).length === 0) found.push(`${at}: a Choice needs Choices`);
  if (state.Type === 'Parallel' && (state.Branches ?? []).length === 0) found.push(`${at}: a Parallel needs Branches`);
  if (state.Type === 'Map' && state.ItemProcessor === undefined) found.push(`${at}: a Map needs an ItemProcessor`);
  if (state.Type === 'Wait' && (state.Seconds === undefined) === (state.Timestamp === undefined)) {
    found.push(`${at}: a Wait needs either Seconds or Timestamp`);
  }
  if (/:states:::aws-sdk:.*\.sync/.test(state.Resource ?? '')) found.push(`${at}: aws-sdk integrations have no .sync`);
  for (const kind of ['Retry', 'Catch'] as const) checkMatchers(at, kind, state[kind] ?? [], found);
  const { ItemProcessor: _, Branches: __, ...own } = state;
  checkExpressions(at, own, evaluator, found);
}

function checkMatchers(
  at: string,
  kind: string,
  matchers: readonly { readonly ErrorEquals: readonly string[] }[],
  found: string[],
): void {
  for (const [index, { ErrorEquals: names }] of matchers.entries()) {
    if ((names ?? []).length === 0) found.push(`${at}: ${kind}[${index}] needs ErrorEquals`);
    else if (names.includes('States.ALL') && (names.length > 1 || index < matchers.length - 1)) {
      found.push(`${at}: in ${kind}, States.ALL must stand alone and in the last entry`);
    }
  }
}

function checkExpressions(at: string, value: unknown, evaluator: Evaluator, found: string[]): void {
  if (typeof value === 'string') {
    const source = expression(value);
    if (source === undefined) return;
    try {
      evaluator.compile(source);
    } catch (error) {
      const { message } = error as { message: string };
      found.push(`${at}: '${source}' is no JSONata of version 2.0.6: ${message}`);
    }
  } else if (value !== null && typeof value === 'object') {
    for (const part of Object.values(value)) checkExpressions(at, part, evaluator, found);
  }
}
