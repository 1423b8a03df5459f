// Curves of many runs, one metric a chart: drawn by uPlot, the hover and the zoom shared by all charts of the page.
// A curve with more points than the screen has pixels is drawn as its last values with a band of its extremes.
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { num, type Curve } from '../api/tracking';
import { compact } from '../format/number';
import { span } from '../format/time';
import { hue } from './hue';

export type Axis = 'step' | 'time' | 'relative';
export interface CurveStyle {
  axis: Axis;
  log: boolean;
  smooth: number; // 0 none … 0.99
}

function colour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** A value to draw; null is a hole in the line, undefined a place where this curve has no point and its line goes on. */
export type Drawn = number | null | undefined;

/** Exponential smoothing that starts without a bias to zero; what is no number stays as it is. */
export function smoothed(values: Drawn[], weight: number): Drawn[] {
  if (weight <= 0) return values;
  let last = 0;
  let seen = 0;
  return values.map((v) => {
    if (v === null || v === undefined) return v;
    last = last * weight + (1 - weight) * v;
    seen += 1;
    return last / (1 - weight ** seen);
  });
}

const finite = (v: number, log: boolean) => (Number.isFinite(v) && (!log || v > 0) ? v : null);

/** All curves on one axis. Repeated places keep the last value. */
export function aligned(curves: Curve[], style: CurveStyle): Drawn[][] {
  const scale = style.axis === 'step' ? 1 : 1e-3; // uPlot counts seconds
  const xs = [...new Set(curves.flatMap((c) => c.x))].sort((a, b) => a - b);
  const places = new Map(xs.map((x, i) => [x, i]));
  const column = (c: Curve, values: (string | number)[] | undefined) => {
    const out = Array<Drawn>(xs.length).fill(undefined);
    values?.forEach((v, i) => { out[places.get(c.x[i] as number) as number] = finite(num(v), style.log); });
    return out;
  };
  const out: Drawn[][] = [xs.map((x) => x * scale)];
  for (const c of curves) {
    out.push(smoothed(column(c, c.y), style.smooth));
    if (c.downsampled) out.push(column(c, c.low), column(c, c.high));
  }
  return out;
}

/** The value of a series that is nearest to a place, within a few places: curves of different runs rarely share their steps. */
export function nearest(values: ArrayLike<Drawn>, at: number): number | undefined {
  for (let d = 0; d < 400; d++) {
    for (const i of d ? [at - d, at + d] : [at]) {
      const v = values[i];
      if (v !== null && v !== undefined) return v;
    }
  }
  return undefined;
}

/** Shows the values under the pointer beside it, the nearest curves first. */
function point(u: uPlot, main: { at: number; name: string; stroke: string; swatch: string }[], axis: Axis) {
  let tip = u.root.querySelector<HTMLElement>('.tip');
  const { idx, left = -1, top = -1 } = u.cursor;
  if (left < 0 || idx === null || idx === undefined || !u.over.matches(':hover')) {
    tip?.remove();
    return;
  }
  if (!tip) {
    tip = document.createElement('div');
    tip.className = 'tip';
    u.root.append(tip);
  }
  const rows = main.flatMap((m) => {
    const v = nearest(u.data[m.at] ?? [], idx);
    return v === undefined ? [] : [{ ...m, v, far: Math.abs(u.valToPos(v, 'y') - top) }];
  }).sort((a, b) => a.far - b.far);
  const x = u.data[0][idx] as number;
  const head = document.createElement('div');
  head.className = 'third';
  head.textContent = axis === 'step' ? `step ${compact(x)}` : axis === 'relative' ? `${span(x * 1e3)} after the start` : new Date(x * 1e3).toLocaleString('en-GB');
  tip.replaceChildren(head, ...rows.slice(0, 8).map((r) => {
    const line = document.createElement('div');
    line.className = 'row';
    const mark = document.createElement('i');
    mark.style.cssText = `width:12px;flex:none;border-top:2px ${r.swatch} ${r.stroke}`;
    const name = document.createElement('span');
    name.className = 'clip';
    name.textContent = r.name;
    const value = document.createElement('b');
    value.textContent = compact(r.v, 5);
    line.append(mark, name, value);
    return line;
  }));
  if (rows.length > 8) tip.append(`and ${rows.length - 8} more`);
  const start = u.over.offsetLeft + left;
  tip.style.left = start > u.width / 2 ? '' : `${start + 12}px`;
  tip.style.right = start > u.width / 2 ? `${u.width - start + 12}px` : '';
  tip.style.top = `${u.over.offsetTop + 4}px`;
}

interface CurvesProps {
  name: string;
  curves: Curve[];
  style: CurveStyle;
  nameOf: (run: string) => string;
  indexOf: (run: string) => number;
  width: number;
  height?: number;
  sync: string;
  range?: [number, number];
  onRange: (range: [number, number] | undefined) => void;
}

export default function Curves({ name, curves, style, nameOf, indexOf, width, height = 220, sync, range, onRange }: CurvesProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = aligned(curves, style) as uPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;
  const shape = curves.map((c) => `${c.run}${c.downsampled ? '~' : ''}`).join('|');
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const build = () => {
      plot.current?.destroy();
      const axis = { stroke: colour('--ink-3'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false }, font: '11px Inter, system-ui, sans-serif', size: 52 };
      const series: uPlot.Series[] = [{ label: style.axis }];
      const main: { at: number; name: string; stroke: string; swatch: string }[] = []; // the series that are curves, not edges of bands
      const bands: uPlot.Band[] = [];
      for (const c of curves) {
        const look = hue(indexOf(c.run));
        const stroke = colour(look.token);
        main.push({ at: series.length, name: nameOf(c.run), stroke, swatch: look.dash ? 'dashed' : 'solid' });
        series.push({ label: nameOf(c.run), stroke, width: 1.5, dash: look.dash, points: { show: c.x.length === 1, size: 5 }, spanGaps: false });
        if (c.downsampled) {
          const at = series.length;
          for (const edge of ['lowest', 'highest']) series.push({ label: `${nameOf(c.run)} ${edge}`, stroke: 'transparent', width: 0, points: { show: false }, spanGaps: false });
          bands.push({ series: [at + 1, at], fill: stroke.replace('rgb(', 'rgba(').replace(')', ', 0.16)') });
        }
      }
      plot.current = new uPlot(
        {
          width, height, bands, series, legend: { show: false },
          cursor: { sync: { key: sync }, y: false, points: { size: 5 }, drag: { x: true, y: false, setScale: false } },
          scales: { x: { time: style.axis === 'time', range: range ? () => range : undefined }, y: { distr: style.log ? 3 : 1 } },
          axes: [{ ...axis, size: 28, ...(style.axis === 'relative' ? { values: (_: uPlot, v: number[]) => v.map((n) => (n === 0 ? '0' : span(n * 1e3))) } : {}) }, { ...axis, values: (_, v) => v.map((n) => (n === null ? '' : compact(n))) }],
          hooks: {
            setCursor: [(u) => point(u, main, style.axis)],
            setSelect: [(u) => {
              if (u.select.width < 4) return;
              const k = style.axis === 'step' ? 1 : 1e3;
              onRange([Math.floor(u.posToVal(u.select.left, 'x') * k), Math.ceil(u.posToVal(u.select.left + u.select.width, 'x') * k)]);
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            }],
          },
        },
        latest.current, element,
      );
      plot.current.over.addEventListener('dblclick', () => onRange(undefined));
    };
    build();
    const themes = new MutationObserver(build);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ['data-mantine-color-scheme'] });
    return () => {
      themes.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
    // Points come by setData below; a new plot is made only when its shape changes.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [width, height, shape, sync, style.axis, style.log, range?.[0], range?.[1]]);
  useEffect(() => {
    plot.current?.setData(latest.current);
  });
  return <div ref={host} className="plot" role="img" aria-label={name} style={{ minHeight: height }} />;
}
