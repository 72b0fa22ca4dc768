import type { Evaluator } from '../jsonata';
import { checkExpressions } from './expressions';
import { fieldsOf, LANGUAGES, requiredOf, TYPES, type Type } from './fields';
import { checkGraph } from './graph';
import {
  checkFields,
  type Fields,
  isObject,
  isStructure,
  type Language,
  name as named,
  oneOf,
  requireFields,
  type Scope,
  text,
  whole,
} from './kinds';
import { checkLiterals } from './literals';
import { processorConfig } from './map-fields';
import type { Report } from './report';
import { checkTask } from './task';

/** What all states of a definition share. */
export interface Checked {
  readonly report: Report;
  readonly evaluator: Evaluator;
  /** Of the whole state machine. */
  readonly language: Language;
  /** The names of states so far; no two may be the same, wherever they stand. */
  readonly names: Set<string>;
}

/** Where a machine stands: alone, in a branch, or in a Map. */
export interface Surroundings {
  readonly kind: 'machine' | 'branch' | 'processor';
  /** The variables that outer states assign. */
  readonly variables: ReadonlySet<string>;
  readonly express: boolean;
}

const SECONDS_IN_ALL = whole(1, 99_999_999);

/** The fields of a machine, beside `StartAt` and `States`. */
const FIELDS: Readonly<Record<Surroundings['kind'], Fields>> = {
  machine: { Version: oneOf('1.0'), TimeoutSeconds: SECONDS_IN_ALL, QueryLanguage: oneOf(...LANGUAGES) },
  branch: {},
  processor: { ProcessorConfig: processorConfig },
};

/** Checks a machine and everything in it. */
export function checkMachine(machine: unknown, at: string, checked: Checked, around: Surroundings): void {
  const { report } = checked;
  const scope: Scope = { report, language: checked.language };
  if (!isStructure(machine, at, report)) return;
  requireFields(machine, ['States', 'StartAt'], at, scope);
  const fields = { ...FIELDS[around.kind], Comment: text, StartAt: named, States: () => undefined };
  checkFields(machine, fields, at, scope);
  const { States: states } = machine;
  if (states === undefined || !isStructure(states, `${at}/States`, report)) return;
  if (Object.keys(states).length === 0) report.schema(`${at}/States`, 'Value cannot be empty');
  const inner = { ...around, variables: checkVariables(states, at, report, around.variables) };
  for (const [name, state] of Object.entries(states)) {
    const place = `${at}/States/${name}`;
    checkName(name, place, checked);
    if (isStructure(state, place, report)) checkState(state, place, checked, inner);
  }
  checkGraph(machine.StartAt, states, at, report, around.kind === 'machine');
}

function checkName(name: string, at: string, { names, report }: Checked): void {
  if (name === '' || name.length > 80) {
    report.add('SCHEMA_VALIDATION_FAILED', at, 'Invalid state name', { got: name, allowed: '1 to 80 characters' });
  }
  if (names.has(name)) {
    report.add('DUPLICATE_STATE_NAME', at, `Duplicate state name: ${name}`, {
      allowed: 'names that are unique in the whole state machine, branches and Maps included',
    });
  }
  names.add(name);
}

/** Gives the variables that the states of a scope can see. */
function checkVariables(
  states: Readonly<Record<string, unknown>>,
  at: string,
  report: Report,
  outer: ReadonlySet<string>,
): ReadonlySet<string> {
  const assigned = new Set<string>();
  for (const [name, state] of Object.entries(states)) {
    for (const [place, value] of assignments(state, `${at}/States/${name}`)) {
      for (const variable of Object.keys(value)) {
        assigned.add(variable);
        if (!outer.has(variable)) continue;
        const message = `The variable name '${variable}' was already defined in a parent scope.`;
        report.add('DUPLICATE_VARIABLE_NAME', `${place}/${variable}`, message);
      }
    }
  }
  return new Set([...outer, ...assigned]);
}

function assignments(state: unknown, at: string): [string, Record<string, unknown>][] {
  if (!isObject(state)) return [];
  const own: [string, unknown][] = [[`${at}/Assign`, state.Assign]];
  for (const field of ['Choices', 'Catch']) {
    const entries = state[field];
    if (!Array.isArray(entries)) continue;
    for (const [index, entry] of entries.entries()) own.push([`${at}/${field}[${index}]/Assign`, entry?.Assign]);
  }
  return own.filter((one): one is [string, Record<string, unknown>] => isObject(one[1]));
}

function checkState(
  state: Readonly<Record<string, unknown>>,
  at: string,
  checked: Checked,
  around: Surroundings,
): void {
  const { report, evaluator } = checked;
  const type = TYPES.find((one) => one === state.Type);
  if (type === undefined) {
    const allowed = `The field 'Type' should have one of these values: [${TYPES.join(', ')}]`;
    report.schema(at, state.Type === undefined ? "The field 'Type' is required" : allowed, { got: state.Type });
    return;
  }
  const language = languageOf(state, checked.language);
  const scope = { report, language };
  if (checked.language === 'JSONata' && state.QueryLanguage === 'JSONPath') {
    report.schema(at, "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine");
    return;
  }
  if (language === 'JSONPath' && (type === 'Choice' || type === 'Map')) {
    report.unsupported(
      at,
      `runs no ${type} in JSONPath: set QueryLanguage 'JSONata' on the state machine, got JSONPath`,
    );
    return;
  }
  checkRequired(type, state, at, scope);
  checkFields(state, fieldsOf(type, language), at, scope);
  checkMatchers(state, at, report);
  if (language === 'JSONata') checkExpressions(state, at, report, evaluator);
  else checkLiterals(state, at, report);
  if (type === 'Task') checkTask(state, at, scope, around.express);
  checkInner(type, state, at, checked, around);
}

/** JSONPath only where it is asked for exactly so. */
export function languageOf(owner: Readonly<Record<string, unknown>>, inherited: Language): Language {
  if (owner.QueryLanguage === undefined) return inherited;
  return owner.QueryLanguage === 'JSONPath' ? 'JSONPath' : 'JSONata';
}

function checkRequired(type: Type, state: Readonly<Record<string, unknown>>, at: string, scope: Scope): void {
  const { fields, alternatives } = requiredOf(type);
  requireFields(state, fields, at, scope);
  for (const alternative of alternatives) {
    const given = alternative.filter((field) => field in state && state[field] !== false);
    const list = alternative.join(', ');
    if (given.length > 1)
      scope.report.schema(at, `This object should have only one of the following fields: [${list}]`);
    if (given.length === 0) scope.report.schema(at, `This object should have one of the following fields: [${list}]`);
  }
}

/** `States.ALL` must be alone, and the last thing that is looked for. */
function checkMatchers(state: Readonly<Record<string, unknown>>, at: string, report: Report): void {
  for (const field of ['Retry', 'Catch']) {
    const entries = state[field];
    if (!Array.isArray(entries)) continue;
    for (const [index, entry] of entries.entries()) {
      const names: unknown = entry?.ErrorEquals;
      if (!Array.isArray(names) || !names.includes('States.ALL')) continue;
      if (names.length === 1 && index === entries.length - 1) continue;
      const message = 'States.ALL must appear alone and at end of list';
      report.schema(`${at}/${field}[${index}]/ErrorEquals`, message, { got: names });
    }
  }
}

/** The machines inside a state: their states speak the language of the whole, not that of the state around them. */
function checkInner(
  type: Type,
  state: Readonly<Record<string, unknown>>,
  at: string,
  checked: Checked,
  around: Surroundings,
): void {
  if (type === 'Parallel' && Array.isArray(state.Branches)) {
    for (const [index, branch] of state.Branches.entries()) {
      checkMachine(branch, `${at}/Branches[${index}]`, checked, { ...around, kind: 'branch' });
    }
  }
  const processor = state.ItemProcessor;
  if (type !== 'Map' || !isObject(processor)) return;
  const config = isObject(processor.ProcessorConfig) ? processor.ProcessorConfig : {};
  const distributed = config.Mode === 'DISTRIBUTED';
  if (distributed && around.express) {
    checked.report.schema(`${at}/ItemProcessor`, "Express state machine does not support 'DISTRIBUTED' mode");
  }
  checkMachine(processor, `${at}/ItemProcessor`, checked, {
    kind: 'processor',
    // The executions of a Distributed Map have variables of their own.
    variables: distributed ? new Set() : around.variables,
    express: around.express || (distributed && config.ExecutionType === 'EXPRESS'),
  });
}
