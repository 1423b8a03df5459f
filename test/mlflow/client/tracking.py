"""Runs, metrics, parameters, tags, datasets and search, as the newest client does them."""

import math
import threading
import time

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag, ViewType
from mlflow.tracking import MlflowClient
from scratch import experiment, refuses, unique


def flow_views_of_experiments():
    client = MlflowClient()
    word = unique("view")
    ids = [client.create_experiment(f"{word}/{i}", tags={"i": str(i), "word": word}) for i in range(4)]
    client.delete_experiment(ids[3])

    def names(filter_string, **more):
        return [e.name.removeprefix(word + "/") for e in client.search_experiments(filter_string=filter_string, **more)]

    mine = f"name LIKE '{word}/%'"
    assert names(mine) == ["2", "1", "0"]
    assert names(mine, order_by=["name ASC"]) == ["0", "1", "2"]
    assert names(mine, view_type=ViewType.DELETED_ONLY) == ["3"]
    assert names(mine, view_type=ViewType.ALL, order_by=["name DESC"]) == ["3", "2", "1", "0"]
    assert names(f"name ILIKE '{word.upper()}/%' AND tags.i = '1'") == ["1"]
    assert names(f"tags.word = '{word}' AND tags.i != '1'", order_by=["name"]) == ["0", "2"]
    assert names(f"tags.`word` = '{word}' and creation_time > 0 and last_update_time > 0", max_results=1) == ["2"]
    first = client.search_experiments(filter_string=mine, max_results=2, order_by=["experiment_id"])
    second = client.search_experiments(filter_string=mine, max_results=2, order_by=["experiment_id"], page_token=first.token)
    assert [e.experiment_id for e in first + second] == sorted(ids[:3], key=int) or [e.experiment_id for e in first + second] == ids[:3]
    assert not second.token
    client.delete_experiment_tag(ids[0], "i")
    assert "i" not in client.get_experiment(ids[0]).tags
    with refuses("INVALID_PARAMETER_VALUE"):
        client.search_experiments(filter_string="nonsense = 'x'")
    with refuses("INVALID_PARAMETER_VALUE"):
        client.create_experiment("")


def flow_runs_of_a_deleted_experiment():
    client = MlflowClient()
    eid = client.create_experiment(unique("gone"))
    run = client.create_run(eid)
    client.delete_experiment(eid)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    with refuses("INVALID_PARAMETER_VALUE", "active"):
        client.create_run(eid)
    client.restore_experiment(eid)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def flow_run_states():
    client = MlflowClient()
    run = client.create_run(experiment(), run_name="n", start_time=1_700_000_000_000)
    rid = run.info.run_id
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("RUNNING", 1_700_000_000_000, None)
    client.set_terminated(rid, "KILLED", end_time=1_700_000_001_000)
    assert client.get_run(rid).info.end_time == 1_700_000_001_000
    client.update_run(rid, status="SCHEDULED", name="renamed")
    got = client.get_run(rid)
    assert got.info.status == "SCHEDULED" and got.info.run_name == "renamed" == got.data.tags["mlflow.runName"]
    client.set_tag(rid, "mlflow.runName", "by tag")
    assert client.get_run(rid).info.run_name == "by tag"
    with mlflow.start_run(run_id=rid, description="about it"):
        assert RunStatus.is_terminated(RunStatus.from_string("FINISHED"))
    got = client.get_run(rid)
    assert got.info.status == "FINISHED" and got.data.tags["mlflow.note.content"] == "about it"
    with refuses("RESOURCE_DOES_NOT_EXIST", "not found"):
        client.get_run("0" * 32)


def flow_parameters():
    client = MlflowClient()
    rid = client.create_run(experiment()).info.run_id
    client.log_param(rid, "long", "x" * 6000)
    client.log_param(rid, "long", "x" * 6000)
    client.log_param(rid, "a/b c.d-e_f:g", "")
    with refuses("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        client.log_param(rid, "long", "y")
    with mlflow.start_run(run_id=rid):
        mlflow.log_params({f"p{i}": i for i in range(250)})  # the client sends a hundred at a time
    params = client.get_run(rid).data.params
    assert len(params) == 252 and params["p249"] == "249" and params["a/b c.d-e_f:g"] == "" and len(params["long"]) == 6000
    for key in ["../up", "a//b", "/root", "?", "x" * 251]:
        with refuses("INVALID_PARAMETER_VALUE"):
            client.log_param(rid, key, 1)
    with refuses("INVALID_PARAMETER_VALUE"):
        client.log_batch(rid, params=[Param("twice", "1"), Param("twice", "2")])
    assert "twice" not in client.get_run(rid).data.params


def flow_metrics():
    client = MlflowClient()
    rid = client.create_run(experiment()).info.run_id
    for step, value in [(3, 1.0), (1, 9.0), (-2, 4.0)]:
        client.log_metric(rid, "m", value, timestamp=1000 + step, step=step)
    assert client.get_run(rid).data.metrics["m"] == 1.0  # of the highest step
    client.log_metric(rid, "m", 2.0, timestamp=1003, step=3)
    assert client.get_run(rid).data.metrics["m"] == 2.0  # of the highest value at equal step and time
    client.log_metric(rid, "m", 2.0, timestamp=1003, step=3)
    assert sorted((m.step, m.value, m.timestamp) for m in client.get_metric_history(rid, "m")) == [
        (-2, 4.0, 998), (1, 9.0, 1001), (3, 1.0, 1003), (3, 2.0, 1003)]
    for _ in range(2):
        client.log_metric(rid, "nan", float("nan"), timestamp=5, step=0)
    assert [math.isnan(m.value) for m in client.get_metric_history(rid, "nan")] == [True]
    client.log_metric(rid, "inf", float("-inf"), timestamp=5, step=0)
    assert client.get_run(rid).data.metrics["inf"] < -1e308
    assert client.get_metric_history(rid, "never") == []


def flow_long_histories():
    client = MlflowClient()
    rid = client.create_run(experiment()).info.run_id
    total = 26_000  # more than the client asks for at a time
    for begin in range(0, total, 1000):
        client.log_batch(rid, metrics=[Metric("curve", math.sin(i), 1_700_000_000_000 + i, i) for i in range(begin, begin + 1000)])
    history = client.get_metric_history(rid, "curve")
    assert len(history) == total and all(m.step == i and m.value == math.sin(i) for i, m in enumerate(history))


def flow_batch():
    client = MlflowClient()
    rid = client.create_run(experiment()).info.run_id
    client.log_batch(rid, [Metric("m", i, i, i) for i in range(800)], [Param(f"p{i}", str(i)) for i in range(100)],
                     [RunTag(f"t{i}", str(i)) for i in range(100)])
    data = client.get_run(rid).data
    assert data.metrics == {"m": 799} and len(data.params) == 100 and data.tags["t99"] == "99"
    client.log_batch(rid, [Metric("more", i, i, i) for i in range(2500)])  # the client cuts it in pieces
    assert client.get_run(rid).data.metrics["more"] == 2499


def flow_asynchronous():
    with mlflow.start_run(experiment_id=experiment()) as run:
        futures = [mlflow.log_metric("m", i, step=i, synchronous=False) for i in range(100)]
        mlflow.log_params({"a": 1}, synchronous=False).wait()
        mlflow.set_tag("t", "v", synchronous=False).wait()
        for f in futures:
            f.wait()
        mlflow.flush_async_logging()
    assert len(MlflowClient().get_metric_history(run.info.run_id, "m")) == 100


def flow_ten_threads():
    client = MlflowClient()
    rid = client.create_run(experiment()).info.run_id

    def work(k):
        for i in range(10):
            client.log_metric(rid, f"m{k}", i, step=i)
            client.set_tag(rid, f"t{k}", i)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    data = client.get_run(rid).data
    assert all(data.metrics[f"m{k}"] == 9 and data.tags[f"t{k}"] == "9" for k in range(10))


def flow_grammar():
    client = MlflowClient()
    eid = experiment()
    for i in range(6):
        run = client.create_run(eid, run_name=f"Run {i}", start_time=1000 + i, tags={"mlflow.user": "ann" if i < 3 else "bob"})
        client.log_batch(run.info.run_id, [Metric("loss", i / 4, 1, 1), Metric("val acc", float("nan") if i == 5 else 1 - i / 10, 1, 1)],
                         [Param("size", f"{i}0"), Param("a.b", "x")], [RunTag("stage", "Prod" if i % 2 else "dev"), RunTag("quote", "it's")])
        client.set_terminated(run.info.run_id, "FAILED" if i == 4 else "FINISHED", end_time=2000 + i)
        if i == 2:
            client.log_metric(run.info.run_id, "rare", 1.0)
    ids = {r.info.run_name: r.info.run_id for r in client.search_runs([eid])}

    def hits(filter_string, order=("attributes.start_time ASC",), **more):
        return "".join(r.info.run_name[-1] for r in client.search_runs([eid], filter_string, order_by=list(order), **more))

    for filter_string, want in {
        "": "012345",
        "metrics.loss > 0.5": "345",
        "metric.loss <= 0.5 AND params.size != '00'": "12",
        "metrics.loss = 0.25": "1",
        "metrics.loss != 0.25": "02345",
        'metrics."val acc" >= 0.8': "012",
        "metrics.`val acc` < 0.8": "34",
        "parameters.size = '30'": "3",
        'param."a.b" = "x"': "012345",
        "params.size LIKE '%0' and params.size NOT LIKE '4%'": None,
        "tags.stage = 'Prod'": "135",
        "tag.stage ILIKE 'PROD'": "135",
        "tags.stage LIKE 'p%'": "",
        "tags.quote = \"it's\"": "012345",
        "attributes.status = 'FAILED'": "4",
        "status != 'FAILED'": "01235",
        "attr.run_name ILIKE 'run 2'": "2",
        "run_name LIKE 'Run%'": "012345",
        "`run name` = 'Run 3'": "3",
        "attributes.user_id = 'bob'": "345",
        "user_id IN ('ann')": None,
        "start_time >= 1002 and attributes.start_time < 1004": "23",
        "end_time > 2004": "5",
        f"run_id = '{ids['Run 1']}'": "1",
        f"attributes.run_id IN ('{ids['Run 1']}', '{ids['Run 4']}')": "14",
        f"run_id NOT IN ('{ids['Run 1']}', '{ids['Run 4']}')": "0235",
        "params.missing = 'x'": "",
        "params.missing != 'x'": "",
        "metrics.loss > -1e3 AND metrics.loss < +1.0e0": None,
    }.items():
        if want is not None:
            assert hits(filter_string) == want, (filter_string, hits(filter_string), want)
    for order, want in {
        ("metrics.loss DESC",): "543210",
        ("metrics.`val acc` ASC",): "432105",  # a NaN comes after every number
        ("metrics.rare", "params.size DESC"): "254310",
        ("tags.stage DESC", "start_time DESC"): "420531",
        ("params.size ASC",): "012345",
        ("attributes.status DESC", "start_time ASC"): "012354",
        ("run_name DESC",): "543210",
        ("created DESC",): "543210",
        ("end_time ASC",): "012345",
    }.items():
        assert hits("", order) == want, (order, hits("", order), want)
    for bad in ["metrics.loss > 'a'", "params.size > '1'", "loss = 1", "metrics.loss", "metrics.loss > 1 OR metrics.loss < 0", "tags.stage = Prod",
                "(metrics.loss > 1)", "attributes.nothing = 'x'", "metrics.loss LIKE '1'", "params.size = 10", "'", "run_id IN ()"]:
        with refuses("INVALID_PARAMETER_VALUE"):
            hits(bad)
    with refuses("INVALID_PARAMETER_VALUE"):
        hits("", ["metrics.loss SIDEWAYS"])
    with refuses("INVALID_PARAMETER_VALUE"):
        client.search_runs([eid], max_results=50_001)
    with refuses("INVALID_PARAMETER_VALUE"):
        client.search_runs([eid], page_token="tampered")


def flow_views_of_runs():
    client = MlflowClient()
    eid = experiment()
    ids = [client.create_run(eid).info.run_id for _ in range(3)]
    client.delete_run(ids[0])
    count = {view: len(client.search_runs([eid], run_view_type=view)) for view in [ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL]}
    assert list(count.values()) == [2, 1, 3]
    client.restore_run(ids[0])
    assert len(client.search_runs([eid])) == 3
    assert client.search_runs([]) == [] and client.search_runs(["987654321"]) == []


def flow_as_a_data_frame():
    eid = experiment("frame")
    for i in range(12):
        with mlflow.start_run():
            mlflow.log_metric("m", i)
            mlflow.log_param("p", i)
    frame = mlflow.search_runs([eid], order_by=["metrics.m"])
    assert list(frame["metrics.m"]) == list(range(12)) and list(frame["params.p"]) == [str(i) for i in range(12)]
    assert set(frame["status"]) == {"FINISHED"} and str(frame["start_time"].dtype).startswith("datetime64")
    name = mlflow.get_experiment(eid).name
    assert len(mlflow.search_runs(experiment_names=[name], max_results=5)) == 5
    assert len(mlflow.search_runs([eid], output_format="list")) == 12


def flow_datasets():
    eid = experiment()
    frame = pd.DataFrame({"a": [1, 2], "y": [0.5, 1.5]})
    train = mlflow.data.from_pandas(frame, source="https://example.org/train.csv", name="train", targets="y")
    array = mlflow.data.from_numpy(np.arange(4.0), name="array")
    with mlflow.start_run() as run:
        mlflow.log_input(train, context="training", tags={"origin": "here"})
        mlflow.log_input(array, context="validation")
        mlflow.log_metric("rmse", 0.5, dataset=train)
    with mlflow.start_run(run_name="other"):
        mlflow.log_input(train, context="training")
    inputs = {i.dataset.name: i for i in mlflow.get_run(run.info.run_id).inputs.dataset_inputs}
    assert set(inputs) == {"train", "array"} and inputs["train"].dataset.digest == train.digest
    assert {t.key: t.value for t in inputs["train"].tags} == {"mlflow.data.context": "training", "origin": "here"}
    assert mlflow.data.get_source(inputs["train"].dataset).to_dict()["url"] == "https://example.org/train.csv"
    assert "mlflow_colspec" in inputs["train"].dataset.schema and "num_rows" in inputs["train"].dataset.profile

    def count(filter_string):
        return len(mlflow.search_runs([eid], filter_string))

    assert count("dataset.name = 'train'") == 2
    assert count(f"datasets.digest = '{train.digest}' AND dataset.context = 'training'") == 2
    assert count("dataset.context IN ('validation', 'test')") == 1
    assert count("dataset.name LIKE 'arr%'") == 1 and count("dataset.name ILIKE 'ARR%'") == 1
    assert count("dataset.name = 'nothing'") == 0
    client = MlflowClient()
    with refuses("INVALID_PARAMETER_VALUE"):
        client.log_inputs(run.info.run_id, [DatasetInput(Dataset("n" * 501, "d", "local", "{}"), [InputTag("k", "v")])])


def flow_system_metrics():
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    client = MlflowClient()
    with mlflow.start_run(experiment_id=experiment(), log_system_metrics=True) as run:
        deadline = time.time() + 15
        while "system/cpu_utilization_percentage" not in client.get_run(run.info.run_id).data.metrics:
            assert time.time() < deadline, "no system metric arrived"
            time.sleep(0.1)
    keys = client.get_run(run.info.run_id).data.metrics
    assert "system/system_memory_usage_megabytes" in keys


def flow_names_of_every_kind():
    client = MlflowClient()
    name = unique("ünïcode 名前 🐎 'quoted' \"twice\" %_ \\ ;--")
    eid = client.create_experiment(name)
    assert client.get_experiment_by_name(name).experiment_id == eid
    run = client.create_run(eid, run_name="🏃 'n\" %", tags={"schlüssel 名": "line\nbreak\ttab 🐎"})
    got = client.get_run(run.info.run_id)
    assert got.info.run_name == "🏃 'n\" %" and got.data.tags["schlüssel 名"] == "line\nbreak\ttab 🐎"
    assert len(client.search_runs([eid], "tags.`schlüssel 名` LIKE 'line%'")) == 1
