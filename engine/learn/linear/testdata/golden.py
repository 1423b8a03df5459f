"""Writes golden.json: coefficients of scikit-learn's linear models, at tight tolerances, in the columns' own units.

Run with: .cache/oracle/bin/python engine/learn/linear/testdata/golden.py   (scikit-learn 1.9.1, numpy 2.4.6)
Standardised fits are made on StandardScaler's columns and divided by the standard deviations; gaps are filled with the
weighted mean, rounded to float32.
"""

import json
import os
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import ElasticNet, ElasticNetCV, Lasso, LassoCV, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)
sets, cases = {}, []


def add_set(name, x, **y):
    x = x.astype(np.float32)
    sets[name] = {"x": [[None if np.isnan(v) else float(v) for v in r] for r in x], "y": {k: v.tolist() for k, v in y.items()}}
    return x.astype(np.float64)


n = 60
X = np.column_stack([rng.normal(size=n), 100 + 30 * rng.normal(size=n), rng.integers(0, 3, n), np.full(n, 4.0)]).round(2)
z = X[:, 0] - 0.03 * (X[:, 1] - 100) + 0.5 * X[:, 2]
labels = {
    "binary": (z + rng.logistic(size=n) > 0).astype(float),
    "multi": np.digitize(z + rng.logistic(size=n), [-1, 1]).astype(float),
    "number": (z + rng.normal(size=n)).round(3),
}
holes = X.copy()
holes[::7, 1] = np.nan
weights = (rng.random(n) * 3).round(1)
data = {"small": add_set("small", X, **labels), "holes": add_set("holes", holes, **labels)}

m, p = 120, 15  # correlated columns, a third of which matter
base = rng.normal(size=(m, p))
C = (base + 0.7 * np.roll(base, 1, axis=1)).round(3)
z = C[:, ::3] @ np.array([2, -1.5, 1, 0.5, -0.25])
more = {
    "binary": (z + rng.logistic(size=m) > 0).astype(float),
    "multi": np.digitize(z + rng.logistic(size=m), [-1.5, 0.5, 2]).astype(float),
    "number": (z + rng.normal(size=m)).round(3),
}
data["correlated"] = add_set("correlated", C, **more)
w, q = 30, 50  # more columns than rows
W = rng.normal(size=(w, q)).round(3)
data["wide"] = add_set("wide", W, number=(3 * W[:, 0] - 2 * W[:, 1] + rng.normal(size=w)).round(3),
                       binary=(W[:, 0] + W[:, 1] + rng.normal(size=w) > 0).astype(float))
y_of = {"small": labels, "holes": labels, "correlated": more,
        "wide": {k: np.array(v) for k, v in sets["wide"]["y"].items()}}


def case(learner, params, make, name, label, weighted=False, standardise=True):
    x, y = data[name], y_of[name][label]
    wt = weights if weighted else np.ones(len(y))
    for j in range(x.shape[1]):
        seen = ~np.isnan(x[:, j])
        x = x.copy()
        x[~seen, j] = np.float32(np.average(x[seen, j], weights=wt[seen]))
    scale = np.ones(x.shape[1])
    xs, mean = x, np.zeros(x.shape[1])
    if standardise:
        s = StandardScaler().fit(x, sample_weight=wt)
        scale, mean, xs = s.scale_, s.mean_, s.transform(x)
    else:
        params = {**params, "standardise": False}
    model = make()
    model.fit(xs, y, **({"sample_weight": wt} if weighted else {}))
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if label == "multi":
        intercept = intercept - intercept.mean()
    coef = coef / scale
    intercept = intercept - coef @ mean
    cases.append({
        "learner": learner, "params": params, "set": name, "label": label,
        "weights": wt.tolist() if weighted else None,
        "coef": coef.tolist(), "intercept": intercept.tolist(), "alpha": getattr(model, "alpha_", None),
    })


def logistic(l1=0.0, l2=1.0, **more):
    total = l1 + l2
    if l1 == 0:
        return lambda: LogisticRegression(C=1 / l2, tol=1e-14, max_iter=100000, solver="newton-cholesky" if "multi" not in more else "lbfgs",
                                          **{k: v for k, v in more.items() if k != "multi"})
    return lambda: LogisticRegression(C=1 / total, l1_ratio=l1 / total, solver="saga", tol=1e-13, max_iter=1000000,
                                      **{k: v for k, v in more.items() if k != "multi"})


tight = {"tolerance": 1e-13, "max_iterations": 1000000}
for weighted in (False, True):
    for name in ("small", "holes"):
        for l2 in (1.0, 25.0):
            case("linear", {"l2": l2}, lambda: Ridge(alpha=l2, tol=1e-14), name, "number", weighted)
        case("logistic", {"l2": 1.0}, logistic(), name, "binary", weighted)
        case("logistic", {"l2": 3.0}, logistic(l2=3.0, multi=1), name, "multi", weighted)
    case("ridge", {"alpha": 2.5}, lambda: Ridge(alpha=2.5, tol=1e-14), "small", "number", weighted, standardise=False)
    case("linear", {"l2": 0}, LinearRegression, "holes", "number", weighted)
    for standardise in (True, False):
        for alpha in (0.03, 0.3):
            case("lasso", {"alpha": alpha, **tight}, lambda: Lasso(alpha=alpha, tol=1e-15, max_iter=1000000), "small", "number", weighted, standardise)
            case("elastic_net", {"alpha": alpha, "l1_ratio": 0.4, **tight},
                 lambda: ElasticNet(alpha=alpha, l1_ratio=0.4, tol=1e-15, max_iter=1000000), "small", "number", weighted, standardise)
    case("logistic", {"l1": 2.0, "l2": 0}, logistic(2.0, 0.0), "small", "binary", weighted)
    case("logistic", {"l1": 1.0, "l2": 2.0}, logistic(1.0, 2.0), "small", "multi", weighted)
case("logistic", {"l2": 1.0}, logistic(), "small", "binary", standardise=False)
case("logistic", {"l2": 1.0, "class_weight": "balanced"}, logistic(class_weight="balanced"), "small", "binary")
case("logistic", {"l2": 1.0, "class_weight": [1, 3, 0.5]}, logistic(multi=1, class_weight={0: 1, 1: 3, 2: 0.5}), "small", "multi")
for solver in ("newton", "lbfgs"):
    case("logistic", {"l2": 0.5, "solver": solver}, logistic(l2=0.5), "correlated", "binary")
    case("logistic", {"l2": 0.5, "solver": solver}, logistic(l2=0.5, multi=1), "correlated", "multi")
    case("logistic", {"l2": 2.0, "solver": solver}, logistic(l2=2.0), "correlated", "binary", standardise=False)
case("logistic", {"l1": 5.0, "l2": 0}, logistic(5.0, 0.0), "correlated", "binary")
case("logistic", {"l1": 4.0, "l2": 0}, logistic(4.0, 0.0), "correlated", "multi")
case("logistic", {"l1": 2.0, "l2": 1.0}, logistic(2.0, 1.0), "wide", "binary")
case("logistic", {"l2": 1.0}, logistic(), "wide", "binary")
case("ridge", {"alpha": 1.0}, lambda: Ridge(alpha=1.0, tol=1e-14, solver="svd"), "wide", "number")
case("ridge", {"alpha": 0.5}, lambda: Ridge(alpha=0.5, tol=1e-14, solver="svd"), "wide", "number", standardise=False)
case("linear", {"l2": 0}, LinearRegression, "wide", "number")
for alpha in (0.01, 0.2):
    for name in ("correlated", "wide"):
        case("lasso", {"alpha": alpha, **tight}, lambda: Lasso(alpha=alpha, tol=1e-15, max_iter=1000000), name, "number")
        case("elastic_net", {"alpha": alpha, **tight}, lambda: ElasticNet(alpha=alpha, tol=1e-15, max_iter=1000000), name, "number", standardise=False)
for name in ("correlated", "wide"):
    split = PredefinedSplit(np.arange(len(data[name])) % 5)
    near = {"tolerance": 1e-10, "max_iterations": 1000000}
    case("lasso", {"alpha": "auto", "alphas": 50, **near}, lambda: LassoCV(alphas=50, cv=split, tol=1e-12, max_iter=1000000), name, "number", standardise=False)
    case("elastic_net", {"alpha": "auto", "l1_ratio": 0.7, "alphas": 40, **near},
         lambda: ElasticNetCV(l1_ratio=0.7, alphas=40, cv=split, tol=1e-12, max_iter=1000000), name, "number", standardise=False)

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as f:
    json.dump({"versions": {"sklearn": sklearn.__version__, "numpy": np.__version__}, "sets": sets, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
print(len(cases), "cases,", os.path.getsize(path), "bytes")
