import type { Machine } from '../../engine/src/services/states/definition';
import type { TaskCall } from '../../engine/src/services/states/frame';
import { type Played, play } from './played-states';

/** What a machine has asked: of a function, by its name in the template, or of SageMaker, by the action. */
export interface Asked {
  readonly what: string;
  readonly request: unknown;
}

/** Answers by what is asked; a function is given the request and how often that was asked before. */
export type Answers = Readonly<Record<string, unknown>>;

/**
 * Plays a whole machine in the engine's interpreter, to its end: what it asks, in its order, and how it ends.
 *
 * What a function of `answers` throws is the task's failure; what has no answer there is answered by `{}`.
 */
export async function converse(
  machine: Machine,
  input: object,
  answers: Answers = {},
): Promise<Played & { readonly asked: Asked[]; readonly of: (what: string) => unknown[] }> {
  const asked: Asked[] = [];
  const of = (what: string) => asked.filter((one) => one.what === what).map(({ request }) => request);
  const ends = Object.keys(machine.States).filter((name) => /Succeed|Fail/.test(machine.States[name]?.Type ?? ''));
  const played = await play(machine, { input, ends }, (call) => {
    const { what, request } = readable(call);
    const before = of(what).length;
    asked.push({ what, request });
    const answer = answers[what] ?? {};
    const result = typeof answer === 'function' ? answer(request, before) : answer;
    return call.resource.type === 'lambda' ? { Payload: result } : result;
  });
  return { ...played, asked, of };
}

/** A call without what says nothing to people: hashes of logical ids and of assets. */
function readable({ resource, arguments: given }: TaskCall): Asked {
  const text = JSON.stringify(given)
    .replaceAll(/arn:aws:lambda:us-east-1:123456789012:function:/g, '')
    .replaceAll(/\b([A-Z][A-Za-z]+?)[0-9A-F]{8}\b/g, '$1')
    .replaceAll(/[0-9a-f]{64}/g, '<asset>')
    .replaceAll(/"codeVersion":"[0-9a-f]+"/g, '"codeVersion":"<code>"');
  const request = JSON.parse(text);
  if (resource.type !== 'lambda') return { what: resource.action, request };
  return { what: request.FunctionName.replace(/^Loop(Training|Deployment)|Function$/g, ''), request: request.Payload };
}

/** What golden files hold: members by name, so that their order in the code says nothing. */
export function golden(value: unknown): string {
  const sorted = (_: string, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  return `${JSON.stringify(value, sorted, 2)}\n`;
}
