// The two arms of a rollout by the hour: requests stacked, latencies as lines.
import { compact } from '../format/number';
import { extent, linear, linePath, niceDomain, ticks, timeTicks } from './scale';

/** Counts or quantiles by slot of time, for both arms. */
export interface Series {
  at: number[];
  champion: (number | null)[];
  canary: (number | null)[];
}

interface ArmProps {
  name: string;
  width: number;
  series: Series;
  zone: string;
  height?: number;
}

function frame(series: Series, width: number, height: number, values: number[]) {
  const at = series.at;
  const first = at[0] ?? 0;
  const last = at[at.length - 1] ?? first;
  const slot = at.length > 1 ? (last - first) / (at.length - 1) : 3_600_000;
  const x = linear([first, last + slot], [32, width - 4]);
  const top = niceDomain(0, extent(values)?.[1] || 1, 3)[1];
  const y = linear([0, top], [height - 20, 10]);
  return { at, first, last: last + slot, slot, x, y, top };
}

function Axes({ x, y, top, first, last, width, height, zone }: ReturnType<typeof frame> & { width: number; height: number; zone: string }) {
  return (
    <>
      {ticks(0, top, 3).map((v) => (
        <g key={v}>
          <line className={v === 0 ? 'axis' : 'gridline'} x1="32" x2={width - 4} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
          <text x="26" y={y(v) + 4} textAnchor="end">{compact(v)}</text>
        </g>
      ))}
      {timeTicks(first, last, zone, Math.max(2, Math.floor(width / 90))).map((t) => <text key={t.at} x={Math.max(44, Math.min(width - 20, x(t.at)))} y={height - 3} textAnchor="middle">{t.label}</text>)}
    </>
  );
}

export function ArmBars({ name, width, series, zone, height = 150 }: ArmProps) {
  const sums = series.at.map((_, i) => (series.champion[i] ?? 0) + (series.canary[i] ?? 0));
  const f = frame(series, width, height, sums);
  const bar = Math.max(1, f.x(f.first + f.slot) - f.x(f.first) - 1);
  return (
    <svg width={width} height={height} role="img" aria-label={name}>
      <Axes {...f} width={width} height={height} zone={zone} />
      {f.at.map((t, i) => {
        const a = series.champion[i] ?? 0;
        const b = series.canary[i] ?? 0;
        return (
          <g key={i}>
            {a > 0 && <rect className="bar compare" x={f.x(t)} width={bar} y={f.y(a)} height={f.y(0) - f.y(a)} />}
            {b > 0 && <rect className="bar" x={f.x(t)} width={bar} y={f.y(a + b)} height={f.y(a) - f.y(a + b)} />}
          </g>
        );
      })}
    </svg>
  );
}

export function ArmLines({ name, width, series, zone, height = 150 }: ArmProps) {
  const f = frame(series, width, height, [...series.champion, ...series.canary].map((v) => v ?? 0));
  const path = (values: (number | null)[]) => linePath(values.map((v, i) => ({ x: f.x((f.at[i] as number) + f.slot / 2), y: v === null ? null : f.y(v) })));
  return (
    <svg width={width} height={height} role="img" aria-label={name}>
      <Axes {...f} width={width} height={height} zone={zone} />
      <path className="line compare" d={path(series.champion)} />
      <path className="line" d={path(series.canary)} />
    </svg>
  );
}
