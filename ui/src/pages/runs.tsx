// The runs of a project: what was tried, with which parameters, on which data, and how it went.
import { useMemo, useState } from 'react';
import { Menu } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useList } from '../api/queries';
import type { Run } from '../api/types';
import { Forest } from '../charts/forest';
import { extent } from '../charts/scale';
import { count, direction, fixed, metricName } from '../format/number';
import { span } from '../format/time';
import { Command } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel } from '../parts/page';
import { useProject, When } from '../parts/project';
import { Await, Empty } from '../parts/states';
import { Status, VersionTag } from '../parts/status';
import { Table, type Column } from '../parts/table';

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
                {known.map((k) => <Menu.CheckboxItem key={k} checked={metrics.includes(k)} onChange={() => toggle(k)}>{metricName(k)}</Menu.CheckboxItem>)}
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
