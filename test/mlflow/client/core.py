"""What every version of the client from 2.9 on does in a working day."""

import math
import os
import tempfile

import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient
from scratch import experiment, refuses, unique
from sklearn.linear_model import LinearRegression

MAJOR = int(mlflow.__version__.split(".")[0])
X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
Y = np.array([1.0, 2.0, 5.0, 6.0])


def log_model(**arguments):
    """The artifact path became a name in MLflow 3."""
    if MAJOR >= 3:
        arguments["name"] = arguments.pop("artifact_path")
    return mlflow.sklearn.log_model(LinearRegression().fit(X, Y), pip_requirements=["scikit-learn"], **arguments)


def flow_run():
    eid = experiment()
    with mlflow.start_run(run_name="first", tags={"team": "a"}) as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"depth": 3, "name": "ü"})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metric("loss", 0.25, step=2)
        mlflow.log_metrics({"auc": 0.9, "nan": float("nan")}, step=2)
        mlflow.set_tag("k", "v")
        mlflow.set_tags({"x": 1, "y": "two"})
    got = mlflow.get_run(run.info.run_id)
    assert got.info.status == "FINISHED" and got.info.experiment_id == eid and got.info.run_name == "first"
    assert got.info.end_time >= got.info.start_time > 0
    assert got.data.params == {"lr": "0.1", "depth": "3", "name": "ü"}
    assert got.data.metrics["loss"] == 0.25 and math.isnan(got.data.metrics["nan"])
    assert {k: v for k, v in got.data.tags.items() if not k.startswith("mlflow.")} == {"team": "a", "k": "v", "x": "1", "y": "two"}
    history = MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 0.5), (2, 0.25)]


def flow_failed_and_nested():
    eid = experiment()
    try:
        with mlflow.start_run() as run:
            raise KeyError("on purpose")
    except KeyError:
        pass
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
    with mlflow.start_run() as parent:
        for i in range(3):
            with mlflow.start_run(nested=True, run_name=f"child {i}"):
                mlflow.log_metric("i", i)
    children = mlflow.search_runs([eid], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.i DESC"])
    assert list(children["tags.mlflow.runName"]) == ["child 2", "child 1", "child 0"]


def flow_search():
    eid = experiment()
    for i in range(5):
        with mlflow.start_run(run_name=f"r{i}"):
            mlflow.log_param("p", "odd" if i % 2 else "even")
            mlflow.log_metric("m", i / 2)
            mlflow.set_tag("t", f"Tag{i}")
    client = MlflowClient()

    def names(filter_string, order_by=("metrics.m ASC",)):
        return [r.info.run_name for r in client.search_runs([eid], filter_string, order_by=list(order_by))]

    assert names("") == ["r0", "r1", "r2", "r3", "r4"]
    assert names("metrics.m >= 1 and params.p = 'even'") == ["r2", "r4"]
    assert names("tags.t LIKE 'Tag%' and metrics.m < 1") == ["r0", "r1"]
    assert names("tags.t ILIKE 'tAG3'") == ["r3"]
    assert names("params.p != 'even'", ["metrics.m DESC"]) == ["r3", "r1"]
    assert names("attributes.run_name = 'r3'") == ["r3"]
    assert names("attributes.status = 'FAILED'") == []
    pages, token = [], None
    while True:
        page = client.search_runs([eid], max_results=2, order_by=["metrics.m DESC"], page_token=token)
        pages += [r.info.run_name for r in page]
        token = page.token
        if not token:
            break
    assert pages == ["r4", "r3", "r2", "r1", "r0"]
    with refuses("INVALID_PARAMETER_VALUE"):
        names("metrics.m > 1 or params.p = 'even'")


def flow_experiments():
    client = MlflowClient()
    name = unique("e")
    eid = client.create_experiment(name, tags={"a": "b"})
    assert client.get_experiment_by_name(name).experiment_id == eid
    assert client.get_experiment(eid).tags["a"] == "b"
    client.set_experiment_tag(eid, "a", "c")
    client.rename_experiment(eid, name + "x")
    assert [e.experiment_id for e in client.search_experiments(filter_string=f"name = '{name}x' AND tags.a = 'c'")] == [eid]
    with refuses("RESOURCE_ALREADY_EXISTS"):
        client.create_experiment(name + "x")
    client.delete_experiment(eid)
    assert client.get_experiment(eid).lifecycle_stage == "deleted"
    client.restore_experiment(eid)
    assert client.get_experiment(eid).lifecycle_stage == "active"
    assert client.get_experiment_by_name(unique("nothing")) is None
    assert client.get_experiment("0").name == "Default"
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.get_experiment("123456789")


def flow_delete_and_restore_a_run():
    experiment()
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
    client.delete_run(run.info.run_id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    with refuses("INVALID_PARAMETER_VALUE", "active"):
        client.log_metric(run.info.run_id, "m", 1)
    client.restore_run(run.info.run_id)
    client.log_metric(run.info.run_id, "m", 1)
    with refuses("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        client.log_param(run.info.run_id, "p", 2)
    client.delete_tag(run.info.run_id, "mlflow.source.name")
    assert "mlflow.source.name" not in client.get_run(run.info.run_id).data.tags


def flow_artifacts():
    experiment()
    client = MlflowClient()
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        rid = run.info.run_id
        os.makedirs(os.path.join(folder, "d", "e"))
        for name, text in {"a.txt": "A", "d/b.txt": "B", "d/e/c d.txt": "C"}.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        mlflow.log_artifacts(folder, "all")
        mlflow.log_artifact(os.path.join(folder, "a.txt"))
        mlflow.log_text("täxt", "t/x.txt")
        mlflow.log_dict({"k": [1, 2]}, "d.json")
        assert sorted(f.path for f in client.list_artifacts(rid)) == ["a.txt", "all", "d.json", "t"]
        assert {f.path: f.is_dir for f in client.list_artifacts(rid, "all")} == {"all/a.txt": False, "all/d": True}
        assert client.list_artifacts(rid, "a.txt") == []
        got = client.download_artifacts(rid, "all", folder)
        assert open(os.path.join(got, "d", "e", "c d.txt")).read() == "C"
        path = mlflow.artifacts.download_artifacts(run_id=rid, artifact_path="t/x.txt", dst_path=folder)
        assert open(path, encoding="utf-8").read() == "täxt"
        assert mlflow.artifacts.load_dict(f"runs:/{rid}/d.json") == {"k": [1, 2]}


def flow_model():
    experiment()
    name = unique("model")
    with mlflow.start_run() as run:
        info = log_model(artifact_path="model", registered_model_name=name)
        log_model(artifact_path="second", registered_model_name=name)
    client = MlflowClient()
    for uri in [info.model_uri, f"runs:/{run.info.run_id}/model", f"models:/{name}/1", f"models:/{name}/2"]:
        assert np.allclose(mlflow.pyfunc.load_model(uri).predict(X), [1.0, 2.0, 5.0, 6.0], atol=0.5), uri
    client.set_registered_model_alias(name, "champion", "1")
    assert client.get_model_version_by_alias(name, "champion").version in ("1", 1)
    assert isinstance(mlflow.sklearn.load_model(f"models:/{name}@champion"), LinearRegression)
    client.transition_model_version_stage(name, "2", "Production")
    mlflow.pyfunc.load_model(f"models:/{name}/Production")
    assert [v.version for v in client.get_latest_versions(name, ["Production"])] in (["2"], [2])
    assert client.get_model_version(name, "1").run_id == run.info.run_id


def flow_registry():
    client = MlflowClient()
    name = unique("reg")
    client.create_registered_model(name, tags={"a": "b"}, description="what it does")
    with refuses("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(name)
    client.update_registered_model(name, description="more")
    client.set_registered_model_tag(name, "c", "d")
    client.delete_registered_model_tag(name, "a")
    got = client.get_registered_model(name)
    assert got.description == "more" and got.tags == {"c": "d"}
    assert [m.name for m in client.search_registered_models(f"name = '{name}'")] == [name]
    client.rename_registered_model(name, name + "x")
    client.delete_registered_model(name + "x")
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(name + "x")
