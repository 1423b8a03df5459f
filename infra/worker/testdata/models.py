"""Makes the models that the tests run: models.py FOLDER, with scikit-learn.

Beside each NAME.pkl or NAME.joblib stands NAME.json: the rows that were asked, and what the estimator answered.
"""

import json
import pathlib
import pickle
import sys

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

folder = pathlib.Path(sys.argv[1])
r = np.random.default_rng(1)


def keep(name, dump, model, rows, **answers):
    with open(folder / name, "wb") as f:
        dump(model, f)
    columns = rows.to_dict(orient="list") if isinstance(rows, pd.DataFrame) else {"input": rows.tolist()}
    expected = {"columns": columns, **{k: v.tolist() for k, v in answers.items()}}
    (folder / name).with_suffix(".json").write_text(json.dumps(expected).replace("NaN", "null"))


x = r.standard_normal((400, 4))
y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(int)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
keep("numbers.pkl", pickle.dump, model, x[:20], predict=model.predict(x[:20]), predict_proba=model.predict_proba(x[:20]))
model = RandomForestClassifier(20, random_state=1, n_jobs=-1).fit(x, np.where(y, "late", "on time"))
keep("forest.joblib", joblib.dump, model, x[:20], predict=model.predict(x[:20]), predict_proba=model.predict_proba(x[:20]))
model = LinearRegression().fit(x, x[:, :2])
keep("two.pkl", pickle.dump, model, x[:20], predict=model.predict(x[:20]))

rows = pd.DataFrame({"carrier": r.choice(["AA", "UA", "ÅÄ"], 400), "distance": r.uniform(50, 3000, 400), "hour": r.integers(0, 24, 400)})
rows.loc[::7, "distance"] = np.nan
y = np.where((rows.carrier == "AA") ^ (rows.hour > 15), "late", "on time")
mixed = ColumnTransformer(
    [
        ("text", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "hour"]),
    ]
)
model = make_pipeline(mixed, LogisticRegression()).fit(rows, y)
few = rows[:20]
keep("mixed.joblib", joblib.dump, model, few, predict=model.predict(few), predict_proba=model.predict_proba(few))
