"""Writes golden.json: what scikit-learn's dummy estimators predict.

Run with: .cache/oracle/bin/python engine/learn/dummy/testdata/golden.py   (scikit-learn 1.9.1, numpy 2.4.6)
"""

import json
import os

import numpy as np
import sklearn
from sklearn.dummy import DummyClassifier, DummyRegressor

rng = np.random.default_rng(9)
cases = []
for n in (1, 2, 9, 40):
    y = np.round(rng.normal(size=n) * 10, 1)
    labels = np.concatenate([[0, 1, 2, 2], rng.integers(0, 3, n)])
    weights, more = rng.integers(0, 4, n) + (np.arange(n) == 0), rng.integers(1, 4, n + 4)
    for w in (None, weights):
        for params in ({"strategy": "mean"}, {"strategy": "median"}, *({"strategy": "quantile", "quantile": q} for q in (0, 0.1, 0.3, 0.9, 1)),
                       {"strategy": "constant", "constant": 4.5}):
            if w is not None and params["strategy"] == "quantile" and params["quantile"] == 0:
                continue  # scikit-learn may answer with a value whose weight is 0
            if w is not None and params["strategy"] == "median":  # ours is the median of the rows written that often
                m = DummyRegressor(**params).fit(np.zeros((w.sum(), 1)), np.repeat(y, w))
            else:
                m = DummyRegressor(**params).fit(np.zeros((n, 1)), y, sample_weight=w)
            cases.append({"params": params, "y": y.tolist(), "weights": None if w is None else w.tolist(), "p": [float(m.predict(np.zeros((1, 1)))[0])]})
    for w in (None, more):
        for params in ({"strategy": "prior"}, {"strategy": "most_frequent"}, {"strategy": "uniform"}, {"strategy": "constant", "constant": 1}):
            m = DummyClassifier(**params).fit(np.zeros((n + 4, 1)), labels, sample_weight=w)
            cases.append({"params": params, "y": labels.tolist(), "classes": 3, "weights": None if w is None else w.tolist(), "p": m.predict_proba(np.zeros((1, 1)))[0].tolist()})
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as f:
    json.dump({"versions": {"sklearn": sklearn.__version__, "numpy": np.__version__}, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
