"""Writes golden.json: what scipy, statsmodels and mlxtend say about small counts, differences and score tables.

Run with: python golden.py, in an environment with the versions of test/oracle/requirements.lock.
Where no library has a test (mid-p, Nadeau-Bengio, exact tails for ties) it is computed here from its definition, in
exact arithmetic or by counting every pattern.
"""

import itertools
import json
import math
import os
import sys
import warnings
from fractions import Fraction

import mlxtend
import numpy as np
import scipy
import statsmodels
from mlxtend.evaluate import cochrans_q as mlx_cochran
from mlxtend.evaluate import combined_ftest_5x2cv
from mlxtend.evaluate import mcnemar as mlx_mcnemar
from scipy import stats
from statsmodels.stats import contingency_tables as tables
from statsmodels.stats.multitest import multipletests

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20261121)
cases = []


def clean(v):
    if isinstance(v, dict):
        return {k: clean(x) for k, x in v.items()}
    if isinstance(v, (list, tuple, np.ndarray)):
        return [clean(x) for x in v]
    if isinstance(v, (bool, int, str)) or v is None:
        return v
    v = float(v)
    return "nan" if math.isnan(v) else "inf" if v == math.inf else "-inf" if v == -math.inf else v


def case(test, want, **given):
    cases.append({"test": test, "in": clean(given), "want": clean(want)})


# McNemar: statsmodels for exact, corrected and plain; mlxtend agrees; mid-p from exact fractions.
for b, c in [
    (0, 0),
    (0, 1),
    (1, 1),
    (3, 3),
    (0, 6),
    (5, 2),
    (2, 9),
    (12, 12),
    (30, 11),
    (7, 90),
    (121, 59),
    (400, 431),
    (5000, 5210),
    (100000, 100900),
    (60, 0),
]:
    table = [[50, b], [c, 7]]
    r = tables.mcnemar(table, exact=True)
    if b + c <= 1000:
        total = sum(Fraction(math.comb(b + c, i), 2 ** (b + c)) for i in range(min(b, c) + 1))
        point = Fraction(math.comb(b + c, min(b, c)), 2 ** (b + c))
        exact = float(min(2 * total, 1)) if b != c else 1.0
        assert abs(exact - r.pvalue) < 1e-12
        mid = 1.0 if b + c == 0 else float(1 - point / 2) if b == c else float(2 * total - point)
        case("mcnemar", {"statistic": min(b, c), "p": exact}, b=b, c=c, method="exact")
        case("mcnemar", {"statistic": min(b, c), "p": mid}, b=b, c=c, method="mid_p")
    else:
        case("mcnemar", {"statistic": r.statistic, "p": r.pvalue}, b=b, c=c, method="exact")
    if b + c > 0:
        for name, correction in [("corrected", True), ("plain", False)]:
            r = tables.mcnemar(table, exact=False, correction=correction)
            m, p = mlx_mcnemar(np.array(table), corrected=correction)
            assert abs(m - r.statistic) < 1e-9 and abs(p - r.pvalue) < 1e-9
            case("mcnemar", {"statistic": r.statistic, "p": r.pvalue}, b=b, c=c, method=name)

# Cochran's Q: statsmodels; mlxtend agrees.
for n, k in [(6, 3), (20, 2), (20, 3), (50, 4), (101, 5), (400, 3), (33, 7), (12, 10)]:
    x = (rng.random((n, k)) < np.linspace(0.5, 0.9, k)).astype(int)
    r = tables.cochrans_q(x)
    q, p = mlx_cochran(np.ones(n, int), *[x[:, j] for j in range(k)])
    assert abs(q - r.statistic) < 1e-8, (q, r.statistic)
    case("cochran_q", {"statistic": r.statistic, "df": k - 1, "p": r.pvalue}, x=x)
case("cochran_q", {"statistic": math.nan, "df": 2, "p": math.nan}, x=np.ones((4, 3)))

# Corrected resampled t: its formula over scipy's t.
for j, ratio, shift in [
    (2, 1, 0.1),
    (5, 0.25, 0.02),
    (10, 1 / 9, 0.01),
    (10, 1 / 9, 0),
    (30, 0.25, 0.05),
    (100, 1 / 9, 0.03),
    (7, 0, 0.5),
    (15, 0.5, -3),
]:
    d = rng.normal(shift, 0.03, j)
    scale = math.sqrt((1 / j + ratio) * np.var(d, ddof=1))
    t = np.mean(d) / scale
    half = stats.t.ppf(0.975, j - 1) * scale
    case(
        "corrected_t",
        {"t": t, "df": j - 1, "p": 2 * stats.t.sf(abs(t), j - 1), "mean": np.mean(d), "lo": np.mean(d) - half, "hi": np.mean(d) + half},
        d=d,
        ratio=ratio,
    )
    for rope in (0, 0.01):
        post = stats.t(df=j - 1, loc=np.mean(d), scale=scale)
        case(
            "bayesian_t",
            {
                "lower": post.cdf(-rope),
                "equivalent": post.sf(-rope) - post.sf(rope) if np.mean(d) < 0 else post.cdf(rope) - post.cdf(-rope),
                "higher": post.sf(rope),
            },
            d=d,
            ratio=ratio,
            rope=rope,
        )
case("corrected_t", {"t": math.inf, "df": 4, "p": 0, "mean": 0.5, "lo": 0.5, "hi": 0.5}, d=[0.5] * 5, ratio=0.25)
case("corrected_t", {"t": math.nan, "df": 4, "p": math.nan, "mean": 0, "lo": 0, "hi": 0}, d=[0.0] * 5, ratio=0.25)


# 5x2cv F: mlxtend, fed with the scores.
class Fixed:
    def fit(self, x, y):
        return self

    _estimator_type = "classifier"


for scale, shift in [(0.05, 0), (0.05, 0.05), (0.01, 0.1), (1, 0.2), (0.1, -0.03), (1e-3, 1e-3)]:
    scores = rng.normal(0.8, scale, (5, 2, 2))
    scores[:, :, 0] += shift
    feed = iter(scores.reshape(-1))
    f, p = combined_ftest_5x2cv(Fixed(), Fixed(), np.zeros((20, 1)), np.arange(20) % 2, scoring=lambda *a, feed=feed: next(feed), random_seed=1)
    diff = scores[:, :, 0] - scores[:, :, 1]
    case("f5x2cv", {"statistic": f, "p": p}, diff=diff)

# Wilcoxon: scipy; with ties the exact distribution by counting every pattern of signs.
for n, kind in [
    (1, "c"),
    (3, "c"),
    (5, "c"),
    (8, "c"),
    (12, "c"),
    (25, "c"),
    (50, "c"),
    (120, "c"),
    (6, "t"),
    (10, "t"),
    (13, "t"),
    (14, "z"),
    (40, "t"),
    (200, "z"),
    (9, "z"),
]:
    x = rng.normal(0.3, 1, n)
    if kind == "t":
        x = np.round(x * 2) / 2 + 0.25
    if kind == "z":
        x = np.round(x * 2) / 2
    for zero in ("wilcox", "pratt"):
        r = stats.wilcoxon(x, zero_method=zero, method="asymptotic", correction=False)
        case("wilcoxon", {"statistic": r.statistic, "p": r.pvalue}, d=x, zeros=zero, method="approx")
        # Of x and -x, whose p-values are equal, the one for which scipy sums a lower tail instead of 1 - (a sum).
        plus = [stats.wilcoxon(v, zero_method=zero, method="exact", alternative="greater").statistic for v in (x, -x)]
        turned = plus[1] < plus[0] and (zero == "wilcox" or all(x != 0))
        r = stats.wilcoxon(-x if turned else x, zero_method=zero, method="exact")
        case("wilcoxon", {"statistic": r.statistic, "p": r.pvalue}, d=x, zeros=zero, method="exact")
        kept = x[x != 0] if zero == "wilcox" else x
        ranks = stats.rankdata(np.abs(kept))[kept != 0]
        if len(ranks) <= 14:
            low = sum(1 for s in itertools.product((0, 1), repeat=len(ranks)) if np.dot(s, ranks) <= r.statistic + 1e-9)
            case("wilcoxon", {"statistic": r.statistic, "p": min(1, 2 * low / 2 ** len(ranks))}, d=x, zeros=zero, method="conditional")
case("wilcoxon", {"statistic": 0, "p": 1}, d=[0, 0, 0], zeros="wilcox", method="conditional")
for n in (1, 2, 7, 20, 21):
    x = rng.normal(0.2, 1, n)
    case("hodges_lehmann", {"value": np.median([(x[i] + x[j]) / 2 for i in range(n) for j in range(i, n)])}, d=x)

# Friedman: scipy; Nemenyi's p-values from its studentised range.
for n, k, digits in [(3, 3, 9), (6, 3, 9), (10, 4, 1), (20, 5, 9), (30, 10, 2), (12, 3, 0), (8, 6, 9), (100, 8, 1)]:
    x = np.round(rng.normal(np.linspace(0, 0.6, k), 1, (n, k)), digits)
    r = stats.friedmanchisquare(*[x[:, j] for j in range(k)])
    ranks = np.mean([stats.rankdata(row) for row in x], axis=0)
    f = (n - 1) * r.statistic / (n * (k - 1) - r.statistic)
    case(
        "friedman",
        {"statistic": r.statistic, "df": k - 1, "p": r.pvalue, "mean_ranks": ranks, "f": f, "f_p": stats.f.sf(f, k - 1, (k - 1) * (n - 1))},
        x=x,
    )
    se = math.sqrt(k * (k + 1) / (6 * n))
    p = [[stats.studentized_range.sf(abs(a - b) / se * math.sqrt(2), k, np.inf) for b in ranks] for a in ranks]
    for alpha in (0.05, 0.1):
        cd = stats.studentized_range.ppf(1 - alpha, k, np.inf) / math.sqrt(2) * se
        case("nemenyi", {"cd": cd, "ranks": np.sort(ranks), "p": p}, x=x, alpha=alpha)

# Sign flips: every pattern, and scipy's permutation test where it is exact too.
for n, kind in [(1, "c"), (4, "c"), (7, "c"), (10, "c"), (12, "t"), (9, "z"), (5, "same"), (16, "c")]:
    d = rng.normal(0.4, 1, n)
    if kind in "tz":
        d = np.round(d * 2) / 2 + (0.25 if kind == "t" else 0)
    if kind == "same":
        d = np.full(n, 0.5)
    signs = np.array(list(itertools.product((-1, 1), repeat=n)))
    p = np.mean(np.abs(signs @ d / n) >= abs(d.mean()) - 1e-12)
    if n > 1:
        r = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
        assert kind != "c" or abs(r.pvalue - p) < 1e-12
    case("sign_flip", {"p": p, "patterns": 2**n}, d=d)

# Holm and Benjamini-Hochberg: statsmodels.
for p in [
    [0.01],
    [0.01, 0.04],
    [0.04, 0.01, 0.03, 0.005],
    [0.5, 0.5, 0.5],
    [1, 0, 0.2],
    list(rng.random(20) ** 3),
    list(rng.random(101) ** 4),
    [0.02] * 5 + [0.9],
]:
    case("holm", {"p": multipletests(p, method="holm")[1]}, p=p)
    case("bh", {"p": multipletests(p, method="fdr_bh")[1]}, p=p)

# BCa: scipy's interval for its own resamples.
for n, name in [(12, "mean"), (30, "median"), (50, "var"), (20, "max")]:
    x = np.round(rng.gamma(2, 1, n), 3)
    stat = {"mean": np.mean, "median": np.median, "var": np.var, "max": np.max}[name]
    for level in (0.95, 0.8):
        r = stats.bootstrap((x,), stat, n_resamples=199, confidence_level=level, method="BCa", vectorized=False, rng=np.random.default_rng(n))
        jack = [stat(np.delete(x, i)) for i in range(n)]
        case(
            "bca",
            {"lo": r.confidence_interval.low, "hi": r.confidence_interval.high},
            value=stat(x),
            resamples=r.bootstrap_distribution,
            jackknife=jack,
            level=level,
        )

libraries = f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, mlxtend {mlxtend.__version__}, numpy {np.__version__}"
versions = f"{libraries}, python {sys.version.split()[0]}; python golden.py"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as f:
    f.write('{"versions": ' + json.dumps(versions) + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
print(len(cases))
