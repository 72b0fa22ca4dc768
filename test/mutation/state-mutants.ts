import type { State } from '../support/definition';
import type { Json, Mutant } from './mutants';

/** What users have written, or what SageMaker hands on as it is: its members are theirs. */
const OPAQUE = ['contract', 'Tags', 'Environment', 'MetricDefinitions'];

/** All breaks of a state. */
export function stateMutants(where: string, state: State): Mutant[] {
  return [
    ...choiceMutants(where, state),
    ...listMutants(where, state, 'Catch', 'catches'),
    ...listMutants(where, state, 'Retry', 'retries'),
    ...variableMutants(where, state),
    ...(state.Type === 'Task' ? requestMutants(where, state.Arguments) : []),
  ];
}

/** Each rule of a Choice always, and never. */
function choiceMutants(where: string, { Choices = [] }: State): Mutant[] {
  return Choices.flatMap((rule: Json, i: number) =>
    [true, false].map((pinned) => ({
      id: `${where}: rule ${i + 1} ${pinned ? 'always' : 'never'}`,
      group: 'choices',
      before: rule,
      apply: () => {
        rule.Condition = `{% ${pinned} %}`;
      },
    })),
  );
}

/** Each entry removed. */
function listMutants(where: string, state: State, field: 'Catch' | 'Retry', group: Mutant['group']): Mutant[] {
  return (state[field] ?? []).map((entry: Json, i: number) => ({
    id: `${where}: ${field} ${i + 1} removed`,
    group,
    before: entry,
    apply: () => {
      state[field].splice(i, 1);
      if (state[field].length === 0) delete state[field];
    },
  }));
}

/** Each variable left as it was. */
function variableMutants(where: string, state: State): Mutant[] {
  const places: Array<[string, Json]> = [
    ['', state],
    ...(['Choices', 'Catch'] as const).flatMap((field) =>
      (state[field] ?? []).map((entry: Json, i: number) => [` by ${field} ${i + 1}`, entry]),
    ),
  ];
  return places.flatMap(([place, holder]) =>
    Object.keys(holder.Assign ?? {}).map((name) => ({
      id: `${where}: $${name} not assigned${place}`,
      group: 'variables' as const,
      before: holder.Assign[name],
      apply: () => delete holder.Assign[name],
    })),
  );
}

/** Each member of a request dropped, at any depth. */
function requestMutants(where: string, request: Json, path: readonly string[] = []): Mutant[] {
  if (typeof request !== 'object' || request === null) return [];
  if (Array.isArray(request)) return request.flatMap((item, i) => requestMutants(where, item, [...path, `${i + 1}`]));
  return Object.keys(request).flatMap((name) => [
    {
      id: `${where}: ${[...path, name].join('.')} not sent`,
      group: 'requests' as const,
      before: request[name],
      apply: () => delete request[name],
    },
    ...(OPAQUE.includes(name) ? [] : requestMutants(where, request[name], [...path, name])),
  ]);
}
