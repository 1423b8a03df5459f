"""Writes golden.json.gz: cases of every metric in the format of `trimtab learn metrics`, and what the references answer.

Run with: .cache/oracle/bin/python engine/evaluate/cases/testdata/golden.py   (`make oracle` builds the environment)
References: scikit-learn, scipy and statsmodels where they have the measure; otherwise its definition, written out here in
numpy. mlxtend answers McNemar and Cochran's Q a second time, as a check of this file.
"""

import gzip
import json
import math
import os
import sys
import warnings
from itertools import product

import mlxtend
import numpy as np
import scipy
import sklearn
import statsmodels
from mlxtend.evaluate import cochrans_q as mlxtend_q
from mlxtend.evaluate import mcnemar as mlxtend_mcnemar
from scipy import optimize, special, stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as m
from sklearn.isotonic import IsotonicRegression
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)
cases, expected = [], {}


def text(v):
    """Numbers that JSON lacks become the texts of the format."""
    if isinstance(v, dict):
        return {str(k): text(x) for k, x in v.items()}
    if isinstance(v, (list, tuple, np.ndarray)):
        return [text(x) for x in v]
    if isinstance(v, (np.bool_, bool)):
        return bool(v)
    if isinstance(v, (int, np.integer)):
        return int(v)
    if isinstance(v, (float, np.floating)):
        v = float(v)
        if math.isnan(v):
            return "nan"
        if math.isinf(v):
            return "inf" if v > 0 else "-inf"
        return v
    return v


def add(metric, value, params=None, **given):
    name = f"{metric}-{sum(c['metric'] == metric for c in cases) + 1}"
    given = {k: text(v) for k, v in given.items() if v is not None}
    cases.append({"id": name, "metric": metric, "input": given, "params": text(params or {})})
    expected[name] = text(value)


def labels(n, names, skew=1.0):
    p = np.arange(1, len(names) + 1.0) ** skew
    return [names[i] for i in rng.choice(len(names), n, p=p / p.sum())]


def noisy(y, names, keep):
    return [v if rng.random() < keep else names[rng.integers(len(names))] for v in y]


def weights(n, kind):
    if kind == 0:
        return None
    w = np.round(rng.random(n) * 3, 3)
    if kind == 2:
        w[rng.random(n) < 0.3] = 0
        w[0] = 1
    if kind == 3:
        w = np.floor(w)
        w[0] = 1
    return w.tolist()


# ---- decisions -------------------------------------------------------------------------------------------------------
NAMES = [[0, 1], [0, 1, 2], ["cat", "dog", "emu"], [-1, 1], [1, 2], ["n", "y"], [3, -7, 2, 10], [0, 1, 2, 3, 4], [0.5, 1.5]]
decisions = []
for i, names in enumerate(NAMES * 2):
    n = int(rng.integers(5, 60))
    y = labels(n, names, skew=[0, 1, 3][i % 3])
    decisions.append((y, noisy(y, names, [0.9, 0.5, 0.0][i % 3]), weights(n, i % 4)))
decisions += [
    ([0, 0, 0], [0, 0, 0], None),
    ([1, 1, 1], [1, 1, 1], None),
    ([0, 0, 0], [1, 1, 1], None),
    ([1, 1, 0], [0, 0, 0], None),  # a class that is never predicted
    ([0, 1, 2, 2], [0, 2, 2, 2], [1, 0, 2, 0.5]),
    ([0, 1, 2, 2], [0, 0, 3, 3], None),  # a class that never occurs
    (["a"], ["a"], None),
    (["a", "b"], ["b", "a"], None),
    ([1e300, -1e300, 1e300], [1e300, 1e300, 1e300], None),
]


for y, p, w in decisions:
    classes = sorted(set(y) | set(p))
    code = {c: i for i, c in enumerate(classes)}
    a, b = np.array([code[v] for v in y]), np.array([code[v] for v in p])
    add("accuracy", m.accuracy_score(a, b, sample_weight=w), y_true=y, y_pred=p, w=w)
    for adjusted in (False, True):
        add("balanced_accuracy", m.balanced_accuracy_score(a, b, sample_weight=w, adjusted=adjusted), {"adjusted": adjusted}, y_true=y, y_pred=p, w=w)
    norm = ["none", "true", "pred", "all"][len(cases) % 4]
    add("confusion_matrix", m.confusion_matrix(a, b, sample_weight=w, normalize=None if norm == "none" else norm), {"normalize": norm}, y_true=y, y_pred=p, w=w)
    add("mcc", m.matthews_corrcoef(a, b, sample_weight=w), y_true=y, y_pred=p, w=w)
    by = [None, "linear", "quadratic"][len(cases) % 3]
    add("kappa", m.cohen_kappa_score(a, b, weights=by, sample_weight=w), {"weights": by or "none"}, y_true=y, y_pred=p, w=w)
    for name, f in [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score), ("fbeta", m.fbeta_score), ("jaccard", m.jaccard_score)]:
        for average in ["binary", "micro", "macro", "weighted"]:
            zero = [0, 1, float("nan")][int(rng.integers(3))]
            if name == "jaccard" and zero != zero:
                zero = 1
            params = {"average": average, "zero_division": zero}
            kw = {"average": average, "zero_division": zero, "sample_weight": w}
            if average == "binary":
                if len(classes) > 2:
                    continue
                pos = len(classes) - 1 if rng.random() < 0.7 else 0
                params["pos_label"], kw["pos_label"] = classes[pos], pos
            elif rng.random() < 0.6:
                continue
            if name == "fbeta":
                params["beta"] = kw["beta"] = [0.5, 2, 0, 1.7][int(rng.integers(4))]
            add(name, f(a, b, **kw), params, y_true=y, y_pred=p, w=w)
for zero in (0, 1, float("nan")):
    kw = {"average": "binary", "zero_division": zero, "pos_label": 1}
    for name, f in [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)]:
        add(name, f([0, 0], [0, 0], **kw), kw, y_true=[0, 0], y_pred=[0, 0])
        add(name, f([0, 0, 1], [0, 0, 0], **kw), kw, y_true=[0, 0, 1], y_pred=[0, 0, 0])
        kw3 = {"average": "macro", "zero_division": zero}
        add(name, f([0, 1, 2, 1], [0, 0, 1, 3], **kw3), kw3, y_true=[0, 1, 2, 1], y_pred=[0, 0, 1, 3])
y, p = [2, 0, 1, 1, 2, 5], [2, 1, 1, 0, 5, 5]
add("confusion_matrix", m.confusion_matrix(y, p, labels=[2, 1]), {"labels": [2, 1]}, y_true=y, y_pred=p)
add("confusion_matrix", m.confusion_matrix(y, p, labels=[5, 7, 0, 1], normalize="true"), {"labels": [5, 7, 0, 1], "normalize": "true"}, y_true=y, y_pred=p)
for average in ["micro", "macro", "weighted"]:
    kw = {"labels": [2, 9], "average": average, "zero_division": 0}
    add("f1", m.f1_score(y, p, **kw), kw, y_true=y, y_pred=p)
    add("recall", m.recall_score(y, p, **kw), kw, y_true=y, y_pred=p)

# ---- scores of two classes ---------------------------------------------------------------------------------------------
scored = []
for i in range(16):
    n = int(rng.integers(4, 90))
    names = [[0, 1], [-1, 1], ["no", "yes"], [1, 2]][i % 4]
    y = (rng.random(n) < [0.5, 0.1, 0.85][i % 3]).astype(int)
    y[:2] = 0, 1
    s = 1 / (1 + np.exp(-(y * 1.2 - 0.6 + rng.normal(size=n))))
    s = np.round(s, [6, 1, 2, 3][i % 4])
    scored.append((names, y, s, weights(n, i % 4)))
scored += [
    ([0, 1], np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]), None),
    ([0, 1], np.array([0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5]), None),
    ([0, 1], np.array([0, 1]), np.array([1.0, 0.0]), None),
    ([0, 1], np.array([0, 1]), np.array([0.0, 1.0]), None),
    ([0, 1], np.array([0, 0, 0]), np.array([0.1, 0.2, 0.3]), None),
    ([0, 1], np.array([1, 1, 1]), np.array([0.1, 0.2, 0.2]), None),
    ([0, 1], np.array([0, 1, 1, 0, 1, 0, 0, 1, 1]), np.array([1, 2, 3, 4, 5, 6, 7, 8, 9]) / 10, None),
]
for names, y, s, w in scored:
    given = {"y_true": [names[v] for v in y], "y_score": s, "w": w}
    add("roc_auc", m.roc_auc_score(y, s, sample_weight=w), **given)
    add("average_precision", m.average_precision_score(y, s, sample_weight=w), **given)
    for drop in (True, False):
        fpr, tpr, t = m.roc_curve(y, s, sample_weight=w, drop_intermediate=drop, pos_label=1)
        add("roc_curve", {"fpr": fpr, "tpr": tpr, "thresholds": t}, {"drop_intermediate": drop}, **given)
        precision, recall, t = m.precision_recall_curve(y, s, sample_weight=w, drop_intermediate=drop, pos_label=1)
        add("pr_curve", {"precision": precision, "recall": recall, "thresholds": t}, {"drop_intermediate": drop}, **given)
    fpr, tpr, t = m.roc_curve(y, s, sample_weight=w, drop_intermediate=False, pos_label=1)
    add("ks_binary", np.max(np.abs(tpr - fpr)), **given)
    add("log_loss", m.log_loss(y, s, sample_weight=w, labels=[0, 1]), **given)
    add("brier", m.brier_score_loss(y, s, sample_weight=w, pos_label=1), **given)
    add("hinge", m.hinge_loss(y, 3 * s - 1, sample_weight=w, labels=[0, 1]) if len(set(y)) == 2 else np.average(np.maximum(0, 1 - (2 * y - 1) * (3 * s - 1))), **{**given, "y_score": 3 * s - 1})
    if len(set(y)) == 2:
        for most in (0.1, 0.5, 0.83, 1.0):
            if rng.random() < 0.7:
                add("roc_auc", m.roc_auc_score(y, s, sample_weight=w, max_fpr=most), {"max_fpr": most}, **given)
        add("d2_log_loss", m.d2_log_loss_score(y, np.stack([1 - s, s], 1), sample_weight=w, labels=[0, 1]), **given)
        add("d2_brier", m.d2_brier_score(y, s, sample_weight=w), **given)
        fpr, fnr, t = m.det_curve(y, s, sample_weight=w)
        add("det_curve", {"fpr": fpr, "fnr": fnr, "thresholds": t}, **given)
        add("top_k", m.top_k_accuracy_score(y, s, k=1, sample_weight=w), {"k": 1}, **given)
    # The best threshold by trying every score and none.
    u = np.ones(len(y)) if w is None else np.array(w)
    tries = [(math.inf, np.zeros(len(y), int))] + [(t, (s >= t).astype(int)) for t in np.unique(s[u > 0])[::-1]]
    best = max(tries, key=lambda c: (round(m.f1_score(y, c[1], sample_weight=w, zero_division=0), 12), c[0]))
    add("threshold", {"threshold": best[0], "value": m.f1_score(y, best[1], sample_weight=w, zero_division=0)}, {"maximise": "f1"}, **given)
    cost = lambda d: np.sum(u * (5 * (y == 1) * (d == 0) + 2 * (y == 0) * (d == 1)))
    best = min(tries, key=lambda c: (round(cost(c[1]), 9), -c[0]))
    add("threshold_cost", {"threshold": best[0], "value": cost(best[1])}, {"fp": 2, "fn": 5}, **given)
add("average_precision", m.average_precision_score([1, 1, 2, 2], [0.1, 0.6, 0.5, 0.9], pos_label=1), {"pos_label": 1}, y_true=[1, 1, 2, 2], y_score=[0.1, 0.6, 0.5, 0.9])
add("brier", 2 * m.brier_score_loss([0, 1, 1], [0.1, 0.6, 0.8]), {"scale_by_half": False}, y_true=[0, 1, 1], y_score=[0.1, 0.6, 0.8])


def ece(y, p, bins):
    at = np.minimum(np.floor(p * bins).astype(int), bins - 1)
    gaps = [(np.sum(at == b), abs(np.mean(y[at == b]) - np.mean(p[at == b]))) for b in range(bins) if np.any(at == b)]
    return {"ece": sum(n * g for n, g in gaps) / len(y), "mce": max(g for _, g in gaps)}


def ece_mass(y, p, bins):
    """Equal mass, ties together, in the bin of their middle."""
    at = np.array([min(int((np.sum(p < v) + np.sum(p == v) / 2) / len(p) * bins), bins - 1) for v in p])
    gaps = [(np.sum(at == b), abs(np.mean(y[at == b]) - np.mean(p[at == b]))) for b in range(bins) if np.any(at == b)]
    return {"ece": sum(n * g for n, g in gaps) / len(y), "mce": max(g for _, g in gaps), "ace": np.mean([g for _, g in gaps])}


for names, y, s, _ in scored:
    bins = int(rng.choice([1, 5, 10, 15]))
    given = {"y_true": [names[v] for v in y], "y_score": s}
    add("ece", ece(y, s, bins), {"bins": bins}, **given)
    add("ece", ece_mass(y, s, bins), {"bins": bins, "strategy": "quantile"}, **given)

# ---- probabilities of several classes ------------------------------------------------------------------------------------
for i in range(12):
    k, n = int(rng.integers(3, 6)), int(rng.integers(8, 50))
    names = [list(range(k)), ["a", "b", "c", "d", "e"][:k], [-3, 0, 4, 8, 9][:k]][i % 3]
    y = rng.integers(0, k, n)
    y[:k] = np.arange(k)
    p = rng.dirichlet(np.ones(k), n) * 0.6 + 0.4 * np.eye(k)[y] * rng.random((n, 1))
    p = np.round(p, [9, 2][i % 2]) + 1e-3
    p = p / p.sum(axis=1, keepdims=True)
    if i == 3:
        p[0] = np.eye(k)[(y[0] + 1) % k]  # probability 0 of what came true
    w = weights(n, i % 4)
    given = {"y_true": [names[v] for v in y], "y_prob": p, "w": w}
    add("log_loss", m.log_loss(y, p, sample_weight=w), **given)
    add("brier", m.brier_score_loss(y, p, sample_weight=w), **given)
    add("brier", m.brier_score_loss(y, p, sample_weight=w, scale_by_half=True), {"scale_by_half": True}, **given)
    add("d2_log_loss", m.d2_log_loss_score(y, p, sample_weight=w), **given)
    add("d2_brier", m.d2_brier_score(y, p, sample_weight=w), **given)
    add("hinge", m.hinge_loss(y, 4 * p, sample_weight=w), **{**given, "y_prob": 4 * p})
    for top in (1, 2, k):
        add("top_k", m.top_k_accuracy_score(y, p, k=top, sample_weight=w), {"k": top}, **given)
    for average in ("macro", "weighted", "micro"):
        add("roc_auc_multi", m.roc_auc_score(y, p, multi_class="ovr", average=average, sample_weight=w), {"mode": "ovr", "average": average}, **given)
    for average in ("macro", "weighted"):
        add("roc_auc_multi", m.roc_auc_score(y, p, multi_class="ovo", average=average), {"mode": "ovo", "average": average}, y_true=given["y_true"], y_prob=p)
    right = (p.argmax(axis=1) == y).astype(int)
    add("ece", ece(right, p.max(axis=1), 10), {"bins": 10}, y_true=given["y_true"], y_prob=p)
y, p = [0, 1, 2, 2], np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2]])
for mode, average in product(["ovr", "ovo"], ["macro", "weighted"]):
    add("roc_auc_multi", m.roc_auc_score(y, p, multi_class=mode, average=average), {"mode": mode, "average": average}, y_true=y, y_prob=p)
add("roc_auc_multi", m.roc_auc_score([0, 1, 1, 0], p, multi_class="ovr", labels=[0, 1, 2]), {"labels": [0, 1, 2]}, y_true=[0, 1, 1, 0], y_prob=p)
add("roc_auc_multi", m.roc_auc_score([0, 1, 1, 0], p, multi_class="ovr", average="weighted", labels=[0, 1, 2]), {"labels": [0, 1, 2], "average": "weighted"}, y_true=[0, 1, 1, 0], y_prob=p)
add("roc_auc_multi", m.roc_auc_score([0, 1, 1, 0], p, multi_class="ovo", labels=[0, 1, 2]), {"labels": [0, 1, 2], "mode": "ovo"}, y_true=[0, 1, 1, 0], y_prob=p)
add("log_loss", m.log_loss([0, 1, 1, 0], p, labels=[0, 1, 2]), {"labels": [0, 1, 2]}, y_true=[0, 1, 1, 0], y_prob=p)
add("log_loss", m.log_loss([0, 1], np.array([[1.0, 0], [1.0, 0]])), y_true=[0, 1], y_prob=[[1.0, 0], [1.0, 0]])
add("brier", m.brier_score_loss([0, 1], np.array([[1.0, 0], [0.8, 0.2]])), y_true=[0, 1], y_prob=[[1.0, 0], [0.8, 0.2]])

# ---- numbers -------------------------------------------------------------------------------------------------------------
numbers = []
for i in range(9):
    n = int(rng.integers(2, 60))
    y = np.round(rng.normal(size=n) * 10 + [0, 100, 3][i % 3], 3)
    numbers.append((y, np.round(y + rng.normal(size=n) * [0.1, 30, 3][i % 3], 3), weights(n, i % 4)))
numbers += [
    (np.array([3.0, 3, 3]), np.array([3.0, 3, 3]), None),
    (np.array([3.0, 3, 3]), np.array([3.0, 2, 3]), None),
    (np.array([1.0, 2, 0, 4]), np.array([1.0, 2, 0.5, 3]), None),  # a value of 0
    (np.array([1e150, -1e150, 2e150]), np.array([1e150, 1e149, 1e150]), None),
    (np.array([1e-160, 3e-160]), np.array([2e-160, 2e-160]), None),
    (np.array([1.0]), np.array([1.5]), None),
    (np.array([1.0, 2, 3, 4]), np.array([2.0, 3, 4, 5]), [0, 1, 0, 2.5]),
]
for y, p, w in numbers:
    given = {"y_true": y, "y_pred": p, "w": w}
    for name, f in [
        ("mae", m.mean_absolute_error), ("mse", m.mean_squared_error), ("rmse", m.root_mean_squared_error), ("r2", m.r2_score),
        ("explained_variance", m.explained_variance_score), ("mape", m.mean_absolute_percentage_error),
        ("median_ae", m.median_absolute_error), ("d2_absolute_error", m.d2_absolute_error_score),
    ]:
        add(name, f(y, p, sample_weight=w), **given)
    add("max_error", m.max_error(y, p), y_true=y, y_pred=p)
    for alpha in (0.5, 0.1, 0.9):
        add("pinball", m.mean_pinball_loss(y, p, sample_weight=w, alpha=alpha), {"alpha": alpha}, **given)
        add("d2_pinball", m.d2_pinball_score(y, p, sample_weight=w, alpha=alpha), {"alpha": alpha}, **given)
    if np.max(np.abs(y)) > 1e100:
        continue
    a, b = np.abs(y) + 0.125, np.abs(p) + 0.25
    add("msle", m.mean_squared_log_error(a, b, sample_weight=w), y_true=a, y_pred=b, w=w)
    add("rmsle", m.root_mean_squared_log_error(a, b, sample_weight=w), y_true=a, y_pred=b, w=w)
    add("poisson_deviance", m.mean_poisson_deviance(np.floor(a), b, sample_weight=w), y_true=np.floor(a), y_pred=b, w=w)
    add("gamma_deviance", m.mean_gamma_deviance(a, b, sample_weight=w), y_true=a, y_pred=b, w=w)
    for power in (-1.5, 0, 1, 1.5, 2, 3):
        if np.ptp(a) > 1e-6 and len(a) > 1 and rng.random() < 0.6:
            add("tweedie_deviance", m.mean_tweedie_deviance(a, b, sample_weight=w, power=power), {"power": power}, y_true=a, y_pred=b, w=w)
            add("d2_tweedie", m.d2_tweedie_score(a, b, sample_weight=w, power=power), {"power": power}, y_true=a, y_pred=b, w=w)

# ---- rankings ------------------------------------------------------------------------------------------------------------
for i in range(8):
    queries, docs = int(rng.integers(1, 6)), int(rng.integers(2, 15))
    y = rng.integers(0, 4, (queries, docs))
    s = np.round(rng.random((queries, docs)) + 0.1 * y, [1, 6][i % 2])
    if i == 5:
        y[0] = 0
    w = weights(queries, i % 3)
    k = int(rng.integers(1, docs + 1))
    given = {"y_true": y, "y_score": s, "w": w}
    add("dcg", m.dcg_score(y, s, k=k, sample_weight=w), {"k": k}, **given)
    add("dcg", m.dcg_score(y, s, log_base=10, sample_weight=w), {"log_base": 10}, **given)
    add("ndcg", m.ndcg_score(y, s, k=k, sample_weight=w), {"k": k}, **given)
    add("ndcg", m.ndcg_score(y, s, sample_weight=w), **given)
    add("ndcg", m.ndcg_score(2**y - 1, s, k=k, sample_weight=w), {"k": k, "gain": "exponential"}, **given)
    hit = (y > 0).astype(int)
    add("map", np.average([m.average_precision_score(a, b) if a.any() else 0 for a, b in zip(hit, s)], weights=w), **given)
    if i % 2:  # no ties
        order = np.argsort(-s, axis=1)
        ranked = np.take_along_axis(hit, order, axis=1)
        add("mrr", np.average([1 / (1 + np.argmax(r)) if r.any() else 0 for r in ranked], weights=w), **given)
        add("precision_at_k", np.average(ranked[:, :k].mean(axis=1), weights=w), {"k": k}, **given)
        add("recall_at_k", np.average([r[:k].sum() / max(r.sum(), 1) for r in ranked], weights=w), {"k": k}, **given)

# ---- tests ---------------------------------------------------------------------------------------------------------------
for b, c in [(5, 1), (0, 0), (3, 3), (10, 25), (60, 31), (0, 7), (1, 0), (400, 310)]:
    e, t = mcnemar([[0, b], [c, 0]], exact=True), mcnemar([[0, b], [c, 0]], exact=False, correction=True)
    add("mcnemar", {"statistic": min(b, c), "p": 1.0 if b == c else e.pvalue}, {"method": "exact"}, b=b, c=c)
    if b + c:
        x2, p = mlxtend_mcnemar(np.array([[10, b], [c, 10]]), corrected=True)
        assert abs(x2 - t.statistic) < 1e-9 and abs(p - t.pvalue) < 1e-9
        add("mcnemar", {"statistic": t.statistic, "p": t.pvalue}, {"method": "corrected"}, b=b, c=c)


def delong(y, a, b):
    def parts(s):
        pos, neg = s[y == 1], s[y == 0]
        psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
        return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)

    (a1, va, na), (a2, vb, nb) = parts(a), parts(b)
    cov = np.cov(va, vb) / len(va) + np.cov(na, nb) / len(na)
    z = (a1 - a2) / np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    return {"auc1": a1, "auc2": a2, "var1": cov[0, 0], "var2": cov[1, 1], "cov": cov[0, 1], "z": z, "p": 2 * stats.norm.sf(abs(z))}


for i in range(6):
    n = int(rng.integers(12, 70))
    y = (rng.random(n) < 0.4).astype(int)
    y[:4] = 0, 0, 1, 1
    a = np.round(y + rng.normal(size=n), 1 + i % 3)
    b = np.round(0.5 * y + 0.5 * a + rng.normal(size=n), 1 + i % 3)
    add("delong", delong(y, a, b), y_true=y, score1=a, score2=b)
add("delong", delong(y, a, a), y_true=y, score1=a, score2=a)
for i in range(4):
    d = np.round(rng.normal(size=(5, 2)) * 0.02 + 0.01, 4)
    s = np.sum((d - d.mean(axis=1, keepdims=True)) ** 2)
    f = np.sum(d**2) / (2 * s)
    add("f5x2cv", {"f": f, "p": stats.f.sf(f, 10, 5)}, diff=d)
for i in range(8):
    n = int(rng.integers(6, 40))
    x = np.round(rng.normal(size=n) + 0.3, 9 if i < 4 else 1)
    z = np.round(rng.normal(size=n), 9 if i < 4 else 1)
    zero = ["wilcox", "pratt"][i % 2]
    if i < 4:
        t = stats.wilcoxon(x, z, zero_method=zero, method="exact")
        add("wilcoxon", {"statistic": t.statistic, "p": t.pvalue}, {"zero_method": zero, "method": "exact"}, x=x, y=z)
    t = stats.wilcoxon(x - z, zero_method=zero, method="approx", correction=False)
    add("wilcoxon", {"statistic": t.statistic, "p": t.pvalue}, {"zero_method": zero, "method": "approx"}, d=x - z)
for i in range(5):
    d = np.round(rng.normal(size=int(rng.integers(3, 30))) * 0.01 + 0.004, 5)
    ratio = [1 / 9, 0.25, 1][i % 3]
    t = d.mean() / math.sqrt((1 / len(d) + ratio) * d.var(ddof=1))
    add("corrected_t", {"t": t, "df": len(d) - 1, "p": 2 * stats.t.sf(abs(t), len(d) - 1)}, d=d, n_test_over_n_train=ratio)
for i in range(5):
    x = (rng.random((int(rng.integers(8, 40)), 2 + i)) < np.linspace(0.4, 0.8, 2 + i)).astype(int)
    q = cochrans_q(x)
    mq = mlxtend_q(np.ones(len(x), int), *x.T)
    assert abs(mq[0] - q.statistic) < 1e-9
    add("cochran_q", {"statistic": q.statistic, "df": q.df, "p": q.pvalue}, x=x)
    x = np.round(rng.normal(size=(int(rng.integers(5, 25)), 3 + i)) + np.arange(3 + i) * 0.3, [6, 0][i % 2])
    f = stats.friedmanchisquare(*x.T)
    add("friedman", {"statistic": f.statistic, "p": f.pvalue, "mean_ranks": stats.rankdata(x, axis=1).mean(axis=0)}, x=x)
for i in range(4):
    d = np.round(rng.normal(size=int(rng.integers(3, 14))) + 0.4, 2)
    signs = np.array(list(product([1, -1], repeat=len(d))))
    add("sign_flip", {"p": np.mean(np.abs((signs * d).mean(axis=1)) >= abs(d.mean()) - 1e-12), "patterns": 2 ** len(d)}, d=d)
for i in range(4):
    p = np.round(rng.random(3 + 3 * i) ** 3, 5)
    add("holm", multipletests(p, method="holm")[1], p=p)
add("holm", multipletests([0.01, 0.01, 0.04], method="holm")[1], p=[0.01, 0.01, 0.04])

# ---- fairness --------------------------------------------------------------------------------------------------------------
for i in range(8):
    n = int(rng.integers(20, 90))
    y, p = (rng.random(n) < 0.5).astype(int), (rng.random(n) < 0.4).astype(int)
    g = np.array(labels(n, [["a", "b"], ["a", "b", "c", "d"], [1, 2, 3]][i % 3]))
    if i == 4:
        y[g == "a"] = 0  # a group without positives
    if i == 5:
        p[:] = 0
    names = np.unique(g)
    rate = {v: p[g == v].mean() for v in names}
    lo, hi = min(rate.values()), max(rate.values())
    add("demographic_parity", {"difference": hi - lo, "ratio": lo / hi if hi else float("nan"), "selection_rate": rate}, y_true=y, y_pred=p, group=g.tolist())
    span = []
    for value in (1, 0):
        r = [p[(g == v) & (y == value)].mean() for v in names if np.any((g == v) & (y == value))]
        span.append(max(r) - min(r))
    add("equalised_odds", {"difference": max(span), "equal_opportunity_difference": span[0]}, y_true=y, y_pred=p, group=g.tolist())

# ---- distances -------------------------------------------------------------------------------------------------------------
def psi(p, q):
    p, q = np.maximum(np.array(p) / np.sum(p), 1e-4), np.maximum(np.array(q) / np.sum(q), 1e-4)
    return np.sum((q - p) * np.log(q / p))


for i in range(8):
    n, k = int(rng.integers(5, 120)), int(rng.integers(5, 120))
    digits = [6, 1, 0][i % 3]
    a, b = np.round(rng.normal(size=n), digits), np.round(rng.normal(size=k) * 1.2 + 0.2, digits)
    bins = [10, 4, 20][i % 3]
    edges = np.unique(np.quantile(a, np.arange(1, bins) / bins))
    count = lambda x: np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1)
    add("psi", psi(count(a), count(b)), {"bins": bins}, ref=a, cur=b)
    for method in ("exact", "asymp"):
        t = stats.ks_2samp(b, a, method=method)
        add("ks_2samp", {"statistic": t.statistic, "p": t.pvalue}, {"method": method}, cur=b, ref=a)
    add("wasserstein", stats.wasserstein_distance(b, a), cur=b, ref=a)
    wx, wy = weights(k, 2), weights(n, 1)
    add("wasserstein", stats.wasserstein_distance(b, a, wx, wy), cur=b, ref=a, wx=wx, wy=wy)
    cells = int(rng.integers(2, 9))
    p, q = rng.integers(0, 60, cells), rng.integers(0, 60, cells)
    p[0], q[0], p[1], q[1] = 3, 5, 7, 0
    d = jensenshannon(p, q, base=2)
    add("jensen_shannon", {"distance": d, "divergence": d**2}, p=p, q=q)
    p, q = p + 1, q + 2
    t = stats.chi2_contingency(np.array([p, q]), correction=False)
    add("chi2_homogeneity", {"statistic": t.statistic, "df": t.dof, "p": t.pvalue}, p=p, q=q)
for n, k in [(1, 1), (2, 5), (30, 30), (200, 170), (150, 150), (1500, 900), (20, 1000)]:
    for shift in (0.0, 0.15, 0.6):
        a, b = np.round(rng.normal(size=n), 3), np.round(rng.normal(size=k) + shift, 3)
        for method in ("exact", "asymp"):
            if max(n, k) > 500 and (shift == 0 or method == "asymp" and shift == 0.15):
                continue
            t = stats.ks_2samp(a, b, method=method)
            add("ks_2samp", {"statistic": t.statistic, "p": t.pvalue}, {"method": method}, cur=a, ref=b)
add("ks_2samp", {"statistic": 0, "p": 1}, {"method": "exact"}, cur=[1, 2], ref=[1, 2])
add("psi", psi([10, 5, 0], [2, 5, 9]), ref_counts={"a": 10, "b": 5}, cur_counts={"a": 2, "b": 5, "c": 9})
add("psi", psi([100, 50, 1e6], [100, 50, 0]), ref_counts={"a": 100, "b": 50, "c": 1e6}, cur_counts={"a": 100, "b": 50})
add("jensen_shannon", {"distance": 1.0, "divergence": 1.0}, p=[4, 0], q=[0, 9])
add("jensen_shannon", {"distance": 0.0, "divergence": 0.0}, p=[4, 8], q=[1, 2])

# ---- calibration -------------------------------------------------------------------------------------------------------------
def newton(x, t, w):
    """The exact minimiser of the cross-entropy of sigmoid(x @ beta) to targets t, in extended precision."""
    x, t, w = x.astype(np.longdouble), t.astype(np.longdouble), w.astype(np.longdouble)
    beta = np.zeros(x.shape[1], np.longdouble)
    loss = lambda b: np.sum(w * (np.logaddexp(0, x @ b) - t * (x @ b)))
    for _ in range(300):
        p = 1 / (1 + np.exp(-(x @ beta)))
        g = x.T @ (w * (p - t))
        h = (x.T * (w * p * (1 - p))) @ x
        step = np.linalg.solve(h.astype(float), g.astype(float)).astype(np.longdouble)
        size = np.longdouble(1)
        while size > 1e-10 and loss(beta - size * step) > loss(beta) + 1e-18:
            size /= 2
        beta = beta - size * step
        if np.max(np.abs(step)) < 1e-17 * (1 + np.max(np.abs(beta))):
            break
    return beta.astype(float)


for i in range(8):
    n = int(rng.integers(6, 120))
    y = (rng.random(n) < [0.5, 0.15][i % 2]).astype(int)
    y[:2] = 0, 1
    s = np.round(rng.normal(size=n) * [1, 20, 0.05][i % 3] + 1.5 * y, [4, 0, 4][i % 3])
    w = weights(n, i % 3)
    u = np.ones(n) if w is None else np.array(w)
    u0, u1 = u[y == 0].sum(), u[y == 1].sum()
    query = np.round(np.linspace(s.min() - 1, s.max() + 1, 9), 4)
    t = np.where(y == 1, (u1 + 1) / (u1 + 2), 1 / (u0 + 2))
    beta = newton(np.stack([s, np.ones(n)], 1), t, u)
    add("platt", {"A": -beta[0], "B": -beta[1], "p": special.expit(beta[0] * query + beta[1])}, y_true=y, score=s, w=w, query=query)
    iso = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(s, y, sample_weight=w)
    add("isotonic", iso.predict(query), y_true=y, score=s, w=w, query=query)
    p = np.round(special.expit(s / s.std()), 4)
    if np.all((p > 0) & (p < 1)):
        x = np.stack([np.log(p), -np.log1p(-p), np.ones(n)], 1)
        beta = newton(x, t, u)
        if beta[0] > 0 and beta[1] > 0:
            grid = np.array([0.05, 0.3, 0.5, 0.9])
            add("beta", {"a": beta[0], "b": beta[1], "c": beta[2], "p": special.expit(beta[0] * np.log(grid) - beta[1] * np.log1p(-grid) + beta[2])}, y_true=y, score=p, w=w, query=grid)
y, s = [0, 0, 1, 0, 1, 1], [3, 2, 1, 4, 5, 0]
iso = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(s, y)
add("isotonic", iso.predict([0, 1, 2.5, 4.5, 9]), y_true=y, score=s, query=[0, 1, 2.5, 4.5, 9])
y = [0.1, 0.8, 0.25, 0.4, 0.9, 1.0]
iso = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(s, y)
add("isotonic", iso.predict([0, 1.5, 2, 3.25, 5]), y_true=y, score=s, query=[0, 1.5, 2, 3.25, 5])
add("isotonic", [0.5, 0.5, 0.5], y_true=[0, 1], score=[1, 1], query=[0, 1, 2])
for i in range(6):
    k, n = int(rng.integers(2, 5)), int(rng.integers(10, 80))
    y = rng.integers(0, k, n)
    y[:k] = np.arange(k)
    z = np.round((rng.normal(size=(n, k)) + 1.1 * np.eye(k)[y]) * [1, 6, 0.2][i % 3], 4)
    # One row that is wrong for sure keeps the temperature off 0.
    z[0] = np.round(z[0].max() + 1.0 - z[0], 4)
    nll = lambda b: np.mean(special.logsumexp(b * z, axis=1) - b * z[np.arange(n), y])
    slope = lambda b: np.mean(np.sum(special.softmax(b * z, axis=1) * z, axis=1) - z[np.arange(n), y])
    if slope(1e-4) >= 0 or slope(1e3) <= 0:
        continue
    b = optimize.brentq(slope, 1e-4, 1e3, xtol=1e-300, rtol=8.9e-16, maxiter=500)
    add("temperature", {"T": 1 / b, "log_loss": nll(b)}, y_true=y, logits=z)

out = {
    "versions": {"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__, "statsmodels": statsmodels.__version__, "mlxtend": mlxtend.__version__},
    "command": ".cache/oracle/bin/python engine/evaluate/cases/testdata/golden.py",
    "cases": cases,
    "expected": expected,
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json.gz")
with open(path, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="", compresslevel=9) as z:
    z.write(json.dumps(out, separators=(",", ":"), allow_nan=False).encode())
print(len(cases), "cases,", len({c["metric"] for c in cases}), "metrics,", os.path.getsize(path), "bytes")
