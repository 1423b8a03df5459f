// Rows and columns: figures to the right, sorted by a head, opened by their first cell's link, read aloud with a caption.
import { useMemo, useState, type ReactNode } from 'react';

export interface Column<T> {
  key: string;
  head: ReactNode;
  cell: (row: T, index: number) => ReactNode;
  right?: boolean;
  sort?: (row: T) => number | string | undefined;
  /** Which way the first press sorts. */
  first?: 'ascending' | 'descending';
  width?: number | string;
  fold?: boolean;
}

interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T, index: number) => string | number;
  density?: 'dense' | 'tall' | '';
  selected?: (row: T) => boolean;
  onPick?: (row: T) => void;
  sorted?: { key: string; order: 'ascending' | 'descending' };
  /** Rows shown before "show more". */
  page?: number;
}

export function Table<T>({ label, columns, rows, keyOf, density = '', selected, onPick, sorted, page = 100 }: TableProps<T>) {
  const [sort, setSort] = useState(sorted);
  const [shown, setShown] = useState(page);
  const ordered = useMemo(() => {
    const by = columns.find((c) => c.key === sort?.key)?.sort;
    if (!by || !sort) return rows;
    const way = sort.order === 'ascending' ? 1 : -1;
    return [...rows].sort((a, b) => {
      const x = by(a);
      const y = by(b);
      if (x === undefined || y === undefined) return x === y ? 0 : x === undefined ? 1 : -1; // unknown last, either way
      if (typeof x === 'number' && typeof y === 'number') return (x - y) * way;
      return String(x).localeCompare(String(y), 'en', { numeric: true }) * way;
    });
  }, [rows, columns, sort]);

  const press = (column: Column<T>) => {
    const first = column.first ?? 'descending';
    setSort((now) => (now?.key === column.key ? { key: column.key, order: now.order === 'ascending' ? 'descending' : 'ascending' } : { key: column.key, order: first }));
  };

  return (
    <>
      <div className="scroll" tabIndex={0} role="region" aria-label={label}>
        <table className={density}>
          <caption className="hidden">{label}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <th
                  key={column.key} scope="col" className={column.right ? 'right' : undefined} style={column.width ? { width: column.width } : undefined}
                  aria-sort={sort?.key === column.key ? sort.order : undefined}
                >
                  {column.sort ? (
                    <button type="button" onClick={() => press(column)}>
                      {column.head}
                      <span aria-hidden="true">{sort?.key === column.key ? (sort.order === 'ascending' ? '↑' : '↓') : ''}</span>
                    </button>
                  ) : (
                    column.head
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {ordered.slice(0, shown).map((row, i) => (
              <tr
                key={keyOf(row, i)} data-selected={selected?.(row) || undefined} className={onPick ? 'pick' : undefined}
                onClick={onPick ? (event) => !(event.target as HTMLElement).closest('a,button,input') && onPick(row) : undefined}
              >
                {columns.map((column) => (
                  <td key={column.key} className={`${column.right ? 'right' : ''} ${column.fold ? 'fold' : ''}`}>{column.cell(row, i)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {ordered.length > shown && (
        <div style={{ padding: '8px 16px', borderTop: '1px solid var(--line)' }}>
          <button type="button" className="btn small" onClick={() => setShown((n) => n + page)}>
            Show more: {shown.toLocaleString('en-US')} of {ordered.length.toLocaleString('en-US')} rows
          </button>
        </div>
      )}
    </>
  );
}
