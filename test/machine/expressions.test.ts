import fc from 'fast-check';
import jsonata from 'jsonata';
import { describe, expect, test } from 'vitest';
import { CAUGHT } from '../../lib/machine/expressions';

/** What is recorded as the cause of an error output. */
function causeOf(errorOutput: object): Promise<string> {
  return jsonata(CAUGHT.cause.slice(2, -2)).evaluate(undefined, { states: { errorOutput } });
}

/** A function's failure, as Lambda hands it on. */
const lambda = (errorMessage: string) =>
  JSON.stringify({ errorType: 'Error', errorMessage, trace: [`Error: ${errorMessage}`, '    at x (file.mjs:1:1)'] });

describe('what a Catch records as the cause', () => {
  test.each([
    ['a message of a function', { Cause: lambda('it is\n"empty"\tC:\\new') }, 'it is\n"empty"\tC:\\new'],
    [
      'a timeout of a function',
      { Cause: '{"errorMessage":"Task timed out after 900.00 seconds"}' },
      'Task timed out after 900.00 seconds',
    ],
    [
      'a reason of SageMaker',
      { Cause: JSON.stringify({ TrainingJobName: 'a', Tags: [{ Key: 'a' }], FailureReason: 'AlgorithmError: {"x"}' }) },
      'AlgorithmError: {"x"}',
    ],
    ['JSON that says neither', { Cause: '{"Message":"x"}' }, '{"Message":"x"}'],
    ['text', { Cause: 'Rate exceeded (Service: SageMaker)' }, 'Rate exceeded (Service: SageMaker)'],
    ['nothing', {}, 'no cause given'],
    ['an empty text', { Cause: '' }, ''],
    ['a brace alone', { Cause: '{' }, '{'],
  ])('is %s', async (_, output, cause) => {
    expect(await causeOf({ Error: 'Error', ...output })).toBe(cause);
  });

  test('is the message of any failure', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({
          unit: fc.constantFrom('a', '"', '\\', '\n', '\t', '{', '}', ',', '$', 'é', '😀', '"errorMessage":"'),
        }),
        async (message) => {
          expect(await causeOf({ Cause: lambda(message) })).toBe(message);
        },
      ),
    );
  });

  test('is never lost because the cause was cut off, wherever', async () => {
    const whole = lambda(`column "a" of '\\\\share' is missing\n${'x'.repeat(40)}`);
    for (let length = 0; length <= whole.length; length++) {
      const cause = await causeOf({ Cause: whole.slice(0, length) });
      expect(typeof cause).toBe('string');
      if (length > 80) expect(cause).toMatch(/^column "a" of '\\\\share/);
    }
  });

  test('is short enough for what records it', async () => {
    expect(await causeOf({ Cause: lambda('ä"\\'.repeat(20_000)).slice(0, 32_768) })).toHaveLength(8000);
  });
});
