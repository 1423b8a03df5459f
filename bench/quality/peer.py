"""Fits a peer with its own defaults to the data sets and writes its predictions: FOLDER/NAME.PEER.csv, and the CPU seconds
of each fit to FOLDER/PEER.json. One thread. Categories are told to the libraries in the way each asks for.

    python peer.py FOLDER PEER
"""

import json
import os
import resource
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

FOLDER, PEER = sys.argv[1], sys.argv[2]


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def lightgbm(task, x, y, texts):
    import lightgbm as lgb

    x, back = as_categories(x, texts)
    model = (lgb.LGBMRegressor if task == "regression" else lgb.LGBMClassifier)(n_jobs=1, verbose=-1)
    model.fit(x, y)
    return model, back


def xgboost(task, x, y, texts):
    import xgboost as xgb

    x, back = as_categories(x, texts)
    model = (xgb.XGBRegressor if task == "regression" else xgb.XGBClassifier)(n_jobs=1, enable_categorical=True)
    model.fit(x, y)
    return model, back


def catboost(task, x, y, texts):
    import catboost as cb

    def back(x):
        x = x.copy()
        for c in texts:
            x[c] = x[c].astype(object).where(x[c].notna(), "missing").astype(str)
        return x

    kind = cb.CatBoostRegressor if task == "regression" else cb.CatBoostClassifier
    model = kind(thread_count=1, verbose=0, allow_writing_files=False, cat_features=texts)
    model.fit(back(x), y)
    return model, back


def hist(task, x, y, texts):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    # More than 255 levels are refused: the rarest are pooled with what is missing.
    keep = {c: set(x[c].value_counts().index[:254]) for c in texts}

    def back(x):
        x = x.copy()
        for c in texts:
            x[c] = x[c].where(x[c].isin(keep[c])).astype(pd.CategoricalDtype(sorted(keep[c])))
        return x

    model = (HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier)(categorical_features="from_dtype")
    model.fit(back(x), y)
    return model, back


def numbers(x, texts):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rest = [c for c in x.columns if c not in texts]
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), rest),
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5), texts),
    )


def forest(task, x, y, texts):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(numbers(x, texts), (RandomForestRegressor if task == "regression" else RandomForestClassifier)(n_jobs=1))
    model.fit(x, y)
    return model, lambda x: x


def linear(task, x, y, texts):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(numbers(x, texts), Ridge() if task == "regression" else LogisticRegression(max_iter=1000))
    model.fit(x, y)
    return model, lambda x: x


def as_categories(x, texts):
    kinds = {c: pd.CategoricalDtype(sorted(x[c].dropna().unique())) for c in texts}

    def back(x):
        return x.astype(kinds)

    return back(x), back


def main():
    fit = {"lightgbm": lightgbm, "xgboost": xgboost, "catboost": catboost, "hist": hist, "forest": forest, "linear": linear}[PEER]
    took = {}
    for s in json.load(open(os.path.join(FOLDER, "sets.json"))):
        train, test = (pd.read_csv(os.path.join(FOLDER, "{}.{}.csv".format(s["name"], part))) for part in ("train", "test"))
        y = train.pop("y")
        test.pop("y")
        classes = None
        if s["task"] != "regression":
            classes = sorted(y.unique())
            y = y.map({c: i for i, c in enumerate(classes)}).astype(int)
        begun = cpu()
        model, back = fit(s["task"], train, y, s["texts"])
        took[s["name"]] = cpu() - begun
        if classes is None:
            out = pd.DataFrame({"prediction": np.asarray(model.predict(back(test))).ravel()})
        else:
            out = pd.DataFrame(model.predict_proba(back(test)), columns=[str(c) for c in classes])
        out.to_csv(os.path.join(FOLDER, "{}.{}.csv".format(s["name"], PEER)), index=False)
    json.dump(took, open(os.path.join(FOLDER, PEER + ".json"), "w"))


main()
