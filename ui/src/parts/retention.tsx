// How long what was deleted stays, and the collection of what nothing holds any more: first counted, then done.
import { useEffect, useState } from 'react';
import { Modal } from '@mantine/core';
import { get, post, request, seg } from '../api/client';
import { useRead } from '../api/queries';
import { bytes, count } from '../format/number';
import { Failure, Loading } from './states';

interface Kept {
  deleted_days: number | null;
  max_runs: number | null;
}

interface Report {
  dry_run: boolean;
  runs: number;
  experiments: number;
  logged_models: number;
  snapshots: number;
  blobs: number;
  bytes: number;
  waiting_blobs: number;
  waiting_bytes: number;
}

interface Job {
  id: string;
  state: string;
  result?: Report;
  error?: { message?: string };
}

/** Waits for a job's end. */
async function ended(id: string): Promise<Job> {
  for (;;) {
    const job = await get<Job>(`jobs/${seg(id)}`);
    if (!['waiting', 'running'].includes(job.state)) return job;
    await new Promise((done) => setTimeout(done, 500));
  }
}

export function Retention({ experiment, name, onClose }: { experiment?: string; name?: string; onClose: () => void }) {
  const path = experiment ? `experiments/${seg(experiment)}/retention` : 'retention';
  const kept = useRead<Kept>(path);
  const [days, setDays] = useState('');
  const [runs, setRuns] = useState('');
  const [report, setReport] = useState<Report | null>(null);
  const [busy, setBusy] = useState('');
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    if (!kept.data) return;
    setDays(kept.data.deleted_days === null ? '' : String(kept.data.deleted_days));
    setRuns(kept.data.max_runs === null ? '' : String(kept.data.max_runs));
  }, [kept.data]);
  const work = async (what: string, f: () => Promise<void>) => {
    setBusy(what);
    setError(null);
    try {
      await f();
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)));
    } finally {
      setBusy('');
    }
  };
  const save = () => work('save', async () => {
    await request('PUT', path, { deleted_days: days === '' ? null : Number(days), max_runs: runs === '' ? null : Number(runs) });
    await kept.refetch();
  });
  const collect = (dry: boolean) => work(dry ? 'count' : 'collect', async () => {
    const job = await ended((await post<Job>('gc', { dry_run: dry })).id);
    if (job.state !== 'done' || !job.result) throw new Error(job.error?.message ?? `The collection ended as ${job.state}`);
    setReport(job.result);
  });
  return (
    <Modal opened onClose={onClose} title={name ? `Retention of ${name}` : 'Retention of all experiments'} size={520} closeButtonProps={{ 'aria-label': 'Close' }}>
      {!kept.data ? (kept.error ? <Failure error={kept.error} what="The retention cannot be shown" /> : <Loading rows={3} />) : (
        <form onSubmit={(e) => { e.preventDefault(); void save(); }}>
          <label className="row" style={{ marginBottom: 8 }}><span style={{ width: 260 }}>Days that deleted things stay</span><input className="entry" type="number" min={0} max={36500} value={days} onChange={(e) => setDays(e.target.value)} placeholder="for ever" style={{ width: 120 }} /></label>
          <label className="row"><span style={{ width: 260 }}>Ended runs that are kept, the newest</span><input className="entry" type="number" min={1} value={runs} onChange={(e) => setRuns(e.target.value)} placeholder="all" style={{ width: 120 }} /></label>
          <p className="third tiny" style={{ margin: '8px 0' }}>{experiment ? 'For this experiment alone.' : 'For every experiment that has no retention of its own.'} What is over its time is removed for good once a day, and its files a day later unless something else holds them.</p>
          <div className="row" style={{ justifyContent: 'flex-end' }}><button type="submit" className="btn primary" disabled={busy !== ''}>{busy === 'save' ? 'Saving' : 'Save'}</button></div>
        </form>
      )}
      <hr style={{ border: 0, borderTop: '1px solid var(--line)', margin: '16px 0' }} />
      <div className="row wrap">
        <button type="button" className="btn" disabled={busy !== ''} onClick={() => void collect(true)}>{busy === 'count' ? 'Counting' : 'What would go?'}</button>
        <button type="button" className="btn danger" disabled={busy !== '' || !report} title={report ? undefined : 'Count first'} onClick={() => void collect(false)}>{busy === 'collect' ? 'Collecting' : 'Collect now'}</button>
      </div>
      {report && (
        <p style={{ marginTop: 12 }} role="status">
          {report.dry_run ? 'Would go: ' : 'Gone: '}<b>{count(report.runs)}</b> runs, <b>{count(report.experiments)}</b> experiments, <b>{count(report.logged_models)}</b> logged models, <b>{count(report.blobs)}</b> files of <b>{bytes(report.bytes)}</b>
          {report.waiting_blobs > 0 && <span className="third">; {count(report.waiting_blobs)} more files of {bytes(report.waiting_bytes)} wait out their day</span>}
        </p>
      )}
      {error && <Failure error={error} what="It did not happen" />}
    </Modal>
  );
}
