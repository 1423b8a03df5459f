// Contributions of many rows, a line of dots per column: where a dot lies is what the value added, its colour is how large
// the value was among the others. Drawn on a canvas, since there are thousands; the same rows are in its table.
import { useEffect, useMemo, useRef, useState } from 'react';
import { compact, signed } from '../format/number';
import { standing, swarm } from './contributions';
import { extent, linear, niceDomain, ticks } from './scale';

export interface SwarmColumn {
  name: string;
  values: unknown[]; // of each row: a number, a text, or null
  contributions: number[];
}

interface BeeswarmProps {
  name: string;
  width: number;
  columns: SwarmColumn[];
  unit: string;
  chosen?: number; // index of a row
  onChoose: (row: number) => void;
}

const line = 32;
const dot = 4;
const top = 4;
const shades = 12;

/** What a cell is written as. */
export const valueText = (v: unknown) => (v === null || v === undefined ? 'missing' : typeof v === 'number' ? compact(v, 5) : String(v));

/** Colours from low to high, of the theme that holds now. */
function palette(host: HTMLElement): { shade: string[]; plain: string; surface: string; ink: string } {
  const probe = document.createElement('span');
  host.append(probe);
  const colour = (value: string) => {
    probe.style.color = value;
    return getComputedStyle(probe).color;
  };
  const shade = Array.from({ length: shades + 1 }, (_, i) => colour(`color-mix(in oklab, var(--d7) ${Math.round((100 * i) / shades)}%, var(--d1))`));
  const out = { shade, plain: colour('var(--ink-3)'), surface: colour('var(--surface)'), ink: colour('var(--ink)') };
  probe.remove();
  return out;
}

export function Beeswarm({ name, width, columns, unit, chosen, onChoose }: BeeswarmProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [over, setOver] = useState<{ column: number; row: number } | null>(null);
  const left = Math.min(168, Math.max(88, width * 0.24));
  const tall = columns.length * line;
  const height = top + tall + 36;
  const [lo, hi] = niceDomain(...(extent(columns.flatMap((c) => c.contributions).concat(0)) ?? [-1, 1]), 5);
  const x = useMemo(() => linear([lo, hi], [left + 8, width - 8]), [lo, hi, left, width]);
  const laid = useMemo(() => columns.map((c, j) => {
    const xs = c.contributions.map((v) => x(v));
    const offsets = swarm(xs, dot, line / 2 - 1);
    return { xs, ys: offsets.map((o) => top + line * (j + 0.5) + o), shade: standing(c.values) };
  }), [columns, x]);

  useEffect(() => {
    const element = canvas.current;
    const host = element?.parentElement;
    if (!element || !host) return;
    const draw = () => {
      const scale = window.devicePixelRatio || 1;
      element.width = Math.round(width * scale);
      element.height = Math.round(height * scale);
      const g = element.getContext('2d');
      if (!g) return;
      g.scale(scale, scale);
      const tones = palette(host);
      laid.forEach((l, j) => {
        const values = columns[j]?.values ?? [];
        for (let i = 0; i < l.xs.length; i++) {
          const [px, py] = [l.xs[i] as number, l.ys[i] as number];
          const shade = l.shade[i];
          g.beginPath();
          g.arc(px, py, dot / 2, 0, 2 * Math.PI);
          if (values[i] === null || values[i] === undefined) {
            g.fillStyle = tones.surface;
            g.strokeStyle = tones.plain;
            g.lineWidth = 1;
            g.fill();
            g.stroke();
          } else {
            g.fillStyle = shade === undefined ? tones.plain : (tones.shade[Math.round(shade * shades)] as string);
            g.fill();
          }
        }
      });
      if (chosen !== undefined) {
        g.strokeStyle = tones.ink;
        g.lineWidth = 1.5;
        for (const l of laid) {
          g.beginPath();
          g.arc(l.xs[chosen] as number, l.ys[chosen] as number, dot, 0, 2 * Math.PI);
          g.stroke();
        }
      }
    };
    draw();
    const themes = new MutationObserver(draw);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ['data-mantine-color-scheme'] });
    return () => themes.disconnect();
  }, [laid, columns, width, height, chosen]);

  /** The dot under the pointer. */
  const under = (event: React.MouseEvent): { column: number; row: number } | null => {
    const box = event.currentTarget.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const column = Math.floor((py - top) / line);
    const l = laid[column];
    if (!l) return null;
    let best = -1;
    let distance = 64; // pixels, squared
    for (let i = 0; i < l.xs.length; i++) {
      const d = ((l.xs[i] as number) - px) ** 2 + ((l.ys[i] as number) - py) ** 2;
      if (d < distance) [best, distance] = [i, d];
    }
    return best < 0 ? null : { column, row: best };
  };
  const told = over ? columns[over.column] : undefined;
  return (
    <div style={{ position: 'relative', width, height }}>
      <svg width={width} height={height} style={{ position: 'absolute', inset: 0 }} aria-hidden="true">
        {ticks(lo, hi, 5).map((v) => (
          <g key={v}>
            <line className={v === 0 ? 'zero' : 'gridline'} x1={Math.round(x(v)) + 0.5} x2={Math.round(x(v)) + 0.5} y1={top} y2={top + tall} />
            <text x={x(v)} y={top + tall + 16} textAnchor="middle">{compact(v)}</text>
          </g>
        ))}
        {columns.map((c, j) => <text key={c.name} className="key" x={left} y={top + line * (j + 0.5) + 4} textAnchor="end">{c.name.length > left / 7 ? `${c.name.slice(0, Math.floor(left / 7) - 1)}…` : c.name}</text>)}
        <text x={(left + width) / 2} y={top + tall + 32} textAnchor="middle">contribution, {unit}</text>
      </svg>
      <canvas
        ref={canvas} role="img" aria-label={name} className={over ? 'pick' : undefined} style={{ position: 'absolute', inset: 0, width, height, cursor: over ? 'pointer' : undefined }}
        onMouseMove={(e) => setOver(under(e))} onMouseLeave={() => setOver(null)} onClick={(e) => { const at = under(e); if (at) onChoose(at.row); }}
      />
      {over && told && (
        <div className="tip" style={{ left: Math.min((laid[over.column]?.xs[over.row] ?? 0) + 10, width - 180), top: Math.max(0, (laid[over.column]?.ys[over.row] ?? 0) - 44) }}>
          <b>{told.name}</b> {valueText(told.values[over.row])}
          <br />
          {signed(told.contributions[over.row], 3)} {unit}
        </div>
      )}
    </div>
  );
}

/** What the colours mean. */
export function SwarmLegend({ texts, missing }: { texts: boolean; missing: boolean }) {
  return (
    <span className="legend">
      low
      <span aria-hidden="true" style={{ width: 64, height: 8, borderRadius: 3, background: 'linear-gradient(in oklab to right, var(--d1), var(--d7))' }} />
      high
      {texts && <><svg width="8" height="8" aria-hidden="true"><circle cx="4" cy="4" r="3" fill="var(--ink-3)" /></svg>text</>}
      {missing && <><svg width="8" height="8" aria-hidden="true"><circle cx="4" cy="4" r="3" fill="none" stroke="var(--ink-3)" /></svg>missing</>}
    </span>
  );
}
