// Versions side by side over the last minutes: one line each, told apart by colour, dash and label.
import { compact } from '../format/number';
import { extent, linear, linePath, niceDomain, spread, ticks } from './scale';
import { hue } from './hue';

export interface VersionLine {
  label: string;
  values: (number | null)[];
}

interface VersionLinesProps {
  name: string;
  width: number;
  lines: VersionLine[]; // in the order of their colours
  minutes: number; // that the slots span
  height?: number;
  /** The axis holds at least this. */
  top?: number;
}

/** A dash for each after the first, so that the lines differ without their colours. */
const dash = ['', '6 3', '2 2', '8 3 2 3', '1 3'];

export function VersionLines({ name, width, lines, minutes, height = 150, top = 0 }: VersionLinesProps) {
  const n = lines[0]?.values.length ?? 0;
  const right = 34;
  const x = linear([0, Math.max(1, n - 1)], [36, width - right]);
  const high = niceDomain(0, Math.max(extent(lines.flatMap((l) => l.values))?.[1] ?? 0, top) || 1, 3)[1];
  const y = linear([0, high], [height - 20, 10]);
  const ends = lines.map((l, i) => ({ i, label: l.label, at: l.values.findLastIndex((v) => v !== null) })).filter((e) => e.at >= 0);
  const places = spread(ends.map((e) => y(lines[e.i]?.values[e.at] ?? 0)), 12, 10, height - 20);
  const whole = Math.floor(minutes);
  return (
    <svg width={width} height={height} role="img" aria-label={name}>
      {ticks(0, high, 3).map((v) => (
        <g key={v}>
          <line className={v === 0 ? 'axis' : 'gridline'} x1="36" x2={width - right} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
          <text x="30" y={y(v) + 4} textAnchor="end">{compact(v)}</text>
        </g>
      ))}
      {Array.from({ length: whole + 1 }, (_, m) => m).filter((m) => m % 2 === 0).map((m) => (
        <text key={m} x={x((n - 1) * (1 - m / minutes))} y={height - 3} textAnchor="middle">{m === 0 ? 'now' : `−${m} min`}</text>
      ))}
      {ends.length === 0 && <text x={(36 + width - right) / 2} y={height / 2} textAnchor="middle">nothing was asked</text>}
      {lines.map((l, i) => {
        const style = { fill: 'none', stroke: `var(${hue(i).token})`, strokeWidth: i === 0 ? 1.75 : 1.5, strokeDasharray: dash[i % dash.length], strokeLinejoin: 'round' as const };
        const lone = l.values.map((v, k) => (v !== null && (l.values[k - 1] ?? null) === null && (l.values[k + 1] ?? null) === null ? k : -1)).filter((k) => k >= 0);
        return (
          <g key={l.label}>
            <path style={style} d={linePath(l.values.map((v, k) => ({ x: x(k), y: v === null ? null : y(v) })))} />
            {lone.map((k) => <circle key={k} cx={x(k)} cy={y(l.values[k] ?? 0)} r="2.5" style={{ fill: `var(${hue(i).token})` }} />)}
          </g>
        );
      })}
      {ends.map((e, k) => <text key={e.label} className="key" x={x(e.at) + 6} y={(places[k] ?? 0) + 4}>{e.label}</text>)}
    </svg>
  );
}

/** The sign of the i-th version in a legend or a table. */
export function VersionKey({ index, label }: { index: number; label: string }) {
  return (
    <span className="legend">
      <svg width="18" height="10" aria-hidden="true"><path d="M0 5h18" style={{ stroke: `var(${hue(index).token})`, strokeWidth: 2, strokeDasharray: dash[index % dash.length] }} /></svg>
      {label}
    </span>
  );
}
