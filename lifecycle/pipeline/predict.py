"""Predicts rows with a model that was logged through MLflow, in the environment that it was trained in.

usage: predict.py MODEL ROWS OUT CLASSES

MODEL is the folder of the model, ROWS a Parquet file. CLASSES is a JSON list of the labels as texts, [] for a
regression. OUT gets float64, little-endian, row by row: the value, or the probability of each class.
"""

import importlib
import json
import sys

import numpy
import pandas

# Flavours whose own models tell probabilities; mlflow.pyfunc would hide them behind predict.
NATIVE = ("sklearn", "lightgbm", "xgboost", "catboost")


def load(path):
    from mlflow.models import Model

    flavors = Model.load(path).flavors
    for name in NATIVE:
        if name in flavors:
            model = importlib.import_module("mlflow." + name).load_model(path)
            if hasattr(model, "predict_proba") or name == "sklearn":
                return model
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(path)


def text(label):
    """A label as the platform writes it: True and 1.0 are 1."""
    if isinstance(label, (bool, numpy.bool_)):
        return str(int(label))
    if isinstance(label, (float, numpy.floating)) and float(label).is_integer():
        return str(int(label))
    return str(label)


def in_order(columns, values, classes):
    out = numpy.zeros((len(values), len(classes)))
    for j, name in enumerate(columns):
        if name in classes:
            out[:, classes.index(name)] = values[:, j]
    return out


def predict(model, rows, classes):
    if not classes:
        values = numpy.asarray(model.predict(rows), dtype=float).reshape(len(rows), -1)
        if values.shape[1] != 1:
            raise ValueError(f"a regression predicts one value for a row, and the model predicts {values.shape[1]}")
        return values
    if hasattr(model, "predict_proba"):
        return in_order([text(c) for c in model.classes_], numpy.asarray(model.predict_proba(rows), dtype=float), classes)
    answer = model.predict(rows)
    if isinstance(answer, pandas.DataFrame) and all(text(c) in classes for c in answer.columns):
        return in_order([text(c) for c in answer.columns], answer.to_numpy(dtype=float), classes)
    values = numpy.asarray(answer)
    if values.ndim == 2 and values.shape[1] == len(classes):
        return values.astype(float)
    values = values.reshape(len(rows))
    labels = [text(v) for v in values]
    if all(v in classes for v in labels):
        out = numpy.zeros((len(rows), len(classes)))
        out[numpy.arange(len(rows)), [classes.index(v) for v in labels]] = 1
        return out
    if len(classes) == 2 and numpy.issubdtype(values.dtype, numpy.number) and ((values >= 0) & (values <= 1)).all():
        return numpy.column_stack([1 - values, values])
    unknown = sorted(set(labels) - set(classes))[:5]
    raise ValueError(f"the model predicts {unknown}, which are neither labels ({classes[:10]}) nor probabilities")


def main():
    path, rows, out, classes = sys.argv[1:]
    frame = pandas.read_parquet(rows)
    values = predict(load(path), frame, json.loads(classes))
    numpy.ascontiguousarray(values, dtype="<f8").tofile(out)


main()
