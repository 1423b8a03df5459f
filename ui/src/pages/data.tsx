// Data: datasets and their immutable versions; what is in them, what was set aside and why, what changed.
import { useState } from 'react';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useList, useRead } from '../api/queries';
import { absent } from '../api/reads';
import type { ColumnProfile, ContractCheck, DatasetDiff, DatasetProfile, DatasetVersion, File, QuarantinedRow, QuarantineView } from '../api/types';
import { MiniHistogram } from '../charts/distribution';
import { Figure } from '../charts/frame';
import { linear, niceDomain, ticks } from '../charts/scale';
import { bytes, compact, count, fixed, percent, plural, signed } from '../format/number';
import { ago, day, duration, instant, moment } from '../format/time';
import { Command } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel, Tile } from '../parts/page';
import { useProject, When } from '../parts/project';
import { Await, Empty, Failure, Loading } from '../parts/states';
import { Chip } from '../parts/status';
import { Table } from '../parts/table';

export function DatasetsPage() {
  const { name, now } = useProject();
  const datasets = useList<DatasetVersion>(`projects/${seg(name)}/datasets`, { enabled: !!name });
  return (
    <Page title="Data" crumbs={[{ label: 'Data' }]} facts={<span>Every version is immutable and named by the hash of its parts</span>} actions={<Command show={{ cli: 'trimtab data ls', api: `projects/${name}/datasets` }} />}>
      <Panel label="Datasets">
        <Await of={datasets} what="Datasets">
          {datasets.items.length === 0 ? (
            <Empty title="No dataset yet" command="trimtab apply">The files named in trimtab.yaml become versions when it is applied; served rows join them as their outcomes arrive.</Empty>
          ) : (
            <Table
              label="Datasets" rows={datasets.items} keyOf={(d) => d.dataset}
              columns={[
                { key: 'name', head: 'Dataset', cell: (d) => <Link data-row className="medium" to="/data/$dataset/$tab" params={{ dataset: d.dataset, tab: 'profile' }}>{d.dataset}</Link>, sort: (d) => d.dataset, first: 'ascending' },
                { key: 'number', head: 'Versions', right: true, cell: (d) => count(d.number), sort: (d) => d.number },
                { key: 'rows', head: 'Rows', right: true, cell: (d) => count(d.rows), sort: (d) => d.rows },
                { key: 'columns', head: 'Columns', right: true, cell: (d) => count(d.schema?.length) },
                { key: 'bytes', head: 'Size', right: true, cell: (d) => bytes(d.bytes), sort: (d) => d.bytes },
                { key: 'parts', head: 'Parts', right: true, cell: (d) => count(d.parts?.length) },
                { key: 'quarantined', head: 'Quarantined', right: true, cell: (d) => (d.quarantined ? <Link className="link" to="/data/$dataset/$tab" params={{ dataset: d.dataset, tab: 'quarantine' }}>{count(d.quarantined)}</Link> : '0'), sort: (d) => d.quarantined },
                { key: 'asof', head: 'As of', cell: (d) => <><When at={d.as_of} /> <span className="third">{ago(instant(d.as_of) ?? now(), now())}</span></>, sort: (d) => d.as_of },
                { key: 'id', head: 'Id', cell: (d) => <span className="mono third">{d.id.slice(0, 8)}</span> },
              ]}
            />
          )}
        </Await>
      </Panel>
    </Page>
  );
}

export function DatasetPage() {
  const { dataset = '', tab = 'profile' } = useParams({ strict: false });
  const search = useSearch({ strict: false }) as { version?: number };
  const navigate = useNavigate();
  const { name, project, zone, now } = useProject();
  const base = `projects/${seg(name)}/datasets/${seg(dataset)}`;
  const versions = useList<DatasetVersion>(`${base}/versions`, { enabled: !!name });
  const newest = [...versions.items].sort((a, b) => b.number - a.number);
  const shown = newest.find((v) => v.number === Number(search.version)) ?? newest[0];
  const old = shown && newest[0] && shown.number !== newest[0].number;
  const spec = project?.file.data?.[dataset];
  const select = (number: number) => void navigate({ to: '/data/$dataset/$tab', params: { dataset, tab: 'profile' }, search: { version: number } as never });
  return (
    <Page
      title={dataset} name={`${dataset}, dataset`} crumbs={[{ label: 'Data', to: '/data' }, { label: dataset }]}
      mark={shown && (shown.quarantined > 0 ? <Chip state="attention">{plural(shown.quarantined, 'row')} quarantined</Chip> : <Chip state="pass">{spec?.contract?.length ? 'Contract held' : 'No row set aside'}</Chip>)}
      facts={
        shown && (
          <>
            <span>Version <b>{shown.number}</b>{old ? `, not the newest (${newest[0]?.number})` : ''}</span>
            <span className="mono">{shown.id.slice(0, 12)}</span>
            <span><b>{count(shown.rows)}</b> rows, {count(shown.schema?.length)} columns</span>
            <span><b>{count(shown.parts?.length)}</b> parts, {bytes(shown.bytes)}</span>
            <span>as of <b>{moment(instant(shown.as_of) ?? 0, zone, now())}</b></span>
          </>
        )
      }
      actions={<Command show={{ cli: `trimtab data show ${dataset}${shown ? ` --version ${shown.number}` : ''}`, api: `${base}/versions/${shown?.number ?? 1}` }} />}
      tabs={[
        { label: 'Profile', to: `/data/${dataset}/profile`, current: tab === 'profile' },
        { label: 'Versions', to: `/data/${dataset}/versions`, current: tab === 'versions', n: newest.length },
        { label: 'Quarantine', to: `/data/${dataset}/quarantine`, current: tab === 'quarantine', n: shown?.quarantined },
        { label: 'Changes', to: `/data/${dataset}/diff`, current: tab === 'diff' },
      ]}
    >
      {versions.error ? (
        <section className="panel"><Failure error={versions.error} what="The dataset cannot be shown" retry={() => void versions.refetch()} /></section>
      ) : !shown ? (
        <section className="panel">{versions.isPending ? <Loading rows={8} /> : <Empty title="No version yet" command="trimtab apply" />}</section>
      ) : tab === 'versions' ? (
        <Versions versions={newest} shown={shown} select={select} />
      ) : tab === 'quarantine' ? (
        <Quarantine base={base} version={shown} />
      ) : tab === 'diff' ? (
        <Changes base={base} versions={newest} />
      ) : (
        <div className="grid">
          <div className="s8 col"><Profile base={base} version={shown} file={project?.file} dataset={dataset} /></div>
          <div className="s4 col">
            <Growth versions={newest} />
            <Contract checks={spec?.contract ?? []} keyColumns={spec?.key ?? []} version={shown} />
            <Recent versions={newest} shown={shown} select={select} />
            {shown.notes && shown.notes.length > 0 && (
              <Panel title="Notes" sub="from reading the files">
                <ul className="body">{shown.notes.map((n) => <li key={n} className="second">{n}</li>)}</ul>
              </Panel>
            )}
          </div>
        </div>
      )}
    </Page>
  );
}

/** What the project does with a column, in a word or two. */
export function roleOf(column: string, dataset: string, file: File | undefined, personal?: string): { text: string; tone: '' | 'acc' | 'warn' }[] {
  const out: { text: string; tone: '' | 'acc' | 'warn' }[] = [];
  const spec = file?.data?.[dataset];
  const model = file?.model;
  if (spec?.time?.column === column) out.push({ text: 'time', tone: '' });
  if (spec?.key?.includes(column)) out.push({ text: 'key', tone: '' });
  const word = new RegExp(`\\b${column.replace(/[^\w]/g, '\\$&')}\\b`);
  if (model?.from === dataset) {
    const label = typeof model.label === 'object' && model.label ? Object.entries(model.label as Record<string, string>).find(([k, v]) => k !== 'known_after' && word.test(v)) : undefined;
    if (label) out.push({ text: `label ${label[0]}`, tone: 'acc' });
    if (model.inputs?.includes(column)) out.push({ text: 'input', tone: '' });
    else if (model.inputs?.some((i) => i.includes('(') && word.test(i))) out.push({ text: 'derived input', tone: '' });
  }
  for (const [view, f] of Object.entries(file?.features ?? {})) if (f.from === dataset && f.select?.includes(column)) out.push({ text: `input, ${view}`, tone: '' });
  if (personal) out.push({ text: personal === 'pseudonymise' ? 'pseudonym' : personal, tone: 'warn' });
  return out;
}

const quantile = (c: ColumnProfile, p: number) => c.quantiles?.find((q) => q.p === p)?.value;

function Profile({ base, version, file, dataset }: { base: string; version: DatasetVersion; file?: File; dataset: string }) {
  const { zone } = useProject();
  const profile = useRead<DatasetProfile>(`${base}/versions/${version.number}/profile`);
  const [open, setOpen] = useState<string>();
  const p = profile.data;
  const sampled = p?.columns.some((c) => c.sample_rows);
  const picked = p?.columns.find((c) => c.name === open);
  const middle = (c: ColumnProfile) => {
    if (c.top?.length && (c.kind === 'string' || c.kind === 'boolean')) return c.top.slice(0, 3).map((t) => `${t.value} ${percent(t.count / Math.max(1, c.count), 0)}`).join(', ');
    const [lo, mid, hi] = [quantile(c, 0), quantile(c, 0.5), quantile(c, 1)];
    if (lo === undefined || hi === undefined) return c.personal ? 'values not shown' : '–';
    if (c.kind === 'datetime') return `${day(lo / 1000, zone)} to ${day(hi / 1000, zone)} ${new Date(hi / 1000).getUTCFullYear()}`;
    return `${compact(lo)} · ${compact(mid)} · ${compact(hi)}${c.unit ? ` ${c.unit}` : ''}`;
  };
  return (
    <>
      <Panel title="Profile" sub={p && (sampled ? `counts of all ${count(p.rows)} rows; some quantiles from a sample, marked ~` : `exact, all ${count(p.rows)} rows`)}>
        <Await of={absent(profile.error) ? { ...profile, error: null, isPending: false } : profile} what="The profile" rows={12}>
          {!p ? (
            <Empty title="This version has no profile" command={`trimtab data profile ${dataset}`} />
          ) : (
            <Table
              label="Profile of the columns" density="tall" rows={p.columns} keyOf={(c) => c.name} selected={(c) => c.name === open} onPick={(c) => setOpen(c.name === open ? undefined : c.name)}
              columns={[
                { key: 'name', head: 'Column', cell: (c) => <button type="button" data-row className="btn quiet small mono" style={{ padding: 0, color: 'var(--ink)' }} aria-expanded={c.name === open} onClick={() => setOpen(c.name === open ? undefined : c.name)}>{c.name}</button> },
                { key: 'kind', head: 'Type', cell: (c) => <span className="second">{c.kind}</span>, sort: (c) => c.kind, first: 'ascending' },
                { key: 'dist', head: 'Distribution', cell: (c) => <Distribution column={c} /> },
                { key: 'values', head: 'Min · median · max, or most frequent', cell: (c) => <span className="second">{c.sample_rows ? '~ ' : ''}{middle(c)}</span> },
                { key: 'nulls', head: 'Null', right: true, cell: (c) => (c.nulls ? <span className="medium">{percent(c.nulls / Math.max(1, c.nulls + c.count), 1)}</span> : <span className="third">0</span>), sort: (c) => c.nulls },
                { key: 'distinct', head: 'Distinct', right: true, cell: (c) => `${c.distinct_exact ? '' : '~'}${count(c.distinct)}`, sort: (c) => c.distinct },
                { key: 'role', head: 'Role', cell: (c) => <>{roleOf(c.name, dataset, file, c.personal).map((r) => (r.tone ? <span key={r.text} className={`chip plain ${r.tone}`} style={{ marginRight: 4 }}>{r.text}</span> : <span key={r.text} className="second" style={{ marginRight: 6 }}>{r.text}</span>))}</> },
              ]}
            />
          )}
        </Await>
      </Panel>
      {picked && <ColumnPanel column={picked} onClose={() => setOpen(undefined)} />}
    </>
  );
}

function Distribution({ column: c }: { column: ColumnProfile }) {
  if (c.histogram && c.kind !== 'boolean') return <MiniHistogram counts={c.histogram.counts} label={`Histogram of ${c.name}, ${c.histogram.counts.length} bins, n ${count(c.count)}`} />;
  if (c.top && c.top.length > 1) return <MiniHistogram counts={c.top.map((t) => t.count)} label={`Most frequent values of ${c.name}: ${c.top.slice(0, 3).map((t) => t.value).join(', ')}`} />;
  return <span className="third small">{c.personal ? 'personal' : c.count === 0 ? 'empty' : ''}</span>;
}

function ColumnPanel({ column: c, onClose }: { column: ColumnProfile; onClose: () => void }) {
  const { zone } = useProject();
  const value = (v: number) => (c.kind === 'datetime' ? moment(v / 1000, zone) : compact(v));
  const facts: [string, string][] = [['Rows with a value', count(c.count)], ['Null', count(c.nulls)], ['Distinct', `${c.distinct_exact ? '' : 'about '}${count(c.distinct)}`]];
  if (c.mean !== undefined && c.kind !== 'datetime') facts.push(['Mean', `${compact(c.mean)} ${c.unit ?? ''}`], ['Standard deviation', `${compact(c.sd)} ${c.unit ?? ''}`], ['Skewness', fixed(c.skewness, 2)]);
  return (
    <Panel title={<span className="mono">{c.name}</span>} sub={[c.kind, c.unit, `n ${count(c.count)}`].filter(Boolean).join(', ')} tools={<button type="button" className="btn quiet small" onClick={onClose}>Close</button>}>
      <div className="grid body" style={{ paddingTop: 4 }}>
        <dl className="s4" style={{ display: 'grid', gridTemplateColumns: '1fr auto', gap: '4px 12px', alignContent: 'start' }}>
          {facts.map(([k, v]) => (
            <div key={k} style={{ display: 'contents' }}>
              <dt className="third">{k}</dt>
              <dd className="right">{v}</dd>
            </div>
          ))}
          {c.quantiles?.map((q) => (
            <div key={q.p} style={{ display: 'contents' }}>
              <dt className="third">{q.p === 0 ? 'Smallest' : q.p === 1 ? 'Greatest' : `${fixed(q.p * 100)} % quantile`}{c.sample_rows ? ' ~' : ''}</dt>
              <dd className="right">{value(q.value)}</dd>
            </div>
          ))}
        </dl>
        <div className="s8">
          {c.histogram && c.histogram.counts.length > 1 ? (
            <Figure
              bare className="panel" title="Histogram" name={`Histogram of ${c.name}`} sub={c.histogram.below + c.histogram.above > 0 ? `${count(c.histogram.below)} below and ${count(c.histogram.above)} above the edges, not drawn` : `${c.histogram.counts.length} bins, all rows`}
              twin={{ head: ['From', 'Rows'], rows: c.histogram.counts.map((n, i) => [value(c.histogram?.edges[i] ?? 0), count(n)]) }}
            >
              {(width) => <Histogram width={width} column={c} format={value} />}
            </Figure>
          ) : c.top?.length ? (
            <Table label="Most frequent values" density="dense" rows={c.top} keyOf={(t) => t.value} columns={[{ key: 'v', head: 'Most frequent', cell: (t) => <span className="mono">{t.value}</span> }, { key: 'n', head: 'Rows', right: true, cell: (t) => count(t.count) }, { key: 's', head: 'Share', right: true, cell: (t) => percent(t.count / Math.max(1, c.count), 1) }]} />
          ) : (
            <p className="third">{c.personal ? 'Values of a personal column are not shown.' : 'No value is there twice.'}</p>
          )}
        </div>
      </div>
    </Panel>
  );
}

function Histogram({ width, column: c, format }: { width: number; column: ColumnProfile; format: (v: number) => string }) {
  const h = c.histogram;
  if (!h) return null;
  const height = 160;
  const base = height - 20;
  const x = linear([h.edges[0] ?? 0, h.edges[h.edges.length - 1] ?? 1], [40, width - 8]);
  const y = linear([0, niceDomain(0, Math.max(...h.counts, 1), 3)[1]], [base, 8]);
  const at = c.kind === 'datetime' ? [h.edges[0] ?? 0, h.edges[Math.floor(h.edges.length / 2)] ?? 0] : ticks(h.edges[0] ?? 0, h.edges[h.edges.length - 1] ?? 1, 5);
  return (
    <svg width={width} height={height} role="img" aria-label={`Histogram of ${c.name}, n ${count(c.count)}`}>
      {ticks(0, y.domain[1], 3).map((v) => (
        <g key={v}>
          <line className={v ? 'gridline' : 'axis'} x1="40" x2={width - 8} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
          <text x="34" y={y(v) + 4} textAnchor="end">{v >= 10_000 ? `${compact(v / 1000)}k` : compact(v)}</text>
        </g>
      ))}
      {h.counts.map((n, i) => {
        const a = x(h.edges[i] ?? 0);
        return n > 0 ? <rect key={i} className="bar" x={a + 0.5} width={Math.max(0.8, x(h.edges[i + 1] ?? 0) - a - 1)} y={y(n)} height={base - y(n)} /> : null;
      })}
      {at.map((v, i) => <text key={i} x={x(v)} y={height - 4} textAnchor={i === 0 ? 'start' : 'middle'}>{format(v)}</text>)}
    </svg>
  );
}

/** Rows added by each of the latest versions. */
function Growth({ versions }: { versions: DatasetVersion[] }) {
  const { zone } = useProject();
  const latest = versions.slice(0, 22).reverse();
  const steps = latest.slice(1).map((v, i) => ({ v, added: v.rows - (latest[i]?.rows ?? 0) }));
  if (steps.length < 2) return null;
  const last = steps[steps.length - 1];
  return (
    <Figure
      title="Rows a version" name="Rows added by each version" sub={`the latest ${steps.length} of ${versions.length}`} twin={{ head: ['Version', 'As of', 'Rows added', 'Rows'], rows: steps.map((s) => [s.v.number, day(instant(s.v.as_of) ?? 0, zone), signed(s.added, 0), count(s.v.rows)]) }}
    >
      {(width) => {
        const height = 116;
        const y = linear([Math.min(0, ...steps.map((s) => s.added)), niceDomain(0, Math.max(...steps.map((s) => s.added), 1), 2)[1]], [height - 20, 12]);
        const slot = (width - 48) / steps.length;
        return (
          <svg width={width} height={height} role="img" aria-label="Rows added by each version">
            {ticks(0, y.domain[1], 2).map((v) => (
              <g key={v}>
                <line className={v ? 'gridline' : 'axis'} x1="44" x2={width - 4} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
                <text x="38" y={y(v) + 4} textAnchor="end">{v >= 10_000 ? `${compact(v / 1000)}k` : count(v)}</text>
              </g>
            ))}
            {steps.map((s, i) => (
              <rect key={s.v.number} className={i === steps.length - 1 ? 'bar' : 'bar compare'} x={44 + i * slot + 1} width={Math.max(1, slot - 2)} y={Math.min(y(0), y(s.added))} height={Math.max(0.5, Math.abs(y(0) - y(s.added)))} />
            ))}
            {last && <text className="subject" x={width - 4} y={Math.max(9, y(last.added) - 4)} textAnchor="end">{count(last.added)}</text>}
            {steps.map((s, i) => (i % Math.ceil(steps.length / 3) === 0 ? <text key={s.v.number} x={44 + i * slot} y={height - 4}>{day(instant(s.v.as_of) ?? 0, zone)}</text> : null))}
          </svg>
        );
      }}
    </Figure>
  );
}

export function checkText(c: ContractCheck): string {
  const parts: string[] = [];
  if (c.type) parts.push(`${c.column} is ${c.type}`);
  if (c.not_null) parts.push(`${c.column} not null`);
  if (c.between) parts.push(`${c.column} in ${c.between[0]} to ${c.between[1]}`);
  if (c.matches) parts.push(`${c.column} matches ${c.matches}`);
  if (c.in) parts.push(`${c.column} in ${c.in.slice(0, 4).join(', ')}${c.in.length > 4 ? '…' : ''}`);
  if (c.unique) parts.push(`unique ${c.unique.join(', ')}`);
  if (c.rows) parts.push(`rows${c.rows.at_least ? ` ≥ ${count(c.rows.at_least)}` : ''}${c.rows.at_most ? ` ≤ ${count(c.rows.at_most)}` : ''}`);
  if (c.fresh) parts.push(`${c.fresh.column} fresh within ${duration(c.fresh.within)}`);
  return parts.join(', ');
}

function Contract({ checks, keyColumns, version }: { checks: ContractCheck[]; keyColumns: string[]; version: DatasetVersion }) {
  return (
    <Panel title="Contract" sub="checked at ingest, every row" foot={<span>{version.quarantined ? `${plural(version.quarantined, 'row')} failed and ${version.quarantined === 1 ? 'is' : 'are'} kept in quarantine` : 'no row failed'}, of n {count(version.rows + version.quarantined)}</span>}>
      {checks.length === 0 && keyColumns.length === 0 ? (
        <Empty title="No check is set" command={`trimtab data suggest ${version.dataset}`}>Types are checked all the same. This command proposes a contract from the data.</Empty>
      ) : (
        <ul className="rows">
          {keyColumns.length > 0 && <li><span className="third"><Icon name="check" /></span><span className="mono text clip" title={keyColumns.join(', ')}>key unique: {keyColumns.join(', ')}</span></li>}
          {checks.map((c, i) => <li key={i}><span className="third"><Icon name="check" /></span><span className="mono text clip" title={checkText(c)}>{checkText(c)}</span></li>)}
        </ul>
      )}
    </Panel>
  );
}

function Recent({ versions, shown, select }: { versions: DatasetVersion[]; shown: DatasetVersion; select: (n: number) => void }) {
  return (
    <Panel title="Versions" sub="only new parts are stored" tools={<Link className="link" to="/data/$dataset/$tab" params={{ dataset: shown.dataset, tab: 'versions' }}>All {count(versions.length)}</Link>}>
      <VersionTable versions={versions.slice(0, 8)} all={versions} shown={shown} select={select} brief />
    </Panel>
  );
}

function VersionTable({ versions, all, shown, select, brief = false }: { versions: DatasetVersion[]; all: DatasetVersion[]; shown: DatasetVersion; select: (n: number) => void; brief?: boolean }) {
  const before = (v: DatasetVersion) => all.find((o) => o.number === v.number - 1);
  return (
    <Table
      label="Versions" density={brief ? 'dense' : ''} rows={versions} keyOf={(v) => v.number} selected={(v) => v.number === shown.number} onPick={(v) => select(v.number)}
      columns={[
        { key: 'number', head: 'Version', cell: (v) => <button type="button" data-row className="btn quiet small" style={{ padding: 0 }} onClick={() => select(v.number)}>{v.number}</button> },
        { key: 'asof', head: 'As of', cell: (v) => <When at={v.as_of} /> },
        { key: 'rows', head: 'Rows', right: true, cell: (v) => count(v.rows) },
        { key: 'added', head: 'Change', right: true, cell: (v) => { const b = before(v); return b ? signed(v.rows - b.rows, 0) : '–'; } },
        ...(brief ? [] : [
          { key: 'parts', head: 'Parts', right: true, cell: (v: DatasetVersion) => count(v.parts?.length) },
          { key: 'bytes', head: 'Size', right: true, cell: (v: DatasetVersion) => bytes(v.bytes) },
          { key: 'quarantined', head: 'Quarantined', right: true, cell: (v: DatasetVersion) => count(v.quarantined) },
          { key: 'cause', head: 'Cause', fold: true, cell: (v: DatasetVersion) => <span className="second">{v.cause || '–'}</span> },
          { key: 'id', head: 'Id', cell: (v: DatasetVersion) => <span className="mono third">{v.id.slice(0, 12)}</span> },
        ]),
      ]}
    />
  );
}

function Versions(props: { versions: DatasetVersion[]; shown: DatasetVersion; select: (n: number) => void }) {
  return (
    <Panel title="Versions" sub="immutable; only new parts are stored">
      <VersionTable {...props} all={props.versions} />
    </Panel>
  );
}

function Quarantine({ base, version }: { base: string; version: DatasetVersion }) {
  const path = `${base}/versions/${version.number}/quarantine`;
  const view = useRead<QuarantineView>(`${path}?limit=500`, { enabled: version.quarantined > 0 });
  const rows = view.data?.items ?? [];
  const reasons = view.data?.reasons ?? [];
  const columns = [...new Set(rows.slice(0, 50).flatMap((r) => Object.keys(r.row ?? {})))].slice(0, 8);
  const blamed = (r: QuarantinedRow, column: string) => new RegExp(`\\b${column}\\b`).test(r.reason);
  return (
    <Panel
      title="Quarantine" sub={`${plural(version.quarantined, 'row')} of n ${count(version.rows + version.quarantined)} that failed the contract; kept, and in no training row and no profile`}
      tools={version.quarantined > 0 && <a className="btn small" href={`/api/v1/${path}.parquet`} download={`${version.dataset}-${version.number}-quarantine.parquet`}><Icon name="download" /> Parquet</a>}
      foot={view.data && rows.length < view.data.total ? <span>the first {count(rows.length)} of {count(view.data.total)}; the Parquet file has all</span> : undefined}
    >
      {version.quarantined === 0 ? (
        <Empty title="No row is in quarantine" command={`trimtab data suggest ${version.dataset}`}>A row that fails a check of the contract is set aside here with the reason. This command proposes checks.</Empty>
      ) : (
        <Await of={view} what="The quarantine">
          {reasons.length > 1 && (
            <ul className="rows">
              {reasons.map((r) => <li key={r.reason}><span className="warn"><Icon name="attention" /></span><span className="text">{r.reason}</span><span>{plural(r.rows, 'row')}</span></li>)}
            </ul>
          )}
          <Table
            label="Quarantined rows" rows={rows} keyOf={(_, i) => i}
            columns={[
              { key: 'reason', head: 'Reason', fold: true, cell: (r) => <span className="bad">{r.reason}</span> },
              { key: 'source', head: 'Source', cell: (r) => <span className="second">{r.source}{r.line ? `, line ${count(r.line)}` : r.record ? `, row ${count(r.record)}` : ''}</span> },
              ...(rows.some((r) => r.raw) ? [{ key: 'raw', head: 'Line', fold: true, cell: (r: QuarantinedRow) => <span className="mono">{r.raw}</span> }] : []),
              ...columns.map((c) => ({ key: `c.${c}`, head: <span className="mono">{c}</span>, cell: (r: QuarantinedRow) => <span className={`mono ${blamed(r, c) ? 'bad strong' : ''}`}>{cell(r.row?.[c])}</span> })),
            ]}
          />
        </Await>
      )}
    </Panel>
  );
}

const cell = (v: unknown) => (v === null || v === undefined || v === '' ? '–' : typeof v === 'object' ? JSON.stringify(v) : String(v));

function Changes({ base, versions }: { base: string; versions: DatasetVersion[] }) {
  const search = useSearch({ strict: false }) as { from?: number; to?: number };
  const navigate = useNavigate();
  const to = Number(search.to) || (versions[0]?.number ?? 1);
  const from = Number(search.from) || Math.max(1, to - 1);
  const diff = useRead<DatasetDiff>(`${base}/diff?from=${from}&to=${to}`, { enabled: from !== to });
  const d = diff.data;
  const schema = [...(d?.added ?? []).map((f) => ({ column: f.name, change: `added, ${f.kind}` })), ...(d?.removed ?? []).map((f) => ({ column: f.name, change: 'removed' })), ...(d?.retyped ?? []).map((r) => ({ column: r.name, change: `${r.from} to ${r.to}` }))];
  const set = (next: { from: number; to: number }) => void navigate({ to: '.', search: next as never, replace: true });
  const pick = (label: string, value: number, on: (n: number) => void) => (
    <label className="row small second">
      {label}
      <span className="input">
        <select value={value} onChange={(e) => on(Number(e.target.value))}>
          {versions.map((v) => <option key={v.number} value={v.number}>{v.number}, {count(v.rows)} rows</option>)}
        </select>
      </span>
    </label>
  );
  return (
    <Panel title="What changed" sub={`version ${from} to ${to}`} tools={<>{pick('From', from, (n) => set({ from: n, to }))}{pick('to', to, (n) => set({ from, to: n }))}</>}>
      {from === to ? (
        <Empty title="One version only">There is nothing to compare it with yet.</Empty>
      ) : (
        <Await of={diff} what="The difference">
          {d && (
            <>
              <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>
                <Tile label="Rows" value={signed((d.rows_to ?? 0) - (d.rows_from ?? 0), 0)} notes={[{ text: `${count(d.rows_from)} to ${count(d.rows_to)}` }]} />
                <Tile label="Parts added" value={count(d.parts_added?.length ?? 0)} notes={[{ text: `${count((d.parts_added ?? []).reduce((n, p) => n + p.rows, 0))} rows` }]} />
                <Tile label="Parts removed" value={count(d.parts_removed?.length ?? 0)} notes={[{ text: `${count((d.parts_removed ?? []).reduce((n, p) => n + p.rows, 0))} rows` }]} />
                <Tile label="Parts shared" value={count(d.parts_shared)} notes={[{ text: 'stored once' }]} />
                <Tile label="Quarantined" value={signed(d.quarantined[1] - d.quarantined[0], 0)} notes={[{ text: `${count(d.quarantined[0])} to ${count(d.quarantined[1])}` }]} />
                <Tile label="Schema" value={schema.length ? plural(schema.length, 'change') : 'same'} notes={[{ text: `${count(versions.find((v) => v.number === to)?.schema?.length)} columns` }]} />
              </div>
              {schema.length > 0 && <Table label="Changes of the schema" rows={schema} keyOf={(c) => c.column} columns={[{ key: 'c', head: 'Column', cell: (c) => <span className="mono">{c.column}</span> }, { key: 'w', head: 'Change', cell: (c) => c.change }]} />}
              {d.columns && d.columns.length > 0 ? (
                <Table
                  label="Columns whose values changed" rows={d.columns} keyOf={(c) => c.name}
                  columns={[
                    { key: 'c', head: 'Column', cell: (c) => <span className="mono">{c.name}</span>, sort: (c) => c.name, first: 'ascending' },
                    { key: 'm', head: 'Mean', right: true, cell: (c) => (c.mean_to !== undefined ? `${compact(c.mean_from)} → ${compact(c.mean_to)} ${c.unit ?? ''}` : '–') },
                    { key: 's', head: 'Shift of the mean, SD', right: true, cell: (c) => (c.shift !== undefined ? signed(c.shift, 3) : '–'), sort: (c) => (c.shift === undefined ? undefined : Math.abs(c.shift)) },
                    { key: 'q', head: 'Median', right: true, cell: (c) => (c.median_to !== undefined ? `${compact(c.median_from)} → ${compact(c.median_to)}` : '–') },
                    { key: 'n', head: 'Null', right: true, cell: (c) => `${percent(c.null_share_from, 1)} → ${percent(c.null_share_to, 1)}`, sort: (c) => Math.abs(c.null_share_to - c.null_share_from) },
                    { key: 'd', head: 'Distinct', right: true, cell: (c) => `${count(c.distinct_from)} → ${count(c.distinct_to)}` },
                  ]}
                />
              ) : (
                <p className="body third">No column’s values changed.</p>
              )}
            </>
          )}
        </Await>
      )}
    </Panel>
  );
}
