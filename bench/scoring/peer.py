"""Trains the model of the scoring benchmark, and scores it with LightGBM or ONNX Runtime on one thread.

Usage: peer.py prepare FOLDER    trains FOLDER/job.json's model: model.txt, model.onnx, and the rows x.f32 to score
       peer.py lightgbm FOLDER   answers each line of standard input, "batch" or "row", with CPU seconds as JSON
       peer.py onnx FOLDER       the same
"""

import ctypes
import json
import pathlib
import sys
import time

import numpy as np


def prepare(folder, job):
    import lightgbm
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    r = np.random.default_rng(7)
    columns, rows = job["columns"], job["train"] + job["rows"]
    x = r.standard_normal((rows, columns), dtype=np.float32)
    x[:, 5] = np.exp(0.6 * x[:, 5])
    x[:, 9] = np.abs(x[:, 9])
    hidden = np.where(r.random((columns, 12)) < 0.25, r.standard_normal((columns, 12)), 0)
    z = np.tanh(x @ hidden / 1.5) @ r.standard_normal(12) + 0.8 * x[:, 0] * x[:, 1] - 0.6 * np.abs(x[:, 3])
    y = r.random(rows) < 1 / (1 + np.exp(-z))
    n = job["train"]
    params = {
        "objective": "binary",
        "num_leaves": job["leaves"],
        "learning_rate": 0.05,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "verbosity": -1,
        "seed": 1,
    }
    booster = lightgbm.train(params, lightgbm.Dataset(x[:n], y[:n]), job["trees"])
    booster.save_model(folder / "model.txt")
    onnx = onnxmltools.convert_lightgbm(booster, initial_types=[("x", FloatTensorType([None, columns]))], zipmap=False)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    x[n:].tofile(folder / "x.f32")


def use_lightgbm(folder, x):
    import lightgbm

    booster = lightgbm.Booster(model_file=folder / "model.txt")
    library = lightgbm.basic._LIB
    wide, out, length = x.astype(np.float64), ctypes.c_double(), ctypes.c_int64()
    fast = ctypes.c_void_p()
    # 1: raw scores; 1: values of float64. The configuration once, then one call for each row.
    library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 1, 0, -1, 1, x.shape[1], b"num_threads=1", ctypes.byref(fast)
    )
    call, address, stride = library.LGBM_BoosterPredictForMatSingleRowFast, wide.ctypes.data, wide.strides[0]

    def batch():
        return booster.predict(wide, raw_score=True, num_threads=1)

    def row(i):
        call(fast, ctypes.c_void_p(address + i * stride), ctypes.byref(length), ctypes.byref(out))

    return lightgbm.__version__, batch, row


def use_onnx(folder, x):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    name, wanted = session.get_inputs()[0].name, [session.get_outputs()[1].name]

    def batch():
        p = session.run(wanted, {name: x})[0][:, 1].astype(np.float64)
        return np.log(p / (1 - p))

    def row(i):
        session.run(wanted, {name: x[i : i + 1]})

    return onnxruntime.__version__, batch, row


def main():
    task, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    if task == "prepare":
        prepare(folder, job)
        return
    x = np.fromfile(folder / "x.f32", dtype=np.float32).reshape(-1, job["columns"])
    version, batch, row = (use_lightgbm if task == "lightgbm" else use_onnx)(folder, x)
    batch()
    for line in sys.stdin:
        margins = []
        if line.strip() == "batch":
            start = time.process_time()
            margins = batch()
            spent = (time.process_time() - start) / len(x)
            margins = margins[:1000].tolist()
        else:
            count = min(len(x), job["single"])
            start = time.process_time()
            for i in range(count):
                row(i)
            spent = (time.process_time() - start) / count
        print(json.dumps({"version": version, "cpu": spent, "margins": margins}), flush=True)


main()
