// Why a version answers what it answers: the influence of each column on held-out rows, and the way to the answer of one row.
import { useMemo, useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { ApiError, post, seg } from '../api/client';
import { useRead } from '../api/queries';
import type { ExplainedColumn, ExplanationSummary, MarginUnit, ReferenceFile, RowExplanations, VersionDetail } from '../api/types';
import { Beeswarm, SwarmLegend, valueText } from '../charts/beeswarm';
import { chance, waterfall } from '../charts/contributions';
import { Forest } from '../charts/forest';
import { Figure } from '../charts/frame';
import { extent } from '../charts/scale';
import { Waterfall } from '../charts/waterfall';
import { compact, count, fixed, percent, plural, signed, signedRange } from '../format/number';
import { Panel, Segments } from '../parts/page';
import { Await, Empty, Failure } from '../parts/states';
import { Table } from '../parts/table';
import { RowForm } from '../parts/rowform';

const unitWords: Record<MarginUnit, string> = { log_odds: 'log-odds', score: 'score before the softmax', log: 'logarithm of the value', probability: 'probability', value: 'unit of the label' };
const most = 12; // columns of a drawing

interface State {
  output?: string;
  row?: number; // of the sample, from 1
  column?: string;
}

export default function Explanations({ version: v }: { version: VersionDetail }) {
  const has = (v.files ?? []).some((f) => f.path === 'explanations.json');
  const summary = useRead<ExplanationSummary>(`models/${seg(v.model)}/versions/${v.version}/explanations`, { enabled: has });
  const state = useSearch({ strict: false }) as State;
  const navigate = useNavigate();
  const set = (next: State) => void navigate({ search: (old: Record<string, unknown>) => ({ ...old, ...next }), replace: true } as never);
  if (!has) return <section className="panel"><Empty title="This version was not explained">Explanations are made with a version of trees, of a linear model or of a blend of both, when held-out rows judge it. Other models have none.</Empty></section>;
  const s = summary.data;
  const output = Math.max(0, s?.outputs.indexOf(state.output ?? '') ?? 0);
  return (
    <Await of={summary} what="The explanations" rows={12}>
      {s && (
        <>
          {s.outputs.length > 1 && (
            <div className="row wrap" style={{ marginBottom: 16 }}>
              <span className="second">Contributions to the score of</span>
              <Segments label="Class" value={s.outputs[output] ?? ''} options={s.outputs.map((o) => ({ value: o, label: o }))} onChange={(o) => set({ output: o })} />
            </div>
          )}
          <div className="grid">
            <div className="s8 col">
              <Swarm summary={s} output={output} row={state.row ?? 1} onRow={(row) => set({ row: row + 1 })} />
              <OneRow version={v} summary={s} output={output} row={state.row ?? 1} onRow={(row) => set({ row })} />
            </div>
            <div className="s4 col">
              <Influence summary={s} output={output} />
              <Dependence summary={s} output={output} column={state.column} onColumn={(column) => set({ column })} />
            </div>
          </div>
        </>
      )}
    </Await>
  );
}

const drawn = (s: ExplanationSummary) => `${s.rows < s.of ? `${count(s.rows)} rows drawn from ${count(s.of)}` : count(s.rows)} held out`;

function Influence({ summary: s, output }: { summary: ExplanationSummary; output: number }) {
  const rows = useMemo(() => [...s.columns].sort((a, b) => (b.mean[output] ?? 0) - (a.mean[output] ?? 0)), [s, output]);
  const largest = rows[0]?.mean[output] || 1;
  return (
    <Panel title="Influence" sub={`mean size of the contribution, ${unitWords[s.unit]}`} foot={<span>{drawn(s)}{rows.length > 15 ? `; ${rows.length - 15} columns with less are not shown` : ''}</span>}>
      <ul className="body" style={{ display: 'grid', gap: 4 }}>
        {rows.slice(0, 15).map((c) => (
          <li key={c.name} style={{ display: 'grid', gridTemplateColumns: 'minmax(0,1fr) 96px 52px', gap: 8, alignItems: 'center' }}>
            <span className="mono clip" title={c.name}>{c.name}</span>
            <span className="progress" aria-hidden="true"><i style={{ width: `${((c.mean[output] ?? 0) / largest) * 100}%` }} /></span>
            <span className="right">{compact(c.mean[output], 3)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Swarm({ summary: s, output, row, onRow }: { summary: ExplanationSummary; output: number; row: number; onRow: (row: number) => void }) {
  const sample = s.sample;
  const columns = useMemo(() => s.columns.map((c, j) => ({ name: c.name, mean: c.mean[output] ?? 0, values: sample?.values[j] ?? [], contributions: sample?.contributions[output]?.[j] ?? [] })).sort((a, b) => b.mean - a.mean).slice(0, most), [s, sample, output]);
  if (!sample || sample.rows.length === 0) return null;
  const texts = columns.some((c) => c.values.some((v) => typeof v === 'string'));
  const missing = columns.some((c) => c.values.some((v) => v === null));
  const lead = columns[0];
  const twin = sample.rows.map((id, i) => [id, ...columns.flatMap((c) => [valueText(c.values[i]), signed(c.contributions[i], 4)])]);
  return (
    <Figure
      title="Contributions" name="Contributions of held-out rows" sub={`a dot per row, ${unitWords[s.unit]}; right raises the answer`} legend={<SwarmLegend texts={texts} missing={missing} />}
      twin={{ head: ['Row', ...columns.flatMap((c) => [c.name, 'adds'])], rows: twin }}
      foot={<><span>{sample.rows.length < s.rows ? `${count(sample.rows.length)} of ${count(s.rows)} explained rows` : `all ${count(s.rows)} explained rows`}{s.columns.length > most ? `; the ${most} most influential of ${s.columns.length} columns` : ''}. Colour is the value among those of its column. A dot opens its row below.</span></>}
    >
      {(width) => <Beeswarm name={`Contributions of ${columns.length} columns to the answers for ${sample.rows.length} rows; ${lead ? `${lead.name} counts most, ${compact(lead.mean, 3)} on average` : ''}. The same as a table: the button of this panel.`} width={width} columns={columns} unit={unitWords[s.unit]} chosen={row <= sample.rows.length ? row - 1 : undefined} onChoose={onRow} />}
    </Figure>
  );
}

/** What one row's margin says. */
function inWords(unit: MarginUnit, margin: number, output: string): string {
  if (unit === 'log_odds') return `${fixed(margin, 3)} log-odds, ${percent(chance(margin), 1)} ${output}`;
  if (unit === 'log') return `e to the ${fixed(margin, 3)} is ${compact(Math.exp(margin), 5)}`;
  return `${compact(margin, 5)} ${unitWords[unit]}`;
}

function OneRow({ version: v, summary: s, output, row, onRow }: { version: VersionDetail; summary: ExplanationSummary; output: number; row: number; onRow: (row: number) => void }) {
  const [typing, setTyping] = useState<'sample' | 'typed'>('sample');
  const reference = useRead<ReferenceFile>(`models/${seg(v.model)}/versions/${v.version}/files/reference.json`, { enabled: typing === 'typed' });
  const ask = useMutation<RowExplanations, Error, Record<string, unknown>>({ mutationFn: (sent) => post<RowExplanations>(`models/${seg(v.model)}/versions/${v.version}/explain`, { rows: [sent] }) });
  const sample = s.sample;
  const n = sample?.rows.length ?? 0;
  const at = Math.min(Math.max(1, row), Math.max(1, n)) - 1;
  const typed = ask.data?.rows[0];
  const shown = typing === 'typed'
    ? typed && ask.data && { names: ask.data.features, values: typed.values, contributions: typed.contributions[output] ?? [], expected: ask.data.expected[output] ?? 0 }
    : sample && n > 0 && { names: s.columns.map((c) => c.name), values: s.columns.map((_, j) => sample.values[j]?.[at]), contributions: s.columns.map((_, j) => sample.contributions[output]?.[j]?.[at] ?? 0), expected: s.expected[output] ?? 0 };
  const steps = shown ? waterfall(shown.expected, shown.names, shown.contributions, 11) : [];
  const margin = shown ? shown.expected + shown.contributions.reduce((a, b) => a + b, 0) : 0;
  const name = s.outputs[output] ?? '';
  return (
    <div>
      <Figure
        title="One row" name="Waterfall of one row" sub={shown ? inWords(s.unit, margin, name) : 'type a row'}
        legend={
          <span className="row">
            <Segments label="Which row" value={typing} options={[{ value: 'sample', label: 'Held out' }, { value: 'typed', label: 'Typed' }]} onChange={setTyping} />
            {typing === 'sample' && n > 0 && (
              <span className="row" style={{ gap: 4 }}>
                <button type="button" className="btn small" aria-label="Previous row" disabled={at <= 0} onClick={() => onRow(at)}>‹</button>
                <label className="row small" style={{ gap: 4 }}>row <input className="entry" type="number" min={1} max={n} value={at + 1} onChange={(e) => { const k = Number(e.target.value); if (k >= 1 && k <= n) onRow(k); }} style={{ width: 60 }} /> of {count(n)}</label>
                <button type="button" className="btn small" aria-label="Next row" disabled={at + 1 >= n} onClick={() => onRow(at + 2)}>›</button>
              </span>
            )}
          </span>
        }
        twin={{ head: ['Column', 'Value', 'Contribution', 'Sum so far'], rows: shown ? steps.map((t) => [t.name, t.index === undefined ? '' : valueText(shown.values[t.index]), signed(t.amount, 4), fixed(t.to, 4)]) : [] }}
        foot={shown ? <span>Starts at {compact(shown.expected)}, what is expected when nothing is known of a row; every column moves it, and the sum is the answer before it is turned into {s.unit === 'log_odds' || s.unit === 'score' ? 'a probability' : 'the answer'}.</span> : undefined}
      >
        {(width) => (shown ? <Waterfall name={`From ${compact(shown.expected)} to ${compact(margin)}: ${steps.map((t) => `${t.name} ${signed(t.amount, 3)}`).join(', ')}`} width={width} expected={shown.expected} steps={steps} value={(i) => valueText(shown.values[i])} unit={unitWords[s.unit]} /> : <p className="third" style={{ padding: '8px 0' }}>{typing === 'typed' ? 'Fill the form below and explain it: nothing is logged.' : 'No row was kept as a sample.'}</p>)}
      </Figure>
      {typing === 'typed' && (
        <Panel title="A row to explain" sub="form made from the signature; an empty field is missing">
          {v.signature?.inputs?.length && !reference.isPending ? <RowForm version={v} reference={reference.data} act="Explain" acting="Explaining" pending={ask.isPending} problem={ask.error instanceof ApiError ? ask.error : null} onRow={(sent) => ask.mutate(sent)} /> : null}
          {ask.error && <Failure error={ask.error} what="No explanation" />}
        </Panel>
      )}
    </div>
  );
}

const groupName = (g: ExplainedColumn['groups'][number]) => (g.missing ? '(missing)' : g.other ? '(others)' : g.value !== undefined ? g.value || '(empty)' : g.from === g.to ? compact(g.from) : `${compact(g.from)} to ${compact(g.to)}`);

function Dependence({ summary: s, output, column, onColumn }: { summary: ExplanationSummary; output: number; column?: string; onColumn: (name: string) => void }) {
  const shown = s.columns.find((c) => c.name === column) ?? s.columns[0];
  if (!shown) return null;
  const domain = extent(shown.groups.flatMap((g) => [g.low[output], g.high[output], g.mean[output], 0]));
  return (
    <Panel
      title="By value" sub="mean contribution, 10th to 90th percentile" foot={<span>{plural(shown.groups.length, 'group')} of {shown.name}; a contribution is not a cause</span>}
      tools={<select className="entry" aria-label="Column" value={shown.name} onChange={(e) => onColumn(e.target.value)} style={{ maxWidth: 132 }}>{s.columns.map((c) => <option key={c.name}>{c.name}</option>)}</select>}
    >
      <Table
        label={`Contributions by value of ${shown.name}`} density="dense" rows={shown.groups} keyOf={groupName}
        columns={[
          { key: 'v', head: 'Value', cell: (g) => <span className="mono" title={`n ${g.rows}`}>{groupName(g)}</span> },
          { key: 'n', head: 'n', right: true, cell: (g) => count(g.rows) },
          { key: 'f', head: 'Contribution', cell: (g) => <Forest width={132} label={`${groupName(g)}: ${signed(g.mean[output])}, ${signedRange(g.low[output] ?? 0, g.high[output] ?? 0)}, n ${g.rows}`} value={g.mean[output]} lo={g.low[output]} hi={g.high[output]} domain={domain} tone="subject" hollow={g.rows < 10} /> },
        ]}
      />
    </Panel>
  );
}
