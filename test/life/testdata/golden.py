"""Run the golden rows of a packaged version through onnxruntime: golden.py FOLDER prints the largest difference and the flips."""

import json
import pathlib
import sys

import numpy
import onnxruntime

folder = pathlib.Path(sys.argv[1])
golden = json.loads((folder / "golden.json").read_text())
session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
feeds = {}
for i, name in enumerate(golden["columns"]):
    cells = [row[i] for row in golden["rows"]]
    if "string" in next(x.type for x in session.get_inputs() if x.name == name):
        feeds[name] = numpy.array([["" if c is None else c] for c in cells], dtype=object)
    else:
        feeds[name] = numpy.array([[numpy.nan if c is None else c] for c in cells], dtype=numpy.float64)
scores = session.run(["probabilities"], feeds)[0][:, 1]
want = numpy.array([row[0] for row in golden["outputs"]])
print(json.dumps({"rows": len(want), "difference": float(numpy.abs(scores - want).max()), "flips": int(((scores >= 0.5) != (want >= 0.5)).sum())}))
