// ⌘K: every page and every named thing of the project, by typing a part of its name.
import { useEffect } from 'react';
import { Spotlight, spotlight, type SpotlightActionData } from '@mantine/spotlight';
import '@mantine/spotlight/styles.css';
import { useNavigate } from '@tanstack/react-router';
import { useList } from '../api/queries';
import { useDeployments, useModels } from '../api/reads';
import type { DatasetVersion, Run } from '../api/types';
import { toggleTwins } from '../charts/frame';
import { Icon } from './icons';
import { useProject } from './project';
import { places, platform } from './shell';

export default function Finder({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const { name } = useProject();
  const datasets = useList<DatasetVersion>(`projects/${name}/datasets`, { enabled: !!name });
  const models = useModels(name);
  const deployments = useDeployments(name, true);
  const runs = useList<Run>(`projects/${name}/runs`, { enabled: !!name });
  useEffect(() => spotlight.open(), []);

  const go = (to: string) => () => void navigate({ to });
  const actions: SpotlightActionData[] = [
    ...[...places, ...platform].map((p) => ({ id: p.to, label: p.label, description: `g ${p.key}`, leftSection: <Icon name={p.icon} />, onClick: go(p.to) })),
    ...datasets.items.map((d) => ({ id: `dataset ${d.dataset}`, label: d.dataset, description: 'Dataset: profile, versions, quarantine', leftSection: <Icon name="data" />, onClick: go(`/data/${d.dataset}/profile`) })),
    ...models.items.flatMap((m) => [
      { id: `model ${m.name}`, label: m.name, description: 'Model: versions and history', leftSection: <Icon name="models" />, onClick: go(`/models/${m.name}`) },
      ...Object.entries(m.aliases ?? {}).map(([alias, v]) => ({ id: `${m.name} ${alias}`, label: `${m.name} v${v}`, description: `Model version, ${alias}`, leftSection: <Icon name="models" />, onClick: go(`/models/${m.name}/${v}/evaluation`) })),
    ]),
    ...deployments.items.flatMap((d) => [
      { id: `deployment ${d.name}`, label: d.name, description: 'Deployment: traffic, rollout, log', leftSection: <Icon name="deployments" />, onClick: go(`/deployments/${d.name}/rollout`) },
      { id: `monitor ${d.name}`, label: d.name, description: 'Monitor: performance, drift, quality', leftSection: <Icon name="monitors" />, onClick: go(`/monitors/${d.name}/overview`) },
    ]),
    ...runs.items.slice(0, 30).map((r) => ({ id: r.id, label: r.name, description: `Run, ${r.state}`, leftSection: <Icon name="runs" />, onClick: go(`/runs/${r.id}`) })),
    { id: 'tables', label: 'Show charts as tables', description: 't', leftSection: <Icon name="table" />, onClick: toggleTwins },
  ];
  return (
    <Spotlight
      actions={actions} nothingFound="Nothing of that name" highlightQuery limit={12} shortcut={null} onSpotlightClose={onClose}
      searchProps={{ leftSection: <Icon name="search" />, placeholder: 'Search or run', 'aria-label': 'Search or run' }}
    />
  );
}
