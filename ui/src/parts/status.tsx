// A state is a shape, a word and a colour, in that order of importance.
import type { ReactNode } from 'react';
import { Link } from '@tanstack/react-router';
import { Icon, type IconName } from './icons';

export type Tone = 'ok' | 'warn' | 'bad' | 'acc' | 'none';

interface Look {
  icon: IconName;
  tone: Tone;
  word: string;
}

const looks: Record<string, Look> = {
  // checks and gates
  pass: { icon: 'pass', tone: 'ok', word: 'Pass' },
  passed: { icon: 'pass', tone: 'ok', word: 'Passed' },
  fail: { icon: 'failed', tone: 'bad', word: 'Fail' },
  inconclusive: { icon: 'undecided', tone: 'warn', word: 'Not yet' },
  skipped: { icon: 'waiting', tone: 'none', word: 'Skipped' },
  forced: { icon: 'attention', tone: 'warn', word: 'Forced' },
  // verdicts
  ok: { icon: 'pass', tone: 'ok', word: 'On course' },
  attention: { icon: 'attention', tone: 'warn', word: 'Attention' },
  off: { icon: 'attention', tone: 'warn', word: 'Off course' },
  // runs and jobs
  running: { icon: 'running', tone: 'acc', word: 'Running' },
  waiting: { icon: 'waiting', tone: 'none', word: 'Waiting' },
  done: { icon: 'pass', tone: 'ok', word: 'Done' },
  finished: { icon: 'pass', tone: 'ok', word: 'Finished' },
  failed: { icon: 'failed', tone: 'bad', word: 'Failed' },
  canceled: { icon: 'close', tone: 'none', word: 'Canceled' },
  killed: { icon: 'close', tone: 'none', word: 'Stopped' },
  // versions
  champion: { icon: 'pass', tone: 'ok', word: 'Champion' },
  candidate: { icon: 'running', tone: 'acc', word: 'Candidate' },
  retired: { icon: 'waiting', tone: 'none', word: 'Retired' },
  registered: { icon: 'waiting', tone: 'none', word: 'Registered' },
  refused: { icon: 'failed', tone: 'bad', word: 'Refused' },
  sent_back: { icon: 'back', tone: 'bad', word: 'Sent back' },
  // rollouts and deployments
  promoted: { icon: 'pass', tone: 'ok', word: 'Promoted' },
  aborted: { icon: 'back', tone: 'bad', word: 'Sent back' },
  paused: { icon: 'pause', tone: 'warn', word: 'Paused' },
  held: { icon: 'undecided', tone: 'warn', word: 'Held' },
  canary: { icon: 'running', tone: 'acc', word: 'Canary' },
  live: { icon: 'pass', tone: 'ok', word: 'Live' },
  ready: { icon: 'pass', tone: 'ok', word: 'Live' },
  empty: { icon: 'waiting', tone: 'none', word: 'No version yet' },
  // alerts
  firing: { icon: 'attention', tone: 'warn', word: 'Firing' },
  resolved: { icon: 'pass', tone: 'ok', word: 'Resolved' },
};

export function lookOf(state: string | undefined): Look {
  const known = looks[state ?? ''];
  if (known) return known;
  const word = (state ?? 'unknown').replace(/_/g, ' ');
  return { icon: 'waiting', tone: 'none', word: word.charAt(0).toUpperCase() + word.slice(1) };
}

interface StatusProps {
  state: string | undefined;
  children?: ReactNode;
  tone?: Tone;
}

const toneClass = (tone: Tone) => (tone === 'none' ? 'second' : tone);

export function Status({ state, children, tone }: StatusProps) {
  const look = lookOf(state);
  return (
    <span className={`status ${toneClass(tone ?? look.tone)}`}>
      <Icon name={look.icon} />
      {children ?? look.word}
    </span>
  );
}

export function Chip({ state, children, tone }: StatusProps) {
  const look = lookOf(state);
  const colour = tone ?? look.tone;
  return (
    <span className={`chip ${colour === 'none' ? '' : colour}`}>
      <Icon name={look.icon} />
      {children ?? look.word}
    </span>
  );
}

export function VersionTag({ version, subject = false, model }: { version: number | undefined; subject?: boolean; model?: string }) {
  if (!version) return <span className="third">none</span>;
  const className = `version ${subject ? 'subject' : ''}`;
  if (!model) return <span className={className}>v{version}</span>;
  return (
    <Link className={className} to="/models/$model/$version/$tab" params={{ model, version: String(version), tab: 'evaluation' }}>
      v{version}
    </Link>
  );
}

/** Text with its version marks ("v10") set as tags, as events and verdicts write them. */
export function Told({ text, subject, model }: { text: string; subject?: number; model?: string }) {
  const pieces = text.split(/\b(v\d+)\b/);
  return (
    <>
      {pieces.map((piece, i) =>
        /^v\d+$/.test(piece) ? <VersionTag key={i} version={Number(piece.slice(1))} subject={Number(piece.slice(1)) === subject} model={model} /> : piece,
      )}
    </>
  );
}
