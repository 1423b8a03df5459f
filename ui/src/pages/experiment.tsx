// The runs of one or more experiments: a table of any size, and beside it what it looks like as curves, a cloud or parallels.
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Menu, Popover, TextInput } from '@mantine/core';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useQueries, useQueryClient } from '@tanstack/react-query';
import { get, post, seg } from '../api/client';
import { clauseOf, num, quoteKey, useCells, useChildren, useCurves, useFollow, useKeys, useTable, type Experiment, type TableAnswer, type Value } from '../api/tracking';
import { dimension, Parallel, Scatter, type Row } from '../charts/cloud';
import type { Axis, CurveStyle } from '../charts/curves';
import { download, useWidth } from '../charts/frame';
import { hue } from '../charts/hue';
import { Singles } from '../charts/singles';
import { better, compact, count, plural } from '../format/number';
import { span } from '../format/time';
import { Command } from '../parts/command';
import { Confirm } from '../parts/confirm';
import { FilterBar } from '../parts/filterbar';
import { Grid, type GridColumn } from '../parts/grid';
import { Icon } from '../parts/icons';
import { Page, Panel, Segments } from '../parts/page';
import { WallAgo } from '../parts/project';
import { Empty, Failure, Loading } from '../parts/states';
import { Status } from '../parts/status';
import { firstRun } from './experiments';

const Curves = lazy(() => import('../charts/curves'));

/** What the table always reads about a run, in this order, before the columns that were chosen. */
const base = ['attributes.name', 'attributes.status', 'attributes.start_time', 'attributes.end_time', 'attributes.user_id', 'tags.`mlflow.parentRunId`'];
const maxDrawn = 100;

interface ViewState {
  filter?: string;
  order?: string;
  view?: 'active' | 'deleted' | 'all';
  cols?: string; // chosen columns, comma separated, each escaped
  group?: string;
  pins?: string;
  nest?: boolean;
  look?: 'table' | 'charts' | 'scatter' | 'parallel';
  axis?: Axis;
  log?: boolean;
  smooth?: number;
  match?: string; // which charts
  sx?: string;
  sy?: string;
  px?: string;
}

const list = (text: string | undefined) => (text ? text.split(',').map(decodeURIComponent) : []);
const listed = (items: string[]) => (items.length ? items.map(encodeURIComponent).join(',') : undefined);
export const columnLabel = (c: string) => c.replace(/^(metrics|params|tags|attributes)\./, '').replace(/^`|`$/g, '');
/** Metrics in the order in which a stranger would want them: those that judge a model first. */
const likely = (metrics: string[]) => [...metrics].filter((m) => !m.startsWith('system/')).sort((a, b) => Math.abs(better(b)) - Math.abs(better(a)) || Number(/^train/i.test(a)) - Number(/^train/i.test(b)));
const kindOf = (c: string) => c.slice(0, c.indexOf('.'));

interface RunRow {
  id: string;
  cells: Value[];
  depth: number;
  pinned?: boolean; // a copy at the top; the run is in its place too
}

/** Where the row is that is shown at a place, when rows are shown below some rows of the table: a row of the table, or one below it. */
export function locate(shown: number, blocks: { at: number; rows: unknown[] }[]): { index: number; below?: number } {
  let skipped = 0;
  for (const { at, rows } of blocks) {
    const index = shown - skipped;
    if (index <= at) break;
    if (index <= at + rows.length) return { index: at, below: index - at - 1 };
    skipped += rows.length;
  }
  return { index: shown - skipped };
}

export function ExperimentPage() {
  const { ids = '' } = useParams({ strict: false });
  const experiments = useMemo(() => ids.split(',').filter(Boolean), [ids]);
  const state = useSearch({ strict: false }) as ViewState;
  const navigate = useNavigate();
  const client = useQueryClient();
  const set = useCallback((next: Partial<ViewState>) => void navigate({ search: (old: Record<string, unknown>) => ({ ...old, ...next }), replace: true } as never), [navigate]);
  const named = useQueries({ queries: experiments.map((id) => ({ queryKey: ['get', `experiments/${seg(id)}`], queryFn: () => get<Experiment>(`experiments/${seg(id)}`) })) });
  const keys = useKeys(experiments);
  useFollow(`experiments/${experiments.map(seg).join(',')}`, experiments.length > 0);

  // Columns: those of the address, else the last choice for this experiment, else a few that exist.
  const storage = `trimtab.columns.${ids}`;
  const columns = useMemo(() => {
    if (state.cols !== undefined) return list(state.cols);
    try {
      const kept = localStorage.getItem(storage);
      if (kept) return JSON.parse(kept) as string[];
    } catch {
      // storage is off
    }
    const k = keys.data;
    return k ? [...likely(k.metrics).slice(0, 4).map((m) => quoteKey('metrics', m)), ...k.params.slice(0, 4).map((p) => quoteKey('params', p))] : [];
  }, [state.cols, storage, keys.data]);
  const choose = (next: string[]) => {
    set({ cols: listed(next) ?? '' });
    try {
      localStorage.setItem(storage, JSON.stringify(next));
    } catch {
      // storage is off: the address keeps the choice
    }
  };

  const filter = [state.filter, state.nest ? 'tags.`mlflow.parentRunId` IS NULL' : ''].filter(Boolean).join(' AND ');
  const order = state.order ? [state.order] : [];
  const ask = { experiments, filter, order_by: order, view: state.view ?? 'active', columns: [...base, ...columns] };
  const [range, setRange] = useState({ first: 0, last: 60 });
  const onRange = useCallback((first: number, last: number) => setRange((old) => (old.first === first && old.last === last ? old : { first, last })), []);
  const pins = list(state.pins);
  const pinned = useCells({ experiments, columns: ask.columns, view: 'all', limit: 50, filter: `attributes.run_id IN (${pins.map((p) => `'${p}'`).join(', ')})` }, pins.length > 0);
  const [opened, setOpened] = useState<string[]>([]); // runs whose nested runs are shown
  const children = useChildren({ experiments, order_by: order, view: ask.view, columns: ask.columns }, state.nest ? opened : []);

  // Rows as shown: copies of the pinned first, then the table with the nested runs of opened ones below them.
  const top: RunRow[] = (pinned.data?.ids ?? []).flatMap((id, i) => (pins.includes(id) ? [{ id, cells: pinned.data?.rows[i] ?? [], depth: 0, pinned: true }] : []));
  const nestedIn = (id: string, depth: number): RunRow[] => {
    const answer = children.of.get(id);
    return (answer?.ids ?? []).flatMap((child, i) => [{ id: child, cells: answer?.rows[i] ?? [], depth }, ...nestedIn(child, depth + 1)]);
  };
  const places = useRef(new Map<string, number>()); // of opened runs in the table, known also when the table is scrolled away from them
  const below = () => [...children.of.keys()].flatMap((id) => { const at = places.current.get(id); return at === undefined ? [] : [{ at, rows: nestedIn(id, 1) }]; }).sort((a, b) => a.at - b.at);
  const guess = below();
  const near = (shown: number) => locate(Math.max(0, shown - top.length), guess).index;
  const table = useTable(ask, near(range.first), near(range.last), keys.isSuccess || keys.isError);
  for (const id of opened) {
    const [here, before] = [table.place(id), places.current.get(id)];
    if (here !== undefined) places.current.set(id, here);
    else if (before !== undefined && table.row(before)) places.current.delete(id); // another run is there now
  }
  const blocks = below();
  const extra = blocks.reduce((s, b) => s + b.rows.length, 0);
  const groups = useCells({ ...ask, columns: [], limit: 1, group_by: state.group ? [state.group] : [] }, !!state.group);
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const [failed, setFailed] = useState<Error | null>(null);

  const rowAt = (shown: number): RunRow | undefined => {
    if (shown < top.length) return top[shown];
    const { index, below: nth } = locate(shown - top.length, blocks);
    if (nth !== undefined) return blocks.find((b) => b.at === index)?.rows[nth];
    const row = table.row(index);
    return row && { ...row, depth: 0 };
  };
  useEffect(() => { setOpened([]); places.current.clear(); }, [filter, state.order, state.view, ids]);
  useEffect(() => setChosen(new Set()), [state.view, ids]); // what is done to runs depends on what is looked at
  const expand = (id: string) => setOpened((old) => (old.includes(id) ? old.filter((o) => o !== id) : [...old, id]));

  const attempt = async (work: () => Promise<unknown>) => {
    setFailed(null);
    try {
      await work();
    } catch (cause) {
      setFailed(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  const act = (work: () => Promise<unknown>) => attempt(async () => {
    await work();
    setChosen(new Set());
    await client.invalidateQueries({ queryKey: ['get'] });
  });
  const picked = [...chosen];
  const sortOf = (c: string): 'ascending' | 'descending' | 'none' => (state.order === `${c} DESC` ? 'descending' : state.order === `${c} ASC` ? 'ascending' : 'none');
  const press = (c: string) => () => set({ order: sortOf(c) === 'descending' ? `${c} ASC` : sortOf(c) === 'ascending' ? undefined : `${c} DESC` });
  const pin = (id: string) => set({ pins: listed(pins.includes(id) ? pins.filter((p) => p !== id) : [...pins, id]) });

  const look = state.look ?? 'table';
  const ten = useRef<string[]>([]); // the first rows, kept while the table is scrolled away from them
  if (table.row(0)) ten.current = Array.from({ length: 10 }, (_, i) => table.row(i)?.id).filter((id): id is string => !!id);
  const first = ten.current.join();
  const drawn = useMemo(() => {
    const out: string[] = [];
    const add = (id: string | undefined) => { if (id && !out.includes(id) && out.length < maxDrawn) out.push(id); };
    pins.forEach(add);
    if (chosen.size) chosen.forEach(add);
    else if (table.total) first.split(',').forEach(add);
    return out;
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [state.pins, chosen, table.total, first]);
  const names = useRef(new Map<string, string>());
  for (let i = range.first; i <= range.last; i++) { const r = rowAt(i); if (r) names.current.set(r.id, String(r.cells[0] ?? r.id)); }
  const indexOf = (id: string) => drawn.indexOf(id);

  const called = (r: RunRow) => String(r.cells[0] ?? r.id.slice(0, 8));
  const fixed: GridColumn<RunRow>[] = [
    { key: 'pick', width: 36, head: <span className="hidden">Select</span>, cell: (r) => <input type="checkbox" aria-label={`Select ${called(r)}`} checked={chosen.has(r.id)} onChange={() => setChosen((old) => { const next = new Set(old); if (!next.delete(r.id)) next.add(r.id); return next; })} /> },
    {
      key: 'name', width: innerWidth < 720 ? 176 : look === 'table' ? 260 : 216, head: 'Run', sort: sortOf('attributes.run_name'), onSort: press('attributes.run_name'),
      cell: (r) => (
        <span className="row" style={{ gap: 4, paddingLeft: r.depth * 16 }}>
          {state.nest && !r.pinned && <button type="button" className="btn quiet small square" aria-label={`Runs nested in ${called(r)}`} aria-expanded={opened.includes(r.id)} onClick={() => expand(r.id)}><Icon name={opened.includes(r.id) ? 'down' : 'next'} /></button>}
          {look === 'charts' && indexOf(r.id) >= 0 && <svg width="14" height="8" aria-hidden="true" style={{ flex: 'none' }}><path d="M0 4h14" stroke={`var(${hue(indexOf(r.id)).token})`} strokeWidth="2.5" strokeDasharray={hue(indexOf(r.id)).dash?.join(' ')} /></svg>}
          <Link data-row className="medium clip" to="/runs/$id" params={{ id: r.id }} title={String(r.cells[0] ?? '')}>{called(r)}</Link>
          <button type="button" className={`pin ${pins.includes(r.id) ? 'on' : ''}`} aria-pressed={pins.includes(r.id)} aria-label={`Pin ${called(r)}`} title="Pin to the top" onClick={() => pin(r.id)}>●</button>
        </span>
      ),
    },
  ];
  const figures = (i: number) => { const v = rowAt(range.first)?.cells[base.length + i]; return typeof v === 'number' || (typeof v === 'string' && v !== '' && Number.isFinite(Number(v))); };
  const rest: GridColumn<RunRow>[] = [
    { key: 'status', width: 104, head: 'Status', sort: sortOf('attributes.status'), onSort: press('attributes.status'), cell: (r) => <Status state={String(r.cells[1] ?? '').toLowerCase()} /> },
    { key: 'started', width: 116, head: 'Started', sort: state.order ? sortOf('attributes.start_time') : 'descending', onSort: press('attributes.start_time'), cell: (r) => <WallAgo at={at(r.cells[2])} /> },
    { key: 'took', width: 84, right: true, head: 'Took', cell: (r) => (num(r.cells[3]) > 0 && num(r.cells[2]) > 0 ? span(num(r.cells[3]) - num(r.cells[2])) : '–') },
    ...columns.map((c, i): GridColumn<RunRow> => ({
      key: c, width: 132, right: kindOf(c) === 'metrics' || (kindOf(c) === 'params' && figures(i)), title: c, sort: sortOf(c), onSort: press(c),
      head: <><span className="third tiny">{kindOf(c).slice(0, 1)}</span> {columnLabel(c)}</>,
      cell: (r) => { const v = r.cells[base.length + i]; return v === null || v === undefined ? <span className="third">–</span> : typeof v === 'number' ? compact(v, 5) : <span className="clip" title={v}>{v}</span>; },
    })),
    { key: 'user', width: 100, head: 'User', sort: sortOf('attributes.user_id'), onSort: press('attributes.user_id'), cell: (r) => <span className="clip">{String(r.cells[4] ?? '') || '–'}</span> },
  ];
  const title = named.map((n) => n.data?.name ?? '…').join(', ') || 'Experiment';
  const lost = named.find((n) => n.error)?.error;
  const csv = async () => {
    const answer = await fetch('/api/v1/runs/export', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ experiments, filter: state.filter, order_by: order, view: ask.view, columns: ask.columns }) }); // nested runs too
    if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
    download('runs.csv', 'text/csv', await answer.text());
  };
  const grid = (
    <Grid<RunRow>
      label="Runs" fixed={fixed} columns={rest} total={table.total + extra + top.length} row={rowAt} keyOf={(r) => (r.pinned ? `pinned ${r.id}` : r.id)} selected={(r) => chosen.has(r.id) || pins.includes(r.id)}
      onRange={onRange} height={look === 'table' ? 'calc(100vh - 190px)' : 'calc(100vh - 190px)'}
    />
  );
  return (
    <Page
      title={title} crumbs={[{ label: 'Experiments', to: '/experiments' }, { label: title }]}
      facts={<>{!table.pending && <span><b>{count(table.total)}</b> {filter ? 'runs match' : 'runs'}</span>}{named[0]?.data && experiments.length === 1 && <span>id <b className="mono">{experiments[0]}</b></span>}{named[0]?.data?.stage === 'deleted' && <span className="warn">deleted</span>}</>}
      actions={<Command show={{ cli: `trimtab runs ls --experiment ${experiments.join(',')}${filter ? ` --filter ${JSON.stringify(filter)}` : ''}`, api: 'runs/search', body: { experiments, filter, order_by: order } }} />}
    >
      {lost ? <section className="panel"><Failure error={lost} what="The experiment cannot be shown" /></section> : (
        <Panel label="Runs">
          <div className="toolbar">
            <FilterBar noun="runs" value={state.filter ?? ''} onChange={(f) => set({ filter: f || undefined })} experiments={experiments} label="Filter runs" placeholder="metrics.auc > 0.8 AND params.depth = '6'" />
            <Segments label="Look" value={look} options={[{ value: 'table', label: 'Table' }, { value: 'charts', label: 'Charts' }, { value: 'scatter', label: 'Scatter' }, { value: 'parallel', label: 'Parallel' }]} onChange={(v) => set({ look: v === 'table' ? undefined : v })} />
            <ColumnPicker keys={keys.data} chosen={columns} onChange={choose} />
            <Menu position="bottom-end" width={240} closeOnItemClick={false}>
              <Menu.Target><button type="button" className="btn small">View</button></Menu.Target>
              <Menu.Dropdown style={{ maxHeight: 420, overflow: 'auto' }}>
                {(['active', 'deleted', 'all'] as const).map((v) => <Menu.RadioItem key={v} value={v} checked={(state.view ?? 'active') === v} onChange={() => set({ view: v === 'active' ? undefined : v })}>{{ active: 'Active runs', deleted: 'Deleted runs', all: 'All runs' }[v]}</Menu.RadioItem>)}
                <Menu.Divider />
                <Menu.CheckboxItem checked={!!state.nest} onChange={(on) => set({ nest: on || undefined })}>Nest child runs</Menu.CheckboxItem>
                <Menu.Divider />
                <Menu.Label>Group by</Menu.Label>
                <Menu.RadioItem value="" checked={!state.group} onChange={() => set({ group: undefined })}>nothing</Menu.RadioItem>
                {[...columns.filter((c) => kindOf(c) !== 'metrics'), 'attributes.status', 'attributes.user_id'].map((c) => <Menu.RadioItem key={c} value={c} checked={state.group === c} onChange={() => set({ group: c })}>{columnLabel(c)}</Menu.RadioItem>)}
                <Menu.Divider />
                <Menu.Item onClick={() => void attempt(csv)}>Download as CSV</Menu.Item>
              </Menu.Dropdown>
            </Menu>
          </div>
          {picked.length > 0 && (
            <div className="toolbar picked" role="status">
              <b>{plural(picked.length, 'run')} selected</b>
              {picked.length > 1 && <button type="button" className="btn small" onClick={() => void navigate({ to: '/compare', search: { runs: picked.join(',') } } as never)}>Compare</button>}
              <TagMany ids={picked} act={act} />
              {state.view === 'deleted' ? <button type="button" className="btn small" onClick={() => void act(() => post('runs/restore', { ids: picked }))}>Restore</button> : <button type="button" className="btn small danger" onClick={() => void act(() => post('runs/delete', { ids: picked }))}>Delete</button>}
              {state.view === 'deleted' && <Confirm label="Remove for good" title={`Remove ${plural(picked.length, 'run')} for good?`} act={() => act(() => post('runs/delete', { ids: picked, hard: true }))}>Their parameters, points and files are gone then; nothing brings them back. Registered versions keep the files they hold.</Confirm>}
              <button type="button" className="btn small quiet" onClick={() => setChosen(new Set())}>Clear</button>
            </div>
          )}
          {failed && <Failure error={failed} what="It did not happen" />}
          {children.error && <Failure error={children.error} what="Nested runs cannot be shown" />}
          {state.group && <Groups column={state.group} error={groups.error} groups={groups.isPlaceholderData ? undefined : groups.data?.groups} onPick={(clause) => set({ filter: [state.filter, clause].filter(Boolean).join(' AND '), group: undefined })} />}
          {table.error ? (
            <Failure error={table.error} what="The runs cannot be shown" retry={table.refetch} />
          ) : table.pending && table.total === 0 ? (
            <Loading rows={10} />
          ) : table.total === 0 && top.length === 0 ? (
            filter ? <Empty title="No run matches" /> : state.view === 'deleted' ? <Empty title="No run is deleted">A deleted run can be restored from here until it is removed for good.</Empty> : <Empty title="No run yet" command={firstRun(location.origin)}>Any MLflow client logs here; set one variable.</Empty>
          ) : look === 'table' ? (
            grid
          ) : (
            <div className="panes">
              <div style={{ minWidth: 0 }}>{grid}</div>
              <div className="beside">
                {look === 'charts' && <ChartPane metrics={keys.data?.metrics ?? []} runs={drawn} total={table.total} state={state} set={set} nameOf={(id) => names.current.get(id) ?? id.slice(0, 8)} indexOf={indexOf} />}
                {look === 'scatter' && <CloudPane kind="scatter" ask={ask} keys={keys.data} state={state} set={set} />}
                {look === 'parallel' && <CloudPane kind="parallel" ask={ask} keys={keys.data} state={state} set={set} />}
              </div>
            </div>
          )}
        </Panel>
      )}
    </Page>
  );
}

/** A time cell as the shared components want it. */
const at = (v: Value | undefined) => { const ms = num(v); return Number.isFinite(ms) && ms > 0 ? new Date(ms).toISOString() : undefined; };

function ColumnPicker({ keys, chosen, onChange }: { keys: { metrics: string[]; params: string[]; tags: string[] } | undefined; chosen: string[]; onChange: (next: string[]) => void }) {
  const [text, setText] = useState('');
  const needle = text.trim().toLowerCase();
  const all = useMemo(() => [...(keys?.metrics ?? []).map((k) => quoteKey('metrics', k)), ...(keys?.params ?? []).map((k) => quoteKey('params', k)), ...(keys?.tags ?? []).map((k) => quoteKey('tags', k))], [keys]);
  const found = all.filter((c) => !needle || c.toLowerCase().includes(needle));
  const shown = [...chosen.filter((c) => !needle || c.toLowerCase().includes(needle)), ...found.filter((c) => !chosen.includes(c))].slice(0, 200);
  return (
    <Popover position="bottom-end" width={320} trapFocus returnFocus>
      <Popover.Target><button type="button" className="btn small"><Icon name="table" /> Columns <span className="third">{chosen.length}</span></button></Popover.Target>
      <Popover.Dropdown aria-label="Columns">
        <TextInput aria-label="Find a column" placeholder={`Find among ${count(all.length)}`} value={text} onChange={(e) => setText(e.currentTarget.value)} />
        <div className="row small" style={{ margin: '8px 0' }}>
          <button type="button" className="btn small quiet" onClick={() => onChange([...new Set([...chosen, ...found.slice(0, 50)])])}>Show {Math.min(50, found.length)} found</button>
          <button type="button" className="btn small quiet" onClick={() => onChange([])}>None</button>
        </div>
        <ul style={{ maxHeight: 320, overflow: 'auto' }} tabIndex={0} aria-label="Columns to choose">
          {shown.map((c) => (
            <li key={c}>
              <label className="row" style={{ height: 28, gap: 8 }}>
                <input type="checkbox" checked={chosen.includes(c)} onChange={() => onChange(chosen.includes(c) ? chosen.filter((x) => x !== c) : [...chosen, c])} />
                <span className="third tiny" style={{ width: 46 }}>{kindOf(c)}</span><span className="clip mono" title={c}>{columnLabel(c)}</span>
              </label>
            </li>
          ))}
        </ul>
        {found.length > 200 && <p className="third tiny">{count(found.length)} columns match; the first 200 are listed.</p>}
      </Popover.Dropdown>
    </Popover>
  );
}

function TagMany({ ids, act }: { ids: string[]; act: (work: () => Promise<unknown>) => Promise<void> }) {
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  return (
    <Popover position="bottom-start" width={280} trapFocus returnFocus>
      <Popover.Target><button type="button" className="btn small">Tag</button></Popover.Target>
      <Popover.Dropdown aria-label="Tag the selected runs">
        <form onSubmit={(e) => { e.preventDefault(); void act(() => post('runs/tag', { ids, tags: { [key.trim()]: value } })); }}>
          <TextInput label="Tag" value={key} onChange={(e) => setKey(e.currentTarget.value)} required data-autofocus />
          <TextInput label="Value" value={value} onChange={(e) => setValue(e.currentTarget.value)} mt={8} />
          <div className="row" style={{ marginTop: 12, justifyContent: 'flex-end' }}><button type="submit" className="btn primary small" disabled={!key.trim()}>Tag {ids.length}</button></div>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}

function Groups({ column, groups, error, onPick }: { column: string; groups: TableAnswer['groups']; error: Error | null; onPick: (clause: string) => void }) {
  if (error) return <Failure error={error} what="The groups cannot be shown" />;
  if (!groups) return <Loading rows={2} />;
  const most = Math.max(1, ...groups.map((g) => g.count));
  return (
    <div className="groups" role="list" aria-label={`Groups by ${columnLabel(column)}`}>
      {groups.slice(0, 40).map((g) => {
        const value = g.values[0] ?? null;
        const clause = clauseOf(column, value);
        return (
          <div key={JSON.stringify(value)} role="listitem">
            <button type="button" className="bucket" disabled={!clause} onClick={() => clause && onPick(clause)} title={clause && 'Show these runs only'}>
              <span className="clip mono">{value === null ? 'none' : String(value)}</span>
              <i style={{ width: `${(g.count / most) * 100}%` }} />
              <b>{count(g.count)}</b>
            </button>
          </div>
        );
      })}
      {groups.length > 40 && <span className="third tiny">and {count(groups.length - 40)} more values</span>}
    </div>
  );
}

function ChartPane({ metrics, runs, total, state, set, nameOf, indexOf }: { metrics: string[]; runs: string[]; total: number; state: ViewState; set: (next: Partial<ViewState>) => void; nameOf: (id: string) => string; indexOf: (id: string) => number }) {
  const [range, setRange] = useState<[number, number] | undefined>();
  const style: CurveStyle = { axis: state.axis ?? 'step', log: !!state.log, smooth: state.smooth ?? 0 };
  const needle = (state.match ?? '').toLowerCase();
  const shown = metrics.filter((m) => (needle ? m.toLowerCase().includes(needle) : !m.startsWith('system/')));
  useEffect(() => setRange(undefined), [style.axis]);
  return (
    <>
      <div className="toolbar">
        <span className="search"><Icon name="search" /><input type="search" value={state.match ?? ''} onChange={(e) => set({ match: e.target.value || undefined })} placeholder={`Among ${count(metrics.length)} metrics`} aria-label="Find a chart" /></span>
        <Segments label="Axis" value={style.axis} options={[{ value: 'step', label: 'Step' }, { value: 'time', label: 'Time' }, { value: 'relative', label: 'Relative' }]} onChange={(axis) => set({ axis: axis === 'step' ? undefined : axis })} />
        <label className="row small"><input type="checkbox" checked={style.log} onChange={(e) => set({ log: e.target.checked || undefined })} /> log</label>
        <label className="row small">smooth <input type="range" min={0} max={0.99} step={0.01} value={style.smooth} onChange={(e) => set({ smooth: Number(e.target.value) || undefined })} aria-label="Smoothing" /></label>
        {range && <button type="button" className="btn small" onClick={() => setRange(undefined)}>Whole range</button>}
        <span className="third tiny push">{runs.length} of {count(total)} runs drawn{runs.length >= maxDrawn ? ', the most at once' : ''}; select runs to draw others</span>
      </div>
      {shown.length === 0 ? <Empty title={metrics.length ? 'No metric matches' : 'No metric was logged'} /> : (
        <div className="charts">
          {shown.map((m) => <ChartCard key={m} metric={m} runs={runs} style={style} range={range} onRange={setRange} nameOf={nameOf} indexOf={indexOf} />)}
        </div>
      )}
    </>
  );
}

/** True once the element has been near the screen. */
function useSeen() {
  const ref = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!ref.current || seen) return;
    const observer = new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting)) setSeen(true); }, { rootMargin: '200px' });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [seen]);
  return [ref, seen] as const;
}

export function ChartCard({ metric, runs, style, range, onRange, nameOf, indexOf }: { metric: string; runs: string[]; style: CurveStyle; range?: [number, number]; onRange: (r: [number, number] | undefined) => void; nameOf: (id: string) => string; indexOf: (id: string) => number }) {
  const [ref, seen] = useSeen();
  const [frame, width] = useWidth(360);
  const answer = useCurves({ runs, keys: [metric], axis: style.axis, from: range?.[0], to: range?.[1], buckets: 320 }, seen);
  const curves = answer.data?.series ?? [];
  const points = curves.reduce((s, c) => s + c.total, 0);
  const sampled = curves.some((c) => c.downsampled);
  const single = curves.length > 0 && curves.every((c) => c.total <= 1);
  const drawable = curves.some((c) => c.y.some((v) => Number.isFinite(num(v)) && (!style.log || num(v) > 0)));
  const note = single ? plural(curves.length, 'run') : <span title={sampled ? 'Lines are last values, bands the extremes' : 'Every point is drawn'}>{sampled ? 'downsampled, ' : 'all '}{plural(points, 'point')}</span>;
  return (
    <section className="card" ref={ref} aria-label={`${metric} of ${runs.length} runs`}>
      <header><h3 className="clip" title={metric}>{metric}</h3><span className="third tiny">{answer.data && curves.length ? note : ''}</span></header>
      <div ref={frame} style={{ minHeight: 220 }}>
        {answer.error ? <Failure error={answer.error} what="The curves cannot be shown" retry={() => void answer.refetch()} />  : !seen ? null : !answer.data ? <Loading rows={6} /> : curves.length === 0 ? <p className="third body">None of these runs logged it.</p> : single ? <Singles name={`${metric}, one value of each run`} curves={curves} nameOf={nameOf} indexOf={indexOf} /> : !drawable ? <p className="third body">{plural(points, 'point')}, none of which can be drawn{style.log ? ' on a log axis' : ': NaN or infinite'}.</p> : (
          <Suspense fallback={<Loading rows={6} />}>
            <Curves name={`${metric} by ${style.axis}, ${curves.length} runs`} curves={curves} style={style} nameOf={nameOf} indexOf={indexOf} width={width} sync="experiment" range={range} onRange={onRange} />
          </Suspense>
        )}
      </div>
    </section>
  );
}

function CloudPane({ kind, ask, keys, state, set }: { kind: 'scatter' | 'parallel'; ask: { experiments: string[]; filter: string; order_by: string[]; view: string }; keys: { metrics: string[]; params: string[] } | undefined; state: ViewState; set: (next: Partial<ViewState>) => void }) {
  const navigate = useNavigate();
  const [frame, width] = useWidth(520);
  const options = [...(keys?.metrics ?? []).map((k) => quoteKey('metrics', k)), ...(keys?.params ?? []).map((k) => quoteKey('params', k)), 'attributes.start_time'];
  const metrics = options.filter((o) => o.startsWith('metrics.'));
  const params = options.filter((o) => o.startsWith('params.'));
  // Axes nobody chose are those that most of the first runs have, with more than one value.
  const free = kind === 'scatter' ? state.sx === undefined || state.sy === undefined : state.px === undefined;
  const candidates = [...params.slice(0, 24), ...likely(keys?.metrics ?? []).slice(0, 12).map((k) => quoteKey('metrics', k))];
  const sample = useCells({ experiments: ask.experiments, filter: ask.filter, order_by: ask.order_by, view: ask.view, columns: candidates, limit: 200 }, free && candidates.length > 0);
  const telling = (among: string[]) => {
    const shares = new Map(candidates.map((c, i) => {
      const values = (sample.data?.rows ?? []).map((r) => r[i] ?? null).filter((v) => v !== null && v !== 'NaN' && String(v).length <= 40);
      return [c, new Set(values).size > 1 ? values.length : 0] as const;
    }));
    return candidates.filter((c) => among.includes(c) && (!sample.data || (shares.get(c) ?? 0) > 0)).sort((a, b) => (shares.get(b) ?? 0) - (shares.get(a) ?? 0));
  };
  const [px, mx] = [telling(params), telling(metrics)];
  const dims = kind === 'scatter' ? [state.sx ?? px[0] ?? mx[1] ?? 'attributes.start_time', state.sy ?? mx[0] ?? 'attributes.start_time'] : state.px !== undefined ? list(state.px) : [...px.slice(0, 4), ...mx.slice(0, 1)];
  const cells = useCells({ experiments: ask.experiments, filter: ask.filter, order_by: ask.order_by, view: ask.view, columns: ['attributes.name', ...dims], limit: 2000 }, dims.length > 0 && (!free || !sample.isLoading));
  const rows: Row[] = (cells.data?.rows ?? []).map((r, i) => ({ id: cells.data?.ids[i] ?? '', name: String(r[0] ?? ''), cells: r.slice(1).map((v, k) => (dims[k]?.startsWith('metrics.') ? (v === 'NaN' || v === 'Infinity' || v === '-Infinity' ? null : v) : v)) }));
  const found = dims.map((d, i) => dimension(d, columnLabel(d), rows.map((r) => r.cells[i] ?? null)));
  const present = found.flatMap((d, i) => (d ? [{ d, i }] : []));
  const open = (id: string) => void navigate({ to: '/runs/$id', params: { id } } as never);
  const pick = (label: string, value: string, onChange: (v: string) => void) => (
    <label className="row small">{label} <select value={value} onChange={(e) => onChange(e.target.value)}>{!options.includes(value) && <option>{value}</option>}{options.map((o) => <option key={o} value={o}>{kindOf(o)} {columnLabel(o)}</option>)}</select></label>
  );
  return (
    <>
      <div className="toolbar wrap">
        {kind === 'scatter' ? <>{pick('across', dims[0] as string, (v) => set({ sx: v }))}{pick('up', dims[1] as string, (v) => set({ sy: v }))}</> : (
          <>
            {dims.map((d) => <span key={d} className="chip plain">{columnLabel(d)}<button type="button" className="pin on" aria-label={`Take ${columnLabel(d)} away`} onClick={() => set({ px: listed(dims.filter((x) => x !== d)) ?? '' })}>×</button></span>)}
            <label className="row small">add <select value="" onChange={(e) => e.target.value && set({ px: listed([...dims, e.target.value]) })}><option value="">axis</option>{options.filter((o) => !dims.includes(o)).map((o) => <option key={o} value={o}>{kindOf(o)} {columnLabel(o)}</option>)}</select></label>
          </>
        )}
        {cells.data && cells.data.total > rows.length && <span className="third tiny push">the first {count(rows.length)} of {count(cells.data.total)} runs, in the order of the table</span>}
      </div>
      <div style={{ padding: 16 }}><div ref={frame}>
        {cells.error ? <Failure error={cells.error} what="The runs cannot be shown" /> : !cells.data ? <Loading rows={8} /> : present.length < 2 ? <Empty title="Two axes with values are needed">Choose metrics or parameters that these runs have.</Empty> : kind === 'scatter' && found[0] && found[1] ? (
          <Scatter rows={rows} x={found[0]} y={found[1]} width={width} onOpen={open} />
        ) : (
          <Parallel rows={rows.map((r) => ({ ...r, cells: present.map((p) => r.cells[p.i] ?? null) }))} dims={present.map((p) => p.d)} width={width} onOpen={open} />
        )}
      </div></div>
    </>
  );
}
