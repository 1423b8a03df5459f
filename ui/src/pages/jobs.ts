// How jobs are called on the pages.
import type { Job } from '../api/types';

const titles: Record<string, string> = {
  apply: 'Apply', ingest: 'Ingest', build: 'Build', train: 'Train', retrain: 'Retrain', rollout: 'Rollout', compact: 'Compact log', evaluate: 'Evaluate', window: 'Close window',
};

export function jobTitle(job: Pick<Job, 'kind' | 'key' | 'project'>): string {
  const noun = job.kind.split(/[._]/);
  const title = titles[job.kind] ?? titles[noun[noun.length - 1] ?? ''] ?? titles[noun[0] ?? ''] ?? job.kind.replace(/[._]/g, ' ');
  const subject = job.key?.split('/').filter(Boolean).pop();
  return subject && subject.length < 40 ? `${title} ${subject}` : `${title} ${job.project}`;
}
