// The registry: names for lines of versions, with tags, aliases, stages and words about them; and versions that came by MLflow.
import { useState, type ReactNode } from 'react';
import { Modal, Textarea } from '@mantine/core';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useQueryClient } from '@tanstack/react-query';
import { post, request, seg } from '../api/client';
import { useList, useRead } from '../api/queries';
import type { Model, ModelVersion, VersionDetail } from '../api/types';
import { Forest } from '../charts/forest';
import { extent } from '../charts/scale';
import { bytes, compact, count, direction, fixed, metricName, plural } from '../format/number';
import { instant, moment } from '../format/time';
import { Command, Snippet } from '../parts/command';
import { Confirm } from '../parts/confirm';
import { FilterBar } from '../parts/filterbar';
import { Icon } from '../parts/icons';
import { Page, Panel } from '../parts/page';
import { useProject, WallAgo, When } from '../parts/project';
import { Await, Empty, Failure, Loading } from '../parts/states';
import { Chip, Status, VersionTag } from '../parts/status';
import { Table, type Column } from '../parts/table';
import { CertificatePanel } from './certificate';
import { GateWord, headline, Moves, useStanding } from './models';

const own = (tags: Record<string, string> | undefined) => Object.entries(tags ?? {}).filter(([k]) => !k.startsWith('mlflow.')).sort();

function TagList({ tags }: { tags: Record<string, string> | undefined }) {
  const shown = own(tags);
  return shown.length === 0 ? <span className="third">–</span> : <span className="second clamp">{shown.map(([k, v]) => (v ? `${k}=${v}` : k)).join('  ')}</span>;
}

/** Does something, then reads the page again; the error stays to be shown. */
function useWork() {
  const client = useQueryClient();
  const [error, setError] = useState<Error | null>(null);
  const run = async (work: () => Promise<unknown>): Promise<boolean> => {
    setError(null);
    try {
      await work();
      await client.invalidateQueries({ queryKey: ['get'] });
      return true;
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)));
      return false;
    }
  };
  return { error, run };
}

export function ModelsPage() {
  const { filter = '' } = useSearch({ strict: false }) as { filter?: string };
  const navigate = useNavigate();
  const { name: project } = useProject();
  const models = useList<Model>(`models${filter ? `?filter=${encodeURIComponent(filter)}` : ''}`, { keep: true });
  const items = [...models.items].sort((a, b) => Number(b.project === project) - Number(a.project === project) || a.name.localeCompare(b.name));
  return (
    <Page title="Models" crumbs={[{ label: 'Models' }]} facts={models.data && <span><b>{count(items.length)}</b> registered</span>} actions={<Command show={{ cli: 'trimtab models ls', api: 'models' }} />}>
      <Panel label="Models">
        <div className="toolbar"><FilterBar noun="registered_models" value={filter} onChange={(f) => void navigate({ search: (old: Record<string, unknown>) => ({ ...old, filter: f || undefined }) } as never)} label="Filter models" placeholder="name ILIKE '%churn%' AND tags.team = 'pricing'" /></div>
        <Await of={models} what="Models">
          {items.length === 0 ? (
            filter ? <Empty title="No model matches" /> : <Empty title="No model yet" command={`# a project's model: trained, gated and registered\ntrimtab apply\n\n# or any model of an MLflow client\nexport MLFLOW_TRACKING_URI=${location.origin}\npython -c "import mlflow; mlflow.register_model('runs:/RUN/model', 'churn')"`}>A model appears when its first version is trained or registered.</Empty>
          ) : (
            <Table
              label="Models" rows={items} keyOf={(m) => m.name}
              columns={[
                { key: 'name', head: 'Model', first: 'ascending', sort: (m) => m.name, cell: (m) => <Link data-row className="medium" to="/models/$model" params={{ model: m.name }}>{m.name}</Link> },
                { key: 'kind', head: 'Kind', cell: (m) => m.latest?.signature?.task || m.latest?.format || '–' },
                { key: 'champion', head: 'Champion', cell: (m) => <VersionTag version={m.aliases?.champion} model={m.name} subject /> },
                { key: 'aliases', head: 'Other aliases', fold: true, cell: (m) => <span className="row wrap" style={{ gap: 4 }}>{Object.entries(m.aliases ?? {}).filter(([a]) => a !== 'champion').sort().map(([a, v]) => <span key={a} className="chip plain">{a} v{v}</span>)}</span> },
                { key: 'versions', head: 'Newest', right: true, sort: (m) => m.last_version, cell: (m) => <VersionTag version={m.latest?.version} model={m.name} /> },
                { key: 'metric', head: 'Its metric', right: true, cell: (m) => { const k = headline(m.latest); return k ? `${metricName(k)} ${fixed(m.latest?.metrics[k], 3)}${m.latest?.training.test_rows ? `, n ${count(m.latest.training.test_rows)}` : ''}` : '–'; } },
                { key: 'tags', head: 'Tags', fold: true, cell: (m) => <TagList tags={m.tags} /> },
                { key: 'project', head: 'Project', cell: (m) => m.project || <span className="third">none</span>, sort: (m) => m.project },
                { key: 'at', head: 'Changed', cell: (m) => (m.project ? <When at={m.updated_at} /> : <WallAgo at={m.updated_at} />), sort: (m) => m.updated_at },
              ]}
            />
          )}
        </Await>
      </Panel>
    </Page>
  );
}

export function ModelPage() {
  const { model = '' } = useParams({ strict: false });
  const { zone, now } = useProject();
  const navigate = useNavigate();
  const detail = useRead<Model>(`models/${seg(model)}`);
  const versions = useList<ModelVersion>(`models/${seg(model)}/versions`);
  const { history, deployment, of } = useStanding(model);
  const [chosen, setChosen] = useState<number[]>([]);
  const [editing, setEditing] = useState(false);
  const { error, run } = useWork();
  const m = detail.data;
  const key = headline(versions.items[0]);
  const values = key ? extent(versions.items.map((v) => v.metrics?.[key])) : undefined;
  const trained = versions.items.some((v) => v.state !== 'registered');
  const foreign = versions.items.some((v) => v.state === 'registered');
  const compared = versions.items.filter((v) => chosen.includes(v.version));
  const columns: Column<ModelVersion>[] = [
    { key: 'pick', head: <span className="hidden">Select</span>, width: 32, cell: (v) => <input type="checkbox" aria-label={`Select v${v.version}`} checked={chosen.includes(v.version)} onChange={() => setChosen((old) => (old.includes(v.version) ? old.filter((x) => x !== v.version) : [...old, v.version]))} /> },
    { key: 'v', head: 'Version', cell: (v) => <Link data-row className={`version ${v.aliases?.includes('champion') ? 'subject' : ''}`} to="/models/$model/$version/$tab" params={{ model, version: String(v.version), tab: 'evaluation' }}>v{v.version}</Link>, sort: (v) => v.version },
    { key: 'state', head: 'Standing', cell: (v) => <Status state={of(v)} /> },
    { key: 'aliases', head: 'Aliases', cell: (v) => <span className="row" style={{ gap: 4 }}>{v.aliases?.map((a) => <span key={a} className="chip plain">{a}</span>)}{v.stage !== 'None' && <span className="chip plain acc">{v.stage}</span>}</span> },
    ...(trained ? [{ key: 'gate', head: 'Gate', cell: (v: ModelVersion) => <GateWord version={v} /> }] : []),
    ...(key ? [
      { key: 'metric', head: metricName(key), right: true, cell: (v: ModelVersion) => <span className="strong">{fixed(v.metrics?.[key], 3)}</span>, sort: (v: ModelVersion) => v.metrics?.[key] },
      { key: 'dot', head: '', cell: (v: ModelVersion) => (values && v.metrics?.[key] !== undefined ? <Forest label={`${metricName(key)} ${fixed(v.metrics[key], 3)}`} value={v.metrics[key]} domain={values} zero={false} width={88} tone="subject" /> : null) },
    ] : []),
    ...(trained ? [
      { key: 'n', head: 'Test n', right: true, cell: (v: ModelVersion) => count(v.training?.test_rows || undefined) },
      { key: 'rows', head: 'Training rows', right: true, cell: (v: ModelVersion) => count(v.training?.rows || undefined), sort: (v: ModelVersion) => v.training?.rows },
    ] : []),
    ...(foreign ? [
      { key: 'format', head: 'Format', cell: (v: ModelVersion) => v.format },
      { key: 'tags', head: 'Tags', fold: true, cell: (v: ModelVersion) => <TagList tags={v.tags} /> },
    ] : []),
    { key: 'asof', head: trained ? 'As of' : 'Registered', cell: (v) => (v.project ? <When at={v.as_of} /> : <WallAgo at={v.created_at} />), sort: (v) => v.created_at },
    ...(trained ? [{ key: 'cause', head: 'Cause', fold: true, cell: (v: ModelVersion) => <span className="second clamp" title={v.cause}>{v.cause}</span> }] : []),
  ];
  return (
    <Page
      title={model} name={`${model}, model`} crumbs={[{ label: 'Models', to: '/models' }, { label: model }]} mark={m && <Chip state={m.aliases?.champion ? 'champion' : 'waiting'}>{m.aliases?.champion ? `v${m.aliases.champion} champion` : 'No champion yet'}</Chip>}
      facts={m && <><span><b>{plural(versions.items.length, 'version')}</b></span>{m.latest?.learner ? <span>{m.latest.signature?.task}, <b>{m.latest.learner}</b></span> : m.latest && <span><b>{m.latest.format}</b></span>}{m.latest && m.project && <span>newest trained <b>{moment(instant(m.latest.as_of) ?? 0, zone, now())}</b></span>}{deployment && <span>answers at <Link className="link" to="/deployments/$name/$tab" params={{ name: deployment.name, tab: 'rollout' }}>{deployment.name}</Link></span>}</>}
      actions={<><button type="button" className="btn quiet" onClick={() => setEditing(true)}>Edit</button>{m && !m.project && !deployment && <Confirm className="btn quiet" label="Delete" title={`Delete ${model}?`} act={() => run(() => request('DELETE', `models/${seg(model)}`)).then((done) => done && void navigate({ to: '/models' } as never))}>Its {plural(versions.items.length, 'version')} and aliases go with it; nothing brings them back. Who moved which alias when stays in the audit log.</Confirm>}<Command show={{ cli: `trimtab models show ${model}`, api: `models/${model}/versions` }} /></>}
    >
      {detail.error ? (
        <section className="panel"><Failure error={detail.error} what="The model cannot be shown" retry={() => void detail.refetch()} /></section>
      ) : (
        <div className="grid">
          <div className="s8 col">
            {error && <section className="panel"><Failure error={error} what="It did not happen" /></section>}
            {m?.description && <Panel title="Description"><p className="body" style={{ whiteSpace: 'pre-wrap' }}>{m.description}</p></Panel>}
            <Panel title="Versions" sub="newest first; immutable" tools={chosen.length > 1 && <button type="button" className="btn small" onClick={() => setChosen([])}>Clear {chosen.length}</button>} foot={<span>{trained ? 'Each version’s metric is of its own held-out rows. “Against champion” is on the same rows, which neither was trained on.' : 'Select versions to compare them.'}</span>}>
              <Await of={versions} what="Versions" rows={8}>
                {versions.items.length === 0 ? <Empty title="No version yet" command={`import mlflow\n\nmlflow.register_model("runs:/RUN/model", "${model}")`}>A version is what a run or a logged model holds, under a number.</Empty> : <Table label="Versions" rows={versions.items} keyOf={(v) => v.version} columns={columns} selected={(v) => chosen.includes(v.version)} />}
              </Await>
            </Panel>
            {compared.length > 1 && <Compared versions={compared} />}
          </div>
          <div className="s4 col">
            <Panel title="Aliases" sub="names that clients load by"><Aliases model={m} versions={versions.items} served={!!deployment} /></Panel>
            {own(m?.tags).length > 0 && <Panel title="Tags"><Table label="Tags" density="dense" rows={own(m?.tags)} keyOf={([k]) => k} columns={[{ key: 'k', head: 'Tag', cell: ([k]) => <span className="mono">{k}</span> }, { key: 'v', head: 'Value', cell: ([, v]) => <span className="wrapped">{v}</span> }]} /></Panel>}
            <Panel title="History" sub="which version held which alias when, and why">
              <Await of={history} what="History"><Moves moves={history.items} model={model} /></Await>
            </Panel>
          </div>
        </div>
      )}
      {m && editing && <Edit title={`Edit ${model}`} description={m.description ?? ''} tags={m.tags ?? {}} onClose={() => setEditing(false)} save={(body) => request('PATCH', `models/${seg(model)}`, body)} />}
    </Page>
  );
}

/** Where aliases are moved: the name, the version, the word why. */
function Aliases({ model: m, versions, served }: { model: Model | undefined; versions: ModelVersion[]; served: boolean }) {
  const [alias, setAlias] = useState('');
  const [version, setVersion] = useState('');
  const { error, run } = useWork();
  if (!m) return <Loading rows={2} />;
  const move = (name: string, to: number, reason: string) => run(() => post(`models/${seg(m.name)}/aliases/${seg(name)}`, { version: to, reason }));
  const rows = Object.entries(m.aliases ?? {}).sort();
  return (
    <>
      {rows.length > 0 && (
        <Table
          label="Aliases" density="dense" rows={rows} keyOf={([a]) => a}
          columns={[
            { key: 'a', head: 'Alias', cell: ([a]) => <span className="medium">{a}</span> },
            { key: 'v', head: 'Version', cell: ([a, v]) => <VersionTag version={v} model={m.name} subject={a === 'champion'} /> },
            { key: 'x', head: <span className="hidden">Take away</span>, right: true, cell: ([a]) => (served && (a === 'champion' || a === 'candidate') ? <span className="third tiny">follows the traffic</span> : <button type="button" className="btn quiet small square" aria-label={`Take ${a} away`} onClick={() => void move(a, 0, 'taken away on the page')}><Icon name="close" /></button>) },
          ]}
        />
      )}
      {versions.length > 0 && (
        <form className="toolbar" onSubmit={(e) => { e.preventDefault(); void move(alias.trim(), Number(version || versions[0]?.version), 'set on the page').then((done) => done && setAlias('')); }}>
          <input className="entry" aria-label="Alias" placeholder="alias" value={alias} onChange={(e) => setAlias(e.target.value)} style={{ flex: 1, minWidth: 80 }} />
          <select aria-label="Version of the alias" value={version} onChange={(e) => setVersion(e.target.value)}>{versions.map((v) => <option key={v.version} value={v.version}>v{v.version}</option>)}</select>
          <button type="submit" className="btn small" disabled={!alias.trim()}>Set</button>
        </form>
      )}
      {rows.length > 0 && <div className="body"><Snippet text={`import mlflow\n\nmodel = mlflow.pyfunc.load_model(\n    "models:/${m.name}@${rows[0]?.[0]}"\n)`} /></div>}
      {error && <Failure error={error} what="The alias was not moved" />}
    </>
  );
}

function Edit({ title, description, tags, stage, onClose, save }: { title: string; description: string; tags: Record<string, string>; stage?: string; onClose: () => void; save: (body: { description: string; tags: Record<string, string | null>; stage?: string }) => Promise<unknown> }) {
  const [text, setText] = useState(description);
  const [lines, setLines] = useState(own(tags).map(([k, v]) => `${k}=${v}`).join('\n'));
  const [to, setTo] = useState(stage);
  const { error, run } = useWork();
  const submit = async () => {
    const wanted = Object.fromEntries(lines.split('\n').map((l) => l.trim()).filter(Boolean).map((l) => { const at = l.indexOf('='); return at < 0 ? [l, ''] : [l.slice(0, at).trim(), l.slice(at + 1).trim()]; }));
    const changed: Record<string, string | null> = {};
    for (const [k, v] of Object.entries(wanted)) if (tags[k] !== v) changed[k] = v as string;
    for (const [k] of own(tags)) if (!(k in wanted)) changed[k] = null;
    if (await run(() => save({ description: text, tags: changed, ...(to !== stage ? { stage: to } : {}) }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title={title} size={520} closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <Textarea label="Description" value={text} onChange={(e) => setText(e.currentTarget.value)} autosize minRows={3} data-autofocus />
        <Textarea label="Tags" description="One per line: name=value" value={lines} onChange={(e) => setLines(e.currentTarget.value)} autosize minRows={3} mt={12} styles={{ input: { fontFamily: 'var(--mono)', fontSize: 12 } }} />
        {stage !== undefined && <label className="row" style={{ marginTop: 12 }}>Stage <select className="entry" value={to} onChange={(e) => setTo(e.target.value)}>{['None', 'Staging', 'Production', 'Archived'].map((s) => <option key={s}>{s}</option>)}</select><span className="third tiny">older than aliases, kept for scripts that use it</span></label>}
        {error && <Failure error={error} what="It was not saved" />}
        <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}><button type="button" className="btn" onClick={onClose}>Leave as it is</button><button type="submit" className="btn primary">Save</button></div>
      </form>
    </Modal>
  );
}

/** What people say about a version, above what it says itself. */
export function Facts({ version: v }: { version: ModelVersion }) {
  const [editing, setEditing] = useState(false);
  const said = v.description || own(v.tags).length > 0 || v.stage !== 'None';
  return (
    <div className="row wrap" style={{ gap: 8, marginBottom: 12 }}>
      {v.description && <p className="second" style={{ whiteSpace: 'pre-wrap', flex: '1 1 100%' }}>{v.description}</p>}
      {v.aliases?.map((a) => <span key={a} className="chip plain acc">{a}</span>)}
      {v.stage !== 'None' && <span className="chip plain">{v.stage}</span>}
      {own(v.tags).map(([k, x]) => <span key={k} className="chip plain" title={`${k}=${x}`}>{k}{x ? `=${x.slice(0, 40)}` : ''}</span>)}
      <button type="button" className="btn small quiet" onClick={() => setEditing(true)}>{said ? 'Edit' : 'Describe it'}</button>
      {editing && <Edit title={`Edit ${v.model} v${v.version}`} description={v.description ?? ''} tags={v.tags ?? {}} stage={v.stage} onClose={() => setEditing(false)} save={(body) => request('PATCH', `models/${seg(v.model)}/versions/${v.version}`, body)} />}
    </div>
  );
}

/** A version that somebody registered: nobody judged it here, so it shows where it comes from and how to use it. */
export function Registered({ version: v, versions, deployment }: { version: VersionDetail; versions: ModelVersion[]; deployment?: string }) {
  const serves = v.format === 'trimtab' || !!v.serving;
  const navigate = useNavigate();
  const { error, run } = useWork();
  const facts: [string, ReactNode][] = [
    ['Format', v.format], ['Source', <span key="s" className="mono wrapped">{v.source || '–'}</span>], ['Files', v.files?.length ? `${plural(v.files.length, 'file')}, ${bytes(v.files.reduce((s, f) => s + f.size, 0))}, kept as they were at registration` : 'outside of this server'],
    ['Run', v.run_id ? <Link key="r" className="link mono" to="/runs/$id" params={{ id: v.run_id }}>{v.run_id.slice(0, 12)}</Link> : '–'], ['Logged model', v.model_id ? <span key="m" className="mono">{v.model_id}</span> : '–'],
    ['Registered', <WallAgo key="w" at={v.created_at} />], ['By', v.actor || '–'], ['Link', v.run_link ? <span key="l" className="mono wrapped">{v.run_link}</span> : '–'],
  ];
  return (
    <>
      <Facts version={v} />
      <div className="grid">
        <div className="s8 col">
          {error && <section className="panel"><Failure error={error} what="It did not happen" /></section>}
          <Panel title="Where it comes from">
            <Table label="Where it comes from" density="dense" rows={facts} keyOf={([k]) => k} columns={[{ key: 'k', head: 'What', cell: ([k]) => k }, { key: 'v', head: 'Which', cell: ([, x]) => x }]} />
          </Panel>
          <Panel title="Serving">
            <div className="verdict"><Icon name={serves ? 'pass' : 'info'} className={serves ? 'ok' : 'third'} /><div><h2>{serves ? 'Trimtab can answer with this version' : `What serves ${v.format} here is not known yet`}</h2><p>{serves ? (deployment ? `It can be released to ${deployment}.` : v.project ? 'Release it from the command line, as the project’s file says.' : 'Deploy it from the command line: a model of no project takes a version at once, without a canary or a monitor.') : <>Its files are opened, and an engine is found for them, when it is deployed, or by <span className="mono">trimtab models examine {v.model} --version {v.version}</span>.</>}</p></div></div>
          </Panel>
        </div>
        <div className="s4 col">
          <CertificatePanel version={v} />
          <Panel title="Use it"><div className="body" style={{ display: 'grid', gap: 12 }}>{(v.format === 'trimtab' || v.files?.some((f) => f.path === 'MLmodel')) && <Snippet text={`import mlflow\n\nmodel = mlflow.pyfunc.load_model(\n    "models:/${v.model}/${v.version}"\n)`} />}{deployment && <Snippet text={`curl -s ${location.origin}/v2/models/${deployment}`} />}{!serves && <Snippet text={`trimtab models examine ${v.model} --version ${v.version}`} />}{serves && !deployment && <Snippet text={`trimtab models promote ${v.model} --version ${v.version} --reason "first release"`} />}</div></Panel>
          <Panel title="Versions" sub={plural(versions.length, 'version')}><Table label="Versions" density="dense" rows={versions.slice(0, 12)} keyOf={(x) => x.version} selected={(x) => x.version === v.version} columns={[{ key: 'v', head: 'Version', cell: (x) => <VersionTag version={x.version} model={x.model} subject={x.version === v.version} /> }, { key: 'a', head: 'Aliases', cell: (x) => x.aliases?.join(', ') || '–' }, { key: 'w', head: 'Registered', right: true, cell: (x) => <WallAgo at={x.created_at} /> }]} /></Panel>
          {!deployment && <Confirm className="btn danger" label="Delete this version" title={`Delete ${v.model} v${v.version}?`} act={() => run(() => request('DELETE', `models/${seg(v.model)}/versions/${v.version}`)).then((done) => done && void navigate({ to: '/models/$model', params: { model: v.model } } as never))}>Its aliases go with it, and its number is never used again; nothing brings it back.</Confirm>}
        </div>
      </div>
    </>
  );
}

/** Versions side by side: what they say about themselves, and only where they differ. */
function Compared({ versions }: { versions: ModelVersion[] }) {
  const lines = (pick: (v: ModelVersion) => Record<string, unknown> | undefined) =>
    [...new Set(versions.flatMap((v) => Object.keys(pick(v) ?? {})))].sort().map((k) => ({ key: k, cells: versions.map((v) => pick(v)?.[k]) })).filter((l) => l.cells.some((c) => c !== l.cells[0]));
  const sections = [
    { title: 'Metrics', rows: lines((v) => v.metrics as Record<string, unknown>) }, { title: 'Parameters', rows: lines((v) => v.params ?? undefined) }, { title: 'Tags', rows: lines((v) => v.tags) },
    { title: 'Version', rows: lines((v) => ({ state: v.state, stage: v.stage, format: v.format, source: v.source, 'training rows': v.training?.rows || undefined, learner: v.learner || undefined, commit: v.git_commit, digest: v.digest?.slice(0, 12) })) },
  ];
  return (
    <Panel title="Side by side" sub="only what differs">
      <div className="scroll" tabIndex={0} role="region" aria-label="Versions side by side">
        <table className="dense compare">
          <caption className="hidden">Versions side by side</caption>
          <thead><tr><th scope="col"> </th>{versions.map((v) => <th key={v.version} scope="col">v{v.version}</th>)}</tr></thead>
          {sections.map((s) => (
            <tbody key={s.title}>
              <tr><th scope="rowgroup" colSpan={versions.length + 1} className="strong">{s.title}{s.rows.length === 0 && <span className="third"> no difference</span>}</th></tr>
              {s.rows.map((l) => {
                const way = s.title === 'Metrics' ? direction(l.key) : 0;
                const scores = l.cells.map((c) => (typeof c === 'number' ? c * way : -Infinity));
                const best = way === 0 ? -1 : scores.indexOf(Math.max(...scores));
                return <tr key={l.key}><th scope="row" className="mono">{l.key}</th>{l.cells.map((c, i) => <td key={i} className={i === best ? 'strong ok' : ''}>{c === undefined || c === '' ? <span className="third">–</span> : typeof c === 'number' ? compact(c, 6) : <span className="wrapped">{String(c)}</span>}</td>)}</tr>;
              })}
            </tbody>
          ))}
        </table>
      </div>
    </Panel>
  );
}
