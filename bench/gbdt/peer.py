"""Trains LightGBM on the matrix that the Go side wrote, and tells what it cost.

Usage: peer.py FOLDER. FOLDER/job.json says shapes, threads and parameters; FOLDER/*.f32 are row-major float32. The
test rows' probabilities go to FOLDER/predicted.f64; the answer, one JSON object, to standard output.
"""

import json
import pathlib
import sys
import time

import lightgbm
import numpy as np

folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
x = np.fromfile(folder / "train_x.f32", dtype=np.float32).reshape(-1, job["columns"])
y = np.fromfile(folder / "train_y.f32", dtype=np.float32)
categories = [i for i, n in enumerate(job["levels"] or []) if n > 0]

cpu, wall = time.process_time(), time.perf_counter()
model = lightgbm.train(job["params"], lightgbm.Dataset(x, y, categorical_feature=categories))
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
if not job["fit_only"]:
    test = np.fromfile(folder / "test_x.f32", dtype=np.float32).reshape(-1, job["columns"])
    model.predict(test, num_threads=job["threads"]).astype(np.float64).tofile(folder / "predicted.f64")
print(json.dumps({"cpu": cpu, "wall": wall, "version": lightgbm.__version__}))
