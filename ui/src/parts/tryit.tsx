// Try it: asks the deployment as its clients do, in the Open Inference Protocol, and gives the same request as a program.
import { useMemo, useState } from 'react';
import { Popover, Textarea } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { bodyOf, infer, inferPath, parseBody, saidOf, tensorBody, type InferAnswer, type InferRequest, type Said } from '../api/oip';
import type { Deployment, ModelVersion, ReferenceFile } from '../api/types';
import { compact, fixed, percent } from '../format/number';
import { howToRun, languages, lines, program, type Language } from './code';
import { Snippet } from './command';
import { Icon } from './icons';
import { Panel } from './page';
import { useProject } from './project';
import { defaults, read, RowForm, rowOf } from './rowform';
import { Failure } from './states';
import { VersionTag } from './status';

/** The request as a program, in four languages. */
export function CopyAs({ url, body }: { url: string; body: InferRequest }) {
  const [language, setLanguage] = useState<Language>('curl');
  return (
    <Popover position="bottom-end" width={600} shadow="md" trapFocus returnFocus transitionProps={{ duration: 120 }}>
      <Popover.Target>
        <button type="button" className="btn quiet small" title="This request as a program"><Icon name="copy" /> Copy as</button>
      </Popover.Target>
      <Popover.Dropdown aria-label="This request as a program" style={{ maxWidth: 'calc(100vw - 32px)' }}>
        <div className="row" style={{ marginBottom: 8 }}>
          <div className="segments" role="group" aria-label="Language">
            {languages.map((l) => <button key={l} type="button" aria-pressed={language === l} onClick={() => setLanguage(l)}>{l}</button>)}
          </div>
          <span className="third small">{howToRun[language]}</span>
        </div>
        <div className="program"><Snippet text={program(language, url, body)} /></div>
      </Popover.Dropdown>
    </Popover>
  );
}

export function TryIt({ deployment, version, reference }: { deployment: Deployment; version: ModelVersion; reference?: ReferenceFile }) {
  const { now } = useProject();
  const client = useQueryClient();
  const tensors = version.signature?.task === 'tensors';
  const inputs = useMemo(() => read(version), [version]);
  const [row, setRow] = useState(() => rowOf(inputs, defaults(version, reference, now())).row);
  const [text, setText] = useState(() => (tensors ? lines(tensorBody(version.signature.tensor_inputs ?? [])) : ''));
  const [asked, setAsked] = useState(0); // 0 is the route
  const [key, setKey] = useState('');
  const typed = useMemo(() => (tensors ? parseBody(text) : {}), [tensors, text]);
  const body = typed.body ?? bodyOf(inputs, row, key.trim());
  const resident = deployment.resident ?? [];
  const to = resident.includes(asked) ? asked : undefined;
  const split = !!deployment.route?.canary || !!deployment.route?.variants?.length;
  const ask = useMutation({
    mutationFn: (sent: InferRequest) => infer(deployment.name, to, sent),
    onSettled: () => client.invalidateQueries({ queryKey: ['get'] }),
  });
  return (
    <Panel
      title="Try it" sub={tensors ? 'tensors, as clients send them' : 'form made from the signature'}
      tools={<CopyAs url={`${location.origin}${inferPath(deployment.name, to)}`} body={body} />}
      foot={<span>{tensors ? '' : 'An empty field is sent as missing. '}Sent to <span className="mono">{inferPath(deployment.name, to)}</span>; the answer is logged like any other.</span>}
    >
      <div className="body fields" style={{ paddingBottom: 8 }}>
        <div className="field">
          <label className="label" htmlFor="try-version">Who is asked</label>
          <div className="input">
            <select id="try-version" value={to ?? 0} onChange={(event) => setAsked(Number(event.target.value))}>
              <option value={0}>the route</option>
              {resident.map((v) => <option key={v} value={v}>v{v}</option>)}
            </select>
          </div>
        </div>
        {split && !to && !tensors && (
          <div className="field">
            <label className="label" htmlFor="try-key">Key, picks who</label>
            <div className="input"><input id="try-key" value={key} placeholder="any" onChange={(event) => setKey(event.target.value)} /></div>
          </div>
        )}
      </div>
      {tensors ? (
        <form
          className="body" style={{ display: 'grid', gap: 12 }}
          onSubmit={(event) => {
            event.preventDefault();
            if (typed.body) ask.mutate(typed.body);
          }}
        >
          <Textarea label="Request" description="JSON of the Open Inference Protocol" value={text} onChange={(event) => setText(event.currentTarget.value)} error={typed.wrong} autosize minRows={6} maxRows={18} spellCheck={false} styles={{ input: { background: 'var(--surface)', borderColor: 'var(--control)', fontFamily: 'var(--mono)', fontSize: 12, lineHeight: '18px' } }} />
          <div className="row">
            <button type="submit" className="btn" disabled={ask.isPending || !typed.body}>{ask.isPending ? 'Asking' : 'Predict'}</button>
            <button type="button" className="btn quiet" onClick={() => setText(lines(tensorBody(version.signature.tensor_inputs ?? [])))}>Reset</button>
          </div>
        </form>
      ) : (
        <RowForm version={version} reference={reference} act="Predict" acting="Asking" pending={ask.isPending} problem={ask.error} onRow={(sent) => ask.mutate(bodyOf(inputs, sent, key.trim()))} onChange={setRow} />
      )}
      {ask.error && <Failure error={ask.error} what="No prediction" />}
      {ask.data && (
        <div className="body" aria-live="polite" style={{ borderTop: '1px solid var(--line)', paddingTop: 12 }}>
          {tensors ? <Outputs answer={ask.data.answer} /> : <Answer deployment={deployment} version={version} said={saidOf(ask.data.answer)} row={row} />}
          <Told answer={ask.data.answer} took={ask.data.took} deployment={deployment} />
        </div>
      )}
    </Panel>
  );
}

function Told({ answer, took, deployment }: { answer: InferAnswer; took: number; deployment: Deployment }) {
  const said = saidOf(answer);
  return (
    <div className="caption" style={{ marginTop: 4 }}>
      {fixed(took, took < 10 ? 1 : 0)} ms from this page and back
      {said.id && <>, prediction <span className="mono" title={said.id}>{said.id.slice(-12)}</span>{deployment.log_level === 'off' ? ', not logged' : ', in the log'}</>}
    </div>
  );
}

function Answer({ deployment, version, said, row }: { deployment: Deployment; version: ModelVersion; said: Said; row: Record<string, unknown> }) {
  const s = version.signature;
  const missing = read(version).filter((i) => row[i.name] === undefined).map((i) => i.name);
  const by = <VersionTag version={said.version} model={deployment.model} subject />;
  const note = missing.length > 0 && <p className="small warn row" style={{ gap: 6, marginTop: 4 }}><Icon name="attention" /> {missing.join(', ')} missing</p>;
  if (s?.task === 'multiclass') {
    const ranked = (said.probabilities ?? []).map((p, i) => ({ p, c: s.classes?.[i] ?? String(i) })).sort((a, b) => b.p - a.p).slice(0, 5);
    return (
      <>
        <div className="row between"><span className="figure large acc">{said.label}</span>{by}</div>
        <ul>
          {ranked.map((r, i) => <li key={r.c} className="between"><span className={i ? 'second' : 'strong'}>{r.c}</span><span>{percent(r.p, 1)}</span></li>)}
        </ul>
        {note}
      </>
    );
  }
  const binary = s?.task === 'binary';
  const score = binary ? said.probabilities?.at(-1) : said.value;
  return (
    <>
      <div className="row" style={{ gap: 24, alignItems: 'flex-end' }}>
        <div>
          <div className="small second row" style={{ gap: 6 }}>{binary ? `P(${s.positive || s.label})` : (s?.label ?? 'value')} {by}</div>
          <div className="figure large acc">{binary ? fixed(score, 3) : compact(score, 5)}</div>
        </div>
        {binary && (
          <div className="push right">
            <div className="small second">{said.version === version.version ? `decision at ${fixed(version.threshold, 2)}` : 'decision'}</div>
            <div className="strong">{said.label}</div>
          </div>
        )}
      </div>
      {note}
    </>
  );
}

const cells = 24;

/** Tensors that came back, with their first elements. */
function Outputs({ answer }: { answer: InferAnswer }) {
  return (
    <ul style={{ display: 'grid', gap: 8 }}>
      {answer.outputs.filter((o) => !['prediction_id', 'version', 'arm'].includes(o.name)).map((o) => (
        <li key={o.name}>
          <div className="between"><span className="mono strong">{o.name}</span><span className="third small">{o.datatype} {o.shape.join(' × ')}</span></div>
          <div className="mono small second" style={{ overflowWrap: 'anywhere' }}>{o.data.slice(0, cells).map((v) => (typeof v === 'number' ? compact(v, 6) : String(v))).join(', ')}{o.data.length > cells ? ` and ${o.data.length - cells} more` : ''}</div>
        </li>
      ))}
    </ul>
  );
}
