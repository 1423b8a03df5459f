// How the keys divide, as a bar: the champion, then whoever is tried beside it.
import { percent } from '../format/number';
import type { Share } from '../format/serving';

export function SplitBar({ shares }: { shares: Share[] }) {
  return (
    <div className="split" role="img" aria-label={shares.map((s) => `${s.role} v${s.version} ${percent(s.share, 1)}`).join(', ')}>
      {shares.map((s, i) => (
        <div key={s.version} className={i > 0 || shares.length === 1 ? 'subject' : ''} style={{ flexGrow: Math.max(i === 0 ? 0.02 : 0.2, s.share), flexBasis: 0 }}>
          <span className="mono">v{s.version}</span> {s.role} <b>{percent(s.share, 1)}</b>
        </div>
      ))}
    </div>
  );
}
