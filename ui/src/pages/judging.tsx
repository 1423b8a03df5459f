// What a version was judged by beside its metrics and slices: the folds, the tests against the champion, the rows it does
// worst on, the members of a preset beside its baselines, alarms of a leak, and the decisions among several classes.
import { Link } from '@tanstack/react-router';
import type { Evaluation, ModelTest, VersionDetail, WeakSlice } from '../api/types';
import { Forest } from '../charts/forest';
import { Strip } from '../charts/strip';
import { extent } from '../charts/scale';
import { compact, count, direction, fixed, metricName, percent, plural, signed, signedRange } from '../format/number';
import { splitWords } from '../format/split';
import { Icon } from '../parts/icons';
import { Panel } from '../parts/page';
import { Status, VersionTag } from '../parts/status';
import { Table } from '../parts/table';

type Props = { version: VersionDetail };

const small = (p: number | undefined) => (p === undefined ? '–' : p < 1e-4 ? 'under 0.0001' : fixed(p, p < 0.1 ? 4 : 2));

/** Suspicions that a column knows the label, before anything that they would explain. */
export function Alarms({ version: v }: Props) {
  const alarms = v.evaluation?.alarms ?? [];
  if (alarms.length === 0) return null;
  const good = alarms.filter((a) => a.kind === 'too_good').length;
  return (
    <section className="panel" aria-label="Leak alarms" style={{ marginBottom: 16 }}>
      <div className="verdict">
        <Icon name="attention" className="warn" />
        <div>
          <h2>{good ? `${plural(good, 'column')} may know the label` : `${plural(alarms.length, 'column')} may be an identifier`}</h2>
          <ul>{alarms.map((a) => <li key={a.kind + a.column} className="second"><span className="mono">{a.column}</span>: {a.message}</li>)}</ul>
          <p className="third small">If a value is known only after the label, every figure on this page is too good. Leave the column out, or say why it may stay.</p>
        </div>
      </div>
    </section>
  );
}

const lossName = (task: string | undefined) => (task === 'regression' ? 'squared error' : 'log loss');

export function Weak({ version: v }: Props) {
  const weak = v.evaluation?.weak;
  if (!weak) return null;
  const slices = weak.slices ?? [];
  const loss = lossName(v.signature?.task);
  const domain = extent(slices.flatMap((s) => [s.lo, s.hi, 0]));
  const label = (s: WeakSlice) => s.conditions.map((c) => `${c.column} ${c.value || '(empty)'}`).join(' and ');
  return (
    <Panel
      title="Weak slices" sub={`where the ${loss} is greater than on the rest, costliest first`}
      foot={<span>{weak.n < (v.evaluation?.rows ?? 0) ? `searched ${count(weak.n)} of ${count(v.evaluation?.rows)} rows` : `searched all ${count(weak.n)} rows`}, {plural(weak.tested, 'slice')} of one or two columns tested, {weak.found > slices.length ? `${count(weak.found)} found and the first ${slices.length} listed` : `${count(weak.found)} found`}; {loss} of all {compact(weak.loss, 4)}. p is corrected for all that were tested (Benjamini and Hochberg), the interval is not.</span>}
    >
      {slices.length === 0 ? (
        <p className="body second">No slice of one or two columns is worse than the rest by more than chance.</p>
      ) : (
        <Table
          label="Weak slices" density="dense" rows={slices} keyOf={label} page={10}
          columns={[
            { key: 's', head: 'Slice', cell: (s) => <span>{s.conditions.map((c, i) => <span key={c.column}>{i > 0 && <span className="third"> and </span>}<span className="second">{c.column} </span><span className="mono">{c.value || '(empty)'}</span></span>)}</span>, sort: label, first: 'ascending' },
            { key: 'n', head: 'n', right: true, cell: (s) => <span title={percent(s.share)}>{count(s.n)}</span>, sort: (s) => s.n },
            { key: 'l', head: 'Loss', right: true, cell: (s) => <span className="strong">{compact(s.loss, 3)}</span>, sort: (s) => s.loss },
            { key: 'r', head: 'Rest', right: true, cell: (s) => compact(s.rest, 3), sort: (s) => s.rest },
            { key: 'f', head: 'Difference', cell: (s) => <Forest label={`${label(s)}: ${signed(s.loss - s.rest)}, ${signedRange(s.lo, s.hi)}`} value={s.loss - s.rest} lo={s.lo} hi={s.hi} domain={domain} tone="subject" width={128} />, sort: (s) => s.loss - s.rest },
            { key: 'i', head: '95 % interval', cell: (s) => <span className="interval">{signedRange(s.lo, s.hi)}</span> },
            { key: 'q', head: 'p', right: true, cell: (s) => small(s.q), sort: (s) => s.q, first: 'ascending' },
          ]}
        />
      )}
    </Panel>
  );
}

const foldMetrics = ['auc', 'accuracy', 'log_loss', 'brier', 'f1', 'balanced_accuracy', 'f1_macro', 'rmse', 'mae', 'r2', 'calibration_error'];

export function FoldsPanel({ version: v }: Props) {
  const folds = v.evaluation?.folds;
  if (!folds) return null;
  const keys = foldMetrics.filter((k) => folds.metrics[k]);
  const rows = keys.length ? keys : Object.keys(folds.metrics).filter((k) => k !== 'n').sort();
  const held = v.evaluation?.metrics ?? {};
  return (
    <Panel
      title="Folds" sub={`${splitWords(folds.split, folds.count)}; on the training rows`} tools={<Link className="link" to="/runs/$id/$tab" params={{ id: v.run_id, tab: 'artifacts' }} search={{ file: folds.artifact } as never}>Fold of every row</Link>}
      foot={<><span>bar: mean and one standard deviation over folds, which share training rows; tick: the held-out rows</span>{folds.notes?.map((n) => <span key={n}>{n}</span>)}</>}
    >
      <Table
        label="Folds" density="dense" rows={rows} keyOf={(k) => k}
        columns={[
          { key: 'm', head: 'Metric', cell: metricName },
          { key: 'd', head: 'A dot per fold', cell: (k) => { const m = folds.metrics[k]; return m ? <Strip label={`${metricName(k)}: ${m.values.map((x) => fixed(x, 3)).join(', ')}`} values={m.values} mean={m.mean} sd={m.sd} reference={held[k]?.value} /> : null; } },
          { key: 'a', head: 'Mean', right: true, cell: (k) => <span className="strong">{fixed(folds.metrics[k]?.mean, 3)}</span> },
          { key: 's', head: 'Spread', right: true, cell: (k) => `± ${fixed(folds.metrics[k]?.sd, 3)}` },
          { key: 'r', head: 'Least to greatest', cell: (k) => { const e = extent(folds.metrics[k]?.values ?? []); return <span className="interval">{e ? `${fixed(e[0], 3)} to ${fixed(e[1], 3)}` : '–'}</span>; } },
          { key: 'h', head: 'Held out', right: true, cell: (k) => fixed(held[k]?.value, 3) },
        ]}
      />
    </Panel>
  );
}

const testWords: Record<string, string> = {
  DeLong: 'areas under the curve', McNemar: 'rows that only one of the two decides rightly', bootstrap: 'mean loss of rows drawn anew', Wilcoxon: 'differences of loss of each row, by rank',
};

/** Whether a test says more than chance: by its interval where there is one, by its p else. */
export function verdictOf(t: ModelTest): { state: string; word: string } {
  const apart = t.p !== undefined ? t.p < 0.05 : t.lo !== undefined && t.hi !== undefined ? t.lo > 0 || t.hi < 0 : undefined;
  if (apart === undefined) return { state: 'inconclusive', word: 'Says nothing' };
  if (!apart) return { state: 'waiting', word: 'Could be chance' };
  const way = direction(t.of === 'squared_error' ? 'rmse' : t.of);
  if (t.difference === undefined || t.difference === 0 || way === 0) return { state: 'info', word: 'Not chance alone' };
  return t.difference > 0 === way > 0 ? { state: 'pass', word: 'Better' } : { state: 'attention', word: 'Worse' };
}

export function Tests({ version: v }: Props) {
  const c = v.evaluation?.comparison;
  const tests = c?.tests ?? [];
  if (!c || tests.length === 0) return null;
  return (
    <Panel title="Tests" sub={<>this version minus <VersionTag version={c.champion} model={v.model} />, same {count(c.n)} rows</>} foot={<span>{tests.map((t) => t.name).filter((n, i, all) => testWords[n] && all.indexOf(n) === i).map((n) => `${n}: ${testWords[n]}`).join('; ')}. p is how often chance alone would show as much if the two were alike; it is not corrected for the number of tests. Rows that belong together (one customer, one day) make it too small.</span>}>
      <Table
        label="Tests against the champion" density="dense" rows={tests} keyOf={(t) => t.name + t.of}
        columns={[
          { key: 't', head: 'Test', fold: true, cell: (t) => <span title={testWords[t.name]}><span className="medium">{t.name.charAt(0).toUpperCase() + t.name.slice(1)}</span> <span className="third">{metricName(t.of)}</span></span> },
          { key: 'd', head: 'Difference', right: true, cell: (t) => signed(t.difference) },
          { key: 'f', head: '', cell: (t) => (t.difference === undefined || t.lo === undefined ? null : <Forest label={`${metricName(t.of)} ${signed(t.difference)}${t.lo !== undefined && t.hi !== undefined ? `, ${signedRange(t.lo, t.hi)}` : ''}`} value={t.difference} lo={t.lo} hi={t.hi} width={112} tone="subject" />) },
          { key: 'i', head: '95 % interval', cell: (t) => <span className="interval">{t.lo !== undefined && t.hi !== undefined ? signedRange(t.lo, t.hi) : '–'}</span> },
          { key: 'p', head: 'p', right: true, cell: (t) => small(t.p) },
          { key: 's', head: 'So', fold: true, cell: (t) => { const x = verdictOf(t); return <Status state={x.state} tone={x.state === 'info' || x.state === 'waiting' ? 'none' : undefined}>{x.word}</Status>; } },
        ]}
      />
    </Panel>
  );
}

const baselines = new Set(['dummy', 'linear']);

export function Members({ version: v }: Props) {
  const members = [...(v.evaluation?.members ?? [])].sort((a, b) => a.loss - b.loss);
  const worst = Math.max(...members.map((m) => m.loss), 0);
  if (members.length === 0) return null;
  return (
    <Panel title="Members" sub={v.signature?.task === 'regression' ? 'half the mean squared error' : 'log loss'} foot={<span>on rows held out of training; a member without a weight was tried and left out of the blend, the dummy knows only the labels, and linear is fitted beside every preset</span>}>
      <ul className="body" style={{ display: 'grid', gap: 4 }}>
        {members.map((m) => (
          <li key={m.name} style={{ display: 'grid', gridTemplateColumns: 'minmax(0,1fr) 88px 48px 52px', gap: 8, alignItems: 'center' }}>
            <span className={`mono clip ${baselines.has(m.name) ? 'third' : ''}`} title={m.name}>{m.name}</span>
            <span className="progress" aria-hidden="true"><i style={{ width: `${worst ? (m.loss / worst) * 100 : 0}%`, background: m.weight > 0 ? undefined : 'var(--compare)' }} /></span>
            <span className="right">{compact(m.loss, 3)}</span>
            <span className="right third small">{m.weight > 0 ? percent(m.weight, 0) : '–'}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Decisions among several classes: rows are what happened, columns what was said; recall and precision at the edges. */
export function ClassMatrix({ matrix, classes }: { matrix: NonNullable<Evaluation['decisions']>['matrix']; classes: string[] }) {
  const name = (i: number) => classes[i] ?? String(i);
  const said = matrix.map((_, j) => matrix.reduce((sum, row) => sum + (row[j] ?? 0), 0));
  const cell = { border: '1px solid var(--surface)', textAlign: 'center' as const, padding: '0 6px' };
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Decisions by class">
      <table className="matrix dense">
        <caption className="hidden">Decisions of the likeliest class against what happened</caption>
        <thead>
          <tr>
            <th scope="col"><span className="hidden">What happened</span></th>
            {matrix.map((_, j) => <th key={j} scope="col" style={{ textAlign: 'center' }}>said {name(j)}</th>)}
            <th scope="col" className="right">Recall</th>
          </tr>
        </thead>
        <tbody>
          {matrix.map((row, i) => {
            const n = row.reduce((a, b) => a + b, 0);
            return (
              <tr key={i}>
                <th scope="row">{name(i)} <span className="third">n {count(n)}</span></th>
                {row.map((k, j) => <td key={j} style={{ ...cell, background: `color-mix(in srgb, var(--accent) ${Math.round((n ? k / n : 0) * 40)}%, var(--surface))` }} title={`${percent(n ? k / n : undefined)} of ${name(i)}`}><span className={i === j ? 'strong' : ''}>{count(k)}</span></td>)}
                <td className="right">{percent(n ? (row[i] ?? 0) / n : undefined, 0)}</td>
              </tr>
            );
          })}
          <tr>
            <th scope="row">Precision</th>
            {matrix.map((row, j) => <td key={j} style={{ textAlign: 'center' }}>{percent(said[j] ? (row[j] ?? 0) / (said[j] as number) : undefined, 0)}</td>)}
            <td />
          </tr>
        </tbody>
      </table>
    </div>
  );
}
