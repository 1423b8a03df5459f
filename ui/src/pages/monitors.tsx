// Monitors: whether the model holds, in a sentence first, then the evidence.
import { useMemo, useState } from 'react';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useAct, useList, useRead } from '../api/queries';
import { absent, useDeployments, useRollouts } from '../api/reads';
import type { Alert, ColumnDrift, DriftLine, DriftView, ModelVersion, Monitor, PerformanceView, RetrainView, Verdict } from '../api/types';
import { TimeChart, type TimeMark } from '../charts/course';
import { OverlayHistogram, Sparkline } from '../charts/distribution';
import { SignedBar } from '../charts/forest';
import { Figure, Legend } from '../charts/frame';
import { boundOf, courseOf, limitsOf, marksOf, totalOf, valueOf, type Course } from '../charts/series';
import { compact, count, direction, fixed, metricName, percent, plural, signed } from '../format/number';
import { day, days, duration, instant, moment, monthName, partsIn } from '../format/time';
import { Ask } from '../parts/ask';
import { Command } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel, Segments } from '../parts/page';
import { labelOf, useProject, When } from '../parts/project';
import { Await, Empty, Failure, Loading } from '../parts/states';
import { Chip, Status, Told, VersionTag } from '../parts/status';
import { Table } from '../parts/table';
import { AlertTable } from './platform';

export function MonitorsPage() {
  const { name } = useProject();
  const deployments = useDeployments(name);
  return (
    <Page title="Monitors" crumbs={[{ label: 'Monitors' }]} actions={<Command show={{ cli: 'trimtab monitors ls', api: `monitors?project=${name}` }} />}>
      <Await of={deployments} what="Monitors">
        {deployments.items.length === 0 ? (
          <section className="panel"><Empty title="Nothing is watched yet" command="trimtab apply">Each deployment has a monitor; the first verdict comes when its first window closes.</Empty></section>
        ) : (
          <div className="col">{deployments.items.map((d) => <MonitorRow key={d.name} name={d.name} />)}</div>
        )}
      </Await>
    </Page>
  );
}

function MonitorRow({ name }: { name: string }) {
  const monitor = useRead<Monitor>(`monitors/${seg(name)}`);
  const { zone } = useProject();
  const m = monitor.data;
  return (
    <Panel title={<Link data-row className="link" to="/monitors/$name/$tab" params={{ name, tab: 'overview' }}>{name}</Link>} sub={m && `model ${m.model}`} tools={m && <Status state={m.state} />}>
      <Await of={absent(monitor.error) ? { ...monitor, error: null, isPending: false } : monitor} what={`The monitor of ${name}`} rows={2}>
        {!m && <Empty title="Not watched" command="trimtab apply">Add a monitor section to trimtab.yaml and apply it.</Empty>}
        {m && (
          <>
            <p className="body second"><Told text={m.summary} /></p>
            <VerdictTable verdicts={m.windows.map((w) => w.verdict).filter((v): v is Verdict => !!v)} zone={zone} />
          </>
        )}
      </Await>
    </Panel>
  );
}

function VerdictTable({ verdicts, zone }: { verdicts: Verdict[]; zone: string }) {
  if (verdicts.length === 0) return <p className="body third">No window is judged yet.</p>;
  return (
    <Table
      label="Latest verdicts" rows={verdicts} keyOf={(v) => v.id}
      columns={[
        { key: 'kind', head: 'Watched', cell: (v) => <span className="medium">{kindWord[v.kind]}</span> },
        { key: 'window', head: 'Window', cell: (v) => days(instant(v.from) ?? 0, (instant(v.to) ?? 1) - 1, zone), sort: (v) => v.from },
        { key: 'version', head: 'Version', cell: (v) => <VersionTag version={v.version} /> },
        { key: 'n', head: 'n', right: true, cell: (v) => count(v.n) },
        { key: 'state', head: 'Verdict', cell: (v) => <Status state={v.state} /> },
        { key: 'summary', head: 'Summary', fold: true, cell: (v) => <span className="second">{v.summary}</span> },
      ]}
    />
  );
}

const kindTab: Record<Verdict['kind'], string> = { quality: 'quality', sudden: 'drift', drift: 'drift', performance: 'performance' };
const kindWord: Record<Verdict['kind'], string> = { quality: 'Data quality', sudden: 'Sudden drift', drift: 'Drift from training', performance: 'Performance' };

export function MonitorPage() {
  const { name = '', tab = 'overview' } = useParams({ strict: false });
  const { name: project, project: document, zone, now } = useProject();
  const monitor = useRead<Monitor>(`monitors/${seg(name)}`);
  const performance = useRead<PerformanceView>(`monitors/${seg(name)}/performance?limit=200`);
  const drift = useRead<DriftView>(`monitors/${seg(name)}/drift`);
  const alerts = useList<Alert>(`alerts?deployment=${seg(name)}&limit=200`);
  const m = monitor.data;
  const rollouts = useRollouts(name);
  const versions = useList<ModelVersion>(`models/${seg(m?.model ?? '')}/versions`, { enabled: !!m });
  const retrained = useRead<RetrainView>(`projects/${seg(project)}/retrain`, { enabled: !!project });
  const [asking, setAsking] = useState(false);
  const retrain = useAct<{ cause: string }>(`projects/${seg(project)}/retrain`);
  const course = useMemo(() => (performance.data ? courseOf(performance.data) : undefined), [performance.data]);
  const marks = useMemo(() => (course ? marksOf(course, rollouts.items, versions.items, alerts.items) : []), [course, rollouts.items, versions.items, alerts.items]);
  const firing = alerts.items.filter((a) => a.state === 'firing' && a.level !== 'notice');
  const windowOf = (kind: Verdict['kind']) => m?.windows?.find((w) => w.kind === kind);
  const drifted = drift.data?.recent?.columns?.filter((c) => c.state === 'drift').length ?? 0; // what broke; slow drift lasts and is in the table
  const quality = windowOf('quality')?.verdict;
  const performed = windowOf('performance')?.verdict;
  const reference = drift.data?.columns[0]?.n_reference;
  const unwatched = absent(monitor.error);
  const body = () => {
    const shown = { course, marks, loading: performance.isPending, error: absent(performance.error) ? null : performance.error, open: windowOf('performance') };
    if (tab === 'performance') return <PerformancePanel {...shown} full />;
    if (tab === 'drift') return <Drift view={drift.data} query={drift} />;
    if (tab === 'quality') return <Quality name={name} latest={quality} />;
    if (tab === 'alerts') return <Panel title="Alerts" sub={`${firing.length} firing, ${alerts.items.filter((a) => a.state === 'firing').length - firing.length} lasting notices, ${alerts.items.filter((a) => a.state === 'resolved').length} resolved`}><Await of={alerts} what="Alerts"><AlertTable alerts={alerts.items} /></Await></Panel>;
    if (tab === 'policy') return <Policy retrained={retrained.data} model={m?.model} />;
    return (
      <div className="grid">
        <PerformancePanel className="s9" {...shown} />
        <Difference className="s3" course={course} loading={performance.isPending} />
        <div className="s12"><Drift view={drift.data} query={drift} /></div>
      </div>
    );
  };

  return (
    <Page
      title={name} name={`${name}, monitor`} crumbs={[{ label: 'Monitors', to: '/monitors' }, { label: name }]}
      mark={firing.length > 0 ? <Chip state="attention">{plural(firing.length, 'alert')} open</Chip> : m && <Chip state={m.state} />}
      facts={
        m && (
          <>
            {document?.file.monitor?.performance && <span>Window <b>{duration(document.file.monitor.performance.window)}</b></span>}
            {drift.data && <span>Reference <b>v{drift.data.verdict.version} training data</b>{reference ? `, n ${count(reference)}` : ''}</span>}
            {performed && <span>Outcomes <b>{percent(performed.coverage, 1)}</b> joined, n {count(performed.known)} of {count(performed.rows)}</span>}
            {performed && <span>Last window <b>{days(instant(performed.from) ?? 0, (instant(performed.to) ?? 1) - 1, zone)}</b>, judged {moment(instant(performed.made_at) ?? 0, zone, now())}</span>}
          </>
        )
      }
      actions={
        <>
          <Command show={{ cli: `trimtab monitors show ${name}`, api: `monitors/${seg(name)}` }} />
          <button type="button" className="btn" onClick={() => setAsking(true)}><Icon name="refresh" /> Retrain now…</button>
        </>
      }
      tabs={[
        { label: 'Overview', to: `/monitors/${name}/overview`, current: tab === 'overview' },
        { label: 'Performance', to: `/monitors/${name}/performance`, current: tab === 'performance' },
        { label: 'Drift', to: `/monitors/${name}/drift`, current: tab === 'drift', n: drifted },
        { label: 'Data quality', to: `/monitors/${name}/quality`, current: tab === 'quality', n: quality?.state === 'off' ? 1 : undefined },
        { label: 'Alerts', to: `/monitors/${name}/alerts`, current: tab === 'alerts', n: firing.length },
        { label: 'Policy', to: `/monitors/${name}/policy`, current: tab === 'policy' },
      ]}
    >
      {unwatched ? (
        <section className="panel"><Empty title="This deployment is not watched" command={'monitor:\n  quality: {window: 1d}\n  drift: {window: 7d}\n  performance: {window: 7d, when: "auc < 0.60", times: 2 of 3}'}>Add a monitor section to trimtab.yaml and apply it.</Empty></section>
      ) : monitor.error ? (
        <section className="panel"><Failure error={monitor.error} what="The monitor cannot be shown" retry={() => void monitor.refetch()} /></section>
      ) : !m ? (
        <section className="panel"><Loading rows={8} /></section>
      ) : (
        <div className="col">
          {tab === 'overview' && <Sentence monitor={m} />}
          {body()}
        </div>
      )}
      <Ask
        open={asking} onClose={() => setAsking(false)} title="Train a new version now?" act="Retrain" stay="Wait for the policy"
        happens="A challenger is trained on everything known by now, compared with the champion on the same recent rows, and rolled out as a canary if it passes the gate."
        kept="The champion goes on answering; a refused challenger is kept with the clause that refused it." run={(reason) => retrain.mutateAsync({ cause: reason })}
      />
    </Page>
  );
}

function Sentence({ monitor }: { monitor: Monitor }) {
  const look = { ok: 'pass', attention: 'attention', off: 'attention', inconclusive: 'undecided' } as const;
  const [head, ...rest] = monitor.summary.split(/(?<=[^:]): /);
  const others = monitor.windows.filter((w) => w.verdict && w.verdict.summary !== monitor.summary);
  return (
    <Panel label="Verdict">
      <div className="verdict">
        <Icon name={look[monitor.state] ?? 'undecided'} className={monitor.state === 'ok' ? 'ok' : 'warn'} />
        <div>
          <h2><Told text={head ?? monitor.summary} /></h2>
          <p>
            {rest.length > 0 && <><Told text={rest.join(': ')} />. </>}
            {others.map((w) => (
              <span key={w.kind}>
                <Link className="link" to="/monitors/$name/$tab" params={{ name: monitor.deployment, tab: kindTab[w.kind] }}>{kindWord[w.kind]}</Link>: {w.verdict?.summary}.{' '}
              </span>
            ))}
          </p>
        </div>
        <span className="row"><Link className="btn" to="/deployments/$name/$tab" params={{ name: monitor.deployment, tab: 'rollout' }}>Open rollout <Icon name="next" /></Link></span>
      </div>
    </Panel>
  );
}

interface PerformanceProps {
  course?: Course;
  marks: TimeMark[];
  loading: boolean;
  error: Error | null;
  open?: { rows: number; known: number; open_to?: string };
  className?: string;
  full?: boolean;
}

const measures = ['auc', 'log_loss', 'brier', 'calibration_error', 'f1', 'accuracy', 'rmse', 'mae', 'r2'];

function PerformancePanel({ course, marks, loading, error, open, className = '', full = false }: PerformanceProps) {
  const { zone, project, now } = useProject();
  const [key, setKey] = useState<string>();
  if (error) return <section className={`panel ${className}`}><Failure error={error} what="Performance cannot be shown" /></section>;
  if (loading) return <section className={`panel ${className}`}><Loading rows={11} /></section>;
  if (!course || course.windows.length === 0) {
    return (
      <Panel className={className} title="Performance">
        <Empty title="No window with outcomes yet" command="trimtab deployments outcomes NAME --in outcomes.jsonl">
          Performance needs the truth. It fills by itself as outcomes arrive{open ? `: ${count(open.known)} of ${count(open.rows)} rows of the open window are known` : ''}; until then the verdict is “not yet decided”, not “healthy”.
        </Empty>
      </Panel>
    );
  }
  const { windows } = course;
  const keys = measures.filter((k) => windows.some((w) => valueOf(w.live, k) !== null));
  const chosen = key && keys.includes(key) ? key : (keys[0] ?? 'auc');
  const binary = course.task === 'binary';
  const limit = limitsOf(course.when).find((l) => l.key === chosen);
  const live = windows.map((w) => valueOf(w.live, chosen));
  const frozen = windows.map((w) => valueOf(w.baseline, chosen));
  const expected = windows.map((w) => valueOf(w.live, 'mean_prediction'));
  const actual = windows.map((w) => valueOf(w.live, 'prevalence'));
  const share = (v: number) => `${fixed(v * 100)} %`;
  const first = windows[0];
  const last = windows[windows.length - 1];
  const typical = Math.round(windows.slice(0, -1).reduce((s, w) => s + w.n, 0) / Math.max(1, windows.length - 1)) || (last?.n ?? 0);
  const width7 = duration(project?.file.monitor?.performance?.window) || 'window';
  return (
    <Figure
      className={className} title="Performance" name={`Performance: ${metricName(chosen)}${binary ? ' and expected against actual' : ''}`}
      sub={`per ${width7 === '7 d' ? 'week' : width7}, n about ${count(typical)} outcomes each, ${days(first?.from ?? 0, Math.min(now(), (last?.to ?? 1) - 1), zone)}`}
      legend={
        <span className="row" style={{ gap: 12 }}>
          <span className="row wide" style={{ gap: 12 }}>
            <Legend role="subject" label="live" />
            <Legend role="compare" shape="dashed" label={`frozen, v${course.baselineVersion}`} />
            {binary && <Legend role="compare" shape="bar" label="actual" />}
          </span>
          {keys.length > 1 && <Segments label="Measure" value={chosen} options={keys.slice(0, full ? 8 : 3).map((k) => ({ value: k, label: metricName(k) }))} onChange={setKey} />}
        </span>
      }
      twin={{
        head: ['Window', 'Version', 'n', `${metricName(chosen)}, live`, 'low', 'high', 'frozen', ...(binary ? ['Expected', 'Actual'] : [])],
        rows: windows.map((w, i) => [days(w.from, w.to - 1, zone), `v${w.version}`, count(w.n), fixed(live[i], 3), fixed(boundOf(w.live, chosen, 'lo'), 3), fixed(boundOf(w.live, chosen, 'hi'), 3), fixed(frozen[i], 3), ...(binary ? [percent(expected[i], 1), percent(actual[i], 1)] : [])]),
      }}
      foot={<span>Band: 95 % interval. Open circle: window not judged yet. Dashed verticals: a version began. Triangle: alert. Cross: refused by the gate, or sent back by the canary. {limit === undefined && course.when ? `Off course when ${course.when}.` : ''}</span>}
    >
      {(width) => (
        <TimeChart
          name={`${metricName(chosen)} per window, live against the never retrained version${binary ? ', and expected against actual' : ''}`} width={width} windows={windows} marks={marks} zone={zone}
          panes={[
            {
              title: metricName(chosen), height: full ? 180 : 110, format: (v) => fixed(v, 2), exact: (v) => fixed(v, 3),
              limits: limit ? [{ value: limit.value, label: `off ${limit.above ? 'above' : 'below'} ${fixed(limit.value, 2)}` }] : [],
              lines: [
                { label: 'live', role: 'subject', values: live, lo: windows.map((w) => boundOf(w.live, chosen, 'lo')), hi: windows.map((w) => boundOf(w.live, chosen, 'hi')) },
                { label: 'frozen', role: 'compare', values: frozen, dashed: true },
              ],
            },
            ...(binary
              ? [{
                  title: `${labelOf(project)}: expected and actual share`, height: full ? 130 : 90, format: share, include: [0],
                  bars: { label: 'actual', values: actual },
                  lines: [
                    { label: 'live', role: 'subject' as const, values: expected },
                    { label: 'frozen', role: 'compare' as const, values: windows.map((w) => valueOf(w.baseline, 'mean_prediction')), dashed: true },
                  ],
                }]
              : []),
          ]}
        />
      )}
    </Figure>
  );
}

/** Live minus frozen, month by month: the months in which the frozen model was better are shown too. */
function Difference({ course, loading, className = '' }: { course?: Course; loading: boolean; className?: string }) {
  const { zone } = useProject();
  const total = course ? totalOf(course) : undefined;
  const key = total?.key ?? 'log_loss';
  const months = useMemo(() => {
    const found = new Map<string, { name: string; n: number; live: number; frozen: number }>();
    for (const w of course?.windows ?? []) {
      const a = valueOf(w.live, key);
      const b = valueOf(w.baseline, key);
      if (a === null || b === null) continue;
      const middle = (w.from + w.to) / 2;
      const at = partsIn(middle, zone);
      const id = `${at.year}-${at.month}`;
      const m = found.get(id) ?? { name: monthName(middle, zone), n: 0, live: 0, frozen: 0 };
      m.n += w.n;
      m.live += a * w.n;
      m.frozen += b * w.n;
      found.set(id, m);
    }
    return [...found.values()].map((m) => ({ name: m.name, n: m.n, diff: (m.live - m.frozen) / m.n }));
  }, [course, key, zone]);
  if (loading) return <section className={`panel ${className}`}><Loading rows={9} /></section>;
  if (!course || !total || months.length === 0) return null;
  const { n, live, baseline: frozen } = total;
  const lower = direction(key) < 0;
  const better = course.windows.filter((w) => {
    const a = valueOf(w.live, key);
    const b = valueOf(w.baseline, key);
    return a !== null && b !== null && (lower ? a < b : a > b);
  }).length;
  const most = Math.max(...months.map((m) => Math.abs(m.diff)));
  return (
    <Panel className={className} title="Live minus frozen" sub={metricName(key).toLowerCase()}>
      <div className="body" style={{ paddingBottom: 8 }}>
        <div className="figure large">{signed(live - frozen)}</div>
        <div className="tiny third">{fixed(live, 3)} against {fixed(frozen, 3)}, n {count(n)}</div>
        <div className="tiny third">better in {better} of {plural(course.windows.length, 'window')}, {lower ? 'lower' : 'higher'} is better</div>
      </div>
      <Table
        label="Live minus frozen by month of the window" density="dense" rows={months} keyOf={(_, i) => i}
        columns={[
          { key: 'month', head: 'Month', cell: (m) => m.name },
          { key: 'n', head: 'n', right: true, cell: (m) => count(m.n) },
          { key: 'diff', head: 'Diff.', right: true, cell: (m) => signed(m.diff) },
          { key: 'bar', head: <span className="nowrap">better, worse</span>, cell: (m) => <SignedBar value={m.diff} most={most} width={64} invert={!lower} label={`${m.diff < 0 === lower ? 'better' : 'worse'} by ${fixed(Math.abs(m.diff), 3)}`} /> },
        ]}
      />
    </Panel>
  );
}

const driftWord = { ok: 'Steady', watch: 'Watch', drift: 'Drift', off: 'Drift', inconclusive: 'Too few' } as const;
const driftState = { ok: 'ok', watch: 'waiting', drift: 'attention', off: 'attention', inconclusive: 'inconclusive' } as const;
const wordLike = (kind: string) => kind === 'string' || kind === 'boolean';

function Drift({ view, query }: { view?: DriftView; query: { isPending: boolean; error: Error | null; refetch: () => unknown } }) {
  const { zone } = useProject();
  const search = useSearch({ strict: false }) as { column?: string };
  const navigate = useNavigate();
  const ranked = useMemo(() => [...(view?.columns ?? [])].sort((a, b) => b.rank - a.rank), [view]);
  const picked = ranked.find((c) => c.name === search.column) ?? ranked[0];
  const verdict = view?.verdict;
  const window = verdict ? days(instant(verdict.from) ?? 0, (instant(verdict.to) ?? 1) - 1, zone) : 'last window';
  const weighed = ranked.some((c) => c.importance !== undefined);
  const numbers = ranked.some((c) => c.mean !== undefined);
  const pick = (column: string) => void navigate({ to: '.', search: { column } as never, replace: true, resetScroll: false });
  const recent = view?.recent;
  const sudden = useMemo(() => new Map(recent?.columns?.map((c) => [c.name, c])), [recent]);
  const recentWindow = recent ? days(instant(recent.from) ?? 0, (instant(recent.to) ?? 1) - 1, zone) : '';
  const bars = picked?.histogram.bars ?? [];
  const asTime = picked?.kind === 'datetime' ? (v: number) => day(v / 1000, zone) : undefined;
  return (
    <div className="grid">
      <Panel className="s7" title="Drift from training" sub={verdict ? `${window} against the reference of v${verdict.version}, n ${count(verdict.n)}` : undefined} tools={weighed ? 'by PSI × importance' : 'by PSI'} foot={<span>Drift: the effect is over its floor and over the bar that chance reaches, after correction for many inputs, in enough windows. n counts independent values: rows that share a joined value count once.{recent && <> Sudden: {recentWindow} against the windows just before; the shift, in the unit of the input (shares: Jensen-Shannon), and its bar. {recent.summary}.</>}</span>}>
        <Await of={absent(query.error) ? { ...query, error: null, isPending: false } : query} what="Drift">
          {ranked.length === 0 ? (
            <Empty title="No window is judged yet">Inputs are counted on every request; the first comparison comes when the window is full.</Empty>
          ) : (
            <Table
              label="Input drift, ranked" density="dense" rows={ranked} keyOf={(c) => c.name} selected={(c) => c.name === picked?.name} onPick={(c) => pick(c.name)}
              columns={[
                { key: 'input', head: 'Input', cell: (c) => <button type="button" data-row className="btn quiet small mono" style={{ padding: 0, color: 'var(--ink)' }} aria-pressed={c.name === picked?.name} onClick={() => pick(c.name)}>{c.name}</button>, sort: (c) => c.name, first: 'ascending' },
                { key: 'psi', head: 'PSI', right: true, cell: (c) => <span className="strong">{fixed(c.psi, 2)}</span>, sort: (c) => c.psi },
                { key: 'history', head: `${plural(Math.max(0, ...ranked.map((c) => c.history.length)), 'window')}, log`, cell: (c) => (c.history.length > 1 ? <Sparkline values={c.history.map((h) => h.psi)} limit={c.bar} width={84} label={`PSI of ${c.name} over ${c.history.length} windows, now ${fixed(c.psi, 2)}, bar ${fixed(c.bar, 2)}`} /> : <span className="third small">first window</span>) },
                { key: 'over', head: 'Over bar', right: true, cell: (c) => (c.over_of ? `${c.over_in} of ${c.over_of}` : '–') },
                ...(numbers ? [{ key: 'mean', head: 'Mean', cell: (c: DriftLine) => (c.mean !== undefined && c.reference_mean !== undefined && c.kind !== 'datetime' ? <span className="second">{compact(c.reference_mean, 3)} → {compact(c.mean, 3)} {c.unit ?? ''}</span> : '') }] : []),
                { key: 'n', head: 'n', right: true, cell: (c) => count(Math.round(c.n_eff)), sort: (c) => c.n_eff },
                ...(weighed ? [{ key: 'importance', head: 'Gain', right: true, cell: (c: DriftLine) => percent(c.importance, 0), sort: (c: DriftLine) => c.importance }] : []),
                { key: 'state', head: 'Verdict', cell: (c) => <Status state={driftState[c.state]}>{driftWord[c.state]}</Status>, sort: (c) => c.state },
                ...(recent ? [{ key: 'sudden', head: 'Sudden', cell: (c: DriftLine) => <Sudden of={sudden.get(c.name)} />, sort: (c: DriftLine) => sudden.get(c.name)?.rank }] : []),
              ]}
            />
          )}
        </Await>
      </Panel>
      {picked && bars.length > 0 && (
        <Figure
          className="s5" title={<span className="mono">{picked.name}</span>} name={`${picked.name}: reference against current`} sub={[picked.unit, picked.kind, `PSI ${fixed(picked.psi, 2)}, bar ${fixed(picked.bar, 2)}`].filter(Boolean).join(', ')}
          twin={{ head: ['Bar', 'Reference', 'Current'], rows: bars.map((b): [string, string, string] => [b.special ?? b.word ?? `${compact(b.from)} to ${compact(b.to)}`, percent(b.reference, 2), percent(b.current, 2)]) }}
          foot={
            <>
              <Legend role="compare" shape="bar" label={`reference, n ${count(Math.round(picked.n_reference))}`} />
              <Legend role="subject" shape="outline" label={`${window}, n ${count(picked.n)}`} />
            </>
          }
        >
          {(width) => <OverlayHistogram name={`${picked.name}: reference filled, ${window} outlined`} width={width} bars={bars} unit={picked.unit} medians={wordLike(picked.kind) ? undefined : [picked.reference_median, picked.median]} format={asTime} height={220} />}
        </Figure>
      )}
    </div>
  );
}

/** How far an input moved from the windows just before, and the bar; in words when it broke with them. */
function Sudden({ of }: { of?: ColumnDrift }) {
  if (!of?.shift || of.state === 'inconclusive') return <span className="third small">too few</span>;
  const moved = <span className="second">{compact(of.shift.value, 2)} of {compact(of.bar, 2)} {of.unit ?? ''}</span>;
  return of.over ? <span className="row" style={{ gap: 6 }}><Status state={of.state === 'drift' ? 'attention' : 'waiting'}>{of.state === 'drift' ? 'Broke' : 'Watch'}</Status> {moved}</span> : moved;
}

function Quality({ name, latest }: { name: string; latest?: Verdict }) {
  const { zone } = useProject();
  const verdicts = useList<Verdict>(`monitors/${seg(name)}/verdicts?kind=quality&limit=60`);
  return (
    <div className="col">
      {latest && (
        <Panel label="Data quality now">
          <div className="verdict">
            <Icon name={latest.state === 'ok' ? 'pass' : latest.state === 'inconclusive' ? 'undecided' : 'attention'} className={latest.state === 'ok' ? 'ok' : 'warn'} />
            <div>
              <h2>{latest.summary}</h2>
              <p>{days(instant(latest.from) ?? 0, (instant(latest.to) ?? 1) - 1, zone)}, n {count(latest.n)}</p>
            </div>
          </div>
        </Panel>
      )}
      <Panel title="Data quality" sub="nulls, unseen values, out of range and volume of what was asked, by window">
        <Await of={verdicts} what="Data quality">
          {verdicts.items.length === 0 ? <Empty title="No window has closed yet">The first verdict comes at the end of the first quality window.</Empty> : <VerdictTable verdicts={verdicts.items} zone={zone} />}
        </Await>
      </Panel>
    </div>
  );
}

function Policy({ retrained, model }: { retrained?: RetrainView; model?: string }) {
  const { project } = useProject();
  const monitor = project?.file.monitor;
  const policy = retrained?.policy ?? project?.file.retrain;
  const rows: [string, string, string][] = [];
  if (monitor?.quality) rows.push(['Data quality', `window ${duration(monitor.quality.window)}`, `${monitor.quality.times ?? '1 of 1'} windows`]);
  if (monitor?.drift) rows.push(['Sudden drift', `window ${duration(monitor.quality?.window ?? monitor.drift.window)}, against those before`, `${(monitor.quality ? (monitor.quality.times ?? '1 of 1') : monitor.drift.times) ?? '2 of 3'} windows`]);
  if (monitor?.drift) rows.push(['Drift from training (a notice)', `window ${duration(monitor.drift.window)}`, `${monitor.drift.times ?? '2 of 3'} windows`]);
  if (monitor?.performance) rows.push(['Performance', `${monitor.performance.when}, window ${duration(monitor.performance.window)}`, `${monitor.performance.times ?? '2 of 3'} windows`]);
  return (
    <div className="grid">
      <Panel className="s7" title="What raises an alert" sub="from trimtab.yaml">
        <Table label="What raises an alert" rows={rows} keyOf={(r) => r[0]} columns={[{ key: 'a', head: 'Watched', cell: (r) => <span className="medium">{r[0]}</span> }, { key: 'b', head: 'Condition', fold: true, cell: (r) => <span className="mono">{r[1]}</span> }, { key: 'c', head: 'How often', cell: (r) => r[2] }]} />
      </Panel>
      <Panel className="s5" title="When it is trained again" sub="from trimtab.yaml">
        {policy ? (
          <dl className="body" style={{ display: 'grid', gridTemplateColumns: '96px 1fr', gap: '4px 12px' }}>
            <dt className="third">When</dt>
            <dd>{policy.when.map((w) => <span key={w} className="chip plain" style={{ marginRight: 4 }}>{w}</span>)}</dd>
            <dt className="third">Cooldown</dt>
            <dd>{duration(policy.cooldown) || 'none'}</dd>
            <dt className="third">Budget</dt>
            <dd>{policy.budget || 'no bound'}</dd>
          </dl>
        ) : (
          <Empty title="Only by hand" command={'retrain: {when: [performance], cooldown: 21d}'}>Add a retrain section to trimtab.yaml and apply it.</Empty>
        )}
      </Panel>
      <Panel className="s12" title="Triggers" sub="what asked for a training, newest first, and what held it back">
        {!retrained?.items?.length ? (
          <p className="body third">Nothing has asked for a training yet.</p>
        ) : (
          <Table
            label="Triggers" rows={retrained.items} keyOf={(t) => t.id}
            columns={[
              { key: 'at', head: 'When', cell: (t) => <When at={t.at} />, sort: (t) => t.at },
              { key: 'policy', head: 'Policy', cell: (t) => t.policy, sort: (t) => t.policy },
              { key: 'state', head: 'State', cell: (t) => <Status state={t.state} /> },
              { key: 'version', head: 'Version', cell: (t) => (t.version ? <VersionTag version={t.version} model={model} /> : '–') },
              { key: 'cause', head: 'Cause', fold: true, cell: (t) => <>{t.cause}{(t.held || t.note) && <div className="small third">{t.held || t.note}</div>}</> },
            ]}
          />
        )}
      </Panel>
    </div>
  );
}
