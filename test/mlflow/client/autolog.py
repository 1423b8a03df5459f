"""Autologging of scikit-learn and LightGBM."""

import lightgbm
import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from scratch import experiment
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RANDOM = np.random.default_rng(7)
X = pd.DataFrame(RANDOM.normal(size=(120, 3)), columns=["a", "b", "c"])
Y = (X["a"] + 0.3 * RANDOM.normal(size=120) > 0).astype(int)


def last():
    run = mlflow.last_active_run()
    return run, {f.path for f in MlflowClient().list_artifacts(run.info.run_id)}


def flow_sklearn():
    experiment()
    # Finding out the requirements takes a process of its own for each model: seconds, and nothing of the server.
    mlflow.sklearn.autolog(extra_tags={"by": "autolog"})
    try:
        model = LogisticRegression(C=0.5).fit(X, Y)
        score = model.score(X, Y)
        run, artifacts = last()
        assert run.data.params["C"] == "0.5" and run.data.tags["estimator_name"] == "LogisticRegression" and run.data.tags["by"] == "autolog"
        assert run.data.metrics["training_score"] == score and any("LogisticRegression_score" in k for k in run.data.metrics)
        assert "estimator.html" in artifacts and "training_confusion_matrix.png" in artifacts
        assert run.inputs.dataset_inputs and run.outputs.model_outputs
        loaded = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
        assert np.array_equal(loaded.predict(X), model.predict(X))
        logged = mlflow.get_logged_model(run.outputs.model_outputs[0].model_id)
        assert "training_accuracy_score" in {m.key for m in logged.metrics}
    finally:
        mlflow.sklearn.autolog(disable=True)


def flow_sklearn_search():
    eid = experiment()
    mlflow.sklearn.autolog(log_models=False, max_tuning_runs=3)
    try:
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1, 10]}, cv=2).fit(X, Y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    runs = MlflowClient().search_runs([eid])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1 and len(runs) == 4
    assert "best_cv_score" in parents[0].data.metrics and "best_logisticregression__C" in parents[0].data.params
    assert "cv_results.csv" in {f.path for f in MlflowClient().list_artifacts(parents[0].info.run_id)}


def flow_lightgbm():
    experiment()
    mlflow.lightgbm.autolog(log_models=False)
    try:
        train, valid = lightgbm.Dataset(X[:80], Y[:80]), lightgbm.Dataset(X[80:], Y[80:])
        booster = lightgbm.train({"objective": "binary", "metric": "auc", "num_leaves": 4, "verbose": -1, "num_threads": 1}, train, 12,
                                 valid_sets=[valid], valid_names=["held"])
    finally:
        mlflow.lightgbm.autolog(disable=True)
    run, artifacts = last()
    assert run.data.params["num_leaves"] == "4" and run.data.params["num_boost_round"] == "12"
    history = MlflowClient().get_metric_history(run.info.run_id, "held-auc")
    assert [m.step for m in history] == list(range(12))
    assert "feature_importance_split.json" in artifacts and "feature_importance_gain.png" in artifacts
    with mlflow.start_run():
        info = mlflow.lightgbm.log_model(booster, name="booster", pip_requirements=["lightgbm"])
    assert np.array_equal(mlflow.lightgbm.load_model(info.model_uri).predict(X), booster.predict(X))
