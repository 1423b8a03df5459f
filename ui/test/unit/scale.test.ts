import { describe, expect, test } from 'vitest';
import { areaPath, coarsen, contour, csv, extent, linear, linePath, nearest, niceDomain, niceStep, spread, tickDecimals, ticks, timeTicks } from '../../src/charts/scale';

test('a scale maps its ends, its middle, and a domain without width', () => {
  const x = linear([10, 20], [0, 100]);
  expect([x(10), x(15), x(20), x(25)]).toEqual([0, 50, 100, 150]);
  expect(linear([3, 3], [0, 100])(3)).toBe(50);
});

test('the extent leaves out what is no number', () => {
  expect(extent([3, null, NaN, -1, undefined, Infinity])).toEqual([-1, 3]);
  expect(extent([null, NaN])).toBeUndefined();
});

describe('ticks', () => {
  test.each([
    [0, 1, 4, [0, 0.5, 1]],
    [0, 100, 4, [0, 50, 100]],
    [-26.3, 20.1, 4, [-20, 0, 20]],
    [0.55, 0.85, 4, [0.6, 0.7, 0.8]],
    [0.1, 0.3, 4, [0.1, 0.15, 0.2, 0.25, 0.3]], // steps of 0.05, without 0.15000000000000002
  ])('%f to %f', (lo, hi, most, want) => expect(ticks(lo, hi, most)).toEqual(want));
  test('steps are 1, 2 or 5 times a power of ten', () => {
    for (const size of [0.003, 0.7, 1, 9, 37, 4200]) expect([1, 2, 5, 10]).toContain(Math.round(niceStep(size, 5) / 10 ** Math.floor(Math.log10(niceStep(size, 5)) + 1e-9)));
  });
  test('a domain is widened to its ticks, and one value gets room', () => {
    expect(niceDomain(0.03, 0.97, 5)).toEqual([0, 1]);
    expect(niceDomain(5, 5)).toEqual([4.5, 5.5]);
  });
  test('decimals follow the step', () => expect([1, 0.5, 0.05, 0.002].map(tickDecimals)).toEqual([0, 1, 2, 3]));
});

describe('ticks of time', () => {
  const zone = 'America/New_York';
  test('months start at local midnight on both sides of daylight saving', () => {
    const found = timeTicks(Date.parse('2013-09-15T00:00:00Z'), Date.parse('2013-12-20T00:00:00Z'), zone, 6);
    expect(found.map((t) => t.label)).toEqual(['Oct', 'Nov', 'Dec']);
    expect(found.map((t) => new Date(t.at).toISOString())).toEqual(['2013-10-01T04:00:00.000Z', '2013-11-01T04:00:00.000Z', '2013-12-01T05:00:00.000Z']);
  });
  test('a few days are labelled by day', () => {
    expect(timeTicks(Date.parse('2013-12-09T05:00:00Z'), Date.parse('2013-12-12T05:00:00Z'), zone, 6).map((t) => t.label)).toEqual(['9 Dec', '10 Dec', '11 Dec', '12 Dec']);
  });
  test('hours within a day', () => {
    expect(timeTicks(Date.parse('2013-12-09T05:00:00Z'), Date.parse('2013-12-09T17:00:00Z'), zone, 4).map((t) => t.label)).toEqual(['9 Dec', '03:00', '06:00', '09:00', '12:00']);
  });
});

test('a missing point is a gap in the line and in the band', () => {
  expect(linePath([{ x: 0, y: 1 }, { x: 1, y: null }, { x: 2, y: 3 }, { x: 3, y: 4 }])).toBe('M0.0 1.0M2.0 3.0L3.0 4.0');
  expect(areaPath([0, 1, 2, 3], [1, 1, null, 1], [2, 2, 2, 2])).toBe('M0.0 2.0L1.0 2.0L1.0 1.0L0.0 1.0Z');
});

test('labels are spread without leaving their room', () => {
  const places = spread([10, 11, 12], 15, 0, 40);
  expect(places[1]! - places[0]!).toBeGreaterThanOrEqual(15);
  expect(places[2]! - places[1]!).toBeGreaterThanOrEqual(15);
  expect(Math.max(...places)).toBeLessThanOrEqual(40);
  expect(spread([5, 100], 15, 0, 200)).toEqual([5, 100]);
});

test('a contour goes up and down its bars', () => expect(contour([1, 2], (i) => i * 10, (v) => 100 - v, 100)).toBe('M0.0 100.0V99.0H10.0V98.0H20.0V100.0'));
test('the nearest place', () => expect([nearest([0, 10, 20], 14), nearest([], 3)]).toEqual([1, -1]));
test('merged bins keep their sum', () => {
  const { shares, edges } = coarsen([1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], 2);
  expect(shares).toEqual([6, 9]);
  expect(edges).toEqual([0, 3, 5]);
});
test('CSV quotes what needs it', () => expect(csv(['a', 'b'], [['x,"y"', 1], [null, '−2']])).toBe('a,b\r\n"x,""y""",1\r\n,−2\r\n'));
