"""Writes golden.json: coefficients of scikit-learn's logistic and ridge regression on standardised columns.

Run with: python3 -m venv v && v/bin/pip install scikit-learn==1.9.1 numpy==2.4.6 && v/bin/python golden.py
Coefficients are given in the columns' own units: standardised ones divided by the standard deviation.
"""

import json
import os
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)
n = 60
X = np.round(np.column_stack([rng.normal(size=n), 100 + 30 * rng.normal(size=n), rng.integers(0, 3, n), np.full(n, 4.0)]), 2)
X = X.astype(np.float32).astype(np.float64)
z = X[:, 0] - 0.03 * (X[:, 1] - 100) + 0.5 * X[:, 2]
weights = np.round(rng.random(n) * 3, 1)
holes = X.copy()
holes[::7, 1] = np.nan


def scaled(x, w):
    filled = x.copy()
    for j in range(x.shape[1]):
        seen = ~np.isnan(x[:, j])
        mean = np.average(x[seen, j], weights=w[seen])
        filled[~seen, j] = mean
    s = StandardScaler().fit(filled, sample_weight=w)
    return s, s.transform(filled)


def case(name, x, y, w, l2, classes):
    s, xs = scaled(x, w)
    if name == "linear":
        m = Ridge(alpha=l2, tol=1e-14).fit(xs, y, sample_weight=w)
        coef, intercept = [m.coef_], [m.intercept_]
    else:
        m = LogisticRegression(C=1 / l2, tol=1e-12, max_iter=100000).fit(xs, y, sample_weight=w)
        coef, intercept = m.coef_, m.intercept_
    coef = np.array(coef) / s.scale_
    intercept = np.array(intercept) - coef @ s.mean_
    return {
        "learner": name,
        "classes": classes,
        "l2": l2,
        "x": [[None if np.isnan(v) else v for v in r] for r in x.tolist()],
        "y": y.tolist(),
        "weights": w.tolist(),
        "coef": coef.tolist(),
        "intercept": intercept.tolist(),
    }


ones = np.ones(n)
yb = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)
ym = np.clip(np.round(z + rng.normal(size=n) * 0.5), 0, 2)
yr = np.round(z + rng.normal(size=n) * 0.3, 3)
out = {
    "versions": {"numpy": np.__version__, "sklearn": sklearn.__version__},
    "cases": [
        case("logistic", X, yb, ones, 1.0, 2),
        case("logistic", X, yb, weights, 0.1, 2),
        case("logistic", holes, yb, weights, 2.0, 2),
        case("logistic", X, ym, ones, 1.0, 3),
        case("logistic", holes, ym, weights, 0.5, 3),
        case("linear", X, yr, ones, 1.0, 0),
        case("linear", holes, yr, weights, 10.0, 0),
    ],
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
