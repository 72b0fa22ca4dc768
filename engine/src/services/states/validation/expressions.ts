import { type Evaluator, expression } from '../jsonata';
import { isObject } from './kinds';
import type { Report } from './report';

/** A node of jsonata's syntax tree, as far as this looks at it. */
interface Node {
  readonly type?: string;
  readonly value?: unknown;
  readonly steps?: readonly Node[];
  readonly expression?: Node;
  readonly expressions?: readonly Node[];
  /** Of an object constructor: pairs; else one side of an operator. */
  readonly lhs?: Node | readonly (readonly Node[])[];
  readonly rhs?: Node;
  readonly procedure?: Node;
  readonly arguments?: readonly Node[];
  readonly body?: Node;
  readonly condition?: Node;
  readonly then?: Node;
  readonly else?: Node;
}

/** Which members of `$states` are there beyond `input` and `context`. */
export interface Known {
  readonly result: boolean;
  readonly errorOutput: boolean;
}

/** Fields whose text is never an expression, where they belong to the language and not to a payload. */
const LITERAL = ['Type', 'Comment', 'Next', 'Default', 'Resource', 'ErrorEquals', 'Retry', 'CSVHeaders', 'Label'];
/** Fields that hold other machines. */
const NESTED = ['ItemProcessor', 'Branches'];
/** Fields whose members are the user's own. */
const PAYLOADS = ['Output', 'Assign', 'Arguments', 'ItemSelector', 'BatchInput', 'Items'];

/** Checks every expression of a state: its grammar, and what it refers to. */
export function checkExpressions(state: Readonly<Record<string, unknown>>, at: string, report: Report, by: Evaluator) {
  const task = ['Task', 'Parallel', 'Map'].includes(String(state.Type));
  const walk = (value: unknown, place: string, known: Known, payload: boolean): void => {
    if (typeof value === 'string') check(value, place, known, report, by);
    else if (Array.isArray(value)) {
      for (const [index, one] of value.entries()) walk(one, `${place}[${index}]`, known, payload);
    } else if (isObject(value)) {
      for (const [field, one] of Object.entries(value)) {
        if (payload) walk(one, `${place}/${field}`, known, true);
        else if (!LITERAL.includes(field) && !NESTED.includes(field)) {
          walk(one, `${place}/${field}`, membersIn(field, place), PAYLOADS.includes(field));
        }
      }
    }
  };
  const membersIn = (field: string, place: string): Known => {
    const gives = field === 'Output' || field === 'Assign';
    return { result: task && gives && place === at, errorOutput: gives && /\/Catch\[\d+\]$/.test(place) };
  };
  walk(state, at, { result: false, errorOutput: false }, false);
}

function check(text: string, at: string, known: Known, report: Report, by: Evaluator): void {
  const source = expression(text);
  if (source === undefined) {
    if (text.startsWith('{%')) {
      const allowed = 'text that begins with {% and ends with %}';
      report.add('INVALID_JSONATA_EXPRESSION', at, 'Improperly closed expression', { got: text, allowed });
    }
    return;
  }
  let tree: Node;
  try {
    tree = by.compile(source).ast() as unknown as Node;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const allowed = `JSONata 2.0.6${code === undefined ? '' : `; ${code}`}`;
    report.add('INVALID_JSONATA_EXPRESSION', at, message, { got: text, allowed });
    return;
  }
  for (const fault of references(tree, known))
    report.add('UNSUPPORTED_JSONATA_EXPRESSION', at, fault, { got: text, allowed: ALLOWED });
}

const ALLOWED = '$states.input, $states.context, variables and functions';

/** What an expression refers to that is not there, in Step Functions' words. */
export function references(tree: Node, known: Known): string[] {
  const names = [...new Set(contextNames(tree))];
  const members = [...new Set(stateMembers(tree))].filter((member) => member === 'result' || member === 'errorOutput');
  return [
    ...names.map((name) =>
      name === '$$'
        ? "Reference to '$$' is not supported."
        : `Reference to '${name}' at the top level is not supported.`,
    ),
    ...members.filter((member) => !known[member]).map((member) => `Field '$states.${member}' does not exist.`),
  ];
}

/** The names that are read from the outermost context, which Step Functions does not give. */
function contextNames(node: Node | undefined): string[] {
  if (node?.type === 'name') return [String(node.value)];
  if (node?.type === 'variable') return node.value === '' || node.value === '$' ? [`$${node.value}`] : [];
  return inSameContext(node).flatMap(contextNames);
}

/**
 * The parts of a node that read the same context as it does: of a path only the first step. Later steps, predicates,
 * orders and groups read what the step before them gave.
 */
function inSameContext(node: Node | undefined): readonly (Node | undefined)[] {
  switch (node?.type) {
    case 'path':
      return [node.steps?.[0]];
    case 'unary':
      return [
        node.expression,
        ...(node.expressions ?? []),
        ...((node.lhs ?? []) as readonly (readonly Node[])[]).flat(),
      ];
    case 'binary':
    case 'apply':
      return [node.lhs as Node, node.rhs];
    case 'bind':
      return [node.rhs];
    case 'function':
    case 'partial':
      return [node.procedure, ...(node.arguments ?? [])];
    case 'lambda':
      return [node.body];
    case 'condition':
      return [node.condition, node.then, node.else];
    case 'block':
      return node.expressions ?? [];
    default:
      return [];
  }
}

/** Every member that is read of `$states`, wherever in the expression. */
function stateMembers(node: unknown): string[] {
  if (node === null || typeof node !== 'object') return [];
  const { type, steps } = node as Node;
  const [first, second] = (type === 'path' && steps) || [];
  const own = first?.type === 'variable' && first.value === 'states' && second?.type === 'name';
  return [...(own ? [String(second.value)] : []), ...Object.values(node).flatMap(stateMembers)];
}
