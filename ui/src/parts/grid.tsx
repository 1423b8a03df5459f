// A table of any size: only the rows and columns on the screen exist. Rows come by number, when they are near.
import { useCallback, useEffect, useLayoutEffect, useRef, useState, type ReactNode } from 'react';

export interface GridColumn<R> {
  key: string;
  head: ReactNode;
  title?: string;
  width: number;
  right?: boolean;
  sort?: 'ascending' | 'descending' | 'none';
  onSort?: () => void;
  cell: (row: R, index: number) => ReactNode;
}

interface GridProps<R> {
  label: string;
  /** Columns that stay at the left. */
  fixed: GridColumn<R>[];
  columns: GridColumn<R>[];
  total: number;
  row: (index: number) => R | undefined;
  keyOf: (row: R) => string;
  selected?: (row: R) => boolean;
  onRange: (first: number, last: number) => void;
  height: number | string;
}

export const rowHeight = 32;
const spare = 8;

/** Which columns are on the screen, and how wide what is left and right of them is. */
export function visibleColumns(widths: number[], left: number, room: number): { first: number; last: number; before: number; after: number } {
  let x = 0;
  let first = widths.length;
  let last = widths.length - 1;
  let before = 0;
  let end = 0;
  for (let i = 0; i < widths.length; i++) {
    const w = widths[i] as number;
    if (first === widths.length && x + w > left) {
      first = i;
      before = x;
    }
    x += w;
    if (first < widths.length && x >= left + room) {
      last = i;
      end = x;
      break;
    }
    end = x;
  }
  const total = widths.reduce((s, w) => s + w, 0);
  return first === widths.length ? { first: 0, last: -1, before: 0, after: total } : { first, last, before, after: total - end };
}

export function Grid<R>({ label, fixed, columns, total, row, keyOf, selected, onRange, height }: GridProps<R>) {
  const host = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, left: 0, room: 600, width: 800 });
  const measure = useCallback(() => {
    const e = host.current;
    if (e) setView({ top: e.scrollTop, left: e.scrollLeft, room: e.clientHeight, width: e.clientWidth });
  }, []);
  useLayoutEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    if (host.current) observer.observe(host.current);
    return () => observer.disconnect();
  }, [measure]);
  const first = Math.max(0, Math.floor(view.top / rowHeight) - spare);
  const last = Math.min(total - 1, Math.ceil((view.top + view.room) / rowHeight) + spare);
  useEffect(() => onRange(first, Math.max(first, last)), [first, last, onRange]);
  const stuck = fixed.reduce((s, c) => s + c.width, 0);
  const widths = columns.map((c) => c.width);
  const wide = visibleColumns(widths, view.left, Math.max(120, view.width - stuck));
  const shown = columns.slice(wide.first, wide.last + 1);
  const full = stuck + widths.reduce((s, w) => s + w, 0);
  const indexes = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
  let x = 0;
  const offsets = fixed.map((c) => { const here = x; x += c.width; return here; });
  const head = (c: GridColumn<R>, i: number, sticky?: number) => (
    <div
      key={c.key} role="columnheader" aria-colindex={i + 1} aria-sort={c.sort && c.sort !== 'none' ? c.sort : undefined} title={c.title}
      className={`cell ${c.right ? 'right' : ''} ${sticky !== undefined ? 'stuck' : ''}`} style={{ width: c.width, left: sticky }}
    >
      {c.onSort ? (
        <button type="button" onClick={c.onSort}>
          <span className="clip">{c.head}</span>
          <span aria-hidden="true">{c.sort === 'ascending' ? '↑' : c.sort === 'descending' ? '↓' : ''}</span>
        </button>
      ) : (
        c.head
      )}
    </div>
  );
  return (
    <div ref={host} className="vgrid" style={{ height }} onScroll={measure} tabIndex={0} role="table" aria-label={label} aria-rowcount={total + 1} aria-colcount={fixed.length + columns.length}>
      <div className="vhead" role="row" aria-rowindex={1} style={{ width: Math.max(full, view.width) }}>
        {fixed.map((c, i) => head(c, i, offsets[i]))}
        <span style={{ width: wide.before, flex: 'none' }} role="presentation" />
        {shown.map((c, i) => head(c, fixed.length + wide.first + i))}
      </div>
      <div role="rowgroup" style={{ height: total * rowHeight, width: Math.max(full, view.width), position: 'relative' }}>
        {indexes.map((i) => {
          const r = row(i);
          return (
            <div key={r ? keyOf(r) : `waiting-${i}`} role="row" aria-rowindex={i + 2} className="vrow" data-selected={(r && selected?.(r)) || undefined} style={{ top: i * rowHeight, width: Math.max(full, view.width) }}>
              {fixed.map((c, k) => (
                <div key={c.key} role="cell" className={`cell stuck ${c.right ? 'right' : ''}`} style={{ width: c.width, left: offsets[k] }}>{r ? c.cell(r, i) : k === 1 && <span className="bone" style={{ height: 10, width: '60%' }} />}</div>
              ))}
              <span style={{ width: wide.before, flex: 'none' }} role="presentation" />
              {shown.map((c) => (
                <div key={c.key} role="cell" className={`cell ${c.right ? 'right' : ''}`} style={{ width: c.width }}>{r ? c.cell(r, i) : null}</div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
