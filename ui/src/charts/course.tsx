// Measures over time with what happened beside them: lines with bands, bars, limits, and one lane of marks below.
// Used for the course on Home and for the monitor; the same times fall on the same places in every one of them.
import { useState, type PointerEvent } from 'react';
import { days, moment } from '../format/time';
import { areaPath, extent, linear, linePath, nearest, niceDomain, spread, ticks, timeTicks, type Scale } from './scale';

export interface TimeLine {
  label: string;
  role: 'subject' | 'compare';
  values: (number | null)[];
  lo?: (number | null)[];
  hi?: (number | null)[];
  dashed?: boolean;
  /** Fill to zero. */
  area?: boolean;
}

export interface TimeMark {
  at: number;
  to?: number;
  kind: 'release' | 'alert' | 'refused' | 'sent_back' | 'incident' | 'promoted';
  label: string;
  subject?: boolean;
}

export interface TimePane {
  title?: string;
  height: number;
  lines: TimeLine[];
  bars?: { label: string; values: (number | null)[] };
  limits?: { value: number; label: string }[];
  /** Values the axis must hold; 0 draws the zero line heavier. */
  include?: number[];
  format: (value: number) => string;
  /** How a value reads in labels and the crosshair, when the axis is too coarse. */
  exact?: (value: number) => string;
  zeroLabel?: string;
}

interface TimeChartProps {
  name: string;
  width: number;
  windows: { from: number; to: number; n: number; complete: boolean }[]; // in order, ms
  panes: TimePane[];
  marks?: TimeMark[];
  zone: string;
  tab?: boolean; // draw the tab mark where a release began
}

const left = 44;
const markRoom = 18;

export function TimeChart({ name, width, windows, panes, marks = [], zone, tab = false }: TimeChartProps) {
  const [at, setAt] = useState<number | null>(null);
  const narrow = width < 520;
  const right = narrow ? 56 : 88;
  const inner = Math.max(80, width - left - right);
  const from = windows.map((w) => w.from);
  const to = windows.map((w) => w.to);
  const start = from[0] ?? 0;
  const end = to[to.length - 1] ?? 1;
  const x = linear([start, end], [left, left + inner]);
  const centres = windows.map((w) => x((w.from + w.to) / 2));
  const openLast = windows[windows.length - 1]?.complete === false;

  let top = tab ? 22 : 8;
  const laid = panes.map((pane) => {
    const titleRoom = pane.title ? 18 : 0;
    const y0 = top + titleRoom;
    top = y0 + pane.height + 16;
    const all = [...pane.lines.flatMap((l) => [...l.values, ...(l.lo ?? []), ...(l.hi ?? [])]), ...(pane.bars?.values ?? []), ...(pane.limits ?? []).map((l) => l.value), ...(pane.include ?? [])];
    const domain = room(extent(all) ?? [0, 1], !!pane.bars);
    const y = linear(domain, [y0 + pane.height, y0]);
    return { pane, y, y0, ticks: ticks(domain[0], domain[1], 4) };
  });
  const bottom = top - 16;
  const lane = tab ? 14 : (marks.some((m) => m.kind !== 'incident') ? 18 : 0) + (marks.some((m) => m.kind === 'alert') ? 14 : 0);
  const height = bottom + lane + markRoom;
  const months = timeTicks(start, end, zone, narrow ? 5 : 10);
  const releases = marks.filter((m) => m.kind === 'release');

  const move = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const px = event.clientX - box.left;
    setAt(px < left - 8 || px > left + inner + 8 ? null : nearest(centres, px));
  };

  return (
    <>
      <svg width={width} height={height} role="img" aria-label={name} onPointerMove={move} onPointerLeave={() => setAt(null)}>
        {marks.filter((m) => m.kind === 'incident').map((m, i) => (
          <rect key={i} className="incident" x={x(m.at)} width={Math.max(3, x(m.to ?? m.at) - x(m.at))} y={laid[0]?.y0 ?? 0} height={bottom - (laid[0]?.y0 ?? 0)} />
        ))}
        {laid.map(({ pane, y, y0, ticks: values }, k) => (
          <Pane key={k} pane={pane} y={y} y0={y0} values={values} centres={centres} inner={inner} openLast={openLast} from={from} to={to} x={x} narrow={narrow} marked={at} />
        ))}
        {releases.map((m, i) => (
          <line key={i} className="mark" x1={x(m.at)} x2={x(m.at)} y1={tab ? 14 : (laid[0]?.y0 ?? 0)} y2={bottom + (tab ? 0 : 4)} />
        ))}
        {tab ? <TabLane marks={releases} x={x} bottom={bottom} /> : <Lane marks={marks} x={x} y={bottom + 14} />}
        {!tab && <line className="axis" x1={left} x2={left + inner} y1={bottom + lane + 2} y2={bottom + lane + 2} />}
        {months.map((m, i) => (
          <text key={i} x={x(m.at)} y={height - 3}>{m.label}</text>
        ))}
        {at !== null && <line className="cross" x1={centres[at]} x2={centres[at]} y1={laid[0]?.y0 ?? 0} y2={bottom} />}
      </svg>
      {at !== null && (
        <div className="tip" style={{ top: 4, left: (centres[at] as number) > width / 2 ? undefined : (centres[at] as number) + 12, right: (centres[at] as number) > width / 2 ? width - (centres[at] as number) + 12 : undefined }}>
          <div className="strong">{windowName(from[at] as number, to[at] as number, zone)}</div>
          <dl>
            {panes.flatMap((pane, k) => [
              ...pane.lines.map((line) => (
                <Row key={`${k}${line.label}`} label={panes.length > 1 && pane.title ? `${pane.title}, ${line.label}` : line.label} value={show(pane, line.values[at])} extra={line.lo?.[at] !== null && line.lo?.[at] !== undefined ? ` (${(pane.exact ?? pane.format)(line.lo[at] as number)} to ${(pane.exact ?? pane.format)(line.hi?.[at] as number)})` : ''} />
              )),
              ...(pane.bars ? [<Row key={`${k}bars`} label={pane.bars.label} value={show(pane, pane.bars.values[at])} />] : []),
            ])}
            <Row label="n" value={(windows[at]?.n ?? 0).toLocaleString('en-US')} />
          </dl>
          {marks.filter((m) => m.at >= (from[at] as number) && m.at < (to[at] as number)).map((m, i) => <div key={i} className="second">{told(m)}</div>)}
          {windows[at]?.complete === false && <div className="third">window not complete</div>}
        </div>
      )}
    </>
  );
}

/** A little air around the values; bars keep their foot on zero. */
function room([lo, hi]: [number, number], bars: boolean): [number, number] {
  if (lo === hi) return niceDomain(lo, hi);
  const air = (hi - lo) * 0.05;
  return [bars && lo >= 0 ? 0 : lo - air, hi + air];
}

function windowName(from: number, to: number, zone: string): string {
  return to - from < 36 * 3_600_000 ? moment(from, zone) : days(from, to - 1, zone);
}

const show = (pane: TimePane, v: number | null | undefined) => (v === null || v === undefined ? '–' : (pane.exact ?? pane.format)(v));

function Row({ label, value, extra = '' }: { label: string; value: string; extra?: string }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>
        {value}
        <span className="third">{extra}</span>
      </dd>
    </>
  );
}

interface PaneProps {
  pane: TimePane;
  y: Scale;
  y0: number;
  values: number[];
  centres: number[];
  inner: number;
  openLast: boolean;
  from: number[];
  to: number[];
  x: Scale;
  narrow: boolean;
  marked: number | null;
}

function Pane({ pane, y, y0, values, centres, inner, openLast, from, to, x, narrow, marked }: PaneProps) {
  const last = centres.length - 1;
  const px = (v: number | null) => (v === null ? null : y(v));
  const ends = pane.lines.map((line) => line.values[last]).map((v) => (v === null || v === undefined ? undefined : y(v)));
  const barEnd = pane.bars?.values[last];
  const wanted = [...ends.map((e) => e ?? y0), ...(barEnd !== undefined && barEnd !== null ? [y(barEnd)] : [])];
  const places = spread(wanted, 15, y0 + 2, y0 + pane.height + 12);
  const ordered = [...pane.lines.entries()].sort(([, a], [, b]) => (a.role === b.role ? 0 : a.role === 'compare' ? -1 : 1));
  return (
    <g>
      {pane.title && <text className="key" x={left} y={y0 - 8}>{pane.title}</text>}
      {values.map((v) => (
        <g key={v}>
          <line className={v === 0 && pane.zeroLabel ? 'zero' : 'gridline'} x1={left} x2={left + inner} y1={Math.round(y(v)) + 0.5} y2={Math.round(y(v)) + 0.5} />
          <text x={left - 8} y={y(v) + 4} textAnchor="end" className={v === 0 && pane.zeroLabel ? 'key' : undefined}>{pane.format(v)}</text>
        </g>
      ))}
      {pane.bars?.values.map((v, i) =>
        v === null ? null : <rect key={i} className="bar compare" x={x(from[i] as number) + 1} width={Math.max(1, x(to[i] as number) - x(from[i] as number) - 2)} y={y(v)} height={Math.max(0, y(Math.max(0, y.domain[0])) - y(v))} />,
      )}
      {pane.limits?.map((limit) => (
        <g key={limit.label}>
          <line className="limit" x1={left} x2={left + inner} y1={y(limit.value)} y2={y(limit.value)} />
          <text className="bad" x={left + 4} y={y(limit.value) + 13}>{limit.label}</text>
        </g>
      ))}
      {ordered.map(([k, line]) => {
        const points = line.values.map((v, i) => ({ x: centres[i] as number, y: px(v) }));
        const whole = openLast ? points.slice(0, -1) : points;
        const tail = openLast ? points.slice(-2) : [];
        const className = `line ${line.role === 'compare' ? 'compare' : ''} ${line.dashed ? 'dashed' : ''}`;
        return (
          <g key={k}>
            {line.lo && line.hi && <path className={`area ${line.role}`} d={areaPath(centres, line.lo.map((v) => px(v ?? null)), line.hi.map((v) => px(v ?? null)))} />}
            {line.area && <path className="area" d={areaPath(centres, line.values.map((v) => (v === null ? null : y(0))), line.values.map((v) => px(v)))} />}
            <path className={className} d={linePath(whole)} />
            {tail.length > 0 && <path className={`${className} dashed`} d={linePath(tail)} />}
            {ends[k] !== undefined && (
              <circle cx={centres[last]} cy={ends[k]} r={line.role === 'subject' ? 3.5 : 3} fill={openLast ? 'var(--surface)' : line.role === 'subject' ? 'var(--subject)' : 'var(--compare)'} stroke={line.role === 'subject' ? 'var(--subject)' : 'var(--compare)'} strokeWidth={1.5} />
            )}
            {ends[k] !== undefined && (
              <text className={line.role} x={(centres[last] as number) + 9} y={(places[k] as number) + 4}>
                {narrow ? '' : `${line.label} `}
                {(pane.exact ?? pane.format)(line.values[last] as number)}
              </text>
            )}
            {marked !== null && px(line.values[marked] ?? null) !== null && <circle cx={centres[marked]} cy={px(line.values[marked] ?? null) as number} r={2.5} fill={line.role === 'subject' ? 'var(--subject)' : 'var(--compare)'} />}
          </g>
        );
      })}
      {barEnd !== undefined && barEnd !== null && (
        <text className="key" x={(centres[last] as number) + 9} y={(places[places.length - 1] as number) + 4}>
          {narrow ? '' : `${pane.bars?.label} `}
          {(pane.exact ?? pane.format)(barEnd)}
        </text>
      )}
      {pane.zeroLabel && !narrow && <text className="key" x={left + inner + 8} y={y(0) + 4} opacity={Math.abs(y(0) - (places[0] ?? 0)) < 14 ? 0 : 1}>{pane.zeroLabel}</text>}
    </g>
  );
}

/** Version names above and tab marks below, where the model was trimmed. */
function TabLane({ marks, x, bottom }: { marks: TimeMark[]; x: Scale; bottom: number }) {
  let lastLabel = -Infinity;
  return (
    <g>
      {marks.map((m, i) => {
        const at = x(m.at);
        const room = at - lastLabel > 22;
        if (room) lastLabel = at;
        return (
          <g key={i}>
            {room && <text className={m.subject ? 'subject' : 'key'} x={at} y={9} textAnchor="middle">{m.label}</text>}
            <path d={`M${at - 5} ${bottom + 4}h10`} stroke="var(--ink-2)" strokeWidth="2" />
            <path d={`M${at} ${bottom + 6}l2.5 6`} stroke="var(--ink-2)" strokeWidth="3" />
          </g>
        );
      })}
    </g>
  );
}

function told(m: TimeMark): string {
  if (m.kind === 'release') return `${m.label} began`;
  if (m.kind === 'refused') return `${m.label} refused by the gate`;
  if (m.kind === 'sent_back') return `${m.label} sent back by the canary`;
  if (m.kind === 'promoted') return `${m.label} promoted`;
  return `${m.kind}: ${m.label}`;
}

/** Annotations: versions with crosses for what was refused or sent back in one row, triangles for alerts in the next. */
function Lane({ marks, x, y }: { marks: TimeMark[]; x: Scale; y: number }) {
  let lastEnd = -Infinity;
  return (
    <g>
      {marks.filter((m) => m.kind !== 'incident').map((m, i) => {
        const at = x(m.at);
        if (m.kind === 'alert') {
          return (
            <g key={i}>
              <title>{told(m)}</title>
              <path d={`M${at} ${y + 5}l4.5 8h-9z`} fill="var(--warn)" />
            </g>
          );
        }
        const crossed = m.kind === 'refused' || m.kind === 'sent_back';
        const length = m.label.length * 6.4 + (crossed ? 11 : 0) + 3;
        const fits = at - lastEnd > 3;
        if (fits) lastEnd = at + length;
        if (!crossed) return fits ? <text key={i} className={m.subject ? 'subject' : 'key'} x={at + 3} y={y}>{m.label}</text> : null;
        return (
          <g key={i}>
            <title>{told(m)}</title>
            {fits && <text className={m.kind === 'sent_back' ? 'bad' : undefined} x={at + 3} y={y}>{m.label}</text>}
            <path d={`M${at + (fits ? m.label.length * 6.4 + 5 : 0)} ${y - 7}l6 6m0-6l-6 6`} stroke={m.kind === 'sent_back' ? 'var(--bad)' : 'var(--ink-3)'} strokeWidth="1.5" />
          </g>
        );
      })}
    </g>
  );
}
