// The load certificate of a version: how far what serves it agrees with the original, and what serves it and why.
import type { Agreement, Certificate } from '../api/serving';
import type { VersionDetail } from '../api/types';
import { bytes, count, plural } from '../format/number';
import { engineName, scientific } from '../format/serving';
import { Panel } from '../parts/page';
import { WallAgo } from '../parts/project';
import { Status } from '../parts/status';
import { Table } from '../parts/table';

const words: Record<string, { state: string; word: string }> = {
  holds: { state: 'pass', word: 'Holds' },
  fails: { state: 'fail', word: 'Fails' },
  unproven: { state: 'inconclusive', word: 'Unproven' },
};

const sources: Record<string, string> = { golden: 'rows of the training data', example: 'the input example that came with it', generated: 'rows made up from the signature' };

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

/** The verdict in a sentence, from the engine that serves. */
export function verdict(c: Certificate): string {
  const serving = c.engines?.find((a) => a.serves);
  if (c.state === 'unproven' || !serving) return sentence(c.note || 'there is nothing to compare with');
  if (serving.error) return `${engineName(serving.engine)}: ${serving.error}`;
  const flips = serving.flips === 0 ? 'no decision is another' : `${plural(serving.flips, 'decision')} of ${count(c.rows)} ${serving.flips === 1 ? 'is' : 'are'} another`;
  return `${engineName(serving.engine)} differs from ${c.reference.startsWith('the ') ? c.reference : engineName(c.reference)} by at most ${scientific(serving.max_rel)}, and ${flips}.`;
}

export function CertificatePanel({ version: v, className }: { version: VersionDetail; className?: string }) {
  const c = v.certificate;
  const how = v.serving;
  if (!c && !how) return null;
  const look = words[c?.state ?? ''];
  return (
    <Panel
      className={className} title="Load certificate" tools={c && <Status state={c.forced ? 'forced' : (look?.state ?? 'waiting')}>{c.forced ? `${look?.word ?? c.state}, forced` : (look?.word ?? c.state)}</Status>}
      foot={c && <><span>{sources[c.source] ? `n ${count(c.rows)}, ${sources[c.source]}` : `n ${count(c.rows)}`}; tolerated {scientific(c.tolerance)}, relative above one</span><span className="push"><WallAgo at={c.at} /></span></>}
    >
      {c && <p className="body second">{verdict(c)}</p>}
      {c?.forced && <p className="body warn">Forced by {c.forced.actor}: {c.forced.reason}</p>}
      {c?.engines?.length ? (
        <div style={{ borderTop: '1px solid var(--line)' }}>
          <Table
            label="Engines compared" density="dense" rows={c.engines} keyOf={(a) => a.engine}
            columns={[
              { key: 'engine', head: 'Engine', cell: (a: Agreement) => <span className={a.serves ? 'strong' : ''}>{engineName(a.engine)}{a.serves && <span className="third"> serves</span>}</span> },
              { key: 'max', head: 'Max. diff.', right: true, cell: (a) => <span title={a.max_abs !== undefined ? `absolute ${scientific(a.max_abs)}, in row ${a.worst_row + 1}` : undefined}>{scientific(a.max_rel)}</span> },
              { key: 'flips', head: 'Flips', right: true, cell: (a) => (a.error || a.max_rel === undefined ? '–' : count(a.flips)) },
              { key: 'holds', head: 'Verdict', cell: (a) => (a.error ? <span className="third" title={a.error}>not compared</span> : a.max_rel === undefined ? <span className="third">is the original</span> : <Status state={a.holds ? 'pass' : 'fail'}>{a.holds ? 'Holds' : 'Fails'}</Status>) },
            ]}
          />
        </div>
      ) : null}
      <dl className="body" style={{ display: 'grid', gridTemplateColumns: '72px minmax(0, 1fr)', gap: '4px 12px', borderTop: '1px solid var(--line)', paddingTop: 12 }}>
        <dt className="third">Served by</dt><dd>{engineName(how?.engine ?? c?.engines?.find((a) => a.serves)?.engine ?? 'native')}</dd>
        <dt className="third">Why</dt><dd>{how?.reason ?? 'it was trained here: recipe and model are computed in the server'}</dd>
        <dt className="third">Format</dt><dd>{v.format}{how?.kind && how.kind !== v.format ? `, opened as ${how.kind}` : ''}</dd>
        {how?.path && <><dt className="third">File</dt><dd className="mono" style={{ overflowWrap: 'anywhere' }}>{how.path}</dd></>}
        {how?.memory_bytes ? <><dt className="third">Memory</dt><dd>{bytes(how.memory_bytes)}</dd></> : null}
        {how?.imports?.length ? <><dt className="third">Imports</dt><dd className="mono small" style={{ overflowWrap: 'anywhere' }} title="that its pickles ask for, by reading them without loading">{how.imports.join(', ')}</dd></> : null}
      </dl>
    </Panel>
  );
}
