"""A version that Trimtab trained, opened by MLflow: TRIMTAB_MODEL names it, TRIMTAB_ASKED has rows with Trimtab's answers."""

import json
import os

import mlflow
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient

MODEL = os.environ.get("TRIMTAB_MODEL", "")


def asked():
    with open(os.environ["TRIMTAB_ASKED"]) as f:
        read = json.load(f)
    return pd.DataFrame(read["rows"]), np.array([p.get("scores", p.get("score")) for p in read["predictions"]])


def predict(model, rows):
    """The scores that the model gives; its signature says which columns it wants, as which type."""
    columns = {}
    for tensor in model.metadata.signature.inputs.inputs:
        kind = str if tensor.type.kind in "UOS" else tensor.type
        columns[tensor.name] = rows[tensor.name].to_numpy().astype(kind).reshape(-1, 1)
    answer = model.predict(columns)
    return [np.asarray(v) for v in answer.values()]


def flow_load_and_predict():
    rows, want = asked()
    for uri in [f"models:/{MODEL}/1", f"models:/{MODEL}/latest"]:
        outputs = predict(mlflow.pyfunc.load_model(uri), rows)
        scores = [v for v in outputs if v.dtype.kind == "f" and v.size == want.size]
        assert scores, [(v.dtype, v.shape) for v in outputs]
        worst = np.abs(scores[0].reshape(want.shape) - want).max()
        assert worst < 1e-5, f"the scores are up to {worst} apart"  # both are 32 bit sums


def flow_registry_knows_it():
    client = MlflowClient()
    version = client.get_model_version(MODEL, "1")
    assert version.status == "READY" and str(version.version) == "1"
    assert MODEL in [m.name for m in client.search_registered_models()]
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED" and run.data.params and run.data.metrics
    paths = [f.path for f in mlflow.artifacts.list_artifacts(f"models:/{MODEL}/1")]
    assert any(p.endswith("MLmodel") for p in paths), paths


def flow_run_has_a_curve():
    client = MlflowClient()
    run = client.get_run(client.get_model_version(MODEL, "1").run_id)
    longest = max((client.get_metric_history(run.info.run_id, key) for key in run.data.metrics), key=len)
    assert len(longest) >= 2, "training left no curve"
