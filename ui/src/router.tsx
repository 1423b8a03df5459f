// The map of the app: every page and every tab is an address under /ui.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Navigate } from '@tanstack/react-router';
import { Shell } from './parts/shell';
import { Empty, Failure, Loading } from './parts/states';
import { Page } from './parts/page';

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

function NotFound() {
  return (
    <Page title="Nothing here" crumbs={[{ label: 'not found' }]}>
      <section className="panel">
        <Empty title="There is no page at this address">Use the side bar, or press Ctrl K and type a part of the name.</Empty>
      </section>
    </Page>
  );
}

const on = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string) =>
  createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load as () => Promise<Record<string, never>>, name) });

/** A noun's page without a tab goes to its first. */
const first = <P extends string>(path: P, tab: string) =>
  createRoute({ getParentRoute: () => root, path, component: () => <Navigate to={`./${tab}` as never} from={path as never} replace /> });

const home = () => import('./pages/home');
const data = () => import('./pages/data');
const runs = () => import('./pages/runs');
const run = () => import('./pages/run');
const experiments = () => import('./pages/experiments');
const experiment = () => import('./pages/experiment');
const compare = () => import('./pages/compare');
const registry = () => import('./pages/registry');
const models = () => import('./pages/models');
const deployments = () => import('./pages/deployments');
const monitors = () => import('./pages/monitors');
const platform = () => import('./pages/platform');

const tree = root.addChildren([
  on('/', home, 'HomePage'),
  on('/data', data, 'DatasetsPage'),
  first('/data/$dataset', 'profile'),
  on('/data/$dataset/$tab', data, 'DatasetPage'),
  on('/experiments', experiments, 'ExperimentsPage'),
  on('/experiments/$ids', experiment, 'ExperimentPage'),
  on('/compare', compare, 'ComparePage'),
  on('/runs', runs, 'RunsPage'),
  first('/runs/$id', 'overview'),
  on('/runs/$id/$tab', run, 'RunPage'),
  on('/models', registry, 'ModelsPage'),
  on('/models/$model', registry, 'ModelPage'),
  first('/models/$model/$version', 'evaluation'),
  on('/models/$model/$version/$tab', models, 'VersionPage'),
  on('/deployments', deployments, 'DeploymentsPage'),
  first('/deployments/$name', 'rollout'),
  on('/deployments/$name/$tab', deployments, 'DeploymentPage'),
  on('/monitors', monitors, 'MonitorsPage'),
  first('/monitors/$name', 'overview'),
  on('/monitors/$name/$tab', monitors, 'MonitorPage'),
  on('/alerts', platform, 'AlertsPage'),
  on('/jobs', platform, 'JobsPage'),
  on('/events', platform, 'EventsPage'),
]);

export const router = createRouter({
  routeTree: tree,
  basepath: '/ui',
  defaultPreload: 'intent',
  defaultPendingComponent: () => <main className="main" id="main" tabIndex={-1}><Loading rows={8} /></main>,
  defaultErrorComponent: ({ error }) => (
    <main className="main" id="main" tabIndex={-1}>
      <section className="panel" style={{ marginTop: 44 }}>
        <Failure error={error as Error} what="This page failed to show" retry={() => location.reload()} />
      </section>
    </main>
  ),
  defaultNotFoundComponent: NotFound,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
