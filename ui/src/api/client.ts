// The typed door to the native API: one function per method, one error type.
import type { Problem } from './types';

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title || `The server answered ${problem.status}`);
    this.name = 'ApiError';
    this.problem = problem;
  }
}

const unreachable: Problem = {
  status: 0,
  code: 'unavailable',
  detail: 'The server does not answer.',
  hint: 'Look whether it runs: trimtab doctor. This page tries again by itself.',
};

async function problemOf(answer: Response): Promise<Problem> {
  const requestId = answer.headers.get('x-request-id') ?? undefined;
  const type = answer.headers.get('content-type') ?? '';
  if (type.includes('json')) {
    const body = (await answer.json().catch(() => ({}))) as Partial<Problem>;
    return { request_id: requestId, ...body, status: answer.status };
  }
  const text = (await answer.text().catch(() => '')).slice(0, 400);
  return { status: answer.status, title: answer.statusText, detail: text, request_id: requestId };
}

export async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`/api/v1/${path}`, {
      method,
      signal,
      headers: body === undefined ? { accept: 'application/json' } : { accept: 'application/json', 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(unreachable);
  }
  if (!answer.ok) throw new ApiError(await problemOf(answer));
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => request<T>('GET', path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}) => request<T>('POST', path, body);

/** A path segment that may hold any name. */
export const seg = (name: string | number) => encodeURIComponent(String(name));
