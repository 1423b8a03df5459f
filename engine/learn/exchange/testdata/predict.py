"""Predicts with the real libraries from files that Trimtab wrote: predict.py FOLDER.

FOLDER/jobs.json is [{"file", "format", "rows": [[...]]}]; null is NaN. Prints [[[...]]], one list of rows for each job. A LightGBM model
predicts float64 rows, an ONNX model the same rows as float32, from the output that is named first.
"""

import json
import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
answers = []
for job in json.loads((folder / "jobs.json").read_text()):
    rows = np.array([[np.nan if v is None else v for v in row] for row in job["rows"]], dtype=np.float64)
    path = folder / job["file"]
    if job["format"] == "lightgbm":
        import lightgbm

        answer = lightgbm.Booster(model_file=path).predict(rows, num_threads=1)
    else:
        import onnx
        import onnxruntime

        onnx.checker.check_model(onnx.load(path), full_check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        with np.errstate(over="ignore"):
            feeds = {session.get_inputs()[0].name: rows.astype(np.float32)}
        answer = session.run([session.get_outputs()[0].name], feeds)[0]
    answers.append(np.asarray(answer, dtype=np.float64).reshape(len(rows), -1).tolist())
print(json.dumps(answers))
