// Two looks at many runs at once: a scatter of two values, and parallel coordinates of several.
import { useMemo, useState } from 'react';
import type { Value } from '../api/tracking';
import { compact } from '../format/number';
import { hue } from './hue';

export interface Row {
  id: string;
  name: string;
  cells: Value[];
}

export interface Dimension {
  key: string;
  label: string;
  numeric: boolean;
  place: (v: Value) => number | undefined; // 0 … 1
  ticks: { at: number; label: string }[];
}

/** A scale for the values of a column: numbers by size, texts by order. Undefined where nothing has a value. */
export function dimension(key: string, label: string, values: Value[]): Dimension | undefined {
  const present = values.filter((v) => v !== null && v !== '');
  if (!present.length) return undefined;
  const numbers = present.map((v) => (typeof v === 'number' ? v : Number(v)));
  if (numbers.every((n) => Number.isFinite(n))) {
    const lo = Math.min(...numbers);
    const hi = Math.max(...numbers);
    const span = hi - lo || 1;
    return {
      key, label, numeric: true,
      place: (v) => { const n = typeof v === 'number' ? v : v === null || v === '' ? NaN : Number(v); return Number.isFinite(n) ? (hi === lo ? 0.5 : (n - lo) / span) : undefined; },
      ticks: hi === lo ? [{ at: 0.5, label: compact(lo) }] : [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, label: compact(lo + at * span) })),
    };
  }
  const words = [...new Set(present.map(String))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).slice(0, 30);
  const at = (i: number) => (words.length === 1 ? 0.5 : i / (words.length - 1));
  return { key, label, numeric: false, place: (v) => { const i = v === null ? -1 : words.indexOf(String(v)); return i < 0 ? undefined : at(i); }, ticks: words.map((w, i) => ({ at: at(i), label: w })) };
}

export function Scatter({ rows, x, y, width, height = 360, onOpen }: { rows: Row[]; x: Dimension; y: Dimension; width: number; height?: number; onOpen: (id: string) => void }) {
  const [over, setOver] = useState<{ row: Row; px: number; py: number } | null>(null);
  const left = 64;
  const bottom = 36;
  const xi = 0;
  const yi = 1;
  const px = (p: number) => left + p * (width - left - 16);
  const py = (p: number) => height - bottom - p * (height - bottom - 16);
  const dots = useMemo(() => rows.flatMap((row) => {
    const a = x.place(row.cells[xi] ?? null);
    const b = y.place(row.cells[yi] ?? null);
    return a === undefined || b === undefined ? [] : [{ row, a, b }];
  }), [rows, x, y]);
  return (
    <div style={{ position: 'relative' }}>
      <svg width={width} height={height} role="img" aria-label={`${y.label} against ${x.label}, ${dots.length} runs`}>
        {y.ticks.map((t) => <g key={t.at}><path d={`M${left} ${py(t.at)}H${width - 16}`} stroke="var(--grid)" /><text x={left - 8} y={py(t.at) + 4} textAnchor="end" className="tick">{t.label}</text></g>)}
        {x.ticks.map((t) => <text key={t.at} x={px(t.at)} y={height - bottom + 16} textAnchor="middle" className="tick">{t.label}</text>)}
        <text x={(left + width) / 2} y={height - 4} textAnchor="middle" className="tick">{x.label}</text>
        <text x={12} y={height / 2} textAnchor="middle" className="tick" transform={`rotate(-90 12 ${height / 2})`}>{y.label}</text>
        {dots.map(({ row, a, b }) => (
          <circle key={row.id} cx={px(a)} cy={py(b)} r={4} fill="var(--subject)" fillOpacity={0.55} stroke="var(--surface)" className="pick" onMouseEnter={() => setOver({ row, px: px(a), py: py(b) })} onMouseLeave={() => setOver(null)} onClick={() => onOpen(row.id)} />
        ))}
      </svg>
      {over && <div className="tip" style={{ position: 'absolute', left: Math.min(over.px + 8, width - 200), top: Math.max(0, over.py - 48), pointerEvents: 'none' }}><b>{over.row.name}</b><br />{x.label} {show(over.row.cells[xi])}<br />{y.label} {show(over.row.cells[yi])}</div>}
      <p className="third tiny">{dots.length < rows.length ? `${rows.length - dots.length} of ${rows.length} runs have no value for one of the axes` : `n ${dots.length} runs`}</p>
    </div>
  );
}

const show = (v: Value | undefined) => (v === null || v === undefined ? '–' : typeof v === 'number' ? compact(v, 5) : v);

export function Parallel({ rows, dims, width, height = 360, onOpen }: { rows: Row[]; dims: Dimension[]; width: number; height?: number; onOpen: (id: string) => void }) {
  const [over, setOver] = useState<string | null>(null);
  const top = 32;
  const bottom = 16;
  const gap = dims.length > 1 ? (width - 120) / (dims.length - 1) : 0;
  const px = (i: number) => 60 + i * gap;
  const py = (p: number) => height - bottom - p * (height - top - bottom);
  const last = dims[dims.length - 1];
  const lines = useMemo(() => rows.flatMap((row, n) => {
    const points = dims.map((d, i) => d.place(row.cells[i] ?? null));
    if (points.some((p) => p === undefined)) return [];
    const share = (last?.place(row.cells[dims.length - 1] ?? null) ?? 0);
    return [{ row, path: points.map((p, i) => `${i ? 'L' : 'M'}${px(i).toFixed(1)} ${py(p as number).toFixed(1)}`).join(''), tone: rows.length <= 8 ? hue(n).token : `--s${Math.min(6, 2 + Math.floor(share * 4.999))}` }];
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }), [rows, dims, width, height]);
  const named = rows.find((r) => r.id === over);
  return (
    <div>
      <svg width={width} height={height} role="img" aria-label={`Parallel coordinates of ${dims.map((d) => d.label).join(', ')}; ${lines.length} runs`}>
        {lines.map((l) => (
          <path key={l.row.id} d={l.path} fill="none" stroke={over === l.row.id ? 'var(--ink)' : `var(${l.tone})`} strokeWidth={over === l.row.id ? 2.5 : 1.25} strokeOpacity={over && over !== l.row.id ? 0.25 : 0.8} className="pick" onMouseEnter={() => setOver(l.row.id)} onMouseLeave={() => setOver(null)} onClick={() => onOpen(l.row.id)} />
        ))}
        {dims.map((d, i) => (
          <g key={d.key}>
            <path d={`M${px(i)} ${top}V${height - bottom}`} stroke="var(--axis)" />
            <text x={px(i)} y={14} textAnchor="middle" className="tick strong">{d.label.length > 22 ? `${d.label.slice(0, 21)}…` : d.label}</text>
            {d.ticks.map((t) => <text key={t.at} x={px(i) + 5} y={py(t.at) + 4} className="tick halo">{t.label.length > 14 ? `${t.label.slice(0, 13)}…` : t.label}</text>)}
          </g>
        ))}
      </svg>
      <p className="third tiny">{named ? named.name : `n ${lines.length} runs${lines.length < rows.length ? `; ${rows.length - lines.length} lack a value` : ''}; darker is more ${last?.label ?? ''}`}</p>
    </div>
  );
}
