// Deployments: who gets which version, whether the canary holds, what was answered and what came true.
import { lazy, Suspense, useMemo, useState } from 'react';
import { Link, useParams } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useAct, useList, useRead } from '../api/queries';
import { coverage, p99, useDeployment, useDeployments, useRollouts } from '../api/reads';
import type { Check, Deployment, Event, LogRow, ReferenceFile, Rollout, VersionDetail } from '../api/types';
import { armsOf } from '../charts/armdata';
import { Figure, Legend } from '../charts/frame';
import { Forest } from '../charts/forest';
import { ScoreOverlay } from '../charts/distribution';
import { ArmBars, ArmLines, type Series } from '../charts/arms';
import { compact, count, fixed, percent, plural, signed, signedRange } from '../format/number';
import { sharesOf } from '../format/serving';
import { instant, longMoment, moment, span } from '../format/time';
import { Ask } from '../parts/ask';
import { Command } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel, Tile } from '../parts/page';
import { useProject, When } from '../parts/project';
import { Await, Empty, Failure, Loading, Progress } from '../parts/states';
import { Chip, Status, Told, VersionTag } from '../parts/status';
import { Table } from '../parts/table';
import { EventLine } from '../parts/timeline';
import { SplitBar } from '../parts/split';
import { TryIt } from '../parts/tryit';
import { Traffic } from './home';

// Seen by those who open its tab.
const Endpoint = lazy(() => import('./endpoint'));

export function DeploymentsPage() {
  const { name } = useProject();
  const deployments = useDeployments(name, true);
  return (
    <Page title="Deployments" crumbs={[{ label: 'Deployments' }]} actions={<Command show={{ cli: 'trimtab deployments ls', api: 'deployments' }} />}>
      <Panel label="Deployments">
        <Await of={deployments} what="Deployments">
          {deployments.items.length === 0 ? (
            <Empty title="Nothing is served yet" command="trimtab apply">A deployment appears by itself when the first version passes its gate.</Empty>
          ) : (
            <Table
              label="Deployments" rows={deployments.items} keyOf={(d) => d.name}
              columns={[
                { key: 'name', head: 'Name', cell: (d) => <Link data-row className="medium" to="/deployments/$name/$tab" params={{ name: d.name, tab: 'rollout' }}>{d.name}</Link>, sort: (d) => d.name, first: 'ascending' },
                { key: 'model', head: 'Model', cell: (d) => <Link className="link" to="/models/$model" params={{ model: d.model }}>{d.model}</Link> },
                { key: 'traffic', head: 'Traffic', cell: (d) => <Traffic deployment={d} /> },
                { key: 'requests', head: 'Predictions', right: true, cell: (d) => count(d.stats.predictions), sort: (d) => d.stats.predictions },
                { key: 'failed', head: 'Failed', right: true, cell: (d) => count(d.stats.failed) },
                { key: 'lost', head: 'Lost', right: true, cell: (d) => count(d.stats.lost) },
                { key: 'p99', head: 'p99, 5 min', right: true, cell: (d) => (p99(d) !== undefined ? `${fixed(p99(d), 1)} ms` : '–'), sort: p99 },
                { key: 'labeled', head: 'Outcomes', right: true, cell: (d) => (coverage(d) !== undefined ? `${count(d.stats.labeled)}, ${percent(coverage(d), 1)} known` : '–') },
                { key: 'log', head: 'Log level', cell: (d) => d.log_level },
                { key: 'updated', head: 'Changed', cell: (d) => <When at={d.updated_at} />, sort: (d) => d.updated_at },
                { key: 'state', head: 'State', cell: (d) => <Status state={d.route?.canary ? (d.route.paused ? 'paused' : 'canary') : d.state} /> },
              ]}
            />
          )}
        </Await>
      </Panel>
    </Page>
  );
}

type Dialog = 'promote' | 'pause' | 'resume' | 'abort' | null;

export function DeploymentPage() {
  const { name = '', tab = 'rollout' } = useParams({ strict: false });
  const { name: project, zone, now } = useProject();
  const deployment = useDeployment(name);
  const rollouts = useRollouts(name);
  const [dialog, setDialog] = useState<Dialog>(null);
  const act = useAct<{ verb: string; reason: string }>(({ verb }) => `deployments/${seg(name)}/rollout/${verb}`);
  const d = deployment.data;
  const active = rollouts.active;
  const open = active?.checks?.filter((c) => c.verdict !== 'pass').length ?? 0;
  const paused = active?.state === 'paused' || d?.route?.paused;
  const run = (verb: string) => (reason: string) => act.mutateAsync({ verb, reason });

  return (
    <Page
      title={name} name={`${name}, deployment`} crumbs={[{ label: 'Deployments', to: '/deployments' }, { label: name }]}
      mark={d && (active ? <Chip state={paused ? 'paused' : 'canary'}>{paused ? 'Paused' : 'Canary'}, step {active.step + 1} of {active.steps?.length ?? 0}</Chip> : <Chip state={d.route?.champion ? 'live' : 'empty'} />)}
      facts={
        d && (
          <>
            <span><b>{count(d.stats.predictions)}</b> predictions since {moment(instant(d.stats.since) ?? 0, zone, now())}</span>
            <span><b>{count(d.stats.failed)}</b> failed</span>
            <span><b>{count(d.stats.lost)}</b> lost</span>
            <span><b>{count(d.stats.labeled)}</b> outcomes{coverage(d) !== undefined && `, ${percent(coverage(d), 1)} known`}</span>
            {p99(d) !== undefined && <span>p99 <b>{fixed(p99(d), 1)} ms</b> in 5 min</span>}
            <span className="mono">/v2/models/{d.name}/infer</span>
          </>
        )
      }
      actions={
        <>
          <Command show={tab === 'log' ? { cli: `trimtab deployments log ${name} --out ${name}.parquet`, api: `deployments/${seg(name)}/log?limit=100` } : { cli: `trimtab deployments show ${name}`, api: `deployments/${seg(name)}/rollout` }} />
          {active && (
            <>
              <button type="button" className="btn danger" onClick={() => setDialog('abort')}>Abort…</button>
              {paused ? (
                <button type="button" className="btn" onClick={() => setDialog('resume')}><Icon name="play" /> Resume…</button>
              ) : (
                <button type="button" className="btn" onClick={() => setDialog('pause')}><Icon name="pause" /> Pause…</button>
              )}
              <button type="button" className={`btn ${open === 0 && active.checks?.length ? 'primary' : ''}`} onClick={() => setDialog('promote')}>Promote to 100 %…</button>
            </>
          )}
        </>
      }
      tabs={[
        { label: 'Rollout', to: `/deployments/${name}/rollout`, current: tab === 'rollout' },
        { label: 'Endpoint', to: `/deployments/${name}/endpoint`, current: tab === 'endpoint' },
        { label: 'Log', to: `/deployments/${name}/log`, current: tab === 'log' },
        { label: 'Outcomes', to: `/deployments/${name}/outcomes`, current: tab === 'outcomes' },
        { label: 'History', to: `/deployments/${name}/history`, current: tab === 'history', n: rollouts.past.length },
      ]}
    >
      {deployment.error ? (
        <section className="panel"><Failure error={deployment.error} what="The deployment cannot be shown" retry={() => void deployment.refetch()} /></section>
      ) : !d ? (
        <section className="panel"><Loading rows={8} /></section>
      ) : tab === 'endpoint' ? (
        <div className="grid">
          <div className="s8 col"><Suspense fallback={<section className="panel"><Loading rows={8} /></section>}><Endpoint deployment={d} /></Suspense></div>
          <div className="s4 col"><TryPanel deployment={d} /></div>
        </div>
      ) : tab === 'log' ? (
        <Log deployment={d} />
      ) : tab === 'outcomes' ? (
        <Outcomes deployment={d} />
      ) : tab === 'history' ? (
        <History deployment={d} past={rollouts.past} loading={rollouts.isPending} />
      ) : (
        <div className="grid">
          <div className="s8 col">
            <TrafficPanel deployment={d} rollout={active} />
            <Await of={rollouts} what="The rollout">
              {active ? <Checks rollout={active} /> : <NoRollout deployment={d} last={rollouts.past[0]} />}
              <Arms deployment={d} />
            </Await>
          </div>
          <div className="s4 col">
            <TryPanel deployment={d} />
            <RecentEvents project={project} name={name} />
          </div>
        </div>
      )}

      <Ask
        open={dialog === 'promote'} onClose={() => setDialog(null)} title={`Promote v${active?.to} to all traffic?`} act="Promote" stay="Keep the canary"
        danger={open > 0}
        happens={open > 0 ? `${plural(open, 'check')} of ${active?.checks?.length ?? 0} ${open === 1 ? 'does' : 'do'} not pass yet. v${active?.to} takes all traffic now and becomes champion.` : `v${active?.to} takes all traffic now and becomes champion.`}
        kept={`v${active?.from} stays loaded: a rollback is one pointer. Promoting against the evidence is kept in the audit log.`}
        run={run('promote')}
      />
      <Ask open={dialog === 'pause'} onClose={() => setDialog(null)} title="Pause the rollout?" act="Pause" stay="Keep running" happens={`The canary keeps its ${percent(d?.route?.canary_share ?? 0, 0)} of traffic, and no step is taken until it is resumed.`} run={run('pause')} />
      <Ask open={dialog === 'resume'} onClose={() => setDialog(null)} title="Resume the rollout?" act="Resume" stay="Stay paused" happens="The next step is taken as soon as its checks pass." run={run('resume')} />
      <Ask
        open={dialog === 'abort'} onClose={() => setDialog(null)} title={`Send v${active?.to} back?`} act="Send back" stay="Keep running" danger
        happens={`v${active?.from} takes all traffic at once.`} kept={`v${active?.to}, its log and its outcomes are kept; it can be rolled out again.`} run={run('abort')}
      />
    </Page>
  );
}

function TrafficPanel({ deployment, rollout }: { deployment: Deployment; rollout?: Rollout }) {
  const { route } = deployment;
  const shares = sharesOf(route);
  const seen = rollout?.steps?.[rollout.step]?.seen;
  if (!route?.champion) {
    return (
      <Panel title="Traffic">
        <Empty title="No version serves yet" command="trimtab apply">The first version that passes its gate takes all traffic.</Empty>
      </Panel>
    );
  }
  return (
    <Panel title="Traffic" sub={shares.length > 1 ? `set ${shares.map((s) => fixed(s.share * 100)).join(' : ')}${route.canary && seen !== undefined ? `, n ${count(seen)} canary requests in this step` : ''}` : 'all to the champion'} tools={<span className="wide">sticky by hashed key</span>}>
      <div className="body">
        <SplitBar shares={shares} />
        {rollout && <Steps rollout={rollout} />}
      </div>
    </Panel>
  );
}

function Steps({ rollout }: { rollout: Rollout }) {
  const { zone, now } = useProject();
  const steps = rollout.steps ?? [];
  return (
    <ol className="steps" aria-label="Steps of the rollout">
      {steps.map((s, i) => {
        const done = i < rollout.step || !!s.ended_at;
        const running = !done && i === rollout.step;
        const from = instant(s.started_at);
        const to = instant(s.ended_at);
        const hold = s.hold_ns ? s.hold_ns / 1e6 : undefined;
        const held = from === undefined ? 0 : (to ?? now()) - from;
        const goal = s.requests ? `${count(s.seen)} of ${count(s.requests)} requests` : hold ? `${span(Math.max(0, held))} of ${span(hold)}` : '';
        return (
          <li key={i} aria-current={running ? 'step' : undefined}>
            <span className={done ? 'ok' : running ? 'acc' : 'third'}><Icon name={done ? 'pass' : running ? 'running' : 'waiting'} /></span>
            <div>
              <div className="what">
                <b>{percent(s.share, 0)}</b>
                <span className="second small nowrap">{done ? `${count(s.seen)} requests` : running ? goal : i === steps.length - 1 ? 'then champion' : s.requests ? `${count(s.requests)} requests` : hold ? span(hold) : ''}</span>
              </div>
              {done && from !== undefined && <>{moment(from, zone, now())}{to !== undefined && <> to {moment(to, zone, now())}</>}</>}
              {running && from !== undefined && (
                <>
                  since {moment(from, zone, now())}
                  <Progress value={s.requests ? s.seen / s.requests : hold ? held / hold : undefined} label={`Step ${i + 1}, ${percent(s.share, 0)}`} />
                </>
              )}
              {!done && !running && 'when the step before is full and no check fails'}
            </div>
          </li>
        );
      })}
    </ol>
  );
}

const isShare = (c: Check) => (c.unit ?? '').startsWith('share');

function figure(c: Check, v: number | undefined): string {
  if (v === undefined) return '–';
  if (isShare(c)) return percent(v, v === 0 ? 0 : 1);
  if (c.unit === 'ms') return `${fixed(v, 2)} ms`;
  return fixed(v, 3);
}

function interval(c: Check): string {
  const d = c.difference;
  if (d?.lo === undefined || d.hi === undefined) return '';
  if (isShare(c)) return `${fixed(d.lo * 100, 1)} to ${percent(d.hi, 1)}`;
  if (c.unit === 'ms') return `${fixed(d.lo, 2)} to ${fixed(d.hi, 2)}`;
  return signedRange(d.lo, d.hi);
}

/** The limit lines of a check: both sides for ±, none where the limit is said elsewhere. */
function bounds(c: Check): number[] {
  if (!c.bound) return [];
  return c.limit.startsWith('±') ? [-c.bound, c.bound] : [c.bound];
}

const verdictWord: Record<Check['verdict'], string> = { pass: 'Pass', fail: 'Fail', waiting: 'Too few yet', inconclusive: 'Not yet' };

function Checks({ rollout }: { rollout: Rollout }) {
  const { zone, now } = useProject();
  const checks = rollout.checks ?? [];
  const passed = checks.filter((c) => c.verdict === 'pass').length;
  const failed = checks.filter((c) => c.verdict === 'fail').length;
  const title = failed ? `${plural(failed, 'check')} failed` : checks.length && passed === checks.length ? `All ${passed} checks pass` : `Not yet decided: ${passed} of ${checks.length} checks pass`;
  const state = failed ? 'failed' : passed === checks.length && checks.length ? 'pass' : 'undecided';
  return (
    <Panel label="Champion against canary" foot={<><span>n: canary requests; rank correlation, mean score and log loss are of requests that both versions scored</span>{rollout.abort_when && <span className="push">sent back when <span className="mono">{rollout.abort_when}</span></span>}</>}>
      <div className="verdict">
        <Icon name={state} className={state === 'pass' ? 'ok' : state === 'failed' ? 'bad' : 'warn'} />
        <div>
          <h2>{title}</h2>
          {rollout.summary && rollout.summary !== title && <p><Told text={rollout.summary} subject={rollout.to} /></p>}
        </div>
        {rollout.checked_at && <span className="third small wide">as of {moment(instant(rollout.checked_at) ?? 0, zone, now())}</span>}
      </div>
      {checks.length === 0 ? (
        <Empty title="No check has run yet">The first runs when the canary has answered some requests.</Empty>
      ) : (
        <Table
          label="Champion against canary" rows={checks} keyOf={(c) => c.name}
          columns={[
            { key: 'check', head: 'Check', cell: (c) => (c.name === 'abort_when' ? <span className="mono">abort_when</span> : <span className="medium">{c.name}</span>) },
            { key: 'champion', head: `v${rollout.from}`, right: true, cell: (c) => figure(c, c.champion) },
            { key: 'canary', head: `v${rollout.to}`, right: true, cell: (c) => <span className="strong">{figure(c, c.canary)}</span> },
            {
              key: 'diff', head: 'Difference, 95 % interval',
              cell: (c) =>
                c.difference ? (
                  <Forest
                    label={`${c.name}: ${signed(c.difference.value)}, interval ${interval(c) || 'unknown'}, limit ${c.limit}`} value={c.difference.value} lo={c.difference.lo} hi={c.difference.hi}
                    limits={bounds(c)} width={112} hollow={c.verdict === 'inconclusive' || c.verdict === 'waiting'}
                  />
                ) : (
                  <span className="third small">{c.note ?? ''}</span>
                ),
            },
            { key: 'interval', head: <span className="hidden">Interval</span>, cell: (c) => <span className="interval">{interval(c)}</span> },
            { key: 'limit', head: 'Limit', cell: (c) => (c.limit === 'abort_when' ? <span className="mono third">abort_when</span> : c.name === 'abort_when' ? <span className="third">as below</span> : c.limit) },
            { key: 'n', head: 'n', right: true, cell: (c) => count(c.n) },
            { key: 'state', head: 'Verdict', cell: (c) => <span title={c.note}><Status state={c.verdict}>{verdictWord[c.verdict]}</Status></span> },
          ]}
        />
      )}
    </Panel>
  );
}

function NoRollout({ deployment, last }: { deployment: Deployment; last?: Rollout }) {
  const { zone, now } = useProject();
  if (!deployment.route?.champion) return null;
  return (
    <Panel label="Rollout">
      <div className="verdict">
        <Icon name={last?.state === 'aborted' ? 'back' : 'pass'} className={last?.state === 'aborted' ? 'bad' : 'ok'} />
        <div>
          <h2>
            No rollout is running; <VersionTag version={deployment.route.champion} model={deployment.model} subject /> answers everything
          </h2>
          <p>
            {last ? (
              <>
                The last one, of <VersionTag version={last.to} model={deployment.model} />, was {last.state === 'aborted' ? 'sent back' : last.state}
                {last.ended_at && ` on ${moment(instant(last.ended_at) ?? 0, zone, now())}`}
                {last.reason ? `: ${last.reason}` : '.'}
              </>
            ) : (
              'The next version that passes its gate starts one by itself.'
            )}
          </p>
        </div>
      </div>
    </Panel>
  );
}

function seriesTwin(series: Series, format: (v: number | null) => string, zone: string) {
  return { head: ['From', 'Champion', 'Canary'], rows: series.at.map((at, i) => [moment(at, zone), format(series.champion[i] ?? null), format(series.canary[i] ?? null)]) };
}

/** Requests, latency and scores of the newest predictions, both arms. */
function Arms({ deployment }: { deployment: Deployment }) {
  const { zone } = useProject();
  const log = useList<LogRow>(`deployments/${seg(deployment.name)}/log?limit=1000`, { enabled: !!deployment.route?.champion });
  const alone = !deployment.route?.canary;
  // Without a canary the champion is the subject of the page: it takes the subject's colour.
  const data = useMemo(() => armsOf(alone ? log.items.map((r) => ({ ...r, arm: 'canary' as const })) : log.items), [log.items, alone]);
  if (!data) return null;
  const a = alone ? undefined : `v${deployment.route?.champion}`;
  const b = `v${deployment.route?.canary || deployment.route?.champion}`;
  const { scores } = data;
  const slot = data.requests.at.length > 1 ? (data.requests.at[1] as number) - (data.requests.at[0] as number) : 3_600_000;
  const of = `newest ${count(data.rows)}`;
  return (
    <div className="grid">
      <Figure className="s4" title="Requests" name={`Requests per ${span(slot)}`} sub={`per ${span(slot)}`} twin={seriesTwin(data.requests, (v) => count(v), zone)} pad="0 12px 8px" foot={<>{a && <Legend role="compare" shape="bar" label={a} />}<Legend role="subject" shape="bar" label={b} /><span className="push">{of}</span></>}>
        {(width) => <ArmBars name={`Requests per ${span(slot)}, champion and canary stacked`} width={width} series={data.requests} zone={zone} />}
      </Figure>
      <Figure className="s4" title="Latency p99" name={`Latency p99 per ${span(slot)}`} sub={`ms per ${span(slot)}`} twin={seriesTwin(data.latency, (v) => (v === null ? '–' : fixed(v, 2)), zone)} pad="0 12px 8px" foot={<>{a && <Legend role="compare" label={a} />}<Legend role="subject" label={b} /><span className="push">{of}</span></>}>
        {(width) => <ArmLines name={`Latency p99 in ms per ${span(slot)}, champion and canary`} width={width} series={data.latency} zone={zone} />}
      </Figure>
      <Figure
        className="s4" title="Score" name="Score distribution" sub="share of requests" pad="0 12px 8px"
        twin={{ head: ['From', a ?? 'champion', b], rows: scores.champion.map((v, i) => [fixed(scores.edges[i], 3), percent(v, 1), percent(scores.canary[i] ?? 0, 1)]) }}
        foot={<>{a && <Legend role="compare" shape="bar" label={`${a}, n ${count(scores.championN)}`} />}<Legend role="subject" shape="outline" label={`${b}, n ${count(scores.canaryN)}`} /></>}
      >
        {(width) => <ScoreOverlay name="Scores of the champion's and the canary's requests" width={width} edges={scores.edges} compare={scores.champion} subject={scores.canaryN ? scores.canary : []} means={[scores.championMean, scores.canaryMean]} />}
      </Figure>
    </div>
  );
}

function TryPanel({ deployment }: { deployment: Deployment }) {
  const version = deployment.route?.canary || deployment.route?.champion;
  const path = `models/${seg(deployment.model)}/versions/${version}`;
  const detail = useRead<VersionDetail>(path, { enabled: !!version });
  const known = !!detail.data?.files?.some((f) => f.path === 'reference.json'); // a version of another library has none
  const reference = useRead<ReferenceFile>(`${path}/files/reference.json`, { enabled: known });
  if (!version) return null;
  return (
    <Await of={{ ...detail, isPending: detail.isPending || (known && reference.isPending) }} what="The form" rows={6}>
      {detail.data?.signature ? <TryIt key={`${deployment.name} ${version}`} deployment={deployment} version={detail.data} reference={reference.data} /> : null}
    </Await>
  );
}

function RecentEvents({ project, name }: { project: string; name: string }) {
  const { zone, now } = useProject();
  const events = useList<Event>(`events?project=${project}&limit=60`, { enabled: !!project });
  const own = events.items.filter((e) => e.subject.includes(name) && /rollout|deployment|version|alert|promot|abort/.test(e.kind)).slice(0, 7);
  return (
    <Panel title="Events" tools={<Link className="link" to="/events">All</Link>}>
      <Await of={events} what="Events" rows={4}>
        {own.length === 0 ? <p className="body third">Nothing happened here yet.</p> : <ul className="timeline">{own.map((e) => <EventLine key={e.id} event={e} when={moment(instant(e.at) ?? 0, zone, now())} />)}</ul>}
      </Await>
    </Panel>
  );
}

function Log({ deployment }: { deployment: Deployment }) {
  const { zone, now } = useProject();
  const log = useList<LogRow>(`deployments/${seg(deployment.name)}/log?limit=100`, { every: 10_000 });
  const [open, setOpen] = useState<string>();
  const picked = log.items.find((r) => r.id === open);
  const names = Object.keys(log.items[0]?.inputs ?? {}).slice(0, 5);
  return (
    <div className="grid">
      <Panel
        className={picked ? 's7' : 's12'} title="Inference log" sub={`the newest ${log.items.length} of ${count(deployment.stats.predictions)} predictions; level ${deployment.log_level}`}
        tools={<a className="btn small" href={`/api/v1/deployments/${seg(deployment.name)}/log.parquet`} download={`${deployment.name}.parquet`}><Icon name="download" /> Parquet</a>}
      >
        <Await of={log} what="The log">
          {log.items.length === 0 ? (
            <Empty title="No prediction yet" command={`curl -s ${location.origin}/api/v1/deployments/${deployment.name}/predict -H 'content-type: application/json' -d '{"rows": [{}]}'`}>
              Each answer is written here before it leaves the server.
            </Empty>
          ) : (
            <Table
              label="Inference log" density="dense" rows={log.items} keyOf={(r) => r.id} selected={(r) => r.id === open} onPick={(r) => setOpen(r.id === open ? undefined : r.id)}
              columns={[
                { key: 'at', head: 'At', cell: (r) => moment(instant(r.at) ?? 0, zone, now()) },
                { key: 'id', head: 'Id', cell: (r) => <button type="button" data-row className="btn quiet small mono" style={{ padding: 0 }} onClick={() => setOpen(r.id === open ? undefined : r.id)}>{r.id.slice(-8)}</button> },
                { key: 'version', head: 'Version', cell: (r) => <VersionTag version={r.version} subject={r.arm === 'canary'} /> },
                ...names.map((input) => ({ key: `i.${input}`, head: <span className="mono">{input}</span>, right: typeof log.items[0]?.inputs[input] === 'number', cell: (r: LogRow) => shown(r.inputs[input]) })),
                { key: 'score', head: 'Score', right: true, cell: (r) => <span className="strong">{fixed(r.scores?.at(-1), 3)}</span>, sort: (r) => r.scores?.at(-1) },
                { key: 'champion', head: 'Champion’s', right: true, cell: (r) => (r.champion_scores?.length ? fixed(r.champion_scores.at(-1), 3) : '–') },
                { key: 'outcome', head: 'Outcome', right: true, cell: (r) => (r.outcome !== null ? compact(r.outcome) : <span className="third">{r.no_outcome ? 'none' : 'not known yet'}</span>) },
                { key: 'latency', head: 'Latency', right: true, cell: (r) => (r.latency_us ? `${fixed(r.latency_us / 1000, 2)} ms` : '–') },
              ]}
            />
          )}
        </Await>
      </Panel>
      {picked && (
        <Panel className="s5" title="Prediction" sub={longMoment(instant(picked.at) ?? 0, zone)} tools={<button type="button" className="btn quiet small" onClick={() => setOpen(undefined)}>Close</button>}>
          <table className="dense">
            <caption className="hidden">Prediction {picked.id}</caption>
            <tbody>
              <Fact name="id" value={<span className="mono">{picked.id}</span>} />
              {picked.key && <Fact name="key" value={<span className="mono">{picked.key}</span>} />}
              <Fact name="version" value={<><VersionTag version={picked.version} model={deployment.model} subject={picked.arm === 'canary'} /> {picked.arm}</>} />
              <Fact name="score" value={fixed(picked.scores?.at(-1), 4)} />
              {picked.champion_scores?.length ? <Fact name={`v${picked.champion_version}'s score`} value={fixed(picked.champion_scores.at(-1), 4)} /> : null}
              {picked.label && <Fact name="decision" value={picked.label} />}
              <Fact name="outcome" value={picked.outcome !== null ? compact(picked.outcome) : picked.no_outcome ? 'known to have none' : 'not known yet'} />
              {Object.entries(picked.inputs).map(([k, v]) => <Fact key={k} name={k} value={shown(v)} />)}
            </tbody>
          </table>
        </Panel>
      )}
    </div>
  );
}

function Fact({ name, value }: { name: string; value: React.ReactNode }) {
  return (
    <tr>
      <th scope="row" className="mono" style={{ borderBottom: '1px solid var(--line)' }}>{name}</th>
      <td className="right">{value}</td>
    </tr>
  );
}

function shown(v: unknown) {
  if (v === null || v === undefined || v === '') return <span className="third">missing</span>;
  if (typeof v === 'number') return compact(v, 6);
  return String(v);
}

function Outcomes({ deployment }: { deployment: Deployment }) {
  const { zone } = useProject();
  const s = deployment.stats;
  if (s.predictions === 0) {
    return (
      <Panel title="Outcomes">
        <Empty title="No prediction yet, so no outcome" command={`trimtab deployments outcomes ${deployment.name} --in outcomes.jsonl`}>
          The truth arrives later, by prediction id or by key and time; it is joined to the log when it does.
        </Empty>
      </Panel>
    );
  }
  return (
    <Panel title="Outcomes" sub="truth joined to predictions, since the first" foot={<span>Same value again has no effect; a contradiction is kept as a new revision, and the latest received wins.</span>}>
      <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>
        <Tile label="Predictions" value={count(s.predictions)} notes={[{ text: `since ${moment(instant(s.since) ?? 0, zone)}` }]} />
        <Tile label="With an outcome" value={count(s.labeled)} notes={[{ text: `${percent(s.labeled / s.predictions, 1)} of n ${count(s.predictions)}` }]} />
        <Tile label="Without a label" value={count(s.without_label)} notes={[{ text: 'known, and no label: a cancelled flight, say' }]} />
        <Tile label="Not known yet" value={count(s.predictions - s.labeled - s.without_label)} notes={[{ text: 'no outcome has arrived' }]} />
        <Tile label="Contradicted" value={count(s.revised)} notes={[{ text: 'the latest received wins, both are kept' }]} />
        <Tile label="Pending" value={count(s.pending)} notes={[{ text: 'outcomes whose prediction has not turned up' }]} />
      </div>
      <div className="body">
        <Progress value={coverage(deployment)} label="Share of predictions whose truth is known" />
      </div>
    </Panel>
  );
}

function History({ deployment, past, loading }: { deployment: Deployment; past: Rollout[]; loading: boolean }) {
  const { name: project, zone, now } = useProject();
  const events = useList<Event>(`events?project=${project}&limit=200`, { enabled: !!project });
  const own = events.items.filter((e) => e.subject.includes(deployment.name) && /rollout|deployment|promot|abort/.test(e.kind));
  return (
    <div className="grid">
      <Panel className="s8" title="Rollouts" sub={`${past.length}, newest first`}>
        {loading ? <Loading /> : past.length === 0 ? (
          <Empty title="No rollout has ended yet">Each one stays here with its version, its checks and how it ended.</Empty>
        ) : (
          <Table
            label="Rollouts" rows={past} keyOf={(r) => r.id}
            columns={[
              { key: 'version', head: 'Version', cell: (r) => <VersionTag version={r.to} model={deployment.model} />, sort: (r) => r.to },
              { key: 'state', head: 'Ended as', cell: (r) => <Status state={r.state} /> },
              { key: 'from', head: 'From', cell: (r) => <When at={r.started_at} />, sort: (r) => r.started_at },
              { key: 'to', head: 'To', cell: (r) => <When at={r.ended_at} /> },
              { key: 'seen', head: 'Canary requests', right: true, cell: (r) => count(r.steps?.reduce((sum, s) => sum + s.seen, 0) ?? 0) },
              { key: 'checks', head: 'Checks', cell: (r) => `${r.checks?.filter((c) => c.verdict === 'pass').length ?? 0} of ${r.checks?.length ?? 0}` },
              { key: 'why', head: 'Why', fold: true, cell: (r) => <span className="second">{r.reason || r.summary}</span> },
            ]}
          />
        )}
      </Panel>
      <Panel className="s4" title="Events">
        <Await of={events} what="Events">
          {own.length === 0 ? <p className="body third">Nothing happened here yet.</p> : <ul className="timeline">{own.slice(0, 30).map((e) => <EventLine key={e.id} event={e} when={moment(instant(e.at) ?? 0, zone, now())} />)}</ul>}
        </Await>
      </Panel>
    </div>
  );
}
