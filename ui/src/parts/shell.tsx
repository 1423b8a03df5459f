// Around every page: the side bar, the keys, the search, the bottom bar of small screens.
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { Menu } from '@mantine/core';
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { useList } from '../api/queries';
import { useDeployments } from '../api/reads';
import type { Alert, Job } from '../api/types';
import { toggleTwins } from '../charts/frame';
import { count } from '../format/number';
import { Icon, Logo, type IconName } from './icons';
import { Page } from './page';
import { ProjectProvider, useProject } from './project';
import { LiveProvider } from './live';
import { Empty, Failure } from './states';

const Finder = lazy(() => import('./finder'));
const Help = lazy(() => import('./help'));

interface Place {
  to: string;
  label: string;
  icon: IconName;
  key: string;
  small?: string;
  /** Says something without a project. */
  free?: boolean;
}

export const places: Place[] = [
  { to: '/', label: 'Home', icon: 'home', key: 'h', small: 'Home' },
  { to: '/data', label: 'Data', icon: 'data', key: 'd', small: 'Data' },
  { to: '/experiments', label: 'Experiments', icon: 'experiments', key: 'e', free: true },
  { to: '/runs', label: 'Runs', icon: 'runs', key: 'r', small: 'Runs' },
  { to: '/models', label: 'Models', icon: 'models', key: 'm', free: true },
  { to: '/deployments', label: 'Deployments', icon: 'deployments', key: 'p', small: 'Live' },
  { to: '/monitors', label: 'Monitors', icon: 'monitors', key: 'o', small: 'Monitor' },
];
export const platform: Place[] = [
  { to: '/alerts', label: 'Alerts', icon: 'alerts', key: 'a' },
  { to: '/jobs', label: 'Jobs', icon: 'jobs', key: 'j' },
  { to: '/events', label: 'Audit log', icon: 'events', key: 'l' },
];

const typing = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** The keys of the whole app: g and a letter, j and k over rows, t for tables, [ and ] over tabs, / for the filter. */
function useKeys(open: (what: 'finder' | 'help') => void) {
  const navigate = useNavigate();
  const pending = useRef(0);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        open('finder');
        return;
      }
      if (event.metaKey || event.ctrlKey || event.altKey || typing(event.target) || document.querySelector('[role=dialog]')) return;
      const key = event.key;
      if (Date.now() - pending.current < 1_200) {
        pending.current = 0;
        const place = [...places, ...platform].find((p) => p.key === key);
        if (place) {
          event.preventDefault();
          void navigate({ to: place.to });
        }
        return;
      }
      if (key === 'g') pending.current = Date.now();
      else if (key === 't') toggleTwins();
      else if (key === '?') open('help');
      else if (key === '/') {
        const filter = document.querySelector<HTMLInputElement>('main input[type=search]');
        if (filter) {
          event.preventDefault();
          filter.focus();
        }
      } else if (key === 'j' || key === 'k') step('main [data-row]', key === 'j' ? 1 : -1, (e) => e.focus());
      else if (key === '[' || key === ']') step('main .tabs a', key === ']' ? 1 : -1, (e) => e.click(), '[aria-current]');
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [navigate, open]);
}

function step(selector: string, by: number, act: (element: HTMLElement) => void, current?: string) {
  const all = [...document.querySelectorAll<HTMLElement>(selector)];
  const now = all.findIndex((e) => (current ? e.matches(current) : e === document.activeElement));
  const next = all[Math.max(0, Math.min(all.length - 1, now < 0 ? 0 : now + by))];
  if (next) act(next);
}

function NavLink({ place, path, n, hot = false, word }: { place: Place; path: string; n?: number; hot?: boolean; word?: string }) {
  const current = place.to === '/' ? path === '/' : path === place.to || path.startsWith(`${place.to}/`);
  return (
    <Link to={place.to} aria-current={current ? 'page' : undefined}>
      <Icon name={place.icon} />
      {place.label}
      {n ? <span className={`n ${hot ? 'hot' : ''}`} title={`${n} ${word}`}>{n}<span className="hidden"> {word}</span></span> : null}
    </Link>
  );
}

function Side({ onFind }: { onFind: () => void }) {
  const path = useRouterState({ select: (s) => s.location.pathname }).replace(/\/$/, '') || '/';
  const { name, projects, choose } = useProject();
  const alerts = useList<Alert>(`alerts?project=${name}&state=firing`, { enabled: !!name });
  const jobs = useList<Job>(`jobs?project=${name}&state=running`, { enabled: !!name });
  const deployments = useDeployments(name);
  const firing = alerts.items.filter((a) => a.state === 'firing' && a.level !== 'notice').length;
  const running = jobs.items.filter((j) => j.state === 'running').length;
  const canaries = deployments.items.filter((d) => d.route?.canary).length;
  const counts: Record<string, { n: number; hot?: boolean; word: string }> = {
    '/monitors': { n: firing, hot: true, word: 'alerts firing' },
    '/alerts': { n: firing, hot: true, word: 'firing' },
    '/deployments': { n: canaries, word: 'canary running' },
    '/jobs': { n: running, word: 'running' },
  };
  const total = deployments.items.reduce((sum, d) => sum + d.stats.predictions, 0);
  const lost = deployments.items.reduce((sum, d) => sum + d.stats.lost, 0);
  const mac = /Mac|iPhone|iPad/.test(navigator.userAgent);
  return (
    <aside className="side" aria-label="Main">
      <Link className="brand" to="/" aria-label="Trimtab, home">
        <Logo />
        <span>Trimtab</span>
      </Link>
      {projects.length > 0 && (
        <Menu position="bottom-start" width={192}>
          <Menu.Target>
            <button type="button" className="switch" aria-label={`Project ${name}, change`}>
              <span className="clip">{name}</span>
              <Icon name="down" />
            </button>
          </Menu.Target>
          <Menu.Dropdown>
            {projects.map((p) => (
              <Menu.Item key={p.name} onClick={() => choose(p.name)} rightSection={p.name === name ? <Icon name="check" /> : undefined}>
                {p.name}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
      <button type="button" className="find" onClick={onFind}>
        <Icon name="search" />
        <span>Search or run</span>
        <kbd aria-hidden="true">{mac ? '⌘K' : 'Ctrl K'}</kbd>
      </button>
      <nav className="nav" aria-label="Sections">
        {places.map((place) => <NavLink key={place.to} place={place} path={path} {...counts[place.to]} />)}
        <div className="group">Platform</div>
        {platform.map((place) => <NavLink key={place.to} place={place} path={path} {...counts[place.to]} />)}
      </nav>
      <div className="foot">
        One node, all roles
        {total > 0 && (
          <>
            <br />
            Log: {count(lost)} lost of {count(total)}
          </>
        )}
      </div>
    </aside>
  );
}

function Bottom() {
  const path = useRouterState({ select: (s) => s.location.pathname }).replace(/\/$/, '') || '/';
  return (
    <nav className="bottom" aria-label="Sections, small screen">
      {places.filter((p) => p.small).map((p) => (
        <Link key={p.to} to={p.to} aria-current={(p.to === '/' ? path === '/' : path.startsWith(p.to)) ? 'page' : undefined}>
          <Icon name={p.icon} />
          {p.small}
        </Link>
      ))}
    </nav>
  );
}

/** The page of the address; while there is no project, the way to one, because no page of a project could read anything. */
function Content() {
  const path = useRouterState({ select: (s) => s.location.pathname });
  const { name, loading, error } = useProject();
  const place = [...places, ...platform].find((p) => p.to !== '/' && (path === p.to || path.startsWith(`${p.to}/`)));
  if (name || loading || !place || place.free || path.startsWith('/runs/')) return <Outlet />;
  return (
    <Page title={place.label} crumbs={[{ label: place.label }]}>
      <section className="panel">
        {error ? (
          <Failure error={error} what="The projects cannot be shown" />
        ) : (
          <Empty title="There is no project yet" command={'trimtab init --data flights.csv --label late\ntrimtab apply'}>
            The first command looks at a CSV or Parquet file and writes trimtab.yaml; the second builds, gates and serves the model.
          </Empty>
        )}
      </section>
    </Page>
  );
}

export function Shell() {
  const [open, setOpen] = useState<'finder' | 'help' | null>(null);
  const show = useRef((what: 'finder' | 'help') => setOpen(what)).current;
  useKeys(show);
  const path = useRouterState({ select: (s) => s.location.pathname });
  const first = useRef(true);
  useEffect(() => {
    // A new page takes the focus, as a page load would; tabs of one page do not.
    if (first.current) first.current = false;
    else document.getElementById('main')?.focus({ preventScroll: true });
  }, [path]);
  return (
    <LiveProvider>
      <ProjectProvider>
        <a className="skip" href="#main">Skip to the page</a>
        <div className="app">
          <Side onFind={() => setOpen('finder')} />
          <Content />
        </div>
        <Bottom />
        <Suspense fallback={null}>
          {open === 'finder' && <Finder onClose={() => setOpen(null)} />}
          {open === 'help' && <Help onClose={() => setOpen(null)} />}
        </Suspense>
      </ProjectProvider>
    </LiveProvider>
  );
}
