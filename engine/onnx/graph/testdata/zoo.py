"""Packs a zoo of converted pipelines of scikit-learn, LightGBM and XGBoost with what onnxruntime answers.

    python zoo.py zoo.pack.gz [SEED]

with the environment of test/oracle. Another seed makes other rows and models: what `go test -run Sweep` does.
"""

import os
import sys
import traceback
import warnings

os.environ["OMP_NUM_THREADS"] = "1"  # small models; and the same sums everywhere

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import skl2onnx.common._container as container
import xgboost
from models import pipelines
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common import data_types as mltypes
from pack import Pack
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common import data_types as sktypes
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes

warnings.simplefilter("ignore")
onnxruntime.set_default_logger_severity(4)
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
OPSET = {"": 18, "ai.onnx.ml": 3, "com.microsoft": 1}


def register():
    made = container.make_node
    container.make_node = lambda op, i, o, **settings: made(op, i, o, **{k: as_list(v) for k, v in settings.items()})  # protobuf 7 takes no arrays
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as lgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as xgb

    choices = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    for kind, convert, name in ((lightgbm, lgbm, "LGBM"), (xgboost, xgb, "XGB")):
        update_registered_converter(getattr(kind, f"{name}Classifier"), f"{name}C", calculate_linear_classifier_output_shapes, convert, options=choices)
        update_registered_converter(getattr(kind, f"{name}Regressor"), f"{name}R", calculate_linear_regressor_output_shapes, convert, options={"split": None})


def feeds(model, rows):
    """One tensor, or one per column of a frame."""
    if isinstance(rows, pd.DataFrame):
        out = {}
        for i in model.get_inputs():
            kind = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(bool)": bool, "tensor(string)": object}[i.type]
            out[i.name] = rows[i.name].to_numpy().astype(kind).reshape(-1, 1)
        return out
    if isinstance(rows, dict):
        return rows
    return {model.get_inputs()[0].name: rows}


def matrix(value):
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([[row[k] for k in row] for row in value], np.float32)
    return np.asarray(value)


def without_locale(model):
    """onnxruntime takes the locale that the converter writes only where it is installed; for these words it changes nothing."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type == "StringNormalizer":
            rest = [a for a in node.attribute if a.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*rest, onnx.helper.make_attribute("locale", "C")])
    return copy.SerializeToString()


def as_list(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [v.item() if isinstance(v, np.generic) else v for v in value] if isinstance(value, list) else value


def convert(model, rows, how):
    how = dict(how)
    tool = how.pop("tool", "sklearn")
    if tool == "lightgbm":
        return convert_lightgbm(model, initial_types=[("X", mltypes.FloatTensorType([None, rows.shape[1]]))], **how)
    if tool == "xgboost":
        return convert_xgboost(model, initial_types=[("X", mltypes.FloatTensorType([None, rows.shape[1]]))], **how)
    opset = how.pop("target_opset", OPSET)
    if isinstance(rows, dict):
        return to_onnx(model, initial_types=[("X", sktypes.DictionaryType(sktypes.StringTensorType([1]), sktypes.FloatTensorType([1])))], target_opset=opset, **how)
    return to_onnx(model, rows[:1], target_opset=opset, **how)


register()
pack, failed = Pack(sys.argv[1]), []
for name, make in pipelines(seed):
    try:
        model, rows, how = make()
        converted = convert(model, rows, how)
        session = onnxruntime.InferenceSession(without_locale(converted), providers=["CPUExecutionProvider"])
        given = feeds(session, rows)
        if isinstance(rows, dict):
            answers = session.run(None, {"X": rows})
            given = {"X.keys": np.array(list(rows), object), "X.values": np.array(list(rows.values()), np.float32)}
        else:
            answers = session.run(None, given)
        answers = dict(zip([o.name for o in session.get_outputs()], [matrix(a) for a in answers]))
    except Exception as e:
        failed.append(name)
        print("left out", name, str(e)[:150].replace("\n", " "), file=sys.stderr)
        if "-v" in sys.argv:
            traceback.print_exc()
        continue
    pack.add(name, converted.SerializeToString(), given, answers)
pack.close()
print(pack.count, "pipelines;", len(failed), "that the converters or onnxruntime do not take")
