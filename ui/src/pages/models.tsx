// A version of a model: whether it passed its gate and why, how it does by slice, what it was made from and where it answers.
import { lazy, Suspense, useMemo, useState } from 'react';
import { Link, useParams } from '@tanstack/react-router';
import { seg } from '../api/client';
import { useAct, useList, useRead } from '../api/queries';
import { useDeployments } from '../api/reads';
import type { AliasMove, Deployment, GateClause, Measure, ModelVersion, Slice, VersionDetail } from '../api/types';
import { Forest } from '../charts/forest';
import { Figure, Legend } from '../charts/frame';
import { CalibrationPlot, ConfusionTable, UnitCurve } from '../charts/square';
import { extent } from '../charts/scale';
import { bytes, compact, count, direction, fixed, metricName, percent, plural, range, signed, signedRange } from '../format/number';
import { days, instant, moment } from '../format/time';
import { Ask } from '../parts/ask';
import { Command, Snippet } from '../parts/command';
import { Icon, type IconName } from '../parts/icons';
import { Page, Panel, Segments, Tile } from '../parts/page';
import { useProject, When } from '../parts/project';
import { Empty, Failure, Loading } from '../parts/states';
import { Chip, lookOf, Status, VersionTag } from '../parts/status';
import { Table } from '../parts/table';
import { CertificatePanel } from './certificate';
import { Alarms, ClassMatrix, FoldsPanel, Members, Tests, Weak } from './judging';
import { Facts, Registered } from './registry';

// Seen by those who open their tabs.
const Explanations = lazy(() => import('./explanations'));
const Fairness = lazy(() => import('./fairness'));

/** Where a version stands: what its gate said, then what traffic and aliases say. */
export function standing(v: Pick<ModelVersion, 'version' | 'state' | 'aliases'>, moves: AliasMove[] = [], sentBack: number[] = []): string {
  if (v.aliases?.includes('champion')) return 'champion';
  if (v.state === 'refused') return 'refused';
  if (sentBack.includes(v.version)) return 'sent_back';
  if (v.aliases?.includes('candidate')) return 'candidate';
  if (moves.some((m) => m.alias === 'champion' && m.to === v.version)) return 'retired';
  return v.state === 'forced' ? 'forced' : 'registered';
}

export function useStanding(model: string) {
  const { name } = useProject();
  const history = useList<AliasMove>(`models/${seg(model)}/history`);
  const deployments = useDeployments(name, true);
  const deployment = deployments.items.find((d) => d.model === model);
  const rollouts = useList<{ to: number; state: string }>(`deployments/${seg(deployment?.name ?? '')}/rollouts`, { enabled: !!deployment });
  const sentBack = rollouts.items.filter((r) => r.state === 'aborted').map((r) => r.to);
  return { history, deployment, of: (v: ModelVersion) => standing(v, history.items, sentBack) };
}

export const headline = (v: ModelVersion | undefined) => ['auc', 'accuracy', 'r2', 'rmse', 'mae'].find((k) => v?.metrics?.[k] !== undefined);

export function GateWord({ version }: { version: ModelVersion }) {
  const clauses = version.gate?.clauses ?? [];
  const passed = clauses.filter((c) => c.state === 'pass').length;
  const skipped = clauses.filter((c) => c.state === 'skipped').length;
  if (clauses.length === 0) return <span className="third">no gate set</span>;
  const state = version.gate.forced ? 'forced' : version.gate.passed ? 'passed' : 'refused';
  return <Status state={state}>{lookOf(state).word}, {passed} of {clauses.length - skipped}{skipped ? `, ${skipped} skipped` : ''}</Status>;
}

export function Moves({ moves, model }: { moves: AliasMove[]; model: string }) {
  const { zone, now } = useProject();
  if (moves.length === 0) return <p className="body third">No alias was moved yet.</p>;
  return (
    <ul className="timeline">
      {moves.slice(0, 40).map((m) => (
        <li key={m.id}>
          <span className={m.alias === 'champion' ? 'ok' : 'acc'}><Icon name={m.to === 0 ? 'close' : m.alias === 'champion' ? 'pass' : m.to < m.from ? 'back' : 'up'} /></span>
          <div>
            {m.to ? <><VersionTag version={m.to} model={model} subject={m.alias === 'champion'} /> is {m.alias}</> : <>{m.alias} was taken away</>}
            {m.from ? <span className="third">, before it v{m.from}</span> : null}
            {m.reason && <div className="small second">{m.reason}</div>}
            <div className="when">{moment(instant(m.at) ?? 0, zone, now())}, {m.actor}</div>
          </div>
        </li>
      ))}
    </ul>
  );
}

export function VersionPage() {
  const { model = '', version = '', tab = 'evaluation' } = useParams({ strict: false });
  const { zone, now } = useProject();
  const detail = useRead<VersionDetail>(`models/${seg(model)}/versions/${seg(version)}`);
  const versions = useList<ModelVersion>(`models/${seg(model)}/versions`);
  const { history, deployment, of } = useStanding(model);
  const [asking, setAsking] = useState(false);
  const release = useAct<{ version: number; reason: string }>(`deployments/${seg(deployment?.name ?? '')}/rollout`);
  const v = detail.data;
  const state = v ? of(v) : undefined;
  const path = `/models/${model}/${version}`;
  const size = v?.files?.reduce((s, f) => s + f.size, 0);
  const canRelease = deployment && v && v.state !== 'refused' && deployment.route?.champion !== v.version && deployment.route?.canary !== v.version;
  return (
    <Page
      title={model} name={`${model} v${version}`} crumbs={[{ label: 'Models', to: '/models' }, { label: model, to: `/models/${model}` }, { label: `v${version}` }]}
      mark={<><VersionTag version={Number(version)} subject />{v && <Chip state={state} />}</>}
      facts={
        v && (
          <>
            <span>Made by <b>{v.actor || 'the server'}</b>, {moment(instant(v.as_of) ?? 0, zone, now())}</span>
            {v.learner ? <span><b>{v.learner}</b>{v.params ? ` ${paramText(v.params)}` : ''}</span> : <span><b>{v.format}</b></span>}
            {v.signature?.features?.length ? <span>{plural(v.signature.features.length, 'input')}, {v.signature.task}</span> : null}
            {size ? <span>package <b>{bytes(size)}</b></span> : null}
            {v.digest && <span className="mono">{v.digest.slice(0, 8)}</span>}
            {v.stage !== 'None' && <span>stage <b>{v.stage}</b></span>}
          </>
        )
      }
      actions={
        <>
          <Command show={{ cli: `trimtab models show ${model} --version ${version}`, api: `models/${model}/versions/${version}` }} />
          {canRelease && <button type="button" className="btn" onClick={() => setAsking(true)}>Release…</button>}
          {deployment && <Link className="btn" to="/deployments/$name/$tab" params={{ name: deployment.name, tab: 'rollout' }}>Open rollout <Icon name="next" /></Link>}
        </>
      }
      tabs={[
        { label: 'Evaluation', to: `${path}/evaluation`, current: tab === 'evaluation' },
        ...(v?.evaluation ? [{ label: 'Fairness', to: `${path}/fairness`, current: tab === 'fairness', n: v.evaluation.fairness?.length }, { label: 'Explanations', to: `${path}/explanations`, current: tab === 'explanations' }] : []),
        { label: 'Inputs', to: `${path}/inputs`, current: tab === 'inputs', n: v?.signature?.inputs?.length },
        { label: 'Package', to: `${path}/package`, current: tab === 'package', n: v?.files?.length },
        { label: 'History', to: `${path}/history`, current: tab === 'history' },
      ]}
    >
      {detail.error ? (
        <section className="panel"><Failure error={detail.error} what="The version cannot be shown" retry={() => void detail.refetch()} /></section>
      ) : !v ? (
        <section className="panel"><Loading rows={10} /></section>
      ) : tab === 'inputs' ? (
        v.signature?.inputs?.length ? <Inputs version={v} /> : <section className="panel"><Empty title="Its inputs are not known">The files say what they are; see Package.</Empty></section>
      ) : tab === 'package' ? (
        <Package version={v} />
      ) : tab === 'history' ? (
        <VersionHistory version={v} moves={history.items} />
      ) : tab === 'fairness' || tab === 'explanations' ? (
        <Suspense fallback={<section className="panel"><Loading rows={10} /></section>}>{tab === 'fairness' ? <Fairness version={v} /> : <Explanations version={v} />}</Suspense>
      ) : v.state === 'registered' ? (
        <Registered version={v} versions={versions.items} deployment={deployment?.name} />
      ) : (
        <>
          <Facts version={v} />
          <Lineage version={v} deployment={deployment} state={state ?? ''} />
          <Alarms version={v} />
          <div className="grid">
            <div className="s8 col">
              <Scores version={v} />
              <Curves version={v} />
              <Tests version={v} />
              <FoldsPanel version={v} />
              <Slices version={v} />
              <Weak version={v} />
            </div>
            <div className="s4 col">
              <Gate version={v} />
              <CertificatePanel version={v} />
              <Siblings versions={versions.items} current={v.version} of={of} model={model} />
              {v.evaluation?.confusion && (
                <Panel title={`Decision at ${fixed(v.evaluation.confusion.threshold, 2)}`} tools={`n ${count(v.evaluation.rows)}`}>
                  <div className="body"><ConfusionTable matrix={v.evaluation.confusion} positive={v.signature?.positive || v.signature?.label || 'yes'} negative={`not ${v.signature?.positive || v.signature?.label || 'yes'}`} /></div>
                </Panel>
              )}
              {v.evaluation?.decisions && (
                <Panel title="Decisions" sub="the likeliest class" tools={`n ${count(v.evaluation.rows)}`}>
                  <ClassMatrix matrix={v.evaluation.decisions.matrix} classes={v.signature?.classes ?? []} />
                </Panel>
              )}
              <Members version={v} />
              <Importance version={v} />
            </div>
          </div>
        </>
      )}
      <Ask
        open={asking} onClose={() => setAsking(false)} title={`Release v${version}?`} act="Release" stay="Leave traffic as it is"
        happens={`v${version} starts as a canary of ${deployment?.name}, in the steps that trimtab.yaml sets.`} kept={`v${deployment?.route?.champion ?? ''} goes on answering the rest, and scores the canary's rows too.`}
        run={(reason) => release.mutateAsync({ version: Number(version), reason })}
      />
    </Page>
  );
}

function paramText(params: Record<string, unknown>): string {
  const shown = ['rounds', 'leaves', 'learning_rate', 'l2'].filter((k) => params[k] !== undefined);
  return shown.map((k) => (k === 'rounds' ? `${params[k] as number} rounds` : k === 'leaves' ? `${params[k] as number} leaves` : `${k.replace('_', ' ')} ${params[k] as number}`)).join(', ');
}

function Lineage({ version: v, deployment, state }: { version: VersionDetail; deployment?: Deployment; state: string }) {
  const { zone } = useProject();
  const t = v.training;
  const serving = deployment && (deployment.route?.champion === v.version || deployment.route?.canary === v.version);
  const datasets = v.datasets ?? [];
  const nodes: { icon: IconName; label: string; title: string; lines: string[]; to?: string; params?: Record<string, string>; subject?: boolean }[] = [
    {
      icon: 'data', label: 'Data', title: datasets.map((d) => d.dataset).join(', ') || 'none recorded', to: datasets[0] ? `/data/${datasets[0].dataset}/profile` : undefined,
      lines: [`train ${days(instant(t.from) ?? 0, instant(t.split_at) ?? 0, zone)}, n ${count(t.rows)}`, `test ${days(instant(t.split_at) ?? 0, instant(t.to) ?? 0, zone)}, n ${count(t.test_rows)}`, t.served ? `${count(t.served)} rows from the log` : ''],
    },
    { icon: 'branch', label: 'Recipe and code', title: v.git_commit ? v.git_commit.slice(0, 7) : 'fitted recipe', lines: ['fitted on the training rows only', `Trimtab ${v.built?.trimtab ?? ''}`] },
    { icon: 'runs', label: 'Run', title: v.run_id.slice(-8), to: `/runs/${v.run_id}`, lines: [paramText(v.params ?? {}) || v.learner, t.permuted ? 'labels were shuffled' : t.refit ? `then refit on ${count(t.fit_rows)} rows` : 'test rows held out'] },
    { icon: 'models', label: 'Version', title: `v${v.version}`, subject: true, lines: [`${count(v.golden_rows)} golden rows reproduced at every load`, 'Go, ONNX'] },
    { icon: 'deployments', label: 'Deployment', title: serving ? (deployment?.name ?? '') : 'not serving', to: deployment ? `/deployments/${deployment.name}/rollout` : undefined, lines: [serving ? (deployment?.route?.champion === v.version ? 'champion' : `canary, ${percent(deployment?.route?.canary_share, 0)}`) : lookOf(state).word.toLowerCase(), v.rollouts?.length ? plural(v.rollouts.length, 'rollout') : 'no rollout'] },
  ];
  return (
    <nav className="chain" aria-label="Lineage">
      {nodes.map((n, i) => {
        const body = (
          <>
            <span className="label"><Icon name={n.icon} />{n.label}</span>
            <b className="clip" title={n.title}>{n.title}</b>
            {n.lines.filter(Boolean).map((l) => <span key={l} className="clip" style={{ display: 'block' }} title={l}>{l}</span>)}
          </>
        );
        return (
          <span key={n.label} style={{ display: 'contents' }}>
            {i > 0 && <Icon name="arrow" className="arrow" />}
            {n.to ? <Link className={`node ${n.subject ? 'subject' : ''}`} to={n.to}>{body}</Link> : <div className={`node ${n.subject ? 'subject' : ''}`}>{body}</div>}
          </span>
        );
      })}
    </nav>
  );
}

const shownMetrics: Record<string, string[]> = {
  binary: ['auc', 'average_precision', 'log_loss', 'brier', 'calibration_error', 'f1', 'recall'],
  multiclass: ['accuracy', 'balanced_accuracy', 'f1_macro', 'mcc', 'log_loss', 'auc'],
  regression: ['rmse', 'mae', 'median_ae', 'mape', 'r2', 'bias'],
};

/** Coloured only when the interval of the difference leaves zero out. */
function changeTone(key: string, d: Measure | undefined): 'ok' | 'bad' | undefined {
  if (!d || d.lo === undefined || d.hi === undefined || direction(key) === 0) return undefined;
  if (d.lo > 0) return direction(key) > 0 ? 'ok' : 'bad';
  if (d.hi < 0) return direction(key) > 0 ? 'bad' : 'ok';
  return undefined;
}

function Scores({ version: v }: { version: VersionDetail }) {
  const { zone } = useProject();
  const ev = v.evaluation;
  if (!ev) return <Panel title="Metrics"><Empty title="This version was not evaluated">It came without held-out rows.</Empty></Panel>;
  const keys = (shownMetrics[v.signature?.task] ?? Object.keys(ev.metrics)).filter((k) => ev.metrics[k]);
  const c = ev.comparison;
  const window = days(instant(ev.from) ?? 0, instant(ev.to) ?? 0, zone);
  return (
    <Panel title="Metrics" sub={`held-out rows ${window}, n ${count(ev.rows)}${c ? `; second line: against v${c.champion} on the same ${count(c.n)} rows` : ''}`} foot={ev.note ? <span>{ev.note}</span> : undefined}>
      <div className="tiles" style={{ borderTop: '1px solid var(--line)' }}>
        {keys.map((k) => {
          const m = ev.metrics[k] as Measure;
          const d = c?.differences[k];
          const tone = changeTone(k, d);
          return (
            <Tile
              key={k} label={k === 'f1' || k === 'recall' || k === 'precision' ? `${metricName(k)} at ${fixed(ev.threshold, 2)}` : metricName(k)} value={fixed(m.value, 3)}
              notes={[
                ...(m.lo !== undefined && m.hi !== undefined ? [{ text: range(m.lo, m.hi) }] : []),
                ...(c && c.incumbent[k] !== undefined ? [{ text: `${fixed(c.challenger[k], 3)}, v${c.champion} ${fixed(c.incumbent[k], 3)}` }] : []),
                ...(d ? [{ text: `${signed(d.value)}${tone ? (tone === 'ok' ? ' better' : ' worse') : ''}`, tone }] : []),
              ]}
            />
          );
        })}
      </div>
    </Panel>
  );
}

function Curves({ version: v }: { version: VersionDetail }) {
  const ev = v.evaluation;
  if (!ev?.roc && !ev?.pr && !ev?.calibration) return null;
  const roc = ev.roc?.points ?? [];
  const pr = ev.pr?.points ?? [];
  const prevalence = ev.metrics.prevalence?.value;
  const bins = (ev.calibration?.bins ?? []).filter((b) => b.n > 0).map((b) => ({ predicted: b.mean_prediction, actual: b.observed, lo: b.interval.lo, hi: b.interval.hi, n: b.n }));
  const reduced = (of: number | undefined, kept: number) => (of && of > kept ? `${count(kept)} of ${count(of)} points kept` : 'all points');
  const yes = v.signature?.positive || v.signature?.label || 'yes';
  const c = ev.confusion;
  const said = c ? c.true_positive + c.false_positive : 0;
  const [positives, negatives] = c ? [c.true_positive + c.false_negative, c.true_negative + c.false_positive] : [0, 0];
  const at = `at ${fixed(ev.threshold, 2)}`;
  const rocMark = c && positives && negatives ? { x: c.false_positive / negatives, y: c.true_positive / positives, label: at } : undefined;
  const prMark = c && positives && said ? { x: c.true_positive / positives, y: c.true_positive / said, label: at } : undefined;
  const classes = !ev.roc;
  return (
    <div className="grid">
      {ev.roc && (
        <Figure className="s4" title="ROC" name="ROC curve" sub="true positive rate" pad="0 12px 4px" twin={{ head: ['False positive rate', 'True positive rate', 'Threshold'], rows: roc.map((p) => [fixed(p.fpr, 4), fixed(p.tpr, 4), fixed(p.threshold, 4)]) }} foot={<><Legend role="subject" label={`v${v.version} ${fixed(ev.roc.auc ?? undefined, 3)}`} /><span className="push">{reduced(ev.roc.of, roc.length)}, n {count(ev.roc.n)}</span></>}>
          {(width) => <UnitCurve name={`ROC curve of v${v.version}, area ${fixed(ev.roc?.auc ?? undefined, 3)}`} width={width} subject={{ x: roc.map((p) => p.fpr), y: roc.map((p) => p.tpr) }} mark={rocMark} diagonal xLabel="false positive rate" />}
        </Figure>
      )}
      {ev.pr && (
        <Figure className="s4" title="Precision, recall" name="Precision and recall" sub="precision" pad="0 12px 4px" twin={{ head: ['Recall', 'Precision', 'Threshold'], rows: pr.map((p) => [fixed(p.recall, 4), fixed(p.precision, 4), fixed(p.threshold, 4)]) }} foot={<><Legend role="subject" label={`v${v.version} ${fixed(ev.pr.average_precision ?? undefined, 3)}`} /><span className="push">{reduced(ev.pr.of, pr.length)}, n {count(ev.pr.n)}</span></>}>
          {(width) => <UnitCurve name={`Precision against recall of v${v.version}, average precision ${fixed(ev.pr?.average_precision ?? undefined, 3)}`} width={width} subject={{ x: pr.map((p) => p.recall), y: pr.map((p) => p.precision) }} level={prevalence !== undefined ? { value: prevalence, label: `${yes} ${percent(prevalence, 0)}` } : undefined} mark={prMark} xLabel="recall" />}
        </Figure>
      )}
      {ev.calibration && (
        <Figure className={classes ? 's12' : 's4'} title="Calibration" name="Calibration" sub={classes ? 'how often the likeliest class is right, by how likely it is' : 'actual share'} pad="0 12px 4px" twin={{ head: ['Predicted', 'Actual', 'Low', 'High', 'n'], rows: bins.map((b) => [fixed(b.predicted, 4), fixed(b.actual, 4), fixed(b.lo, 4), fixed(b.hi, 4), count(b.n)]) }} foot={<><Legend role="subject" label={`v${v.version}, ${bins.length} bins, 95 % band`} /><span className="push">error {fixed(ev.calibration.error, 3)}, n {count(ev.calibration.n)}</span></>}>
          {(width) => <CalibrationPlot name={`Calibration of v${v.version}: predicted against actual in ${bins.length} bins, with 95 % bands; bars below: rows of each bin`} width={width} subject={bins} />}
        </Figure>
      )}
    </div>
  );
}

function Slices({ version: v }: { version: VersionDetail }) {
  const slices = v.evaluation?.slices ?? [];
  const columns = [...new Set(slices.map((s) => s.column))];
  const [column, setColumn] = useState<string>();
  const shown = column && columns.includes(column) ? column : columns[0];
  const metric = ['auc', 'accuracy', 'rmse', 'log_loss'].find((k) => slices.some((s) => s.metrics[k])) ?? 'auc';
  const all = slices.filter((s) => s.column === shown);
  const rows = all.filter((s) => !s.small && s.metrics[metric]);
  const small = all.filter((s) => s.small || !s.metrics[metric]);
  const whole = v.evaluation?.metrics[metric];
  const domain = extent(rows.flatMap((s) => [s.metrics[metric]?.value, s.metrics[metric]?.lo, s.metrics[metric]?.hi]).concat(whole?.value));
  if (slices.length === 0) return null;
  const verdict = (s: Slice): { state: string; word: string } => {
    const m = s.metrics[metric];
    if (!m || m.lo === undefined || m.hi === undefined || !whole) return { state: 'waiting', word: 'No interval' };
    if (m.lo <= whole.value && m.hi >= whole.value) return { state: 'pass', word: 'As the whole' };
    const better = m.lo > whole.value ? direction(metric) > 0 : direction(metric) < 0;
    return better ? { state: 'pass', word: 'Better' } : { state: 'attention', word: 'Worse' };
  };
  return (
    <Panel
      title="Slices" sub={`${metricName(metric)} with 95 % interval; tick: all rows, ${fixed(whole?.value, 3)}`} tools={columns.length > 1 && <Segments label="Slice by" value={shown ?? ''} options={columns.map((c) => ({ value: c, label: c }))} onChange={setColumn} />}
      foot={small.length > 0 ? <span>Too small to judge: {small.map((s) => `${s.value || '(empty)'} (n ${count(s.n)})`).join(', ')}</span> : undefined}
    >
      <Table
        label={`Slices by ${shown}`} density="dense" rows={rows} keyOf={(s) => s.value} sorted={{ key: 'n', order: 'descending' }}
        columns={[
          { key: 'slice', head: shown ?? 'Slice', cell: (s) => <span className="mono">{s.value || '(empty)'}</span>, sort: (s) => s.value, first: 'ascending' },
          { key: 'n', head: 'n', right: true, cell: (s) => count(s.n), sort: (s) => s.n },
          ...(rows.some((s) => s.metrics.prevalence) ? [{ key: 'rate', head: v.signature?.positive || v.signature?.label || 'Share', right: true, cell: (s: Slice) => percent(s.metrics.prevalence?.value, 0), sort: (s: Slice) => s.metrics.prevalence?.value }] : []),
          { key: 'value', head: metricName(metric), right: true, cell: (s) => <span className="strong">{fixed(s.metrics[metric]?.value, 3)}</span>, sort: (s) => s.metrics[metric]?.value },
          { key: 'forest', head: '', cell: (s) => { const m = s.metrics[metric]; return m && domain ? <Forest label={`${s.value}: ${fixed(m.value, 3)}${m.lo !== undefined && m.hi !== undefined ? `, ${range(m.lo, m.hi)}` : ''}`} value={m.value} lo={m.lo} hi={m.hi} reference={whole?.value} domain={domain} zero={false} tone="subject" hollow={s.n < 200} width={152} /> : null; } },
          { key: 'interval', head: '95 % interval', cell: (s) => { const m = s.metrics[metric]; return <span className="interval">{m?.lo !== undefined && m.hi !== undefined ? range(m.lo, m.hi) : '–'}</span>; } },
          { key: 'state', head: 'Against all', cell: (s) => { const x = verdict(s); return <Status state={x.state} tone={x.word === 'As the whole' ? 'none' : undefined}>{x.word}</Status>; } },
        ]}
      />
    </Panel>
  );
}

function Gate({ version: v }: { version: VersionDetail }) {
  const { zone, now } = useProject();
  const clauses = v.gate?.clauses ?? [];
  const passed = clauses.filter((c) => c.state === 'pass').length;
  const state = v.gate?.forced ? 'forced' : v.gate?.passed ? 'passed' : 'refused';
  const c = v.evaluation?.comparison;
  return (
    <Panel title="Gate" sub={<Chip state={state}>{lookOf(state).word}, {passed} of {clauses.filter((x) => x.state !== 'skipped').length}</Chip>} tools={moment(instant(v.as_of) ?? 0, zone, now())} foot={c ? <span>{count(c.n)} rows since {moment(instant(c.since) ?? 0, zone, now())} that neither version was trained on</span> : <span>n {count(v.evaluation?.rows ?? v.training?.test_rows)} held-out rows</span>}>
      {clauses.length === 0 && <Empty title="No gate is set" command={'evaluate:\n  gates: ["auc >= 0.60", "auc >= champion.auc - 0.002"]'}>Every version is accepted. Add gates to trimtab.yaml.</Empty>}
      <ul className="rows">
        {clauses.map((clause) => <Clause key={clause.expr} clause={clause} version={v} />)}
        {v.gate?.forced && (
          <li>
            <span className="warn"><Icon name="attention" /></span>
            <div className="text">
              <div className="medium">Forced by {v.gate.forced.actor}</div>
              <div className="second small">{v.gate.forced.reason}, {moment(instant(v.gate.forced.at) ?? 0, zone, now())}</div>
            </div>
          </li>
        )}
      </ul>
    </Panel>
  );
}

function Clause({ clause, version: v }: { clause: GateClause; version: VersionDetail }) {
  const look = lookOf(clause.state);
  const c = v.evaluation?.comparison;
  const compared = Object.keys(clause.values ?? {}).find((k) => k.startsWith('champion.'))?.slice('champion.'.length);
  const d = compared ? c?.differences[compared] : undefined;
  const plain = Object.entries(clause.values ?? {});
  return (
    <li style={{ alignItems: 'flex-start' }}>
      <span className={look.tone === 'none' ? 'third' : look.tone} style={{ marginTop: 2 }}><Icon name={look.icon} /></span>
      <div className="text">
        <div className="mono">{clause.expr}</div>
        <div className="second">
          <span className="hidden">{look.word}: </span>
          {d ? `${signed(d.value)}${d.lo !== undefined && d.hi !== undefined ? `, interval ${signedRange(d.lo, d.hi)}` : ''}` : plain.map(([k, x]) => `${k} ${compact(x, 4)}`).join(', ') || look.word}
        </div>
        <div className="tiny third">{[clause.note, d ? `same rows, n ${count(d.n)}${compared === 'auc' && c?.delong_p !== undefined ? `, DeLong p ${c.delong_p < 1e-4 ? 'under 0.0001' : fixed(c.delong_p, 4)}` : ''}` : undefined].filter(Boolean).join('; ')}</div>
      </div>
    </li>
  );
}

function Siblings({ versions, current, of, model }: { versions: ModelVersion[]; current: number; of: (v: ModelVersion) => string; model: string }) {
  const key = headline(versions[0]);
  if (versions.length === 0) return null;
  return (
    <Panel title="Versions" sub={key ? `${metricName(key)} on each one’s own test rows` : undefined} tools={<Link className="link" to="/models/$model" params={{ model }}>All</Link>}>
      <Table
        label="Versions" density="dense" rows={versions.slice(0, 10)} keyOf={(v) => v.version} selected={(v) => v.version === current}
        columns={[
          { key: 'v', head: 'Version', cell: (v) => <VersionTag version={v.version} model={model} subject={v.version === current} /> },
          { key: 's', head: 'Standing', cell: (v) => <Status state={of(v)} /> },
          ...(key ? [{ key: 'm', head: metricName(key), right: true, cell: (v: ModelVersion) => fixed(v.metrics?.[key], 3) }] : []),
          { key: 'a', head: 'As of', right: true, cell: (v) => <When at={v.as_of} /> },
        ]}
      />
    </Panel>
  );
}

function Importance({ version: v }: { version: VersionDetail }) {
  const rows = useMemo(() => {
    const found = new Map<string, number>();
    for (const i of v.importance ?? []) found.set(i.input || i.feature, (found.get(i.input || i.feature) ?? 0) + i.share);
    return [...found].sort((a, b) => b[1] - a[1]).slice(0, 12);
  }, [v.importance]);
  const most = rows[0]?.[1] ?? 1;
  if (rows.length === 0) return null;
  return (
    <Panel title="Importance" sub="share of the gain in training, by input">
      <ul className="body" style={{ display: 'grid', gap: 4 }}>
        {rows.map(([name, share]) => (
          <li key={name} style={{ display: 'grid', gridTemplateColumns: 'minmax(0,1fr) 96px 44px', gap: 8, alignItems: 'center' }}>
            <span className="mono clip" title={name}>{name}</span>
            <span className="progress" aria-hidden="true"><i style={{ width: `${(share / most) * 100}%` }} /></span>
            <span className="right">{percent(share, 0)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Inputs({ version: v }: { version: VersionDetail }) {
  const s = v.signature;
  return (
    <div className="grid">
      <Panel className="s8" title="Signature" sub="what a request carries, in the order of the log">
        <Table
          label="Inputs" rows={s.inputs} keyOf={(i) => i.name}
          columns={[
            { key: 'name', head: 'Input', cell: (i) => <span className="mono">{i.name}</span> },
            { key: 'kind', head: 'Type', cell: (i) => i.kind },
            { key: 'role', head: 'Role', cell: (i) => (i.role === 'context' ? <span className="third">context, not read by the model</span> : 'feature') },
            { key: 'nullable', head: 'May be missing', cell: (i) => (i.nullable ? 'yes' : 'no') },
            { key: 'range', head: 'Known in training', fold: true, cell: (i) => (i.categories?.length ? <span className="second" title={i.categories.join(', ')}>{i.categories.slice(0, 6).join(', ')}{i.categories.length > 6 ? ` and ${i.categories.length - 6} more` : ''}</span> : i.min !== undefined && i.max !== undefined && i.kind !== 'datetime' ? `${compact(i.min)} to ${compact(i.max)} ${i.unit ?? ''}` : <span className="third">–</span>) },
            { key: 'view', head: 'Joined from', cell: (i) => (i.view ? <span className="second">{i.view}, by {[...(i.entity ?? []), i.time].filter(Boolean).join(', ')}</span> : '–') },
            { key: 'personal', head: 'Personal', cell: (i) => i.personal ?? '–' },
          ]}
        />
      </Panel>
      <div className="s4 col">
        <Panel title="Derived" sub="computed by the server, by the code of training">
          {!s.derived?.length ? <p className="body third">Nothing is derived.</p> : <Table label="Derived" density="dense" rows={s.derived} keyOf={(d) => d.name} columns={[{ key: 'n', head: 'Name', cell: (d) => <span className="mono">{d.name}</span> }, { key: 'e', head: 'Expression', cell: (d) => <span className="mono second">{d.expr}</span> }]} />}
        </Panel>
        <Panel title="Answer">
          <dl className="body" style={{ display: 'grid', gridTemplateColumns: '96px 1fr', gap: '4px 12px' }}>
            <dt className="third">Task</dt><dd>{s.task}</dd>
            <dt className="third">Label</dt><dd className="mono">{s.label}{s.expr ? ` = ${s.expr}` : ''}</dd>
            {s.classes?.length ? <><dt className="third">Classes</dt><dd>{s.classes.join(', ')}</dd></> : null}
            <dt className="third">Threshold</dt><dd>{fixed(v.threshold, 2)}</dd>
            {s.key?.length ? <><dt className="third">Key</dt><dd className="mono">{s.key.join(', ')}</dd></> : null}
            {s.zone ? <><dt className="third">Zone</dt><dd>{s.zone}</dd></> : null}
          </dl>
        </Panel>
      </div>
    </div>
  );
}

function Package({ version: v }: { version: VersionDetail }) {
  const files = v.files ?? [];
  return (
    <div className="grid">
      <Panel className="s8" title="Files" sub={`immutable; ${bytes(files.reduce((s, f) => s + f.size, 0))} in ${plural(files.length, 'file')}, manifest ${v.digest.slice(0, 12) || 'none'}`}>
        <Table
          label="Files" rows={files} keyOf={(f) => f.path}
          columns={[
            { key: 'path', head: 'File', cell: (f) => <a data-row className="link mono" href={`/api/v1/models/${seg(v.model)}/versions/${v.version}/files/${f.path}`} download={f.path.split('/').pop()}>{f.path}</a>, sort: (f) => f.path, first: 'ascending' },
            { key: 'size', head: 'Size', right: true, cell: (f) => bytes(f.size), sort: (f) => f.size },
            { key: 'blob', head: 'BLAKE3', cell: (f) => <span className="mono third">{f.blob.slice(0, 16)}</span> },
          ]}
        />
      </Panel>
      <div className="s4 col">
        <Panel title="Use it elsewhere">
          <div className="body" style={{ display: 'grid', gap: 12 }}>
            <Snippet text={`trimtab models package ${v.model} --version ${v.version} --out ${v.model}-v${v.version}`} />
            <Snippet text={`import mlflow\nmodel = mlflow.pyfunc.load_model("${v.model}-v${v.version}")`} />
          </div>
        </Panel>
        <Panel title="Made with">
          <dl className="body" style={{ display: 'grid', gridTemplateColumns: '112px 1fr', gap: '4px 12px' }}>
            <dt className="third">Trimtab</dt><dd>{v.built?.trimtab || '–'}</dd>
            <dt className="third">Go</dt><dd>{v.built?.go || '–'}</dd>
            <dt className="third">System</dt><dd>{v.built?.os} {v.built?.arch}</dd>
            <dt className="third">Git commit</dt><dd className="mono">{v.git_commit || 'not in a repository'}</dd>
            <dt className="third">Golden rows</dt><dd>{count(v.golden_rows)}</dd>
          </dl>
        </Panel>
        <Panel title="Parameters">
          <Table label="Parameters" density="dense" rows={Object.entries(v.params ?? {}).sort()} keyOf={([k]) => k} columns={[{ key: 'k', head: 'Name', cell: ([k]) => <span className="mono">{k}</span> }, { key: 'v', head: 'Value', right: true, cell: ([, x]) => <span className="mono">{String(x)}</span> }]} />
        </Panel>
      </div>
    </div>
  );
}

function VersionHistory({ version: v, moves }: { version: VersionDetail; moves: AliasMove[] }) {
  const rollouts = v.rollouts ?? [];
  return (
    <div className="grid">
      <Panel className="s8" title="Rollouts" sub="of this version">
        {rollouts.length === 0 ? (
          <Empty title="It was never rolled out">{v.state === 'refused' ? 'Its gate refused it.' : 'A version that passes its gate starts as a canary by itself.'}</Empty>
        ) : (
          <Table
            label="Rollouts" rows={rollouts} keyOf={(r) => r.id}
            columns={[
              { key: 'd', head: 'Deployment', cell: (r) => <Link className="link" to="/deployments/$name/$tab" params={{ name: r.deployment, tab: 'history' }}>{r.deployment}</Link> },
              { key: 's', head: 'Ended as', cell: (r) => <Status state={r.state} /> },
              { key: 'f', head: 'From', cell: (r) => <When at={r.started_at} /> },
              { key: 't', head: 'To', cell: (r) => <When at={r.ended_at} /> },
              { key: 'c', head: 'Cause', fold: true, cell: (r) => <span className="second">{r.cause}</span> },
              { key: 'w', head: 'Why it ended', fold: true, cell: (r) => <span className="second">{r.reason || r.summary}</span> },
            ]}
          />
        )}
      </Panel>
      <Panel className="s4" title="Aliases" sub="who, when and why"><Moves moves={moves.filter((m) => m.to === v.version || m.from === v.version)} model={v.model} /></Panel>
    </div>
  );
}
