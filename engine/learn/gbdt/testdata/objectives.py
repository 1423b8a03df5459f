"""Golden file of the objectives: python objectives.py > objectives.json (LightGBM 4.7.0, NumPy).

The data are made of SplitMix64 and arithmetic alone, which the Go test repeats. "test" is the loss of LightGBM on rows it
was not trained on; "coarse" is what a few rounds predict for columns of few distinct values, where both libraries have
the same candidate splits and so must grow the same trees.
"""

import json
import sys

import lightgbm as lgb
import numpy as np

ROWS, COLUMNS = 4000, 7


def uniforms(seed, n):
    """n numbers of SplitMix64 (Steele, Lea and Flood 2014) in [0, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, n + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def data(seed, levels):
    """Columns, scores and four columns of noise; with levels > 0 the columns have so many values."""
    u = uniforms(seed, ROWS * (COLUMNS + 5)).reshape(ROWS, COLUMNS + 5)
    x = u[:, :COLUMNS].copy()
    if levels:
        x = np.floor(x * levels) / levels
    z = 4 * x[:, 0] * x[:, 1] - 3 * x[:, 2] + 2 * (x[:, 3] > 0.5) + x[:, 4] * x[:, 4]
    x = x.astype(np.float32)
    x[u[:, COLUMNS] < 0.1, 2] = np.nan
    return x, z, u[:, COLUMNS + 1 :]


def labels(kind, z, u):
    mean = (z + 3) * (z + 3) / 8
    if kind == "number":
        return z + (u[:, 0] - 0.5) / (u[:, 1] + 0.05)
    if kind == "count":
        return np.floor(2 * mean * u[:, 0] + u[:, 1])
    if kind == "amount":
        return (mean + 0.01) * (0.1 + u[:, 0] / (u[:, 1] + 0.2))
    if kind == "sparse":
        return np.where(u[:, 2] < 0.4, 0, (mean + 0.01) * (0.1 + u[:, 0] / (u[:, 1] + 0.2)))
    if kind == "binary":
        return (u[:, 0] < 0.5 + (z - 1) / (1 + abs(z - 1)) / 2).astype(np.float64)
    if kind == "class":
        return np.clip(np.floor(z + 2 * u[:, 0]), 0, 3)
    return np.clip(np.floor(z + 2 * u[:, 0] - 1), 0, 4)  # grades


def queries(u):
    """Lengths of 3 to 30 rows, in turn, that make up all rows."""
    out, left, i = [], ROWS, 0
    while left > 0:
        n = min(left, 3 + int(u[i, 3] * 28))
        out.append(n)
        left -= n
        i += 1
    return out


def loss(name, y, p, lengths):
    if name == "l2":
        return np.mean((p - y) ** 2) / 2
    if name == "l1":
        return np.mean(abs(p - y))
    if name == "quantile":
        return np.mean(np.maximum(0.8 * (y - p), -0.2 * (y - p)))
    if name == "huber":
        d = abs(y - p)
        return np.mean(np.where(d <= 0.7, d * d / 2, 0.7 * (d - 0.35)))
    if name == "poisson":
        return np.mean(p - y * np.log(p))
    if name == "gamma":
        return np.mean(y / p + np.log(p))
    if name == "tweedie":
        return np.mean(y * p**-0.3 / 0.3 + p**0.7 / 0.7)
    if name == "logistic":
        return -np.mean(np.log(np.where(y == 1, p, 1 - p)))
    if name == "softmax":
        return -np.mean(np.log(p[np.arange(len(y)), y.astype(int)]))
    return 1 - ndcg(y, p, lengths, 10)


def ndcg(y, p, lengths, k):
    total, at = 0.0, 0
    for n in lengths:
        grades = y[at : at + n]
        order = np.argsort(-p[at : at + n], kind="stable")[:k]
        discount = 1 / np.log2(np.arange(2, len(order) + 2))
        best = np.sum((2.0 ** np.sort(grades)[::-1][:k] - 1) * discount)
        total += np.sum((2.0 ** grades[order] - 1) * discount) / best if best > 0 else 1
        at += n
    return total / len(lengths)


OBJECTIVES = {
    "l2": ("number", {"objective": "regression"}),
    "l1": ("number", {"objective": "regression_l1"}),
    "quantile": ("number", {"objective": "quantile", "alpha": 0.8}),
    "huber": ("number", {"objective": "huber", "alpha": 0.7}),
    "poisson": ("count", {"objective": "poisson"}),
    "gamma": ("amount", {"objective": "gamma"}),
    "tweedie": ("sparse", {"objective": "tweedie", "tweedie_variance_power": 1.3}),
    "logistic": ("binary", {"objective": "binary"}),
    "softmax": ("class", {"objective": "multiclass", "num_class": 4}),
    "lambdarank": ("grade", {"objective": "lambdarank", "lambdarank_truncation_level": 10}),
}
COMMON = {"verbose": -1, "num_threads": 1, "deterministic": True, "seed": 1, "max_bin": 255, "min_data_in_bin": 1}


def train(extra, more, rounds, x, y, lengths, weights):
    group = lengths if extra["objective"] == "lambdarank" else None
    return lgb.train({**COMMON, **extra, **more}, lgb.Dataset(x, y, weight=weights, group=group), rounds)


def main():
    out = {"versions": f"python objectives.py; lightgbm {lgb.__version__}, numpy {np.__version__}", "objectives": []}
    for name, (kind, extra) in OBJECTIVES.items():
        x, z, u = data(1, 0)
        y, lengths = labels(kind, z, u), queries(u)
        tx, tz, tu = data(2, 0)
        ty, tl = labels(kind, tz, tu), queries(tu)
        row = {"name": name, "labels": kind}
        rounds = 40
        for key, more, weights in [
            ("test", {}, None),
            ("weighted", {}, 0.25 + u[:, 3]),
            ("forest", {"boosting": "rf", "bagging_fraction": 0.632, "bagging_freq": 1, "num_leaves": 63}, None),
        ]:
            if key == "forest" and name not in ("l2", "l1", "logistic"):
                continue
            booster = train(extra, {"lambda_l2": 3, "num_leaves": 31, **more}, rounds, x, y, lengths, weights)
            row[key] = loss(name, ty, booster.predict(tx), tl)
        x, z, u = data(3, 8)
        y, lengths = labels(kind, z, u), queries(u)
        booster = train(extra, {"lambda_l2": 1, "num_leaves": 7, "min_data_in_leaf": 60}, 4, x, y, lengths, None)
        row["coarse"] = booster.predict(x[:40]).ravel().tolist()
        out["objectives"].append(row)
    json.dump(out, sys.stdout, indent=1)
    print()


main()
