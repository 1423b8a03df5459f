"""A pipeline on mixed columns, logged by MLflow, served by Trimtab: in a worker from its registered version and, converted, in Go."""

import io
import json
import os
import pathlib
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from scratch import unique
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SERVER = os.environ["MLFLOW_TRACKING_URI"]
CARRIERS = ["AA", "DL", "UA", "WN"]


def call(path, body, media="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data, {"Content-Type": media})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        raise AssertionError(f"{path}: {e.code} {e.read().decode()}") from None


def flights(n=400, seed=5):
    r = np.random.default_rng(seed)
    rows = pd.DataFrame({"carrier": r.choice(CARRIERS, n), "distance": r.gamma(3, 300, n), "hour": r.integers(5, 24, n)})
    late = r.random(n) < 1 / (1 + np.exp(2 - rows["hour"] / 8 - (rows["carrier"] == "WN")))
    return rows, np.where(late, "late", "on time")


def trained():
    rows, labels = flights()
    columns = ColumnTransformer([("words", OneHotEncoder(handle_unknown="ignore"), ["carrier"]), ("numbers", StandardScaler(), ["distance", "hour"])])
    return make_pipeline(columns, LogisticRegression(C=3)).fit(rows, labels), rows


def graph(model):
    types = [("carrier", StringTensorType([None, 1])), ("distance", FloatTensorType([None, 1])), ("hour", Int64TensorType([None, 1]))]
    return to_onnx(model, initial_types=types).SerializeToString()


def upload(name, folder, extra, **query):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file():
                archive.add(path, str(path.relative_to(folder)))
        for file, data in extra.items():
            info = tarfile.TarInfo(file)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return call(f"/api/v1/models/{name}/import?{urllib.parse.urlencode(query)}", stream.getvalue(), "application/x-tar")


def scores(name, rows):
    """The probability of the second class, and the labels, over the Open Inference Protocol."""
    tensors = [
        {"name": "carrier", "shape": [len(rows)], "datatype": "BYTES", "data": rows["carrier"].tolist()},
        {"name": "hour", "shape": [len(rows)], "datatype": "INT64", "data": rows["hour"].tolist()},
        {"name": "distance", "shape": [len(rows)], "datatype": "FP64", "data": rows["distance"].tolist()},
    ]
    out = {o["name"]: o for o in call(f"/v2/models/{name}/infer", {"inputs": tensors})["outputs"]}
    return np.array(out["probabilities"]["data"]).reshape(len(rows), 2)[:, 1], out["label"]["data"]


def flow_pipeline_in_worker_and_in_go():
    name = unique("pipeline")
    model, rows = trained()
    asked, _ = flights(50, seed=9)
    asked.loc[3, "carrier"] = "ZZ"  # a category that it was not trained on
    want, labels = model.predict_proba(asked)[:, 1], list(model.predict(asked))
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model, name="model", registered_model_name=name, signature=infer_signature(rows, model.predict(rows)), input_example=rows.head(20)
        )

    first = call(f"/api/v1/models/{name}/versions/1/examine", {"options": {"python": sys.executable}})
    assert first["serving"]["engine"] == "python" and first["format"] == "sklearn", first["serving"]
    assert [(i["name"], i["kind"]) for i in first["signature"]["inputs"]] == [("carrier", "string"), ("distance", "double"), ("hour", "long")]
    assert first["certificate"]["state"] == "holds" and first["certificate"]["source"] == "example", first["certificate"]
    call(f"/api/v1/models/{name}/versions/1/deploy", {"reason": "the pipeline as it is"})
    got, decided = scores(name, asked)
    assert np.abs(got - want).max() == 0 and decided == labels

    folder = mlflow.artifacts.download_artifacts(f"models:/{name}/1")
    second = upload(name, folder, {"converted.onnx": graph(model)}, python=sys.executable)
    assert second["version"] == 2 and second["serving"]["engine"] == "onnx", second["serving"]
    certificate = second["certificate"]
    served = next(e for e in certificate["engines"] if e["serves"])
    assert certificate["state"] == "holds" and certificate["reference"] == "python" and certificate["rows"] == 200, certificate
    assert served["engine"] == "onnx" and served["max_abs"] <= 1e-5 and served["flips"] == 0, served
    call(f"/api/v1/models/{name}/versions/2/deploy", {"reason": "the same in Go"})
    got, decided = scores(name, asked)
    assert np.abs(got - want).max() <= 1e-5 and decided == labels


def flow_a_wrong_graph_is_kept_from_traffic():
    name = unique("wrong")
    model, rows = trained()
    other = make_pipeline(model.steps[0][1], LogisticRegression(C=1e-4).fit(model[0].transform(rows), flights()[1]))
    folder = pathlib.Path(os.environ["TMPDIR"], name)
    mlflow.sklearn.save_model(model, folder, input_example=rows.head(20))
    version = upload(name, folder, {"converted.onnx": graph(other)}, python=sys.executable)
    assert version["certificate"]["state"] == "fails", version["certificate"]
    try:
        call(f"/api/v1/models/{name}/versions/1/deploy", {"reason": "it looks alike"})
    except AssertionError as e:
        assert "load certificate" in str(e) and "onnx differs from python" in str(e), e
    else:
        raise AssertionError("a version that fails its certificate was deployed")
    call(f"/api/v1/models/{name}/versions/1/deploy", {"reason": "looked at it", "force": True})
    assert scores(name, rows.head(3))
