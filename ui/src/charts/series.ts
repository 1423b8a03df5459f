// From what the monitor answers to what the time charts draw.
import type { Alert, Interval, ModelVersion, PerformanceView, Rollout, Verdict } from '../api/types';
import { instant } from '../format/time';
import type { TimeMark } from './course';

export type Measured = Record<string, Interval>;

/** One window of performance: what was answered, and what the first champion, never retrained, says of the same rows. */
export interface Window {
  from: number;
  to: number;
  n: number; // rows with truth
  version: number;
  complete: boolean;
  live: Measured;
  baseline: Measured;
}

export interface Course {
  task: 'binary' | 'regression';
  baselineVersion: number;
  when: string;
  windows: Window[];
}

const prefix = 'baseline.';

export function courseOf(view: PerformanceView): Course {
  const windows = [...view.windows.map((v) => windowOf(v, true)), ...view.open.map((v) => windowOf(v, false))].filter((w) => w.n > 0).sort((a, b) => a.from - b.from);
  const last = windows[windows.length - 1];
  return {
    task: windows.some((w) => w.live.prevalence) ? 'binary' : 'regression',
    baselineVersion: last?.baseline.version?.value ?? 1,
    when: view.when,
    windows,
  };
}

function windowOf(v: Verdict, judged: boolean): Window {
  const live: Measured = {};
  const baseline: Measured = {};
  for (const [key, m] of Object.entries(v.metrics ?? {})) {
    if (key.startsWith(prefix)) baseline[key.slice(prefix.length)] = m;
    else live[key] = m;
  }
  return { from: instant(v.from) ?? 0, to: instant(v.to) ?? 0, n: v.n, version: v.version, complete: judged && v.state !== 'inconclusive', live, baseline };
}

export const valueOf = (m: Measured | undefined, key: string): number | null => {
  const v = m?.[key]?.value;
  return v === undefined || !Number.isFinite(v) ? null : v;
};

/** A bound where an interval is known; Lo and Hi are equal to the value where none is. */
export function boundOf(m: Measured | undefined, key: string, side: 'lo' | 'hi'): number | null {
  const found = m?.[key];
  return !found || found.lo === found.hi ? null : found[side];
}

/** Expected minus actual of a window: a share for classes, the bias in the label's unit for numbers. */
export const gapOf = (m: Measured): number | null => valueOf(m, 'calibration_gap') ?? valueOf(m, 'bias');

/** Means over rows may be averaged over windows by their n; areas under curves may not. */
const averages = ['log_loss', 'brier', 'mae', 'accuracy'];

export interface Total {
  key: string;
  n: number;
  live: number;
  baseline: number;
}

export function totalOf(course: Course): Total | undefined {
  const key = averages.find((k) => course.windows.some((w) => w.live[k] && w.baseline[k]));
  if (!key) return undefined;
  const out: Total = { key, n: 0, live: 0, baseline: 0 };
  for (const w of course.windows) {
    const a = valueOf(w.live, key);
    const b = valueOf(w.baseline, key);
    if (a === null || b === null) continue;
    out.n += w.n;
    out.live += a * w.n;
    out.baseline += b * w.n;
  }
  return out.n ? { ...out, live: out.live / out.n, baseline: out.baseline / out.n } : undefined;
}

export interface Limit {
  key: string;
  value: number;
  above: boolean; // bad above, else bad below
  either: boolean; // abs(...): bad on both sides
}

/** The plain limits in a condition such as `abs(calibration_gap) > 0.05 || auc < 0.60`. What is not plain is not drawn. */
export function limitsOf(when: string): Limit[] {
  const out: Limit[] = [];
  for (const [, wrapped, plain, sign, number] of when.matchAll(/(?:abs\(\s*([a-z_][a-z0-9_]*)\s*\)|\b([a-z_][a-z0-9_]*))\s*(<=?|>=?)\s*(-?\d+(?:\.\d+)?)/g)) {
    out.push({ key: (wrapped ?? plain) as string, value: Number(number), above: (sign as string).startsWith('>'), either: wrapped !== undefined });
  }
  return out;
}

/** What happened to the model, from its rollouts, its refused versions and its alerts, inside the windows, in order of time. */
export function marksOf(course: Course, rollouts: Rollout[], versions: ModelVersion[], alerts: Alert[]): TimeMark[] {
  const first = course.windows[0]?.from ?? 0;
  const last = course.windows[course.windows.length - 1]?.to ?? 0;
  const marks: TimeMark[] = [
    ...rollouts.map((r): TimeMark => ({ at: instant(r.started_at) ?? 0, kind: r.state === 'aborted' ? 'sent_back' : 'release', label: `v${r.to}` })),
    ...versions.filter((v) => v.state === 'refused').map((v): TimeMark => ({ at: instant(v.as_of) ?? 0, kind: 'refused', label: `v${v.version}` })),
    ...alerts.map((a): TimeMark => ({ at: instant(a.opened_at) ?? 0, kind: 'alert', label: a.message })),
  ];
  const inside = marks.filter((m) => m.at >= first && m.at <= last).sort((a, b) => a.at - b.at);
  const newest = inside.findLast((m) => m.kind === 'release');
  if (newest) newest.subject = true;
  return inside;
}
