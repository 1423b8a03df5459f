// Alerts, jobs and the audit log: what the platform says and does.
import { useState } from 'react';
import { Link } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useAct, useList } from '../api/queries';
import type { Alert, Event, Job } from '../api/types';
import { count, plural } from '../format/number';
import { ago, instant, span } from '../format/time';
import { Ask } from '../parts/ask';
import { Command } from '../parts/command';
import { Icon } from '../parts/icons';
import { Page, Panel, Segments } from '../parts/page';
import { useProject, WallAgo, When } from '../parts/project';
import { Await, Empty, Progress } from '../parts/states';
import { Status, Told } from '../parts/status';
import { Table } from '../parts/table';
import { jobTitle } from './jobs';

const alertPlace: Record<string, string> = { drift: 'drift', quality: 'quality', performance: 'performance' };

export function AlertTable({ alerts }: { alerts: Alert[] }) {
  const { now } = useProject();
  if (alerts.length === 0) return <Empty title="No alert so far">One opens when enough windows in a row are off, and resolves by itself when they are not.</Empty>;
  return (
    <Table
      label="Alerts" rows={alerts} keyOf={(a) => a.id} sorted={undefined}
      columns={[
        { key: 'state', head: 'State', cell: (a) => <Status state={a.state} />, sort: (a) => a.state, first: 'ascending' },
        { key: 'message', head: 'Alert', fold: true, cell: (a) => <><Link data-row className="medium" to="/monitors/$name/$tab" params={{ name: a.deployment, tab: alertPlace[a.kind] ?? 'overview' }}>{a.message}</Link>{a.cause && <div className="small third">{a.cause}</div>}</> },
        { key: 'kind', head: 'Kind', cell: (a) => (a.baseline === 'recent' ? 'sudden drift' : a.level === 'notice' ? `${a.kind}, notice` : a.kind), sort: (a) => a.kind },
        { key: 'deployment', head: 'Deployment', cell: (a) => a.deployment, sort: (a) => a.deployment },
        { key: 'opened', head: 'Opened', cell: (a) => <When at={a.opened_at} />, sort: (a) => a.opened_at },
        { key: 'length', head: 'For', right: true, cell: (a) => span((instant(a.resolved_at) ?? now()) - (instant(a.opened_at) ?? 0)) },
        { key: 'count', head: 'Windows', right: true, cell: (a) => count(a.count), sort: (a) => a.count },
      ]}
    />
  );
}

export function AlertsPage() {
  const { name } = useProject();
  const [state, setState] = useState<'all' | 'firing' | 'resolved'>('all');
  const alerts = useList<Alert>(`alerts?project=${name}&limit=200`, { enabled: !!name });
  const firing = alerts.items.filter((a) => a.state === 'firing').length;
  const shown = alerts.items.filter((a) => state === 'all' || a.state === state);
  return (
    <Page title="Alerts" crumbs={[{ label: 'Alerts' }]} facts={alerts.data && <span><b>{firing}</b> firing, <b>{alerts.items.length - firing}</b> resolved</span>} actions={<Command show={{ cli: 'trimtab alerts ls', api: `alerts?project=${name}` }} />}>
      <Panel title="Alerts" tools={<Segments label="State" value={state} onChange={setState} options={[{ value: 'all', label: 'All' }, { value: 'firing', label: 'Firing' }, { value: 'resolved', label: 'Resolved' }]} />}>
        <Await of={alerts} what="Alerts"><AlertTable alerts={shown} /></Await>
      </Panel>
    </Page>
  );
}

export function JobsPage() {
  const { name } = useProject();
  const jobs = useList<Job>(`jobs?project=${name}&limit=200`, { enabled: !!name, every: 3_000 });
  const [stopping, setStopping] = useState<Job | null>(null);
  const cancel = useAct<{ id: string; reason: string }>(({ id }) => `jobs/${seg(id)}/cancel`);
  const active = jobs.items.filter((j) => j.state === 'running' || j.state === 'waiting').length;
  return (
    <Page title="Jobs" crumbs={[{ label: 'Jobs' }]} facts={jobs.data && <span><b>{active}</b> active of the newest {plural(jobs.items.length, 'job')}; they survive a restart</span>} actions={<Command show={{ cli: 'trimtab jobs ls', api: `jobs?project=${name}` }} />}>
      <Panel title="Jobs" sub="times of the machine">
        <Await of={jobs} what="Jobs">
          {jobs.items.length === 0 ? (
            <Empty title="No job has run yet" command="trimtab apply">Ingesting, training and rolling out run as jobs.</Empty>
          ) : (
            <Table
              label="Jobs" density="tall" rows={jobs.items} keyOf={(j) => j.id}
              columns={[
                { key: 'state', head: 'State', cell: (j) => <Status state={j.state} /> },
                { key: 'job', head: 'Job', cell: (j) => <span className="medium">{jobTitle(j)}</span> },
                { key: 'progress', head: 'Progress', width: '28%', cell: (j) => <JobProgress job={j} /> },
                { key: 'cause', head: 'Cause', fold: true, cell: (j) => <span className="second">{j.cause || '–'}</span> },
                { key: 'attempt', head: 'Attempt', right: true, cell: (j) => `${j.attempt} of ${j.max_attempts}` },
                { key: 'started', head: 'Started', cell: (j) => <WallAgo at={j.started_at ?? j.created_at} /> },
                { key: 'took', head: 'Took', right: true, cell: (j) => took(j) },
                { key: 'stop', head: <span className="hidden">Actions</span>, cell: (j) => (j.state === 'running' || j.state === 'waiting' ? <button type="button" className="btn small danger" onClick={() => setStopping(j)}>Cancel…</button> : null) },
              ]}
            />
          )}
        </Await>
      </Panel>
      <Ask
        open={!!stopping} onClose={() => setStopping(null)} title={`Cancel ${stopping ? jobTitle(stopping) : ''}?`} act="Cancel the job" stay="Keep it running" danger
        happens="It stops at its next safe point." kept="What it had finished is kept; nothing half-written becomes visible." run={(reason) => cancel.mutateAsync({ id: stopping?.id ?? '', reason })}
      />
    </Page>
  );
}

function took(j: Job): string {
  const from = instant(j.started_at);
  if (from === undefined) return '–';
  return span(Math.max(0, (instant(j.finished_at) ?? Date.now()) - from));
}

function JobProgress({ job }: { job: Job }) {
  const p = job.progress;
  if (job.state === 'failed') {
    return (
      <span style={{ whiteSpace: 'normal' }}>
        {job.error?.message ?? 'failed'}
        {job.error?.hint && <span className="third"> hint: {job.error.hint}</span>}
      </span>
    );
  }
  const text = [p?.message, p?.total ? `${count(p.done)} of ${count(p.total)} ${p.unit ?? ''}`.trim() : ''].filter(Boolean).join(', ');
  if (job.state !== 'running') return <span className="third small">{text || (job.state === 'waiting' ? 'waits for a worker' : '–')}</span>;
  return (
    <div style={{ minWidth: 160 }}>
      <div className="small second" style={{ marginBottom: 4 }}>{text || 'working'}</div>
      <Progress value={p?.total ? p.done / p.total : undefined} label={jobTitle(job)} />
    </div>
  );
}

const levels = ['all', 'attention', 'bad', 'good'] as const;

export function EventsPage() {
  const { name, now } = useProject();
  const events = useList<Event>(`events?project=${name}&limit=500`, { enabled: !!name });
  const [level, setLevel] = useState<(typeof levels)[number]>('all');
  const [text, setText] = useState('');
  const needle = text.trim().toLowerCase();
  const shown = events.items.filter((e) => (level === 'all' || e.level === level) && (!needle || `${e.kind} ${e.subject} ${e.actor} ${e.message}`.toLowerCase().includes(needle)));
  return (
    <Page title="Audit log" crumbs={[{ label: 'Audit log' }]} facts={<span>Who did what, when and why; entries are only ever added</span>} actions={<Command show={{ cli: 'trimtab events ls', api: `events?project=${name}` }} />}>
      <Panel
        title="Events" sub={events.data ? `${count(shown.length)} of the newest ${count(events.items.length)}` : undefined}
        tools={
          <>
            <span className="search">
              <Icon name="search" />
              <input type="search" value={text} onChange={(event) => setText(event.target.value)} placeholder="Filter" aria-label="Filter events" />
            </span>
            <Segments label="Level" value={level} onChange={setLevel} options={[{ value: 'all', label: 'All' }, { value: 'attention', label: 'Attention' }, { value: 'bad', label: 'Failed' }, { value: 'good', label: 'Good' }]} />
          </>
        }
      >
        <Await of={events} what="The audit log">
          {shown.length === 0 ? (
            <Empty title={events.items.length ? 'No event matches' : 'Nothing happened yet'} command={events.items.length ? undefined : 'trimtab apply'} />
          ) : (
            <Table
              label="Events" rows={shown} keyOf={(e) => e.id}
              columns={[
                { key: 'level', head: 'Level', cell: (e) => <Status state={{ info: 'waiting', good: 'pass', attention: 'attention', bad: 'failed' }[e.level]}>{{ info: 'Info', good: 'Good', attention: 'Attention', bad: 'Failed' }[e.level]}</Status> },
                { key: 'at', head: 'When', cell: (e) => <span title={`recorded ${ago(instant(e.recorded) ?? now(), Date.now())} by the machine's clock`}><When at={e.at} /></span>, sort: (e) => e.at },
                { key: 'message', head: 'What', fold: true, cell: (e) => <Told text={e.message} /> },
                { key: 'kind', head: 'Kind', cell: (e) => <span className="mono third">{e.kind}</span>, sort: (e) => e.kind, first: 'ascending' },
                { key: 'subject', head: 'Subject', cell: (e) => <span className="mono">{e.subject}</span>, sort: (e) => e.subject, first: 'ascending' },
                { key: 'actor', head: 'Who', cell: (e) => e.actor || '–', sort: (e) => e.actor, first: 'ascending' },
              ]}
            />
          )}
        </Await>
      </Panel>
    </Page>
  );
}
