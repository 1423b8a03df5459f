// The two arms of a rollout from rows of the inference log: counts by slot, p99 by slot, score histograms.
import type { LogRow } from '../api/types';
import { instant } from '../format/time';
import type { Series } from './arms';

export interface ArmData {
  rows: number;
  from: number;
  to: number;
  requests: Series;
  latency: Series;
  scores: { edges: number[]; champion: number[]; canary: number[]; championN: number; canaryN: number; championMean?: number; canaryMean?: number };
}

const slots = [60_000, 300_000, 900_000, 3_600_000, 3 * 3_600_000, 6 * 3_600_000, 86_400_000];

/** The q-quantile by nearest rank; null of nothing. */
export function quantile(values: number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? null;
}

export function armsOf(rows: LogRow[], bins = 40): ArmData | undefined {
  const seen = rows.map((r) => ({ at: instant(r.at) ?? 0, canary: r.arm === 'canary', score: r.scores?.at(-1), us: r.latency_us })).filter((r) => r.at > 0);
  if (seen.length === 0) return undefined;
  const from = Math.min(...seen.map((r) => r.at));
  const to = Math.max(...seen.map((r) => r.at));
  const slot = slots.find((s) => (to - from) / s <= 48) ?? 86_400_000;
  const start = Math.floor(from / slot) * slot;
  const n = Math.floor((to - start) / slot) + 1;
  const at = Array.from({ length: n }, (_, i) => start + i * slot);
  const counts = { champion: Array<number>(n).fill(0), canary: Array<number>(n).fill(0) };
  const times = { champion: Array.from({ length: n }, (): number[] => []), canary: Array.from({ length: n }, (): number[] => []) };
  const known = seen.map((r) => r.score).filter((v): v is number => v !== undefined && Number.isFinite(v));
  const shares = known.every((v) => v >= 0 && v <= 1);
  const low = shares ? 0 : Math.min(...known);
  const high = shares ? 1 : Math.max(...known, low + 1e-9);
  const scores = { champion: Array<number>(bins).fill(0), canary: Array<number>(bins).fill(0) };
  const sums = { champion: 0, canary: 0 };
  const ns = { champion: 0, canary: 0 };
  for (const r of seen) {
    const arm = r.canary ? 'canary' : 'champion';
    const i = Math.floor((r.at - start) / slot);
    counts[arm][i] = (counts[arm][i] ?? 0) + 1;
    if (r.us) times[arm][i]?.push(r.us / 1000);
    if (r.score !== undefined && Number.isFinite(r.score)) {
      const b = Math.min(bins - 1, Math.floor(((r.score - low) / (high - low)) * bins));
      scores[arm][b] = (scores[arm][b] ?? 0) + 1;
      sums[arm] += r.score;
      ns[arm]++;
    }
  }
  const share = (values: number[], total: number) => values.map((v) => (total ? v / total : 0));
  return {
    rows: seen.length, from, to,
    requests: { at, champion: counts.champion, canary: counts.canary },
    latency: { at, champion: times.champion.map((v) => quantile(v, 0.99)), canary: times.canary.map((v) => quantile(v, 0.99)) },
    scores: {
      edges: Array.from({ length: bins + 1 }, (_, i) => low + ((high - low) * i) / bins), champion: share(scores.champion, ns.champion), canary: share(scores.canary, ns.canary),
      championN: ns.champion, canaryN: ns.canary, championMean: ns.champion ? sums.champion / ns.champion : undefined, canaryMean: ns.canary ? sums.canary / ns.canary : undefined,
    },
  };
}
