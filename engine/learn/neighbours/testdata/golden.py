"""Writes golden.json: predictions of scikit-learn's nearest neighbours on standardised columns and on columns as they are.

Run with: .cache/oracle/bin/python engine/learn/neighbours/testdata/golden.py   (scikit-learn 1.9.1, numpy 2.4.6)
"""

import json
import os

import numpy as np
import sklearn
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(3)
cases = []
for columns in (3, 20):
    x = (rng.normal(size=(150, columns)) * np.linspace(1, 40, columns)).astype(np.float32)
    q = (rng.normal(size=(25, columns)) * np.linspace(1, 40, columns)).astype(np.float32)
    q[0] = x[7]  # at distance 0
    z = x[:, 0] - x[:, 1] / 10 + rng.normal(size=150) / 3
    labels = {"number": z.round(3), "binary": (z > 0).astype(float), "multi": np.digitize(z, [-0.7, 0.7]).astype(float)}
    for k, weights, metric, standardise in [(5, "uniform", "euclidean", True), (1, "uniform", "euclidean", True), (7, "distance", "euclidean", True),
                                            (5, "distance", "manhattan", True), (12, "uniform", "manhattan", False), (4, "distance", "euclidean", False)]:
        answers = {}
        for name, y in labels.items():
            make = KNeighborsRegressor if name == "number" else KNeighborsClassifier
            m = make(n_neighbors=k, weights=weights, metric=metric, algorithm="brute")
            m = make_pipeline(StandardScaler(), m) if standardise else m
            m.fit(x.astype(np.float64), y)
            answers[name] = (m.predict(q.astype(np.float64)) if name == "number" else m.predict_proba(q.astype(np.float64))).tolist()
        cases.append({"params": {"k": k, "weights": weights, "metric": metric, "standardise": standardise}, "set": len(cases) // 6, "answers": answers})
        if len(cases) % 6 == 1:
            cases[-1]["x"], cases[-1]["q"], cases[-1]["y"] = x.tolist(), q.tolist(), {n: y.tolist() for n, y in labels.items()}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as f:
    json.dump({"versions": {"sklearn": sklearn.__version__, "numpy": np.__version__}, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
