// How groups of rows were treated: the rates of each group with their intervals, and the gaps between the extreme groups in words.
import { useState } from 'react';
import type { BinaryGroup, Fairness as Report, Gap, GroupMean, GroupSpread, Rate, RegressionGroup, VersionDetail } from '../api/types';
import { Forest } from '../charts/forest';
import { extent } from '../charts/scale';
import { RateBar } from '../charts/strip';
import { compact, count, fixed, percent, points, range, signed, signedRange } from '../format/number';
import { Panel, Segments } from '../parts/page';
import { Empty } from '../parts/states';
import { Status } from '../parts/status';
import { Table } from '../parts/table';

type Kind = 'selection' | 'prevalence' | 'true_positive' | 'false_positive' | 'precision' | 'accuracy';

const rates: Record<Kind, { label: string; of: string }> = {
  selection: { label: 'Decided', of: 'of all rows of the group' },
  prevalence: { label: 'Actual', of: 'of all rows of the group' },
  true_positive: { label: 'Found', of: 'of those who are' },
  false_positive: { label: 'Wrongly', of: 'of those who are not' },
  precision: { label: 'Precision', of: 'of those decided' },
  accuracy: { label: 'Right', of: 'of all rows of the group' },
};

/** What each gap is, for people who have to decide whether it matters. */
const meanings: Record<string, { name: string; says: (yes: string) => string }> = {
  demographic_parity: { name: 'Demographic parity', says: (yes) => `how often ${yes} is decided, whatever is true` },
  equal_opportunity: { name: 'Equal opportunity', says: (yes) => `how many of the real ${yes} are found` },
  false_positive_balance: { name: 'False positives', says: (yes) => `how many who are not ${yes} are taken for it` },
  false_negative_balance: { name: 'False negatives', says: (yes) => `how many of the real ${yes} are missed` },
  predictive_parity: { name: 'Predictive parity', says: (yes) => `how often a decision for ${yes} is right` },
  accuracy: { name: 'Accuracy', says: () => 'how often a decision is right' },
};

const some = (v: number | null | undefined) => v ?? undefined;

export default function Fairness({ version: v }: { version: VersionDetail }) {
  const reports = v.evaluation?.fairness ?? [];
  const [at, setAt] = useState(0);
  const report = reports[at] ?? reports[0];
  if (!report) return <section className="panel"><Empty title="Groups were not compared" command={'evaluate:\n  fairness: {groups: [region]}'}>Name the columns whose values are the groups in trimtab.yaml; the next version has them here.</Empty></section>;
  const yes = v.signature?.positive || v.signature?.label || 'yes';
  return (
    <>
      {reports.length > 1 && (
        <div className="row wrap" style={{ marginBottom: 16 }}>
          <span className="second">Groups by</span>
          <Segments label="Groups by" value={String(at)} options={reports.map((r, i) => ({ value: String(i), label: r.columns.join(' and ') }))} onChange={(i) => setAt(Number(i))} />
        </div>
      )}
      {report.binary ? <Binary key={at} report={report} version={v} yes={yes} /> : report.regression ? <Regression report={report} version={v} /> : null}
    </>
  );
}

function Binary({ report, version: v, yes }: { report: Report; version: VersionDetail; yes: string }) {
  const [kind, setKind] = useState<Kind>('selection');
  const b = report.binary;
  const groups = b?.groups ?? [];
  const of = (g: BinaryGroup): Rate => g[kind];
  const most = Math.max(0.05, ...groups.map((g) => of(g).hi ?? 0).filter((x, i) => !groups[i]?.small || x < 1));
  const reach = extent(groups.filter((g) => !g.small).flatMap((g) => [g.calibration_gap.lo, g.calibration_gap.hi, g.calibration_gap.value, 0]));
  const smalls = groups.filter((g) => g.small).length;
  const rate = (r: Rate) => <span title={`${count(r.k)} of ${count(r.n)}`}>{percent(r.value, 0)}</span>;
  return (
    <div className="grid">
      <div className="s12 col">
        <Panel
          title="Groups" sub={`${rates[kind].label.toLowerCase()} ${yes}, ${rates[kind].of}; 95 % interval (Wilson)`} tools={<Segments label="Rate" value={kind} options={(Object.keys(rates) as Kind[]).map((k) => ({ value: k, label: rates[k].label }))} onChange={setKind} />}
          foot={<span>held-out rows, n {count(v.evaluation?.rows)}, decided at {fixed(v.evaluation?.threshold, 2)}{smalls ? `; ${smalls} too small to judge: shown hollow, and left out of every gap` : ''}</span>}
        >
          <Table
            label={`Groups by ${report.columns.join(' and ')}`} density="dense" rows={groups} keyOf={(g) => g.name} sorted={{ key: 'n', order: 'descending' }} page={30}
            columns={[
              { key: 'g', head: report.columns.join(', '), cell: (g) => <span className={`mono ${g.small ? 'third' : ''}`}>{g.name || '(empty)'}</span>, sort: (g) => g.name, first: 'ascending' },
              { key: 'n', head: 'n', right: true, cell: (g) => count(g.n), sort: (g) => g.n },
              { key: 'small', head: <span className="hidden">Size</span>, cell: (g) => (g.small ? <Status state="waiting">small</Status> : null) },
              { key: 'b', head: rates[kind].label, cell: (g) => { const r = of(g); return r.value === null ? '–' : <RateBar label={`${g.name}: ${percent(r.value)}, ${percent(r.lo)} to ${percent(r.hi)}, ${count(r.k)} of ${count(r.n)}`} value={r.value} lo={some(r.lo)} hi={some(r.hi)} most={most} small={g.small} width={168} />; }, sort: (g) => some(of(g).value) },
              { key: 'v', head: 'Rate', right: true, cell: (g) => <span className="strong">{percent(of(g).value, 1)}</span> },
              { key: 'i', head: '95 % interval', cell: (g) => { const r = of(g); return <span className="interval">{r.value === null ? '–' : `${percent(r.lo, 1)} to ${percent(r.hi, 1)}`}</span>; } },
              { key: 'p', head: 'Actual', right: true, cell: (g) => rate(g.prevalence), sort: (g) => some(g.prevalence.value) },
              { key: 'f', head: 'Found', right: true, cell: (g) => rate(g.true_positive), sort: (g) => some(g.true_positive.value) },
              { key: 'w', head: 'Wrongly', right: true, cell: (g) => rate(g.false_positive), sort: (g) => some(g.false_positive.value) },
              { key: 'c', head: 'Said minus actual', cell: (g) => { const m = g.calibration_gap; return m.value === null || !reach ? '–' : <span className="row"><Forest label={`${g.name}: says ${points(m.value, 1)} against what happened`} value={m.value} lo={some(m.lo)} hi={some(m.hi)} domain={reach} hollow={g.small} tone="subject" width={96} /><span className="interval">{points(m.value, 1)}</span></span>; } },
            ]}
          />
        </Panel>
        <Gaps gaps={b?.gaps ?? []} calibration={b?.calibration} yes={yes} />
      </div>
    </div>
  );
}

/** What a gap says: whether it is more than chance, never whether it is fair. */
function gapVerdict(g: Gap): { state: string; word: string } {
  if (g.groups < 2 || g.difference === null) return { state: 'skipped', word: 'Not defined' };
  if (g.p === null) return { state: 'waiting', word: 'No test' };
  return g.p < 0.05 ? { state: 'attention', word: 'More than chance' } : { state: 'waiting', word: 'Could be chance' };
}

function Gaps({ gaps, calibration, yes }: { gaps: Gap[]; calibration?: GroupSpread; yes: string }) {
  return (
    <Panel
      title="Gaps" sub="between the groups with the least and the greatest rate"
      foot={<span>When what is true differs between groups, no model but a perfect one closes all of these at once. Which gap matters, and how large it may be, is for people to decide. p: chi-squared, that all groups have one rate.{calibration && calibration.difference !== null ? ` What is said is ${points(calibration.difference, 1)} higher against what happened in ${calibration.greatest} than in ${calibration.least}.` : ''}</span>}
    >
      <Table
        label="Gaps between groups" density="tall" rows={gaps} keyOf={(g) => g.name}
        columns={[
          { key: 'n', head: 'Gap', cell: (g) => <span><span className="medium">{meanings[g.name]?.name ?? g.name}</span><br /><span className="third small">{meanings[g.name]?.says(yes)}</span></span> },
          { key: 'd', head: 'Difference', right: true, cell: (g) => <span className="strong">{g.difference === null ? '–' : points(g.difference, 1)}</span> },
          { key: 'i', head: '95 % interval', cell: (g) => <span className="interval">{g.lo === null || g.hi === null ? '–' : `${points(g.lo, 1)} to ${points(g.hi, 1)}`}</span> },
          { key: 'r', head: 'Ratio', right: true, cell: (g) => fixed(g.ratio, 2) },
          { key: 'w', head: 'Least, greatest', cell: (g) => (g.least ? <span className="mono">{g.least}, {g.greatest}</span> : '–') },
          { key: 'p', head: 'p', right: true, cell: (g) => (g.p === null ? '–' : g.p < 1e-4 ? 'under 0.0001' : fixed(g.p, 4)) },
          { key: 's', head: 'So', cell: (g) => { const x = gapVerdict(g); return <Status state={x.state} tone={x.state === 'attention' ? undefined : 'none'}>{x.word}</Status>; } },
        ]}
      />
    </Panel>
  );
}

function Regression({ report, version: v }: { report: Report; version: VersionDetail }) {
  const r = report.regression;
  const groups = r?.groups ?? [];
  const reach = extent(groups.filter((g) => !g.small).flatMap((g) => [g.residual.lo, g.residual.hi, g.residual.value, 0]));
  const mean = (m: GroupMean) => (m.value === null ? '–' : compact(m.value, 4));
  const spreads: [string, string, GroupSpread | undefined][] = [['Prediction', 'what is said on average', r?.prediction], ['Bias', 'said minus actual', r?.residual], ['Error', 'the size of the error', r?.absolute]];
  return (
    <div className="grid">
      <div className="s12 col">
        <Panel title="Groups" sub={`means with 95 % intervals of ${v.signature?.label}`} foot={<span>held-out rows, n {count(v.evaluation?.rows)}{groups.some((g) => g.small) ? '; hollow: too small to judge, and left out of every gap' : ''}</span>}>
          <Table
            label={`Groups by ${report.columns.join(' and ')}`} density="dense" rows={groups} keyOf={(g) => g.name} sorted={{ key: 'n', order: 'descending' }} page={30}
            columns={[
              { key: 'g', head: report.columns.join(', '), cell: (g) => <span className={`mono ${g.small ? 'third' : ''}`}>{g.name || '(empty)'}</span>, sort: (g) => g.name, first: 'ascending' },
              { key: 'n', head: 'n', right: true, cell: (g: RegressionGroup) => count(g.n), sort: (g) => g.n },
              { key: 'l', head: 'Actual', right: true, cell: (g) => mean(g.label), sort: (g) => some(g.label.value) },
              { key: 'p', head: 'Said', right: true, cell: (g) => mean(g.prediction), sort: (g) => some(g.prediction.value) },
              { key: 'f', head: 'Said minus actual', cell: (g) => (g.residual.value === null || !reach ? '–' : <Forest label={`${g.name}: ${signed(g.residual.value)}`} value={g.residual.value} lo={some(g.residual.lo)} hi={some(g.residual.hi)} domain={reach} hollow={g.small} tone="subject" width={168} />) },
              { key: 'i', head: '95 % interval', cell: (g) => <span className="interval">{g.residual.lo === null || g.residual.hi === null ? '–' : signedRange(g.residual.lo, g.residual.hi)}</span> },
              { key: 'a', head: 'Mean error', right: true, cell: (g) => <span title={g.absolute.lo !== null && g.absolute.hi !== null ? range(g.absolute.lo, g.absolute.hi) : ''}>{mean(g.absolute)}</span>, sort: (g) => some(g.absolute.value) },
            ]}
          />
        </Panel>
        <Panel title="Gaps" sub="between the groups with the least and the greatest mean">
          <Table
            label="Gaps between groups" density="tall" rows={spreads} keyOf={([k]) => k}
            columns={[
              { key: 'n', head: 'Gap', cell: ([k, says]) => <span><span className="medium">{k}</span><br /><span className="third small">{says}</span></span> },
              { key: 'd', head: 'Difference', right: true, cell: ([, , s]) => <span className="strong">{s?.difference === null || s === undefined ? '–' : compact(s.difference, 4)}</span> },
              { key: 'w', head: 'Least, greatest', cell: ([, , s]) => (s?.least ? <span className="mono">{s.least}, {s.greatest}</span> : '–') },
            ]}
          />
        </Panel>
      </div>
    </div>
  );
}
