"""Writes golden.json: probabilities of scikit-learn's GaussianNB on standardised columns and of CategoricalNB.

Run with: .cache/oracle/bin/python engine/learn/bayes/testdata/golden.py   (scikit-learn 1.9.1, numpy 2.4.6)
Weighted rows are written as often as their weights say, because GaussianNB's smoothing looks at rows without weights.
"""

import json
import os

import numpy as np
import sklearn
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(5)
n = 90
cases = []
for classes in (2, 3):
    y = rng.integers(0, classes, n)
    x = np.round(rng.normal(size=(n, 4)) * [1, 30, 0.01, 5] + [0, 1000, 0, 0] + y[:, None] * [1, 10, 0.003, 0], 4).astype(np.float32).astype(np.float64)
    codes = np.minimum(rng.poisson(1 + y[:, None] * [1, 0.5, 0], size=(n, 3)), 3)
    weights = rng.integers(0, 3, n)
    for weighted in (False, True):
        rows = np.repeat(np.arange(n), weights) if weighted else np.arange(n)
        s = StandardScaler().fit(x[rows])
        for smoothing in (1e-9, 0.1):
            m = GaussianNB(var_smoothing=smoothing).fit(s.transform(x[rows]), y[rows])
            cases.append({"params": {"var_smoothing": smoothing}, "classes": classes, "x": x.tolist(), "levels": None, "y": y.tolist(),
                          "weights": weights.tolist() if weighted else None, "p": m.predict_proba(s.transform(x)).tolist()})
        for alpha in (1.0, 0.2):
            m = CategoricalNB(alpha=alpha, min_categories=4).fit(codes[rows], y[rows])
            cases.append({"params": {"alpha": alpha}, "classes": classes, "x": codes.tolist(), "levels": [4, 4, 4], "y": y.tolist(),
                          "weights": weights.tolist() if weighted else None, "p": m.predict_proba(codes).tolist()})
    # Columns of both kinds: the product of the two, the prior counted once.
    s = StandardScaler().fit(x)
    g, c = GaussianNB().fit(s.transform(x), y), CategoricalNB(min_categories=4).fit(codes, y)
    joint = g.predict_joint_log_proba(s.transform(x)) + c.predict_joint_log_proba(codes) - np.log(g.class_prior_)
    p = np.exp(joint - joint.max(axis=1, keepdims=True))
    cases.append({"params": {}, "classes": classes, "x": np.column_stack([x, codes]).tolist(), "levels": [0, 0, 0, 0, 4, 4, 4], "y": y.tolist(),
                  "weights": None, "p": (p / p.sum(axis=1, keepdims=True)).tolist()})
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as f:
    json.dump({"versions": {"sklearn": sklearn.__version__, "numpy": np.__version__}, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
