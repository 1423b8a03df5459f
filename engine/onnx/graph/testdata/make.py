"""Makes the graphs of this folder and what onnxruntime answers: golden.json.

python make.py, with mlflow 3.17.2's environment of test/mlflow (scikit-learn, skl2onnx, onnxruntime as locked there).
"""

import json
import pathlib

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

here = pathlib.Path(__file__).parent
X, species = load_iris(return_X_y=True)
X = X.astype(np.float32)
two = (species == 2).astype(int)
named = np.array(["setosa", "versicolor", "virginica"])[species]
y = X[:, 3]
rest = X[:, :3]
holes = X.copy()
holes[::7, 1] = np.nan
seed = {"random_state": 0}
models = {
    "logistic_binary": (LogisticRegression(max_iter=500), X, two),
    "logistic_named": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), X, named),
    "linear": (make_pipeline(MinMaxScaler(), LinearRegression()), rest, y),
    "ridge_pca": (make_pipeline(RobustScaler(), PCA(2), Ridge()), rest, y),
    "tree_binary": (DecisionTreeClassifier(max_depth=4, **seed), X, two),
    "forest": (RandomForestClassifier(7, max_depth=4, **seed), X, named),
    "forest_binary": (RandomForestClassifier(7, max_depth=4, **seed), X, two),
    "extra_trees": (ExtraTreesRegressor(7, max_depth=4, **seed), rest, y),
    "boosting": (GradientBoostingClassifier(n_estimators=7, **seed), X, species),
    "boosting_binary": (GradientBoostingClassifier(n_estimators=7, **seed), X, two),
    "boosting_regressor": (GradientBoostingRegressor(n_estimators=7, **seed), rest, y),
    "mlp": (make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=50, **seed)), X, species),
    "mlp_binary": (MLPClassifier((4,), activation="tanh", max_iter=50, **seed), X, two),
    "mlp_regressor": (MLPRegressor(hidden_layer_sizes=(4,), activation="logistic", max_iter=50, **seed), rest, y),
    "naive_bayes": (GaussianNB(), X, species),
    "imputed": (make_pipeline(SimpleImputer(), Normalizer(), LogisticRegression()), holes, two),
    "columns": (
        make_pipeline(
            ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", KBinsDiscretizer(3, encode="onehot-dense"), [2])], remainder="passthrough"),
            LogisticRegression(max_iter=500),
        ),
        X,
        two,
    ),
}
golden = {"onnxruntime": onnxruntime.__version__, "cases": {}}
for name, (model, inputs, target) in models.items():
    model.fit(inputs, target)
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    graph = to_onnx(model, inputs[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    (here / f"{name}.onnx").write_bytes(graph.SerializeToString())
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = inputs[::5]
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, {session.get_inputs()[0].name: rows})))
    golden["cases"][name] = {
        "rows": [[None if np.isnan(v) else float(v) for v in row] for row in rows],
        "outputs": {k: np.asarray(v).reshape(len(rows), -1).tolist() for k, v in outputs.items()},
    }
(here / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
