"""The peer of bench/onnx: makes the models, and scores them with onnxruntime.

    python peer.py prepare FOLDER
    python peer.py score FOLDER MODEL    answers each line of standard input, as the program does
"""

import json
import pathlib
import resource
import sys

import numpy as np

COLUMNS = 20


def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def prepare(folder):
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, COLUMNS)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=len(x)) > 0).astype(int)
    models = {
        "trees": make_pipeline(StandardScaler(), RandomForestClassifier(100, max_leaf_nodes=31, random_state=1)),
        "mlp": make_pipeline(StandardScaler(), MLPClassifier((64, 32), max_iter=5, random_state=1)),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    }
    for name, model in models.items():
        model.fit(x, y)
        graph = to_onnx(model, x[:1], options={id(model): {"zipmap": False}}, target_opset={"": 18, "ai.onnx.ml": 3})
        (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
    x[:1000].tofile(folder / "x.f32")


def score(folder, name):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    x = np.fromfile(folder / "x.f32", np.float32).reshape(-1, COLUMNS)
    for line in sys.stdin:
        rows, times = map(int, line.split())
        begin = cpu()
        for i in range(times):
            at = i * rows % len(x)
            out = session.run(None, {"X": x[at : at + rows]})
        print(json.dumps({"version": onnxruntime.__version__, "cpu": (cpu() - begin) / times, "scores": out[1].ravel()[:20].tolist()}), flush=True)


if sys.argv[1] == "prepare":
    prepare(pathlib.Path(sys.argv[2]))
else:
    score(pathlib.Path(sys.argv[2]), sys.argv[3])
