// One line of what happened: a sign, a sentence with its versions as tags, and when.
import type { Event } from '../api/types';
import { Icon, type IconName } from './icons';
import { Told } from './status';

function sign(event: Event): { icon: IconName; tone: string } {
  const kind = event.kind;
  if (/abort|sent_back|rollback/.test(kind)) return { icon: 'back', tone: 'bad' };
  if (/refused/.test(kind)) return { icon: 'failed', tone: 'third' };
  if (/resolved/.test(kind)) return { icon: 'pass', tone: 'ok' };
  if (/promot|champion/.test(kind)) return { icon: 'pass', tone: 'ok' };
  if (/rollout|step|canary/.test(kind)) return { icon: 'up', tone: 'acc' };
  if (/retrain|version/.test(kind)) return { icon: 'tab', tone: 'acc' };
  if (event.level === 'bad') return { icon: 'failed', tone: 'bad' };
  if (event.level === 'attention') return { icon: 'attention', tone: 'warn' };
  if (event.level === 'good') return { icon: 'pass', tone: 'ok' };
  if (/dataset|data/.test(kind)) return { icon: 'data', tone: 'third' };
  if (/outcome/.test(kind)) return { icon: 'check', tone: 'third' };
  return { icon: 'info', tone: 'third' };
}

export function EventLine({ event, when }: { event: Event; when: string }) {
  const { icon, tone } = sign(event);
  return (
    <li>
      <span className={tone}><Icon name={icon} /></span>
      <div>
        <Told text={event.message} />
        <div className="when">{[when, event.actor].filter(Boolean).join(', ')}</div>
      </div>
    </li>
  );
}
