"""Writes golden.json: the splits that scikit-learn makes of small and odd numbers of rows.

Run with: python golden.py, in an environment with the versions of test/oracle/requirements.lock.
Splits of more than 45 rows are kept as a hash of their text.
"""

import hashlib
import json
import os
import sys
import warnings

import numpy as np
import sklearn
from sklearn import model_selection as ms
from sklearn.model_selection._split import _RepeatedSplits

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)
cases = []


def text(v):
    return ",".join(str(int(i)) for i in v)


def case(spec, splitter, n, y=None, groups=None, fold=None):
    entry = {"spec": spec, "rows": n}
    if y is not None:
        entry["y"] = [int(v) for v in y]
    if groups is not None:
        entry["groups"] = [int(v) for v in groups]
    if fold is not None:
        entry["fold"] = [int(v) for v in fold]
    try:
        splits = [[text(train), text(test)] for train, test in splitter.split(np.zeros((n, 1)), y, groups)]
    except ValueError as e:
        entry["error"] = str(e)
        cases.append(entry)
        return
    if n > 45 or len(splits) > 40:
        joined = "|".join(train + ";" + test for train, test in splits)
        entry["splits"], entry["sha256"] = len(splits), hashlib.sha256(joined.encode()).hexdigest()
    else:
        entry["want"] = splits
    cases.append(entry)


def labels(n, k, skew=1.0):
    p = np.arange(1, k + 1) ** -float(skew)
    return rng.choice(k, n, p=p / p.sum())


class Repeated(_RepeatedSplits):
    pass


# KFold and its repetition
for n, k in [(2, 2), (7, 3), (11, 5), (23, 4), (45, 10), (101, 7), (1000, 3), (4, 5)]:
    case({"kind": "kfold", "k": k}, ms.KFold(k), n)
    for seed in (0, 42, 4294967295):
        case({"kind": "kfold", "k": k, "shuffle": True, "seed": seed}, ms.KFold(k, shuffle=True, random_state=seed), n)
for n, k, r, seed in [(7, 3, 2, 0), (31, 5, 3, 1), (500, 10, 4, 99)]:
    case({"kind": "kfold", "k": k, "repeats": r, "seed": seed}, ms.RepeatedKFold(n_splits=k, n_repeats=r, random_state=seed), n)

# StratifiedKFold and its repetition
for n, classes, k, skew in [
    (9, 2, 2, 0),
    (17, 3, 3, 0.5),
    (29, 2, 5, 1),
    (44, 6, 4, 1),
    (45, 4, 7, 1.5),
    (203, 9, 10, 1),
    (1001, 3, 5, 2),
    (6, 3, 5, 0),
]:
    y = labels(n, classes, skew)
    case({"kind": "stratified", "k": k}, ms.StratifiedKFold(k), n, y)
    for seed in (0, 7):
        case({"kind": "stratified", "k": k, "shuffle": True, "seed": seed}, ms.StratifiedKFold(k, shuffle=True, random_state=seed), n, y)
for n, k, r, seed in [(13, 3, 2, 0), (41, 5, 3, 1), (333, 4, 5, 2024)]:
    y = labels(n, 3)
    splitter = ms.RepeatedStratifiedKFold(n_splits=k, n_repeats=r, random_state=seed)
    case({"kind": "stratified", "k": k, "repeats": r, "seed": seed}, splitter, n, y)

# Groups
for n, g, k in [(8, 4, 2), (19, 5, 3), (45, 12, 4), (45, 45, 5), (211, 17, 5), (1003, 40, 10), (10, 2, 3)]:
    groups = labels(n, g, 0.7)
    y = labels(n, 3, 0.5)
    if len(set(groups)) < g and n == 45:
        groups = np.arange(n) % g
    case({"kind": "group", "k": k}, ms.GroupKFold(k), n, None, groups)
    for seed in (0, 3):
        case({"kind": "group", "k": k, "shuffle": True, "seed": seed}, ms.GroupKFold(k, shuffle=True, random_state=seed), n, None, groups)
    case({"kind": "stratified_group", "k": k}, ms.StratifiedGroupKFold(k), n, y, groups)
    for seed in (0, 3, 11):
        splitter = ms.StratifiedGroupKFold(k, shuffle=True, random_state=seed)
        case({"kind": "stratified_group", "k": k, "shuffle": True, "seed": seed}, splitter, n, y, groups)
    case({"kind": "leave_one_group_out"}, ms.LeaveOneGroupOut(), n, None, groups)
    case({"kind": "leave_p_groups_out", "p": 2}, ms.LeavePGroupsOut(2), n, None, groups)
    for size in (0.2, 0.5, 1):
        splitter = ms.GroupShuffleSplit(4, test_size=size, random_state=8)
        case({"kind": "group_shuffle", "k": 4, "test_size": size, "seed": 8}, splitter, n, None, groups)
for classes, g, k in [(1, 30, 4), (2, 60, 9), (10, 50, 5), (20, 80, 12)]:
    n = 400
    y, groups = labels(n, classes, 0.3), labels(n, g, 0.4)
    for seed in (0, 1, 2):
        splitter = ms.StratifiedGroupKFold(k, shuffle=True, random_state=seed)
        case({"kind": "stratified_group", "k": k, "shuffle": True, "seed": seed}, splitter, n, y, groups)
for kind, cls in (("group", ms.GroupKFold), ("stratified_group", ms.StratifiedGroupKFold)):
    y, groups = labels(90, 2), labels(90, 15, 0.5)
    splitter = Repeated(cls, n_repeats=3, random_state=4, n_splits=3)
    case({"kind": kind, "k": 3, "repeats": 3, "seed": 4}, splitter, 90, y, groups)

# Random splits
for n, test, train in [
    (5, None, None),
    (11, 0.3, None),
    (37, 0.25, 0.5),
    (45, 7, None),
    (45, None, 0.8),
    (45, 5, 11),
    (999, 0.1, None),
    (1000, 0.29, None),
    (3, 3, None),
]:
    spec = {"k": 3, "seed": 12} | ({"test_size": test} if test else {}) | ({"train_size": train} if train else {})
    given = {"n_splits": 3, "random_state": 12, "test_size": test, "train_size": train}
    case({"kind": "shuffle"} | spec, ms.ShuffleSplit(**given), n)
    for classes, skew in [(2, 0), (3, 1), (5, 0)]:
        y = labels(n, classes, skew)
        case({"kind": "stratified_shuffle"} | spec, ms.StratifiedShuffleSplit(**given), n, y)
y = np.repeat([0, 1, 2, 3], [10, 10, 10, 10])
for seed in range(4):  # ties of remainders are broken at random
    case(
        {"kind": "stratified_shuffle", "k": 5, "test_size": 6, "train_size": 9, "seed": seed},
        ms.StratifiedShuffleSplit(5, test_size=6, train_size=9, random_state=seed),
        40,
        y,
    )

# Rows, time, predefined
for n, p in [(2, 1), (5, 1), (5, 2), (7, 3), (12, 4), (6, 5), (4, 4)]:
    if p == 1:
        case({"kind": "leave_one_out"}, ms.LeaveOneOut(), n)
    case({"kind": "leave_p_out", "p": p}, ms.LeavePOut(p), n)
for n, k, test, train, gap in [
    (6, 5, None, None, 0),
    (11, 3, None, None, 0),
    (20, 4, 2, None, 3),
    (45, 5, None, 6, 0),
    (45, 3, 5, 7, 2),
    (100, 9, 7, 30, 11),
    (365, 12, 28, None, 1),
    (10, 4, 2, None, 2),
    (10, 4, 2, None, 1),
]:
    spec = (
        {"kind": "time_series", "k": k}
        | ({"test_size": test} if test else {})
        | ({"max_train": train} if train else {})
        | ({"gap": gap} if gap else {})
    )
    case(spec, ms.TimeSeriesSplit(k, test_size=test, max_train_size=train, gap=gap), n)
for fold in ([0, 1, 0, 1, 2], [-1, 0, 0, -1], [3, 3, 1, -1, 1, 7], list(rng.integers(-1, 4, 45))):
    case({"kind": "predefined"}, ms.PredefinedSplit(fold), len(fold), fold=fold)

versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, python {sys.version.split()[0]}; python golden.py"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as f:
    f.write('{"versions": ' + json.dumps(versions) + ',\n"cases": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")
print(len(cases), sum("error" in c for c in cases))
