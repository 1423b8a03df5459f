"""Trains a forest of scikit-learn on the matrix that the Go side wrote, and tells what it cost.

Usage: peer.py FOLDER. FOLDER/job.json says shapes, threads and parameters; FOLDER/*.f32 are row-major float32. The
test rows' probabilities go to FOLDER/predicted.f64; the answer, one JSON object, to standard output.
"""

import json
import pathlib
import sys
import time

import numpy as np
import sklearn
import sklearn.ensemble

folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
x = np.fromfile(folder / "train_x.f32", dtype=np.float32).reshape(-1, job["columns"])
y = np.fromfile(folder / "train_y.f32", dtype=np.float32)
model = getattr(sklearn.ensemble, job["learner"])(**job["params"])

cpu, wall = time.process_time(), time.perf_counter()
model.fit(x, y)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
test = np.fromfile(folder / "test_x.f32", dtype=np.float32).reshape(-1, job["columns"])
model.predict_proba(test)[:, 1].tofile(folder / "predicted.f64")
print(json.dumps({"cpu": cpu, "wall": wall, "version": sklearn.__version__}))
