// The endpoint: who answers now and how each version does, what computes them, and where a shadow says something else.
import { useEffect, useRef, useState } from 'react';
import { seg } from '../api/client';
import { useRead } from '../api/queries';
import type { Disagreement, Engine, EnginesView, ShadowStats } from '../api/serving';
import type { Deployment } from '../api/types';
import { Figure } from '../charts/frame';
import { VersionKey, VersionLines, type VersionLine } from '../charts/versions';
import { bytes, compact, count, fixed, percent, plural, signed } from '../format/number';
import { courseOf, engineName } from '../format/serving';
import { instant } from '../format/time';
import { Icon } from '../parts/icons';
import { Panel, Tile } from '../parts/page';
import { WallAgo } from '../parts/project';
import { Await, Empty } from '../parts/states';
import { Status, VersionTag } from '../parts/status';
import { Table } from '../parts/table';
import { RoutePanel } from './route';

const pace = 2_000; // traffic changes without an event

export default function Endpoint({ deployment }: { deployment: Deployment }) {
  const d = useRead<Deployment>(`deployments/${seg(deployment.name)}`, { every: pace }).data ?? deployment;
  const engines = useRead<EnginesView>(`deployments/${seg(d.name)}/engines`, { every: pace });
  const items = engines.data?.items ?? [];
  return (
    <>
      <RoutePanel deployment={d} />
      <Await of={engines} what="What answers">
        {items.length === 0 ? (
          <Panel title="Versions"><Empty title={d.state === 'asleep' ? 'It sleeps' : 'No version is loaded'}>{d.state === 'asleep' ? 'It gave its memory to others; the next request loads it again.' : (d.problem ?? 'A version is loaded when the route names it.')}</Empty></Panel>
        ) : (
          <>
            <Live deployment={d} engines={items} slotSeconds={engines.data?.slot_seconds ?? 20} />
            {d.route?.shadow ? <Shadow deployment={d} /> : null}
            {items.map((e) => <EnginePanel key={e.version} deployment={d} engine={e} />)}
          </>
        )}
      </Await>
    </>
  );
}

const ms = (v: number | undefined) => (v !== undefined && v > 0 ? `${fixed(v, v < 10 ? 2 : 1)} ms` : '–');

/** The last five minutes, version by version. */
function Live({ deployment: d, engines, slotSeconds }: { deployment: Deployment; engines: Engine[]; slotSeconds: number }) {
  // Colours stay with the versions: the champion has the first, whatever else comes and goes.
  const ordered = [...engines].sort((a, b) => Number(b.version === d.route?.champion) - Number(a.version === d.route?.champion) || b.version - a.version);
  const label = (e: Engine) => `v${e.version}`;
  const courses = ordered.map((e) => ({ e, course: courseOf(e, slotSeconds) }));
  const minutes = (Math.max(1, (courses[0]?.course.rate.length ?? 1) - 1) * slotSeconds) / 60;
  const chart = (title: string, sub: string, pick: (c: ReturnType<typeof courseOf>) => (number | null)[], format: (v: number | null) => string, top = 0) => {
    const lines: VersionLine[] = courses.map(({ e, course }) => ({ label: label(e), values: pick(course) }));
    const at = ordered[0]?.course?.slice(0, -1) ?? [];
    return (
      <Figure
        className="s4" title={title} name={`${title} per version`} sub={sub} pad="0 12px 8px"
        twin={{ head: ['From', ...lines.map((l) => l.label)], rows: at.map((slot, i) => [new Date(slot.at).toLocaleTimeString(), ...lines.map((l) => format(l.values[i] ?? null))]) }}
      >
        {(width) => <VersionLines name={`${title} of ${lines.map((l) => l.label).join(', ')} in the last five minutes, ${sub}`} width={width} lines={lines} minutes={minutes} top={top} />}
      </Figure>
    );
  };
  return (
    <>
      <Panel title="Traffic by version" sub="the last 5 min, by the server’s clock" tools={<span className="wide">read every {pace / 1000} s</span>} foot={<span>Latency is per row, until its log record is written. Requests, and the mean times of queue and model, are since the server started; a request that two versions answer is counted with the champion.</span>}>
        <Table
          label="Traffic by version" rows={ordered} keyOf={(e) => e.version}
          columns={[
            { key: 'version', head: 'Version', cell: (e, i) => <span className="row" style={{ gap: 8 }}><VersionKey index={i} label="" /><VersionTag version={e.version} model={d.model} subject={e.version === d.route?.champion} /></span> },
            { key: 'roles', head: 'Does', cell: (e) => (e.roles?.length ? e.roles.join(', ') : <span className="third">loaded, asked by number</span>) },
            { key: 'rows', head: 'Rows', right: true, cell: (e) => count(d.versions[e.version]?.recent.requests), sort: (e) => d.versions[e.version]?.recent.requests },
            { key: 'errors', head: 'Errors', right: true, cell: (e) => { const r = d.versions[e.version]?.recent; return r?.errors ? <span className="bad">{count(r.errors)}, {percent(r.error_rate, 1)}</span> : '0'; } },
            { key: 'p50', head: 'p50', right: true, cell: (e) => ms(d.versions[e.version]?.recent.p50_ms) },
            { key: 'p99', head: 'p99', right: true, cell: (e) => <span className="strong">{ms(d.versions[e.version]?.recent.p99_ms)}</span> },
            { key: 'requests', head: 'Requests', right: true, cell: (e) => <>{e.requests.answered ? count(e.requests.answered) : '–'}{e.requests.failed > 0 && <span className="bad">, {count(e.requests.failed)} failed</span>}</> },
            { key: 'queue', head: 'Queue', right: true, cell: (e) => ms(e.requests.queue_ms) },
            { key: 'score', head: 'Model', right: true, cell: (e) => ms(e.requests.score_ms) },
            { key: 'last', head: 'Last asked', cell: (e) => <WallAgo at={e.requests.last} /> },
          ]}
        />
      </Panel>
      <div className="grid">
        {chart('Rows', 'a second', (c) => c.rate, (v) => fixed(v, 2))}
        {chart('Latency p99', 'ms per row', (c) => c.p99, (v) => (v === null ? '–' : fixed(v, 3)))}
        {chart('Errors', 'per cent of rows', (c) => c.errors.map((v) => (v === null ? null : v * 100)), (v) => (v === null ? '–' : fixed(v, 2)), 1)}
      </div>
    </>
  );
}

/** One version's engine: processes, what holds them in, and what the model wrote. */
function EnginePanel({ deployment: d, engine: e }: { deployment: Deployment; engine: Engine }) {
  const workers = e.workers ?? [];
  const rungs = e.isolated ?? [];
  const log = e.log ?? [];
  const own = workers.length === 0 && rungs.length === 0;
  const broken = rungs.filter((r) => !r.holds).length;
  return (
    <Panel
      label={`Engine of v${e.version}`} title={<span className="row" style={{ gap: 8 }}>{engineName(e.engine)} <VersionTag version={e.version} model={d.model} subject={e.version === d.route?.champion} /></span>}
      sub={[e.reason, e.format && e.format !== 'trimtab' ? `format ${e.format}` : ''].filter(Boolean).join('; ')} tools={<Status state={e.state === 'broken' ? 'failed' : e.state === 'starting' ? 'running' : 'ready'}>{e.state === 'broken' ? 'Broken' : e.state === 'starting' ? 'Starting' : 'Ready'}</Status>}
    >
      {e.broken && <p className="body bad row" style={{ gap: 8 }}><Icon name="failed" /> {e.broken}</p>}
      {own ? (
        <p className="body second small">{bytes(e.memory_bytes)} in the server’s own process{e.requests.asked ? `; asked ${count(e.requests.asked)} times` : ''}{e.requests.cache_hits ? `, ${count(e.requests.cache_hits)} answers came from the cache` : ''}.</p>
      ) : (
        <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>
          <Tile label="Memory" value={bytes(e.memory_bytes)} />
          <Tile label="Processes" value={count(workers.length)} />
          <Tile label="Asked" value={count(e.requests.asked)} notes={[{ text: e.requests.cache_hits ? `${count(e.requests.cache_hits)} more from the cache` : 'times' }]} />
          <Tile label="Waiting" value={count(e.queued)} notes={[{ text: 'requests' }]} />
          <Tile label="Restarts" value={count(e.restarts)} notes={e.since ? [{ text: 'since it was loaded' }] : []} />
        </div>
      )}
      {workers.length > 0 && (
        <div style={{ borderTop: '1px solid var(--line)' }}>
          <Table
            label={`Processes of v${e.version}`} density="dense" rows={workers} keyOf={(w) => w.pid}
            columns={[
              { key: 'pid', head: 'Process', cell: (w) => <span className="mono">{w.pid}</span> },
              { key: 'state', head: 'State', cell: (w) => <Status state={w.state === 'ready' || w.state === 'busy' ? 'ready' : 'waiting'}>{w.state.charAt(0).toUpperCase() + w.state.slice(1)}</Status> },
              { key: 'memory', head: 'Memory', right: true, cell: (w) => bytes(w.memory_bytes), sort: (w) => w.memory_bytes },
              { key: 'requests', head: 'Requests', right: true, cell: (w) => count(w.requests), sort: (w) => w.requests },
              { key: 'started', head: 'Started', cell: (w) => <WallAgo at={w.started_at} /> },
            ]}
          />
        </div>
      )}
      {!own && workers.length === 0 && <p className="body third small">No process runs now; the next request starts one.</p>}
      {rungs.length > 0 && (
        <div style={{ borderTop: '1px solid var(--line)' }}>
          <p className="body small second" style={{ padding: '8px 16px 4px' }}>
            {broken === 0 ? `All ${rungs.length} measures of the sandbox hold` : `${plural(broken, 'measure')} of ${rungs.length} of the sandbox ${broken === 1 ? 'does' : 'do'} not hold`}
          </p>
          <ul className="rungs">
            {rungs.map((r) => (
              <li key={r.name}>
                <Icon name={r.holds ? 'pass' : 'attention'} className={r.holds ? 'ok' : 'warn'} />
                <span>{r.name}{!r.holds && <span className="hidden">, does not hold</span>}{r.reason && <span className="third small"> {r.reason}</span>}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
      {log.length > 0 && (
        <div className="body" style={{ borderTop: '1px solid var(--line)', paddingTop: 8 }}>
          <h3 className="small second" style={{ marginBottom: 4 }}>The model wrote, last {plural(log.length, 'line')}</h3>
          <LogTail name={`Log of v${e.version}`} lines={log} />
        </div>
      )}
    </Panel>
  );
}

/** Lines of a log, the newest in sight. */
function LogTail({ name, lines }: { name: string; lines: string[] }) {
  const ref = useRef<HTMLPreElement>(null);
  const text = lines.join('\n');
  useEffect(() => {
    if (ref.current) ref.current.scrollTop = ref.current.scrollHeight;
  }, [text]);
  return <pre ref={ref} className="snippet" style={{ maxHeight: 168 }} tabIndex={0} role="log" aria-label={name} aria-live="off">{text}</pre>;
}

/** Probabilities and their differences line up; greater values keep what matters of them. */
const score = (v: number) => (Math.abs(v) <= 1 ? fixed(v, 4) : compact(v, 6));

/** The shadow and the champion on the same rows. */
function Shadow({ deployment: d }: { deployment: Deployment }) {
  const shadow = useRead<ShadowStats>(`deployments/${seg(d.name)}/shadow`, { every: pace });
  const s = shadow.data;
  const [all, setAll] = useState(false);
  const worst = s?.disagreements ?? [];
  const since = instant(s?.since);
  return (
    <Panel
      title="Shadow" sub={s ? `v${s.version} was asked what v${s.against} was asked; nobody saw its answers` : undefined}
      tools={since !== undefined && <span className="wide">since <WallAgo at={s?.since} /></span>}
      foot={s && s.rows > 0 && <><span>|difference| of probabilities (half the sum over the classes), or of values; rank correlation is Spearman’s over the last {count(s.rank_rows)} rows; intervals 95 %</span>{s.waiting > 0 && <span className="push">{plural(s.waiting, 'request')} waiting</span>}</>}
    >
      <Await of={shadow} what="The shadow" rows={3}>
        {!s || s.rows + s.errors === 0 ? (
          <Empty title="The shadow has answered nothing yet">Its answers are compared as soon as requests arrive.</Empty>
        ) : (
          <>
            <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>
              <Tile label="Rows" value={count(s.rows)} notes={[{ text: `compared; ${percent(d.route?.shadow_share, 0)} of requests` }, ...(s.dropped ? [{ text: `${count(s.dropped)} not compared: it did not keep up` }] : [])]} />
              <Tile label="Other decision" value={percent(s.rows ? s.flips / s.rows : undefined, 2)} notes={[{ text: `${count(s.flips)} of ${count(s.rows)} rows` }]} />
              <Tile label="Difference" value={fixed(s.mean_difference, 4)} notes={[{ text: 'mean of |difference|' }, { text: `greatest ${fixed(s.greatest_difference, 4)}` }]} />
              <Tile label="Shift" value={signed(s.mean_shift, 4)} notes={[{ text: 'mean, shadow less champion' }, { text: `${signed(s.mean_shift_lo, 4)} to ${signed(s.mean_shift_hi, 4)}` }]} />
              <Tile label="Rank order" value={s.rank_rows > 2 ? fixed(s.rank_correlation, 3) : '–'} notes={s.rank_rows > 2 ? [{ text: 'correlation' }, { text: `${fixed(s.rank_correlation_lo, 3)} to ${fixed(s.rank_correlation_hi, 3)}` }] : []} />
              <Tile label="Errors" value={count(s.errors)} notes={s.errors ? [{ text: s.last_error ?? '', tone: 'bad' }] : [{ text: 'rows it alone could not answer' }]} />
              <Tile label="Latency p99" value={fixed(s.p99_ms, 2)} unit="ms" notes={[{ text: `champion ${fixed(s.champion_p99_ms, 2)} ms` }]} />
            </div>
            {worst.length > 0 ? (
              <div style={{ borderTop: '1px solid var(--line)' }}>
                <Table
                  label="Greatest disagreements" density="dense" rows={all ? worst : worst.slice(0, 6)} keyOf={(r) => `${r.prediction_id} ${r.key}`}
                  columns={[
                    { key: 'id', head: 'Prediction', cell: (r: Disagreement) => <span className="mono" title={r.prediction_id}>{r.prediction_id.slice(-8)}</span> },
                    { key: 'key', head: 'Key', cell: (r) => <span className="clip" style={{ display: 'inline-block', maxWidth: 160 }} title={r.key}>{r.key === r.prediction_id ? '–' : r.key}</span> },
                    { key: 'champion', head: `v${s.against}`, right: true, cell: (r) => <>{score(r.champion)}{r.label && <span className="third"> {r.label}</span>}</> },
                    { key: 'shadow', head: `v${s.version}`, right: true, cell: (r) => <span className="strong">{score(r.shadow)}{r.shadow_label && <span className={r.shadow_label === r.label ? 'third' : 'warn'}> {r.shadow_label}</span>}</span> },
                    { key: 'difference', head: '|Difference|', right: true, cell: (r) => score(r.difference), sort: (r) => r.difference },
                    { key: 'flip', head: 'Decision', cell: (r) => (r.label !== r.shadow_label ? <Status state="attention">Another</Status> : <span className="third">the same</span>) },
                  ]}
                />
                {worst.length > 6 && <div className="body" style={{ paddingTop: 8 }}><button type="button" className="btn small" onClick={() => setAll(!all)}>{all ? 'Show the greatest 6' : `Show all ${worst.length}`}</button></div>}
              </div>
            ) : <p className="body third">Every row so far got the same answer.</p>}
          </>
        )}
      </Await>
    </Panel>
  );
}
