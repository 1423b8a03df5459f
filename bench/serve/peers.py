"""The peers of bench/serve, each with the same LightGBM model of numbers.

    python peers.py train TRAIN.csv FOLDER TREES LEAVES     writes model.txt, model.onnx and MLServer's folder
    python peers.py fastapi FOLDER PORT                     /predict, /predict-def (LightGBM) and /predict-ort (ONNX Runtime)
    python peers.py bentoml FOLDER PORT                     /predict
    python peers.py mlserver FOLDER PORT                    /v2/models/bench/infer

Nothing is logged, routed or counted by any of them; access logs are off, one thread each. FastAPI and BentoML take
{"rows": [[12 numbers], …]}; MLServer takes the Open Inference Protocol.
"""

import csv
import json
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"


def train(path: str, folder: str, trees: int, leaves: int) -> None:
    import lightgbm as lgb
    import numpy as np
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    with open(path, newline="") as f:
        rows = list(csv.reader(f))[1:]
    data = np.array([[float(v) for v in r] for r in rows])
    x, y = data[:, :-1], data[:, -1]
    params = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "num_threads": 1, "verbose": -1, "seed": 1}
    model = lgb.train(params, lgb.Dataset(x, y), trees)
    out = Path(folder)
    served = out / "mlserver" / "bench"
    served.mkdir(parents=True)
    model.save_model(str(out / "model.txt"))
    model.save_model(str(served / "model.txt"))
    onnx = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, x.shape[1]]))], zipmap=False)
    (out / "model.onnx").write_bytes(onnx.SerializeToString())
    settings = {"name": "bench", "implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"uri": "./model.txt", "version": "1"}}
    (served / "model-settings.json").write_text(json.dumps(settings))


def fastapi(folder: str, port: int) -> None:
    import lightgbm as lgb
    import numpy as np
    import onnxruntime as ort
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Request(BaseModel):
        rows: list[list[float]]

    class Response(BaseModel):
        scores: list[float]

    model = lgb.Booster(model_file=folder + "/model.txt")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(folder + "/model.onnx", options, providers=["CPUExecutionProvider"])
    app = FastAPI()

    @app.get("/ready")
    async def ready():
        return {}

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        return Response(scores=model.predict(np.array(request.rows), num_threads=1).tolist())

    @app.post("/predict-def")
    def predict_def(request: Request) -> Response:
        return Response(scores=model.predict(np.array(request.rows), num_threads=1).tolist())

    @app.post("/predict-ort")
    async def predict_ort(request: Request) -> Response:
        out = session.run(["probabilities"], {"x": np.array(request.rows, dtype=np.float32)})
        return Response(scores=out[0][:, 1].tolist())

    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


def bentoml(folder: str, port: int) -> None:
    code = f'''
import bentoml
import lightgbm as lgb
import numpy as np


@bentoml.service(traffic={{"timeout": 30}}, workers=1, logging={{"access": {{"enabled": False}}}}, metrics={{"enabled": False}})
class Bench:
    def __init__(self):
        self.model = lgb.Booster(model_file={folder + "/model.txt"!r})

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> dict:
        return {{"scores": self.model.predict(np.array(rows), num_threads=1).tolist()}}
'''
    home = Path(folder) / "bento"
    home.mkdir(exist_ok=True)
    (home / "service.py").write_text(code)
    os.environ["BENTOML_HOME"] = str(home / "home")
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.chdir(home)
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", "service:Bench", "--host", "127.0.0.1", "--port", str(port)])


def mlserver(folder: str, port: int) -> None:
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
        "logging_settings": {"version": 1, "root": {"level": "WARNING"}},
    }
    home = Path(folder) / "mlserver"
    (home / "settings.json").write_text(json.dumps(settings))
    os.chdir(home)
    os.execv(sys.executable, [sys.executable, "-c", "from mlserver.cli import main; main()", "start", "."])


if __name__ == "__main__":
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "train":
        train(rest[0], rest[1], int(rest[2]), int(rest[3]))
    else:
        {"fastapi": fastapi, "bentoml": bentoml, "mlserver": mlserver}[what](rest[0], int(rest[1]))
