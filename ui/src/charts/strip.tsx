// Values of one measure as dots on a line, with their mean, a standard deviation around it, and a value to compare with.
import { extent, linear } from './scale';

export function Strip({ label, values, mean, sd, reference, width = 176, height = 24 }: { label: string; values: number[]; mean: number; sd: number; reference?: number; width?: number; height?: number }) {
  const known = extent([...values, mean - sd, mean + sd, reference]);
  if (!known) return <span className="third small">no value</span>;
  const pad = (known[1] - known[0] || 1) * 0.06;
  const x = linear([known[0] - pad, known[1] + pad], [4, width - 4]);
  const middle = height / 2;
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: 'block' }}>
      <line x1="0" x2={width} y1={middle} y2={middle} stroke="var(--grid)" />
      <rect x={x(mean - sd)} width={Math.max(1, x(mean + sd) - x(mean - sd))} y={middle - 6} height="12" fill="var(--subject-area)" />
      <line x1={x(mean)} x2={x(mean)} y1={middle - 8} y2={middle + 8} stroke="var(--subject)" strokeWidth="1.5" />
      {reference !== undefined && <line x1={x(reference)} x2={x(reference)} y1={middle - 6} y2={middle + 6} stroke="var(--compare)" strokeWidth="1.5" />}
      {values.map((v, i) => <circle key={i} cx={x(v)} cy={middle} r="3.5" fill="var(--subject)" fillOpacity=".7" stroke="var(--surface)" />)}
    </svg>
  );
}

/** A share with its interval as a bar from zero; hollow where there are too few rows to judge. */
export function RateBar({ label, value, lo, hi, most = 1, small = false, width = 120, height = 20 }: { label: string; value: number; lo?: number; hi?: number; most?: number; small?: boolean; width?: number; height?: number }) {
  const x = linear([0, most || 1], [1, width - 4]);
  const middle = height / 2;
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: 'block' }}>
      <rect x={x(0)} width={Math.max(0.5, x(value) - x(0))} y={middle - 4} height="8" fill={small ? 'none' : 'var(--subject)'} fillOpacity={small ? 1 : 0.55} stroke={small ? 'var(--ink-3)' : 'none'} />
      {lo !== undefined && hi !== undefined && <path d={`M${x(lo)} ${middle}H${x(Math.min(hi, most))}M${x(lo)} ${middle - 3.5}v7M${x(Math.min(hi, most))} ${middle - 3.5}v7`} stroke={small ? 'var(--ink-3)' : 'var(--ink)'} strokeWidth="1.3" fill="none" />}
      <line x1={x(0)} x2={x(0)} y1="1" y2={height - 1} stroke="var(--line-strong)" />
    </svg>
  );
}
