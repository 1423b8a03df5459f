// Reads that several pages share, with what each makes of "not there yet".
import { ApiError, seg } from './client';
import { useList, useRead } from './queries';
import type { Deployment, Model, Rollout } from './types';

/** "There is none yet" is a state, not a failure. */
export const absent = (error: Error | null) => error instanceof ApiError && error.problem.status === 404;

/** All rollouts of a deployment, newest first, and the one under way. */
export function useRollouts(deployment: string | undefined) {
  const query = useList<Rollout>(`deployments/${seg(deployment ?? '')}/rollouts`, { enabled: !!deployment });
  const active = query.items.find((r) => r.state === 'running' || r.state === 'paused');
  return { ...query, active, past: query.items.filter((r) => r !== active) };
}

export const useDeployment = (name: string) => useRead<Deployment>(`deployments/${seg(name)}`);

/** Share of a deployment's predictions whose truth is known; undefined without a prediction. */
export const coverage = (d: Deployment): number | undefined => (d.stats?.predictions > 0 ? (d.stats.labeled + d.stats.without_label) / d.stats.predictions : undefined);

/** The champion's p99 of the last five minutes; undefined when it answered nothing in them. */
export const p99 = (d: Deployment): number | undefined => (d.stats?.p99_ms > 0 ? d.stats.p99_ms : undefined);

/** The deployments of one project, and where asked for, after them, those of models that belong to none; the server lists all. */
export function useDeployments(project: string, free = false) {
  const query = useList<Deployment>('deployments', { enabled: free || !!project });
  return { ...query, items: query.items.filter((d) => (d.project ? d.project === project : free)).sort((a, b) => Number(!a.project) - Number(!b.project)) };
}

/** The models of one project. */
export function useModels(project: string) {
  const query = useList<Model>('models'); // without a project too: then those that belong to none
  return { ...query, items: query.items.filter((m) => m.project === project) };
}
