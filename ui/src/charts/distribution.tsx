// Distributions: small ones in table rows, and a reference under a current one with missing and unseen as cells of their own.
import type { Bar } from '../api/types';
import { compact, percent } from '../format/number';
import { coarsen, contour, linear, ticks } from './scale';

/** A histogram in a table row; bars start at zero and the tallest fills the height. */
export function MiniHistogram({ counts, label, width = 120, height = 28 }: { counts: number[]; label: string; width?: number; height?: number }) {
  const most = Math.max(...counts, 1e-12);
  const slot = width / Math.max(1, counts.length);
  const gap = slot > 4 ? 1 : 0;
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: 'block' }}>
      <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} stroke="var(--axis)" />
      {counts.map((c, i) => {
        const h = (c / most) * (height - 2);
        return c > 0 ? <rect key={i} x={i * slot} width={Math.max(0.8, slot - gap)} y={height - 1 - h} height={Math.max(0.8, h)} fill="var(--s4)" /> : null;
      })}
    </svg>
  );
}

/** A line in a table row; the last value has a point, a limit is dotted. Logarithmic, so that a bar at 0.1 and a drift of 4 both show. */
export function Sparkline({ values, limit, label, width = 104, height = 24 }: { values: number[]; limit?: number; label: string; width?: number; height?: number }) {
  const floor = 0.002;
  const log = (v: number) => Math.log10(Math.max(v, floor));
  const all = limit === undefined ? values : [...values, limit];
  const y = linear([Math.min(...all.map(log)), Math.max(...all.map(log), log(floor) + 0.01)], [height - 4, 4]);
  const step = values.length > 1 ? (width - 8) / (values.length - 1) : 0;
  const points = values.map((v, i) => [2 + i * step, y(log(v))] as const);
  const end = points[points.length - 1];
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: 'block', overflow: 'visible' }}>
      {limit !== undefined && <line x1="0" x2={width} y1={y(log(limit))} y2={y(log(limit))} stroke="var(--ink-3)" strokeDasharray="1 3" />}
      <path d={points.map(([px, py], i) => `${i ? 'L' : 'M'}${px.toFixed(1)} ${py.toFixed(1)}`).join('')} fill="none" stroke="var(--subject)" strokeWidth="1.4" strokeLinejoin="round" />
      {end && <circle cx={end[0]} cy={end[1]} r="2" fill="var(--subject)" />}
    </svg>
  );
}

interface OverlayProps {
  name: string;
  width: number;
  bars: Bar[];
  unit?: string;
  height?: number;
  /** A line at the middle of each: reference, current. */
  medians?: [number | undefined, number | undefined];
  /** Microseconds since the epoch are shown by this. */
  format?: (value: number) => string;
}

export function OverlayHistogram({ name, width, bars, unit, height = 200, medians = [undefined, undefined], format = (v) => compact(v, 4) }: OverlayProps) {
  const values = bars.filter((b) => b.from !== undefined && b.to !== undefined) as (Bar & { from: number; to: number })[];
  const words = bars.filter((b) => b.word !== undefined);
  const extra = bars.filter((b) => b.special && (b.reference >= 0.005 || b.current >= 0.005));
  if (words.length > 0 || values.length === 0) return <WordOverlay name={name} width={width} bars={[...words, ...extra]} />;
  const ref = values.map((b) => b.reference);
  const cur = values.map((b) => b.current);
  const first = (values[0] as { from: number }).from;
  const last = (values[values.length - 1] as { to: number }).to;
  const x0 = 4;
  const x1 = Math.max(60, width - 8 - extra.length * 52);
  const top = 26;
  const base = height - 20;
  const y = linear([0, Math.max(...ref, ...cur, ...extra.flatMap((e) => [e.reference, e.current]), 0.01)], [base, top]);
  const x = linear([first, last], [x0, x1]);
  const slot = (x1 - x0) / values.length;
  const labels = ticks(first, last, Math.max(2, Math.floor((x1 - x0) / 64)));
  const [refMedian, curMedian] = medians.map((m) => (m === undefined || m < first || m > last ? undefined : m));
  const refLeft = (refMedian ?? 0) <= (curMedian ?? 0);
  return (
    <svg width={width} height={height} role="img" aria-label={name}>
      {ref.map((h, i) => (h > 0 ? <rect key={i} className="bar compare" x={x0 + i * slot + 0.5} width={Math.max(0.5, slot - 1)} y={y(h)} height={base - y(h)} /> : null))}
      <path className="line" d={contour(cur, (i) => x0 + i * slot, y, base)} />
      <line className="axis" x1={x0} x2={x1} y1={base + 0.5} y2={base + 0.5} />
      {labels.map((t) => {
        const at = x(t);
        return <text key={t} x={at} y={height - 4} textAnchor={at < x0 + 16 ? 'start' : at > x1 - 16 ? 'end' : 'middle'}>{format(t)}</text>;
      })}
      {unit && <text x={x0} y={10}>{unit}</text>}
      {refMedian !== undefined && <line x1={x(refMedian)} x2={x(refMedian)} y1={top - 10} y2={base} stroke="var(--compare)" strokeDasharray="2 2" />}
      {curMedian !== undefined && <line x1={x(curMedian)} x2={x(curMedian)} y1={top - 10} y2={base} stroke="var(--subject)" strokeDasharray="2 2" />}
      {refMedian !== undefined && <text x={x(refMedian) + (refLeft ? -4 : 4)} y={top - 12} textAnchor={refLeft ? 'end' : 'start'} className="compare">{x(refMedian) > 110 || !refLeft ? 'median ' : ''}{format(refMedian)}</text>}
      {curMedian !== undefined && <text x={x(curMedian) + (refLeft ? 4 : -4)} y={top - 12} textAnchor={refLeft ? 'start' : 'end'} className="subject">{format(curMedian)}</text>}
      {extra.map((e, k) => {
        const at = x1 + 14 + k * 52;
        return (
          <g key={e.special}>
            <rect className="bar compare" x={at} width="16" y={y(e.reference)} height={base - y(e.reference)} />
            <path className="line" d={`M${at + 19} ${base}V${y(e.current)}h16V${base}`} />
            <line className="axis" x1={at - 2} x2={at + 38} y1={base + 0.5} y2={base + 0.5} />
            <text x={at + 8} y={y(e.reference) - 4} textAnchor="middle">{percent(e.reference, 0)}</text>
            <text x={at + 28} y={y(e.current) - 4} textAnchor="middle" className="subject">{percent(e.current, 0)}</text>
            <text x={at + 18} y={height - 4} textAnchor="middle">{e.special}</text>
          </g>
        );
      })}
    </svg>
  );
}

function WordOverlay({ name, width, bars }: { name: string; width: number; bars: Bar[] }) {
  const rows = bars.slice(0, 14);
  const x = linear([0, Math.max(...rows.flatMap((r) => [r.reference, r.current]), 0.01)], [84, Math.max(120, width - 104)]);
  return (
    <svg width={width} height={rows.length * 18 + 8} role="img" aria-label={name}>
      {rows.map((r, i) => {
        const label = r.word ?? r.special ?? '';
        return (
          <g key={i} transform={`translate(0 ${i * 18 + 4})`}>
            <text className={r.special ? undefined : 'key'} x="76" y="12" textAnchor="end">{label.length > 12 ? `${label.slice(0, 11)}…` : label || '(empty)'}</text>
            <rect className="bar compare" x="84" y="2" width={Math.max(0.5, x(r.reference) - 84)} height="13" />
            <path className="line" d={`M84 4H${x(r.current).toFixed(1)}V13H84`} />
            <text x={x(Math.max(r.reference, r.current)) + 6} y="12">
              {percent(r.reference)} → {percent(r.current)}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

/** Two score distributions, arm against arm, as shares of each arm's requests. */
export function ScoreOverlay({ name, width, edges, compare, subject, means, height = 168 }: { name: string; width: number; edges: number[]; compare: number[]; subject: number[]; means: [number | undefined, number | undefined]; height?: number }) {
  const left = coarsen(compare, edges, 20);
  const right = coarsen(subject, edges, 20);
  const base = height - 20;
  const top = 22;
  const y = linear([0, Math.max(...left.shares, ...right.shares, 0.01)], [base, top]);
  const x = linear([edges[0] ?? 0, edges[edges.length - 1] ?? 1], [2, width - 4]);
  const slot = (width - 6) / Math.max(1, left.shares.length);
  const [mc, ms] = means;
  return (
    <svg width={width} height={height} role="img" aria-label={name}>
      {left.shares.map((h, i) => <rect key={i} className="bar compare" x={2 + i * slot + 0.5} width={Math.max(1, slot - 1)} y={y(h)} height={base - y(h)} />)}
      <path className="line" d={contour(right.shares, (i) => 2 + i * slot, y, base)} />
      <line className="axis" x1="2" x2={width - 4} y1={base + 0.5} y2={base + 0.5} />
      {ticks(edges[0] ?? 0, edges[edges.length - 1] ?? 1, 4).map((t) => <text key={t} x={x(t)} y={height - 4} textAnchor={t === 0 ? 'start' : t === edges[edges.length - 1] ? 'end' : 'middle'}>{compact(t)}</text>)}
      {mc !== undefined && <line x1={x(mc)} x2={x(mc)} y1={12} y2={base} stroke="var(--compare)" strokeDasharray="2 2" />}
      {ms !== undefined && <line x1={x(ms)} x2={x(ms)} y1={12} y2={base} stroke="var(--subject)" strokeDasharray="2 2" />}
      {mc !== undefined && ms !== undefined && (
        <>
          <text className="compare" x={x(mc) + (mc >= ms ? 4 : -4)} y={14} textAnchor={mc >= ms ? 'start' : 'end'}>{mc >= ms || x(mc) > 76 ? 'mean ' : ''}{mc.toFixed(3)}</text>
          <text className="subject" x={x(ms) + (mc >= ms ? -4 : 4)} y={14} textAnchor={mc >= ms ? 'end' : 'start'}>{ms.toFixed(3)}</text>
        </>
      )}
    </svg>
  );
}
