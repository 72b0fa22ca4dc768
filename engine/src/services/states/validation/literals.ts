import { expression } from '../jsonata';
import { isObject } from './kinds';
import type { Report } from './report';

/** Reports what a state of JSONPath holds that the engine cannot run: paths, and text that it would take for JSONata. */
export function checkLiterals(state: Readonly<Record<string, unknown>>, at: string, report: Report): void {
  for (const field of ['Result', 'Assign', 'Error', 'Cause', 'Timestamp', 'Credentials', 'Catch']) {
    if (field in state) walk(state[field], `${at}/${field}`, report);
  }
}

function walk(value: unknown, at: string, report: Report): void {
  if (typeof value === 'string' && expression(value) !== undefined) {
    report.unsupported(
      at,
      "runs JSONata alone: set QueryLanguage 'JSONata', got literal text that looks like an expression",
    );
  } else if (Array.isArray(value)) {
    for (const [index, one] of value.entries()) walk(one, `${at}[${index}]`, report);
  } else if (isObject(value)) {
    for (const [key, one] of Object.entries(value)) {
      if (key.endsWith('.$'))
        report.unsupported(`${at}/${key}`, "runs no JSONPath: set QueryLanguage 'JSONata', got a path");
      walk(one, `${at}/${key}`, report);
    }
  }
}
