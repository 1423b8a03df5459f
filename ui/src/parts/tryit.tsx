// A form made from the signature: ask the deployment for one prediction. Defaults come from the reference of the version.
import { useMemo, useState } from 'react';
import { Autocomplete } from '@mantine/core';
import '@mantine/core/styles/Combobox.css';
import { seg } from '../api/client';
import { useAct } from '../api/queries';
import type { Deployment, ModelVersion, PredictAnswer, ReferenceFile, SignatureInput } from '../api/types';
import { compact, fixed, percent } from '../format/number';
import { ApiError } from '../api/client';
import { Command } from './command';
import { Icon } from './icons';
import { Panel } from './page';
import { useProject } from './project';
import { Failure } from './states';
import { VersionTag } from './status';

/** What the form starts with: the median or the most frequent value of training, now for a time. */
export function defaults(version: ModelVersion, reference: ReferenceFile | undefined, now: number): Record<string, string> {
  const out: Record<string, string> = {};
  for (const input of version.signature?.inputs ?? []) {
    const known = typical(reference, input.name);
    if (input.kind === 'datetime') out[input.name] = new Date(Math.floor(now / 3_600_000) * 3_600_000).toISOString().slice(0, 16);
    else if (input.kind === 'string') out[input.name] = known?.top ?? input.categories?.[0] ?? '';
    else if (input.kind === 'boolean') out[input.name] = known?.top ?? 'false';
    else if (known?.median !== undefined) out[input.name] = String(Number(known.median.toPrecision(6)));
    else if (input.min !== undefined && input.max !== undefined) out[input.name] = String(input.kind === 'long' ? Math.round((input.min + input.max) / 2) : Number(((input.min + input.max) / 2).toPrecision(4)));
    else out[input.name] = '';
  }
  return out;
}

/** Cells of a text before its words: missing, other, unseen. */
const wordCells = 3;

/** The middle of a number's training values (its cells are laid around it), the most frequent word of a text. */
function typical(reference: ReferenceFile | undefined, name: string): { median?: number; top?: string } | undefined {
  const column = reference?.columns.find((c) => c.name === name);
  if (!column) return undefined;
  if (!column.words) return { median: column.center ?? 0 };
  let best: [number, number] | undefined;
  for (const cell of column.counts.cells ?? []) if (cell[0] >= wordCells && (!best || cell[1] > best[1])) best = cell;
  return { top: best ? column.words[best[0] - wordCells] : column.words[0] };
}

/** The row that the form stands for; an empty field is a missing value. */
export function rowOf(inputs: SignatureInput[], form: Record<string, string>): { row: Record<string, unknown>; wrong: Record<string, string> } {
  const row: Record<string, unknown> = {};
  const wrong: Record<string, string> = {};
  for (const input of inputs) {
    const text = (form[input.name] ?? '').trim();
    if (text === '') continue;
    if (input.kind === 'double' || input.kind === 'long') {
      const v = Number(text);
      if (!Number.isFinite(v)) wrong[input.name] = 'not a number';
      else if (input.kind === 'long' && !Number.isInteger(v)) wrong[input.name] = 'not a whole number';
      else row[input.name] = v;
    } else if (input.kind === 'boolean') row[input.name] = text === 'true';
    else if (input.kind === 'datetime') {
      const time = Date.parse(/Z|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);
      if (Number.isNaN(time)) wrong[input.name] = 'not a time';
      else row[input.name] = new Date(time).toISOString();
    } else row[input.name] = text;
  }
  return { row, wrong };
}

/** The inputs that the model reads, or derives what it reads from. */
function read(version: ModelVersion): SignatureInput[] {
  return (version.signature?.inputs ?? []).filter((i) => i.role === 'feature' || version.signature?.derived?.some((d) => d.from.includes(i.name)));
}

/** The inputs of a version as a form, one field each; submitting hands over the row that it stands for. */
export function RowForm({ version, reference, act, acting, pending, problem, onRow, onChange }: { version: ModelVersion; reference?: ReferenceFile; act: string; acting: string; pending: boolean; problem?: Error | null; onRow: (row: Record<string, unknown>) => void; onChange?: (row: Record<string, unknown>) => void }) {
  const { now } = useProject();
  const inputs = useMemo(() => read(version), [version]);
  const [form, setForm] = useState(() => defaults(version, reference, now()));
  const { row, wrong } = rowOf(inputs, form);
  const groups = useMemo(() => {
    const own = inputs.filter((i) => !i.view);
    const views = [...new Set(inputs.map((i) => i.view).filter((v): v is string => !!v))];
    return [{ view: '', inputs: own }, ...views.map((view) => ({ view, inputs: inputs.filter((i) => i.view === view) }))].filter((g) => g.inputs.length);
  }, [inputs]);
  const detail = problem instanceof ApiError ? problem.problem.detail : undefined;
  const named = inputs.find((i) => detail && new RegExp(`\\b${i.name}\\b`).test(detail))?.name;
  const set = (next: Record<string, string>) => {
    setForm(next);
    onChange?.(rowOf(inputs, next).row);
  };
  return (
    <form
      className="body" style={{ display: 'grid', gap: 12 }}
      onSubmit={(event) => {
        event.preventDefault();
        if (Object.keys(wrong).length === 0) onRow(row);
      }}
    >
      {groups.map((group) => (
        <div key={group.view} role="group" aria-label={group.view || 'Inputs'}>
          {group.view && (
            <div className="row small third" style={{ marginBottom: 8 }}>
              <Icon name="features" />
              <span><span className="mono">{group.view}</span>, joined, sent along</span>
            </div>
          )}
          <div className="fields">
            {group.inputs.map((input) => (
              <Field key={input.name} input={input} value={form[input.name] ?? ''} error={wrong[input.name] ?? (named === input.name ? detail : undefined)} onChange={(v) => set({ ...form, [input.name]: v })} />
            ))}
          </div>
        </div>
      ))}
      <div className="row">
        <button type="submit" className="btn" disabled={pending || Object.keys(wrong).length > 0}>{pending ? acting : act}</button>
        <button type="button" className="btn quiet" onClick={() => set(defaults(version, reference, now()))}>Reset</button>
      </div>
    </form>
  );
}

export function TryIt({ deployment, version, reference }: { deployment: Deployment; version: ModelVersion; reference?: ReferenceFile }) {
  const { now } = useProject();
  const [row, setRow] = useState(() => rowOf(read(version), defaults(version, reference, now())).row);
  const predict = useAct<{ rows: Record<string, unknown>[] }, PredictAnswer>(`deployments/${seg(deployment.name)}/predict`);
  const answer = predict.data?.predictions?.[0];
  return (
    <Panel
      title="Try it" sub="form made from the signature"
      tools={<Command label="curl" show={{ cli: `echo '${JSON.stringify({ rows: [row] }).replace(/'/g, `'\\''`)}' | trimtab api deployments/${deployment.name}/predict --input -`, api: `deployments/${deployment.name}/predict`, body: { rows: [row] } }} />}
      foot={<span>An empty field is sent as missing. The answer is logged like any other.</span>}
    >
      <RowForm version={version} reference={reference} act="Predict" acting="Asking" pending={predict.isPending} problem={predict.error} onRow={(sent) => predict.mutate({ rows: [sent] })} onChange={setRow} />
      {predict.error && <Failure error={predict.error} what="No prediction" />}
      {answer && (
        <div className="body" aria-live="polite" style={{ borderTop: '1px solid var(--line)', paddingTop: 12 }}>
          <Answer deployment={deployment} version={version} answer={answer} />
          <div className="caption">prediction <span className="mono">{answer.id?.slice(-12)}</span>, in the log</div>
        </div>
      )}
    </Panel>
  );
}

function Answer({ deployment, version, answer }: { deployment: Deployment; version: ModelVersion; answer: PredictAnswer['predictions'][number] }) {
  const task = version.signature?.task;
  const score = answer.score ?? answer.scores?.[answer.scores.length - 1];
  const name = task === 'binary' ? `P(${version.signature?.positive || version.signature?.label})` : version.signature?.label;
  if (task === 'multiclass') {
    const classes = version.signature?.classes ?? [];
    const ranked = (answer.scores ?? []).map((s, i) => ({ s, c: classes[i] ?? String(i) })).sort((a, b) => b.s - a.s).slice(0, 5);
    return (
      <ul>
        {ranked.map((r, i) => <li key={r.c} className="between"><span className={i ? 'second' : 'strong'}>{r.c}</span><span>{percent(r.s, 1)}</span></li>)}
      </ul>
    );
  }
  const show = (v: number | undefined) => (task === 'binary' ? fixed(v, 3) : compact(v, 5));
  const flags = [...(answer.flags?.missing ?? []).map((n) => `${n} missing`), ...(answer.flags?.unseen ?? []).map((n) => `${n} not seen in training`), ...(answer.flags?.out_of_range ?? []).map((n) => `${n} outside the range of training`)];
  return (
    <>
    <div className="row" style={{ gap: 24, alignItems: 'flex-end' }}>
      <div>
        <div className="small second row" style={{ gap: 6 }}>{name} <VersionTag version={answer.version} model={deployment.model} subject /></div>
        <div className="figure large acc">{show(score)}</div>
      </div>
      {task === 'binary' && score !== undefined && (
        <div className="push right">
          <div className="small second">decision at {fixed(version.threshold, 2)}</div>
          <div className="strong">{answer.label ?? (score >= version.threshold ? (version.signature?.positive ?? 'yes') : 'no')}</div>
        </div>
      )}
    </div>
    {flags.length > 0 && <p className="small warn row" style={{ gap: 6 }}><Icon name="attention" /> {flags.join(', ')}</p>}
    </>
  );
}

function Field({ input, value, error, onChange }: { input: SignatureInput; value: string; error?: string; onChange: (v: string) => void }) {
  const id = `try-${input.name}`;
  const unit = input.unit;
  const outside = input.kind === 'string' && input.categories?.length && value && !input.categories.includes(value) ? 'not seen in training' : undefined;
  return (
    <div className={`field ${input.kind === 'datetime' ? 'wide2' : ''}`}>
      <label className="label" htmlFor={id} title={input.name}>{input.name}{input.kind === 'datetime' && ', UTC'}</label>
      {input.kind === 'string' && input.categories?.length ? (
        <Autocomplete id={id} value={value} onChange={onChange} data={[...new Set(input.categories)].slice(0, 1000)} limit={20} size="xs" styles={{ input: { height: 28, minHeight: 28, borderColor: 'var(--control)', background: 'var(--surface)', fontSize: 13, paddingInline: 8 } }} />
      ) : (
        <div className="input">
          <input id={id} value={value} type={input.kind === 'datetime' ? 'datetime-local' : 'text'} inputMode={input.kind === 'double' || input.kind === 'long' ? 'decimal' : undefined} aria-invalid={!!error} aria-describedby={error || outside ? `${id}-note` : undefined} onChange={(event) => onChange(event.target.value)} style={unit ? { paddingRight: 34 } : undefined} />
          {unit && <span className="unit">{unit}</span>}
        </div>
      )}
      {(error ?? outside) && <div id={`${id}-note`} className={`tiny ${error ? 'bad' : 'third'}`}>{error ?? outside}</div>}
    </div>
  );
}
