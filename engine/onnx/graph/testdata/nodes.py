"""Packs the backend node tests that the onnx package brings, for the operators that are evaluated here.

    python nodes.py OPERATORS nodes.pack.gz

with the environment of test/oracle; OPERATORS is a file with one operator a line, as `trimtab onnx` lists them. Cases whose values no tensor of the
protocol holds (sequences, optionals, floats of 8 bits) and those of random numbers are left out, and said.
"""

import collections
import pathlib
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from pack import Pack, Unfit

warnings.simplefilter("ignore")
operators = set(pathlib.Path(sys.argv[1]).read_text().split())
pack = Pack(sys.argv[2])
left = collections.Counter()


def names(graph):
    for node in graph.node:
        yield node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from names(attribute.g)


def array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


NARROW = {onnx.TensorProto.DataType.Value(n) for n in onnx.TensorProto.DataType.keys() if "FLOAT8" in n or "FLOAT4" in n or "INT4" in n or "INT2" in n or "COMPLEX" in n}


def narrow(model):
    """Whether there is an element type that is not evaluated here: at the edges, among the constants, or cast to."""
    edges = {v.type.tensor_type.elem_type for v in [*model.graph.input, *model.graph.output]}
    nodes = [*model.graph.node, *(n for f in model.functions for n in f.node)]
    cast = {a.i for n in nodes for a in n.attribute if a.name in ("to", "dtype", "stash_type")}
    fixed = {a.t.data_type for n in nodes for a in n.attribute if a.HasField("t")} | {t.data_type for t in model.graph.initializer}
    return (edges | cast | fixed) & NARROW


for case in collect_testcases(None):
    model = case.model
    defined = {f"{f.domain}.{f.name}" if f.domain else f.name for f in model.functions}
    used = set(names(model.graph)) - defined
    for function in model.functions:
        used |= set(names(function))
    unknown = used - operators - defined
    if unknown:
        left["operators not evaluated here"] += 1
        continue
    if any("Random" in op or "Bernoulli" in op for op in used) or "training" in case.name:
        left["of training and random numbers"] += 1
        continue
    if narrow(model):
        left["element types of 8 bits and fewer, and complex ones"] += 1
        continue
    inputs, outputs = ([array(v) for v in part] for part in case.data_sets[0])
    feeds = dict(zip([i.name for i in model.graph.input], inputs))
    answers = dict(zip([o.name for o in model.graph.output], outputs))
    if any(isinstance(v, (list, tuple)) or v is None for v in [*feeds.values(), *answers.values()]):
        left["sequences and optionals at the edge"] += 1
        continue
    size = sum(np.asarray(v).nbytes for v in [*feeds.values(), *answers.values()]) + model.ByteSize()
    if size > 200_000:
        left["larger than 200 kB"] += 1
        continue
    try:
        pack.add(case.name, model.SerializeToString(), feeds, answers, case.rtol, max(case.atol, 1e-6))
    except Unfit:
        left["element types of 8 bits and fewer, and complex ones"] += 1
pack.close()
print(pack.count, "cases;", dict(left))
