import type { Machine } from './definition';
import type { Evaluator } from './jsonata';
import { isObject } from './validation/kinds';
import { checkMachine, languageOf } from './validation/machine';
import { Report } from './validation/report';

/**
 * Everything for which Step Functions would refuse a definition, or the engine could not run it.
 *
 * Each fault has Step Functions' code and words, the place in the definition, what is there and what may be: e.g.
 * `UNSUPPORTED_JSONATA_EXPRESSION: Reference to 'phone' at the top level is not supported. at /States/E/Output/v (got …)`.
 *
 * @param type `EXPRESS` machines may do less
 */
export function problems(
  definition: Machine,
  evaluator: Evaluator,
  type: 'STANDARD' | 'EXPRESS' = 'STANDARD',
): readonly string[] {
  const report = new Report();
  const language = isObject(definition) ? languageOf(definition, 'JSONPath') : 'JSONPath';
  const checked = { report, evaluator, language, names: new Set<string>() };
  checkMachine(definition, '', checked, { kind: 'machine', variables: new Set(), express: type === 'EXPRESS' });
  return report.faults;
}
