"""Fills a tracking store with everything that moves, and tells what is in one, without the ids: those of two stores differ.

Reads one JSON object a line: {"do": "fill" | "dump" | "times" | "predict", "uri": URI}; answers with one line each.
"""

import hashlib
import json
import logging
import os
import sys
import tempfile
import warnings

import mlflow
import numpy
import pandas
from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput, Metric, Param, RunTag, ViewType
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)
MARK = "trimtab.imported."


def use(uri: str) -> MlflowClient:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient(uri, uri)


def fill(uri: str) -> None:
    client = use(uri)
    at = 1_700_000_000_000
    flights = client.create_experiment("flights, delayed", tags={"team": "ops", "note": "späte Flüge: 1e5\nzwei Zeilen"})
    mlflow.set_experiment("flights, delayed")
    rows = pandas.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0, 0, 1, 1]})
    fitted = LogisticRegression().fit(rows[["x"]], rows["y"])
    with mlflow.start_run(run_name="parent") as parent:
        mlflow.log_params({"depth": 6, "path/with/slash": "1e5", "empty": "", "ünïcode": "no"})
        mlflow.set_tags({"on": "yes", "stage": "null"})
        client.log_batch(parent.info.run_id, [Metric("loss", 1 / (i + 1), at + i, i) for i in range(900)])
        odd = [Metric("odd/name", float("nan"), at, 0), Metric("odd/name", 2.5, at, -3)]
        odd += [Metric("endless", value, at, step) for step, value in enumerate([float("inf"), 0.5, float("-inf"), float("nan")])]
        client.log_batch(parent.info.run_id, [Metric("loss", -1e-300, at + 2000, 1_000_000), *odd])
        mlflow.log_text("top", "top.txt")
        mlflow.log_text("below", "a/b/c d.txt")
        mlflow.log_text("", "a/empty")
        data = mlflow.data.from_pandas(rows, name="rows", targets="y")
        mlflow.log_input(data, context="training", tags={"split": "all"})
        info = mlflow.sklearn.log_model(fitted, name="classifier", pip_requirements=["scikit-learn"], params={"C": 1.0}, tags={"kind": "linear"})
        # Step 0: MLflow reads that of a point with a dataset as 0 from an mlruns folder.
        mlflow.log_metric("accuracy", 0.75, step=0, model_id=info.model_id, dataset=data)
        mlflow.log_metric("accuracy", float("nan"), step=4, model_id=info.model_id)
        for number in range(2):
            with mlflow.start_run(run_name=f"child {number}", nested=True) as child:
                mlflow.log_metric("auc", number / 7)
                client.log_inputs(child.info.run_id, models=[LoggedModelInput(info.model_id)])
    for name, status in (("killed", "KILLED"), ("failed", "FAILED"), ("running", None)):
        run = client.create_run(flights, start_time=at, run_name=name, tags={"mlflow.user": "alice"})
        client.log_batch(run.info.run_id, params=[Param(f"p{i}", str(i)) for i in range(100)], tags=[RunTag(f"t{i}", "x" * i) for i in range(100)])
        if status:
            client.set_terminated(run.info.run_id, status, at + 5000)
    run = client.create_run(flights, run_name="deleted")
    client.log_metric(run.info.run_id, "auc", 0.1, at, 0)
    client.set_terminated(run.info.run_id)
    client.delete_run(run.info.run_id)
    gone = client.create_experiment("gone")
    client.set_terminated(client.create_run(gone, run_name="in gone").info.run_id)
    client.delete_experiment(gone)
    other = client.create_experiment("other")
    client.set_terminated(client.create_run(other, run_name="alone").info.run_id)

    client.create_registered_model("flights", tags={"tier": "1"}, description="late or not")
    source = f"models:/{info.model_id}"
    for number in range(4):
        told = {"tags": {"n": str(number)}, "description": f"take {number}", "model_id": info.model_id}
        client.create_model_version("flights", source, parent.info.run_id, **told)
    client.delete_model_version("flights", "2")
    client.transition_model_version_stage("flights", "1", "Archived")
    client.transition_model_version_stage("flights", "3", "Production")
    client.set_registered_model_alias("flights", "champion", "3")
    client.set_registered_model_alias("flights", "candidate", "4")
    client.create_registered_model("empty one")
    client.create_model_version("empty one", f"{parent.info.artifact_uri}/a", parent.info.run_id)


def plain(tags: dict, runs: dict, models: dict) -> dict:
    """Tags without our marks, and with names in place of ids."""
    out = {}
    for key, value in tags.items():
        if key.startswith(MARK):
            continue
        if key == "mlflow.modelVersions":
            continue  # the servers write it, and leave deleted versions in; predict needs none of it
        if key == "mlflow.parentRunId":
            value = runs.get(value, value)
        out[key] = value
    return out


def files(uri: str) -> dict:
    """What is at a URI: the hash of every file."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            top = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        except Exception:
            return {}  # nothing was ever logged there
        found = {}
        for parent, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(parent, name), "rb") as file:
                    found[os.path.relpath(os.path.join(parent, name), top)] = hashlib.sha256(file.read()).hexdigest()[:16]
        return found


def measures(metrics) -> list:
    # MLflow's tables of logged models have 0 for NaN.
    return sorted(
        [m.key, repr(float(numpy.nan_to_num(m.value))), m.timestamp, m.step, m.dataset_name or "", m.dataset_digest or ""] for m in metrics or []
    )


def dataset(given) -> list:
    d = given.dataset
    tags = sorted((t.key, t.value) for t in given.tags)
    return [d.name, d.digest, d.source_type, d.source, d.schema or "", d.profile or "", tags]


def dump(uri: str) -> dict:
    client = use(uri)
    experiments = {e.experiment_id: e for e in client.search_experiments(ViewType.ALL)}
    runs, found, logged = {}, [], []
    for id in experiments:
        token = None
        while True:
            page = client.search_runs([id], run_view_type=ViewType.ALL, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                break
        logged += client.search_logged_models([id], max_results=100)
    runs = {r.info.run_id: r.info.run_name for r in found}
    models = {m.model_id: m.name for m in logged}
    assert len(set(runs.values())) == len(runs), f"a run is there twice: {sorted(runs.values())}"
    assert len(set(models.values())) == len(models), f"a logged model is there twice: {sorted(models.values())}"
    out = {"experiments": {}, "runs": {}, "logged": {}, "models": {}}
    for e in experiments.values():
        if e.name == "Default":
            continue
        assert e.name not in out["experiments"], f"experiment {e.name} is there twice"
        out["experiments"][e.name] = {"stage": e.lifecycle_stage, "tags": plain(e.tags, runs, models)}
    for r in found:
        i = r.info
        inputs = client.get_run(i.run_id).inputs.model_inputs  # MLflow's server leaves them out of searches
        history = []
        for key in r.data.metrics:
            history += [[key, m.step, m.timestamp, repr(float(m.value))] for m in client.get_metric_history(i.run_id, key)]
        history = [list(point) for point in {tuple(point) for point in history}]  # an mlruns folder has a point as often as it was logged
        out["runs"][i.run_name] = {
            "experiment": experiments[i.experiment_id].name,
            "info": [i.status, i.start_time, i.end_time, i.lifecycle_stage, i.user_id],
            "params": r.data.params,
            "tags": plain(r.data.tags, runs, models),
            "latest": {key: repr(float(value)) for key, value in r.data.metrics.items()},
            "history": sorted(history),
            "datasets": sorted(dataset(d) for d in r.inputs.dataset_inputs),
            "inputs": sorted(models[m.model_id] for m in inputs),
            "outputs": sorted([models[m.model_id], m.step] for m in r.outputs.model_outputs) if r.outputs else [],
            "files": files(i.artifact_uri),
        }
    for m in logged:
        out["logged"][m.name] = {
            "experiment": experiments[m.experiment_id].name,
            "run": runs.get(m.source_run_id),
            "info": [m.model_type or "", str(m.status)],
            "params": m.params,
            "tags": plain(m.tags, runs, models),
            "metrics": measures(m.metrics),
            "files": files(m.artifact_location),
        }
    for m in client.search_registered_models(max_results=100):
        versions = {}
        for v in client.search_model_versions(f"name = '{m.name}'"):
            source = v.source
            for id, name in list(runs.items()) + list(models.items()):
                source = source.replace(id, f"<{name}>")
            if "/artifacts" in source:
                source = "…" + source[source.index("/<"):]
            versions[str(v.version)] = {
                "description": v.description or "",
                "tags": plain(v.tags, runs, models),
                "stage": v.current_stage,
                "run": runs.get(v.run_id),
                "source": source,
            }
        out["models"][m.name] = {
            "description": m.description or "",
            "tags": plain(m.tags, runs, models),
            "aliases": {a: int(v) for a, v in m.aliases.items()},
            "versions": versions,
        }
    return out


def times(uri: str) -> dict:
    """When experiments, models and versions were made and changed, and by whom: only Trimtab can be given that."""
    client = use(uri)
    out = {f"experiment {e.name}": [e.creation_time, e.last_update_time] for e in client.search_experiments(ViewType.ALL) if e.name != "Default"}
    for m in client.search_registered_models(max_results=100):
        out[f"model {m.name}"] = [m.creation_timestamp, m.last_updated_timestamp]
        for v in client.search_model_versions(f"name = '{m.name}'"):
            out[f"version {m.name} {v.version}"] = [v.creation_timestamp, v.last_updated_timestamp, v.user_id or ""]
    return out


def predict(uri: str) -> list:
    use(uri)
    model = mlflow.sklearn.load_model("models:/flights@champion")
    return [float(p) for p in model.predict_proba(numpy.array([[0.5], [2.5]]))[:, 1]]


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the client prints links
    for line in sys.stdin:
        ask = json.loads(line)
        answer = {"fill": fill, "dump": dump, "times": times, "predict": predict}[ask["do"]](ask["uri"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
