// The types of serving beyond a rollout: routes set by hand, engines and their processes, shadows, load certificates, tensors.

export interface Variant {
  version: number;
  share: number; // of the keys
}

export interface Rule {
  header: string;
  value: string; // * is any
  version: number;
}

/** A change of a route: what it leaves out stays as it is. */
export interface RouteChange {
  champion?: number;
  standby?: number;
  shadow?: number;
  shadow_share?: number;
  variants?: Variant[];
  rules?: Rule[];
  labels?: Record<string, number>; // 0 removes one
  clear?: ('standby' | 'shadow' | 'variants' | 'rules' | 'labels')[];
}

/** What a version answered in a piece of the last minutes. */
export interface Slot {
  at: string; // by the server's clock
  requests: number;
  errors: number;
  p50_ms: number;
  p99_ms: number;
}

export interface Worker {
  pid: number;
  state: string; // starting, ready, busy, stopping
  memory_bytes: number;
  requests: number;
  started_at: string;
}

/** One measure of the sandbox. */
export interface Rung {
  name: string;
  holds: boolean;
  reason?: string;
}

/** A version that a deployment has loaded, and what computes it. */
export interface Engine {
  version: number;
  roles: string[] | null;
  engine: string; // native, onnx, onnxruntime, python, r
  reason?: string;
  format?: string;
  kind?: string;
  state: string; // ready, starting, broken
  memory_bytes: number;
  workers: Worker[] | null;
  isolated: Rung[] | null;
  restarts: number;
  queued: number;
  log: string[] | null;
  since?: string;
  broken?: string;
  requests: EngineRequests;
  course: Slot[] | null;
}

/** Requests since the server started; times are means in milliseconds. */
export interface EngineRequests {
  answered: number;
  failed: number;
  rows: number;
  asked: number; // times that the engine itself was asked
  cache_hits: number;
  total_ms: number;
  queue_ms: number;
  read_ms: number;
  score_ms: number;
  write_ms: number;
  last?: string;
}

export interface EnginesView {
  items: Engine[] | null;
  slot_seconds: number;
}

/** How a shadow differs from the champion on the same rows. */
export interface ShadowStats {
  version: number;
  against: number;
  rows: number;
  errors: number;
  dropped: number;
  waiting: number;
  flips: number;
  scored: number;
  mean_difference: number;
  mean_shift: number;
  mean_shift_lo: number;
  mean_shift_hi: number;
  greatest_difference: number;
  rank_correlation: number;
  rank_correlation_lo: number;
  rank_correlation_hi: number;
  rank_rows: number;
  p50_ms: number;
  p99_ms: number;
  champion_p50_ms: number;
  champion_p99_ms: number;
  last_error?: string;
  since: string;
  disagreements: Disagreement[] | null;
}

export interface Disagreement {
  prediction_id: string;
  key: string;
  champion: number;
  shadow: number;
  label?: string;
  shadow_label?: string;
  difference: number;
}

/** How far the engines that can serve a version agree with the original. */
export interface Certificate {
  state: string; // holds, fails, unproven
  at: string;
  rows: number;
  source: string; // golden, example, generated
  reference: string;
  tolerance: number;
  note: string;
  engines: Agreement[] | null;
  forced?: { actor: string; reason: string; at: string };
}

export interface Agreement {
  engine: string;
  serves: boolean;
  holds: boolean;
  max_abs?: number;
  max_rel?: number;
  flips: number;
  worst_row: number;
  error?: string;
}

/** How a version that is not Trimtab's own is run. */
export interface Serving {
  engine: string;
  reason: string;
  kind?: string;
  path?: string;
  imports?: string[];
  memory_bytes?: number;
  examined_at: string;
}

/** An input or output of a version that takes tensors as they come. */
export interface TensorField {
  name: string;
  type: string;
  shape: number[] | null; // -1 is free
  optional?: boolean;
}
