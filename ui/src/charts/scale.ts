// The arithmetic of the charts: scales, round ticks, paths, bins. Pure functions, tested on their own.
import { monthName, partsIn } from '../format/time';

export type Scale = ((value: number) => number) & { domain: [number, number]; range: [number, number] };

export function linear(domain: [number, number], range: [number, number]): Scale {
  const [d0, d1] = domain;
  const [r0, r1] = range;
  const slope = d1 === d0 ? 0 : (r1 - r0) / (d1 - d0);
  const scale = ((value: number) => (slope === 0 ? (r0 + r1) / 2 : r0 + (value - d0) * slope)) as Scale;
  scale.domain = domain;
  scale.range = range;
  return scale;
}

/** Smallest and greatest finite value; undefined when there is none. */
export function extent(values: Iterable<number | null | undefined>): [number, number] | undefined {
  let lo = Infinity;
  let hi = -Infinity;
  for (const v of values) {
    if (v === null || v === undefined || !Number.isFinite(v)) continue;
    if (v < lo) lo = v;
    if (v > hi) hi = v;
  }
  return lo <= hi ? [lo, hi] : undefined;
}

/** The step 1, 2 or 5 times a power of ten that cuts `size` into at most `most` parts. */
export function niceStep(size: number, most: number): number {
  if (!(size > 0)) return 1;
  const raw = size / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const unit = raw / power;
  const round = unit <= 1.0000001 ? 1 : unit <= 2.0000001 ? 2 : unit <= 5.0000001 ? 5 : 10;
  return round * power;
}

export function ticks(lo: number, hi: number, most = 4): number[] {
  if (!(hi > lo)) return [lo];
  const step = niceStep(hi - lo, most);
  const out: number[] = [];
  // Integer multiples, so that 0.1 + 0.2 never shows as 0.30000000000000004.
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

/** The domain widened to round ticks. */
export function niceDomain(lo: number, hi: number, most = 4): [number, number] {
  if (lo === hi) {
    const pad = lo === 0 ? 1 : Math.abs(lo) * 0.1;
    return [lo - pad, hi + pad];
  }
  const step = niceStep(hi - lo, most);
  return [Number((Math.floor(lo / step + 1e-9) * step).toPrecision(12)), Number((Math.ceil(hi / step - 1e-9) * step).toPrecision(12))];
}

export const tickDecimals = (step: number) => Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));

/** Starts of months, days or hours between two times, whichever gives few enough labels. */
export function timeTicks(from: number, to: number, zone: string, most: number): { at: number; label: string }[] {
  const day = 86_400_000;
  const length = to - from;
  const startOfDay = (time: number) => {
    const p = partsIn(time, zone);
    return time - ((p.hour * 60 + p.minute) * 60 + p.second) * 1000 - (time % 1000);
  };
  if (length > 45 * day) {
    const found: { at: number; label: string }[] = [];
    for (let t = startOfDay(from); t <= to; t += day) {
      // Daylight saving shifts midnight by an hour: take it anew from noon.
      const at = startOfDay(t + day / 2);
      if (at >= from && at <= to && partsIn(at, zone).day === 1) found.push({ at, label: monthName(at, zone) });
    }
    const every = Math.ceil(found.length / Math.max(1, most));
    return found.filter((_, i) => i % every === 0);
  }
  if (length > 2 * day) {
    const found: { at: number; label: string }[] = [];
    for (let t = startOfDay(from); t <= to; t += day) {
      const at = startOfDay(t + day / 2);
      if (at >= from && at <= to) found.push({ at, label: `${partsIn(at, zone).day} ${monthName(at, zone)}` });
    }
    const every = Math.ceil(found.length / Math.max(1, most));
    return found.filter((_, i) => i % every === 0);
  }
  const hours = [1, 2, 3, 6, 12, 24].find((h) => length / (h * 3_600_000) <= most) ?? 24;
  const found: { at: number; label: string }[] = [];
  for (let t = startOfDay(from); t <= to; t += hours * 3_600_000) {
    const p = partsIn(t, zone);
    if (t >= from) found.push({ at: t, label: p.hour === 0 ? `${p.day} ${monthName(t, zone)}` : `${String(p.hour).padStart(2, '0')}:00` });
  }
  return found;
}

export interface Pt {
  x: number;
  y: number | null;
}

/** A path through the points; a missing one breaks the line. */
export function linePath(points: Pt[]): string {
  let d = '';
  let open = false;
  for (const { x, y } of points) {
    if (y === null || !Number.isFinite(y)) {
      open = false;
      continue;
    }
    d += `${open ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    open = true;
  }
  return d;
}

/** The area between two lines, in one piece per run of points that both have. */
export function areaPath(xs: number[], low: (number | null)[], high: (number | null)[]): string {
  let d = '';
  let start = -1;
  const close = (end: number) => {
    if (start < 0 || end - start < 2) {
      start = -1;
      return;
    }
    const top = [];
    const bottom = [];
    for (let i = start; i < end; i++) {
      top.push(`${(xs[i] as number).toFixed(1)} ${(high[i] as number).toFixed(1)}`);
      bottom.push(`${(xs[i] as number).toFixed(1)} ${(low[i] as number).toFixed(1)}`);
    }
    d += `M${top.join('L')}L${bottom.reverse().join('L')}Z`;
    start = -1;
  };
  for (let i = 0; i < xs.length; i++) {
    const whole = low[i] !== null && high[i] !== null && Number.isFinite(low[i] as number) && Number.isFinite(high[i] as number);
    if (whole && start < 0) start = i;
    if (!whole) close(i);
  }
  close(xs.length);
  return d;
}

/** Moves labels apart until each has `gap` to the next, inside lo to hi, with the least shift of the order given. */
export function spread(wanted: number[], gap: number, lo: number, hi: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] as number) - (wanted[b] as number));
  const out = [...wanted];
  let floor = lo;
  for (const i of order) {
    out[i] = Math.max(out[i] as number, floor);
    floor = (out[i] as number) + gap;
  }
  let ceiling = hi;
  for (const i of [...order].reverse()) {
    out[i] = Math.min(out[i] as number, ceiling);
    ceiling = (out[i] as number) - gap;
  }
  return out;
}

/** Steps of an outlined histogram: the contour of bars over equal places. */
export function contour(heights: number[], x: (index: number) => number, y: (value: number) => number, base: number): string {
  if (!heights.length) return '';
  let d = `M${x(0).toFixed(1)} ${base.toFixed(1)}`;
  heights.forEach((h, i) => {
    d += `V${y(h).toFixed(1)}H${x(i + 1).toFixed(1)}`;
  });
  return `${d}V${base.toFixed(1)}`;
}

/** Index of the place nearest to x in a rising list. */
export function nearest(places: number[], x: number): number {
  let best = -1;
  let distance = Infinity;
  places.forEach((p, i) => {
    const d = Math.abs(p - x);
    if (d < distance) {
      distance = d;
      best = i;
    }
  });
  return best;
}

/** Merges neighbouring bins so that at most `most` are drawn; shares add up. */
export function coarsen(shares: number[], edges: number[], most: number): { shares: number[]; edges: number[] } {
  const group = Math.ceil(shares.length / most);
  if (group <= 1) return { shares, edges };
  const sums: number[] = [];
  const cuts: number[] = [];
  for (let i = 0; i < shares.length; i += group) {
    cuts.push(edges[i] as number);
    sums.push(shares.slice(i, i + group).reduce((a, b) => a + b, 0));
  }
  cuts.push(edges[edges.length - 1] as number);
  return { shares: sums, edges: cuts };
}

/** RFC 4180 text of a table. */
export function csv(head: string[], rows: (string | number | null | undefined)[][]): string {
  const cell = (v: string | number | null | undefined) => {
    const text = v === null || v === undefined ? '' : String(v);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return [head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}
