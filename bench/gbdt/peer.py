"""Trains LightGBM on the matrix that the Go side wrote, and tells what it cost.

Usage: peer.py FOLDER. FOLDER/job.json says shapes, threads and parameters; FOLDER/*.f32 are row-major float32. The
test rows' probabilities go to FOLDER/peer.f64; the answer, one JSON object, to standard output.
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
test = np.fromfile(folder / "test_x.f32", dtype=np.float32).reshape(-1, job["columns"])

params = {
    "objective": "binary", "num_leaves": job["leaves"], "max_bin": job["bins"], "learning_rate": job["learning_rate"],
    "min_data_in_leaf": job["min_leaf"], "min_sum_hessian_in_leaf": job["min_hessian"], "lambda_l2": job["l2"],
    "num_threads": job["threads"], "seed": 1, "verbosity": -1, job["layout"]: True,
}  # fmt: skip
cpu, wall = time.process_time(), time.perf_counter()
model = lightgbm.train(params, lightgbm.Dataset(x, y), num_boost_round=job["rounds"])
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
model.predict(test, num_threads=job["threads"]).astype(np.float64).tofile(folder / "peer.f64")
print(json.dumps({"cpu": cpu, "wall": wall, "version": lightgbm.__version__}))
