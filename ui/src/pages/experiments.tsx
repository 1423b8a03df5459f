// Experiments: the folders of tracked work. What is tried in a project lands in the experiment of its name.
import { useState } from 'react';
import { Modal, TextInput } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useQueryClient } from '@tanstack/react-query';
import { post, request, seg } from '../api/client';
import { useRead } from '../api/queries';
import type { Experiment } from '../api/tracking';
import { count, plural } from '../format/number';
import { Command } from '../parts/command';
import { FilterBar } from '../parts/filterbar';
import { Icon } from '../parts/icons';
import { Page, Panel, Segments } from '../parts/page';
import { WallAgo } from '../parts/project';
import { Retention } from '../parts/retention';
import { Await, Empty, Failure } from '../parts/states';
import { Table, type Column } from '../parts/table';

/** How a stranger's script reaches this server. */
export const firstRun = (origin: string) => `export MLFLOW_TRACKING_URI=${origin}\npython -c "
import mlflow
mlflow.set_experiment('first')
with mlflow.start_run():
    mlflow.log_param('depth', 6)
    for step in range(100):
        mlflow.log_metric('loss', 1 / (step + 1), step=step)
"`;

export function ExperimentsPage() {
  const search = useSearch({ strict: false }) as { filter?: string; view?: string };
  const navigate = useNavigate();
  const client = useQueryClient();
  const view = search.view ?? 'active';
  const filter = search.filter ?? '';
  const path = `experiments?limit=1000&view=${view}&order_by=last_update_time+DESC${filter ? `&filter=${encodeURIComponent(filter)}` : ''}`;
  const list = useRead<{ items: Experiment[] | null; next_page_token?: string }>(path, { keep: true, every: 15_000 });
  const items = list.data?.items ?? [];
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const [making, setMaking] = useState(false);
  const [keeping, setKeeping] = useState(false);
  const [failed, setFailed] = useState<Error | null>(null);
  const set = (next: Record<string, string | undefined>) => void navigate({ search: (old: Record<string, unknown>) => ({ ...old, ...next }) } as never);
  const act = async (work: () => Promise<unknown>) => {
    setFailed(null);
    try {
      await work();
      setChosen(new Set());
      await client.invalidateQueries({ queryKey: ['get'] });
    } catch (cause) {
      setFailed(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  const columns: Column<Experiment>[] = [
    { key: 'pick', head: <span className="hidden">Select</span>, width: 32, cell: (e) => <input type="checkbox" aria-label={`Select ${e.name}`} checked={chosen.has(e.id)} onChange={() => setChosen((old) => { const next = new Set(old); if (!next.delete(e.id)) next.add(e.id); return next; })} /> },
    { key: 'name', head: 'Experiment', first: 'ascending', sort: (e) => e.name, cell: (e) => <Link data-row className="medium" to="/experiments/$ids" params={{ ids: e.id }}>{e.name}</Link> },
    { key: 'runs', head: 'Runs', right: true, sort: (e) => e.runs, cell: (e) => count(e.runs) },
    { key: 'last', head: 'Last run', sort: (e) => e.last_run_at, cell: (e) => <WallAgo at={e.last_run_at} /> },
    { key: 'tags', head: 'Tags', fold: true, cell: (e) => <span className="second clamp">{Object.entries(e.tags ?? {}).filter(([k]) => !k.startsWith('mlflow.')).map(([k, v]) => `${k}=${v}`).join('  ') || '–'}</span> },
    { key: 'made', head: 'Made', sort: (e) => e.created_at, cell: (e) => <WallAgo at={e.created_at} /> },
    { key: 'id', head: 'Id', right: true, cell: (e) => <span className="mono third">{e.id}</span> },
  ];
  const ids = [...chosen];
  return (
    <Page
      title="Experiments" crumbs={[{ label: 'Experiments' }]} facts={list.data && <span><b>{count(items.length)}</b> experiments, <b>{count(items.reduce((s, e) => s + e.runs, 0))}</b> runs</span>}
      actions={<><Command show={{ cli: 'trimtab runs ls', api: 'experiments' }} /><button type="button" className="btn quiet" onClick={() => setKeeping(true)}>Retention</button><button type="button" className="btn" onClick={() => setMaking(true)}><Icon name="plus" /> New experiment</button></>}
    >
      <Panel
        title="Experiments"
        tools={
          <>
            {ids.length > 1 && <button type="button" className="btn small" onClick={() => void navigate({ to: '/experiments/$ids', params: { ids: ids.join(',') } } as never)}>Compare {ids.length}</button>}
            {ids.length > 0 && view !== 'deleted' && <button type="button" className="btn small danger" onClick={() => void act(() => Promise.all(ids.map((id) => request('DELETE', `experiments/${seg(id)}`))))}>Delete {ids.length}</button>}
            {ids.length > 0 && view === 'deleted' && <button type="button" className="btn small" onClick={() => void act(() => Promise.all(ids.map((id) => post(`experiments/${seg(id)}/restore`))))}>Restore {ids.length}</button>}
            <Segments label="Which" value={view} options={[{ value: 'active', label: 'Active' }, { value: 'deleted', label: 'Deleted' }]} onChange={(v) => { setChosen(new Set()); set({ view: v === 'active' ? undefined : v }); }} />
          </>
        }
      >
        <div style={{ padding: '0 16px 12px' }}>
          <FilterBar noun="experiments" value={filter} onChange={(f) => set({ filter: f || undefined })} label="Filter experiments" placeholder="name ILIKE '%churn%' AND tags.team = 'pricing'" />
        </div>
        {failed && <Failure error={failed} what="It did not happen" />}
        <Await of={list} what="Experiments">
          {items.length === 0 ? (
            filter ? <Empty title="No experiment matches" /> : <Empty title={view === 'deleted' ? 'Nothing is deleted' : 'There is no experiment'} command={view === 'deleted' ? undefined : firstRun(location.origin)}>{view === 'deleted' ? 'A deleted experiment can be restored from here until it is removed for good.' : 'Any MLflow client logs here; set one variable.'}</Empty>
          ) : (
            <Table label="Experiments" rows={items} keyOf={(e) => e.id} columns={columns} selected={(e) => chosen.has(e.id)} />
          )}
        </Await>
      </Panel>
      {keeping && <Retention experiment={ids.length === 1 ? ids[0] : undefined} name={ids.length === 1 ? items.find((e) => e.id === ids[0])?.name : undefined} onClose={() => setKeeping(false)} />}
      <NewExperiment open={making} onClose={() => setMaking(false)} onMade={(e) => void navigate({ to: '/experiments/$ids', params: { ids: e.id } } as never)} />
      <p className="third tiny" style={{ marginTop: 8 }}>{plural(items.length, 'experiment')}. A deleted experiment keeps its runs and can be restored; its name is free again.</p>
    </Page>
  );
}

function NewExperiment({ open, onClose, onMade }: { open: boolean; onClose: () => void; onMade: (e: Experiment) => void }) {
  const [name, setName] = useState('');
  const [error, setError] = useState<Error | null>(null);
  const make = async () => {
    setError(null);
    try {
      onMade(await post<Experiment>('experiments', { name: name.trim() }));
      setName('');
      onClose();
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  return (
    <Modal opened={open} onClose={onClose} title="New experiment" size={420} closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={(e) => { e.preventDefault(); void make(); }}>
        <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus required />
        {error && <Failure error={error} what="It was not made" />}
        <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}>
          <button type="button" className="btn" onClick={onClose}>Leave</button>
          <button type="submit" className="btn primary" disabled={!name.trim()}>Make it</button>
        </div>
      </form>
    </Modal>
  );
}
