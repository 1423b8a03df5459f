// What the tracking pages read: experiments, cells of runs, curves. Reads with a body are queries too, keyed by their body.
import { keepPreviousData, useQueries, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { get, post, request, seg } from './client';

export interface Experiment {
  id: string;
  name: string;
  artifact_root: string;
  stage: 'active' | 'deleted';
  created_at: string;
  updated_at: string;
  tags: Record<string, string>;
  runs: number;
  last_run_at?: string;
}

/** A number as the API writes it: NaN and the infinities are words. */
export type Num = number | 'NaN' | 'Infinity' | '-Infinity';
export type Value = string | number | null;

export interface TableRequest {
  experiments: string[];
  filter?: string;
  order_by?: string[];
  view?: string;
  columns: string[];
  offset?: number;
  limit?: number;
  group_by?: string[];
}

export interface TableAnswer {
  total: number;
  ids: string[];
  rows: Value[][];
  groups?: { values: Value[]; count: number }[];
}

export interface Curve {
  run: string;
  key: string;
  total: number;
  downsampled: boolean;
  x: number[];
  y: Num[];
  low?: Num[];
  high?: Num[];
}

export interface Keys {
  params: string[];
  metrics: string[];
  tags: string[];
}

export interface Suggestion {
  text: string;
  kind: string;
  from: number;
  to: number;
}

export interface DatasetInput {
  dataset: { name: string; digest: string; source_type: string; source: string; schema?: string; profile?: string };
  tags?: { key: string; value: string }[];
}

export interface TrackedRun {
  id: string;
  project: string;
  name: string;
  state: string;
  cause?: string;
  actor?: string;
  started_at: string;
  finished_at?: string;
  seconds: number;
  params: Record<string, string>;
  metrics: Record<string, Num>;
  inputs: { dataset: string; number: number; id: string; rows: number }[] | null;
  model?: string;
  version?: number;
  git_commit?: string;
  error?: string;
  experiment_id: string;
  user?: string;
  stage: 'active' | 'deleted';
  artifact_uri: string;
  parent_id?: string;
  tags: Record<string, string>;
  datasets?: DatasetInput[];
  model_inputs?: { model_id: string }[];
  model_outputs?: { model_id: string; step?: number }[];
  updated_at: string;
}

/** A number to draw; NaN where there is none to draw. */
export const num = (v: Num | Value | undefined): number => (typeof v === 'number' ? v : v === 'Infinity' ? Infinity : v === '-Infinity' ? -Infinity : NaN);

const posted = <T>(path: string, body: unknown, options: { enabled?: boolean; keep?: boolean } = {}) => ({
  queryKey: ['get', path, body],
  queryFn: ({ signal }: { signal: AbortSignal }) => request<T>('POST', path, body, signal),
  enabled: options.enabled ?? true,
  placeholderData: options.keep ? (keepPreviousData as never) : undefined,
});

export const pageSize = 200;

/** The pages of a table that hold the rows from first to last; row(i) is undefined until its page is here. */
export function useTable(body: TableRequest, first: number, last: number, enabled = true) {
  const from = Math.floor(Math.max(0, first) / pageSize);
  const to = Math.floor(Math.max(first, last) / pageSize);
  const pages = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const { columns, ...rest } = body;
  const results = useQueries({
    queries: pages.map((p) => ({ ...posted<TableAnswer>('runs/table', { ...rest, columns, offset: p * pageSize, limit: pageSize }, { enabled, keep: true }), staleTime: 15_000 })),
  }) as UseQueryResult<TableAnswer, Error>[];
  const head = results.find((r) => r.data)?.data;
  const counted = useRef(0); // a table scrolled to rows that are not here yet keeps its height
  if (head) counted.current = head.total;
  return {
    total: counted.current,
    groups: head?.groups,
    pending: results.some((r) => r.isPending),
    error: results.find((r) => r.error)?.error ?? null,
    refetch: () => results.forEach((r) => void r.refetch()),
    /** Where a run is among the rows that are here. */
    place: (id: string): number | undefined => {
      for (let p = from; p <= to; p++) {
        const i = results[p - from]?.data?.ids.indexOf(id) ?? -1;
        if (i >= 0) return p * pageSize + i;
      }
      return undefined;
    },
    row: (i: number): { id: string; cells: Value[] } | undefined => {
      const answer = results[Math.floor(i / pageSize) - from]?.data;
      const id = answer?.ids[i % pageSize];
      return id === undefined ? undefined : { id, cells: answer?.rows[i % pageSize] ?? [] };
    },
  };
}

export const useCells = (body: TableRequest, enabled = true) => useQuery<TableAnswer, Error>(posted<TableAnswer>('runs/table', body, { enabled, keep: true }));

/** The runs nested in runs, by the run that they are nested in, as far as they are here. */
export function useChildren(body: TableRequest, parents: string[]) {
  const results = useQueries({
    queries: parents.map((id) => posted<TableAnswer>('runs/table', { ...body, filter: `tags.\`mlflow.parentRunId\` = '${id}'`, limit: 5_000 })),
  }) as UseQueryResult<TableAnswer, Error>[];
  return { of: new Map(parents.map((id, i) => [id, results[i]?.data])), error: results.find((r) => r.error)?.error ?? null };
}

export const useKeys = (experiments: string[]) => useQuery<Keys, Error>({ ...posted<Keys>('runs/keys', { experiments }, { enabled: experiments.length > 0, keep: true }), staleTime: 30_000 });

export interface CurvesRequest {
  runs: string[];
  keys: string[];
  axis: string;
  from?: number;
  to?: number;
  buckets?: number;
}

export const useCurves = (body: CurvesRequest, enabled = true) => useQuery<{ series: Curve[] }, Error>(posted<{ series: Curve[] }>('runs/charts', body, { enabled: enabled && body.runs.length > 0 && body.keys.length > 0, keep: true }));

/** Several runs, whole. */
export function useRuns(ids: string[]) {
  return useQueries({ queries: ids.map((id) => ({ queryKey: ['get', `runs/${seg(id)}`], queryFn: ({ signal }: { signal: AbortSignal }) => get<TrackedRun>(`runs/${seg(id)}`, signal) })) }) as UseQueryResult<TrackedRun, Error>[];
}

/** Reads again, at most once in two seconds, when a run of these experiments changes; after a break too, for what was missed. */
export function useFollow(path: string, enabled = true) {
  const client = useQueryClient();
  useEffect(() => {
    if (!enabled) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let away = false;
    const changed = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ predicate: (q) => typeof q.queryKey[1] === 'string' && (q.queryKey[1] as string).startsWith('runs') });
      }, 2_000);
    };
    const stream = new EventSource(`/api/v1/${path}/stream`);
    stream.addEventListener('change', changed);
    stream.onerror = () => { away = true; };
    stream.onopen = () => {
      if (away) changed();
      away = false;
    };
    return () => {
      stream.close();
      clearTimeout(timer);
    };
  }, [client, path, enabled]);
}

export const complete = (noun: string, text: string, cursor: number, experiments: string[]) => post<{ items: Suggestion[] | null; error?: string }>('filters/complete', { noun, text, cursor, experiments });

/** A condition for the runs that have this value in a column; undefined where the grammar has none. */
export function clauseOf(column: string, value: Value): string | undefined {
  if (value === null) return column.startsWith('attributes.') ? undefined : `${column} IS NULL`;
  const text = String(value);
  const quote = text.includes("'") ? '"' : "'";
  return text.includes(quote) ? undefined : `${column} = ${quote}${text}${quote}`;
}

/** A key as the filter grammar wants it: quoted when it is not a plain word. */
export const quoteKey = (kind: string, key: string) => (/^[A-Za-z_][\w]*$/.test(key) ? `${kind}.${key}` : `${kind}.\`${key}\``);
