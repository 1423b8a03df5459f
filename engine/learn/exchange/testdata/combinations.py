"""Makes combinations.json.gz: small CatBoost models with statistics of combinations of features, beside what CatBoost predicts
and its ShapValues.

Run with the environment of test/oracle: .cache/oracle/bin/python engine/learn/exchange/testdata/combinations.py
"""

import gzip
import importlib.metadata
import json
import os
import pathlib
import tempfile

import catboost
import numpy as np
import pandas

HERE = pathlib.Path(__file__).parent
ROWS = 700
LEVELS = {1: 6, 2: 8, 3: 3}  # of the category columns
NAMES = ["x", "shop", "town", "kind", "z"]
kinds, lengths = set(), set()


def data():
    """A number with gaps, three category columns that only tell together, a number."""
    r = np.random.default_rng(5)
    a, b, c = (r.integers(0, n, ROWS) for n in LEVELS.values())
    x = np.where(r.random(ROWS) < 0.2, np.nan, r.normal(size=ROWS))
    z = r.normal(size=ROWS)
    effect = r.normal(size=(6, 8, 3))
    y = 2 * effect[a, b, c] + effect[a, b, 0] * (np.nan_to_num(x, nan=1.0) > 0.2) + z / 3 + r.normal(size=ROWS) / 5
    gap = r.random(ROWS) < 0.1
    return np.column_stack([x, np.where(gap, np.nan, a), b, c, z]), y


X, SIGNAL = data()


def rows():
    """Rows of the training set, pairs that it does not have, categories never seen, and gaps."""
    r = np.random.default_rng(6)
    new = X[r.choice(ROWS, 60)].copy()
    for j in range(5):
        new[:, j] = new[r.permutation(60), j]
    unseen = X[:24].copy()
    for i, row in enumerate(unseen):
        row[1 + i % 3] = 40 + i
    gaps = X[24:48].copy()
    gaps[::2, 0] = np.nan
    gaps[::3, 1] = np.nan
    gaps[1::4, 2] = np.nan  # a missing category where none was in training
    return np.vstack([X[:40], new, unseen, gaps, np.full((1, 5), np.nan)])


def frame(x, text):
    f = pandas.DataFrame(x, columns=NAMES)
    for j in LEVELS:
        f[NAMES[j]] = [text(j, v) for v in x[:, j]]
    return f


def word(j, v):
    return "nan" if v != v else f"{NAMES[j]} {int(v)}"


def whole(j, v):
    return "-7" if v != v else str(int(v))


def case(name, model, y, kind="RawFormulaVal", text=word, iterations=12, task="regression", shap=True):
    pool = catboost.Pool(frame(X, text), y, cat_features=[NAMES[j] for j in LEVELS])
    model.set_params(
        iterations=iterations, thread_count=1, random_seed=3, max_ctr_complexity=4, model_size_reg=0, allow_writing_files=False, verbose=False
    )
    model.fit(pool)
    model.save_model("model.json", format="json", pool=pool)
    parsed = json.loads(pathlib.Path("model.json").read_text())
    params = parsed["model_info"]["params"]
    params = json.loads(params) if isinstance(params, str) else params
    parsed["model_info"] = {k: v for k, v in parsed["model_info"].items() if k in ("catboost_version_info", "class_params")} | {
        "params": {"loss_function": params["loss_function"]}
    }
    combined = 0
    for ctr in parsed["features_info"]["ctrs"]:
        if len(ctr["elements"]) > 1:
            combined += 1
            lengths.add(len(ctr["elements"]))
            kinds.update((ctr["ctr_type"], e["combination_element"]) for e in ctr["elements"])
    if not combined:
        raise ValueError(f"{name} has no combinations")
    test = rows()
    if text is whole:
        test = test[~np.isnan(test[:, list(LEVELS)]).any(axis=1)]
    table = catboost.Pool(frame(test, text), cat_features=[NAMES[j] for j in LEVELS])
    want = np.asarray(model.predict(table, prediction_type=kind), dtype=float)
    if kind == "Probability" and want.shape[1] == 2:
        want = want[:, 1]
    out = {
        "name": "catboost combinations, " + name,
        "format": "catboost",
        "model": json.dumps(parsed, separators=(",", ":")),
        "x": [[None if v != v else float(v) for v in row] for row in test],
        "want": want.reshape(len(test), -1).tolist(),
        "near": 1e-9,
        "task": task,
        "texts": {str(j): [text(j, v) for v in range(n)] for j, n in LEVELS.items()},
    }
    if shap:
        values = model.get_feature_importance(table, type="ShapValues")
        out["shap"] = values.reshape(len(test), -1, 6).tolist()
    return out


def cases():
    one, many = catboost.CatBoostClassifier, catboost.CatBoostRegressor
    positive = SIGNAL > np.median(SIGNAL)
    classes = np.digitize(SIGNAL, np.quantile(SIGNAL, [0.3, 0.6]))
    yield case("as it comes", one(depth=4), positive, "Probability", task="binary")
    yield case("small", many(depth=3), SIGNAL, iterations=2)
    yield case("numbers", many(depth=4), SIGNAL)
    yield case("missing above all", many(depth=4, nan_mode="Max"), SIGNAL)
    yield case("one hot beside", many(depth=5, one_hot_max_size=3), SIGNAL, iterations=25)
    yield case("classes", one(depth=3, loss_function="MultiClass", one_hot_max_size=2), classes, "Probability", iterations=6, task="multiclass")
    yield case("whole numbers", many(depth=4, one_hot_max_size=2), SIGNAL, text=whole)
    for kind in ("Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"):
        prior = [f"{kind}:Prior=0.5/1"] if kind != "Counter" else [kind]
        yield case(f"of type {kind}", many(depth=4, one_hot_max_size=2, simple_ctr=["Borders"], combinations_ctr=prior), SIGNAL)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made = list(cases())
    print(sorted(kinds), sorted(lengths))
    versions = {n: importlib.metadata.version(n) for n in ("catboost", "numpy", "pandas")}
    text = json.dumps(
        {"versions": versions, "command": ".cache/oracle/bin/python engine/learn/exchange/testdata/combinations.py", "cases": made}, allow_nan=False
    )
    (HERE / "combinations.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(len(made), "cases,", (HERE / "combinations.json.gz").stat().st_size, "bytes")


main()
