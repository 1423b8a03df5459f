// Runs side by side: what differs between them, and their curves in one chart each.
import { useMemo, useState } from 'react';
import { Link, useSearch } from '@tanstack/react-router';
import { useRuns, type TrackedRun } from '../api/tracking';
import type { Axis, CurveStyle } from '../charts/curves';
import { hue } from '../charts/hue';
import { better, compact, count } from '../format/number';
import { span } from '../format/time';
import { Command } from '../parts/command';
import { Page, Panel, Segments } from '../parts/page';
import { Empty, Failure, Loading } from '../parts/states';
import { ChartCard } from './experiment';

interface Line {
  key: string;
  cells: (string | number | undefined)[];
  best?: number; // which column, when one is best
}

/** The lines of one section; with onlyDifferent, those that are not the same in all runs. */
export function lines(runs: TrackedRun[], keys: string[], value: (r: TrackedRun, key: string) => string | number | undefined, onlyDifferent: boolean, better?: (key: string) => number): Line[] {
  return [...new Set(keys)].sort().flatMap((key) => {
    const cells = runs.map((r) => value(r, key));
    if (onlyDifferent && cells.every((c) => c === cells[0])) return [];
    const way = better?.(key) ?? 0;
    const numbers = cells.map((c) => (typeof c === 'number' && Number.isFinite(c) ? c * way : -Infinity));
    const top = Math.max(...numbers);
    const best = way !== 0 && top > -Infinity && numbers.filter((n) => n === top).length === 1 ? numbers.indexOf(top) : undefined;
    return [{ key, cells, best }];
  });
}

const environment = (r: TrackedRun) => Object.fromEntries(Object.entries(r.tags).filter(([k]) => /^(mlflow\.source|mlflow\.user|mlflow\.docker|mlflow\.project|trimtab\.)/.test(k)));
const ownTags = (r: TrackedRun) => Object.fromEntries(Object.entries(r.tags).filter(([k]) => !k.startsWith('mlflow.') && !k.startsWith('trimtab.')));
const datasetsOf = (r: TrackedRun) => Object.fromEntries([...(r.datasets ?? []).map((d) => [`${d.tags?.find((t) => t.key === 'mlflow.data.context')?.value ?? 'dataset'} ${d.dataset.name}`, d.dataset.digest] as const), ...(r.inputs ?? []).map((i) => [i.dataset, `v${i.number}, ${count(i.rows)} rows`] as const)]);

export function ComparePage() {
  const { runs: text = '' } = useSearch({ strict: false }) as { runs?: string };
  const ids = useMemo(() => [...new Set(text.split(',').filter(Boolean))].slice(0, 50), [text]);
  const answers = useRuns(ids);
  const [all, setAll] = useState(false);
  const [axis, setAxis] = useState<Axis>('step');
  const [range, setRange] = useState<[number, number] | undefined>();
  const runs = answers.flatMap((a) => (a.data ? [a.data] : []));
  const failed = answers.find((a) => a.error)?.error;
  const waiting = answers.some((a) => a.isPending);
  const only = !all && runs.length > 1;
  const sections = [
    { title: 'Run', rows: lines(runs, ['state', 'took', 'user', 'version'], (r, k) => (k === 'took' ? (r.finished_at ? span(Date.parse(r.finished_at) - Date.parse(r.started_at)) : '–') : k === 'version' ? (r.version ? `${r.model} v${r.version}` : undefined) : (r as unknown as Record<string, string>)[k]), only) },
    { title: 'Parameters', rows: lines(runs, runs.flatMap((r) => Object.keys(r.params)), (r, k) => r.params[k], only) },
    { title: 'Metrics', rows: lines(runs, runs.flatMap((r) => Object.keys(r.metrics).filter((k) => !k.startsWith('system/'))), (r, k) => r.metrics[k], only, better) },
    { title: 'Tags', rows: lines(runs, runs.flatMap((r) => Object.keys(ownTags(r))), (r, k) => ownTags(r)[k], only) },
    { title: 'Data', rows: lines(runs, runs.flatMap((r) => Object.keys(datasetsOf(r))), (r, k) => datasetsOf(r)[k], only) },
    { title: 'Code and environment', rows: lines(runs, runs.flatMap((r) => [...Object.keys(environment(r)), 'git_commit']), (r, k) => (k === 'git_commit' ? r.git_commit : environment(r)[k]), only) },
  ];
  const shared = [...new Set(runs.flatMap((r) => Object.keys(r.metrics)))].filter((k) => !k.startsWith('system/')).sort();
  const style: CurveStyle = { axis, log: false, smooth: 0 };
  const name = (id: string) => runs.find((r) => r.id === id)?.name ?? id.slice(0, 8);
  return (
    <Page
      title={`Compare ${ids.length} runs`} crumbs={[{ label: 'Experiments', to: '/experiments' }, { label: 'Compare' }]}
      actions={<><Segments label="Rows" value={all ? 'all' : 'differences'} options={[{ value: 'differences', label: 'Differences' }, { value: 'all', label: 'Everything' }]} onChange={(v) => setAll(v === 'all')} /><Command show={{ cli: `trimtab runs diff ${ids.join(' ')}`, api: 'runs/search', body: { experiments: [runs[0]?.experiment_id ?? '0'], filter: `attributes.run_id IN (${ids.map((i) => `'${i}'`).join(', ')})` } }} /></>}
    >
      {ids.length === 0 ? <section className="panel"><Empty title="No run was chosen">Select two or more runs in an experiment and press Compare.</Empty></section> : failed ? <section className="panel"><Failure error={failed} what="The runs cannot be compared" /></section> : waiting ? <section className="panel"><Loading rows={10} /></section> : (
        <>
          <Panel title="Side by side" sub={only ? 'only what differs' : 'everything'}>
            <div className="scroll" tabIndex={0} role="region" aria-label="Runs side by side">
              <table className="dense compare">
                <caption className="hidden">Runs side by side</caption>
                <thead>
                  <tr>
                    <th scope="col"> </th>
                    {runs.map((r, i) => (
                      <th key={r.id} scope="col"><span className="row" style={{ gap: 6 }}><svg width="14" height="8" aria-hidden="true"><path d="M0 4h14" stroke={`var(${hue(i).token})`} strokeWidth="2.5" strokeDasharray={hue(i).dash?.join(' ')} /></svg><Link className="link" to="/runs/$id" params={{ id: r.id }}>{r.name}</Link></span></th>
                    ))}
                  </tr>
                </thead>
                {sections.map((s) => (
                  <tbody key={s.title}>
                    <tr><th scope="rowgroup" colSpan={runs.length + 1} className="strong">{s.title}{s.rows.length === 0 && <span className="third"> {only ? 'no difference' : 'nothing'}</span>}</th></tr>
                    {s.rows.map((l) => (
                      <tr key={l.key}>
                        <th scope="row" className="mono">{l.key}</th>
                        {l.cells.map((c, i) => <td key={runs[i]?.id} className={l.best === i ? 'strong ok' : ''} title={l.best === i ? 'the best of these' : undefined}>{c === undefined || c === '' ? <span className="third">–</span> : typeof c === 'number' ? compact(c, 6) : <span className="wrapped long">{c}</span>}</td>)}
                      </tr>
                    ))}
                  </tbody>
                ))}
              </table>
            </div>
          </Panel>
          {shared.length > 0 && (
            <Panel title="Curves" sub="metrics of these runs" tools={<><Segments label="Axis" value={axis} options={[{ value: 'step', label: 'Step' }, { value: 'time', label: 'Time' }, { value: 'relative', label: 'Relative' }]} onChange={(a) => { setAxis(a); setRange(undefined); }} />{range && <button type="button" className="btn small" onClick={() => setRange(undefined)}>Whole range</button>}</>}>
              <div className="charts">{shared.slice(0, 200).map((m) => <ChartCard key={m} metric={m} runs={ids} style={style} range={range} onRange={setRange} nameOf={name} indexOf={(id) => ids.indexOf(id)} />)}</div>
            </Panel>
          )}
        </>
      )}
    </Page>
  );
}
