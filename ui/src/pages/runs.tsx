// Runs: what was tried, with which parameters, on which data, and how it went; curves grow while it trains.
import { lazy, Suspense, useMemo, useState } from 'react';
import { Menu } from '@mantine/core';
import { Link, useParams } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useList, useRead } from '../api/queries';
import type { Point, Run } from '../api/types';
import { Forest } from '../charts/forest';
import { Figure, Legend } from '../charts/frame';
import { extent } from '../charts/scale';
import { compact, count, direction, fixed, metricName, plural } from '../format/number';
import { ago, instant, moment, span } from '../format/time';
import { Command } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel, Tile } from '../parts/page';
import { useProject, When } from '../parts/project';
import { Await, Empty, Failure, Loading } from '../parts/states';
import { Chip, Status, VersionTag } from '../parts/status';
import { Table, type Column } from '../parts/table';

const StepLines = lazy(() => import('../charts/lines'));

const usual = ['auc', 'log_loss', 'calibration_error', 'rmse', 'mae', 'r2', 'accuracy'];
const columnsKey = 'trimtab.runs.metrics';

function remember(): string[] | undefined {
  try {
    const text = localStorage.getItem(columnsKey);
    return text ? (JSON.parse(text) as string[]) : undefined;
  } catch {
    return undefined;
  }
}

export function RunsPage() {
  const { name } = useProject();
  const runs = useList<Run>(`projects/${seg(name)}/runs?limit=500`, { enabled: !!name });
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState<string[] | undefined>(remember);
  const known = useMemo(() => [...new Set(runs.items.flatMap((r) => Object.keys(r.metrics ?? {})))].sort(), [runs.items]);
  const metrics = (chosen ?? usual.filter((k) => known.includes(k)).slice(0, 3)).filter((k) => known.includes(k));
  const params = useMemo(() => varying(runs.items), [runs.items]);
  const needle = text.trim().toLowerCase();
  const shown = runs.items.filter((r) => !needle || `${r.name} ${r.state} ${r.cause ?? ''} ${r.actor ?? ''} v${r.version ?? ''}`.toLowerCase().includes(needle));
  const main = metrics[0];
  const span2 = main ? extent(runs.items.map((r) => r.metrics?.[main])) : undefined;
  const running = runs.items.filter((r) => r.state === 'running').length;
  const toggle = (key: string) => {
    const next = metrics.includes(key) ? metrics.filter((k) => k !== key) : [...metrics, key];
    setChosen(next);
    try {
      localStorage.setItem(columnsKey, JSON.stringify(next));
    } catch {
      // storage is off: the choice lasts as long as the page
    }
  };
  const columns: Column<Run>[] = [
    { key: 'name', head: 'Run', cell: (r) => <Link data-row className="medium" to="/runs/$id" params={{ id: r.id }}>{r.name}</Link>, sort: (r) => r.name, first: 'ascending' },
    { key: 'state', head: 'State', cell: (r) => <Status state={r.state} />, sort: (r) => r.state },
    ...metrics.map((k, i): Column<Run> => ({ key: `m.${k}`, head: metricName(k), right: true, cell: (r) => <span className={i === 0 ? 'strong' : ''}>{fixed(r.metrics?.[k], k === 'n' ? 0 : 4)}</span>, sort: (r) => r.metrics?.[k], first: direction(k) < 0 ? 'ascending' : 'descending' })),
    ...(main && span2 && span2[1] > span2[0] ? [{ key: 'dot', head: '', cell: (r: Run) => (r.metrics?.[main] !== undefined ? <Forest label={`${metricName(main)} ${fixed(r.metrics[main], 4)}, of ${fixed(span2[0], 3)} to ${fixed(span2[1], 3)}`} value={r.metrics[main]} domain={span2} zero={false} width={96} tone="subject" /> : null) }] : []),
    { key: 'n', head: 'Test n', right: true, cell: (r) => count(r.metrics?.n), sort: (r) => r.metrics?.n },
    { key: 'rows', head: 'Training rows', right: true, cell: (r) => count(r.inputs?.[0]?.rows), sort: (r) => r.inputs?.[0]?.rows },
    ...params.map((k): Column<Run> => ({ key: `p.${k}`, head: k, right: true, cell: (r) => r.params?.[k] ?? '–', sort: (r) => (Number.isFinite(Number(r.params?.[k])) ? Number(r.params[k]) : r.params?.[k]) })),
    { key: 'took', head: 'Took', right: true, cell: (r) => (r.state === 'running' ? '–' : span(r.seconds * 1000)), sort: (r) => r.seconds },
    { key: 'version', head: 'Version', cell: (r) => (r.version ? <VersionTag version={r.version} model={r.model} /> : <span className="third">none</span>), sort: (r) => r.version },
    { key: 'cause', head: 'Cause', fold: true, cell: (r) => <span className="second clamp" title={r.cause}>{r.cause || '–'}</span> },
    { key: 'started', head: 'Started', cell: (r) => <When at={r.started_at} />, sort: (r) => r.started_at },
  ];
  return (
    <Page title="Runs" crumbs={[{ label: 'Runs' }]} facts={runs.data && <span><b>{count(runs.items.length)}</b> runs, <b>{running}</b> running</span>} actions={<Command show={{ cli: 'trimtab runs ls', api: `projects/${name}/runs` }} />}>
      <Panel
        title="Runs" sub={needle ? `${shown.length} of ${runs.items.length}` : undefined} foot={<span>Metrics are of each run’s own held-out rows; two runs with other rows compare only roughly. The gate compares on the same rows.</span>}
        tools={
          <>
            <span className="search"><Icon name="search" /><input type="search" value={text} onChange={(e) => setText(e.target.value)} placeholder="Filter" aria-label="Filter runs" /></span>
            <Menu closeOnItemClick={false} position="bottom-end" width={220}>
              <Menu.Target><button type="button" className="btn small"><Icon name="table" /> Columns</button></Menu.Target>
              <Menu.Dropdown style={{ maxHeight: 360, overflow: 'auto' }}>
                {known.map((k) => <Menu.Item key={k} role="menuitemcheckbox" aria-checked={metrics.includes(k)} rightSection={metrics.includes(k) ? <Icon name="check" /> : undefined} onClick={() => toggle(k)}>{metricName(k)}</Menu.Item>)}
              </Menu.Dropdown>
            </Menu>
          </>
        }
      >
        <Await of={runs} what="Runs">
          {runs.items.length === 0 ? <Empty title="Nothing was tried yet" command="trimtab apply">Each training is a run, with its parameters, its data and its curves.</Empty> : shown.length === 0 ? <Empty title="No run matches" /> : <Table label="Runs" rows={shown} keyOf={(r) => r.id} columns={columns} sorted={{ key: 'started', order: 'descending' }} />}
        </Await>
      </Panel>
    </Page>
  );
}

/** Parameters whose value is not the same in all runs, at most four. */
export function varying(runs: Pick<Run, 'params'>[]): string[] {
  const seen = new Map<string, Set<string>>();
  for (const r of runs) for (const [k, v] of Object.entries(r.params ?? {})) seen.set(k, (seen.get(k) ?? new Set()).add(v));
  return [...seen].filter(([, values]) => values.size > 1).map(([k]) => k).sort().slice(0, 4);
}

/** Metric keys drawn together: those that differ only in train, valid or test. */
export function groupKeys(keys: string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const key of [...keys].sort()) {
    const base = key.replace(/^(train|valid|validation|test)[_./]/, '').replace(/[_./](train|valid|validation|test)$/, '');
    groups.set(base, [...(groups.get(base) ?? []), key]);
  }
  return groups;
}

const subjectOf = (keys: string[]) => keys.find((k) => /valid|test/.test(k)) ?? keys[0];

export function RunPage() {
  const { id = '' } = useParams({ strict: false });
  const { zone, now } = useProject();
  const run = useRead<Run>(`runs/${seg(id)}`);
  const live = run.data?.state === 'running';
  const points = useList<Point>(`runs/${seg(id)}/metrics`, { every: live ? 1_500 : undefined });
  const r = run.data;
  const byKey = useMemo(() => {
    const out = new Map<string, Point[]>();
    for (const p of points.items) out.set(p.key, [...(out.get(p.key) ?? []), p]);
    return out;
  }, [points.items]);
  const groups = useMemo(() => groupKeys([...byKey].filter(([, ps]) => ps.length > 1).map(([k]) => k)), [byKey]);
  const metrics = Object.entries(r?.metrics ?? {}).filter(([k]) => k !== 'n').sort(([a], [b]) => rank(a) - rank(b));
  return (
    <Page
      title={r?.name ?? 'Run'} crumbs={[{ label: 'Runs', to: '/runs' }, { label: r?.name ?? id.slice(-8) }]} mark={r && <Chip state={r.state} />}
      facts={
        r && (
          <>
            {r.cause && <span>{r.cause}</span>}
            {r.actor && <span>by <b>{r.actor}</b></span>}
            <span>started <b>{moment(instant(r.started_at) ?? 0, zone, now())}</b>, {ago(instant(r.started_at) ?? now(), now())}</span>
            {r.state !== 'running' && <span>took <b>{span(r.seconds * 1000)}</b></span>}
            {r.version ? <span>made <VersionTag version={r.version} model={r.model} /></span> : null}
            {r.git_commit && <span className="mono">{r.git_commit.slice(0, 10)}</span>}
          </>
        )
      }
      actions={<Command show={{ cli: `trimtab runs show ${id}`, api: `runs/${id}` }} />}
    >
      {run.error ? (
        <section className="panel"><Failure error={run.error} what="The run cannot be shown" retry={() => void run.refetch()} /></section>
      ) : !r ? (
        <section className="panel"><Loading rows={8} /></section>
      ) : (
        <div className="grid">
          <div className="s8 col">
            {r.error && <Panel label="Error"><div className="verdict"><Icon name="failed" className="bad" /><div><h2>The run {r.state === 'killed' ? 'was stopped' : 'failed'}</h2><p>{r.error}</p></div></div></Panel>}
            {metrics.length > 0 && (
              <Panel title="Metrics" sub={`on held-out rows${r.metrics.n ? `, n ${count(r.metrics.n)}` : ''}`}>
                <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>
                  {metrics.slice(0, 6).map(([k, v]) => <Tile key={k} label={metricName(k)} value={fixed(v, 4)} />)}
                </div>
              </Panel>
            )}
            <Await of={points} what="The curves" rows={7}>
              {groups.size === 0 ? (
                <Panel title="Curves"><Empty title={live ? 'No point yet' : 'This run logged no curve'}>{live ? 'Points appear here as it trains.' : 'A metric with two or more points is drawn here.'}</Empty></Panel>
              ) : (
                [...groups].slice(0, 12).map(([base, keys]) => {
                  const subject = subjectOf(keys);
                  const lines = keys.map((k) => ({ label: k, role: k === subject ? ('subject' as const) : ('compare' as const), points: byKey.get(k) ?? [] }));
                  const last = byKey.get(subject ?? '')?.at(-1);
                  const total = lines.reduce((s, l) => s + l.points.length, 0);
                  return (
                    <Figure
                      key={base} title={metricName(base)} name={`${metricName(base)} by step`} sub={`by step, ${direction(base) < 0 ? 'lower' : 'higher'} is better; all ${count(total)} points, not sampled${live && last ? `; live, step ${count(last.step)}` : ''}`}
                      legend={<>{lines.map((l) => <Legend key={l.label} role={l.role} shape={l.role === 'subject' ? 'line' : 'dashed'} label={l.label} />)}</>}
                      twin={{ head: ['Step', ...keys], rows: twinRows(keys, byKey) }}
                    >
                      {(width) => (
                        <Suspense fallback={<Loading rows={6} />}>
                          <StepLines name={`${metricName(base)} by step${last ? `, now ${compact(last.value, 5)} at step ${last.step}` : ''}`} width={width} lines={lines} />
                        </Suspense>
                      )}
                    </Figure>
                  );
                })
              )}
            </Await>
          </div>
          <div className="s4 col">
            <Panel title="Data" sub="what it read">
              {(r.inputs ?? []).length === 0 ? <p className="body third">No input was recorded.</p> : (
                <Table label="Inputs" density="dense" rows={r.inputs} keyOf={(i) => i.id} columns={[{ key: 'd', head: 'Dataset', cell: (i) => <Link className="link" to="/data/$dataset/$tab" params={{ dataset: i.dataset, tab: 'profile' }} search={{ version: i.number } as never}>{i.dataset} {i.number}</Link> }, { key: 'r', head: 'Rows', right: true, cell: (i) => count(i.rows) }, { key: 'id', head: 'Id', cell: (i) => <span className="mono third">{i.id.slice(0, 8)}</span> }]} />
              )}
            </Panel>
            <Panel title="Parameters" sub={plural(Object.keys(r.params ?? {}).length, 'parameter')}>
              <Table label="Parameters" density="dense" rows={Object.entries(r.params ?? {}).sort()} keyOf={([k]) => k} columns={[{ key: 'k', head: 'Name', cell: ([k]) => <span className="mono">{k}</span> }, { key: 'v', head: 'Value', right: true, cell: ([, v]) => <span className="mono">{v}</span> }]} />
            </Panel>
            {metrics.length > 6 && (
              <Panel title="All metrics" sub={r.metrics.n ? `n ${count(r.metrics.n)}` : undefined}>
                <Table label="All metrics" density="dense" rows={metrics} keyOf={([k]) => k} columns={[{ key: 'k', head: 'Metric', cell: ([k]) => metricName(k) }, { key: 'v', head: 'Value', right: true, cell: ([, v]) => fixed(v, 4) }]} />
              </Panel>
            )}
          </div>
        </div>
      )}
    </Page>
  );
}

const order = ['auc', 'log_loss', 'calibration_error', 'f1', 'rmse', 'mae', 'r2', 'accuracy', 'average_precision', 'brier'];
const rank = (k: string) => (order.indexOf(k) < 0 ? order.length : order.indexOf(k));

function twinRows(keys: string[], byKey: Map<string, Point[]>) {
  const steps = [...new Set(keys.flatMap((k) => (byKey.get(k) ?? []).map((p) => p.step)))].sort((a, b) => a - b);
  const maps = keys.map((k) => new Map((byKey.get(k) ?? []).map((p) => [p.step, p.value])));
  return steps.map((s) => [s, ...maps.map((m) => { const v = m.get(s); return v === undefined ? null : compact(v, 6); })]);
}
