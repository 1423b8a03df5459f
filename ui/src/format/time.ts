// Times as the pages write them: "9 Dec 00:00", "26 h", "3 d ago". A zone is always given; the project decides which.

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const formats = new Map<string, Intl.DateTimeFormat>();

export interface Parts {
  year: number;
  month: number; // 0 to 11
  day: number;
  weekday: number; // Sunday 0
  hour: number;
  minute: number;
  second: number;
}

export function safeZone(zone: string | undefined): string {
  if (!zone) return 'UTC';
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return zone;
  } catch {
    return 'UTC';
  }
}

export function partsIn(time: number, zone: string): Parts {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: safeZone(zone), hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
    });
    formats.set(zone, format);
  }
  const found: Record<string, number> = {};
  for (const part of format.formatToParts(time)) if (part.type !== 'literal') found[part.type] = Number(part.value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = found;
  return { year, month: month - 1, day, weekday: new Date(Date.UTC(year, month - 1, day)).getUTCDay(), hour, minute, second };
}

/** Milliseconds since the epoch, or undefined for an absent time (Go's zero time included). */
export function instant(text: string | undefined | null): number | undefined {
  if (!text || text.startsWith('0001-01-01')) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

const two = (n: number) => String(n).padStart(2, '0');

export function day(time: number, zone: string, now?: number): string {
  const p = partsIn(time, zone);
  const year = now !== undefined && partsIn(now, zone).year !== p.year ? ` ${p.year}` : '';
  return `${p.day} ${months[p.month]}${year}`;
}

export function moment(time: number, zone: string, now?: number): string {
  const p = partsIn(time, zone);
  return `${day(time, zone, now)} ${two(p.hour)}:${two(p.minute)}`;
}

export function longMoment(time: number, zone: string): string {
  const p = partsIn(time, zone);
  return `${weekdays[p.weekday]} ${p.day} ${months[p.month]} ${p.year}, ${two(p.hour)}:${two(p.minute)}`;
}

export function clockTime(time: number, zone: string): string {
  const p = partsIn(time, zone);
  return `${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;
}

export const monthName = (time: number, zone: string) => months[partsIn(time, zone).month] ?? '';

export function days(from: number, to: number, zone: string): string {
  const a = partsIn(from, zone);
  const b = partsIn(to, zone);
  if (a.year === b.year && a.month === b.month) return a.day === b.day ? `${a.day} ${months[a.month]}` : `${a.day} to ${b.day} ${months[b.month]}`;
  return `${a.day} ${months[a.month]} to ${b.day} ${months[b.month]}`;
}

/** A length of time with at most two units: "820 ms", "2.4 s", "1 min 20 s", "26 h", "21 d". */
export function span(ms: number): string {
  const size = Math.abs(ms);
  if (size < 1_000) return `${Math.round(size)} ms`;
  if (size < 10_000) return `${(size / 1_000).toFixed(1)} s`;
  if (size < 60_000) return `${Math.round(size / 1_000)} s`;
  const minutes = Math.floor(size / 60_000);
  if (minutes < 10) {
    const rest = Math.round((size - minutes * 60_000) / 1_000);
    return rest > 0 && rest < 60 ? `${minutes} min ${rest} s` : `${minutes} min`;
  }
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

export function ago(time: number, now: number): string {
  const distance = now - time;
  if (distance < 0) return distance > -60_000 ? 'now' : `in ${span(distance)}`;
  if (distance < 5_000) return 'now';
  return `${span(distance)} ago`;
}

/** A Go duration ("36h0m0s", "1h30m") as people say it. */
export function duration(text: string | undefined): string {
  if (!text) return '';
  if (/^\d+(d|w)$/.test(text)) return text.replace(/^(\d+)(d|w)$/, (_, n: string, u: string) => `${u === 'w' ? Number(n) * 7 : n} d`);
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  let total = 0;
  let found = false;
  for (const [, n, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) {
    total += Number(n) * (units[unit as string] ?? 0);
    found = true;
  }
  return found ? span(total) : text;
}
