// Curves over the unit square (ROC, precision and recall, calibration) and the confusion matrix.
import type { Confusion } from '../api/types';
import { count, percent } from '../format/number';
import { areaPath, linear, linePath, niceDomain, ticks } from './scale';

const short = (v: number) => (v === 0 ? '0' : v === 1 ? '1' : String(v).replace(/^0/, ''));

export interface Curve {
  x: number[];
  y: number[];
}

export interface CalibrationBin {
  predicted: number;
  actual: number;
  lo: number;
  hi: number;
  n: number;
}

interface UnitProps {
  name: string;
  width: number;
  subject?: Curve;
  compare?: Curve;
  diagonal?: boolean;
  level?: { value: number; label: string };
  mark?: { x: number; y: number; label: string }; // where it decides
  xLabel: string;
}

export function UnitCurve({ name, width, subject, compare, diagonal = false, level, mark, xLabel }: UnitProps) {
  const side = Math.max(120, width - 34);
  const tall = Math.min(side, 190);
  const x = linear([0, 1], [28, 28 + side]);
  const y = linear([0, 1], [tall + 6, 6]);
  const values = [0, 0.25, 0.5, 0.75, 1];
  const path = (c: Curve) => linePath(c.x.map((v, i) => ({ x: x(v), y: y(c.y[i] as number) })));
  return (
    <svg width={width} height={tall + 40} role="img" aria-label={name}>
      {values.map((v) => (
        <g key={v}>
          <line className={v === 0 ? 'axis' : 'gridline'} x1={28} x2={28 + side} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
          <text x={22} y={y(v) + 4} textAnchor="end">{short(v)}</text>
          {v > 0 && <text x={x(v)} y={tall + 22} textAnchor={v === 1 ? 'end' : 'middle'}>{short(v)}</text>}
        </g>
      ))}
      {diagonal && <line x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} stroke="var(--line-strong)" strokeDasharray="3 3" />}
      {level && (
        <>
          <line x1={x(0)} x2={x(1)} y1={y(level.value)} y2={y(level.value)} stroke="var(--line-strong)" strokeDasharray="3 3" />
          <text x={x(0) + 4} y={y(level.value) + 14}>{level.label}</text>
        </>
      )}
      {compare && <path className="line compare" d={path(compare)} />}
      {subject && <path className="line" d={path(subject)} />}
      {mark && (
        <>
          <circle cx={x(mark.x)} cy={y(mark.y)} r="4" fill="var(--surface)" stroke="var(--subject)" strokeWidth="1.75" />
          <text className="key halo" x={x(mark.x) + (mark.x > 0.7 ? -8 : 8)} y={y(mark.y) + (mark.y > 0.85 ? 16 : 4)} textAnchor={mark.x > 0.7 ? 'end' : 'start'}>{mark.label}</text>
        </>
      )}
      <text x={28 + side / 2} y={tall + 37} textAnchor="middle">{xLabel}</text>
    </svg>
  );
}

export function CalibrationPlot({ name, width, subject, compare }: { name: string; width: number; subject: CalibrationBin[]; compare?: CalibrationBin[] }) {
  const side = Math.max(120, width - 34);
  const tall = Math.min(side, 190);
  const most = Math.max(...[...subject, ...(compare ?? [])].flatMap((b) => [b.predicted, b.hi, b.actual]), 0.1);
  const top = Math.min(1, niceDomain(0, most, 4)[1]);
  const x = linear([0, top], [28, 28 + side]);
  const y = linear([0, top], [tall + 6, 6]);
  const fullest = Math.max(...subject.map((b) => b.n), 1);
  return (
    <svg width={width} height={tall + 40} role="img" aria-label={name}>
      {ticks(0, top, 4).map((v) => (
        <g key={v}>
          <line className={v === 0 ? 'axis' : 'gridline'} x1={28} x2={28 + side} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
          <text x={22} y={y(v) + 4} textAnchor="end">{short(v)}</text>
          {v > 0 && <text x={x(v)} y={tall + 22} textAnchor={v === top ? 'end' : 'middle'}>{short(v)}</text>}
        </g>
      ))}
      <line x1={x(0)} y1={y(0)} x2={x(top)} y2={y(top)} stroke="var(--line-strong)" strokeDasharray="3 3" />
      {subject.map((b, i) => <rect key={i} x={x(b.predicted) - 3} width="6" y={y(0) - (22 * b.n) / fullest} height={(22 * b.n) / fullest} fill="var(--compare-area)" />)}
      {compare && <path className="line compare" d={linePath(compare.map((b) => ({ x: x(b.predicted), y: y(b.actual) })))} />}
      <path className="area" d={areaPath(subject.map((b) => x(b.predicted)), subject.map((b) => y(b.lo)), subject.map((b) => y(Math.min(top, b.hi))))} />
      <path className="line" d={linePath(subject.map((b) => ({ x: x(b.predicted), y: y(b.actual) })))} strokeWidth="1" />
      {subject.map((b, i) => (
        <g key={i}>
          <title>{`predicted ${percent(b.predicted)}, actual ${percent(b.actual)} (${percent(b.lo)} to ${percent(b.hi)}), n ${count(b.n)}`}</title>
          <line x1={x(b.predicted)} x2={x(b.predicted)} y1={y(Math.min(top, b.hi))} y2={y(b.lo)} stroke="var(--subject)" strokeWidth="1.5" />
          <circle cx={x(b.predicted)} cy={y(b.actual)} r="3" fill={b.n < 30 ? 'var(--surface)' : 'var(--subject)'} stroke="var(--subject)" />
        </g>
      ))}
      <text x={28 + side / 2} y={tall + 37} textAnchor="middle">predicted</text>
    </svg>
  );
}

/** Counts with their share of the row; the darker, the more. Right decisions are on the diagonal. */
export function ConfusionTable({ matrix, positive, negative }: { matrix: Confusion; positive: string; negative: string }) {
  const rows: [string, number, number][] = [
    [negative, matrix.true_negative, matrix.false_positive],
    [positive, matrix.false_negative, matrix.true_positive],
  ];
  return (
    <table className="matrix">
      <caption className="hidden">Decisions against what happened, at threshold {matrix.threshold}</caption>
      <thead>
        <tr>
          <th scope="col" style={{ border: 0 }}><span className="hidden">What happened</span></th>
          <th scope="col" style={{ border: 0, textAlign: 'center' }}>said {negative}</th>
          <th scope="col" style={{ border: 0, textAlign: 'center' }}>said {positive}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([label, no, yes]) => {
          const total = no + yes || 1;
          return (
            <tr key={label}>
              <th scope="row" style={{ border: 0, textAlign: 'right', height: 56, width: 1 }}>{label}</th>
              {[no, yes].map((v, i) => {
                const share = v / total;
                return (
                  <td key={i} style={{ border: '1px solid var(--surface)', textAlign: 'center', background: `color-mix(in srgb, var(--accent) ${Math.round(6 + share * 40)}%, var(--surface))`, lineHeight: '16px' }}>
                    <span className="strong">{count(v)}</span>
                    <br />
                    <span className="tiny" style={{ color: 'var(--ink)' }}>{percent(share, 0)} of {label}</span>
                  </td>
                );
              })}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
