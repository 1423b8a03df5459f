import { expect, test } from 'vitest';
import type { Interval, LogRow, PerformanceView, Verdict } from '../../src/api/types';
import { armsOf, quantile } from '../../src/charts/armdata';
import { boundOf, courseOf, gapOf, limitsOf, marksOf, totalOf, valueOf } from '../../src/charts/series';
import { stalePaths } from '../../src/api/events';
import { snippets } from '../../src/parts/command';
import { varying } from '../../src/pages/runs';
import { checkText, roleOf } from '../../src/pages/data';
import { standing } from '../../src/pages/models';

const m = (value: number, lo = value, hi = value, n = 100): Interval => ({ value, lo, hi, n });

function verdict(from: string, to: string, n: number, metrics: Record<string, Interval>, state: Verdict['state'] = 'ok'): Verdict {
  return { id: from, project: 'p', deployment: 'd', kind: 'performance', from, to, version: 2, revision: 1, made_at: to, state, n, rows: n, known: n, coverage: 1, summary: '', metrics };
}

const view: PerformanceView = {
  when: 'abs(calibration_gap) > 0.05 || auc < 0.60',
  windows: [
    verdict('2013-04-01T00:00:00Z', '2013-04-08T00:00:00Z', 300, { prevalence: m(0.2), calibration_gap: m(-0.03, -0.04, -0.02), log_loss: m(0.5), 'baseline.log_loss': m(0.6), 'baseline.calibration_gap': m(-0.05), 'baseline.version': m(1) }),
    verdict('2013-04-08T00:00:00Z', '2013-04-15T00:00:00Z', 100, { prevalence: m(0.2), calibration_gap: m(0.01), log_loss: m(0.7), 'baseline.log_loss': m(0.6), 'baseline.version': m(1) }),
  ],
  open: [verdict('2013-04-15T00:00:00Z', '2013-04-22T00:00:00Z', 0, {}, 'inconclusive')],
};

test('windows are split into live and baseline, and those without truth are left out', () => {
  const course = courseOf(view);
  expect(course.windows).toHaveLength(2);
  expect(course.task).toBe('binary');
  expect(course.baselineVersion).toBe(1);
  const first = course.windows[0]!;
  expect([gapOf(first.live), gapOf(first.baseline), valueOf(first.live, 'none')]).toEqual([-0.03, -0.05, null]);
  expect([boundOf(first.live, 'calibration_gap', 'lo'), boundOf(first.live, 'log_loss', 'lo')]).toEqual([-0.04, null]);
});

test('totals weigh windows by their rows', () => {
  // (0.5·300 + 0.7·100) / 400 = 0.55; baseline (0.6·300 + 0.6·100) / 400 = 0.6
  const total = totalOf(courseOf(view))!;
  expect([total.key, total.n]).toEqual(['log_loss', 400]);
  expect(total.live).toBeCloseTo(0.55, 12);
  expect(total.baseline).toBeCloseTo(0.6, 12);
});

test('plain limits are read from a condition', () => {
  expect(limitsOf(view.when)).toEqual([{ key: 'calibration_gap', value: 0.05, above: true, either: true }, { key: 'auc', value: 0.6, above: false, either: false }]);
});

test('marks tell what began, what was sent back, what was refused, and leave out what is outside', () => {
  const rollout = { id: '', project: '', deployment: '', model: '', from: 1, steps: null, step: 0, cause: '', actor: '', verdict: '', summary: '', checks: null };
  const marks = marksOf(courseOf(view), [
    { ...rollout, to: 2, state: 'promoted', started_at: '2013-04-03T00:00:00Z' },
    { ...rollout, to: 4, state: 'aborted', started_at: '2013-04-10T00:00:00Z' },
    { ...rollout, to: 9, state: 'promoted', started_at: '2014-01-01T00:00:00Z' },
  ], [{ version: 3, state: 'refused', as_of: '2013-04-09T00:00:00Z' } as never], []);
  expect(marks.map((x) => [x.kind, x.label, x.subject ?? false])).toEqual([['release', 'v2', true], ['refused', 'v3', false], ['sent_back', 'v4', false]]);
});

test('quantiles are by nearest rank', () => expect([quantile([], 0.5), quantile([3, 1, 2], 0.5), quantile(Array.from({ length: 100 }, (_, i) => i + 1), 0.99)]).toEqual([null, 2, 99]));

test('arms are counted by slot, and scores become shares of each arm', () => {
  const row = (minute: number, arm: 'champion' | 'canary', score: number): LogRow => ({ id: String(minute), key: '', at: new Date(Date.parse('2013-12-09T05:00:00Z') + minute * 60_000).toISOString(), received: '', version: 1, arm, scores: [score], outcome: null, latency_us: 1500, inputs: {} });
  const data = armsOf([row(0, 'champion', 0.1), row(1, 'canary', 0.9), row(61, 'champion', 0.3)], 10)!;
  expect(data.rows).toBe(3);
  expect(data.requests.champion.reduce<number>((a, b) => a + (b ?? 0), 0)).toBe(2);
  expect(data.scores.champion).toEqual([0, 0.5, 0, 0.5, 0, 0, 0, 0, 0, 0]);
  expect(data.scores.canary[9]).toBe(1);
  expect(data.latency.champion[0]).toBe(1.5);
  expect(data.scores.championMean).toBeCloseTo(0.2, 12);
  expect(armsOf([])).toBeUndefined();
});

test('an event makes only its nouns stale', () => {
  expect(stalePaths('rollout.step')).toEqual(['events', 'deployments', 'models', 'monitors']);
  expect(stalePaths('job')).toContain('jobs');
});

test('commands quote what the shell would eat', () => {
  expect(snippets({ cli: 'x', api: 'models', body: { a: "it's" } }, 'http://h').API).toContain(`'{"a":"it'\\''s"}'`);
  expect(snippets({ cli: 'trimtab models ls', api: 'models' }, 'http://h')).toMatchObject({ CLI: 'trimtab models ls', API: 'curl -s http://h/api/v1/models' });
});

test('runs show the parameters that differ', () => {
  expect(varying([{ params: { rounds: '200', leaves: '31' } }, { params: { rounds: '200', leaves: '15' } }])).toEqual(['leaves']);
});

test('a column is known by what the project does with it', () => {
  const file = { project: 'p', data: { flights: { key: ['carrier'], time: { column: 'time_hour' } } }, model: { name: 'm', from: 'flights', label: { late: 'arr_delay >= 15', known_after: '24h' }, inputs: ['carrier', 'weekday(time_hour)'], train: { learner: 'gbdt' } } };
  const words = (c: string) => roleOf(c, 'flights', file).map((r) => r.text);
  expect(words('carrier')).toEqual(['key', 'input']);
  expect(words('time_hour')).toEqual(['time', 'derived input']);
  expect(words('arr_delay')).toEqual(['label late']);
  expect(words('delay')).toEqual([]);
  expect(checkText({ column: 'distance', between: [50, 6000] })).toBe('distance in 50 to 6000');
});

test('where a version stands: aliases first, then the gate, then the canary', () => {
  const v = (version: number, state: 'accepted' | 'refused' | 'forced', aliases: string[] = []) => ({ version, state, aliases });
  const moves = [{ alias: 'champion', to: 2 }] as never;
  expect([standing(v(3, 'accepted', ['champion'])), standing(v(4, 'refused')), standing(v(5, 'forced'), [], [5]), standing(v(2, 'accepted'), moves), standing(v(6, 'accepted', ['candidate']))]).toEqual(['champion', 'refused', 'sent_back', 'retired', 'candidate']);
});
