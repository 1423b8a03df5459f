// The arithmetic of explanations: where the dots of a beeswarm lie, which colour a value has, how a waterfall adds up.

/**
 * Offsets from the middle line that keep dots of one place apart: dots are binned along the line and stacked outwards in
 * turn, above and below; a stack that is higher than `half` is pressed together.
 */
export function swarm(places: number[], size: number, half: number): number[] {
  const bins = new Map<number, number[]>();
  places.forEach((x, i) => {
    const bin = Math.floor(x / size);
    const found = bins.get(bin);
    if (found) found.push(i);
    else bins.set(bin, [i]);
  });
  const out = new Array<number>(places.length).fill(0);
  let most = 0;
  for (const bin of bins.values()) {
    bin.forEach((i, layer) => {
      out[i] = Math.ceil(layer / 2) * (layer % 2 ? -size : size) || 0;
      most = Math.max(most, Math.abs(out[i] as number));
    });
  }
  const room = Math.max(0, half - size / 2);
  return most > room ? out.map((v) => v * (room / most) || 0) : out;
}

/**
 * Where each value stands among the others, 0 for the least and 1 for the greatest, equal values alike; undefined for a
 * missing value and for a text, which has no order. By rank, so that one far value does not make all others look the same.
 */
export function standing(values: unknown[]): (number | undefined)[] {
  const known = values.map((v) => (typeof v === 'boolean' ? Number(v) : typeof v === 'number' && Number.isFinite(v) ? v : undefined));
  const sorted = known.filter((v): v is number => v !== undefined).sort((a, b) => a - b);
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  sorted.forEach((v, i) => {
    if (!first.has(v)) first.set(v, i);
    last.set(v, i);
  });
  const distinct = first.size;
  return known.map((v) => {
    if (v === undefined) return undefined;
    if (distinct < 2) return 0.5;
    const lo = sorted[0] as number;
    const hi = sorted[sorted.length - 1] as number;
    if (v === lo) return 0;
    if (v === hi) return 1;
    return ((first.get(v) as number) + (last.get(v) as number)) / 2 / (sorted.length - 1);
  });
}

export interface WaterfallStep {
  name: string;
  index?: number; // of the contribution; none for the others together
  amount: number;
  from: number;
  to: number;
}

/** The contributions of one row as steps from `expected` to its margin: the largest first, the rest together at the end. */
export function waterfall(expected: number, names: string[], contributions: number[], most: number): WaterfallStep[] {
  const order = contributions.map((_, i) => i).sort((a, b) => Math.abs(contributions[b] as number) - Math.abs(contributions[a] as number) || a - b);
  const shown = order.length > most ? order.slice(0, most - 1) : order;
  const rest = order.slice(shown.length);
  let at = expected;
  const step = (name: string, amount: number, index?: number): WaterfallStep => {
    const from = at;
    at += amount;
    return { name, index, amount, from, to: at };
  };
  const out = shown.map((i) => step(names[i] as string, contributions[i] as number, i));
  if (rest.length) out.push(step(`${rest.length} others`, rest.reduce((sum, i) => sum + (contributions[i] as number), 0)));
  return out;
}

/** What a margin means to people, where it is not the answer itself. */
export const chance = (margin: number) => 1 / (1 + Math.exp(-margin));
