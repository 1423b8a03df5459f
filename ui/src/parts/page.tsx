// The frame of every page: where I am, what time it is there, how old the page is, the title, the tabs.
import { useEffect, useState, type ReactNode } from 'react';
import { useIsFetching, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMantineColorScheme } from '@mantine/core';
import { ago, longMoment } from '../format/time';
import { Icon } from './icons';
import { useProject } from './project';
import { useLink } from './live';

/** The age of the oldest thing on the page that is being watched. */
function usePageAge(): string {
  const client = useQueryClient();
  const fetching = useIsFetching();
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 2_000);
    return () => clearInterval(timer);
  }, []);
  const ages = client.getQueryCache().findAll({ type: 'active' }).filter((q) => q.state.dataUpdatedAt > 0).map((q) => q.state.dataUpdatedAt);
  if (!ages.length) return fetching ? 'loading' : '';
  // The list of projects is polled slowly and is not what the page is about; the newest read of the page counts as its age.
  return `updated ${ago(Math.max(...ages), Date.now())}`;
}

function ThemeButton() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const order = ['auto', 'light', 'dark'] as const;
  const next = order[(order.indexOf(colorScheme) + 1) % order.length] ?? 'auto';
  const icon = colorScheme === 'dark' ? 'moon' : colorScheme === 'light' ? 'sun' : 'screen';
  const word = { auto: 'system', light: 'light', dark: 'dark' };
  return (
    <button
      type="button" className="btn quiet square" style={{ height: 28, width: 28 }}
      aria-label={`Theme: ${word[colorScheme]}. Change to ${word[next]}`} title={`Theme: ${word[colorScheme]}`} onClick={() => setColorScheme(next)}
    >
      <Icon name={icon} />
    </button>
  );
}

export interface Crumb {
  label: string;
  to?: string;
}

interface PageProps {
  title: string;
  /** What stands in the browser's tab; the title when left out. */
  name?: string;
  crumbs?: Crumb[];
  mark?: ReactNode;
  facts?: ReactNode;
  actions?: ReactNode;
  tabs?: { label: string; to: string; current: boolean; n?: number }[];
  children: ReactNode;
}

export function Page({ title, name, crumbs = [], mark, facts, actions, tabs, children }: PageProps) {
  const { name: project, replay, zone, now } = useProject();
  const link = useLink();
  const age = usePageAge();
  useEffect(() => {
    document.title = `${name ?? title} · Trimtab`;
  }, [name, title]);
  const trail: Crumb[] = [{ label: project || 'Projects', to: '/' }, ...crumbs];
  const linkWord = { live: 'live', polling: 'polling every 5 s', connecting: 'connecting' }[link];
  return (
    <main className="main" id="main" tabIndex={-1}>
      <div className="crumb">
        <nav aria-label="Breadcrumb" style={{ minWidth: 0 }}>
          <ol>
            {trail.map((crumb, i) => (
              <li key={i}>{crumb.to && i < trail.length - 1 ? <Link to={crumb.to}>{crumb.label}</Link> : <span className="clip">{crumb.label}</span>}</li>
            ))}
          </ol>
        </nav>
        <span className="clock push" title={replay ? `The project replays the past: every time on this page is of its clock, ${zone}` : `Times are shown in ${zone}`}>
          <span className={`dot ${link}`} role="img" aria-label={`Updates: ${linkWord}`} />
          <span>
            {replay && <span className="what">Replay </span>}
            {longMoment(now(), zone)}
          </span>
        </span>
        <span className="age">{age}</span>
        <ThemeButton />
      </div>
      <header className="head">
        <div>
          <h1>
            {title}
            {mark}
          </h1>
          {facts && <div className="facts">{facts}</div>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {tabs && (
        <nav className="tabs" aria-label={`Parts of ${title}`}>
          {tabs.map((tab) => (
            <Link key={tab.to} to={tab.to} aria-current={tab.current ? 'page' : undefined} replace>
              {tab.label}
              {tab.n !== undefined && tab.n > 0 && <span className="n">{tab.n.toLocaleString('en-US')}</span>}
            </Link>
          ))}
        </nav>
      )}
      {children}
    </main>
  );
}

interface PanelProps {
  title?: ReactNode;
  sub?: ReactNode;
  tools?: ReactNode;
  foot?: ReactNode;
  className?: string;
  label?: string;
  children?: ReactNode;
}

export function Panel({ title, sub, tools, foot, className = '', label, children }: PanelProps) {
  return (
    <section className={`panel ${className}`} aria-label={label ?? (typeof title === 'string' ? title : undefined)}>
      {(title || tools) && (
        <header>
          {title && <h2>{title}</h2>}
          {sub && <span className="sub" title={typeof sub === 'string' ? sub : undefined}>{sub}</span>}
          <span className="tools">{tools}</span>
        </header>
      )}
      {children}
      {foot && <footer>{foot}</footer>}
    </section>
  );
}

export function Tile({ label, value, unit, notes = [] }: { label: string; value: ReactNode; unit?: string; notes?: { text: string; tone?: 'ok' | 'bad' }[] }) {
  return (
    <div className="tile">
      <div className="label">{label}</div>
      <div className="figure">
        {value}
        {unit && <small> {unit}</small>}
      </div>
      {notes.map((note, i) => (
        <div key={i} className={`note ${note.tone ?? ''}`} title={note.text}>{note.text}</div>
      ))}
    </div>
  );
}

export function Segments<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: { value: T; label: string }[]; onChange: (value: T) => void }) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map((option) => (
        <button key={option.value} type="button" aria-pressed={option.value === value} onClick={() => onChange(option.value)}>
          {option.label}
        </button>
      ))}
    </div>
  );
}
