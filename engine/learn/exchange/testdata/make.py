"""Makes golden.json.gz: small models of other libraries beside what those libraries predict.

Run with the environment of test/oracle: .cache/oracle/bin/python engine/learn/exchange/testdata/make.py
"""

import base64
import gzip
import importlib.metadata
import json
import os
import pathlib
import tempfile

import catboost
import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import pandas
import skl2onnx
import xgboost
from graphs import branch_modes, tree_ensemble
from onnxmltools.convert.common.data_types import FloatTensorType as Floats
from skl2onnx.common.data_types import FloatTensorType
from sklearn import ensemble, linear_model, tree

HERE = pathlib.Path(__file__).parent
ROWS = 400
CODES = 12  # categories of column d
cases = []


def data():
    """Five columns: normal, normal with gaps, small whole numbers with zeros, category codes, skewed and positive."""
    r = np.random.default_rng(7)
    x = np.column_stack(
        [
            r.normal(size=ROWS),
            np.where(r.random(ROWS) < 0.2, np.nan, r.normal(size=ROWS) * 3),
            r.integers(-2, 5, ROWS),
            r.integers(0, CODES, ROWS),
            np.exp(2 * r.normal(size=ROWS)),
        ]
    ).astype(np.float64)
    signal = np.sin(2 * x[:, 0]) + np.nan_to_num(x[:, 1], nan=2.0) / 3 + x[:, 2] / 2 + (x[:, 3] * 5 % CODES) / 4 + np.log(x[:, 4]) / 3
    return x, signal + r.normal(size=ROWS) / 4


X, SIGNAL = data()
BINARY = (SIGNAL > np.median(SIGNAL)).astype(int)
CLASSES = np.digitize(SIGNAL, np.quantile(SIGNAL, [0.3, 0.6]))
POSITIVE = np.exp(SIGNAL / 4)
COUNTS = np.floor(POSITIVE)
GRADES = np.digitize(SIGNAL, np.quantile(SIGNAL, [0.5, 0.75, 0.9]))
GROUPS = [20] * (ROWS // 20)
NAMES = list("abcde")


def frame(x, categorical):
    f = pandas.DataFrame(x, columns=NAMES)
    if categorical:
        f["d"] = pandas.Categorical(np.floor(f["d"]).where(f["d"].between(0, CODES - 1)).astype("Int64"), categories=range(CODES))
    return f


def test_rows(thresholds=()):
    """Rows of the training set, rows of edges, and a row beside each of some thresholds: (column, number)."""
    nan, inf = float("nan"), float("inf")
    edges = [
        [nan] * 5,
        [0.0] * 5,
        [-0.0, 1e-36, 1e-35, 3.7, 1e-30],
        [1e-20, -1e-36, 1e-40, 99, 0],
        [1e38, -1e38, 1e9, -1, 1e300],
        [0.1, nan, 0, nan, 2],
        [0.1, 0.5, nan, 1e6, nan],
    ]
    r = np.random.default_rng(11)
    rows = list(X[r.choice(ROWS, 24, replace=False)])
    for column, t in list(thresholds)[:24]:
        for v in (t, np.nextafter(t, -inf), np.nextafter(t, inf), float(np.nextafter(np.float32(t), np.float32(-inf)))):
            row = X[r.integers(ROWS)].copy()
            row[column] = v
            if abs(v) < inf:
                rows.append(row)
    return np.array(edges + rows)


def add(name, form, blob, x, want, near, **more):
    """texts are what the codes of a column stood for, when the model numbers them otherwise; categories what the model should say."""
    want = np.asarray(want, dtype=np.float64).reshape(len(x), -1)
    if not np.isfinite(want).all():
        raise ValueError(f"{name} predicts what is not a number")
    case = {
        "name": name,
        "format": form,
        "model": blob if isinstance(blob, str) else "",
        "bytes": "" if isinstance(blob, str) else base64.b64encode(blob).decode(),
        "x": [[None if v != v else float(v) for v in row] for row in x],
        "want": want.tolist(),
        "near": near,
    }
    cases.append(case | more)


def lightgbm_thresholds(booster):
    out = []
    for info in booster.dump_model()["tree_info"]:
        todo = [info["tree_structure"]]
        while todo:
            node = todo.pop()
            if "split_feature" in node:
                if node["decision_type"] == "<=":
                    out.append((node["split_feature"], node["threshold"]))
                todo += [node["left_child"], node["right_child"]]
    return out


def lightgbm_case(name, params, y, rounds=6, x=X, categorical=False, **more):
    base = {"verbose": -1, "num_threads": 1, "num_leaves": 7, "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1, "seed": 3}
    extra = {k: more.pop(k) for k in ("group", "weight") if k in more}
    booster = lightgbm.train(
        base | params,
        lightgbm.Dataset(
            frame(x, categorical) if categorical == "pandas" else x,
            y,
            feature_name=NAMES,
            categorical_feature=[3] if categorical is True else "auto",
            **extra,
        ),
        rounds,
    )
    rows = test_rows(lightgbm_thresholds(booster))
    want = booster.predict(frame(rows, True) if categorical == "pandas" else rows)
    add("lightgbm " + name, "lightgbm", booster.model_to_string(), rows, want, 1e-12, **more)


def lightgbm_cases():
    lightgbm_case("regression", {"objective": "regression"}, SIGNAL, task="regression")
    for objective in ("regression_l1", "huber", "fair", "quantile", "mape"):
        lightgbm_case(objective, {"objective": objective}, SIGNAL, rounds=3, task="regression")
    for objective in ("poisson", "gamma", "tweedie"):
        lightgbm_case(objective, {"objective": objective}, POSITIVE, rounds=3, task="regression")
    lightgbm_case("squared", {"objective": "regression", "reg_sqrt": True}, SIGNAL, rounds=3, task="regression")
    lightgbm_case("binary", {"objective": "binary", "sigmoid": 1.7}, BINARY, task="binary")
    lightgbm_case("binary of a large forest of stumps", {"objective": "binary", "num_leaves": 2}, BINARY, rounds=40, task="binary")
    lightgbm_case("multiclass", {"objective": "multiclass", "num_class": 3}, CLASSES, task="multiclass")
    lightgbm_case("one against all", {"objective": "multiclassova", "num_class": 3, "sigmoid": 0.8}, CLASSES, rounds=3, task="multiclass")
    lightgbm_case("cross entropy", {"objective": "cross_entropy"}, BINARY * 0.8 + 0.1, rounds=3, task="regression")
    lightgbm_case("cross entropy lambda", {"objective": "cross_entropy_lambda"}, BINARY * 0.8 + 0.1, rounds=3, task="regression")
    lightgbm_case("lambdarank", {"objective": "lambdarank"}, GRADES, group=GROUPS, rounds=3, task="ranking")
    lightgbm_case("rank xendcg", {"objective": "rank_xendcg"}, GRADES, group=GROUPS, rounds=3, task="ranking")
    lightgbm_case(
        "random forest",
        {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.7},
        BINARY,
        rounds=7,
        task="binary",
    )
    lightgbm_case(
        "multiclass random forest",
        {"objective": "multiclass", "num_class": 3, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        CLASSES,
        rounds=5,
        task="multiclass",
    )
    lightgbm_case("dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.5}, BINARY, task="binary")
    lightgbm_case("zero as missing", {"objective": "regression", "zero_as_missing": True}, SIGNAL, task="regression")
    lightgbm_case("nothing is missing", {"objective": "regression", "use_missing": False}, SIGNAL, task="regression")
    lightgbm_case("categories", {"objective": "binary", "max_cat_to_onehot": 1}, BINARY, categorical=True, task="binary")
    lightgbm_case("categories one by one", {"objective": "regression", "max_cat_to_onehot": 32}, SIGNAL, categorical=True, task="regression")
    lightgbm_case(
        "pandas categories",
        {"objective": "multiclass", "num_class": 3, "max_cat_to_onehot": 1},
        CLASSES,
        categorical="pandas",
        task="multiclass",
        categories={"3": [str(i) for i in range(CODES)]},
    )
    lightgbm_case("nothing to split", {"objective": "binary"}, np.r_[0, np.ones(ROWS - 1)], x=np.zeros_like(X), rounds=2, task="binary")
    squares = {"objective": lambda p, d: (p - d.get_label(), np.ones_like(p))}
    lightgbm_case("an objective of the user's", squares, SIGNAL, rounds=3, task="regression")


def xgboost_thresholds(booster):
    out = []
    for text in booster.get_dump(dump_format="json"):
        todo = [json.loads(text)]
        while todo:
            node = todo.pop()
            if "split" in node:
                if not isinstance(node["split_condition"], list):
                    out.append((NAMES.index(node["split"]), float(node["split_condition"])))
                todo += node["children"]
    return out


def xgboost_case(name, params, y, rounds=5, form="json", categorical=False, x=X, near=2e-6, linear=False, **more):
    extra = {k: more.pop(k) for k in ("group", "label_lower_bound", "label_upper_bound") if k in more}

    def matrix(rows, **kw):
        types = ["float", "float", "float", "c" if categorical else "float", "float"]
        return xgboost.DMatrix(
            frame(rows, True) if categorical == "pandas" else rows,
            feature_names=NAMES,
            feature_types=None if categorical == "pandas" else types,
            enable_categorical=True,
            **kw,
        )

    booster = xgboost.train({"nthread": 1, "max_depth": 3, "seed": 3} | params, matrix(x, label=y, **extra), rounds)
    rows = test_rows([] if linear else xgboost_thresholds(booster))
    rows = rows[np.abs(np.nan_to_num(rows)).max(axis=1) < 1e38]
    if categorical:  # a code that the matrix refuses
        rows = rows[~(rows[:, 3] < 0)]
    if linear:
        rows = rows[np.abs(np.nan_to_num(rows)).max(axis=1) < 1e5]
    want = booster.predict(matrix(rows), strict_shape=True)
    add("xgboost " + name, "xgboost", booster.save_raw(form).decode() if form == "json" else bytes(booster.save_raw(form)), rows, want, near, **more)


def xgboost_cases():
    xgboost_case("squared error", {"objective": "reg:squarederror"}, SIGNAL, task="regression")
    xgboost_case("exact", {"objective": "reg:squarederror", "tree_method": "exact"}, SIGNAL, form="ubj", task="regression")
    for objective in ("reg:absoluteerror", "reg:pseudohubererror"):
        xgboost_case(objective, {"objective": objective}, SIGNAL, rounds=3, task="regression")
    xgboost_case("several quantiles", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, SIGNAL, rounds=2, task="regression")
    xgboost_case("reg:logistic", {"objective": "reg:logistic"}, BINARY * 0.8 + 0.1, rounds=3, task="regression")
    xgboost_case("binary", {"objective": "binary:logistic"}, BINARY, task="binary")
    xgboost_case(
        "binary as ubj, leaf by leaf",
        {"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0, "base_score": 0.3},
        BINARY,
        form="ubj",
        task="binary",
    )
    xgboost_case("margins", {"objective": "binary:logitraw", "base_score": 0.3}, BINARY, rounds=3, task="regression")
    xgboost_case("hinge", {"objective": "binary:hinge"}, BINARY, rounds=3, task="binary")
    for objective, y in (("count:poisson", COUNTS), ("reg:gamma", POSITIVE), ("reg:tweedie", POSITIVE), ("survival:cox", POSITIVE)):
        xgboost_case(objective, {"objective": objective}, y, rounds=3, task="regression")
    xgboost_case(
        "survival:aft",
        {"objective": "survival:aft"},
        POSITIVE,
        rounds=3,
        label_lower_bound=POSITIVE,
        label_upper_bound=POSITIVE * 1.5,
        task="regression",
    )
    xgboost_case("softprob", {"objective": "multi:softprob", "num_class": 3}, CLASSES, rounds=3, task="multiclass")
    xgboost_case(
        "softprob from one base score",
        {"objective": "multi:softprob", "num_class": 3, "base_score": 0.5},
        CLASSES,
        rounds=2,
        form="ubj",
        task="multiclass",
    )
    xgboost_case(
        "vector leaves",
        {"objective": "multi:softprob", "num_class": 3, "multi_strategy": "multi_output_tree", "tree_method": "hist"},
        CLASSES,
        rounds=3,
        form="ubj",
        task="multiclass",
    )
    two = np.column_stack([SIGNAL, -2 * X[:, 0]])
    xgboost_case(
        "two targets",
        {"objective": "reg:squarederror", "multi_strategy": "multi_output_tree", "tree_method": "hist"},
        two,
        rounds=3,
        task="regression",
    )
    xgboost_case("two targets, a tree for each", {"objective": "reg:squarederror"}, two, rounds=3, task="regression")
    for objective in ("rank:pairwise", "rank:ndcg"):
        xgboost_case(objective, {"objective": objective}, GRADES, rounds=3, group=GROUPS, task="ranking")
    xgboost_case("dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5}, BINARY, task="binary")
    xgboost_case(
        "dart as ubj",
        {"objective": "multi:softprob", "num_class": 3, "booster": "dart", "rate_drop": 0.5},
        CLASSES,
        form="ubj",
        rounds=4,
        task="multiclass",
    )
    xgboost_case("forests", {"objective": "binary:logistic", "num_parallel_tree": 4, "subsample": 0.5}, BINARY, rounds=2, task="binary")
    xgboost_case("categories", {"objective": "binary:logistic", "max_cat_to_onehot": 1}, BINARY, categorical=True, task="binary")
    xgboost_case(
        "categories one by one", {"objective": "reg:squarederror", "max_cat_to_onehot": 32}, SIGNAL, categorical=True, form="ubj", task="regression"
    )
    xgboost_case(
        "pandas categories",
        {"objective": "reg:squarederror", "max_cat_to_onehot": 2},
        SIGNAL,
        categorical="pandas",
        task="regression",
        categories={"3": [str(i) for i in range(CODES)]},
    )
    xgboost_case("pruned", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 8, "max_depth": 5}, SIGNAL, rounds=3, task="regression")
    xgboost_case("linear", {"objective": "reg:squarederror", "booster": "gblinear"}, SIGNAL, linear=True, near=1e-5, task="regression")
    xgboost_case("linear binary", {"objective": "binary:logistic", "booster": "gblinear"}, BINARY, linear=True, near=1e-5, form="ubj", task="binary")
    xgboost_case(
        "linear softprob", {"objective": "multi:softprob", "num_class": 3, "booster": "gblinear"}, CLASSES, linear=True, near=1e-5, task="multiclass"
    )


def catboost_thresholds(text):
    features = json.loads(text)["features_info"].get("float_features", [])
    return [(f["flat_feature_index"], b) for f in features for b in f["borders"]]


def catboost_case(name, model, y, columns=(0, 1, 2, 4), categorical=None, kind="RawFormulaVal", **more):
    """categorical maps column d of codes to what CatBoost gets: texts, or whole numbers."""
    more_fit = {k: more.pop(k) for k in ("group_id",) if k in more}

    def rows_of(x):
        f = pandas.DataFrame(x, columns=NAMES)
        if categorical:
            f["d"] = [categorical(v) for v in f["d"]]
        else:
            f["d"] = 0.0
        return f

    pool = catboost.Pool(rows_of(X), y, cat_features=["d"] if categorical else None, **more_fit)
    model.set_params(iterations=more.pop("iterations", 5), thread_count=1, random_seed=3, allow_writing_files=False, verbose=False)
    model.fit(pool)
    model.save_model("model.json", format="json", pool=pool)
    text = pathlib.Path("model.json").read_text()
    parsed = json.loads(text)
    parsed["model_info"] = {k: v for k, v in parsed["model_info"].items() if k in ("catboost_version_info", "class_params")} | {
        "params": {
            "loss_function": (
                json.loads(parsed["model_info"]["params"]) if isinstance(parsed["model_info"]["params"], str) else parsed["model_info"]["params"]
            )["loss_function"]
        }
    }
    thresholds = catboost_thresholds(text)
    rows = test_rows([t for i, t in enumerate(thresholds) if i % (1 + len(thresholds) // 24) == 0])
    want = model.predict(rows_of(rows), prediction_type=kind) if kind else model.predict(rows_of(rows))
    if kind == "Probability" and want.shape[1] == 2:
        want = want[:, 1]
    add("catboost " + name, "catboost", json.dumps(parsed), rows, want, 1e-9, **more)


def catboost_cases():
    def text(v):
        return f"c{int(v)}" if v == v and 0 <= v < 1e5 else "other"

    def whole(v):
        return int(v) if v == v and 0 <= v < 1e5 else -1

    texts = {"3": [f"c{i}" for i in range(CODES)]}
    numbers = {"3": [str(i) for i in range(CODES)]}
    one, many = catboost.CatBoostClassifier, catboost.CatBoostRegressor
    catboost_case("rmse", many(depth=3), SIGNAL, task="regression")
    catboost_case("missing above all", many(depth=3, nan_mode="Max"), SIGNAL, task="regression")
    for loss in ("MAE", "Quantile:alpha=0.7", "LogLinQuantile", "Huber:delta=1"):
        catboost_case(loss, many(depth=2, loss_function=loss), POSITIVE, kind=None, iterations=3, task="regression")
    for loss in ("Poisson", "Tweedie:variance_power=1.5"):
        catboost_case(loss, many(depth=2, loss_function=loss), POSITIVE, kind=None, iterations=3, task="regression")
    catboost_case("logloss", one(depth=4), BINARY, kind="Probability", task="binary", classes=["0", "1"])
    catboost_case("cross entropy", one(depth=2, loss_function="CrossEntropy"), BINARY * 0.8 + 0.1, kind="Probability", iterations=3, task="binary")
    catboost_case(
        "multiclass",
        one(depth=3, loss_function="MultiClass"),
        np.array(["low", "mid", "top"])[CLASSES],
        kind="Probability",
        task="multiclass",
        classes=["low", "mid", "top"],
    )
    catboost_case("one against all", one(depth=2, loss_function="MultiClassOneVsAll"), CLASSES, kind="Probability", iterations=3, task="multiclass")
    catboost_case("leaf by leaf", many(grow_policy="Lossguide", max_leaves=7), SIGNAL, task="regression")
    catboost_case(
        "level by level",
        one(grow_policy="Depthwise", depth=3, loss_function="MultiClass"),
        CLASSES,
        kind="Probability",
        iterations=3,
        task="multiclass",
    )
    catboost_case("several targets", many(depth=3, loss_function="MultiRMSE"), np.column_stack([SIGNAL, -X[:, 0]]), iterations=3, task="regression")
    catboost_case(
        "ranking",
        catboost.CatBoost({"depth": 3, "loss_function": "YetiRank"}),
        GRADES,
        group_id=np.repeat(range(len(GROUPS)), 20),
        iterations=3,
        task="ranking",
    )
    catboost_case("one hot", one(depth=3, one_hot_max_size=50), BINARY, categorical=text, kind="Probability", task="binary", texts=texts)
    catboost_case("one hot numbers", many(grow_policy="Lossguide", max_leaves=7, one_hot_max_size=50), SIGNAL, categorical=whole, task="regression")
    catboost_case(
        "statistics",
        one(depth=3, max_ctr_complexity=1, one_hot_max_size=2),
        BINARY,
        categorical=whole,
        kind="Probability",
        iterations=9,
        task="binary",
        categories=numbers,
    )
    for kind in ("Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"):
        ctr = [f"{kind}:Prior=0.5/1"] if kind != "Counter" else [kind]
        catboost_case(
            f"statistics of type {kind}",
            many(depth=3, max_ctr_complexity=1, one_hot_max_size=2, simple_ctr=ctr),
            SIGNAL,
            categorical=text,
            iterations=7,
            task="regression",
            texts=texts,
        )
    catboost_case(
        "multiclass statistics",
        one(depth=3, loss_function="MultiClass", max_ctr_complexity=1, one_hot_max_size=2),
        CLASSES,
        categorical=text,
        kind="Probability",
        task="multiclass",
        texts=texts,
    )


def onnx_case(name, model, gaps=False, rows=None, double=False, near=5e-6, **more):
    """model is an ONNX model; the case is what onnxruntime predicts."""
    rows = test_rows() if rows is None else rows
    rows = rows[np.abs(np.nan_to_num(rows)).max(axis=1) < 1e30].astype(np.float64 if double else np.float32)
    if not gaps:
        rows = rows[~np.isnan(rows).any(axis=1)]
    blob = model.SerializeToString()
    session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    answer = session.run(None, {session.get_inputs()[0].name: rows})[-1]
    if isinstance(answer, list):  # maps of ZipMap
        answer = [list(row.values()) for row in answer]
    want = np.asarray(answer, dtype=np.float64).reshape(len(rows), -1)
    if more["task"] == "binary":
        want = want[:, 1]
    add("onnx " + name, "onnx", blob, rows.astype(np.float64), want, near, **more)


def sklearn_case(name, estimator, y, gaps=False, zipmap=False, **more):
    x = X.astype(np.float32)
    if not gaps:
        x = np.nan_to_num(x, nan=0.5)
    estimator.fit(x, y)
    options = None if more["task"] == "regression" else {id(estimator): {"zipmap": zipmap}}
    model = skl2onnx.convert_sklearn(
        estimator, initial_types=[("X", FloatTensorType([None, 5]))], options=options, target_opset={"": 15, "ai.onnx.ml": 3}
    )
    if more["task"] != "regression":
        more["classes"] = [str(c) for c in estimator.classes_]
    onnx_case(name, model, gaps, **more)


def onnx_cases():
    sklearn_case("decision tree", tree.DecisionTreeClassifier(max_depth=4, random_state=1), BINARY, task="binary")
    sklearn_case("random forest", ensemble.RandomForestClassifier(6, max_depth=4, random_state=1), CLASSES, zipmap=True, task="multiclass")
    sklearn_case("random forest regression", ensemble.RandomForestRegressor(6, max_depth=4, random_state=1), SIGNAL, task="regression")
    sklearn_case("extra trees", ensemble.ExtraTreesClassifier(5, max_depth=4, random_state=1), BINARY, zipmap=True, task="binary")
    sklearn_case("two targets", ensemble.ExtraTreesRegressor(5, max_depth=4, random_state=1), np.column_stack([SIGNAL, X[:, 0]]), task="regression")
    sklearn_case("gradient boosting", ensemble.GradientBoostingClassifier(n_estimators=5, random_state=1), BINARY, task="binary")
    sklearn_case("gradient boosting of classes", ensemble.GradientBoostingClassifier(n_estimators=4, random_state=1), CLASSES, task="multiclass")
    sklearn_case("gradient boosting regression", ensemble.GradientBoostingRegressor(n_estimators=5, random_state=1), SIGNAL, task="regression")
    sklearn_case("logistic", linear_model.LogisticRegression(), BINARY, task="binary")
    sklearn_case("multinomial logistic", linear_model.LogisticRegression(), np.array(["low", "mid", "top"])[CLASSES], zipmap=True, task="multiclass")
    sklearn_case("ridge", linear_model.Ridge(), SIGNAL, task="regression")
    small = {"n_estimators": 4, "n_jobs": 1, "random_state": 1}
    lgb = {"verbose": -1, "num_leaves": 7, "min_child_samples": 5}
    inputs = [("X", Floats([None, 5]))]
    xs = X.astype(np.float32)

    def convert(f, m, **kw):
        return f(m, initial_types=inputs, target_opset=15, **kw)

    for y, task, m in (
        (BINARY, "binary", lightgbm.LGBMClassifier),
        (CLASSES, "multiclass", lightgbm.LGBMClassifier),
        (SIGNAL, "regression", lightgbm.LGBMRegressor),
    ):
        onnx_case(
            f"lightgbm {task}", convert(onnxmltools.convert_lightgbm, m(**small, **lgb).fit(xs, y), zipmap=task == "multiclass"), gaps=True, task=task
        )
    sets = lightgbm.LGBMRegressor(**small, **lgb, max_cat_to_onehot=1, min_data_per_group=5, cat_smooth=1).fit(xs, SIGNAL, categorical_feature=[3])
    rows = test_rows()
    rows[:, 3] = np.floor(rows[:, 3])
    onnx_case("lightgbm categories", convert(onnxmltools.convert_lightgbm, sets), gaps=True, rows=rows, task="regression")
    for y, task, m in (
        (BINARY, "binary", xgboost.XGBClassifier),
        (CLASSES, "multiclass", xgboost.XGBClassifier),
        (SIGNAL, "regression", xgboost.XGBRegressor),
    ):
        onnx_case(f"xgboost {task}", convert(onnxmltools.convert_xgboost, m(**small, max_depth=3).fit(xs, y)), gaps=True, task=task)
    for y, task, m in (
        (BINARY, "binary", catboost.CatBoostClassifier),
        (CLASSES, "multiclass", catboost.CatBoostClassifier),
        (SIGNAL, "regression", catboost.CatBoostRegressor),
    ):
        m(iterations=4, depth=3, thread_count=1, random_seed=1, allow_writing_files=False, verbose=False).fit(xs, y).save_model(
            "m.onnx", format="onnx"
        )
        onnx_case(f"catboost {task}", onnx.load("m.onnx"), gaps=True, task=task)
    onnx_case("every branch", branch_modes(False, 3), gaps=True, rows=rows, task="regression")
    onnx_case("every branch of doubles", branch_modes(True, 3), gaps=True, rows=rows, double=True, task="regression")
    onnx_case("tree ensemble", tree_ensemble(onnx.TensorProto.FLOAT), gaps=True, rows=rows, task="regression")
    onnx_case("tree ensemble of doubles", tree_ensemble(onnx.TensorProto.DOUBLE), gaps=True, rows=rows, double=True, near=1e-12, task="regression")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        lightgbm_cases()
        xgboost_cases()
        catboost_cases()
        onnx_cases()
    versions = {
        n: importlib.metadata.version(n)
        for n in ("lightgbm", "xgboost", "catboost", "scikit-learn", "skl2onnx", "onnxmltools", "onnx", "onnxruntime", "numpy", "pandas")
    }
    text = json.dumps(
        {"versions": versions, "command": ".cache/oracle/bin/python engine/learn/exchange/testdata/make.py", "cases": cases}, allow_nan=False
    )
    (HERE / "golden.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(len(cases), "cases,", (HERE / "golden.json.gz").stat().st_size, "bytes")


main()
