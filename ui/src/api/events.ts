// One server-sent stream per page. What it carries is not shown directly: it says which reads are stale,
// so that a number on the page always comes from the same place. Without a stream the page polls.
import { useEffect, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import type { Event } from './types';

export type Link = 'live' | 'polling' | 'connecting';

/** Parts of API paths that an event of this kind may have changed. */
const touches: Record<string, string[]> = {
  dataset: ['datasets'],
  data: ['datasets'],
  run: ['runs'],
  experiment: ['experiments', 'runs'],
  version: ['models'],
  model: ['models'],
  gate: ['models'],
  deployment: ['deployments'],
  rollout: ['deployments', 'models', 'monitors'],
  outcome: ['deployments', 'monitors'],
  monitor: ['monitors', 'alerts'],
  verdict: ['monitors', 'alerts'],
  alert: ['alerts', 'monitors'],
  retrain: ['retrain', 'jobs', 'runs'],
  job: ['jobs'],
  clock: ['projects'],
};

export function stalePaths(kind: string): string[] {
  const noun = kind.split('.')[0] ?? '';
  return ['events', ...(touches[noun] ?? ['projects'])];
}

export const pace = 1_500; // at most one round of reading in this many milliseconds
const pollEvery = 5_000;

/** Keeps the page in step with the server; returns how it does so. `onEvent` is told of every event. */
export function useLive(onEvent: (event: Event) => void): Link {
  const client = useQueryClient();
  const [link, setLink] = useState<Link>('connecting');

  useEffect(() => {
    const stale = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let poll: ReturnType<typeof setInterval> | undefined;

    const flush = () => {
      timer = undefined;
      const parts = [...stale];
      stale.clear();
      void client.invalidateQueries({
        predicate: (query) => typeof query.queryKey[1] === 'string' && parts.some((part) => (query.queryKey[1] as string).includes(part)),
      });
    };
    const mark = (kind: string) => {
      for (const part of stalePaths(kind)) stale.add(part);
      timer ??= setTimeout(flush, pace);
    };
    const receive = (kind: string) => (message: MessageEvent<string>) => {
      try {
        const body = JSON.parse(message.data) as Partial<Event>;
        mark(kind === 'job' ? 'job' : (body.kind ?? kind));
        if (kind !== 'job' && body.kind && body.message) onEvent(body as Event);
      } catch {
        mark(kind); // a heartbeat or a form this page does not know still means that something happened
      }
    };

    const stream = new EventSource('/api/v1/events/stream');
    stream.onopen = () => {
      setLink('live');
      clearInterval(poll);
      poll = undefined;
    };
    stream.onerror = () => {
      setLink('polling');
      poll ??= setInterval(() => void client.invalidateQueries({ queryKey: ['get'] }), pollEvery);
    };
    stream.onmessage = receive('event');
    for (const name of ['event', 'job', 'clock']) stream.addEventListener(name, receive(name) as EventListener);

    return () => {
      stream.close();
      clearTimeout(timer);
      clearInterval(poll);
    };
  }, [client, onEvent]);

  return link;
}
