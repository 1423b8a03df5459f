import { describe, expect, test } from 'vitest';
import { chance, standing, swarm, waterfall } from '../../src/charts/contributions';
import { splitWords } from '../../src/format/split';

describe('a beeswarm', () => {
  test('keeps dots of one place apart and others on the line', () => {
    const places = [10.1, 10.2, 10.3, 50, 10.4];
    const offsets = swarm(places, 4, 20);
    expect(offsets[3]).toBe(0);
    const stacked = [0, 1, 2, 4].map((i) => offsets[i] as number).sort((a, b) => a - b);
    for (let i = 1; i < stacked.length; i++) expect((stacked[i] as number) - (stacked[i - 1] as number)).toBeGreaterThanOrEqual(4);
  });
  test('presses a high stack into its row', () => {
    const offsets = swarm(new Array<number>(400).fill(7), 4, 14);
    expect(Math.max(...offsets.map(Math.abs))).toBeCloseTo(12, 9); // half the row less half a dot
    expect(new Set(offsets.map((v) => v.toFixed(6))).size).toBe(400);
  });
  test('has nothing to lay without dots', () => expect(swarm([], 4, 10)).toEqual([]));
});

test('a value stands by its rank; a text and a missing one do not stand', () => {
  expect(standing([1, 2, 3, 1_000_000, null])).toEqual([0, 1 / 3, 2 / 3, 1, undefined]);
  expect(standing([5, 5, 5])).toEqual([0.5, 0.5, 0.5]);
  expect(standing([0, 0, 1, 1])).toEqual([0, 0, 1, 1]);
  expect(standing(['a', 'b', true, false])).toEqual([undefined, undefined, 1, 0]);
});

describe('a waterfall', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const contributions = [0.1, -0.5, 0.3, 0, -0.05];
  test('goes from what is expected to the margin, largest step first', () => {
    const steps = waterfall(-1, names, contributions, 10);
    expect(steps.map((s) => s.name)).toEqual(['b', 'c', 'a', 'e', 'd']);
    expect(steps[0]?.from).toBe(-1);
    steps.slice(1).forEach((s, i) => expect(s.from).toBe(steps[i]?.to));
    expect(steps.at(-1)?.to).toBeCloseTo(-1 + 0.1 - 0.5 + 0.3 - 0.05, 12);
  });
  test('adds up what it does not show', () => {
    const steps = waterfall(2, names, contributions, 3);
    expect(steps.map((s) => s.name)).toEqual(['b', 'c', '3 others']);
    expect(steps.at(-1)?.amount).toBeCloseTo(0.05, 12);
    expect(steps.at(-1)?.to).toBeCloseTo(2 - 0.15, 12);
  });
  test('of as many as fit merges none', () => expect(waterfall(0, names, contributions, 5)).toHaveLength(5));
});

test('log odds of 0 are even', () => {
  expect(chance(0)).toBe(0.5);
  expect(chance(Math.log(3))).toBeCloseTo(0.75, 12);
});

test.each([
  ['stratified k=5 repeats=3 seed=1', 15, '15 fits: every row judged in turn, the classes in their shares in each piece, cut 3 times, seed 1'],
  ['time_series k=5 gap=24', 5, '5 fits: each piece of time judged by a fit on what came before, gap 24'],
  ['group k=4 groups=store', 4, '4 fits: no value of store on both sides'],
  ['3', 3, '3 fits: every row judged in turn by a fit on the other pieces'],
])('the split %s in words', (line, count, words) => expect(splitWords(line, count)).toBe(words));
