import {
  anything,
  compound,
  computed,
  type Fields,
  flag,
  isStructure,
  type Kind,
  type Language,
  list,
  name,
  number,
  oneOf,
  structure,
  text,
  whole,
} from './kinds';
import { MAP_FIELDS } from './map-fields';

/** The types of states, in the order in which Step Functions names them. */
export const TYPES = ['Task', 'Wait', 'Pass', 'Succeed', 'Fail', 'Choice', 'Parallel', 'Map'] as const;

export type Type = (typeof TYPES)[number];

/** The most seconds that a state may wait, or a Task may take. */
const LONGEST_SECONDS = 99_999_999;
/** The most seconds between two attempts. */
const LONGEST_DELAY = 31_622_400;

export const LANGUAGES = ['JSONPath', 'JSONata'];

/** Identifiers of Unicode, at most 80 characters; `states` is taken. */
const VARIABLE = /^(?!states$)[\p{ID_Start}_][\p{ID_Continue}\p{Pc}]{0,79}$/u;

const assign: Kind = (value, at, scope) => {
  if (!isStructure(value, at, scope.report)) return;
  for (const variable of Object.keys(value)) {
    if (scope.language === 'JSONPath' && variable.endsWith('.$')) continue; // a path, which is reported as such
    if (VARIABLE.test(variable)) continue;
    const allowed = "a letter, then letters, digits and _, at most 80; not 'states', which is Step Functions' own";
    scope.report.schema(`${at}/${variable}`, `Invalid variable name '${variable}'`, { allowed });
  }
};

const timestamp: Kind = (value, at, scope) => {
  text(value, at, scope);
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
  if (typeof value === 'string' && !form.test(value)) {
    scope.report.schema(at, 'String does not match RFC3339 timestamp', { got: value });
  }
};

const condition: Kind = (value, at, { report }) => {
  if (typeof value === 'boolean') return;
  report.schema(at, 'Expected value of type [BOOLEAN]', { got: value, allowed: 'true, false or {% … %}' });
};

const retrier = structure(
  {
    ErrorEquals: list(name, 1),
    IntervalSeconds: whole(1, LONGEST_SECONDS),
    MaxAttempts: whole(0, LONGEST_SECONDS),
    BackoffRate: number(1),
    MaxDelaySeconds: whole(1, LONGEST_DELAY),
    JitterStrategy: oneOf('FULL', 'NONE'),
  },
  ['ErrorEquals'],
);

const seconds = computed(whole(1, LONGEST_SECONDS));

/** What a state hands on, and what it keeps. JSONPath knows no `Output`. */
const results = (language: Language): Fields => ({
  ...(language === 'JSONata' && { Output: anything }),
  Assign: computed(assign),
});

const catcher = (language: Language) =>
  structure({ ErrorEquals: list(name, 1), Next: name, ...results(language) }, ['ErrorEquals', 'Next']);

const handling = (language: Language): Fields => ({ Retry: list(retrier), Catch: list(catcher(language)) });

/** What each type of state may have, beyond what all may. */
const OWN: Readonly<Record<Type, (language: Language) => Fields>> = {
  Pass: (language) => ({ ...results(language), ...(language === 'JSONPath' && { Result: anything }) }),
  Succeed: (language) => ({ ...(language === 'JSONata' && { Output: anything }) }),
  Fail: () => ({ Error: computed(text), Cause: computed(text) }),
  Wait: (language) => ({
    ...results(language),
    Seconds: computed(whole(0, LONGEST_SECONDS)),
    Timestamp: computed(timestamp),
  }),
  Choice: (language) => ({
    ...results(language),
    Choices: list(
      structure({ Condition: computed(condition), Next: name, ...results(language) }, ['Condition', 'Next']),
      1,
    ),
    Default: name,
  }),
  Task: (language) => ({
    ...results(language),
    ...handling(language),
    ...(language === 'JSONata' && { Arguments: anything }),
    Resource: name,
    Credentials: structure({ RoleArn: text }, ['RoleArn']),
    TimeoutSeconds: seconds,
    HeartbeatSeconds: seconds,
  }),
  Parallel: (language) => ({
    ...results(language),
    ...handling(language),
    ...(language === 'JSONata' && { Arguments: anything }),
    Branches: list(compound, 1),
  }),
  Map: (language) => ({ ...results(language), ...handling(language), ...MAP_FIELDS }),
};

/** The types that name the state after them. */
const GOES_ON: readonly Type[] = ['Pass', 'Task', 'Wait', 'Parallel', 'Map'];

/** The fields that a state may have. */
export function fieldsOf(type: Type, language: Language): Fields {
  return {
    Type: oneOf(...TYPES),
    Comment: text,
    QueryLanguage: oneOf(...LANGUAGES),
    ...(GOES_ON.includes(type) && { Next: name, End: flag }),
    ...OWN[type](language),
  };
}

/** The fields that a state must have; of `alternatives` exactly one. */
export function requiredOf(type: Type): { readonly fields: readonly string[]; readonly alternatives: string[][] } {
  const one: Partial<Record<Type, string[]>> = {
    Task: ['Resource'],
    Choice: ['Choices'],
    Parallel: ['Branches'],
    Map: ['ItemProcessor'],
  };
  return {
    fields: one[type] ?? [],
    alternatives: [
      ...(GOES_ON.includes(type) ? [['Next', 'End']] : []),
      ...(type === 'Wait' ? [['Seconds', 'Timestamp']] : []),
    ],
  };
}
