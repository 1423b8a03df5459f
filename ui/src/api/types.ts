// The JSON of the native API (/api/v1), as its Go types write it: snake_case, times RFC 3339 in UTC.
// Optional fields are those that Go leaves out when they are zero.
import type { Certificate, Rule, Serving, ShadowStats, TensorField, Variant } from './serving';

export interface Items<T> {
  items: T[];
}

export type Kind = 'double' | 'long' | 'boolean' | 'datetime' | 'string';

// ---- project

export interface Step {
  to: string;
  requests?: number;
  hold?: string;
}

export interface File {
  project: string;
  clock?: string;
  problem?: { goal?: string; owner?: string; success?: string };
  data: Record<string, { files?: string | string[]; key?: string[]; time?: { column: string; zone?: string }; contract?: ContractCheck[]; units?: Record<string, string>; personal?: Record<string, string> }>;
  features?: Record<string, { entity: string[]; from: string; select: string[]; max_age?: string }>;
  model?: { name: string; from: string; label: unknown; inputs: string[]; train: { learner: string } };
  evaluate?: { metrics?: string[]; threshold?: number; slices?: string[]; gates?: string[] };
  deploy?: { name?: string; strategy?: string; steps?: Step[]; abort_when?: string; log?: string };
  monitor?: {
    quality?: { window: string; times?: string };
    drift?: { window: string; times?: string };
    performance?: { window: string; when: string; times?: string };
    alert?: string[];
  };
  retrain?: { when: string[]; cooldown?: string; budget?: string };
}

export interface ContractCheck {
  column?: string;
  type?: string;
  not_null?: boolean;
  between?: [number, number];
  matches?: string;
  in?: string[];
  unique?: string[];
  rows?: { at_least?: number; at_most?: number };
  fresh?: { column: string; within: string };
}

export interface Project {
  name: string;
  file: File;
  source: string; // the text of the file
  dir: string;
  hash: string; // of the canonical file
  clock: string; // wall or replay
  deployment?: string;
  now?: string; // by its clock; absent in a replay that has not begun
  created_at: string;
  applied_at: string;
}

// ---- data

export interface Field {
  name: string;
  kind: Kind;
  sql_type?: string;
  nullable?: boolean;
  zone?: string;
  unit?: string;
  personal?: string;
}

export interface DatasetVersion {
  id: string;
  project: string;
  dataset: string;
  number: number;
  rows: number;
  bytes: number;
  quarantined: number;
  parts: { blob: string; rows: number; bytes: number; kind: string; source: string }[];
  schema: Field[];
  sources?: string[];
  notes?: string[];
  quarantine_blob?: string;
  cause?: string;
  parent?: string;
  created_at: string;
  as_of: string;
}

export interface ColumnProfile {
  name: string;
  kind: Kind;
  unit?: string;
  zone?: string;
  personal?: string;
  count: number; // rows with a value
  nulls: number;
  distinct: number;
  distinct_exact: boolean;
  mean?: number;
  sd?: number;
  skewness?: number;
  quantiles?: { p: number; value: number }[]; // times are microseconds
  sample_rows?: number;
  histogram?: { edges: number[]; counts: number[]; below: number; above: number };
  top?: { value: string; count: number }[];
}

export interface DatasetProfile {
  rows: number;
  columns: ColumnProfile[];
}

export interface QuarantinedRow {
  source: string;
  line?: number; // of the file, when the row could not be parsed
  record?: number; // among the rows of the file that could be
  reason: string;
  raw?: string;
  row?: Record<string, unknown>;
}

export interface QuarantineView {
  total: number;
  reasons: { reason: string; rows: number }[] | null;
  items: QuarantinedRow[];
}

export interface DatasetDiff {
  dataset: string;
  from: number;
  to: number;
  rows_from: number;
  rows_to: number;
  quarantined: [number, number];
  added: Field[] | null; // columns
  removed: Field[] | null;
  retyped: { name: string; from: Kind; to: Kind }[] | null;
  parts_shared: number;
  parts_added: { rows: number; source: string }[] | null;
  parts_removed: { rows: number; source: string }[] | null;
  columns: ColumnDiff[] | null; // those whose values changed
}

export interface ColumnDiff {
  name: string;
  unit?: string;
  null_share_from: number;
  null_share_to: number;
  distinct_from: number;
  distinct_to: number;
  mean_from?: number;
  mean_to?: number;
  median_from?: number;
  median_to?: number;
  shift?: number; // of the mean, in standard deviations of the first version
}

// ---- runs

export interface Run {
  id: string;
  project: string;
  name: string;
  state: 'running' | 'finished' | 'failed' | 'killed';
  cause?: string;
  actor?: string;
  started_at: string;
  finished_at?: string;
  seconds: number;
  params: Record<string, string>;
  metrics: Record<string, number>;
  inputs: { dataset: string; number: number; id: string; rows: number }[];
  model?: string;
  version?: number;
  git_commit?: string;
  error?: string;
}

export interface Point {
  key: string;
  step: number;
  at: string;
  value: number;
}

// ---- models

export interface Interval {
  value: number;
  lo: number;
  hi: number;
  n: number;
}

export interface SignatureInput {
  name: string;
  kind: Kind;
  role: 'feature' | 'context';
  nullable: boolean;
  categories?: string[];
  min?: number;
  max?: number;
  unit?: string;
  view?: string;
  entity?: string[];
  time?: string;
  personal?: string;
}

export interface Signature {
  inputs: SignatureInput[];
  derived?: { name: string; expr: string; kind: Kind; from: string[] }[];
  features: string[];
  task: 'binary' | 'multiclass' | 'regression' | 'tensors';
  classes?: string[];
  label: string;
  tensor_inputs?: TensorField[]; // of a version that takes tensors as they come
  tensor_outputs?: TensorField[];
  expr?: string;
  positive?: string;
  key?: string[];
  time?: string;
  zone?: string;
}

export interface GateClause {
  expr: string;
  state: 'pass' | 'fail' | 'skipped';
  values: Record<string, number>;
  note?: string;
}

export interface Gate {
  passed: boolean;
  clauses: GateClause[];
  forced?: { actor: string; reason: string; at: string };
}

/** A number with its 95 % interval where one is known. */
export interface Measure {
  value: number;
  lo?: number;
  hi?: number;
  n: number;
}

export interface Slice {
  column: string;
  value: string;
  n: number;
  small?: boolean;
  metrics: Record<string, Measure>;
}

export interface Evaluation {
  rows: number;
  from: string;
  to: string;
  note?: string;
  threshold: number;
  metrics: Record<string, Measure>;
  roc?: { points: { threshold: number; fpr: number; tpr: number }[]; of: number; n: number; auc?: number | null };
  pr?: { points: { threshold: number; recall: number; precision: number }[]; of: number; n: number; average_precision?: number | null };
  calibration?: { bins: { lo: number; hi: number; n: number; mean_prediction: number; observed: number; interval: { lo: number; hi: number } }[]; error: number; n: number };
  confusion?: Confusion;
  decisions?: { matrix: number[][] }; // of several classes: actual x decided
  slices: Slice[];
  weak?: WeakSlices;
  fairness?: Fairness[];
  folds?: Folds;
  alarms?: { kind: string; column: string; value: number; message: string }[];
  members?: { name: string; loss: number; weight: number }[]; // of a preset, beside its baselines
  comparison?: {
    champion: number;
    n: number;
    since: string;
    challenger: Record<string, number>;
    incumbent: Record<string, number>;
    differences: Record<string, Measure>;
    delong_p?: number;
    tests?: ModelTest[];
  };
}

/** A statistical test against the champion on the same rows. */
export interface ModelTest {
  name: string;
  of: string; // the metric it is about
  difference?: number; // this version minus the champion
  lo?: number;
  hi?: number;
  p?: number;
}

/** What a search for rows with a greater loss than the rest found, costliest first. */
export interface WeakSlices {
  slices: WeakSlice[];
  found: number; // of which the costliest are listed
  tested: number;
  loss: number; // of all rows searched
  n: number;
}

export interface WeakSlice {
  conditions: { column: string; value: string }[];
  n: number;
  share: number;
  loss: number;
  rest: number;
  lo: number; // of loss - rest
  hi: number;
  effect: number;
  q: number; // corrected for all slices tested
  excess: number; // n x (loss - rest)
}

/** A cross-validation on the training rows. */
export interface Folds {
  split: string;
  count: number;
  digest: string;
  artifact: string;
  metrics: Record<string, { mean: number; sd: number; values: number[] }>;
  notes?: string[];
}

/** How groups of rows were treated; what is not defined is null. */
export interface Fairness {
  columns: string[];
  binary?: { groups: BinaryGroup[]; gaps: Gap[]; calibration: GroupSpread };
  regression?: { groups: RegressionGroup[]; prediction: GroupSpread; residual: GroupSpread; absolute: GroupSpread };
}

/** A share, k of n rows, with Wilson's interval. */
export interface Rate {
  k: number;
  n: number;
  value: number | null;
  lo: number | null;
  hi: number | null;
}

/** A mean with its normal interval. */
export interface GroupMean {
  n: number;
  value: number | null;
  lo: number | null;
  hi: number | null;
}

export interface BinaryGroup {
  name: string;
  n: number;
  share: number | null;
  small: boolean; // shown, and left out of every gap
  prevalence: Rate;
  selection: Rate; // decided positive
  true_positive: Rate;
  false_positive: Rate;
  false_negative: Rate;
  precision: Rate;
  accuracy: Rate;
  calibration_gap: GroupMean; // prediction minus label
}

export interface RegressionGroup {
  name: string;
  n: number;
  share: number | null;
  small: boolean;
  label: GroupMean;
  prediction: GroupMean;
  residual: GroupMean; // prediction minus label
  absolute: GroupMean;
}

/** How far the extreme groups are apart in a rate. */
export interface Gap {
  name: string;
  difference: number | null;
  ratio: number | null; // least over greatest
  least: string;
  greatest: string;
  lo: number | null; // of the difference
  hi: number | null;
  p: number | null; // that the rates of all the groups are equal
  groups: number; // that count
}

export interface GroupSpread {
  difference: number | null;
  least: string;
  greatest: string;
  groups: number;
}

export interface Confusion {
  threshold: number;
  true_positive: number;
  false_positive: number;
  true_negative: number;
  false_negative: number;
}

export interface AliasMove {
  id: string;
  model: string;
  alias: string;
  from: number; // 0: it named nothing
  to: number; // 0: it was taken away
  at: string;
  recorded: string;
  actor: string;
  reason: string;
}

export interface ModelVersion {
  model: string;
  version: number;
  project: string;
  digest: string;
  state: 'accepted' | 'forced' | 'refused' | 'registered';
  aliases: string[];
  cause: string;
  actor: string;
  created_at: string;
  as_of: string;
  run_id: string;
  learner: string;
  params: Record<string, unknown> | null;
  signature: Signature;
  training: { rows: number; test_rows: number; unlabeled: number; served: number; from: string; split_at: string; to: string; refit: boolean; fit_rows: number; permuted?: boolean };
  metrics: Record<string, number>;
  threshold: number;
  gate: Gate;
  importance: { feature: string; input: string; share: number }[] | null;
  datasets: { dataset: string; number: number; id: string; rows: number }[] | null;
  files: { path: string; blob: string; size: number }[] | null;
  git_commit?: string;
  built: { trimtab: string; go: string; os: string; arch: string };
  golden_rows: number;
  updated_at: string;
  description?: string;
  tags?: Record<string, string>;
  stage: string;
  format: string;
  source?: string;
  location?: string;
  run_link?: string;
  model_id?: string;
  serving?: Serving; // of a version that is not Trimtab's own
  certificate?: Certificate;
}

export interface VersionDetail extends ModelVersion {
  evaluation: Evaluation | null;
  rollouts: Rollout[] | null;
}

export interface Model {
  name: string;
  project: string;
  last_version: number;
  aliases: Record<string, number>;
  created_at: string;
  latest?: ModelVersion;
  updated_at: string;
  description?: string;
  tags?: Record<string, string>;
}

/** The part of a version's reference.json that the form reads. */
export interface ReferenceFile {
  rows: number;
  columns: { name: string; kind: Kind; center?: number; words?: string[]; counts: { cells: [number, number][] | null } }[];
}

// ---- serving

export interface Route {
  champion: number;
  canary?: number;
  canary_share?: number; // 0 to 1
  paused?: boolean;
  standby?: number; // a swap makes it champion
  variants?: Variant[]; // of an A/B test
  rules?: Rule[]; // the first that matches counts
  labels?: Record<string, number>;
  shadow?: number;
  shadow_share?: number; // of the requests
}

export interface Deployment {
  project: string;
  name: string;
  model: string;
  log_level: string;
  route: Route;
  resident: number[];
  state: string;
  created_at: string;
  updated_at: string;
  problem?: string;
  stats: DeploymentStats;
  versions: Record<string, { rollout: ServeStats; recent: ServeStats }>; // by resident version
  shadow?: ShadowStats; // not in lists
}

/** What the log of a deployment holds. */
export interface LogCounts {
  predictions: number;
  labeled: number;
  without_label: number;
  revised: number;
  pending: number;
  dropped: number;
}

export interface DeploymentStats extends LogCounts {
  failed: number; // rows that no version could answer or log, since the server started
  lost: number; // answered predictions that are not in the log
  day_requests: number; // of the project's clock
  p50_ms: number; // of the champion, over the last five minutes of wall time
  p99_ms: number;
  since: string;
}

/** What a version answered, by the server's clock. */
export interface ServeStats {
  requests: number;
  errors: number;
  error_rate: number;
  p50_ms: number;
  p99_ms: number;
}

export interface Check {
  name: string;
  champion?: number;
  canary?: number;
  difference?: Measure; // or the statistic itself, as the name says
  unit?: string;
  limit: string;
  bound: number;
  n: number;
  verdict: 'pass' | 'fail' | 'waiting' | 'inconclusive';
  note?: string;
}

export interface RolloutStep {
  share: number;
  requests?: number; // answered by the canary in this step
  hold_ns?: number;
  started_at?: string;
  ended_at?: string;
  seen: number;
}

export interface Rollout {
  id: string;
  project: string;
  deployment: string;
  model: string;
  from: number;
  to: number;
  state: 'running' | 'paused' | 'promoted' | 'aborted';
  steps: RolloutStep[] | null;
  step: number; // index of the step that holds now
  started_at: string;
  ended_at?: string;
  cause: string;
  actor: string;
  reason?: string;
  abort_when?: string;
  verdict: string;
  summary: string;
  checks: Check[] | null;
  checked_at?: string;
}

export interface LogRow {
  id: string;
  request?: string;
  key: string;
  at: string;
  received: string; // by the server's clock
  version: number;
  arm: 'champion' | 'canary' | 'contender';
  scores: number[] | null;
  champion_version?: number;
  champion_scores?: number[];
  label?: string; // the decision
  outcome: number | null;
  no_outcome?: boolean;
  outcome_known_at?: string;
  latency_us: number;
  inputs: Record<string, unknown>;
}

export interface Prediction {
  id: string;
  version: number;
  arm: string;
  score?: number; // probability of the positive class, or the value
  scores?: number[]; // of the classes
  label?: string;
  flags?: { missing?: string[]; unseen?: string[]; out_of_range?: string[] };
  explanation?: PredictExplanation; // when the request asked with explain: true
}

/** Why a row scored what it scored, in margin space; lists have one number per output. */
export interface PredictExplanation {
  unit: MarginUnit;
  expected: number[];
  margin: number[]; // expected plus all contributions
  contributions: Record<string, number[]>; // by feature
}

export interface PredictAnswer {
  predictions: Prediction[];
}

// ---- explanations, in margin space

/** What margins, expected values and contributions are measured in. */
export type MarginUnit = 'log_odds' | 'score' | 'log' | 'probability' | 'value';

/** The answer of POST …/versions/{version}/explain. */
export interface RowExplanations {
  model: string;
  version: number;
  task: string;
  outputs: string[]; // the positive class, the classes, or the label
  unit: MarginUnit;
  features: string[];
  expected: number[]; // per output
  rows: ExplainedRow[];
}

export interface ExplainedRow {
  scores: number[];
  label?: string;
  margin: number[]; // per output
  values: unknown[]; // of the features: numbers, texts or null
  contributions: number[][]; // outputs x features
}

/** What features contributed on the held-out rows of a version. */
export interface ExplanationSummary {
  rows: number; // explained
  of: number; // rows that they were drawn from
  outputs: string[];
  expected: number[]; // per output
  unit: MarginUnit;
  columns: ExplainedColumn[]; // most influential first
  sample?: ExplanationSample;
}

export interface ExplainedColumn {
  name: string;
  mean: number[]; // per output: the mean size of its contribution
  share: number;
  groups: ExplainedGroup[];
}

/** Rows whose value lies in [from, to], or is value, or is one of the others, or is missing. */
export interface ExplainedGroup {
  from?: number;
  to?: number;
  value?: string;
  other?: boolean;
  missing?: boolean;
  rows: number;
  mean: number[]; // of the contributions, per output
  low: number[]; // 10th percentile
  high: number[]; // 90th
}

export interface ExplanationSample {
  rows: number[];
  values: unknown[][]; // columns x rows, columns as above
  contributions: number[][][]; // outputs x columns x rows
}

// ---- monitoring

export type VerdictState = 'ok' | 'attention' | 'off' | 'inconclusive';

export interface Finding {
  kind: 'missing' | 'unseen' | 'out_of_range' | 'break' | 'volume';
  text: string;
  value: number;
  limit: number;
}

export interface ColumnDrift {
  name: string;
  kind: Kind;
  unit?: string;
  view?: string;
  state: 'ok' | 'watch' | 'drift' | 'off' | 'inconclusive';
  psi: number;
  ks: number;
  p: number;
  q: number;
  bar: number;
  n: number;
  n_eff: number;
  n_reference: number;
  over: boolean;
  over_in: number;
  over_of: number;
  importance?: number;
  rank: number;
  missing: number;
  reference_missing: number;
  unseen: number;
  out_of_range: number;
  mean?: number;
  reference_mean?: number;
  median?: number;
  reference_median?: number;
  findings?: Finding[];
  shift?: { value: number; floor: number; usual: number; known: number; windows: number; p_chance: number; p_natural: number };
}

/** One bar: a range of a number (from included), a word, or something that is no value. */
export interface Bar {
  from?: number;
  to?: number;
  word?: string;
  special?: string; // missing, unseen, other, infinite
  reference: number;
  current: number;
}

export interface DriftLine extends ColumnDrift {
  history: { from: string; psi: number; bar: number; over: boolean; version: number }[];
  histogram: { bars: Bar[] | null; reduced_from: number };
}

export interface DriftView {
  verdict: Verdict;
  columns: DriftLine[];
  recent?: Verdict; // the latest on sudden drift, with its columns
}

export interface Verdict {
  id: string;
  project: string;
  deployment: string;
  kind: 'quality' | 'sudden' | 'drift' | 'performance';
  baseline?: 'reference' | 'recent'; // of sudden and drift: what the window is compared with
  from: string;
  to: string;
  version: number;
  revision: number;
  made_at: string;
  state: VerdictState;
  n: number;
  rows: number;
  known: number;
  coverage: number;
  summary: string;
  metrics?: Record<string, Interval>; // "baseline." before those of the first champion
  columns?: ColumnDrift[];
  over?: boolean;
}

export interface WindowState {
  kind: Verdict['kind'];
  width: string;
  times: string;
  when?: string;
  verdict?: Verdict;
  open_from?: string;
  open_to?: string;
  rows: number;
  known: number;
}

export interface Monitor {
  project: string;
  deployment: string;
  model: string;
  state: VerdictState;
  summary: string;
  windows: WindowState[];
  alerts: Alert[];
}

export interface PerformanceView {
  when: string;
  windows: Verdict[]; // oldest first
  open: Verdict[]; // not judged yet
}

export interface Alert {
  id: string;
  project: string;
  deployment: string;
  kind: string;
  baseline?: 'reference' | 'recent';
  level?: 'alarm' | 'notice'; // a notice lasts for months and asks for nothing today
  cause?: string;
  subject: string;
  state: 'firing' | 'resolved';
  opened_at: string;
  resolved_at?: string;
  last_seen: string;
  message: string;
  link?: string;
  count: number;
  columns?: string[];
  version: number;
}

export interface Trigger {
  id: string;
  project: string;
  at: string;
  state: string;
  policy: string;
  cause: string;
  values?: Record<string, number>;
  held?: string; // the guard that held it, in words
  job_id?: string;
  version?: number;
  note?: string;
}

export interface RetrainView {
  policy?: { when: string[]; cooldown?: string; budget?: string };
  items: Trigger[];
}

// ---- platform

export interface Event {
  id: string;
  at: string;
  recorded: string;
  project: string;
  kind: string;
  subject: string;
  actor: string;
  level: 'info' | 'good' | 'attention' | 'bad';
  message: string;
  data?: Record<string, unknown>;
}

export interface Job {
  id: string;
  kind: string;
  project: string;
  key?: string;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'canceled';
  attempt: number;
  max_attempts: number;
  progress: { done: number; total: number; unit?: string; message?: string };
  cause?: string;
  error?: { code: string; message: string; hint?: string };
  created_at: string;
  started_at?: string;
  finished_at?: string;
  heartbeat?: string;
}

export interface Problem {
  status: number;
  title?: string;
  detail?: string;
  code?: string;
  hint?: string;
  position?: { file?: string; line?: number; column?: number };
  request_id?: string;
}
