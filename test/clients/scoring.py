"""MLflow's scoring client, pandas and pyarrow against the doors for rows. Arguments: host, port.

The models are those of api/inference/inferencetest: the default deployment says true where temp / 10 >= 0.5, iris has the classes
0, 1 and 2, value is temp / 10.
"""

import io
import json
import sys
import traceback

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

host, port = sys.argv[1], sys.argv[2]
base = f"http://{host}:{port}"
client = ScoringServerClient(host, int(port))
flights = pd.DataFrame(
    {
        "dest": ["LAX", None, "BOS"],
        "temp": [7.5, 2.5, 5.0],
        "when": pd.to_datetime(["2013-04-01 10:00", "2013-04-01 11:00", "2013-04-01 12:00"]),
        "night": [True, False, True],
        "more": [1, 2, 3],
    }
)
labels = ["true", "false", "true"]


def ready():
    client.wait_server_ready(timeout=5)
    client.ping()
    assert client.get_version().strip() == "3.17.2", client.get_version()


def frames():
    got = client.invoke(flights).get_predictions()
    assert list(got.iloc[:, 0]) == labels, got


def frames_with_params():
    got = client.invoke(flights, params={"predict_method": "predict_proba"})
    np.testing.assert_allclose(np.array(got["predictions"]), [[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]])


def arrays():
    got = client.invoke(np.array([[7.5, "LAX"], [2.5, None]], dtype=object))
    assert got["predictions"] == ["true", "false"], got


def refused():
    try:
        client.invoke(flights.drop(columns=["temp"]))
    except Exception as error:
        assert "400" in str(error) and "BAD_REQUEST" in str(error) and "missing inputs ['temp']" in str(error), error
        return
    raise AssertionError("a frame without temp was answered")


def records():
    body = {"dataframe_records": json.loads(flights.to_json(orient="records", date_format="iso"))}
    got = requests.post(f"{base}/d/value/mlflow/invocations", json=body).json()
    np.testing.assert_allclose(got["predictions"], [0.75, 0.25, 0.5])


def csv():
    body = flights.to_csv(index=False)
    got = requests.post(f"{base}/invocations", data=body, headers={"Content-Type": "text/csv"}).json()
    assert got["predictions"] == labels, got
    answer = requests.post(f"{base}/api/v1/deployments/value/predict", data=body, headers={"Content-Type": "text/csv"})
    np.testing.assert_allclose(pd.read_csv(io.StringIO(answer.text))["score"], [0.75, 0.25, 0.5])


def whole_numbers():
    got = requests.post(f"{base}/d/iris/mlflow/invocations", json={"inputs": [[5.1, 3.5], [1, 2]]}).json()
    assert got == {"predictions": [0, 0]}, got


def lines():
    body = flights.drop(columns=["when"]).to_json(orient="records", lines=True)
    answer = requests.post(f"{base}/api/v1/deployments/value/predict", data=body, headers={"Content-Type": "application/x-ndjson"})
    np.testing.assert_allclose(pd.read_json(io.StringIO(answer.text), lines=True)["score"], [0.75, 0.25, 0.5])


def table(content_type, body, accept=None):
    headers = {"Content-Type": content_type, "Accept": accept or content_type}
    answer = requests.post(f"{base}/api/v1/deployments/binary/predict", data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return io.BytesIO(answer.content)


def check(answer):
    assert list(answer["label"]) == labels, answer
    np.testing.assert_allclose(answer["score"], [0.75, 0.25, 0.5])
    assert str(answer["at"].dtype).startswith("datetime64") and answer["id"].is_unique, answer.dtypes


STREAM, FILE, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file", "application/vnd.apache.parquet"


def arrow_stream():
    for frame in (flights, flights.astype({"dest": "category", "temp": "float32"}), flights.convert_dtypes()):
        arrow = pa.Table.from_pandas(frame)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, arrow.schema) as writer:
            writer.write_table(arrow, max_chunksize=2)
        check(pa.ipc.open_stream(table(STREAM, sink.getvalue())).read_pandas())


def feather():
    for compression in ("lz4", "zstd", "uncompressed"):
        sink = io.BytesIO()
        flights.to_feather(sink, compression=compression)
        check(pd.read_feather(table(FILE, sink.getvalue())))


def parquet():
    for options in (
        {},
        {"compression": "zstd"},
        {"compression": "gzip"},
        {"compression": None, "use_dictionary": False},
        {"data_page_version": "2.0"},
        {"version": "1.0"},
    ):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(flights), sink, row_group_size=2, **options)
        check(pq.read_table(table(PARQUET, sink.getvalue())).to_pandas())


def parquet_to_arrow():
    sink = io.BytesIO()
    flights.to_parquet(sink)
    check(pa.ipc.open_stream(table(PARQUET, sink.getvalue(), STREAM)).read_pandas())


def tensors():
    images = pa.table({"image": pa.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], pa.list_(pa.float32(), 3))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, images.schema) as writer:
        writer.write_table(images)
    answer = requests.post(f"{base}/api/v1/deployments/mean/predict", data=sink.getvalue(), headers={"Content-Type": STREAM})
    assert answer.status_code == 200, answer.text
    assert pa.ipc.open_stream(io.BytesIO(answer.content)).read_pandas()["mean"].tolist() == [2.0, 5.0]


for flow in (
    ready,
    frames,
    frames_with_params,
    arrays,
    refused,
    records,
    csv,
    whole_numbers,
    lines,
    arrow_stream,
    feather,
    parquet,
    parquet_to_arrow,
    tensors,
):
    error = ""
    try:
        flow()
    except Exception:
        error = traceback.format_exc()
    print(json.dumps({"flow": flow.__name__, "error": error}), flush=True)
