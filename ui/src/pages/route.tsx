// The route of a deployment as it is, and the ways to change it by hand: each asks for a reason and can be taken back.
import { useState } from 'react';
import { seg } from '../api/client';
import { useAct, useList } from '../api/queries';
import { useRollouts } from '../api/reads';
import type { RouteChange } from '../api/serving';
import type { Deployment, ModelVersion } from '../api/types';
import { percent } from '../format/number';
import { sharesOf } from '../format/serving';
import { Ask } from '../parts/ask';
import { Icon } from '../parts/icons';
import { Panel } from '../parts/page';
import { SplitBar } from '../parts/split';
import { Empty } from '../parts/states';
import { VersionTag } from '../parts/status';
import { Table } from '../parts/table';

/** A part of the route beside the division of its keys, and the change that ends it. */
interface Part {
  key: string;
  what: string;
  version: number;
  when: string;
  end: RouteChange;
  ends: string; // what its end means
}

function partsOf(d: Deployment): Part[] {
  const r = d.route;
  const rules = r.rules ?? [];
  return [
    ...(r.variants ?? []).map((v) => ({ key: `variant ${v.version}`, what: 'A/B variant', version: v.version, when: `${percent(v.share, 1)} of the keys, always the same ones`, end: { clear: ['variants'] } as RouteChange, ends: `The test ends: v${r.champion} answers all keys.` })),
    ...(r.standby ? [{ key: 'standby', what: 'Standby', version: r.standby, when: 'when a swap makes it champion, or a request asks for it', end: { clear: ['standby'] } as RouteChange, ends: `v${r.standby} no longer stands by: a swap has nothing to swap with.` }] : []),
    ...(r.shadow ? [{ key: 'shadow', what: 'Shadow', version: r.shadow, when: `after the answer has left, for ${percent(r.shadow_share, 1)} of the requests`, end: { clear: ['shadow'] } as RouteChange, ends: `v${r.shadow} is asked no more; its comparison is kept.` }] : []),
    ...rules.map((rule, i) => ({
      key: `rule ${i}`, what: 'Rule', version: rule.version, when: `${rule.header}: ${rule.value === '*' ? 'any value' : rule.value}`,
      end: (rules.length > 1 ? { rules: rules.filter((_, j) => j !== i) } : { clear: ['rules'] }) as RouteChange, ends: `Requests with ${rule.header}: ${rule.value} are divided like all others.`,
    })),
    ...Object.entries(r.labels ?? {}).sort().map(([label, version]) => ({ key: `label ${label}`, what: 'Label', version, when: `a request asks for ${label}`, end: { labels: { [label]: 0 } }, ends: `Requests that ask for ${label} are refused.` })),
  ];
}

type Dialog = { kind: 'swap' } | { kind: 'back' } | { kind: 'change' } | { kind: 'end'; part: Part } | null;

export function RoutePanel({ deployment: d }: { deployment: Deployment }) {
  const [dialog, setDialog] = useState<Dialog>(null);
  const rollouts = useRollouts(d.name);
  const swap = useAct<{ reason: string }>(`deployments/${seg(d.name)}/swap`);
  const back = useAct<{ reason: string }>(`deployments/${seg(d.name)}/back`);
  const change = useAct<RouteChange & { reason: string }>(`deployments/${seg(d.name)}/route`);
  const r = d.route;
  const close = () => setDialog(null);
  if (!r?.champion) {
    return <Panel title="Route"><Empty title="No version serves yet" command="trimtab apply">The first version that passes its gate takes all traffic. One of another library: trimtab models import FILE --name {d.model} --deploy.</Empty></Panel>;
  }
  const shares = sharesOf(r);
  const parts = partsOf(d);
  const canBack = !!rollouts.active || !!r.standby || rollouts.past.some((p) => p.state === 'promoted' && p.to === r.champion && p.from > 0);
  const backTo = rollouts.active ? `v${rollouts.active.from} takes all traffic at once, and the rollout of v${rollouts.active.to} ends.` : r.standby ? `v${r.standby} answers everything at once; v${r.champion} stands by.` : 'The champion before this one takes all traffic at once.';
  return (
    <Panel
      title="Route" sub={shares.length > 1 ? 'by the hash of each row’s key: a key stays with its version' : 'all keys to the champion'}
      tools={
        <span className="row wrap" style={{ gap: 8 }}>
          {r.standby ? <button type="button" className="btn small" onClick={() => setDialog({ kind: 'swap' })}>Swap…</button> : null}
          {canBack && <button type="button" className="btn small" onClick={() => setDialog({ kind: 'back' })}><Icon name="back" /> Back…</button>}
          <button type="button" className="btn small" onClick={() => setDialog({ kind: 'change' })}>Change…</button>
        </span>
      }
    >
      <div className="body">
        <SplitBar shares={shares} />
      </div>
      {parts.length > 0 && (
        <Table
          label="Beside it" rows={parts} keyOf={(p) => p.key}
          columns={[
            { key: 'what', head: 'Part', cell: (p) => <span className="medium">{p.what}</span> },
            { key: 'version', head: 'Version', cell: (p) => <VersionTag version={p.version} model={d.model} /> },
            { key: 'when', head: 'Answers', fold: true, cell: (p) => <span className="second">{p.when}</span> },
            { key: 'end', head: <span className="hidden">End</span>, right: true, cell: (p) => <button type="button" className="btn quiet small" aria-label={`End: ${p.what.toLowerCase()} v${p.version}, ${p.when}`} onClick={() => setDialog({ kind: 'end', part: p })}>End…</button> },
          ]}
        />
      )}
      <Ask
        open={dialog?.kind === 'swap'} onClose={close} title={`Let v${r.standby} answer?`} act="Swap" stay="Leave it"
        happens={`v${r.standby} becomes champion at once, and v${r.champion} stands by.`} kept="Both stay loaded: Back undoes it with one pointer." run={(reason) => swap.mutateAsync({ reason })}
      />
      <Ask open={dialog?.kind === 'back'} onClose={close} title="Go back?" act="Go back" stay="Leave it" danger happens={backTo} kept="Nothing is deleted: versions, their log and their outcomes stay." run={(reason) => back.mutateAsync({ reason })} />
      <Ask
        open={dialog?.kind === 'end'} onClose={close} title={dialog?.kind === 'end' ? `End the ${dialog.part.what === 'A/B variant' ? 'A/B test' : dialog.part.what.toLowerCase()}?` : ''} act="End it" stay="Keep it"
        happens={dialog?.kind === 'end' ? dialog.part.ends : ''} run={(reason) => (dialog?.kind === 'end' ? change.mutateAsync({ ...dialog.part.end, reason }) : Promise.resolve())}
      />
      {dialog?.kind === 'change' && <Change deployment={d} moving={!!rollouts.active} onClose={close} run={(c, reason) => change.mutateAsync({ ...c, reason })} />}
    </Panel>
  );
}

const kinds = { shadow: 'Shadow', ab: 'A/B variant', rule: 'Rule by header', label: 'Label', standby: 'Standby', champion: 'Champion' } as const;
type Kind = keyof typeof kinds;

/** What changes a route: one part at a time. */
function Change({ deployment: d, moving, onClose, run }: { deployment: Deployment; moving: boolean; onClose: () => void; run: (c: RouteChange, reason: string) => Promise<unknown> }) {
  const versions = useList<ModelVersion>(`models/${seg(d.model)}/versions`);
  const r = d.route;
  const offered = (Object.keys(kinds) as Kind[]).filter((k) => !moving || k === 'shadow' || k === 'rule' || k === 'label');
  const [kind, setKind] = useState<Kind>('shadow');
  const others = versions.items.map((v) => v.version).filter((v) => kind === 'label' || kind === 'rule' || v !== r.champion).sort((a, b) => b - a);
  const [chosen, setChosen] = useState(0);
  const [share, setShare] = useState('100');
  const [name, setName] = useState('');
  const [value, setValue] = useState('');
  const version = others.includes(chosen) ? chosen : (others[0] ?? 0);
  const part = Number(share) / 100;
  const wrong = !version ? 'The model has no other version' : (kind === 'shadow' || kind === 'ab') && !(part > 0 && part <= 1) ? 'The share is more than 0 and at most 100 %' : (kind === 'rule' || kind === 'label') && !name.trim() ? `The ${kind === 'rule' ? 'header' : 'label'} has no name` : '';
  const change = (): RouteChange => {
    switch (kind) {
      case 'shadow': return { shadow: version, shadow_share: part };
      case 'ab': return { variants: [...(r.variants ?? []).filter((v) => v.version !== version), { version, share: part }] };
      case 'rule': return { rules: [...(r.rules ?? []), { header: name.trim().toLowerCase(), value: value.trim() || '*', version }] };
      case 'label': return { labels: { [name.trim()]: version } };
      case 'standby': return { standby: version };
      case 'champion': return { champion: version };
    }
  };
  const happens: Record<Kind, string> = {
    shadow: `v${version} is asked what the champion was asked, after the answer has left. Nobody sees what it says; the differences are shown here.`,
    ab: `${share || '…'} % of the keys are answered by v${version}, always the same ones.`,
    rule: `A request with ${name.trim() || 'the header'}: ${value.trim() || 'any value'} is answered by v${version}, before its key is looked at.`,
    label: `A request that asks for ${name.trim() || 'the label'} is answered by v${version}.`,
    standby: `v${version} is loaded and waits: a swap makes it champion at once.`,
    champion: `v${version} takes all traffic at once, without a rollout.`,
  };
  const id = (of: string) => `change-${of}`;
  return (
    <Ask
      open onClose={onClose} title={`Change the route of ${d.name}`} act="Change" stay="Leave it" danger={kind === 'champion'} happens={wrong ? '' : happens[kind]}
      kept={moving ? 'A rollout moves traffic: until it ends, shadow, rules and labels alone can change.' : undefined}
      run={(reason) => (wrong ? Promise.reject(new Error(wrong)) : run(change(), reason))}
    >
      <div className="fields" style={{ marginTop: 12, gridTemplateColumns: 'repeat(2, minmax(0, 1fr))' }}>
        <div className="field">
          <label className="label" htmlFor={id('kind')}>Part</label>
          <div className="input"><select id={id('kind')} value={kind} onChange={(e) => { setKind(e.target.value as Kind); setShare(e.target.value === 'ab' ? '10' : '100'); }}>{offered.map((k) => <option key={k} value={k}>{kinds[k]}</option>)}</select></div>
        </div>
        <div className="field">
          <label className="label" htmlFor={id('version')}>Version</label>
          <div className="input"><select id={id('version')} value={version} onChange={(e) => setChosen(Number(e.target.value))}>{others.map((v) => <option key={v} value={v}>v{v}</option>)}</select></div>
        </div>
        {(kind === 'shadow' || kind === 'ab') && (
          <div className="field">
            <label className="label" htmlFor={id('share')}>{kind === 'shadow' ? 'Of the requests' : 'Of the keys'}</label>
            <div className="input"><input id={id('share')} inputMode="decimal" value={share} onChange={(e) => setShare(e.target.value)} style={{ paddingRight: 28 }} /><span className="unit">%</span></div>
          </div>
        )}
        {(kind === 'rule' || kind === 'label') && (
          <div className="field">
            <label className="label" htmlFor={id('name')}>{kind === 'rule' ? 'Header' : 'Label'}</label>
            <div className="input"><input id={id('name')} value={name} placeholder={kind === 'rule' ? 'x-tenant' : 'beta'} onChange={(e) => setName(e.target.value)} /></div>
          </div>
        )}
        {kind === 'rule' && (
          <div className="field">
            <label className="label" htmlFor={id('value')}>Value</label>
            <div className="input"><input id={id('value')} value={value} placeholder="any" onChange={(e) => setValue(e.target.value)} /></div>
          </div>
        )}
      </div>
      {wrong && <p className="small warn" style={{ marginTop: 8 }}>{wrong}</p>}
    </Ask>
  );
}
