// Which project the pages show, and what time it is there.
import { createContext, use, useCallback, useMemo, useState, type ReactNode } from 'react';
import { useList } from '../api/queries';
import type { Project } from '../api/types';
import { ago, instant, moment, safeZone } from '../format/time';

interface ProjectContext {
  name: string; // empty while there is none
  project?: Project;
  projects: Project[];
  loading: boolean;
  error: Error | null;
  choose: (name: string) => void;
  zone: string;
  replay: boolean;
  /** Now of the project's clock; a wall clock ticks with the browser's. */
  now: () => number;
}

const Context = createContext<ProjectContext | null>(null);
const remembered = 'trimtab.project';

function recall(): string {
  try {
    return localStorage.getItem(remembered) ?? '';
  } catch {
    return '';
  }
}

export function ProjectProvider({ children }: { children: ReactNode }) {
  const { items, isPending, error } = useList<Project>('projects', { every: 15_000 });
  const [chosen, setChosen] = useState(recall);
  const choose = useCallback((name: string) => {
    setChosen(name);
    try {
      localStorage.setItem(remembered, name);
    } catch {
      // storage is off: the choice lasts as long as the page
    }
  }, []);

  const value = useMemo<ProjectContext>(() => {
    const project = items.find((p) => p.name === chosen) ?? items[0];
    const replay = project?.clock === 'replay';
    const fixedNow = instant(project?.now);
    const from = project?.file?.model?.from;
    const timed = (from && project?.file.data?.[from]) || Object.values(project?.file?.data ?? {}).find((d) => d.time?.zone);
    return {
      name: project?.name ?? '', project, projects: items, loading: isPending, error, choose, replay,
      zone: safeZone(timed ? timed.time?.zone : undefined),
      now: () => (replay && fixedNow !== undefined ? fixedNow : Date.now()),
    };
  }, [items, chosen, isPending, error, choose]);

  return <Context value={value}>{children}</Context>;
}

export function useProject(): ProjectContext {
  const value = use(Context);
  if (!value) throw new Error('useProject is used outside ProjectProvider');
  return value;
}

/** What the project predicts, in the word of its file. */
export function labelOf(project: Project | undefined): string {
  const label = project?.file?.model?.label;
  if (label && typeof label === 'object') return Object.keys(label).find((k) => k !== 'known_after') ?? 'outcome';
  return typeof label === 'string' ? label : 'outcome';
}

/** A time of the project's clock: "9 Dec 00:00", with how long ago it was as its title. */
export function When({ at, age = false }: { at: string | undefined | null; age?: boolean }) {
  const { zone, now } = useProject();
  const time = instant(at);
  if (time === undefined) return <span className="third">–</span>;
  const full = moment(time, zone, now());
  const old = ago(time, now());
  return (
    <time dateTime={new Date(time).toISOString()} title={`${age ? full : old} (${zone})`} className="nowrap">
      {age ? old : full}
    </time>
  );
}

/** A time of the machine, such as a job's: how long ago by the browser's clock. */
export function WallAgo({ at }: { at: string | undefined | null }) {
  const time = instant(at);
  if (time === undefined) return <span className="third">–</span>;
  return (
    <time dateTime={new Date(time).toISOString()} title={new Date(time).toLocaleString()} className="nowrap">
      {ago(time, Date.now())}
    </time>
  );
}
