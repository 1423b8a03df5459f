"""The pipelines of the worker benchmark, and the time that a call takes in Python itself.

Usage: peer.py prepare FOLDER   trains the pipelines: NAME.pkl
       peer.py call FOLDER      answers each line "NAME COUNT" of standard input with the seconds of each call, as JSON
"""

import json
import pathlib
import pickle
import sys
import time

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

COLUMNS = 12


def prepare(folder):
    r = np.random.default_rng(1)
    x = r.standard_normal((2000, COLUMNS))
    y = x[:, 0] + x[:, 1] > 0
    (folder / "numbers.pkl").write_bytes(pickle.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)))
    table = pd.DataFrame(x, columns=[f"x{i}" for i in range(COLUMNS)])
    table["carrier"] = r.choice(["AA", "UA", "DL"], len(table))
    mixed = ColumnTransformer([("text", OneHotEncoder(), ["carrier"]), ("number", StandardScaler(), list(table.columns[:-1]))])
    (folder / "columns.pkl").write_bytes(pickle.dumps(make_pipeline(mixed, LogisticRegression()).fit(table, y)))


def rows(name, count):
    values = np.full((count, COLUMNS), 0.5)
    if name == "numbers":
        return values
    # The same columns that a worker gets: arrays, of which a table is made for each call.
    return {**{f"x{i}": values[:, i].copy() for i in range(COLUMNS)}, "carrier": np.array(["AA"] * count, dtype=object)}


def main():
    task, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if task == "prepare":
        prepare(folder)
        return
    models = {p.stem: pickle.loads(p.read_bytes()) for p in folder.glob("*.pkl")}
    for line in sys.stdin:
        name, size, calls = line.split()
        model, given = models[name], rows(name, int(size))
        seconds = []
        for _ in range(int(calls)):
            start = time.perf_counter()
            model.predict_proba(pd.DataFrame(given, copy=False) if isinstance(given, dict) else given)
            seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)


main()
