"""The peer of bench/serve: FastAPI on uvicorn with a LightGBM model of the same size, trained on the same rows.

    python peer.py TRAIN.csv PORT TREES LEAVES

It validates the same JSON request with pydantic, prepares the row, predicts, and answers the same JSON. Nothing is logged, routed or
counted. uvloop and httptools are on, the access log is off. /predict is an async handler, which pays for no thread pool and blocks the
event loop while the model works; /predict-def is the plain function that FastAPI's documentation advises for work that blocks.
"""

import csv
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import lightgbm as lgb
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

TEXTS = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "hour", "temp", "humid", "wind_speed", "precip", "pressure", "visib", "year", "seats"]
ZONE = ZoneInfo("America/New_York")


class Flight(BaseModel):
    time_hour: datetime
    carrier: str | None = None
    origin: str | None = None
    dest: str | None = None
    tailnum: str | None = None
    distance: float | None = None
    hour: float | None = None
    temp: float | None = None
    humid: float | None = None
    wind_speed: float | None = None
    precip: float | None = None
    pressure: float | None = None
    visib: float | None = None
    year: float | None = None
    seats: float | None = None


class Request(BaseModel):
    rows: list[Flight]
    keys: list[str] | None = None
    at: datetime | None = None


class Prediction(BaseModel):
    score: float
    label: bool


class Response(BaseModel):
    predictions: list[Prediction]


def train(path: str, trees: int, leaves: int):
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    codes = {t: {v: i for i, v in enumerate(sorted({r[t] for r in rows}))} for t in TEXTS}
    x = np.array(
        [[codes[t][r[t]] for t in TEXTS] + [float(r["weekday"])] + [float(r[n]) if r[n] else np.nan for n in NUMBERS] for r in rows],
        dtype=np.float64,
    )
    y = np.array([float(r["late"]) for r in rows])
    params = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "num_threads": 1, "verbose": -1, "min_data_in_leaf": 200}
    return codes, lgb.train(params, lgb.Dataset(x, y, categorical_feature=[0, 1, 2]), trees)


def main() -> None:
    path, port, trees, leaves = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    codes, model = train(path, trees, leaves)
    app = FastAPI()

    @app.get("/ready")
    async def ready():
        return {"lightgbm": lgb.__version__}

    def answer(request: Request) -> Response:
        x = np.array(
            [
                [codes[t].get(getattr(r, t), -1) for t in TEXTS]
                + [r.time_hour.astimezone(ZONE).weekday()]
                + [np.nan if (v := getattr(r, n)) is None else v for n in NUMBERS]
                for r in request.rows
            ],
            dtype=np.float64,
        )
        scores = model.predict(x, num_threads=1)
        return Response(predictions=[Prediction(score=s, label=s >= 0.5) for s in scores])

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        return answer(request)

    @app.post("/predict-def")
    def predict_def(request: Request) -> Response:
        return answer(request)

    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


main()
