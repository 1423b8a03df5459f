// One row's way from what is expected of any row to what it was answered, a step per column.
import { compact, signed } from '../format/number';
import type { WaterfallStep } from './contributions';
import { extent, linear, niceDomain, ticks } from './scale';

interface WaterfallProps {
  name: string;
  width: number;
  expected: number;
  steps: WaterfallStep[];
  value: (index: number) => string; // of the column that a step is of
  unit: string;
}

const line = 28;

export function Waterfall({ name, width, expected, steps, value, unit }: WaterfallProps) {
  const left = Math.min(240, Math.max(110, width * 0.36));
  const margin = steps[steps.length - 1]?.to ?? expected;
  const known = extent([expected, ...steps.flatMap((s) => [s.from, s.to])]) ?? [0, 1];
  const [lo, hi] = niceDomain(known[0], known[1], 4);
  const x = linear([lo, hi], [left + 44, width - 44]);
  const rows = steps.length + 2;
  const tall = rows * line;
  const y = (i: number) => line * i + line / 2;
  const clip = (s: string) => (s.length > left / 6.6 ? `${s.slice(0, Math.floor(left / 6.6) - 1)}…` : s);
  return (
    <svg width={width} height={tall + 36} role="img" aria-label={name}>
      {ticks(lo, hi, 4).map((v) => (
        <g key={v}>
          <line className="gridline" x1={Math.round(x(v)) + 0.5} x2={Math.round(x(v)) + 0.5} y1="0" y2={tall} />
          <text x={x(v)} y={tall + 16} textAnchor="middle">{compact(v)}</text>
        </g>
      ))}
      <text x={(left + width) / 2} y={tall + 32} textAnchor="middle">{unit}</text>
      <text className="key" x={left} y={y(0) + 4} textAnchor="end">expected of any row</text>
      <circle cx={x(expected)} cy={y(0)} r="4" fill="var(--surface)" stroke="var(--compare)" strokeWidth="1.5" />
      <text x={x(expected) + 8} y={y(0) + 4}>{compact(expected)}</text>
      {steps.map((s, i) => {
        const [a, b] = [x(Math.min(s.from, s.to)), x(Math.max(s.from, s.to))];
        const text = s.index === undefined ? s.name : `${s.name} = ${value(s.index)}`;
        const right = s.amount >= 0;
        return (
          <g key={s.name}>
            <title>{`${text}: ${signed(s.amount, 4)}`}</title>
            <line className="mark" x1={x(s.from)} x2={x(s.from)} y1={y(i) + 2} y2={y(i + 1) + 8} />
            <text className="key" x={left} y={y(i + 1) + 4} textAnchor="end">{clip(text)}</text>
            <rect x={a} width={Math.max(1, b - a)} y={y(i + 1) - 8} height="16" rx="1" fill={right ? 'var(--d6)' : 'var(--d2)'} />
            <text x={right ? b + 4 : a - 4} y={y(i + 1) + 4} textAnchor={right ? 'start' : 'end'}>{signed(s.amount, 3)}</text>
          </g>
        );
      })}
      <line className="mark" x1={x(margin)} x2={x(margin)} y1={y(steps.length) + 2} y2={y(steps.length + 1)} />
      <text className="key" x={left} y={y(steps.length + 1) + 4} textAnchor="end">this row</text>
      <circle cx={x(margin)} cy={y(steps.length + 1)} r="4" fill="var(--subject)" />
      <text className="subject" x={x(margin) + 8} y={y(steps.length + 1) + 4}>{compact(margin)}</text>
    </svg>
  );
}
