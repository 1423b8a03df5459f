// A metric that each run logged once: not a curve but one value a run, each a dot on one common scale.
import { num, type Curve } from '../api/tracking';
import { compact } from '../format/number';
import { hue } from './hue';

export function Singles({ name, curves, nameOf, indexOf }: { name: string; curves: Curve[]; nameOf: (run: string) => string; indexOf: (run: string) => number }) {
  const values = curves.map((c) => num(c.y[0])).filter((v) => Number.isFinite(v));
  const low = Math.min(...values);
  const high = Math.max(...values);
  return (
    <ul className="singles" tabIndex={0} aria-label={name}>
      {curves.map((c) => {
        const v = num(c.y[0]);
        return (
          <li key={c.run}>
            <span className="clip">{nameOf(c.run)}</span>
            <span className="track" aria-hidden="true">{Number.isFinite(v) && <i style={{ left: `${high > low ? ((v - low) / (high - low)) * 100 : 50}%`, background: `var(${hue(indexOf(c.run)).token})` }} />}</span>
            <b>{Number.isFinite(v) ? compact(v, 5) : String(c.y[0])}</b>
          </li>
        );
      })}
    </ul>
  );
}
