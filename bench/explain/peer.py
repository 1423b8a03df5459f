"""Trains LightGBM models and explains rows with them, and tells what it cost.

Usage: peer.py train FOLDER LEAVES ROWS | peer.py explain FOLDER ROWS

train writes FOLDER/model.txt, 100 trees on 100,000 rows of 28 columns, and ROWS other rows to FOLDER/rows.f32, row-major
float32. explain writes the contributions of the first ROWS of them to FOLDER/peer.f64, rows x 29 with the expected value
last, and one JSON object with the CPU seconds of pred_contrib on one thread to standard output.
"""

import json
import pathlib
import sys
import time

import lightgbm
import numpy as np

COLUMNS = 28


def sample(rows, seed):
    """Normal, skewed and correlated columns; a label from interactions and a smooth score."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(rows, COLUMNS)).astype(np.float32)
    x[:, 5], x[:, 9], x[:, 13] = np.exp(0.6 * x[:, 5]), np.abs(x[:, 9]), x[:, 13] / 2 + x[:, 2] / 2
    z = 0.8 * x[:, 0] * x[:, 1] - 0.6 * np.abs(x[:, 3]) + 0.5 * np.sin(2 * x[:, 7]) * x[:, 8] + np.tanh(x[:, 10:20] @ np.linspace(-1, 1, 10))
    return x, (r.random(rows) < 1 / (1 + np.exp(-z))).astype(np.float32)


def train(folder, leaves, rows):
    x, y = sample(100_000, 1)
    params = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.1, "min_data_in_leaf": 20, "num_threads": 2, "seed": 1, "verbosity": -1}
    lightgbm.train(params, lightgbm.Dataset(x, y), num_boost_round=100).save_model(folder / "model.txt")
    sample(rows, 2)[0].tofile(folder / "rows.f32")


def explain(folder, rows):
    model = lightgbm.Booster(model_file=folder / "model.txt")
    x = np.fromfile(folder / "rows.f32", dtype=np.float32).reshape(-1, COLUMNS)[:rows]
    cpu = time.process_time()
    got = model.predict(x, pred_contrib=True, num_threads=1)
    cpu = time.process_time() - cpu
    got.astype(np.float64).tofile(folder / "peer.f64")
    print(json.dumps({"cpu": cpu, "version": lightgbm.__version__}))


command, home, numbers = sys.argv[1], pathlib.Path(sys.argv[2]), [int(v) for v in sys.argv[3:]]
{"train": train, "explain": explain}[command](home, *numbers)
