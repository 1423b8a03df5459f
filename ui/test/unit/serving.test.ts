import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { bodyOf, inferPath, parseBody, saidOf, tensorBody } from '../../src/api/oip';
import type { Engine } from '../../src/api/serving';
import type { SignatureInput } from '../../src/api/types';
import { courseOf, engineName, scientific, sharesOf } from '../../src/format/serving';
import { languages, lines, program, python } from '../../src/parts/code';

const inputs = (
  [['dest', 'string'], ['temp', 'double'], ['stops', 'long'], ['night', 'boolean'], ['at', 'datetime']] as const
).map(([name, kind]): SignatureInput => ({ name, kind, role: 'feature', nullable: true }));

test('a row becomes tensors of the types of the signature, and what is missing is left out', () => {
  expect(bodyOf(inputs, { dest: 'LAX', temp: 1.5, stops: 2, night: true, at: '2013-04-01T12:00:00.000Z' })).toEqual({
    inputs: [
      { name: 'dest', shape: [1], datatype: 'BYTES', data: ['LAX'] }, { name: 'temp', shape: [1], datatype: 'FP64', data: [1.5] }, { name: 'stops', shape: [1], datatype: 'INT64', data: [2] },
      { name: 'night', shape: [1], datatype: 'BOOL', data: [true] }, { name: 'at', shape: [1], datatype: 'BYTES', data: ['2013-04-01T12:00:00.000Z'] },
    ],
  });
  expect(bodyOf(inputs, { temp: 0 }, 'u7')).toEqual({ inputs: [{ name: 'temp', shape: [1], datatype: 'FP64', data: [0] }], parameters: { key: 'u7' } });
});

test('tensors begin as zeros of their shape, one row where it is free', () => {
  expect(tensorBody([{ name: 'a', type: 'FP32', shape: [-1, 3] }, { name: 't', type: 'BYTES', shape: [2] }, { name: 'o', type: 'FP32', shape: [1], optional: true }, { name: 's', type: 'BOOL', shape: null }])).toEqual({
    inputs: [
      { name: 'a', shape: [1, 3], datatype: 'FP32', data: [0, 0, 0] }, { name: 't', shape: [2], datatype: 'BYTES', data: ['', ''] }, { name: 's', shape: [1], datatype: 'BOOL', data: [false] },
    ],
  });
});

test('what is typed is checked before it is sent', () => {
  const body = tensorBody([{ name: 'a', type: 'FP32', shape: [2] }]);
  expect(parseBody(lines(body)).body).toEqual(body);
  expect(parseBody('{').wrong).toBeTruthy();
  for (const text of ['null', '{}', '{"inputs": []}']) expect(parseBody(text).wrong).toMatch(/needs "inputs"/);
  expect(parseBody('{"inputs": [{"name": "a", "shape": [1]}]}').wrong).toBe('the input "a" lacks one of name, shape, datatype and data');
  expect(parseBody('{"inputs": [7]}').wrong).toMatch(/the input 1 lacks/);
});

test('an answer is read by the names of its outputs', () => {
  const said = saidOf({
    model_name: 'm', model_version: '1',
    outputs: [
      { name: 'probabilities', shape: [1, 2], datatype: 'FP64', data: [0.25, 0.75] }, { name: 'label', shape: [1], datatype: 'BYTES', data: ['late'] },
      { name: 'prediction_id', shape: [1], datatype: 'BYTES', data: ['01a2'] }, { name: 'version', shape: [1], datatype: 'INT64', data: [2] }, { name: 'arm', shape: [1], datatype: 'BYTES', data: ['canary'] },
    ],
  });
  expect(said).toEqual({ version: 2, arm: 'canary', id: '01a2', label: 'late', probabilities: [0.25, 0.75], value: undefined });
  expect(saidOf({ model_name: 'm', model_version: '3', outputs: [{ name: 'variable', shape: [1, 1], datatype: 'FP64', data: [5] }] })).toMatchObject({ version: 3, value: 5 });
  expect(inferPath('a b')).toBe('/v2/models/a%20b/infer');
  expect(inferPath('m', 2)).toBe('/v2/models/m/versions/2/infer');
});

test('keys divide: the champion has what is left', () => {
  expect(sharesOf({ champion: 0 })).toEqual([]);
  expect(sharesOf({ champion: 1 })).toEqual([{ version: 1, role: 'champion', share: 1 }]);
  expect(sharesOf({ champion: 1, canary: 2, canary_share: 0.25 })).toEqual([{ version: 1, role: 'champion', share: 0.75 }, { version: 2, role: 'canary', share: 0.25 }]);
  // a variant that is the champion itself takes nothing from it
  expect(sharesOf({ champion: 1, variants: [{ version: 1, share: 0.5 }, { version: 3, share: 0.5 }] })).toEqual([{ version: 1, role: 'champion', share: 0.5 }, { version: 3, role: 'contender', share: 0.5 }]);
});

test('the course leaves out the slot under way, and says nothing where nothing was asked', () => {
  const slot = (requests: number, errors: number, p99_ms: number) => ({ at: '2026-01-01T00:00:00Z', requests, errors, p50_ms: 0, p99_ms });
  const course = courseOf({ course: [slot(0, 0, 0), slot(40, 10, 2), slot(5, 5, 0), slot(7, 0, 1)] } as unknown as Engine, 20);
  expect(course).toEqual({ rate: [0, 2, 0.25], p99: [null, 2, null], errors: [null, 0.25, 1] });
});

test('engines and small differences in words', () => {
  expect(engineName('onnxruntime')).toBe('ONNX Runtime');
  expect(engineName('new')).toBe('new');
  expect([scientific(undefined), scientific(0), scientific(1e-5), scientific(-2.34e-7), scientific(0.01234), scientific(120)]).toEqual(['–', '0', '1e−5', '−2.3e−7', '0.0123', '120']);
});

// Texts that a shell, Python, Go and Java each read in their own way.
const nasty = { inputs: [{ name: 't', shape: [4], datatype: 'BYTES', data: ["it's", 'a "quoted" `tick`', 'back\\slash \\u0041 """', 'ü\n☃'] }, { name: 'b', shape: [2], datatype: 'BOOL', data: [true, null] }] };
const plain = { inputs: [{ name: 'x', shape: [1], datatype: 'FP64', data: [1] }] };

test('every language gets a whole program with the address and the body', () => {
  for (const language of languages) {
    const text = program(language, 'http://h:1/v2/models/m/infer', plain);
    expect(text).toContain('http://h:1/v2/models/m/infer');
    expect(text).toMatch(/application\/json/);
  }
  expect(program('curl', 'http://h/v2', plain)).toBe(`curl -s http://h/v2 \\\n  -H 'content-type: application/json' \\\n  -d '{\n  "inputs": [\n    {"name":"x","shape":[1],"datatype":"FP64","data":[1]}\n  ]\n}'`);
});

test('the shell gives curl the body as it is', () => {
  const text = program('curl', 'http://h/v2', nasty).replace(/^curl -s \S+ \\\n {2}-H '[^']*' \\\n {2}-d /, "printf '%s' ");
  expect(JSON.parse(execFileSync('sh', ['-c', text], { encoding: 'utf8' }))).toEqual(nasty);
});

test('Python has the body as a literal', () => {
  expect(python({ a: [true, false, null, 1.5, 'x'] })).toBe('{"a": [True, False, None, 1.5, "x"]}');
  expect(program('Python', 'http://h/v2', nasty)).toContain('"datatype": "BOOL", "data": [True, None]}');
});

test('Go and Java have the body as text', () => {
  expect(program('Go', 'http://h/v2', plain)).toContain('const body = `{');
  const go = /const body = (".*")\n/.exec(program('Go', 'http://h/v2', nasty))?.[1] ?? '""';
  expect(JSON.parse(JSON.parse(go) as string)).toEqual(nasty); // an interpreted string of Go with JSON's escapes alone
  const java = (/BODY = """\n([\s\S]*?)\n {8}""";/.exec(program('Java', 'http://h/v2', nasty))?.[1] ?? '').split('\n').map((l) => l.slice(8)).join('\n');
  expect(JSON.parse(java.replace(/\\(.)/g, '$1'))).toEqual(nasty); // a text block takes its escapes away
});
