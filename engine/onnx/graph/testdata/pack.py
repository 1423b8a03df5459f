"""Writes cases for the tests of this package: a model, what it is fed with, and what onnxruntime or ONNX's own tests say it answers.

A pack is gzip over records, each one line of JSON that describes it, then the model's bytes and those of the tensors, as the Open Inference
Protocol has them raw.
"""

import gzip
import json
import struct

import numpy as np

TYPES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32",
    "uint64": "UINT64", "float16": "FP16", "bfloat16": "BF16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip


class Unfit(Exception):
    """A value that no tensor of the protocol holds."""


def raw(value):
    """The datatype, shape and raw bytes of an array."""
    a = np.asarray(value)
    if a.dtype.kind in "OUS":
        texts = [t if isinstance(t, bytes) else str(t).encode() for t in a.ravel()]
        return "BYTES", list(a.shape), b"".join(struct.pack("<I", len(t)) + t for t in texts)
    if a.dtype.name not in TYPES:
        raise Unfit(a.dtype.name)
    return TYPES[a.dtype.name], list(a.shape), np.ascontiguousarray(a).tobytes()


class Pack:
    def __init__(self, path):
        # No time and no name in the header: the same cases are the same bytes.
        self.raw = open(path, "wb")
        self.file = gzip.GzipFile(filename="", mode="wb", fileobj=self.raw, compresslevel=9, mtime=0)
        self.count = 0

    def add(self, name, model, inputs, outputs, rtol=1e-5, atol=1e-5):
        blobs, described = [model], []
        for role, values in (("in", inputs), ("out", outputs)):
            for key, value in values.items():
                kind, shape, data = raw(value)
                described.append({"role": role, "name": key, "datatype": kind, "shape": shape, "bytes": len(data)})
                blobs.append(data)
        head = {"name": name, "model": len(model), "rtol": rtol, "atol": atol, "tensors": described}
        self.file.write(json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(blobs))
        self.count += 1

    def close(self):
        self.file.close()
        self.raw.close()
