"""Artifacts through the server's own store, as the newest client moves them."""

import os
import tempfile
import time

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.artifacts import download_artifacts, list_artifacts, load_dict, load_image, load_text
from mlflow.tracking import MlflowClient
from PIL import Image
from scratch import experiment


def start():
    return mlflow.start_run(experiment_id=experiment())


def flow_every_helper():
    with start() as run:
        mlflow.log_text("text", "a/text.txt")
        mlflow.log_text("<b>hi</b>", "page.html")
        mlflow.log_dict({"k": "v"}, "d.json")
        mlflow.log_dict({"k": "v"}, "d.yml")
        figure = Figure()
        figure.subplots().plot([1, 2])
        mlflow.log_figure(figure, "plots/figure.png")
        mlflow.log_image(np.zeros((4, 5, 3), dtype=np.uint8), "image.png")
        mlflow.log_image(Image.new("RGB", (3, 3)), key="steps", step=1)
        mlflow.log_table(pd.DataFrame({"a": [1, 2]}), "t.json")
        mlflow.log_table({"a": [3]}, "t.json")
    base = f"runs:/{run.info.run_id}"
    assert load_text(f"{base}/a/text.txt") == "text"
    assert load_dict(f"{base}/d.json") == {"k": "v"}
    assert load_text(f"{base}/d.yml") == "k: v\n"
    assert load_image(f"{base}/image.png").size == (5, 4)
    assert list(mlflow.load_table("t.json", run_ids=[run.info.run_id])["a"]) == [1, 2, 3]
    names = {f.path for f in list_artifacts(run_id=run.info.run_id)}
    assert {"a", "page.html", "d.json", "d.yml", "plots", "image.png", "images", "t.json"} <= names


def flow_tree():
    files = {"one.bin": b"\x00\xff" * 500, "empty": b"", "deep/er/and/deeper.txt": b"x", "deep/b": b"22",
             "with space.txt": b"s", "ünï 名.txt": b"u", "a+b=c&d;e,f@g!.txt": b"q", "quo'te\".txt": b"'", "dots..txt": b".", ".hidden": b"h",
             "~tilde": b"~", "colon:x": b":", "curly{}[]()": b"c"}
    with start() as run, tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            os.makedirs(os.path.dirname(os.path.join(folder, "in", name)), exist_ok=True)
            with open(os.path.join(folder, "in", name), "wb") as f:
                f.write(content)
        mlflow.log_artifacts(os.path.join(folder, "in"), "tree")
        got = download_artifacts(run_id=run.info.run_id, artifact_path="tree", dst_path=os.path.join(folder, "out"))
        for name, content in files.items():
            with open(os.path.join(got, name), "rb") as f:
                assert f.read() == content, name
        sizes = {f.path: f.file_size or 0 for f in list_artifacts(run_id=run.info.run_id, artifact_path="tree") if not f.is_dir}
        assert sizes["tree/one.bin"] == 1000 and sizes["tree/empty"] == 0
        whole = download_artifacts(f"runs:/{run.info.run_id}/", dst_path=os.path.join(folder, "whole"))
        assert os.path.exists(os.path.join(whole, "tree", "deep", "er", "and", "deeper.txt"))


def flow_large_and_replaced():
    content = np.random.default_rng(1).bytes(12 << 20)
    with start() as run, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "big.bin")
        for data in [content, content[::-1]]:
            with open(path, "wb") as f:
                f.write(data)
            mlflow.log_artifact(path)
        got = download_artifacts(run_id=run.info.run_id, artifact_path="big.bin", dst_path=os.path.join(folder, "out"))
        with open(got, "rb") as f:
            assert f.read() == content[::-1]


def flow_missing():
    with start() as run:
        mlflow.log_text("x", "there.txt")
    client = MlflowClient()
    assert client.list_artifacts(run.info.run_id, "nothing") == [] == client.list_artifacts(run.info.run_id, "there.txt")
    for path in ["nothing.txt", "there.txt/below", "no/such/place.bin"]:
        begun = time.time()
        try:
            download_artifacts(run_id=run.info.run_id, artifact_path=path)
        except Exception as e:
            assert "404" in str(e) or "Failed to download" in str(e), e
        else:
            raise AssertionError(f"{path} was found")
        assert time.time() - begun < 5, "a missing artifact takes long"


def flow_deleted():
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with start() as run:
        mlflow.log_text("x", "d/a.txt")
        mlflow.log_text("y", "d/b.txt")
    repository = get_artifact_repository(mlflow.get_run(run.info.run_id).info.artifact_uri)
    repository.delete_artifacts("d/a.txt")
    assert [f.path for f in MlflowClient().list_artifacts(run.info.run_id, "d")] == ["d/b.txt"]
    repository.delete_artifacts("d")
    assert MlflowClient().list_artifacts(run.info.run_id) == []


def flow_where_they_are():
    with start() as run:
        root = mlflow.get_artifact_uri()
        assert root.startswith("mlflow-artifacts:/") and root.endswith(f"/{run.info.run_id}/artifacts"), root
        mlflow.log_text("x", "a.txt")
    assert load_text(f"{root}/a.txt") == "x"
    import requests

    for name in ["run_id", "run_uuid"]:
        answer = requests.get(f"{mlflow.get_tracking_uri()}/get-artifact", params={name: run.info.run_id, "path": "a.txt"}, timeout=10)
        assert (answer.status_code, answer.text) == (200, "x")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
