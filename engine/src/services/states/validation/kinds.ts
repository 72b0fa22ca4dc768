import { expression } from '../jsonata';
import type { Report } from './report';

/** Where a field stands. */
export interface Scope {
  readonly report: Report;
  readonly language: Language;
}

export type Language = 'JSONata' | 'JSONPath';

/** What a field may hold: reports what is wrong with a value. */
export type Kind = (value: unknown, at: string, scope: Scope) => void;

export type Fields = Readonly<Record<string, Kind>>;

/** A literal of any kind, or a template; its expressions are looked at elsewhere. */
export const anything: Kind = () => undefined;

export const text: Kind = (value, at, { report }) => {
  if (typeof value !== 'string') report.schema(at, 'Expected value of type [STRING]', { got: value });
};

/** A text that names something. */
export const name: Kind = (value, at, scope) => {
  if (value === '') scope.report.schema(at, 'Value cannot be empty');
  else text(value, at, scope);
};

export const flag: Kind = (value, at, { report }) => {
  if (typeof value !== 'boolean') report.schema(at, 'Expected value of type [BOOLEAN]', { got: value });
};

export function oneOf(...values: readonly string[]): Kind {
  return (value, at, { report }) => {
    if (typeof value !== 'string') report.schema(at, 'Expected value of type [STRING]', { got: value });
    else if (!values.includes(value)) {
      report.schema(at, `Value should be one of the following: [${values.join(', ')}]`, { got: value });
    }
  };
}

export function whole(least: number, most: number): Kind {
  return (value, at, scope) => {
    if (Number.isInteger(value)) number(least, most)(value, at, scope);
    else scope.report.schema(at, 'Expected value of type [INTEGER]', { got: value, allowed: `${least} to ${most}` });
  };
}

export function number(least: number, most = Number.POSITIVE_INFINITY): Kind {
  return (value, at, { report }) => {
    if (typeof value !== 'number') report.schema(at, 'Expected value of type [NUMBER]', { got: value });
    else if (value < least) report.schema(at, `Minimum value is ${least}`, { got: value });
    else if (value > most) report.schema(at, `Maximum value is ${most}`, { got: value });
  };
}

export function list(item: Kind, least = 0): Kind {
  return (value, at, scope) => {
    if (!Array.isArray(value)) scope.report.schema(at, 'Expected value of type [ARRAY]', { got: value });
    else if (value.length < least) scope.report.schema(at, 'Value cannot be empty');
    else for (const [index, one] of value.entries()) item(one, `${at}[${index}]`, scope);
  };
}

/** An object with these fields; every structure may also have a `Comment`. */
export function structure(fields: Fields, required: readonly string[] = []): Kind {
  return (value, at, scope) => {
    if (!isStructure(value, at, scope.report)) return;
    requireFields(value, required, at, scope);
    checkFields(value, { ...fields, Comment: text }, at, scope);
  };
}

/** What may be an object or list, but no simple value. */
export const compound: Kind = (value, at, { report }) => {
  if (value === null || typeof value !== 'object') {
    report.schema(at, 'Expected value of type [ARRAY, OBJECT]', { got: value });
  }
};

/** The same, or in JSONata an expression that gives it. */
export function computed(kind: Kind): Kind {
  return (value, at, scope) => {
    if (scope.language === 'JSONata' && typeof value === 'string' && expression(value) !== undefined) return;
    kind(value, at, scope);
  };
}

export function requireFields(
  value: Readonly<Record<string, unknown>>,
  required: readonly string[],
  at: string,
  { report }: Scope,
): void {
  const missing = required.filter((field) => !(field in value));
  if (missing.length > 0) report.schema(at, `These fields are required: [${missing.join(', ')}]`);
}

/** Checks each field that is there; one that is not known is refused in the words that fit. */
export function checkFields(value: Readonly<Record<string, unknown>>, fields: Fields, at: string, scope: Scope): void {
  for (const [field, one] of Object.entries(value)) {
    const kind = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (kind !== undefined) kind(one, `${at}/${field}`, scope);
    else unknown(field, fields, at, scope);
  }
}

/** The fields that have no place in the other query language. */
const ONLY_IN: Readonly<Record<Language, readonly string[]>> = {
  JSONPath: [
    ...['InputPath', 'OutputPath', 'ResultPath', 'ResultSelector', 'Parameters', 'Result', 'ItemsPath'],
    ...['SecondsPath', 'TimestampPath', 'TimeoutSecondsPath', 'HeartbeatSecondsPath', 'ErrorPath', 'CausePath'],
    ...['MaxConcurrencyPath', 'ToleratedFailureCountPath', 'ToleratedFailurePercentagePath'],
    ...['MaxItemsPath', 'MaxItemsPerBatchPath', 'MaxInputBytesPerBatchPath'],
  ],
  JSONata: ['Output', 'Arguments', 'Items', 'Condition'],
};

function unknown(field: string, fields: Fields, at: string, { report, language }: Scope): void {
  const other = language === 'JSONata' ? 'JSONPath' : 'JSONata';
  if (ONLY_IN[other].includes(field)) {
    report.schema(
      at,
      `The QueryLanguage is set to '${language}', but field '${field}' is only supported for the '${other}' QueryLanguage`,
    );
  } else if (language === 'JSONPath' && (ONLY_IN.JSONPath.includes(field) || field.endsWith('.$'))) {
    report.unsupported(`${at}/${field}`, "runs no JSONPath: set QueryLanguage 'JSONata', got a field of JSONPath");
  } else {
    report.schema(at, `Field '${field}' is not supported`, { allowed: Object.keys(fields).join(', ') });
  }
}

/** Whether a value is an object; reported if it is none. */
export function isStructure(value: unknown, at: string, report: Report): value is Record<string, unknown> {
  if (!isObject(value)) report.schema(at, 'Expected value of type [OBJECT]', { got: value });
  return isObject(value);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
