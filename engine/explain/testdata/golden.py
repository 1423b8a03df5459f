"""Contributions by the libraries that users know, for explain's tests.

    .cache/oracle/bin/python engine/explain/testdata/golden.py

writes golden.json.gz beside it. Each case is an ensemble in the shape of tree.Ensemble, rows, and what the library says:
LightGBM's pred_contrib (double), XGBoost's pred_contribs (single precision), shap's path-dependent TreeExplainer (double).
Some cases hold the library's own model file instead, CatBoost's with its ShapValues. Libraries and versions are in the file.
"""

import gzip
import json
import math
import pathlib
import tempfile

import catboost
import lightgbm
import numpy as np
import shap
import sklearn
import xgboost
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeRegressor

ROWS = 12


class Tree:
    def __init__(self, output):
        self.output, self.feature, self.threshold, self.left, self.right = output, [], [], [], []
        self.missing_left, self.value, self.cover, self.sets = [], [], [], {}

    # A split of the missing from all others has an infinite threshold, which JSON cannot hold.
    def add(self, feature=-1, threshold=0.0, missing_left=False, value=0.0, cover=0.0):
        for column, v in zip(
            (self.feature, self.threshold, self.left, self.right, self.missing_left, self.value, self.cover),
            (feature, float(np.clip(float(threshold), -1e308, 1e308)), 0, 0, bool(missing_left), float(value), float(cover)),
            strict=True,
        ):
            column.append(v)
        return len(self.feature) - 1


def frame(rows, seed, missing=0.1, zeros=0.0, categories=False):
    """Seven columns of numbers that single precision holds; the sixth holds categories when asked for."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(rows, 7)).astype(np.float32).astype(np.float64)
    x[:, 4] = np.round(x[:, 4])
    if categories:
        x[:, 5] = r.integers(0, 40, rows)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + (np.mod(x[:, 5], 7) if categories else x[:, 5] ** 2) + 0.2 * r.normal(size=rows)
    x[r.random(x.shape) < zeros] = 0
    hole = r.random(x.shape) < missing
    if categories:
        hole[:, 5] = r.random(rows) < missing
    x[hole] = np.nan
    return x, y


def lightgbm_trees(booster, outputs):
    """LightGBM's dump: `<=` goes left; a missing value counts as 0 unless the split's missing type says otherwise."""
    zero = [False] * booster.num_feature()
    trees = []
    for number, info in enumerate(booster.dump_model()["tree_info"]):
        t = Tree(number % outputs)

        def grow(n, t=t):
            if "split_index" not in n:
                return t.add(value=n["leaf_value"], cover=n.get("leaf_count", 0))
            f, kind = n["split_feature"], n["missing_type"]
            if n["decision_type"] == "==":
                at = t.add(f, 0, False, cover=n["internal_count"])
                t.sets[at] = [int(c) for c in n["threshold"].split("||")]
            else:
                left = n["default_left"] if kind != "None" else 0 <= n["threshold"]
                at = t.add(f, n["threshold"], left, cover=n["internal_count"])
                zero[f] = zero[f] or kind == "Zero"
            t.left[at] = grow(n["left_child"])
            t.right[at] = grow(n["right_child"])
            return at

        grow(info["tree_structure"])
        trees.append(t)
    return trees, zero


def xgboost_trees(booster, outputs):
    """XGBoost's JSON: `<` in single precision goes left, which is `<=` of the number before."""
    model = json.loads(booster.save_raw("json"))["learner"]
    base = json.loads(model["learner_model_param"]["base_score"])
    base = base if isinstance(base, list) else [base]
    trees = []
    for number, src in enumerate(model["gradient_booster"]["model"]["trees"]):
        t = Tree(number % outputs)
        for i, left in enumerate(src["left_children"]):
            condition, cover = np.float32(src["split_conditions"][i]), src["sum_hessian"][i]
            if left < 0:
                t.add(value=condition, cover=cover)
            else:
                t.add(src["split_indices"][i], np.nextafter(condition, np.float32(-np.inf)), src["default_left"][i], cover=cover)
                t.left[i], t.right[i] = left, src["right_children"][i]
        trees.append(t)
    return trees, base


def sklearn_trees(estimators, outputs):
    trees = []
    for e in estimators:
        s = e.tree_
        for k in range(outputs):
            t = Tree(k)
            for i in range(s.node_count):
                leaf = s.children_left[i] < 0
                t.add(-1 if leaf else s.feature[i], 0 if leaf else s.threshold[i], s.missing_go_to_left[i],
                      s.value[i].ravel()[k] if leaf else 0, s.weighted_n_node_samples[i])  # fmt: skip
                if not leaf:
                    t.left[i], t.right[i] = int(s.children_left[i]), int(s.children_right[i])
            trees.append(t)
    return trees


def case(name, trees, x, contributions, expected, base, tolerance, average=False, single=True, zero=None):
    """contributions is rows x outputs x features."""
    return {
        "name": name, "features": x.shape[1], "base": [float(b) for b in base], "average": average, "single": single,
        "zero_missing": zero if zero and any(zero) else None,
        "trees": [{"output": t.output, "feature": [int(f) for f in t.feature], "threshold": t.threshold, "left": t.left, "right": t.right,
                   "missing_left": t.missing_left, "value": t.value, "cover": t.cover, "sets": t.sets} for t in trees],
        "x": [[None if math.isnan(v) else float(v) for v in row] for row in x],
        "contributions": np.asarray(contributions, dtype=float).reshape(len(x), -1).tolist(),
        "expected": [float(v) for v in np.ravel(expected)], "tolerance": tolerance,
    }  # fmt: skip


def from_lightgbm(name, params, x, y, rounds=12, categorical=(), **changes):
    outputs = params.get("num_class", 1)
    params = {"verbosity": -1, "seed": 1, "num_leaves": 15, "min_data_in_leaf": 5, "deterministic": True, "num_threads": 1, **params}
    data = lightgbm.Dataset(x, y, categorical_feature=list(categorical))
    booster = lightgbm.train(params, data, num_boost_round=rounds)
    trees, zero = lightgbm_trees(booster, outputs)
    rows = x[:ROWS].copy()
    rows[4, :3] = np.nan
    if categorical:
        rows[1, 5], rows[2, 5], rows[3, 5] = 1000, -3, 4.5
    if any(zero):
        rows[0, :2] = 1e-36
    got = booster.predict(rows, pred_contrib=True).reshape(ROWS, outputs, -1)
    scale = 1 / rounds if changes.get("average") else 1  # pred_contrib of a random forest is a sum, its prediction a mean
    return case(name, trees, rows, got[:, :, :-1] * scale, got[0, :, -1] * scale, [0] * outputs, 1e-9, single=False, zero=zero, **changes)


def from_xgboost(name, params, x, y, rounds=12):
    outputs = params.get("num_class", 1)
    booster = xgboost.train({"seed": 1, "nthread": 1, "max_depth": 5, **params}, xgboost.DMatrix(x, y), num_boost_round=rounds)
    trees, base = xgboost_trees(booster, outputs)
    if params["objective"] == "binary:logistic":
        base = [math.log(b / (1 - b)) for b in base]
    if params["objective"] == "count:poisson":
        base = [math.log(b) for b in base]
    rows = x[:ROWS]
    got = booster.predict(xgboost.DMatrix(rows), pred_contribs=True, approx_contribs=False).reshape(ROWS, outputs, -1)
    base = base if len(base) == outputs else base * outputs
    return case(name, trees, rows, got[:, :, :-1], got[0, :, -1], base, 5e-6)


def from_sklearn(name, model, x, y, outputs, single_tree=False):
    model.fit(x, y)
    estimators = [model] if single_tree else model.estimators_
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    rows = x[:ROWS]
    got = explainer.shap_values(rows, check_additivity=False)
    got = np.moveaxis(got, 2, 1) if got.ndim == 3 else got
    return case(name, sklearn_trees(estimators, outputs), rows, got, np.ravel(explainer.expected_value), [0] * outputs, 1e-9, average=True)


def files(cats, target, x, y):
    """Models as the libraries write them."""
    rows = x[:ROWS].copy()
    booster = lightgbm.train({"objective": "regression", "verbosity": -1, "seed": 1, "num_leaves": 9, "min_data_per_group": 10, "num_threads": 1},
                             lightgbm.Dataset(cats, target, categorical_feature=[5]), num_boost_round=6)  # fmt: skip
    got = booster.predict(cats[:ROWS], pred_contrib=True)
    yield case("LightGBM's file", [], cats[:ROWS], got[:, :-1], got[0, -1], [0], 1e-9) | {"file": booster.model_to_string()}
    forest = xgboost.train({"objective": "binary:logistic", "max_depth": 4, "seed": 1, "nthread": 1}, xgboost.DMatrix(x, y > 1), num_boost_round=6)
    got = forest.predict(xgboost.DMatrix(rows), pred_contribs=True)
    yield case("XGBoost's file", [], rows, got[:, :-1], got[0, -1], [0], 5e-6) | {"file": forest.save_raw("json").decode()}
    oblivious = catboost.CatBoostRegressor(iterations=8, depth=4, random_seed=1, thread_count=1, verbose=False, allow_writing_files=False).fit(x, y)
    got = oblivious.get_feature_importance(catboost.Pool(rows), type="ShapValues")
    with tempfile.TemporaryDirectory() as folder:
        oblivious.save_model(f"{folder}/model.json", format="json")
        text = pathlib.Path(folder, "model.json").read_text()
    yield case("CatBoost's file", [], rows, got[:, :-1], got[0, -1], [0], 1e-9) | {"file": text}


def main():
    x, y = frame(600, 1)
    full, label = frame(400, 2, missing=0)
    cats, target = frame(900, 3, categories=True)
    zeros, other = frame(500, 4, zeros=0.3)
    wide = np.random.default_rng(5).normal(size=(300, 40)).astype(np.float32).astype(np.float64)
    sums = (wide[:, :25] * np.random.default_rng(6).normal(size=25)).sum(axis=1)
    classes = np.digitize(y, [0, 1.5])
    cases = [
        from_lightgbm("LightGBM regression, NaN", {"objective": "regression"}, x, y),
        from_lightgbm("LightGBM binary, no NaN in training", {"objective": "binary", "lambda_l2": 1}, full, label > 1),
        from_lightgbm("LightGBM multiclass", {"objective": "multiclass", "num_class": 3, "num_leaves": 8}, x, classes, 6),
        from_lightgbm("LightGBM categories", {"objective": "regression", "max_cat_to_onehot": 4, "min_data_per_group": 10}, cats, target,
                      categorical=[5]),
        from_lightgbm("LightGBM zero_as_missing", {"objective": "binary", "zero_as_missing": True}, zeros, other > 1),
        from_lightgbm("LightGBM random forest", {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
                      x, y, average=True),
        from_lightgbm("LightGBM paths of many features", {"objective": "regression", "num_leaves": 127, "min_data_in_leaf": 1}, wide, sums, 2),
        from_xgboost("XGBoost binary, NaN", {"objective": "binary:logistic"}, x, y > 1),
        from_xgboost("XGBoost multiclass", {"objective": "multi:softprob", "num_class": 3, "max_depth": 3}, x, classes, 5),
        from_xgboost("XGBoost Poisson by leaves", {"objective": "count:poisson", "grow_policy": "lossguide", "max_leaves": 20, "max_depth": 0}, full,
                     np.round(np.abs(label))),
        from_sklearn("scikit-learn forest, classes", RandomForestClassifier(6, max_depth=6, random_state=1), full, np.digitize(label, [0, 1.5]), 3),
        from_sklearn("scikit-learn forest, numbers", RandomForestRegressor(4, max_leaf_nodes=40, random_state=1), full, label, 1),
        from_sklearn("scikit-learn tree, NaN", DecisionTreeRegressor(random_state=1, max_leaf_nodes=60), x, y, 1, single_tree=True),
        *files(cats, target, x, y),
    ]  # fmt: skip
    logistic = LogisticRegression().fit(full, label > 1)
    linear = shap.LinearExplainer(logistic, shap.maskers.Independent(full, max_samples=len(full)))
    got = linear.shap_values(full[:ROWS])
    out = {
        "versions": {m.__name__: m.__version__ for m in (lightgbm, xgboost, catboost, sklearn, shap, np)},
        "command": ".cache/oracle/bin/python engine/explain/testdata/golden.py",
        "cases": cases,
        "linear": {"x": full[:ROWS].tolist(), "mean": full.mean(axis=0).tolist(),
                   "coef": logistic.coef_[0].tolist(), "intercept": float(logistic.intercept_[0]),
                   "contributions": np.asarray(got).tolist(), "expected": float(np.ravel(linear.expected_value)[0])},
    }  # fmt: skip
    target = pathlib.Path(__file__).with_name("golden.json.gz")
    with target.open("wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as g:
        g.write(json.dumps(out).encode())


if __name__ == "__main__":
    main()
