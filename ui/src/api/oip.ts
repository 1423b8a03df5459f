// The Open Inference Protocol as the try-it form speaks it: one row as tensors, and the tensors that come back.
import { ApiError } from './client';
import type { TensorField } from './serving';
import type { SignatureInput } from './types';

export interface Tensor {
  name: string;
  shape: number[];
  datatype: string;
  data: unknown[];
}

export interface InferRequest {
  inputs: Tensor[];
  parameters?: Record<string, string | number | boolean>;
}

export interface InferAnswer {
  model_name: string;
  model_version?: string;
  outputs: Tensor[];
}

const datatypes: Record<SignatureInput['kind'], string> = { double: 'FP64', long: 'INT64', boolean: 'BOOL', datetime: 'BYTES', string: 'BYTES' };

/** A row as a request: a tensor of one element for each input that has a value; what is left out is missing. */
export function bodyOf(inputs: SignatureInput[], row: Record<string, unknown>, key = ''): InferRequest {
  const tensors = inputs.filter((i) => row[i.name] !== undefined).map((i) => ({ name: i.name, shape: [1], datatype: datatypes[i.kind], data: [row[i.name]] }));
  return key ? { inputs: tensors, parameters: { key } } : { inputs: tensors };
}

/** A request with something in every tensor that must be there: zeros, no texts; one row where the size is free. */
export function tensorBody(fields: TensorField[]): InferRequest {
  return {
    inputs: fields.filter((f) => !f.optional).map((f) => {
      const shape = (f.shape ?? [-1]).map((size) => (size < 0 ? 1 : size));
      const size = shape.reduce((a, b) => a * b, 1);
      const cell = f.type === 'BYTES' ? '' : f.type === 'BOOL' ? false : 0;
      return { name: f.name, shape, datatype: f.type, data: Array.from({ length: Math.min(size, 4096) }, () => cell) };
    }),
  };
}

/** What is typed as tensors, or why it is none. */
export function parseBody(text: string): { body?: InferRequest; wrong?: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return { wrong: cause instanceof Error ? cause.message : 'not JSON' };
  }
  const inputs = (value as { inputs?: unknown } | null)?.inputs;
  if (!Array.isArray(inputs) || inputs.length === 0) return { wrong: 'needs "inputs": a list of tensors, each with name, shape, datatype and data' };
  for (const input of inputs as Partial<Tensor>[]) {
    if (!input || typeof input.name !== 'string' || !Array.isArray(input.shape) || typeof input.datatype !== 'string' || !Array.isArray(input.data)) {
      return { wrong: `the input ${typeof input?.name === 'string' ? `"${input.name}"` : inputs.indexOf(input) + 1} lacks one of name, shape, datatype and data` };
    }
  }
  return { body: value as InferRequest };
}

/** What an answer says of its first row. */
export interface Said {
  version?: number;
  arm?: string;
  id?: string;
  label?: string;
  probabilities?: number[];
  value?: number;
}

export function saidOf(answer: InferAnswer): Said {
  const of = (name: string) => answer.outputs.find((o) => o.name === name);
  const text = (name: string) => {
    const v = of(name)?.data[0];
    return v === undefined || v === null ? undefined : String(v);
  };
  const probabilities = of('probabilities');
  const classes = probabilities?.shape.at(-1) ?? 0;
  const variable = of('variable')?.data[0];
  const version = of('version')?.data[0] ?? answer.model_version;
  return {
    version: version === undefined ? undefined : Number(version), arm: text('arm'), id: text('prediction_id'), label: text('label'),
    probabilities: probabilities?.data.slice(0, classes).map(Number),
    value: variable === undefined ? undefined : Number(variable),
  };
}

/** The path of a deployment, or of one of its versions, as clients of the protocol ask it. */
export const inferPath = (deployment: string, version?: number) => `/v2/models/${encodeURIComponent(deployment)}${version ? `/versions/${version}` : ''}/infer`;

/** Asks, and tells how long it took from here and back, in milliseconds. */
export async function infer(deployment: string, version: number | undefined, body: InferRequest): Promise<{ answer: InferAnswer; took: number }> {
  const begun = performance.now();
  let got: Response;
  try {
    got = await fetch(inferPath(deployment, version), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  } catch {
    throw new ApiError({ status: 0, code: 'unavailable', detail: 'The server does not answer.', hint: 'Look whether it runs: trimtab doctor.' });
  }
  const answer = (await got.json().catch(() => ({}))) as Partial<InferAnswer> & { error?: string };
  const took = performance.now() - begun;
  if (!got.ok || !answer.outputs) throw new ApiError({ status: got.status, detail: answer.error ?? `The server answered ${got.status}`, request_id: got.headers.get('x-request-id') ?? undefined });
  return { answer: answer as InferAnswer, took };
}
