import evaluator from 'jsonata';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  type Assigned,
  equals,
  exists,
  expression,
  type Jsonata,
  jsonata,
  literal,
  object,
  orElse,
  type Path,
  path,
  present,
  stateInput,
  type Templated,
  type Text,
  variables,
  without,
} from '../../lib/machine/jsonata';

interface Request {
  readonly runId: string;
  readonly tries: number;
  readonly action: 'TRAIN' | 'LOOK';
  readonly progress: { readonly log: readonly string[]; readonly since: string } | null;
  readonly note?: string;
  readonly anything: Readonly<Record<string, unknown>>;
}

interface Variables {
  readonly request: Request;
  readonly last: Request | null;
  readonly isOld: boolean;
}

const $ = variables<Variables>();

/** What an expression yields, given the values of variables. */
const evaluate = (text: unknown, bindings: object = {}) => evaluator(String(text)).evaluate(undefined, { ...bindings });

describe('a path', () => {
  test('is the way to its value', () => {
    expect(`${$.request.progress.log}`).toBe('$request.progress.log');
    expect(`${path<Request>('$states.result.Payload').runId}`).toBe('$states.result.Payload.runId');
    expect(`${stateInput<Request>().action}`).toBe('$states.input.action');
    expect(jsonata($.request.tries)).toBe('{% $request.tries %}');
  });

  test('has members of names that functions have, too', () => {
    const { failure } = variables<{ failure: { name: string; length: number } }>();
    expect(`${failure.name} ${failure.length}`).toBe('$failure.name $failure.length');
  });

  test('knows the type of its value, and what may be missing', () => {
    expectTypeOf($.request.tries).toEqualTypeOf<Path<number>>();
    expectTypeOf($.request.note).toEqualTypeOf<Path<string | undefined>>();
    expectTypeOf($.last.runId).toEqualTypeOf<Path<string | undefined>>();
    expectTypeOf(jsonata($.request.action)).toEqualTypeOf<Jsonata<'TRAIN' | 'LOOK'>>();
    expectTypeOf(jsonata(present($.last.runId))).toEqualTypeOf<Jsonata<string>>();
    expectTypeOf(jsonata('$request.tries')).toEqualTypeOf<Jsonata<unknown>>();
  });

  test('of an unknown name does not compile', () => {
    // @ts-expect-error no variable has this name
    expect(`${$.reqest}`).toBe('$reqest');
    // @ts-expect-error nor has a member
    expect(`${$.request.runid}`).toBe('$request.runid');
    // @ts-expect-error nor one below a member
    expect(`${$.last.progress.lok}`).toBe('$last.progress.lok');
  });
});

describe('a request', () => {
  const request = (payload: Templated<Request>) => payload;
  const whole = {
    runId: 'a',
    tries: 1,
    action: 'LOOK',
    progress: null,
    anything: { at: [1], all: jsonata('$x') },
  } as const satisfies Templated<Request>;

  test('has values, or JSONata that yields them, at any depth', () => {
    request(whole);
    request(jsonata($.request));
    request({ ...whole, runId: jsonata($.request.runId), tries: jsonata($.request.tries) });
    request({ ...whole, progress: jsonata($.request.progress) });
    request({ ...whole, progress: { log: ['a', jsonata($.request.runId)], since: jsonata($.request.runId) } });
    request({ ...whole, action: jsonata($.request.action), note: jsonata(present($.request.note)) });
    expect(request({ ...whole, tries: jsonata($.request.tries) })).toEqual({ ...whole, tries: '{% $request.tries %}' });
  });

  test('that lacks a member, or has one too many, does not compile', () => {
    const { runId, ...others } = whole;
    // @ts-expect-error runId is missing
    request(others);
    // @ts-expect-error there is no runID
    request({ ...others, runId, runID: 'a' });
    // @ts-expect-error nor may one be renamed
    request({ ...others, runID: jsonata($.request.runId) });
  });

  test('with a value, or an expression, of another type does not compile', () => {
    // @ts-expect-error no number
    request({ ...whole, tries: 'one' });
    // @ts-expect-error yields a number, not a text
    request({ ...whole, runId: jsonata($.request.tries) });
    // @ts-expect-error yields a text, not a number
    request({ ...whole, tries: jsonata($.request.runId) });
    // @ts-expect-error yields whatever
    request({ ...whole, runId: jsonata('$request.runId') });
    // @ts-expect-error another word than the handler knows
    request({ ...whole, action: 'LOKO' });
    // @ts-expect-error yields any text, not one of the two words
    request({ ...whole, action: jsonata($.request.runId) });
    // @ts-expect-error is no text before jsonata() has made a field of it
    request({ ...whole, runId: $.request.runId });
    // @ts-expect-error may yield nothing, with which a field fails
    request({ ...whole, runId: jsonata($.last.runId) });
    // @ts-expect-error so may one for an optional member
    request({ ...whole, note: jsonata($.request.note) });
    // @ts-expect-error yields another object
    request(jsonata($.request.progress));
  });

  test('has its variables checked', () => {
    const assign = (values: Assigned<Variables>) => values;
    expect(assign({ isOld: jsonata(exists($.last)), last: null })).toEqual({
      isOld: '{% $exists($last) %}',
      last: null,
    });
    // @ts-expect-error no variable has this name
    assign({ isold: true });
    // @ts-expect-error no flag
    assign({ isOld: jsonata($.request.runId) });
  });
});

describe('an expression', () => {
  test('writes values as JSONata does', async () => {
    expect(`${literal('FAILED')}`).toBe("'FAILED'");
    for (const value of ["it's", 'C:\\new', '"a"', 1.5, true, null, { a: ["'"] }]) {
      expect(await evaluate(literal(value))).toEqual(value);
    }
    expectTypeOf(literal('FAILED')).toEqualTypeOf<Text<'FAILED'>>();
  });

  test('compares with what a value can be', async () => {
    expect(`${equals($.request.action, 'LOOK')}`).toBe("$request.action = 'LOOK'");
    expect(await evaluate(equals($.request.action, 'LOOK'), { request: { action: 'LOOK' } })).toBe(true);
    // @ts-expect-error it never is
    expect(await evaluate(equals($.request.action, 'LOKO'), { request: { action: 'LOOK' } })).toBe(false);
  });

  test('takes another value where there is none', async () => {
    const note = orElse($.request.note, 'none');
    expect(await evaluate(note, { request: { note: 'a' } })).toBe('a');
    expect(await evaluate(note, { request: {} })).toBe('none');
    expectTypeOf(note).toEqualTypeOf<Text<string>>();
  });

  test('leaves a member out', async () => {
    const rest = without($.request, 'note');
    expect(await evaluate(rest, { request: { note: 'a', runId: 'b' } })).toEqual({ runId: 'b' });
    expectTypeOf(rest).toEqualTypeOf<Text<Omit<Request, 'note'>>>();
    // @ts-expect-error it has none of this name
    expect(`${without($.request, 'not')}`).toContain("'not'");
  });
});

describe('an object', () => {
  type Small = Pick<Request, 'runId' | 'note'>;
  const runId = expression<string>('$id');

  test('lacks an optional member whose expression yields nothing', async () => {
    const small = object<Small>({ runId, note: $.request.note });
    expect(`${small}`).toBe("{'runId': $id, 'note': $request.note}");
    expect(await evaluate(small, { id: 'a', request: { note: 'b' } })).toEqual({ runId: 'a', note: 'b' });
    expect(await evaluate(small, { id: 'a', request: {} })).toEqual({ runId: 'a' });
  });

  test('lacks one that is null', async () => {
    const small = object<Small>({ runId }, { note: expression<string | null>('$note') });
    expect(`${small}`).toBe("$merge([{'runId': $id}, $note ? {'note': $note} : {}])");
    expect(await evaluate(small, { id: 'a', note: 'b' })).toEqual({ runId: 'a', note: 'b' });
    expect(await evaluate(small, { id: 'a', note: null })).toEqual({ runId: 'a' });
  });

  test('that is not what it must be does not compile', () => {
    // @ts-expect-error runId is missing
    object<Small>({ note: $.request.note });
    // @ts-expect-error runId may be missing
    object<Small>({ runId: $.last.runId });
    // @ts-expect-error runId must be there
    object<Small>({ runId }, { runId });
    // @ts-expect-error there is no Note
    object<Small>({ runId, Note: runId });
    // @ts-expect-error there is no Note
    object<Small>({ runId }, { Note: runId });
    // @ts-expect-error a number is no note
    expect(`${object<Small>({ runId, note: $.request.tries })}`).toContain('tries');
  });
});
