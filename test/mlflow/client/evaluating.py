"""mlflow.models.evaluate, which needs runs, metrics, artifacts and datasets."""

import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from scratch import experiment
from sklearn.linear_model import LinearRegression, LogisticRegression

RANDOM = np.random.default_rng(3)
X = pd.DataFrame(RANDOM.normal(size=(80, 2)), columns=["a", "b"])


def flow_classifier():
    data = X.assign(label=(X["a"] > 0).astype(int))
    experiment()
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(LogisticRegression().fit(X, data["label"]), name="model", pip_requirements=["scikit-learn"])
        result = mlflow.models.evaluate(info.model_uri, data, targets="label", model_type="classifier", evaluator_config={"log_explainer": False})
    got = mlflow.get_run(run.info.run_id)
    assert result.metrics["accuracy_score"] == got.data.metrics["accuracy_score"] > 0.8
    assert got.inputs.dataset_inputs
    assert {"roc_curve_plot.png", "confusion_matrix.png"} <= {f.path for f in MlflowClient().list_artifacts(run.info.run_id)}
    assert "accuracy_score" in {m.key for m in mlflow.get_logged_model(info.model_id).metrics}


def flow_regressor_and_function():
    y = 3 * X["a"] - X["b"]
    model = LinearRegression().fit(X, y)
    experiment()
    with mlflow.start_run() as run:
        mlflow.models.evaluate(lambda rows: model.predict(rows), X.assign(y=y), targets="y", model_type="regressor",
                               evaluator_config={"log_explainer": False})
    assert mlflow.get_run(run.info.run_id).data.metrics["root_mean_squared_error"] < 1e-6
