// A form made from the signature: one row, field by field. Defaults come from the reference of the version.
import { useMemo, useState } from 'react';
import { Autocomplete } from '@mantine/core';
import '@mantine/core/styles/Combobox.css';
import { ApiError } from '../api/client';
import type { ModelVersion, ReferenceFile, SignatureInput } from '../api/types';
import { Icon } from './icons';
import { useProject } from './project';

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
export function read(version: ModelVersion): SignatureInput[] {
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

function Field({ input, value, error, onChange }: { input: SignatureInput; value: string; error?: string; onChange: (v: string) => void }) {
  const id = `try-${input.name}`;
  const unit = input.unit;
  const outside = input.kind === 'string' && input.categories?.length && value && !input.categories.includes(value) ? 'not seen in training' : undefined;
  return (
    <div className={`field ${input.kind === 'datetime' ? 'wide2' : ''}`}>
      <label className="label" htmlFor={id} title={input.name}>{input.name}{input.kind === 'datetime' && ', UTC'}</label>
      {input.kind === 'string' && input.categories?.length ? (
        <Autocomplete id={id} value={value} onChange={onChange} data={[...new Set(input.categories)].slice(0, 1000)} limit={20} size="xs" styles={{ input: { height: 28, minHeight: 28, borderColor: 'var(--control)', background: 'var(--surface)', fontSize: 13, paddingInline: 8 } }} />
      ) : input.kind === 'boolean' ? (
        <div className="input">
          <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
            <option value="">missing</option>
            <option value="true">true</option>
            <option value="false">false</option>
          </select>
        </div>
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
