// A difference with its interval against its limit, one row of a table; rows of unlike units are each drawn on a scale of their own.
import { extent, linear } from './scale';

interface ForestProps {
  label: string;
  value?: number;
  lo?: number;
  hi?: number;
  limits?: (number | undefined)[];
  reference?: number;
  width?: number;
  height?: number;
  domain?: [number, number];
  tone?: 'ink' | 'subject';
  hollow?: boolean;
  zero?: boolean;
}

export function Forest({ label, value, lo, hi, limits = [], reference, width = 136, height = 24, domain, tone = 'ink', hollow = false, zero = true }: ForestProps) {
  const known = extent([value, lo, hi, reference, zero ? 0 : undefined, ...limits]);
  if (value === undefined || !known) return <span className="third small">no data yet</span>;
  const pad = (known[1] - known[0] || 1) * 0.06;
  const x = linear(domain ?? [known[0] - pad, known[1] + pad], [6, width - 6]);
  const clampX = (v: number) => Math.max(2, Math.min(width - 2, x(v)));
  const middle = height / 2;
  const colour = hollow ? 'var(--ink-3)' : tone === 'subject' ? 'var(--subject)' : 'var(--ink)';
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: 'block' }}>
      {zero && <line x1={clampX(0)} x2={clampX(0)} y1="2" y2={height - 2} stroke="var(--line-strong)" />}
      {limits.map((limit, i) => limit !== undefined && <line key={i} x1={clampX(limit)} x2={clampX(limit)} y1="2" y2={height - 2} stroke="var(--bad)" strokeDasharray="2 2" />)}
      {reference !== undefined && <line x1={clampX(reference)} x2={clampX(reference)} y1={middle - 6} y2={middle + 6} stroke="var(--compare)" strokeWidth="1.5" />}
      {lo !== undefined && hi !== undefined && (
        <path d={`M${clampX(lo)} ${middle}H${clampX(hi)}M${clampX(lo)} ${middle - 3.5}v7M${clampX(hi)} ${middle - 3.5}v7`} stroke={colour} strokeWidth="1.4" fill="none" />
      )}
      <circle cx={clampX(value)} cy={middle} r="4" fill={hollow ? 'var(--surface)' : colour} stroke={colour} strokeWidth="1.4" />
    </svg>
  );
}

/** A signed amount as a bar from zero: blue below, orange above. */
export function SignedBar({ value, most, label, width = 96, height = 16, invert = false }: { value: number; most: number; label: string; width?: number; height?: number; invert?: boolean }) {
  const x = linear([-most || -1, most || 1], [2, width - 2]);
  const below = invert ? value > 0 : value < 0;
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: 'block' }}>
      <rect x={Math.min(x(0), x(value))} width={Math.max(0.5, Math.abs(x(value) - x(0)))} y="3" height={height - 6} fill={below ? 'var(--d2)' : 'var(--d6)'} />
      <line x1={x(0)} x2={x(0)} y1="0" y2={height} stroke="var(--line-strong)" />
    </svg>
  );
}
