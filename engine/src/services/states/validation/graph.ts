import { listed } from '../../../engine/text';
import { isObject } from './kinds';
import type { Report } from './report';

/** Checks that all that is named exists, that every state is reached, and that a machine comes to an end. */
export function checkGraph(
  start: unknown,
  states: Readonly<Record<string, unknown>>,
  at: string,
  report: Report,
  outermost: boolean,
): void {
  const missing = (target: unknown, place: string) => {
    if (typeof target !== 'string' || Object.hasOwn(states, target)) return;
    const allowed = `the states beside it: ${listed(Object.keys(states))}`;
    report.add('MISSING_TRANSITION_TARGET', place, `Missing 'Next' target: ${target}`, { allowed });
  };
  missing(start, `${at}/StartAt`);
  for (const [name, state] of Object.entries(states)) {
    for (const [target, field] of targetsOf(state)) missing(target, `${at}/States/${name}/${field}`);
  }
  if (outermost && !Object.values(states).some(isTerminal)) {
    // A branch or a Map without an end is taken; and where a machine has none, nothing is said of what is not reached.
    report.add('MISSING_END_STATE', '', 'Workflow has no terminal state', {
      allowed: 'a Succeed, a Fail, or "End": true',
    });
    return;
  }
  const reached = reachable(start, states);
  for (const name of Object.keys(states)) {
    if (reached.has(name)) continue;
    report.add('MISSING_TRANSITION_TARGET', `${at}/States/${name}`, `State "${name}" is not reachable.`);
  }
}

function isTerminal(state: unknown): boolean {
  return isObject(state) && (state.Type === 'Succeed' || state.Type === 'Fail' || state.End === true);
}

function reachable(start: unknown, states: Readonly<Record<string, unknown>>): ReadonlySet<unknown> {
  const reached = new Set<unknown>(Object.hasOwn(states, String(start)) ? [start] : []);
  for (const name of reached) {
    for (const [target] of targetsOf(states[String(name)]))
      if (Object.hasOwn(states, String(target))) reached.add(target);
  }
  return reached;
}

/** Where a state may go on, and the field that says so. */
function targetsOf(state: unknown): [target: unknown, field: string][] {
  if (!isObject(state)) return [];
  const listed = ['Choices', 'Catch'].flatMap((field) => {
    const entries = state[field];
    return Array.isArray(entries)
      ? entries.map((entry, index): [unknown, string] => [entry?.Next, `${field}[${index}]/Next`])
      : [];
  });
  const own: [unknown, string][] = [
    [state.Next, 'Next'],
    [state.Default, 'Default'],
  ];
  return [...own, ...listed].filter(([target]) => target !== undefined);
}
