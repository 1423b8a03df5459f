"""Writes golden.json: what scikit-learn and scipy say about small sets of labels and predictions.

Run with: .cache/oracle/bin/python engine/evaluate/testdata/golden.py   (`make oracle` builds the environment: scikit-learn 1.9.1, scipy 1.17.1)
DeLong has no reference in these libraries: it is computed here from the definition of the 1988 paper, by all pairs.
"""

import json
import os
import sys
import warnings

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20130101)


def binary(y, p, threshold):
    d = (p >= threshold).astype(int)
    out = {
        "accuracy": metrics.accuracy_score(y, d),
        "precision": metrics.precision_score(y, d, zero_division=0),
        "recall": metrics.recall_score(y, d, zero_division=0),
        "f1": metrics.f1_score(y, d, zero_division=0),
        "log_loss": metrics.log_loss(y, p, labels=[0, 1]),
        "brier": metrics.brier_score_loss(y, p, labels=[0, 1]) if len(set(y)) > 1 else float(np.mean((p - y) ** 2)),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, d),
        "specificity": metrics.recall_score(y, d, pos_label=0, zero_division=0),
        "mcc": metrics.matthews_corrcoef(y, d),
        "prevalence": float(np.mean(y)),
        "mean_prediction": float(np.mean(p)),
    }
    if len(set(y)) > 1:
        out["auc"] = metrics.roc_auc_score(y, p)
        fpr, tpr, _ = metrics.roc_curve(y, p, drop_intermediate=False)
        out["ks"] = np.max(tpr - fpr, initial=0) if np.max(tpr - fpr) >= np.max(fpr - tpr) else np.max(fpr - tpr)
    if sum(y) > 0:
        out["average_precision"] = metrics.average_precision_score(y, p)
    observed, mean = calibration_curve(y, p, n_bins=10) if len(set(y)) > 1 else (None, None)
    if observed is not None:
        # calibration_curve does not say how many rows a bin has; its edges do.
        ids = np.searchsorted(np.linspace(0, 1, 11)[1:-1], p)
        n = np.bincount(ids, minlength=10)
        out["calibration_error"] = float(np.sum(np.abs(observed - mean) * n[n > 0]) / len(y))
    return {k: float(v) for k, v in out.items()}


def delong(y, a, b):
    def parts(s):
        pos, neg = s[y == 1], s[y == 0]
        psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
        return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)

    (a1, va, na), (a2, vb, nb) = parts(a), parts(b)
    cov = np.cov(va, vb) / len(va) + np.cov(na, nb) / len(na)
    z = (a1 - a2) / np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    return {"auc1": a1, "auc2": a2, "var1": cov[0, 0], "var2": cov[1, 1], "covariance": cov[0, 1], "z": z, "p": 2 * stats.norm.sf(abs(z))}


cases = []
for _ in range(40):
    n = int(rng.integers(2, 60))
    y = (rng.random(n) < rng.choice([0.1, 0.5, 0.8])).astype(int)
    noise = rng.normal(size=n)
    p = 1 / (1 + np.exp(-(y * 1.5 - 0.7 + noise)))
    digits = int(rng.integers(1, 5))  # one digit: many ties, and values on bin edges
    p = np.round(p, digits)
    t = float(rng.choice([0.5, 0.3, 0.9]))
    cases.append((y, p, t))
cases += [
    (np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), 0.5),
    (np.array([0, 1]), np.array([1.0, 0.0]), 0.5),
    (np.array([0, 1]), np.array([0.0, 1.0]), 0.5),
    (np.array([0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5]), 0.5),
    (np.array([0, 0, 0]), np.array([0.1, 0.2, 0.3]), 0.5),
    (np.array([1, 1, 1]), np.array([0.1, 0.2, 0.9]), 0.5),
]
out = {"versions": {"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__}}
out["binary"] = [{"y": y.tolist(), "p": p.tolist(), "threshold": t, "want": binary(y, p, t)} for y, p, t in cases]

out["multiclass"] = []
for i in range(12):
    n, k = int(rng.integers(5, 40)), int(rng.integers(2, 5))
    y = rng.integers(0, k, n)
    y[: min(k, n)] = np.arange(min(k, n)) if i % 4 else 0
    p = rng.dirichlet(np.ones(k), n) * 0.5 + 0.5 * np.eye(k)[y] * rng.random((n, 1))
    p = p / p.sum(axis=1, keepdims=True)
    d = p.argmax(axis=1)
    want = {
        "accuracy": metrics.accuracy_score(y, d),
        "f1_macro": metrics.f1_score(y, d, average="macro", zero_division=0),
        "precision_macro": metrics.precision_score(y, d, average="macro", zero_division=0),
        "recall_macro": metrics.recall_score(y, d, average="macro", zero_division=0),
        "log_loss": metrics.log_loss(y, p, labels=list(range(k))),
        "brier": float(np.mean(np.sum((p - np.eye(k)[y]) ** 2, axis=1))),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, d),
        "f1_weighted": metrics.f1_score(y, d, average="weighted", zero_division=0),
        "mcc": metrics.matthews_corrcoef(y, d),
    }
    if len(set(y)) == k:
        want["auc"] = metrics.roc_auc_score(y, p[:, 1]) if k == 2 else metrics.roc_auc_score(y, p, multi_class="ovr")
    out["multiclass"].append({"y": y.tolist(), "p": p.ravel().tolist(), "k": k, "want": {a: float(b) for a, b in want.items()}})

out["regression"] = []
for y, p in [(rng.normal(size=30) * 10 + 100, rng.normal(size=30) * 10 + 100) for _ in range(5)] + [
    (np.array([3.0, 3.0, 3.0]), np.array([3.0, 3.0, 3.0])),
    (np.array([3.0, 3.0, 3.0]), np.array([3.0, 2.0, 3.0])),
]:
    out["regression"].append(
        {
            "y": y.tolist(),
            "p": p.tolist(),
            "want": {
                "mae": metrics.mean_absolute_error(y, p),
                "rmse": float(np.sqrt(metrics.mean_squared_error(y, p))),
                "r2": metrics.r2_score(y, p),
                "bias": float(np.mean(p - y)),
                "median_ae": metrics.median_absolute_error(y, p),
                "mape": metrics.mean_absolute_percentage_error(y, p),
                "max_error": metrics.max_error(y, p),
            },
        }
    )

out["delong"] = []
for i in range(8):
    n = int(rng.integers(12, 60))
    y = (rng.random(n) < 0.4).astype(int)
    y[:2], y[2:4] = 0, 1
    a = np.round(y + rng.normal(size=n), i % 3)
    b = np.round(0.5 * y + 0.5 * a + rng.normal(size=n), i % 3)
    out["delong"].append({"y": y.tolist(), "a": a.tolist(), "b": b.tolist(), "want": {k: float(v) for k, v in delong(y, a, b).items()}})

out["spearman"] = []
for i in range(6):
    n = int(rng.integers(5, 50))
    a = np.round(rng.normal(size=n), i % 3)
    b = np.round(a * (i - 2) + rng.normal(size=n), i % 3)
    out["spearman"].append({"a": a.tolist(), "b": b.tolist(), "want": float(stats.spearmanr(a, b).statistic)})

out["wilson"] = [
    {"k": k, "n": n, "lo": float(ci.low), "hi": float(ci.high)}
    for k, n in [(0, 5), (5, 5), (3, 10), (400, 1000)]
    for ci in [stats.binomtest(k, n).proportion_ci(0.95, "wilson")]
]

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
