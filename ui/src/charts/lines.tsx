// Metric curves of a run by step, drawn by uPlot: many points, live while it trains. Loaded only where it is needed.
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { compact } from '../format/number';

export interface Line {
  label: string;
  role: 'subject' | 'compare';
  points: { step: number; value: number }[];
}

/** A token of the theme as the canvas understands it. */
function colour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** One shared axis of steps, with holes where a line has none. */
export function align(lines: Line[]): (number | null)[][] {
  const steps = [...new Set(lines.flatMap((l) => l.points.map((p) => p.step)))].sort((a, b) => a - b);
  const places = new Map(steps.map((s, i) => [s, i]));
  return [
    steps,
    ...lines.map((l) => {
      const out = Array<number | null>(steps.length).fill(null);
      for (const p of l.points) out[places.get(p.step) as number] = p.value;
      return out;
    }),
  ];
}

export default function StepLines({ lines, width, height = 220, name, xLabel = 'step' }: { lines: Line[]; width: number; height?: number; name: string; xLabel?: string }) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = align(lines) as uPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;
  const shape = lines.map((l) => `${l.label} ${l.role}`).join('|');

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const build = () => {
      plot.current?.destroy();
      const axis = { stroke: colour('--ink-3'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false }, font: '11px Inter, system-ui, sans-serif', size: 48 };
      plot.current = new uPlot(
        {
          width, height, legend: { show: true, live: true }, cursor: { y: false, points: { size: 5 } },
          scales: { x: { time: false } },
          axes: [{ ...axis, size: 28, label: xLabel, labelSize: 16, labelFont: '11px Inter, system-ui, sans-serif' }, { ...axis, values: (_, v) => v.map((n) => compact(n)) }],
          series: [
            { label: xLabel },
            ...lines.map((l): uPlot.Series => ({ label: l.label, stroke: colour(l.role === 'subject' ? '--subject' : '--compare'), width: l.role === 'subject' ? 1.75 : 1.5, dash: l.role === 'subject' ? undefined : [4, 3], points: { show: false }, value: (_, v) => (v === null ? '–' : compact(v, 5)) })),
          ],
        },
        latest.current, element,
      );
    };
    build();
    const themes = new MutationObserver(build);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ['data-mantine-color-scheme'] });
    return () => {
      themes.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
    // The lines' points come by setData below; a new plot is made only when its shape changes.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [width, height, shape, xLabel]);

  useEffect(() => {
    plot.current?.setData(latest.current);
  });

  return <div ref={host} role="img" aria-label={name} style={{ minHeight: height }} />;
}
