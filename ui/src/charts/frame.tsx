// The frame of every chart: a panel with its name, its unit and n, a twin as a table, and CSV.
import { useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore, type ReactNode } from 'react';
import { Icon } from '../parts/icons';
import { csv } from './scale';

/** The width of an element, followed as it changes, so that text in a drawing keeps its size. */
export function useWidth(initial = 640) {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(initial);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    setWidth(element.clientWidth || initial);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth || initial));
    observer.observe(element);
    return () => observer.disconnect();
  }, [initial]);
  return [ref, width] as const;
}

// "t" turns every chart of the page into its table and back.
let twins = false;
const watchers = new Set<() => void>();
export function toggleTwins() {
  twins = !twins;
  for (const watch of watchers) watch();
}
const subscribe = (watch: () => void) => {
  watchers.add(watch);
  return () => watchers.delete(watch);
};

export type Cell = string | number | null | undefined;
export interface Twin {
  head: string[];
  rows: Cell[][];
}

export function download(name: string, type: string, text: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

interface FigureProps {
  title: ReactNode;
  name: string; // for screen readers and file names
  sub?: ReactNode;
  legend?: ReactNode;
  foot?: ReactNode;
  twin: Twin;
  className?: string;
  bare?: boolean; // without the border of a panel, as part of one
  pad?: number | string;
  children: (width: number) => ReactNode;
}

export function Figure({ title, name, sub, legend, foot, twin, className = '', bare = false, pad = '4px 16px 8px', children }: FigureProps) {
  const all = useSyncExternalStore(subscribe, () => twins);
  const [own, setOwn] = useState<boolean | null>(null);
  useEffect(() => setOwn(null), [all]);
  const asTable = own ?? all;
  const [ref, width] = useWidth();
  return (
    <section className={`${bare ? '' : 'panel'} ${className}`} aria-label={name}>
      <header>
        <h2>{title}</h2>
        {sub && <span className="sub" title={typeof sub === 'string' ? sub : undefined}>{sub}</span>}
        <span className="tools" style={{ gap: 8 }}>
          {legend}
          <span className="row" style={{ gap: 0 }}>
            <button type="button" className="btn quiet small square" aria-pressed={asTable} aria-label={`${name} as a table`} title="Table or chart (t)" onClick={() => setOwn(!asTable)}>
              <Icon name={asTable ? 'chart' : 'table'} />
            </button>
            <button type="button" className="btn quiet small square" aria-label={`${name} as CSV`} title="Download CSV" onClick={() => download(`${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.csv`, 'text/csv', csv(twin.head, twin.rows))}>
              <Icon name="download" />
            </button>
          </span>
        </span>
      </header>
      {asTable ? (
        <div className="twin" tabIndex={0} role="region" aria-label={`${name}, table`}>
          <table className="dense">
            <thead>
              <tr>{twin.head.map((h, i) => <th key={i} scope="col" className={i ? 'right' : ''}>{h}</th>)}</tr>
            </thead>
            <tbody>
              {twin.rows.map((row, i) => (
                <tr key={i}>{row.map((cell, j) => <td key={j} className={j ? 'right' : ''}>{cell ?? '–'}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <div style={{ padding: pad }}>
          <div ref={ref} className="chart">{children(width)}</div>
        </div>
      )}
      {foot && <footer>{foot}</footer>}
    </section>
  );
}

export function Legend({ role, label, shape = 'line' }: { role: 'subject' | 'compare'; label: string; shape?: 'line' | 'dashed' | 'bar' | 'outline' }) {
  const colour = role === 'subject' ? 'var(--subject)' : 'var(--compare)';
  return (
    <span className="legend">
      <svg width="16" height="10" aria-hidden="true">
        {shape === 'line' && <path d="M0 5h16" stroke={colour} strokeWidth="2" />}
        {shape === 'dashed' && <path d="M0 5h16" stroke={colour} strokeWidth="1.5" strokeDasharray="4 2" />}
        {shape === 'bar' && <rect x="3" width="10" height="10" fill={role === 'subject' ? 'var(--subject)' : 'var(--compare-area)'} />}
        {shape === 'outline' && <rect x="4" y="1" width="8" height="8" fill="none" stroke={colour} strokeWidth="1.75" />}
      </svg>
      {label}
    </span>
  );
}
