"""Writes golden.json: tail probabilities by scipy, those of coins in exact fractions, ranges by a fine trapezoid.

Run with: python golden.py, in an environment with the versions of test/oracle/requirements.lock.
"""

import json
import math
import os
import sys
from fractions import Fraction

import numpy as np
import scipy
from scipy import special, stats

cases = []


def case(name, args, want):
    cases.append({"tail": name, "args": args, "want": float(want)})


for z in (-8, -1.5, 0, 0.3, 1.96, 5, 12, 37):
    case("normal", [z], stats.norm.sf(z))
    case("normal_both", [z], 2 * stats.norm.sf(abs(z)))
for df in (1, 2, 3.5, 9, 40, 300, 5000):
    for x in (1e-8, 0.01, 0.7, 3, 12, 60, 400, 5100):
        case("chi_squared", [x, df], stats.chi2.sf(x, df))
for df in (1, 2, 4, 9.5, 30, 120, 999, 99999):
    for t in (0, 1e-6, 0.05, 0.7, 2, 5, 20, 80):
        case("student_both", [t, df], 2 * stats.t.sf(t, df))
        case("student", [-t, df], stats.t.sf(-t, df))
for a, b in [(1, 1), (2, 5), (10, 5), (3, 40), (9, 261), (1, 5000), (50, 50)]:
    for x in (1e-6, 0.1, 0.9, 1.1, 3, 12, 90):
        case("f", [x, a, b], stats.f.sf(x, a, b))
for n in (1, 2, 7, 24, 25, 100, 999):
    for k in sorted({0, n // 7, n // 3, n // 2, n - 1, n}):
        case("coin", [k, n], float(sum(Fraction(math.comb(n, i), 2**n) for i in range(k + 1))))
        case("coin_point", [k, n], float(Fraction(math.comb(n, k), 2**n)))
for k, n in [(100000, 200900), (499000, 1000000), (90000, 200000)]:
    case("coin", [k, n], stats.binom.cdf(k, n, 0.5))

# The integral of StudentizedRange over a fine grid; the trapezoid is exact to rounding for a function that falls like
# this one.
z = np.linspace(-12, 30, 400001)
for k in (2, 3, 5, 10, 40):
    for q in (1e-3, 0.5, 1.5, 3, 5, 8, 14):
        below, beyond = special.log_ndtr(z), special.log_ndtr(z - q)
        share = np.exp(beyond - below)
        y = np.exp(-z * z / 2 + (k - 1) * below) * -np.expm1((k - 1) * np.log1p(-np.minimum(share, 1 - 1e-17)))
        want = k * np.trapezoid(y, z) / math.sqrt(2 * math.pi)
        assert abs(want - stats.studentized_range.sf(q, k, np.inf)) < 1e-9
        case("range", [q, k], want)

versions = f"scipy {scipy.__version__}, numpy {np.__version__}, python {sys.version.split()[0]}; python golden.py"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as f:
    f.write('{"versions": ' + json.dumps(versions) + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
print(len(cases))
