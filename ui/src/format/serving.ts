// Serving in words and numbers: who answers what share, and what a version did slot by slot.
import type { Engine } from '../api/serving';
import type { Route } from '../api/types';

export interface Share {
  version: number;
  role: string;
  share: number;
}

/** How the keys divide: the champion's part first, then the canary or the variants; together one. */
export function sharesOf(route: Route | undefined): Share[] {
  if (!route?.champion) return [];
  const others: Share[] = [
    ...(route.canary ? [{ version: route.canary, role: 'canary', share: route.canary_share ?? 0 }] : []),
    ...(route.variants ?? []).filter((v) => v.version !== route.champion).map((v) => ({ version: v.version, role: 'contender', share: v.share })),
  ];
  const left = Math.max(0, 1 - others.reduce((sum, o) => sum + o.share, 0));
  return [{ version: route.champion, role: 'champion', share: left }, ...others];
}

const engineNames: Record<string, string> = { native: 'Trimtab', onnx: 'ONNX in Go', onnxruntime: 'ONNX Runtime', python: 'Python', r: 'R' };

export const engineName = (engine: string) => engineNames[engine] ?? engine;

/** Rows a second, p99 and share of errors in each slot; null where nothing was asked. The slot under way is left out. */
export function courseOf(engine: Engine, slotSeconds: number): { rate: number[]; p99: (number | null)[]; errors: (number | null)[] } {
  const slots = (engine.course ?? []).slice(0, -1);
  return {
    rate: slots.map((s) => s.requests / (slotSeconds || 1)),
    p99: slots.map((s) => (s.requests > s.errors ? s.p99_ms : null)),
    errors: slots.map((s) => (s.requests > 0 ? s.errors / s.requests : null)),
  };
}

/** A small difference: three digits, or with its power of ten. */
export function scientific(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (power >= -3 && power < 6) return String(Number(value.toPrecision(3))).replace('-', '−');
  return `${(value / 10 ** power).toFixed(1).replace(/\.0$/, '').replace('-', '−')}e${power < 0 ? `−${-power}` : power}`;
}
