"""Makes the pickles of the tests: make.py FOLDER, with scikit-learn, LightGBM, XGBoost, CatBoost and cloudpickle.

Beside each file stands FILE.imports: what Python itself looks up when it loads the file.
"""

import gzip
import io
import pathlib
import pickle
import sys

import cloudpickle
import joblib
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from catboost import CatBoostClassifier
from joblib import numpy_pickle
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

folder = pathlib.Path(sys.argv[1])
seen = []


class Plain(pickle._Unpickler):
    def find_class(self, module, name):
        seen.append(f"{module}.{name}")
        return super().find_class(module, name)


class Joblib(numpy_pickle.NumpyUnpickler):
    def find_class(self, module, name):
        seen.append(f"{module}.{name}")
        return super().find_class(module, name)


def note(path, load):
    seen.clear()
    load()
    path.with_name(path.name + ".imports").write_text("\n".join(sorted(set(seen))) + "\n")


def plain(name, model, protocol, dump=pickle.dump):
    path = folder / f"{name}.p{protocol}.pkl"
    with open(path, "wb") as f:
        dump(model, f, protocol=protocol)
    note(path, lambda: Plain(io.BytesIO(path.read_bytes())).load())


def with_joblib(name, model, **options):
    path = folder / f"{name}.joblib"
    joblib.dump(model, path, **options)
    with numpy_pickle._validate_fileobject_and_memmap(open(path, "rb"), path) as (f, _):
        note(path, lambda: Joblib(str(path), f, ensure_native_byte_order=False).load())


r = np.random.default_rng(1)
x = r.standard_normal((60, 3))
y = (x[:, 0] > 0).astype(int)
rows = pd.DataFrame({"c": r.choice(["a", "b"], 60), "n": x[:, 0]})
mixed = ColumnTransformer([("c", OneHotEncoder(), ["c"]), ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["n"])])
pipeline = make_pipeline(mixed, LogisticRegression()).fit(rows, np.where(y, "yes", "no"))
for protocol in range(6):
    plain("pipeline", pipeline, protocol)
with_joblib("pipeline", pipeline)
with_joblib("zlib", pipeline, compress=3)
with_joblib("gzip", pipeline, compress=("gzip", 3))
with_joblib("bz2", pipeline, compress=("bz2", 3))
with_joblib("forest", RandomForestClassifier(3, max_depth=3).fit(x, np.where(y, "yes", "no")))
with_joblib(
    "objects",
    {
        "o": np.array(["a", None, 3], dtype=object),
        "e": np.zeros((0, 3)),
        "s": np.array(["ab", "c"]),
        "f": np.asfortranarray(x),
        "t": np.array("2020-01-01", dtype="M8[s]"),
    },
)
with_joblib("boosting", GradientBoostingClassifier(n_estimators=3, random_state=1).fit(x, y))
with_joblib("hist", HistGradientBoostingRegressor(max_iter=3).fit(x, x[:, 0]))
with_joblib("knn", KNeighborsClassifier().fit(x, y))
with_joblib("svc", SVC(probability=False).fit(x, y))
with_joblib("text", make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["a b cd ef", "cd gh"] * 5, [0, 1] * 5))
with_joblib("function", make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(abs(x), y))
plain("lightgbm", lightgbm.LGBMClassifier(n_estimators=3, verbosity=-1).fit(x, y), 4)
plain("xgboost", xgboost.XGBClassifier(n_estimators=3).fit(x, y), 5)
plain("catboost", CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False).fit(x, y), 4)
plain("frame", rows[:5], 5)
plain("cloud", pipeline, 5, cloudpickle.dump)
plain("lambda", lambda v: v + 1, 5, cloudpickle.dump)
data = gzip.compress((folder / "pipeline.p4.pkl").read_bytes())
(folder / "packed.pkl.gz").write_bytes(data)
(folder / "packed.pkl.gz.imports").write_bytes((folder / "pipeline.p4.pkl.imports").read_bytes())
