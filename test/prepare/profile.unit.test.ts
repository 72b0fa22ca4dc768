import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  categoryHistogram,
  countCategories,
  type countLike,
  countNumbers,
  histogramRows,
  mergeHistograms,
  namedValues,
  numberHistogram,
  quantileEdges,
} from '../../lib/core/prepare/profile';

const number = fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.integer({ min: -3, max: 3 }));
const cell = fc.oneof({ weight: 8, arbitrary: number }, fc.constantFrom(null, Number.NaN, Number.POSITIVE_INFINITY));
const category = fc.constantFrom('a', 'b', 'c', '', 'new', null);

describe('edges', () => {
  it('cut many values into bins of equal counts', () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => (i * 7919) % 1000);

    const { counts } = countNumbers(quantileEdges(values, 20), values);

    expect(counts).toEqual(new Array(20).fill(50));
  });

  it('give few values a bin each', () => {
    const values = [3, 1, 1, 2, 2, 2, Number.NaN];

    expect(quantileEdges(values)).toEqual([2, 3]);
    expect(countNumbers(quantileEdges(values), values).counts).toEqual([2, 3, 1]);
  });

  it('fence off a value that fills whole bins', () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => (i < 600 ? 0 : i < 800 ? -i : i));

    const edges = quantileEdges(values, 10);
    const { counts } = countNumbers(edges, values);

    expect(edges).toContain(0);
    expect(counts[edges.indexOf(0) + 1]).toBe(600);
  });

  it('are none without values or with one', () => {
    expect(quantileEdges([])).toEqual([]);
    expect(quantileEdges([5, 5])).toEqual([]);
  });

  it('increase strictly, are values themselves, leave no bin empty, and ignore the order of values', () => {
    fc.assert(
      fc.property(
        fc.array(number, { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 2, max: 20 }),
        (values, bins) => {
          const edges = quantileEdges(values, bins);
          const { counts } = countNumbers(edges, values);

          expect(edges.every((edge, i) => values.includes(edge) && (i === 0 || edge > edges[i - 1]))).toBe(true);
          expect(counts.every((rows) => rows > 0)).toBe(true);
          expect(quantileEdges([...values].reverse(), bins)).toEqual(edges);
        },
      ),
    );
  });
});

describe('counting', () => {
  it('puts a value on an edge above it', () => {
    expect(countNumbers([0, 10], [-1, 0, 9.99, 10, 11]).counts).toEqual([1, 2, 2]);
  });

  it('puts a value into the bin of as many edges as are not above it', () => {
    fc.assert(
      fc.property(fc.uniqueArray(number, { maxLength: 10 }), number, (marks, value) => {
        const edges = [...marks].sort((a, b) => a - b);
        const bin = edges.filter((edge) => edge <= value).length;
        expect(countNumbers(edges, [value]).counts[bin]).toBe(1);
      }),
    );
  });

  it('counts every row once', () => {
    fc.assert(
      fc.property(fc.array(cell, { maxLength: 50 }), fc.array(category, { maxLength: 50 }), (numbers, names) => {
        expect(histogramRows(countNumbers([-1, 0, 2], numbers))).toBe(numbers.length);
        expect(histogramRows(countCategories(['a', 'b', ''], names))).toBe(names.length);
      }),
    );
  });

  it('tells missing, unnamed and empty categories apart', () => {
    expect(countCategories(['a', ''], ['a', 'a', '', null, 'z'])).toEqual({
      kind: 'category',
      values: ['a', ''],
      counts: [2, 1],
      other: 1,
      missing: 1,
    });
  });

  it('takes counts that were made by SQL', () => {
    expect(
      numberHistogram(
        [1, 2],
        [
          [2, 5],
          [0, 3],
        ],
        { missing: 4, mean: null, deviation: null },
      ),
    ).toEqual({
      kind: 'number',
      edges: [1, 2],
      counts: [3, 0, 5],
      missing: 4,
      mean: 0,
      deviation: 0,
    });
    expect(
      categoryHistogram(
        ['a', 'b'],
        [
          ['b', 7],
          [null, 1],
          ['x', 2],
          ['y', 1],
        ],
      ),
    ).toMatchObject({
      counts: [0, 7],
      other: 3,
      missing: 1,
    });
    expect(() => numberHistogram([1], [[2, 1]], { missing: 0, mean: 0, deviation: 0 })).toThrow(
      'a bin must be a whole number from 0 to 1, got 2',
    );
  });

  it('names the most frequent values', () => {
    expect(
      namedValues(
        new Map([
          ['z', 5],
          ['b', 2],
          ['a', 2],
          ['c', 1],
        ]),
        3,
      ),
    ).toEqual(['z', 'a', 'b']);
  });
});

describe('merging', () => {
  const edges = [-1, 0, 2];

  it('equals counting all at once, in any order and grouping', () => {
    fc.assert(
      fc.property(fc.tuple(...[1, 2, 3].map(() => fc.array(cell, { maxLength: 30 }))), (parts) => {
        const [a, b, c] = parts.map((part) => countNumbers(edges, part));
        const whole = countNumbers(edges, parts.flat());
        const merges = [
          mergeHistograms(mergeHistograms(a, b), c),
          mergeHistograms(a, mergeHistograms(b, c)),
          mergeHistograms(c, mergeHistograms(b, a)),
        ];

        for (const merged of merges) {
          expect([merged.counts, merged.missing]).toEqual([whole.counts, whole.missing]);
          expect(merged.mean).toBeCloseTo(whole.mean, 6);
          expect(merged.deviation).toBeCloseTo(whole.deviation, 4);
        }
      }),
    );
  });

  it('works for categories too', () => {
    fc.assert(
      fc.property(fc.array(category), fc.array(category), (a, b) => {
        const [one, other] = [a, b].map((part) => countCategories(['a', 'b', ''], part));
        expect(mergeHistograms(one, other)).toEqual(countCategories(['a', 'b', ''], [...a, ...b]));
        expect(mergeHistograms(other, one)).toEqual(mergeHistograms(one, other));
      }),
    );
  });

  it('refuses histograms that count different things', () => {
    expect(() => mergeHistograms(countNumbers([1], [1]), countNumbers([2], [1]))).toThrow('same kind and edges');
    expect(() => mergeHistograms<ReturnType<typeof countLike>>(countNumbers([], []), countCategories([], []))).toThrow(
      'same kind',
    );
  });

  it('has an empty histogram that changes nothing', () => {
    const some = countNumbers(edges, [1, 2, null]);

    expect(mergeHistograms(some, countNumbers(edges, []))).toEqual(some);
  });
});
