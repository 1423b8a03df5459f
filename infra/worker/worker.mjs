// The end of a worker in Node.js: loads one ONNX file with onnxruntime-node and answers frames on file descriptor 3.
//
// A frame is u32 length | u8 type | u64 id | u32 header length | header (JSON) | raw tensors, all little-endian. One request is
// answered after the other. It is used where there is no Python.

import { readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const HELLO = 1, LOAD = 2, READY = 3, INFER = 4, RESULT = 5, ERROR = 6, PING = 9, DRAIN = 10;

// datatype: [type of onnxruntime, array]
const types = {
  BOOL: ["bool", Uint8Array], UINT8: ["uint8", Uint8Array], UINT16: ["uint16", Uint16Array], UINT32: ["uint32", Uint32Array], UINT64: ["uint64", BigUint64Array],
  INT8: ["int8", Int8Array], INT16: ["int16", Int16Array], INT32: ["int32", Int32Array], INT64: ["int64", BigInt64Array],
  FP16: ["float16", Uint16Array], FP32: ["float32", Float32Array], FP64: ["float64", Float64Array], BYTES: ["string", null],
};
const datatypes = Object.fromEntries(Object.entries(types).map(([datatype, [type]]) => [type, datatype]));

/** take reads exactly n bytes into memory of its own; null at the end of the pipe. */
function take(n) {
  const b = Buffer.from(new ArrayBuffer(n));
  for (let at = 0; at < n; ) {
    const got = readSync(3, b, at, n - at, null);
    if (got === 0) return null;
    at += got;
  }
  return b;
}

function receive() {
  const head = take(17);
  if (head === null) return null;
  const size = head.readUInt32LE(0) - 13;
  const header = head.readUInt32LE(13);
  const body = take(size);
  if (body === null) return null;
  return { kind: head[4], id: head.readBigUInt64LE(5), header: JSON.parse(body.toString("utf8", 0, header) || "{}"), raw: body.subarray(header) };
}

function send(kind, header, parts = [], id = 0n) {
  const text = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(17);
  head.writeUInt32LE(13 + text.length + parts.reduce((n, p) => n + p.length, 0), 0);
  head[4] = kind;
  head.writeBigUInt64LE(id, 5);
  head.writeUInt32LE(text.length, 13);
  const all = Buffer.concat([head, text, ...parts]);
  for (let at = 0; at < all.length; ) at += writeSync(3, all, at);
}

function texts(raw) {
  const out = [];
  for (let at = 0; at < raw.length; ) {
    const size = raw.readUInt32LE(at);
    out.push(raw.toString("utf8", at + 4, at + 4 + size));
    at += 4 + size;
  }
  return out;
}

function packed(values) {
  const parts = [];
  for (const v of values) {
    const text = Buffer.from(v);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(text.length);
    parts.push(size, text);
  }
  return Buffer.concat(parts);
}

function decode(ort, input, raw) {
  const [type, Values] = types[input.datatype];
  if (Values === null) return new ort.Tensor("string", texts(raw), input.shape);
  const copy = new Uint8Array(raw).buffer; // aligned, whatever stands before it
  return new ort.Tensor(type, new Values(copy), input.shape);
}

function encode(name, tensor) {
  const datatype = datatypes[tensor.type];
  if (datatype === undefined) throw new Error(`the output ${name} is of ${tensor.type}`);
  const raw = datatype === "BYTES" ? packed(tensor.data) : Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  return { raw, header: { name, datatype, shape: Array.from(tensor.dims, Number), size: raw.length } };
}

function field(name, metadata, first) {
  const known = metadata?.find((m) => m.name === name && m.isTensor);
  if (known === undefined || datatypes[known.type] === undefined) return { name, shape: null };
  const shape = Array.from(known.shape, (d) => (typeof d === "number" && d >= 0 ? d : -1));
  if (first && shape.length > 0) shape[0] = -1; // converters declare one row and give as many as there are
  return { name, type: datatypes[known.type], shape };
}

async function main() {
  let ort, session;
  send(HELLO, { protocol: 1, language: "node", version: process.versions.node });
  for (;;) {
    const frame = receive();
    if (frame === null || frame.kind === DRAIN) return;
    if (frame.kind === PING) send(PING, {}, [], frame.id);
    if (frame.kind === LOAD) {
      try {
        const require = createRequire(process.env.TRIMTAB_NODE_MODULES + "/package.json");
        ort = require("onnxruntime-node");
        session = await ort.InferenceSession.create(frame.header.path, { intraOpNumThreads: 1, interOpNumThreads: 1, enableCpuMemArena: false });
        const inputs = session.inputNames.map((n) => field(n, session.inputMetadata, false));
        const outputs = session.outputNames.map((n) => field(n, session.outputMetadata, true));
        send(READY, { inputs, outputs, about: { task: "tensors" }, versions: { onnxruntime: ort.env?.versions?.node ?? "" } });
      } catch (e) {
        send(ERROR, { kind: "load", message: String(e), traceback: e.stack ?? "" });
        return;
      }
    }
    if (frame.kind === INFER) {
      try {
        const feeds = {};
        let at = 0;
        for (const input of frame.header.inputs) {
          feeds[input.name] = decode(ort, input, frame.raw.subarray(at, at + input.size));
          at += input.size;
        }
        const names = frame.header.outputs?.length ? frame.header.outputs : session.outputNames;
        const out = await session.run(feeds, names);
        const parts = names.map((n) => encode(n, out[n]));
        send(RESULT, { outputs: parts.map((p) => p.header) }, parts.map((p) => p.raw), frame.id);
      } catch (e) {
        send(ERROR, { kind: "input", message: String(e), traceback: e.stack ?? "" }, [], frame.id); // it does not tell whose mistake it is
      }
    }
  }
}

await main();
process.exit(0);
