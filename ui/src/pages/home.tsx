// Home: what needs me, whether the model holds its course, and what goes on.
import { Fragment, useMemo } from 'react';
import { Link } from '@tanstack/react-router';
import { useList, useRead } from '../api/queries';
import { absent, coverage, p99, useDeployments, useModels, useRollouts } from '../api/reads';
import type { Alert, DatasetVersion, Deployment, Event, Job, Model, ModelVersion, Monitor, PerformanceView, Project, Rollout, Run, Verdict } from '../api/types';
import { Figure, Legend } from '../charts/frame';
import { TimeChart, type TimeMark } from '../charts/course';
import { courseOf, gapOf, marksOf, totalOf, type Course as CourseData } from '../charts/series';
import { count, direction, fixed, metricName, percent, plural, points, range, signed } from '../format/number';
import { sharesOf } from '../format/serving';
import { ago, day, days, instant, moment, span } from '../format/time';
import { Command } from '../parts/command';
import { EventLine } from '../parts/timeline';
import { Icon, type IconName } from '../parts/icons';
import { Page, Panel } from '../parts/page';
import { labelOf, When, useProject } from '../parts/project';
import { Await, Empty, Failure, Loading, Progress } from '../parts/states';
import { Status, VersionTag } from '../parts/status';
import { Table } from '../parts/table';
import { jobTitle } from './jobs';

export function HomePage() {
  const { name, project, loading, error } = useProject();
  if (error) {
    return (
      <Page title="Home">
        <section className="panel"><Failure error={error} what="The projects cannot be shown" /></section>
      </Page>
    );
  }
  if (loading) {
    return <Page title="Home"><section className="panel"><Loading rows={8} /></section></Page>;
  }
  if (!project) return <FirstSteps />;
  return <ProjectHome key={name} project={project} />;
}

function FirstSteps() {
  return (
    <Page title="Home" facts={<span>One file takes a model from data to production, watches it there and brings it back.</span>}>
      <div className="grid">
        <Panel className="s6" title="Your own data">
          <Empty title="There is no project yet" command={'trimtab init --data flights.csv --label late\ntrimtab apply'}>
            The first command looks at a CSV or Parquet file and writes trimtab.yaml; the second builds, gates and serves the model. This page fills as it goes.
          </Empty>
        </Panel>
        <Panel className="s6" title="The life of a real model">
          <Empty title="Or watch one first" command="trimtab demo">
            Flights out of New York in 2013: trained on the first quarter, then nine months of traffic with real drift, retraining and a bad release, in about a minute and a half.
          </Empty>
        </Panel>
      </div>
    </Page>
  );
}

function ProjectHome({ project }: { project: Project }) {
  const { name, zone, now } = useProject();
  const datasets = useList<DatasetVersion>(`projects/${name}/datasets`);
  const runs = useList<Run>(`projects/${name}/runs`);
  const models = useModels(name);
  const deployments = useDeployments(name);
  const alerts = useList<Alert>(`alerts?project=${name}&state=firing`);
  const jobs = useList<Job>(`jobs?project=${name}&limit=20`);
  const events = useList<Event>(`events?project=${name}&limit=12`);
  const deployment = deployments.items[0];
  const model = models.items[0];
  const versions = useList<ModelVersion>(`models/${model?.name}/versions`, { enabled: !!model });
  const everAlerts = useList<Alert>(`alerts?project=${name}&limit=200`);
  const monitor = useRead<Monitor>(`monitors/${deployment?.name}`, { enabled: !!deployment });
  const performance = useRead<PerformanceView>(`monitors/${deployment?.name}/performance`, { enabled: !!deployment });
  const rollouts = useRollouts(deployment?.name);
  const rollout = rollouts.active;
  const performed = monitor.data?.windows?.find((w) => w.kind === 'performance')?.verdict;
  const course = useMemo(() => (performance.data ? courseOf(performance.data) : undefined), [performance.data]);
  const marks = useMemo(() => (course ? marksOf(course, rollouts.items, versions.items, everAlerts.items) : []), [course, rollouts.items, versions.items, everAlerts.items]);
  const success = project.file.problem?.success;
  const successKey = success?.match(/[a-z_][a-z0-9_]*/)?.[0];
  const successNow = successKey ? performed?.metrics?.[successKey] : undefined;

  return (
    <Page
      title={project.name} name="Home"
      facts={
        <>
          {project.file.problem?.goal && <span>{project.file.problem.goal}</span>}
          {project.file.problem?.owner && <span>Owner <b>{project.file.problem.owner}</b></span>}
          {success && (
            <span>
              Success <b>{success.replace(/>=/g, '≥').replace(/<=/g, '≤').replace(/\b[a-z_]+\b/g, (w) => (w === successKey ? metricName(w) : w))}</b>
              {successNow && <>, last week <b>{fixed(successNow.value, 3)}</b>, n {count(successNow.n)}</>}
            </span>
          )}
        </>
      }
      actions={
        <>
          {project.hash && (
            <span className="row second" title="What the server runs, by its digest">
              <Icon name="branch" />
              <span><span className="mono">trimtab.yaml</span> {project.hash.slice(0, 7)}</span>
            </span>
          )}
          <Command show={{ cli: `trimtab projects show ${name}`, api: `projects/${name}` }} />
        </>
      }
    >
      <Life datasets={datasets.items} runs={runs.items} model={model} deployment={deployment} rollout={rollout} monitor={monitor.data} alerts={alerts.items} performed={performed} />
      <div className="grid">
        <div className="s8 col">
          <Needs alerts={alerts.items} rollout={rollout} jobs={jobs.items} ready={!alerts.isPending} error={alerts.error} />
          <Await of={deployment && !absent(performance.error) ? performance : { isPending: deployments.isPending, error: null, refetch: () => undefined }} what="The course" rows={7}>
            {course && course.windows.length > 0 ? (
              <CourseChart course={course} marks={marks} summary={performed?.summary} />
            ) : (
              <Panel title="Course">
                <Empty title="No outcomes yet" command={deployment ? `trimtab deployments outcomes ${deployment.name} --in outcomes.jsonl` : 'trimtab apply'}>
                  The course compares what was expected with what happened. It fills by itself when the first window with outcomes closes.
                </Empty>
              </Panel>
            )}
          </Await>
          <Panel title="Deployments" tools={<Link className="link" to="/deployments">All</Link>}>
            <Await of={deployments} what="Deployments" rows={2}>
              {deployments.items.length === 0 ? (
                <Empty title="Nothing is served yet" command="trimtab apply">The first version that passes its gate is deployed by itself.</Empty>
              ) : (
                <Table
                  label="Deployments" rows={deployments.items} keyOf={(d) => d.name}
                  columns={[
                    { key: 'name', head: 'Name', cell: (d) => <Link data-row className="medium" to="/deployments/$name/$tab" params={{ name: d.name, tab: 'rollout' }}>{d.name}</Link> },
                    { key: 'traffic', head: 'Traffic', cell: (d) => <Traffic deployment={d} /> },
                    { key: 'requests', head: 'Predictions', right: true, cell: (d) => count(d.stats.predictions) },
                    { key: 'failed', head: 'Failed', right: true, cell: (d) => count(d.stats.failed) },
                    { key: 'p99', head: 'p99, 5 min', right: true, cell: (d) => (p99(d) !== undefined ? `${fixed(p99(d), 1)} ms` : '–') },
                    { key: 'coverage', head: 'Outcomes', right: true, cell: (d) => percent(coverage(d), 1) },
                    { key: 'state', head: 'State', cell: (d) => <Status state={d.route?.canary ? (d.route.paused ? 'paused' : 'canary') : d.state} /> },
                  ]}
                />
              )}
            </Await>
          </Panel>
        </div>
        <div className="s4 col">
          <Running jobs={jobs.items} rollout={rollout} loading={jobs.isPending} />
          <Panel title="Activity" tools={<Link className="link" to="/events">Audit log</Link>}>
            <Await of={events} what="Activity" rows={6}>
              {events.items.length === 0 ? (
                <Empty title="Nothing happened yet" command="trimtab apply" />
              ) : (
                <ul className="timeline">
                  {events.items.slice(0, 9).map((e) => <EventLine key={e.id} event={e} when={moment(instant(e.at) ?? 0, zone, now())} />)}
                </ul>
              )}
            </Await>
          </Panel>
        </div>
      </div>
    </Page>
  );
}

export function Traffic({ deployment }: { deployment: Deployment }) {
  const { route, model } = deployment;
  if (!route?.champion) return <span className="third">no version yet</span>;
  const shares = sharesOf(route);
  return (
    <span className="row">
      {shares.map((s, i) => <Fragment key={s.version}><VersionTag version={s.version} model={model} subject={i > 0 || shares.length === 1} /> {percent(s.share, 0)}</Fragment>)}
    </span>
  );
}

interface LifeProps {
  datasets: DatasetVersion[];
  runs: Run[];
  model?: Model;
  deployment?: Deployment;
  rollout?: Rollout;
  monitor?: Monitor;
  alerts: Alert[];
  performed?: Verdict;
}

/** The five stations of the model's life, each a link with its one figure. */
function Life({ datasets, runs, model, deployment, rollout, monitor, alerts, performed }: LifeProps) {
  const { project, zone, now } = useProject();
  const main = datasets.find((d) => d.dataset === project?.file.model?.from) ?? datasets[0];
  const quarantined = datasets.reduce((sum, d) => sum + d.quarantined, 0);
  const running = runs.filter((r) => r.state === 'running').length;
  const latest = runs.find((r) => r.state === 'finished');
  const headline = ['auc', 'accuracy', 'r2', 'rmse'].find((k) => latest?.metrics[k] !== undefined) ?? Object.keys(latest?.metrics ?? {})[0];
  const champion = model?.aliases?.champion;
  const candidate = model?.aliases?.candidate;
  const measured = performed?.metrics?.auc ? 'auc' : Object.keys(performed?.metrics ?? {}).find((k) => direction(k) !== 0 && k !== 'n');
  const measure = measured ? performed?.metrics?.[measured] : undefined;
  const stations: { to: string; icon: IconName; label: string; figure: string; unit: string; note: string; state: string; says: string }[] = [
    {
      to: main ? `/data/${main.dataset}/profile` : '/data', icon: 'data', label: 'Data', figure: main ? count(main.rows) : '–', unit: 'rows',
      note: main ? `${main.dataset} ${main.number}, as of ${ago(instant(main.as_of) ?? now(), now())}` : 'no dataset yet',
      state: quarantined ? 'waiting' : main ? 'pass' : 'waiting', says: quarantined ? `${plural(quarantined, 'row')} quarantined` : main ? 'Contract held' : 'Empty',
    },
    {
      to: '/runs', icon: 'runs', label: 'Runs', figure: headline && latest ? fixed(latest.metrics[headline], 3) : count(runs.length), unit: headline ? metricName(headline) : 'runs',
      note: latest ? `${latest.name}${latest.metrics.n ? `, n ${count(latest.metrics.n)}` : ''}, ${moment(instant(latest.started_at) ?? 0, zone, now())}` : 'no run yet',
      state: running ? 'running' : latest ? 'finished' : 'waiting', says: running ? `${running} running` : plural(runs.length, 'run'),
    },
    {
      to: model ? `/models/${model.name}` : '/models', icon: 'models', label: 'Model', figure: champion ? `v${champion}` : '–', unit: champion ? 'champion' : '',
      note: candidate && candidate !== champion ? `v${candidate} candidate of ${plural(model?.last_version ?? 0, 'version')}` : plural(model?.last_version ?? 0, 'version'),
      state: champion ? 'pass' : 'waiting', says: champion ? 'Gate passed' : 'No champion yet',
    },
    {
      to: deployment ? `/deployments/${deployment.name}/rollout` : '/deployments', icon: 'deployments', label: 'Deployment',
      figure: count(deployment?.stats.day_requests), unit: 'in 24 h',
      note: deployment ? [`${count(deployment.stats.failed)} failed`, `${count(deployment.stats.lost)} lost of ${count(deployment.stats.predictions)}`, p99(deployment) !== undefined ? `p99 ${fixed(p99(deployment), 1)} ms` : ''].filter(Boolean).join(', ') : 'nothing served yet',
      state: rollout ? (rollout.state === 'running' ? 'canary' : 'paused') : deployment ? 'live' : 'waiting',
      says: rollout && deployment?.route?.canary ? `Canary ${percent(deployment.route.canary_share ?? 0, 0)}` : deployment ? 'Live' : 'Waiting',
    },
    {
      to: deployment ? `/monitors/${deployment.name}/overview` : '/monitors', icon: 'monitors', label: 'Monitor', figure: measure ? fixed(measure.value, 3) : '–', unit: measured ? metricName(measured) : '',
      note: measure && performed ? `${range(measure.lo, measure.hi)}, n ${count(measure.n)}, to ${day((instant(performed.to) ?? 1) - 1, zone)}` : 'no outcomes yet',
      state: alerts.length ? 'attention' : (monitor?.state ?? 'inconclusive'), says: alerts.length ? plural(alerts.length, 'alert') : monitor?.state === 'ok' ? 'On course' : 'Not yet decided',
    },
  ];
  return (
    <section className="panel life" aria-label="Life of the model">
      {stations.map((s, i) => (
        <LifeStation key={s.label} {...s} last={i === stations.length - 1} />
      ))}
    </section>
  );
}

function LifeStation(s: { to: string; icon: IconName; label: string; figure: string; unit: string; note: string; state: string; says: string; last: boolean }) {
  return (
    <>
      <Link to={s.to}>
        <div className="label"><Icon name={s.icon} />{s.label}</div>
        <div className="figure">{s.figure} <small>{s.unit}</small></div>
        <div className="note" title={s.note}>{s.note}</div>
        <div className="state"><Status state={s.state}>{s.says}</Status></div>
      </Link>
      {!s.last && <Icon name="next" />}
    </>
  );
}

interface Need {
  id: string;
  icon: IconName;
  tone: string;
  title: string;
  detail: string;
  at?: string;
  to: string;
  act: string;
}

const alertPlace: Record<string, string> = { drift: 'drift', quality: 'quality', performance: 'performance' };

function Needs({ alerts, rollout, jobs, ready, error }: { alerts: Alert[]; rollout?: Rollout; jobs: Job[]; ready: boolean; error: Error | null }) {
  const needs: Need[] = alerts.filter((a) => a.state === 'firing' && a.level !== 'notice').map((a) => ({
    id: a.id, icon: 'attention', tone: 'warn', title: a.message, detail: [a.cause, a.count > 1 ? `Seen in ${plural(a.count, 'window')}` : ''].filter(Boolean).join('. '),
    at: a.opened_at, to: `/monitors/${a.deployment}/${alertPlace[a.kind] ?? 'alerts'}`, act: 'Open monitor',
  }));
  if (rollout) {
    const passed = rollout.checks?.filter((c) => c.verdict === 'pass').length ?? 0;
    needs.push({
      id: rollout.id, icon: rollout.state === 'paused' ? 'pause' : 'undecided', tone: 'warn',
      title: rollout.state === 'paused' ? `Canary v${rollout.to} is paused` : `Canary v${rollout.to} is ${rollout.verdict === 'pass' ? 'on its way' : 'not yet decided'}: ${passed} of ${rollout.checks?.length ?? 0} checks pass`,
      detail: rollout.summary, at: rollout.started_at, to: `/deployments/${rollout.deployment}/rollout`, act: 'Open rollout',
    });
  }
  for (const job of jobs.filter((j) => j.state === 'failed').slice(0, 3)) {
    needs.push({ id: job.id, icon: 'failed', tone: 'bad', title: `${jobTitle(job)} failed`, detail: [job.error?.message, job.error?.hint && `hint: ${job.error.hint}`].filter(Boolean).join('; '), to: '/jobs', act: 'Open job' });
  }
  return (
    <Panel title="Needs you" sub={ready ? String(needs.length) : undefined} tools={needs.length > 1 ? <span className="row wide" style={{ gap: 6 }}><kbd>J</kbd><kbd>K</kbd> to move, <kbd>Enter</kbd> to open</span> : undefined}>
      {error && <Failure error={error} what="Alerts cannot be shown" />}
      {!error && !ready && <Loading rows={2} />}
      {ready && needs.length === 0 && (
        <div className="body row second">
          <Status state="pass">Nothing waits for you</Status> <span className="third">no alert is firing, no decision is due, no job has failed</span>
        </div>
      )}
      <ul className="rows">
        {needs.map((n) => (
          <li key={n.id}>
            <span className={n.tone}><Icon name={n.icon} /></span>
            <div className="text">
              <div className="medium">{n.title}</div>
              <div className="second small">{n.detail}</div>
            </div>
            {n.at && <span className="third small"><When at={n.at} age /></span>}
            <Link data-row className="btn small" to={n.to} aria-label={`${n.act}: ${n.title}`}>{n.act}</Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** The signature chart: expected minus actual around zero, with the tab mark wherever the model was trimmed. */
function CourseChart({ course, marks, summary }: { course: CourseData; marks: TimeMark[]; summary?: string }) {
  const { zone, project } = useProject();
  const { windows } = course;
  const shares = course.task === 'binary';
  const live = windows.map((w) => gapOf(w.live));
  const frozen = windows.map((w) => gapOf(w.baseline));
  const label = labelOf(project);
  const show = (v: number) => (shares ? signed(v * 100, 0) : signed(v, 2));
  const exact = (v: number) => (shares ? points(v) : signed(v, 3));
  const last = windows[windows.length - 1];
  const typical = Math.round(windows.slice(0, -1).reduce((s, w) => s + w.n, 0) / Math.max(1, windows.length - 1)) || (last?.n ?? 0);
  const total = totalOf(course);
  const window = last ? span(last.to - last.from) : '';
  return (
    <Figure
      title="Course" name={`Course: ${label} expected minus actual`} sub={`${label} expected minus actual, ${shares ? 'percentage points' : 'unit of the label'}, per ${window === '7 d' ? 'week' : window}`}
      legend={<><Legend role="subject" label="live" /><Legend role="compare" shape="dashed" label={`frozen, v${course.baselineVersion}`} /></>}
      twin={{ head: ['From', 'Version', 'Live', 'Frozen', 'n'], rows: windows.map((w, i) => [days(w.from, w.to - 1, zone), `v${w.version}`, live[i] == null ? null : exact(live[i] as number), frozen[i] == null ? null : exact(frozen[i] as number), count(w.n)]) }}
      foot={
        <>
          <span className="row" style={{ gap: 4 }}>
            <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="M1 2h10" stroke="currentColor" strokeWidth="2" /><path d="M6 4l2.5 6" stroke="currentColor" strokeWidth="3" /></svg>
            a retrained version began. n about {count(typical)} a window{last ? `, ${count(last.n)} in the last` : ''}
          </span>
          {total && <span className="push">{metricName(total.key)} {fixed(total.live, 3)}, frozen {fixed(total.baseline, 3)}, n {count(total.n)}</span>}
        </>
      }
    >
      {(width) => (
        <TimeChart
          name={`Course, ${label} expected minus actual per window, live against frozen. ${summary ?? ''}`} width={width} windows={windows} zone={zone} marks={marks.filter((m) => m.kind === 'release')} tab
          panes={[{
            height: 140, include: [0], format: show, exact, zeroLabel: 'on course',
            lines: [
              { label: 'live', role: 'subject', values: live, area: true },
              { label: 'frozen', role: 'compare', values: frozen, dashed: true },
            ],
          }]}
        />
      )}
    </Figure>
  );
}

function Running({ jobs, rollout, loading }: { jobs: Job[]; rollout?: Rollout; loading: boolean }) {
  const active = jobs.filter((j) => j.state === 'running' || j.state === 'waiting');
  const step = rollout?.state === 'running' ? rollout.steps?.[rollout.step] : undefined;
  const n = active.length + (step ? 1 : 0);
  return (
    <Panel title="Running" sub={String(n)} tools={<Link className="link" to="/jobs">Jobs</Link>}>
      {loading && <Loading rows={2} />}
      {!loading && n === 0 && <p className="body third">No job is running.</p>}
      <ul className="rows">
        {active.slice(0, 5).map((job) => (
          <li key={job.id} className="stack">
            <div className="between">
              <Link to="/jobs" className="medium">{jobTitle(job)}</Link>
              <span className="third small">{job.started_at ? <JobAge job={job} /> : 'waiting'}</span>
            </div>
            <div className="second small" style={{ marginBottom: 6 }}>{progressText(job)}</div>
            <Progress value={job.progress?.total ? job.progress.done / job.progress.total : undefined} label={jobTitle(job)} />
          </li>
        ))}
        {rollout && step && (
          <li className="stack">
            <div className="between">
              <Link to="/deployments/$name/$tab" params={{ name: rollout.deployment, tab: 'rollout' }} className="medium">Canary v{rollout.to}, {percent(step.share, 0)}</Link>
              <span className="third small">step {rollout.step + 1} of {rollout.steps?.length}</span>
            </div>
            <div className="second small" style={{ marginBottom: 6 }}>
              {step.requests ? `${count(step.seen)} of ${count(step.requests)} requests` : step.hold_ns ? `held ${span(step.hold_ns / 1e6)}` : `${count(step.seen)} requests`}, {rollout.checks?.filter((c) => c.verdict === 'pass').length ?? 0} of {rollout.checks?.length ?? 0} checks pass
            </div>
            <Progress value={step.requests ? step.seen / step.requests : undefined} label={`Canary v${rollout.to}`} />
          </li>
        )}
      </ul>
    </Panel>
  );
}

function JobAge({ job }: { job: Job }) {
  const started = instant(job.started_at);
  if (started === undefined) return null;
  const gone = Date.now() - started;
  const { done, total } = job.progress ?? { done: 0, total: 0 };
  if (total > 0 && done > 0 && done < total && gone > 2_000) return <>about {span((gone / done) * (total - done))} left</>;
  return <>for {span(Math.max(0, gone))}</>;
}

function progressText(job: Job): string {
  const p = job.progress;
  const parts = [p?.message, p?.total ? `${count(p.done)} of ${count(p.total)} ${p.unit ?? ''}`.trim() : undefined].filter(Boolean);
  return parts.join(', ') || (job.state === 'waiting' ? 'waits for a worker' : 'no progress told');
}
