// One run: what it is, its curves, what the machine did meanwhile, its files and what it printed.
import { lazy, Suspense, useMemo, useState } from 'react';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useQueryClient } from '@tanstack/react-query';
import { post, request, seg } from '../api/client';
import { useRead } from '../api/queries';
import { num, useCurves, useFollow, type Experiment, type TrackedRun } from '../api/tracking';
import type { Axis, CurveStyle } from '../charts/curves';
import { useWidth } from '../charts/frame';
import { extent } from '../charts/scale';
import { Strip } from '../charts/strip';
import { compact, better, count, fixed, metricName, plural } from '../format/number';
import { ago, instant, moment, span } from '../format/time';
import { Artifacts, Log } from '../parts/artifacts';
import { Command, Snippet } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel, Segments, Tile } from '../parts/page';
import { useProject } from '../parts/project';
import { Empty, Failure, Loading } from '../parts/states';
import { Chip, VersionTag } from '../parts/status';
import { Table } from '../parts/table';
import { ChartCard } from './experiment';

const Curves = lazy(() => import('../charts/curves'));

const order = ['auc', 'log_loss', 'calibration_error', 'f1', 'rmse', 'mae', 'r2', 'accuracy', 'average_precision', 'brier'];
const rank = (k: string) => (k.startsWith('cv_') ? order.length + 1 : order.indexOf(k) < 0 ? order.length : order.indexOf(k)); // metrics of folds last
const system = (k: string) => k.startsWith('system/');
const hiddenTag = (k: string) => k.startsWith('mlflow.') || k.startsWith('trimtab.');
const folded = (k: string) => k.startsWith('cv_'); // a metric of each fold, the fold being the step
const losses = ['train_loss', 'valid_loss'];
const tabs = ['overview', 'metrics', 'system', 'artifacts', 'logs'] as const;
type Tab = (typeof tabs)[number];
const tabName: Record<Tab, string> = { overview: 'Overview', metrics: 'Metrics', system: 'System', artifacts: 'Artifacts', logs: 'Logs' };

export function RunPage() {
  const { id = '', tab = 'overview' } = useParams({ strict: false }) as { id?: string; tab?: Tab };
  const { zone, now } = useProject();
  const run = useRead<TrackedRun>(`runs/${seg(id)}`);
  const r = run.data;
  const live = r?.state === 'running';
  useFollow(`runs/${seg(id)}`, !!r && live);
  const experiment = useRead<Experiment>(`experiments/${seg(r?.experiment_id ?? '0')}`, { enabled: !!r?.experiment_id });
  const metrics = Object.keys(r?.metrics ?? {});
  const own = metrics.filter((k) => !system(k)).sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const machine = metrics.filter(system).sort();
  const n = r && 'n' in r.metrics ? num(r.metrics.n) : undefined;
  const started = instant(r?.started_at);
  const wall = !!r && !r.project;
  const at = wall ? Date.now() : now();
  return (
    <Page
      title={r?.name ?? 'Run'}
      crumbs={[{ label: 'Experiments', to: '/experiments' }, ...(experiment.data ? [{ label: experiment.data.name, to: `/experiments/${experiment.data.id}` }] : []), { label: r?.name ?? id.slice(-8) }]}
      mark={r && <Chip state={r.state} />}
      facts={
        r && (
          <>
            {r.cause && <span>{r.cause}</span>}
            {(r.user || r.actor) && <span>by <b>{r.user || r.actor}</b></span>}
            {started ? <span>started <b>{moment(started, zone, at)}</b>, {ago(started, at)}</span> : null}
            {r.state !== 'running' && <span>took <b>{r.seconds > 0 ? span(r.seconds * 1000) : r.finished_at && started ? span((instant(r.finished_at) ?? started) - started) : '–'}</b></span>}
            {r.version ? <span>made <VersionTag version={r.version} model={r.model} /></span> : null}
            {r.git_commit && <span className="mono">{r.git_commit.slice(0, 10)}</span>}
            {r.stage === 'deleted' && <span className="warn">deleted</span>}
          </>
        )
      }
      actions={r && <><RunActions run={r} /><Command show={{ cli: `trimtab runs show ${id}`, api: `runs/${id}` }} /></>}
      tabs={tabs.map((t) => ({ label: tabName[t], to: `/runs/${id}/${t}`, current: t === tab, n: t === 'metrics' ? own.length : t === 'system' ? machine.length : undefined }))}
    >
      {run.error ? (
        <section className="panel"><Failure error={run.error} what="The run cannot be shown" retry={() => void run.refetch()} /></section>
      ) : !r ? (
        <section className="panel"><Loading rows={8} /></section>
      ) : tab === 'metrics' ? (
        <Charts run={r} keys={own} empty="This run logged no metric" />
      ) : tab === 'system' ? (
        <Charts run={r} keys={machine} empty="No measurements of the machine" />
      ) : tab === 'artifacts' ? (
        <Artifacts run={r} />
      ) : tab === 'logs' ? (
        <Log run={r} live={live} />
      ) : (
        <Overview run={r} own={own} n={n} />
      )}
    </Page>
  );
}

function Overview({ run: r, own, n }: { run: TrackedRun; own: string[]; n?: number }) {
  const figures = own.filter((k) => k !== 'n' && !folded(k) && !losses.includes(k));
  const tags = Object.entries(r.tags ?? {});
  const parent = r.tags?.['mlflow.parentRunId'];
  const note = r.tags?.['mlflow.note.content'];
  const source = [['Source', r.tags?.['mlflow.source.name']], ['Kind', r.tags?.['mlflow.source.type']], ['Commit', r.git_commit ?? r.tags?.['mlflow.source.git.commit']], ['Branch', r.tags?.['mlflow.source.git.branch']], ['Repository', r.tags?.['mlflow.source.git.repoURL']], ['Command', r.tags?.['trimtab.command']], ['Python', r.tags?.['trimtab.python']], ['Machine', r.tags?.['trimtab.machine']], ['Id', r.id], ['Files', r.artifact_uri]].filter((row): row is [string, string] => !!row[1]);
  return (
    <div className="grid">
      <div className="s8 col">
        {r.error && <Panel label="Error"><div className="verdict"><Icon name="failed" className="bad" /><div><h2>The run {r.state === 'killed' ? 'was stopped' : 'failed'}</h2><p>{r.error}</p></div></div></Panel>}
        {note && <Panel title="Note"><p className="body" style={{ whiteSpace: 'pre-wrap' }}>{note}</p></Panel>}
        <Panel title="Metrics" sub={figures.length ? `the latest values${n ? `, n ${count(n)}` : ''}` : undefined}>
          {figures.length === 0 ? <Empty title={r.state === 'running' ? 'No metric yet' : 'This run logged no metric'}>Values appear here as they are logged.</Empty> : (
            <>
              <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>{figures.slice(0, 6).map((k) => <Tile key={k} label={metricName(k)} value={number(r, k)} />)}</div>
              {figures.length > 6 && <Table label="All metrics" density="dense" rows={figures} keyOf={(k) => k} columns={[{ key: 'k', head: 'Metric', cell: (k) => <span className="mono">{k}</span>, sort: (k) => k, first: 'ascending' }, { key: 'd', head: 'Better', cell: (k) => <span className="third">{better(k) < 0 ? 'lower' : better(k) > 0 ? 'higher' : '–'}</span> }, { key: 'v', head: 'Latest', right: true, cell: (k) => number(r, k), sort: (k) => num(r.metrics[k]) }]} />}
            </>
          )}
        </Panel>
        <Folds run={r} keys={own.filter(folded)} />
        {losses.some((k) => own.includes(k)) && <Panel title="Loss" sub="of each round" tools={r.project && r.version ? <Link className="link" to="/runs/$id/$tab" params={{ id: r.id, tab: 'artifacts' }} search={{ file: 'importance.json' } as never}>Importance</Link> : undefined}><div className="body"><LossCard run={r} keys={losses.filter((k) => own.includes(k))} style={plain} onRange={() => undefined} /></div></Panel>}
        <Panel title="Parameters" sub={plural(Object.keys(r.params ?? {}).length, 'parameter')}>
          {Object.keys(r.params ?? {}).length === 0 ? <p className="body third">None was logged.</p> : <Table label="Parameters" density="dense" rows={Object.entries(r.params).sort()} keyOf={([k]) => k} columns={[{ key: 'k', head: 'Name', cell: ([k]) => <span className="mono">{k}</span>, sort: ([k]) => k, first: 'ascending' }, { key: 'v', head: 'Value', cell: ([, v]) => <span className="mono wrapped long">{v}</span> }]} />}
        </Panel>
      </div>
      <div className="s4 col">
        <Panel title="Where it comes from">
          <Table label="Where it comes from" density="dense" rows={[...source, ...(parent ? [['Parent', parent] as [string, string]] : [])]} keyOf={([k]) => k} columns={[{ key: 'k', head: 'What', cell: ([k]) => k }, { key: 'v', head: 'Which', cell: ([k, v]) => (k === 'Parent' ? <Link className="link mono" to="/runs/$id" params={{ id: v }}>{v.slice(0, 12)}</Link> : <span className="mono wrapped">{v}</span>) }]} />
        </Panel>
        <Panel title="Data" sub="what it read">
          {(r.inputs ?? []).length + (r.datasets ?? []).length === 0 ? <p className="body third">No input was recorded.</p> : (
            <>
              {(r.inputs ?? []).length > 0 && <Table label="Inputs" density="dense" rows={r.inputs ?? []} keyOf={(i) => i.id} columns={[{ key: 'd', head: 'Dataset', cell: (i) => <Link className="link" to="/data/$dataset/$tab" params={{ dataset: i.dataset, tab: 'profile' }} search={{ version: i.number } as never}>{i.dataset} {i.number}</Link> }, { key: 'r', head: 'Rows', right: true, cell: (i) => count(i.rows) }, { key: 'id', head: 'Id', cell: (i) => <span className="mono third">{i.id.slice(0, 8)}</span> }]} />}
              {(r.datasets ?? []).length > 0 && <Table label="Datasets as the client described them" density="dense" rows={r.datasets ?? []} keyOf={(d) => d.dataset.name + d.dataset.digest} columns={[{ key: 'd', head: 'Dataset', cell: (d) => <span className="wrapped">{d.dataset.name}</span> }, { key: 'c', head: 'For', cell: (d) => d.tags?.find((t) => t.key === 'mlflow.data.context')?.value ?? '–' }, { key: 'g', head: 'Digest', cell: (d) => <span className="mono third">{d.dataset.digest}</span> }]} />}
            </>
          )}
        </Panel>
        {(r.model_outputs ?? []).length > 0 && (
          <Panel title="Models" sub="what it wrote">
            <Table label="Models" density="dense" rows={r.model_outputs ?? []} keyOf={(m) => m.model_id} columns={[{ key: 'm', head: 'Logged model', cell: (m) => <span className="mono">{m.model_id}</span> }, { key: 's', head: 'Step', right: true, cell: (m) => count(m.step ?? 0) }]} />
            <div className="body"><Snippet text={`import mlflow\n\nmodel = mlflow.pyfunc.load_model(\n    "models:/${r.model_outputs?.[0]?.model_id}"\n)`} /></div>
          </Panel>
        )}
        <Panel title="Tags" sub={plural(tags.filter(([k]) => !hiddenTag(k)).length, 'tag')}><Tags run={r} /></Panel>
      </div>
    </div>
  );
}

const plain: CurveStyle = { axis: 'step', log: false, smooth: 0 };

/** The losses of training and of rows held out of it on one chart, so that it is seen where they part. */
function LossCard({ run: r, keys, style, range, onRange }: { run: TrackedRun; keys: string[]; style: CurveStyle; range?: [number, number]; onRange: (r: [number, number] | undefined) => void }) {
  const [frame, width] = useWidth(360);
  const answer = useCurves({ runs: [r.id], keys, axis: style.axis, from: range?.[0], to: range?.[1], buckets: 320 });
  const curves = (answer.data?.series ?? []).map((c) => ({ ...c, run: c.key }));
  return (
    <section className="card" aria-label={keys.join(' and ')}>
      <header>
        <h3 className="clip">{keys.length > 1 ? 'loss' : keys[0]}</h3>
        {keys.map((k, i) => <span key={k} className="legend"><svg width="16" height="10" aria-hidden="true"><path d="M0 5h16" stroke={`var(--c${i + 1})`} strokeWidth="2" /></svg>{k}</span>)}
      </header>
      <div ref={frame} style={{ minHeight: 220 }}>
        {answer.error ? <Failure error={answer.error} what="The curves cannot be shown" retry={() => void answer.refetch()} /> : !answer.data ? <Loading rows={6} /> : (
          <Suspense fallback={<Loading rows={6} />}>
            <Curves name={`${keys.join(' and ')} by ${style.axis}`} curves={curves} style={style} nameOf={(k) => k} indexOf={(k) => keys.indexOf(k)} width={width} sync="experiment" range={range} onRange={onRange} />
          </Suspense>
        )}
      </div>
    </section>
  );
}

/** The metrics of a cross-validation: a dot per fold. */
function Folds({ run: r, keys }: { run: TrackedRun; keys: string[] }) {
  const answer = useCurves({ runs: [r.id], keys, axis: 'step', buckets: 320 });
  const rows = (answer.data?.series ?? []).map((c) => ({ key: c.key, values: c.y.map((v) => num(v)).filter((v) => Number.isFinite(v)) })).filter((c) => c.values.length > 0 && c.key !== 'cv_n').sort((a, b) => rank(a.key.slice(3)) - rank(b.key.slice(3)) || a.key.localeCompare(b.key));
  if (rows.length === 0) return null;
  const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
  const sd = (v: number[]) => (v.length < 2 ? 0 : Math.sqrt(v.reduce((a, b) => a + (b - mean(v)) ** 2, 0) / (v.length - 1)));
  return (
    <Panel title="Folds" sub={`a dot per fold, ${plural(rows[0]?.values.length ?? 0, 'fold')}`} tools={<Link className="link" to="/runs/$id/$tab" params={{ id: r.id, tab: 'artifacts' }} search={{ file: 'folds.json' } as never}>Fold of every row</Link>} foot={<span>bar: mean and one standard deviation</span>}>
      <Table
        label="Folds" density="dense" rows={rows} keyOf={(c) => c.key} page={8}
        columns={[
          { key: 'm', head: 'Metric', cell: (c) => metricName(c.key.slice(3)) },
          { key: 'd', head: 'Folds', cell: (c) => <Strip label={`${metricName(c.key.slice(3))}: ${c.values.map((v) => fixed(v, 3)).join(', ')}`} values={c.values} mean={mean(c.values)} sd={sd(c.values)} /> },
          { key: 'a', head: 'Mean', right: true, cell: (c) => <span className="strong">{fixed(mean(c.values), 3)}</span> },
          { key: 's', head: 'Spread', right: true, cell: (c) => `± ${fixed(sd(c.values), 3)}` },
          { key: 'r', head: 'Least to greatest', cell: (c) => { const e = extent(c.values); return <span className="interval">{e ? `${fixed(e[0], 3)} to ${fixed(e[1], 3)}` : '–'}</span>; } },
        ]}
      />
    </Panel>
  );
}

const number = (r: TrackedRun, k: string) => { const v = r.metrics[k]; return typeof v === 'string' ? v : Math.abs(num(v)) >= 1000 || (num(v) !== 0 && Math.abs(num(v)) < 0.001) || k === 'n' ? compact(num(v), 6) : fixed(num(v), 4); };

function Tags({ run: r }: { run: TrackedRun }) {
  const client = useQueryClient();
  const [all, setAll] = useState(false);
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  const [error, setError] = useState<Error | null>(null);
  const shown = Object.entries(r.tags ?? {}).filter(([k]) => all || !hiddenTag(k)).sort();
  const change = async (tags: Record<string, string | null>) => {
    setError(null);
    try {
      await request('PATCH', `runs/${seg(r.id)}`, { tags });
      setKey('');
      setValue('');
      await client.invalidateQueries({ queryKey: ['get'] });
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  return (
    <>
      {shown.length > 0 && <Table label="Tags" density="dense" rows={shown} keyOf={([k]) => k} columns={[{ key: 'k', head: 'Tag', cell: ([k]) => <span className="mono">{k}</span> }, { key: 'v', head: 'Value', cell: ([, v]) => <span className="wrapped">{v.length > 300 ? `${v.slice(0, 300)}…` : v}</span> }, { key: 'x', head: <span className="hidden">Take away</span>, cell: ([k]) => (hiddenTag(k) ? null : <button type="button" className="btn quiet small square" aria-label={`Take tag ${k} away`} onClick={() => void change({ [k]: null })}><Icon name="close" /></button>) }]} />}
      <form className="toolbar" onSubmit={(e) => { e.preventDefault(); void change({ [key.trim()]: value }); }}>
        <input className="entry" aria-label="New tag" placeholder="tag" value={key} onChange={(e) => setKey(e.target.value)} style={{ width: 96 }} />
        <input className="entry" aria-label="Value of the new tag" placeholder="value" value={value} onChange={(e) => setValue(e.target.value)} style={{ flex: 1, minWidth: 64 }} />
        <button type="submit" className="btn small" disabled={!key.trim()}>Set</button>
        <button type="button" className="btn small quiet" aria-pressed={all} onClick={() => setAll(!all)}>{all ? 'Own tags' : 'All tags'}</button>
      </form>
      {error && <Failure error={error} what="The tag was not changed" />}
    </>
  );
}

function RunActions({ run: r }: { run: TrackedRun }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState('');
  const act = async (path: string) => {
    setError('');
    try {
      await post(path, { ids: [r.id] });
      await client.invalidateQueries({ queryKey: ['get'] });
      if (path === 'runs/delete') void navigate({ to: `/experiments/${r.experiment_id}` } as never);
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    }
  };
  return (
    <>
      {error && <span className="bad small" role="alert">{error}</span>}
      {r.stage === 'deleted' ? <button type="button" className="btn" onClick={() => void act('runs/restore')}>Restore</button> : <button type="button" className="btn quiet" onClick={() => void act('runs/delete')}>Delete</button>}
    </>
  );
}

function Charts({ run: r, keys, empty }: { run: TrackedRun; keys: string[]; empty: string }) {
  const state = useSearch({ strict: false }) as { axis?: Axis; log?: boolean; smooth?: number; match?: string };
  const navigate = useNavigate();
  const set = (next: object) => void navigate({ search: (old: Record<string, unknown>) => ({ ...old, ...next }), replace: true } as never);
  const [range, setRange] = useState<[number, number] | undefined>();
  const style: CurveStyle = { axis: state.axis ?? 'step', log: !!state.log, smooth: state.smooth ?? 0 };
  const needle = (state.match ?? '').toLowerCase();
  const shown = useMemo(() => keys.filter((k) => k.toLowerCase().includes(needle)), [keys, needle]);
  const pair = losses.filter((k) => shown.includes(k));
  return (
    <Panel
      label="Charts"
      foot={<span>A curve with more points than fit is drawn as its last values with a band of its extremes; drag over a chart to look closer, double-click for the whole range.</span>}
    >
      <div className="toolbar">
        <span className="search"><Icon name="search" /><input type="search" value={state.match ?? ''} onChange={(e) => set({ match: e.target.value || undefined })} placeholder={`Among ${count(keys.length)}`} aria-label="Find a chart" /></span>
        <Segments label="Axis" value={style.axis} options={[{ value: 'step', label: 'Step' }, { value: 'time', label: 'Time' }, { value: 'relative', label: 'Relative' }]} onChange={(axis) => { setRange(undefined); set({ axis: axis === 'step' ? undefined : axis }); }} />
        <label className="row small"><input type="checkbox" checked={style.log} onChange={(e) => set({ log: e.target.checked || undefined })} /> log</label>
        <label className="row small">smooth <input type="range" min={0} max={0.99} step={0.01} value={style.smooth} onChange={(e) => set({ smooth: Number(e.target.value) || undefined })} aria-label="Smoothing" /></label>
        {range && <button type="button" className="btn small" onClick={() => setRange(undefined)}>Whole range</button>}
        <span className="push row small">every point: {(['csv', 'arrow', 'parquet'] as const).map((f) => <a key={f} className="link" href={`/api/v1/runs/${seg(r.id)}/metrics/export?format=${f}`}>{f}</a>)}</span>
      </div>
      {shown.length === 0 ? <Empty title={keys.length ? 'No chart matches' : empty}>{keys.length ? undefined : 'Log a metric with a step and it is drawn here while the run goes on.'}</Empty> : (
        <div className="charts">{pair.length > 1 && <LossCard run={r} keys={pair} style={style} range={range} onRange={setRange} />}{shown.filter((k) => pair.length < 2 || !pair.includes(k)).map((k) => <ChartCard key={k} metric={k} runs={[r.id]} style={style} range={range} onRange={setRange} nameOf={() => r.name} indexOf={() => 0} />)}</div>
      )}
    </Panel>
  );
}
