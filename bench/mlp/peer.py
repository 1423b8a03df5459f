"""Trains scikit-learn's MLPClassifier on the matrix that the Go side wrote, and tells what it cost.

Usage: peer.py FOLDER. FOLDER/job.json says shape, layers, epochs and batch; FOLDER/*.f32 are row-major float32. Columns
are standardised before the clock starts. It trains on float64 and on float32; the cheaper counts. The answer, one JSON
object, goes to standard output.
"""

import json
import os
import resource
import sys
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import sklearn  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402

warnings.filterwarnings("ignore")
folder = sys.argv[1]
with open(folder + "/job.json") as f:
    job = json.load(f)


def read(name, shape=None):
    a = np.fromfile(folder + "/" + name + ".f32", dtype="<f4")
    return a if shape is None else a.reshape(-1, shape)


x, xt = read("x", job["columns"]), read("xt", job["columns"])
y, yt = read("y").astype(int), read("yt").astype(int)
mean, sd = x.mean(axis=0), x.std(axis=0)
x, xt = (x - mean) / sd, (xt - mean) / sd


def seconds():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


best = None
for kind in (np.float64, np.float32):
    own = np.ascontiguousarray(x.astype(kind))
    m = MLPClassifier(tuple(job["hidden"]), batch_size=job["batch"], max_iter=job["epochs"], n_iter_no_change=job["epochs"] + 1, random_state=1)
    begun = seconds()
    m.fit(own, y)
    cpu = seconds() - begun
    run = {"CPU": cpu, "Loss": log_loss(yt, m.predict_proba(xt.astype(kind))[:, 1]), "Kind": kind.__name__, "Version": sklearn.__version__}
    if best is None or run["CPU"] < best["CPU"]:
        best = run
print(json.dumps(best))
