"""Writes golden.json: rates and gaps of groups by their definitions, with the intervals of statsmodels and the
chi-squared test of scipy.

Run with: python golden.py, in an environment with the versions of test/oracle/requirements.lock.
"""

import json
import math
import os
import sys
import warnings

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)


def clean(v):
    if isinstance(v, dict):
        return {k: clean(x) for k, x in v.items()}
    if isinstance(v, (list, tuple, np.ndarray)):
        return [clean(x) for x in v]
    if isinstance(v, (str, int)):
        return v
    return None if not math.isfinite(v) else float(v)


def rate(hit, among):
    k, n = int(np.sum(hit & among)), int(np.sum(among))
    if n == 0:
        return {"k": 0, "n": 0, "value": math.nan, "lo": 0.0, "hi": 1.0}
    lo, hi = proportion_confint(k, n, method="wilson")
    return {"k": k, "n": n, "value": k / n, "lo": max(lo, 0.0), "hi": min(hi, 1.0)}


def gap(rates, small):
    kept = [(i, r) for i, r in enumerate(rates) if not small[i] and r["n"] > 0]
    nan = math.nan
    if not kept:
        return {"difference": nan, "ratio": nan, "lo": nan, "hi": nan, "p": nan, "groups": 0}
    values = [r["value"] for _, r in kept]
    low, high = kept[int(np.argmin(values))][1], kept[int(np.argmax(values))][1]
    out = {"difference": max(values) - min(values), "ratio": min(values) / max(values) if max(values) > 0 else nan, "lo": nan, "hi": nan, "p": nan}
    out["groups"] = len(kept)
    if len(kept) > 1:
        out["lo"], out["hi"] = confint_proportions_2indep(high["k"], high["n"], low["k"], low["n"], method="newcomb", compare="diff")
        table = np.array([[r["k"], r["n"] - r["k"]] for _, r in kept])
        if table.sum(axis=0).all():
            out["p"] = stats.chi2_contingency(table, correction=False).pvalue
    return out


def mean(v):
    if len(v) == 0:
        return {"n": 0, "value": math.nan, "lo": math.nan, "hi": math.nan}
    m = np.mean(v)
    half = stats.norm.ppf(0.975) * np.std(v, ddof=1) / math.sqrt(len(v)) if len(v) > 1 else math.nan
    return {"n": len(v), "value": m, "lo": m - half, "hi": m + half}


def binary(y, p, threshold, group, names, minimum):
    d, t = p >= threshold, y == 1
    inside = [group == g for g in names]
    small = [int(np.sum(m)) < minimum for m in inside]
    every = {
        "prevalence": [rate(t, m) for m in inside],
        "selection": [rate(d, m) for m in inside],
        "true_positive": [rate(d, m & t) for m in inside],
        "false_positive": [rate(d, m & ~t) for m in inside],
        "false_negative": [rate(~d, m & t) for m in inside],
        "precision": [rate(t, m & d) for m in inside],
        "accuracy": [rate(d == t, m) for m in inside],
    }
    names_of = {
        "demographic_parity": "selection",
        "equal_opportunity": "true_positive",
        "false_positive_balance": "false_positive",
        "false_negative_balance": "false_negative",
        "predictive_parity": "precision",
        "accuracy": "accuracy",
    }
    gaps = {name: gap(every[of], small) for name, of in names_of.items()}
    odds = [v for v in (gaps["equal_opportunity"]["difference"], gaps["false_positive_balance"]["difference"]) if not math.isnan(v)]
    calibration = [mean((p - y)[m]) for m in inside]
    spread = [c["value"] for c, s in zip(calibration, small) if not s and c["n"]]
    return {
        "rates": every,
        "gaps": gaps,
        "equalised_odds": max(odds) if odds else math.nan,
        "calibration_gap": calibration,
        "calibration": max(spread) - min(spread) if spread else math.nan,
    }


cases = []
for n, k, minimum, threshold in [
    (1, 1, 0, 0.5),
    (12, 2, 0, 0.5),
    (40, 3, 0, 0.5),
    (40, 5, 8, 0.5),
    (200, 4, 0, 0.3),
    (300, 2, 0, 0.9),
    (300, 6, 45, 0.5),
    (60, 3, 0, 1.1),
    (60, 3, 0, 0),
]:
    for kind in ("mixed", "one_class"):
        group = np.array([f"g{v}" for v in rng.integers(0, k, n)])
        names = sorted(set(group))
        skill = np.array([int(g[1:]) for g in group]) / max(k, 1)
        y = (rng.random(n) < 0.3 + 0.4 * skill).astype(int)
        if kind == "one_class":
            y[group == names[0]] = 0
        p = np.round(np.clip(0.3 * y + 0.3 * skill + 0.5 * rng.random(n), 0, 1), 4)
        case = {"y": y, "p": p, "threshold": threshold, "group": group, "minimum": minimum}
        cases.append({"task": "binary", "in": clean(case), "want": clean(binary(y, p, threshold, group, names, minimum))})
    v, q = np.round(rng.normal(10, 3, n), 3), np.round(rng.normal(10, 3, n), 3)
    want = {
        "label": [mean(v[group == g]) for g in names],
        "prediction": [mean(q[group == g]) for g in names],
        "residual": [mean((q - v)[group == g]) for g in names],
        "absolute": [mean(np.abs(q - v)[group == g]) for g in names],
    }
    cases.append({"task": "regression", "in": clean({"y": v, "p": q, "group": group}), "want": clean(want)})

versions = (
    f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {np.__version__}, python {sys.version.split()[0]}; python golden.py"
)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as f:
    f.write('{"versions": ' + json.dumps(versions) + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
print(len(cases))
