"""Models: logged, found, loaded by every kind of address, as the newest client does it."""

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModelStatus
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from scratch import experiment, refuses, unique
from sklearn.linear_model import LinearRegression, LogisticRegression

X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
Y = np.array([1.0, 2.0, 5.0, 6.0])


def fitted():
    return LinearRegression().fit(X, Y)


def flow_every_address():
    model = fitted()
    name = unique("addresses")
    experiment()
    with mlflow.start_run() as run:
        mlflow.log_params({"a": 1, "b": 2})
        mlflow.log_metric("before", 1.0, step=1)
        info = mlflow.sklearn.log_model(model, name="model", registered_model_name=name, signature=infer_signature(X, Y), input_example=X[:2],
                                        pip_requirements=["scikit-learn"], metadata={"k": "v"})
    client = MlflowClient()
    client.set_registered_model_alias(name, "champion", "1")
    assert info.model_id.startswith("m-") and info.model_uri == f"models:/{info.model_id}"
    addresses = [info.model_uri, f"models:/{name}/1", f"models:/{name}@champion", f"models:/{name}/latest", f"runs:/{run.info.run_id}/model"]
    for uri in addresses:
        loaded = mlflow.pyfunc.load_model(uri)
        assert np.array_equal(loaded.predict(X), model.predict(X)), uri
        assert loaded.metadata.signature.inputs.input_names() == ["a", "b"]
    assert np.array_equal(mlflow.sklearn.load_model(addresses[0]).coef_, model.coef_)
    got = mlflow.models.get_model_info(f"models:/{name}/1")
    assert got.metadata == {"k": "v"} and "sklearn" in got.flavors
    version = client.get_model_version(name, "1")
    assert version.status == "READY" and version.run_id == run.info.run_id and version.source == info.model_uri
    assert client.get_logged_model(info.model_id).tags["mlflow.modelVersions"].startswith("[{")
    outputs = mlflow.get_run(run.info.run_id).outputs.model_outputs
    assert [o.model_id for o in outputs] == [info.model_id]
    assert mlflow.artifacts.list_artifacts(f"models:/{name}/1")
    path = mlflow.artifacts.download_artifacts(f"models:/{name}@champion")
    assert mlflow.models.Model.load(path).flavors["sklearn"]


def flow_missing_models():
    experiment()
    with mlflow.start_run() as run:
        pass
    for uri in [f"runs:/{run.info.run_id}/model", f"models:/{unique('none')}/1", f"models:/{unique('none')}@champion", "models:/m-" + "0" * 32]:
        try:
            with refuses("RESOURCE_DOES_NOT_EXIST"):
                mlflow.pyfunc.load_model(uri)
        except AssertionError as e:  # the client has its own code for some of them
            assert "was expected, nothing was raised" not in str(e) and "took long" not in str(e), e
        except OSError as e:
            assert "No such file" in str(e), e


def flow_registering_later():
    experiment()
    name = unique("later")
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(fitted(), name="model", pip_requirements=["scikit-learn"])
    first = mlflow.register_model(info.model_uri, name, tags={"how": "by id"})
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    assert (str(first.version), str(second.version)) == ("1", "2")
    assert first.tags == {"how": "by id"}
    for v in "12":
        assert np.allclose(mlflow.pyfunc.load_model(f"models:/{name}/{v}").predict(X), fitted().predict(X))


class Doubles(mlflow.pyfunc.PythonModel):
    """A model of the user's own."""

    def predict(self, context, model_input: list[float], params=None):
        return [2 * x for x in model_input]


def flow_own_python_model():
    experiment()
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(name="doubles", python_model=Doubles(), pip_requirements=["numpy"])
    assert mlflow.pyfunc.load_model(info.model_uri).predict([1.0, 2.5]) == [2.0, 5.0]


def flow_onnx():
    import onnxruntime
    from skl2onnx import to_onnx

    x = X.to_numpy(dtype=np.float32)
    graph = to_onnx(LogisticRegression().fit(x, [0, 1, 0, 1]), x[:1], options={"zipmap": False})
    experiment()
    with mlflow.start_run():
        info = mlflow.onnx.log_model(graph, name="graph", pip_requirements=["onnx", "onnxruntime"], input_example=x[:1], save_as_external_data=False)
    loaded = mlflow.onnx.load_model(info.model_uri)
    session = onnxruntime.InferenceSession(loaded.SerializeToString())
    want = session.run(None, {session.get_inputs()[0].name: x})[1]
    got = mlflow.pyfunc.load_model(info.model_uri).predict(x)
    assert any(np.allclose(v, want) for v in got.values() if np.shape(v) == np.shape(want))


def flow_logged_models():
    client = MlflowClient()
    eid = experiment()
    model = mlflow.initialize_logged_model(name="mine", params={"depth": "3"}, tags={"t": "v"}, model_type="classifier")
    assert model.status == LoggedModelStatus.PENDING
    client.log_model_params(model.model_id, {f"p{i}": str(i) for i in range(150)})
    client.set_logged_model_tags(model.model_id, {"t": "w", "u": "x"})
    client.delete_logged_model_tag(model.model_id, "u")
    model = mlflow.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    got = mlflow.get_logged_model(model.model_id)
    assert got.status == LoggedModelStatus.READY and got.model_type == "classifier" and got.name == "mine" and got.experiment_id == eid
    assert {k: v for k, v in got.tags.items() if not k.startswith("mlflow.")} == {"t": "w"} and got.params["depth"] == "3" and len(got.params) == 151
    assert got.artifact_location.startswith("mlflow-artifacts:/") and f"models/{model.model_id}" in got.artifact_location
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        client.delete_logged_model_tag(model.model_id, "u")
    failed = mlflow.finalize_logged_model(mlflow.initialize_logged_model(name="failed").model_id, LoggedModelStatus.FAILED)
    assert failed.status == LoggedModelStatus.FAILED
    outside = mlflow.create_external_model(name="outside", model_type="agent")
    assert outside.status == LoggedModelStatus.READY
    client.delete_logged_model(failed.model_id)
    with refuses("RESOURCE_DOES_NOT_EXIST"):
        mlflow.get_logged_model(failed.model_id)
    assert {m.name for m in mlflow.search_logged_models([eid], output_format="list")} == {"mine", "outside"}
    with refuses("INVALID_PARAMETER_VALUE"):
        mlflow.initialize_logged_model(name="a/b")


def flow_searching_logged_models():
    eid = experiment()
    data = mlflow.data.from_pandas(X.assign(y=Y), name="held out", targets="y")
    ids = []
    with mlflow.start_run() as run:
        for i in range(4):
            kind = "odd" if i % 2 else "even"
            model = mlflow.initialize_logged_model(name=f"m{i}", params={"size": str(i)}, tags={"kind": kind}, model_type="tree")
            mlflow.log_metric("rmse", 1 - i / 10, model_id=model.model_id, dataset=data)
            mlflow.log_metric("speed", i, model_id=model.model_id)
            ids.append(mlflow.finalize_logged_model(model.model_id, "READY").model_id)

    def names(filter_string=None, order_by=None, **more):
        order_by = order_by or [{"field_name": "name"}]
        return [m.name for m in mlflow.search_logged_models([eid], filter_string, order_by=order_by, output_format="list", **more)]

    assert names() == ["m0", "m1", "m2", "m3"]
    assert names("params.size = '2'") == ["m2"]
    assert names("tags.kind = 'odd' AND metrics.speed > 1") == ["m3"]
    assert names("metrics.rmse < 0.85", datasets=[{"dataset_name": "held out", "dataset_digest": data.digest}]) == ["m2", "m3"]
    assert names("metrics.rmse < 0.85", datasets=[{"dataset_name": "other"}]) == []
    assert names("name LIKE 'm%' AND model_type = 'tree'", max_results=2) == ["m0", "m1"]
    assert names(f"model_id = '{ids[1]}'") == ["m1"]
    assert names(f"source_run_id = '{run.info.run_id}'") == ["m0", "m1", "m2", "m3"]
    assert names(order_by=[{"field_name": "metrics.speed", "ascending": False}]) == ["m3", "m2", "m1", "m0"]
    assert names(order_by=[{"field_name": "metrics.rmse", "ascending": True, "dataset_name": "held out", "dataset_digest": data.digest}]) == [
        "m3", "m2", "m1", "m0"]
    assert names(order_by=[{"field_name": "creation_timestamp", "ascending": False}]) == ["m3", "m2", "m1", "m0"]
    client = MlflowClient()
    pages, token = [], None
    while True:
        page = client.search_logged_models([eid], max_results=3, order_by=[{"field_name": "name"}], page_token=token)
        pages += [m.name for m in page]
        token = page.token
        if not token:
            break
    assert pages == ["m0", "m1", "m2", "m3"]
    metrics = {m.key: m for m in mlflow.get_logged_model(ids[3]).metrics}
    assert metrics["rmse"].value == 0.7 and metrics["rmse"].dataset_digest == data.digest and metrics["rmse"].model_id == ids[3]
    frame = mlflow.search_logged_models([eid])
    assert len(frame) == 4 and "model_id" in frame


def flow_active_model():
    experiment()
    active = mlflow.set_active_model(name=unique("active"))
    with mlflow.start_run():
        mlflow.log_metric("m", 1.5)
    assert mlflow.get_active_model_id() == active.model_id
    assert [m.value for m in mlflow.get_logged_model(active.model_id).metrics] in ([1.5], [])
    mlflow.clear_active_model()
