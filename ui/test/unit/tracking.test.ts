import { expect, test } from 'vitest';
import { clauseOf, num, quoteKey, type Curve, type TrackedRun } from '../../src/api/tracking';
import { dimension } from '../../src/charts/cloud';
import { aligned, smoothed } from '../../src/charts/curves';
import { hue } from '../../src/charts/hue';
import { pathOfHash } from '../../src/hash';
import { lines } from '../../src/pages/compare';
import { columnLabel, locate } from '../../src/pages/experiment';
import { lookOf, parseCSV } from '../../src/parts/artifacts';
import { visibleColumns } from '../../src/parts/grid';

const curve = (part: Partial<Curve>): Curve => ({ run: 'a', key: 'loss', total: 2, downsampled: false, x: [0, 1], y: [1, 2], ...part });

test('curves share one axis, with holes, and bands only where points were left out', () => {
  const style = { axis: 'step' as const, log: false, smooth: 0 };
  expect(aligned([curve({}), curve({ run: 'b', x: [1, 5], y: [3, 'NaN'] })], style)).toEqual([[0, 1, 5], [1, 2, undefined], [undefined, 3, null]]);
  expect(aligned([curve({ downsampled: true, low: [0, 1], high: [4, 5] })], style)).toEqual([[0, 1], [1, 2], [0, 1], [4, 5]]);
  expect(aligned([curve({ y: [0, 10] })], { ...style, log: true })[1]).toEqual([null, 10]);
  expect(aligned([curve({ x: [1000, 2000] })], { ...style, axis: 'time' })[0]).toEqual([1, 2]);
});

test('smoothing starts at the first value and keeps holes', () => {
  expect(smoothed([4, null, 4], 0.9)).toEqual([4, null, 4]);
  expect(smoothed([0, 10], 0.5)[1]).toBeCloseTo(10 * 0.5 / 0.75);
});

test('only the columns on the screen are made', () => {
  const widths = Array(1500).fill(100) as number[];
  expect(visibleColumns(widths, 0, 300)).toEqual({ first: 0, last: 2, before: 0, after: 149_700 });
  expect(visibleColumns(widths, 250, 300)).toEqual({ first: 2, last: 5, before: 200, after: 149_400 });
  expect(visibleColumns([], 0, 300)).toEqual({ first: 0, last: -1, before: 0, after: 0 });
});

test('keys are quoted where the grammar needs it', () => {
  expect(quoteKey('metrics', 'auc')).toBe('metrics.auc');
  expect(quoteKey('metrics', 'val/loss 1')).toBe('metrics.`val/loss 1`');
  expect(columnLabel('metrics.`val/loss 1`')).toBe('val/loss 1');
});

test('a value is found with the quotes that it does not have', () => {
  expect(['risk', "o'hara", '', `5' 6"`].map((v) => clauseOf('tags.team', v))).toEqual(["tags.team = 'risk'", `tags.team = "o'hara"`, "tags.team = ''", undefined]);
  expect([clauseOf('params.depth', null), clauseOf('attributes.user_id', null)]).toEqual(['params.depth IS NULL', undefined]);
});

test('rows below opened rows move those after them', () => {
  const blocks = [{ at: 1, rows: ['a', 'b'] }, { at: 2, rows: [] }, { at: 3, rows: ['c'] }];
  expect(Array.from({ length: 9 }, (_, i) => locate(i, blocks))).toEqual([
    { index: 0 }, { index: 1 }, { index: 1, below: 0 }, { index: 1, below: 1 }, { index: 2 }, { index: 3 }, { index: 3, below: 0 }, { index: 4 }, { index: 5 },
  ]);
});

test('words for what is no number stay words, and draw nothing', () => {
  expect([num(2), num('Infinity'), num('-Infinity')]).toEqual([2, Infinity, -Infinity]);
  expect(num('NaN')).toBeNaN();
  expect(num(null)).toBeNaN();
});

test('a comparison shows what differs, and the best of a metric', () => {
  const run = (id: string, params: Record<string, string>, metrics: Record<string, number>) => ({ id, params, metrics, tags: {} }) as unknown as TrackedRun;
  const runs = [run('a', { depth: '6', seed: '1' }, { auc: 0.7 }), run('b', { depth: '8', seed: '1' }, { auc: 0.8 })];
  expect(lines(runs, ['depth', 'seed'], (r, k) => r.params[k], true)).toEqual([{ key: 'depth', cells: ['6', '8'], best: undefined }]);
  expect(lines(runs, ['auc'], (r, k) => r.metrics[k] as number, true, () => 1)[0]?.best).toBe(1);
  expect(lines(runs, ['auc'], (r, k) => r.metrics[k] as number, true, () => -1)[0]?.best).toBe(0);
});

test('a dimension is numbers when all are, words otherwise', () => {
  expect(dimension('p', 'p', ['1', '10', null])?.place('10')).toBe(1);
  expect(dimension('p', 'p', ['a', 'b'])?.place('b')).toBe(1);
  expect(dimension('p', 'p', [null, ''])).toBeUndefined();
});

test('files are shown by their name, and CSV keeps its quotes', () => {
  expect(['a/MLmodel', 'x.PNG', 'r.html', 'm.pkl', 'd.csv'].map(lookOf)).toEqual(['text', 'image', 'html', 'none', 'table']);
  expect(parseCSV('a,b\r\n"x, ""y""",2\n')).toEqual([['a', 'b'], ['x, "y"', '2']]);
});

test('many runs keep apart: eight colours, then dashes', () => {
  expect(hue(0)).toEqual({ token: '--c1', dash: undefined });
  expect(hue(8)).toEqual({ token: '--c1', dash: [6, 3] });
});

test('addresses that MLflow prints lead to the same things', () => {
  expect(['#/experiments/1/runs/abc', '#/experiments/1', '#/models/iris/versions/3', '#/models/a%20b', '#/experiments', '#other', ''].map(pathOfHash)).toEqual([
    '/runs/abc/overview', '/experiments/1', '/models/iris/3/evaluation', '/models/a%20b', '/experiments', undefined, undefined,
  ]);
});
