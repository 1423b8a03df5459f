// Figures as the pages write them: true minus, thin grouping by commas, a space before %, fixed decimals.

const minus = '−';
const grouped = new Map<number, Intl.NumberFormat>();

function grouping(decimals: number): Intl.NumberFormat {
  let format = grouped.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    grouped.set(decimals, format);
  }
  return format;
}

export const missing = '–';

export function fixed(value: number | null | undefined, decimals = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return missing;
  const text = grouping(decimals).format(Math.abs(value));
  const zero = !/[1-9]/.test(text);
  return value < 0 && !zero ? minus + text : text;
}

export const count = (value: number | null | undefined) => fixed(value, 0);

/** A difference: always with its sign, zero without one. */
export function signed(value: number | null | undefined, decimals = 3): string {
  const text = fixed(value, decimals);
  if (text === missing || text.startsWith(minus) || !/[1-9]/.test(text)) return text;
  return '+' + text;
}

/** A share of one as per cent. */
export function percent(share: number | null | undefined, decimals?: number): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return missing;
  const p = share * 100;
  const places = decimals ?? (p !== 0 && Math.abs(p) < 10 ? 1 : 0);
  return fixed(p, places).replace(/\.0$/, '') + ' %';
}

/** Percentage points. */
export function points(share: number | null | undefined, decimals = 0): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return missing;
  return signed(share * 100, decimals) + ' pp';
}

export const range = (lo: number, hi: number, decimals = 3) => `${fixed(lo, decimals)} to ${fixed(hi, decimals)}`;
export const signedRange = (lo: number, hi: number, decimals = 3) => `${signed(lo, decimals)} to ${signed(hi, decimals)}`;

/** About `digits` significant digits, for values whose size is not known beforehand. */
export function compact(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return missing;
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return fixed(value, 0);
  if (size >= 1e9 || (size > 0 && size < 1e-4)) return value.toExponential(2).replace('-', minus);
  const decimals = Math.max(0, Math.min(6, digits - 1 - Math.floor(Math.log10(size || 1))));
  const text = fixed(value, decimals);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return missing;
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${fixed(size, unit === 0 || size >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** Names of metrics as people write them, and how many decimals they deserve. */
const metricNames: Record<string, string> = {
  auc: 'AUC',
  average_precision: 'Avg. precision',
  ks: 'KS distance',
  log_loss: 'Log loss',
  brier: 'Brier',
  calibration_error: 'Calibration error',
  calibration_gap: 'Calibration gap',
  f1: 'F1',
  precision: 'Precision',
  recall: 'Recall',
  accuracy: 'Accuracy',
  balanced_accuracy: 'Balanced accuracy',
  specificity: 'Specificity',
  mcc: 'MCC',
  prevalence: 'Actual share',
  mean_prediction: 'Mean prediction',
  f1_macro: 'Macro F1',
  f1_weighted: 'Weighted F1',
  precision_macro: 'Macro precision',
  recall_macro: 'Macro recall',
  mae: 'MAE',
  median_ae: 'Median AE',
  mape: 'MAPE',
  max_error: 'Max. error',
  rmse: 'RMSE',
  r2: 'R²',
  bias: 'Bias',
  n: 'n',
};

export function metricName(key: string): string {
  const known = metricNames[key];
  if (known) return known;
  const text = key.replace(/[_.]+/g, ' ').trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const lower = new Set(['log_loss', 'brier', 'calibration_error', 'mae', 'median_ae', 'mape', 'rmse']);
const aimZero = new Set(['calibration_gap', 'bias']);
const neutral = new Set(['n', 'prevalence', 'mean_prediction']);

/** +1 higher is better, −1 lower is better, 0 neither. */
export function direction(key: string): number {
  const name = key.replace(/^(valid|test|train)[_.]/, '');
  if (lower.has(name) || /loss|error/.test(name)) return -1;
  if (aimZero.has(name) || neutral.has(name)) return 0;
  return 1;
}

/** As direction, for metrics that anybody logs: 0 where the name does not say which way is better. */
export function better(key: string): number {
  if (/loss|error|rmse|mae\b|mse|brier|perplexity|latency|\bwer\b|\bfid\b/i.test(key)) return -1;
  return /acc|auc|f1|precision|recall|r2|score|bleu|rouge|ndcg|\bmap\b|\biou\b|dice/i.test(key) ? 1 : 0;
}

export const plural = (n: number, one: string, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;
