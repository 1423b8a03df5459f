"""Scores golden rows with onnxruntime: score.py MODEL ROWS, both files; prints {"output": [["0.5", ...], ...]} as JSON, numbers as
texts, because JSON has no NaN.

ROWS is {"input": {"type": "double" | "string", "values": [...]}}; a double is a number, null (NaN), "inf" or "-inf".
The model is checked with the onnx package first, when it is installed.
"""
import json
import sys

import numpy
import onnxruntime

model, rows = sys.argv[1], json.load(open(sys.argv[2]))
try:
    import onnx
except ImportError:
    pass
else:
    onnx.checker.check_model(onnx.load(model), full_check=True)

feeds = {}
for name, column in rows.items():
    values = column["values"]
    if column["type"] == "double":
        array = numpy.array([float("nan") if v is None else float(v) for v in values], dtype=numpy.float64)
    else:
        array = numpy.array(values, dtype=object)
    feeds[name] = array.reshape(-1, 1)

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
names = [o.name for o in session.get_outputs()]
answers = session.run(names, feeds)
print(json.dumps({n: [[repr(v) for v in row] for row in a.astype(numpy.float64).reshape(len(a), -1).tolist()] for n, a in zip(names, answers)}))
