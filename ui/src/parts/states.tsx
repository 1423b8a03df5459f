// What a place shows while there is nothing to show: loading in the shape of the result, empty with the command that fills it, failed with the way on.
import { useEffect, useState, type ReactNode } from 'react';
import { ApiError } from '../api/client';
import { Icon } from './icons';
import { Snippet } from './command';

/** Nothing for 150 ms, then grey bones in rows. */
export function Loading({ rows = 5, height = 32, label = 'Loading' }: { rows?: number; height?: number; label?: string }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status" aria-label={label} style={{ minHeight: rows * height }}>
      {late &&
        Array.from({ length: rows }, (_, i) => (
          <div key={i} style={{ height, display: 'flex', alignItems: 'center', gap: 16, padding: '0 16px' }}>
            <div className="bone" style={{ height: 12, width: `${18 + ((i * 7) % 12)}%` }} />
            <div className="bone" style={{ height: 12, width: `${34 - ((i * 5) % 14)}%` }} />
            <div className="bone" style={{ height: 12, width: '8%', marginLeft: 'auto' }} />
          </div>
        ))}
    </div>
  );
}

export function Empty({ title, children, command }: { title: string; children?: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children && <p className="second">{children}</p>}
      {command && <Snippet text={command} />}
    </div>
  );
}

export function Failure({ error, what, retry }: { error: Error; what: string; retry?: () => void }) {
  const problem = error instanceof ApiError ? error.problem : undefined;
  const code = problem?.code ?? (problem ? `http ${problem.status}` : 'client');
  const place = problem?.position;
  return (
    <div className="empty failure" role="alert">
      <h2 className="row">
        <span className="bad"><Icon name="failed" /></span>
        {what}
      </h2>
      <p className="second">{error.message}</p>
      {problem?.hint && (
        <p>
          <span className="third">hint:</span> {problem.hint}
        </p>
      )}
      <p className="row tiny third wrap">
        <span className="mono">{code}</span>
        {place?.line ? <span className="mono">{`${place.file ?? ''}:${place.line}${place.column ? `:${place.column}` : ''}`}</span> : null}
        {problem?.request_id && <span className="mono">request {problem.request_id}</span>}
      </p>
      {retry && (
        <button type="button" className="btn small" onClick={retry}>
          <Icon name="refresh" /> Try again
        </button>
      )}
    </div>
  );
}

interface Readable {
  isPending: boolean;
  error: Error | null;
  refetch: () => unknown;
}

/** The three states of one read, then what it is for. */
export function Await({ of, what, rows, children }: { of: Readable; what: string; rows?: number; children: ReactNode }) {
  if (of.error) return <Failure error={of.error} what={`${what} cannot be shown`} retry={() => void of.refetch()} />;
  if (of.isPending) return <Loading rows={rows} label={`Loading ${what.toLowerCase()}`} />;
  return <>{children}</>;
}

export function Progress({ value, label }: { value: number | undefined; label: string }) {
  if (value === undefined || !Number.isFinite(value)) {
    return (
      <div className="progress open" role="progressbar" aria-label={label}>
        <i />
      </div>
    );
  }
  const share = Math.max(0, Math.min(1, value));
  return (
    <div className="progress" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
      <i style={{ width: `${share * 100}%` }} />
    </div>
  );
}
