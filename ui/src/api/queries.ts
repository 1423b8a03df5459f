// Reading: every query is a GET of one path, and its key is that path, so that an event can say what became stale.
import { keepPreviousData, QueryClient, useMutation, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { ApiError, get, post } from './client';
import type { Items } from './types';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      gcTime: 5 * 60_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) => failures < 2 && (!(error instanceof ApiError) || error.problem.status === 0 || error.problem.status >= 500),
      retryDelay: (n) => Math.min(500 * 2 ** n, 4_000),
    },
  },
});

export interface ReadOptions {
  enabled?: boolean;
  /** Poll at this pace as well; for things that change without an event. */
  every?: number;
  /** Keep the old rows while a page of the same list loads; never across different things. */
  keep?: boolean;
}

export function useRead<T>(path: string, options: ReadOptions = {}): UseQueryResult<T, Error> {
  return useQuery<T, Error>({
    queryKey: ['get', path],
    queryFn: ({ signal }) => get<T>(path, signal),
    enabled: options.enabled ?? true,
    refetchInterval: options.every ?? false,
    placeholderData: options.keep ? (keepPreviousData as never) : undefined,
  });
}

/** A list; the server wraps it as {"items": []}. */
export function useList<T>(path: string, options: ReadOptions = {}) {
  const query = useRead<Items<T>>(path, options);
  return { ...query, items: query.data?.items ?? [] };
}

/** A change: posts, then reads again everything on the page. */
export function useAct<I, O = unknown>(path: string | ((input: I) => string)) {
  const client = useQueryClient();
  return useMutation<O, Error, I>({
    mutationFn: (input) => post<O>(typeof path === 'function' ? path(input) : path, input),
    onSettled: () => client.invalidateQueries({ queryKey: ['get'] }),
  });
}
