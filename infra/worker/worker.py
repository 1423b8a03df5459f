"""The Python end of a worker: loads one model and answers frames on file descriptor 3.

A frame is u32 length | u8 type | u64 id | u32 header length | header (JSON) | raw tensors, all little-endian. One request is answered
after the other. It needs the standard library only; numpy, pandas and what the model needs are imported when the model does.
"""

import faulthandler
import importlib
import importlib.util
import json
import math
import os
import platform
import socket
import struct
import sys
import traceback
import types

HELLO, LOAD, READY, INFER, RESULT, ERROR, LOG, METRIC, PING, DRAIN = range(1, 11)
PROTOCOL = 1
HEAD = struct.Struct("<IBQI")
CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
DATATYPES = {
    "b1": "BOOL",
    "u1": "UINT8",
    "u2": "UINT16",
    "u4": "UINT32",
    "u8": "UINT64",
    "i1": "INT8",
    "i2": "INT16",
    "i4": "INT32",
    "i8": "INT64",
    "f2": "FP16",
    "f4": "FP32",
    "f8": "FP64",
}

np = None  # numpy, once it is there


def numpy():
    global np
    if np is None:
        try:
            np = importlib.import_module("numpy")
        except ImportError:
            return None
    return np


def have(name):
    return importlib.util.find_spec(name) is not None


class BadInput(Exception):
    """The caller sent what the model does not take."""


class Channel:
    """The pipe to the server."""

    def __init__(self, fd):
        os.set_inheritable(fd, False)
        self.socket = socket.socket(fileno=fd)
        self.buffer = bytearray(1 << 16)
        self.view = memoryview(self.buffer)
        self.start = self.end = 0
        self.id = 0

    def more(self, need):
        """Has at least that many bytes in the buffer."""
        if self.start and self.start + need > len(self.buffer):
            rest = self.end - self.start
            self.buffer[:rest] = bytes(self.view[self.start : self.end])
            self.start, self.end = 0, rest
        while self.end - self.start < need:
            n = self.socket.recv_into(self.view[self.end :])
            if n == 0:
                raise EOFError
            self.end += n

    def receive(self):
        """The next frame: type, header, raw. Raw is ours to keep and to write to."""
        if self.start == self.end:
            self.start = self.end = 0
        self.more(17)
        length, kind, self.id, header = HEAD.unpack_from(self.buffer, self.start)
        at, size = self.start + 17, length - 13
        if size <= len(self.buffer) - 17:
            self.more(17 + size)
            at = self.start + 17
            body = self.buffer[at : at + size]
            self.start = at + size
        else:
            body = bytearray(size)
            there = min(size, self.end - at)
            body[:there] = self.view[at : at + there]
            self.start = at + there
            view = memoryview(body)[there:]
            while view:
                n = self.socket.recv_into(view)
                if n == 0:
                    raise EOFError
                view = view[n:]
        return kind, bytes(body[:header]), memoryview(body)[header:]

    def send(self, kind, header, raw=(), id=None):
        if not isinstance(header, bytes):
            header = json.dumps(header).encode()
        length = 13 + len(header) + sum(map(len, raw))
        head = HEAD.pack(length, kind, self.id if id is None else id, len(header))
        if length < 1 << 16:
            self.socket.sendall(b"".join((head, header, *raw)))
            return
        self.socket.sendall(head + header)
        for part in raw:
            self.socket.sendall(part)


# ---- tensors


def texts(raw):
    out, at, end = [], 0, len(raw)
    while at < end:
        size = int.from_bytes(raw[at : at + 4], "little")
        at += 4
        out.append(str(raw[at : at + size], "utf-8", "surrogateescape"))
        at += size
    return out


def nested(flat, shape):
    for size in reversed(shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)] if size else [[] for _ in range(shape[0])]
    return flat if shape else flat[0]


def decode(name, datatype, shape, raw):
    """A tensor as a numpy array; as lists when there is no numpy. Texts are str."""
    if datatype == "BYTES":
        flat = texts(raw)
        if np is None:
            return nested(flat, shape)
        array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return array.reshape(shape)
    if datatype == "BF16":
        if np is None:
            words = memoryview(raw).cast("H").tolist()
            return nested([struct.unpack("<f", struct.pack("<I", w << 16))[0] for w in words], shape)
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if np is None:
        code = CODES[datatype]
        size = struct.calcsize(code)
        return nested(list(struct.unpack(f"<{len(raw) // size}{code}", raw)), shape)
    return np.frombuffer(raw, DTYPES[datatype]).reshape(shape)


class LazyTypes(dict):
    def __missing__(self, datatype):
        self[datatype] = np.dtype("<" + CODES[datatype] if datatype != "BOOL" else "?")
        return self[datatype]


DTYPES = LazyTypes()


def pack_texts(values):
    parts = []
    for v in values:
        if isinstance(v, bytes):
            b = v
        elif v is None or (isinstance(v, float) and math.isnan(v)):
            b = b""
        else:
            b = str(v).encode("utf-8", "surrogateescape")
        parts.append(len(b).to_bytes(4, "little"))
        parts.append(b)
    return b"".join(parts)


def plain(value):
    """Whatever a model answered, as a numpy array where there is numpy."""
    module = type(value).__module__.partition(".")[0]
    if module == "torch":
        value = value.detach().cpu()
        return value.float().numpy() if str(value.dtype) == "torch.bfloat16" else value.numpy()
    if module == "tensorflow" or hasattr(value, "numpy") and callable(value.numpy):
        return value.numpy()
    if module == "scipy" and hasattr(value, "toarray"):
        return value.toarray()
    if module == "pandas":
        return value.to_numpy()
    return np.asarray(value)


def encode(value):
    """datatype, shape and bytes of an answer."""
    if np is None:
        return encode_lists(value)
    if type(value) is not np.ndarray:
        value = plain(value)
    datatype = DATATYPES.get(value.dtype.str[1:])
    if datatype is not None:
        if value.dtype.byteorder == ">":
            value = value.astype(value.dtype.newbyteorder("<"))
        return datatype, value.shape, value.tobytes()
    if value.dtype.kind == "O":
        flat = value.ravel().tolist()
        if flat and all(isinstance(v, bool) for v in flat):
            return "BOOL", value.shape, np.array(flat, dtype="?").tobytes()
        if flat and all(isinstance(v, int) and not isinstance(v, bool) for v in flat):
            return "INT64", value.shape, np.array(flat, dtype="<i8").tobytes()
        if flat and all(v is None or isinstance(v, (int, float)) and not isinstance(v, bool) for v in flat):
            numbers = [math.nan if v is None else v for v in flat]
            return "FP64", value.shape, np.array(numbers, dtype="<f8").tobytes()
        return "BYTES", value.shape, pack_texts(flat)
    if value.dtype.kind in "US":
        return "BYTES", value.shape, pack_texts(value.ravel().tolist())
    if value.dtype.kind == "M":
        return "BYTES", value.shape, pack_texts(np.datetime_as_string(value).ravel().tolist())
    if value.dtype.kind == "f":
        return "FP64", value.shape, value.astype("<f8").tobytes()
    raise TypeError(f"an answer of {value.dtype} has no place in a tensor")


def encode_lists(value):
    shape, flat = [], [value]
    while flat and all(isinstance(v, (list, tuple)) for v in flat):
        sizes = {len(v) for v in flat}
        if len(sizes) != 1:
            raise TypeError("an answer of lists of different lengths is no tensor")
        shape.append(sizes.pop())
        flat = [x for v in flat for x in v]
    if flat and all(isinstance(v, bool) for v in flat):
        return "BOOL", shape, struct.pack(f"<{len(flat)}?", *flat)
    if flat and all(isinstance(v, int) and not isinstance(v, bool) for v in flat):
        return "INT64", shape, struct.pack(f"<{len(flat)}q", *flat)
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in flat):
        return "FP64", shape, struct.pack(f"<{len(flat)}d", *flat)
    return "BYTES", shape, pack_texts(flat)


def named_answers(value, names=()):
    """What a model returned, as names with values."""
    if isinstance(value, dict):
        return {str(k): v for k, v in value.items()}
    if type(value).__name__ == "DataFrame" and hasattr(value, "columns"):
        return {str(c): value[c].to_numpy() for c in value.columns}
    if isinstance(value, (tuple, list)) and value and all(hasattr(v, "shape") for v in value) and len(value) > 1:
        return {names[i] if i < len(names) else f"output_{i}": v for i, v in enumerate(value)}
    return {names[0] if names else "predict": value}


class Answers:
    """Builds the header of a RESULT; equal ones are built once."""

    def __init__(self):
        self.cache = {}

    def header(self, parts):
        key = tuple((name, datatype, tuple(shape), len(raw)) for name, (datatype, shape, raw) in parts)
        header = self.cache.get(key)
        if header is None:
            outputs = [{"name": n, "datatype": d, "shape": [int(v) for v in s], "size": z} for n, d, s, z in key]
            header = json.dumps({"outputs": outputs}).encode()
            if len(self.cache) > 256:
                self.cache.clear()
            self.cache[key] = header
        return header


# ---- models: each has inputs, outputs, about, and answer(inputs, wanted, params) -> dict


class Sklearn:
    """An estimator of scikit-learn, or anything like one: predict, and predict_proba where there is one."""

    def __init__(self, estimator, load):
        self.model = estimator
        if not callable(getattr(estimator, "predict", None)):
            raise TypeError(f"the file holds {kind_of(estimator)}, which has no predict")
        names = feature_names(estimator)
        width = getattr(estimator, "n_features_in_", None)
        self.names = [str(n) for n in names] if names is not None else None
        self.pandas = None
        if self.names is not None and have("pandas"):
            self.pandas = importlib.import_module("pandas")
            self.columns = self.pandas.Index(self.names)
        if self.names is not None:
            kinds = column_types(estimator, self.names)
            self.inputs = [{"name": n, "datatype": kinds[n], "shape": [-1]} for n in self.names]
        else:
            datatype = "BYTES" if takes_texts(estimator) else "FP64"
            shape = [-1] if datatype == "BYTES" else [-1, int(width) if width else -1]
            self.inputs = [{"name": "input", "datatype": datatype, "shape": shape}]
        classes = getattr(estimator, "classes_", None)
        self.methods = {"predict": estimator.predict}
        self.outputs = [{"name": "predict", "datatype": answer_type(estimator, classes), "shape": [-1]}]
        several = getattr(estimator, "n_outputs_", 1)
        if isinstance(several, int) and several > 1:
            self.outputs[0]["shape"] = [-1, several]
        proba = getattr(estimator, "predict_proba", None)  # False, not an error, where an SVC has no probabilities
        if callable(proba) and not isinstance(classes, list):
            self.methods["predict_proba"] = proba
            count = len(classes) if classes is not None else -1
            self.outputs.append({"name": "predict_proba", "datatype": "FP64", "shape": [-1, count]})
        task = "classifier" if classes is not None else getattr(estimator, "_estimator_type", None) or "regressor"
        self.about = {"task": task, "estimator": kind_of(estimator)}
        if classes is not None and not isinstance(classes, list):
            self.about["classes"] = plain(classes).tolist()
        if self.names is not None:
            self.about["features"] = self.names

    def rows(self, inputs):
        if self.names is None:
            value = inputs.get("input")
            if value is None and len(inputs) == 1:
                value = next(iter(inputs.values()))
            if value is None:
                raise BadInput('the input "input" is missing')
            return value.ravel().tolist() if value.dtype.kind == "O" and value.ndim < 2 else value
        missing = [n for n in self.names if n not in inputs]
        if missing:
            raise BadInput(f"the input {missing[0]!r} is missing")
        columns = [inputs[n] for n in self.names]
        kinds = {c.dtype for c in columns}
        if len(kinds) == 1 and columns[0].dtype.kind != "O":
            table = np.empty((len(columns[0]), len(columns)), dtype=columns[0].dtype, order="F")
            for i, c in enumerate(columns):
                table[:, i] = c.reshape(-1)
            if self.pandas is None:
                return table
            return self.pandas.DataFrame(table, columns=self.columns, copy=False)
        columns = [c.reshape(-1) for c in columns]
        if self.pandas is None:
            return np.column_stack([c.astype(object) for c in columns])
        return self.pandas.DataFrame(dict(zip(self.names, columns, strict=True)), copy=False)

    def answer(self, inputs, wanted, params):
        rows = self.rows(inputs)
        return {name: self.methods[name](rows) for name in wanted or self.methods}


def kind_of(value):
    return f"{type(value).__module__}.{type(value).__qualname__}"


def feature_names(estimator):
    names = getattr(estimator, "feature_names_in_", None)
    if names is None and hasattr(estimator, "feature_name_") and type(estimator).__module__.startswith("lightgbm"):
        names = estimator.feature_name_
        if all(n.startswith("Column_") for n in names):
            names = None
    return None if names is None else list(names)


def takes_texts(estimator):
    """Whether the first step reads texts as they are: a vectoriser."""
    while hasattr(estimator, "steps") and estimator.steps:
        estimator = estimator.steps[0][1]
    return hasattr(estimator, "build_analyzer")


def column_types(estimator, names):
    """The types of columns as far as the encoders of a ColumnTransformer tell; the others are numbers."""
    kinds = dict.fromkeys(names, "FP64")

    def text(column):
        if isinstance(column, str) and column in kinds:
            kinds[column] = "BYTES"

    def visit(step, columns):
        if hasattr(step, "steps"):
            for _, inner in step.steps:
                visit(inner, columns)
                if hasattr(inner, "transformers_"):
                    break
        if hasattr(step, "transformers_"):
            for _, inner, chosen in step.transformers_:
                if isinstance(chosen, str):
                    chosen = [chosen]
                    if hasattr(inner, "build_analyzer"):
                        text(chosen[0])
                        continue
                if not isinstance(chosen, (list, tuple)) and not hasattr(chosen, "tolist"):
                    continue
                chosen = list(chosen)
                if chosen and all(isinstance(c, bool) for c in chosen):
                    chosen = [n for n, use in zip(columns, chosen, strict=True) if use]
                visit(inner, [columns[c] if isinstance(c, int) and c < len(columns) else c for c in chosen])
        categories = getattr(step, "categories_", None)
        if categories is not None and len(categories) == len(columns):
            for column, values in zip(columns, categories, strict=True):
                if any(isinstance(v, str) for v in list(values)):
                    text(column)
        statistics = getattr(step, "statistics_", None)
        if statistics is not None and len(statistics) == len(columns):
            for column, value in zip(columns, list(statistics), strict=True):
                if isinstance(value, str):
                    text(column)

    visit(estimator, names)
    return kinds


def answer_type(estimator, classes):
    if classes is None or isinstance(classes, list):
        labels = getattr(estimator, "labels_", None)  # of clusters
        return "INT64" if labels is not None or hasattr(estimator, "fit_predict") else "FP64"
    return DATATYPES.get(plain(classes).dtype.str[1:], "BYTES")


def load_sklearn(load):
    numpy()
    if load["path"].endswith(".skops"):
        skops = importlib.import_module("skops.io")
        types = skops.get_untrusted_types(file=load["path"])  # the server has checked them
        return Sklearn(skops.load(load["path"], trusted=types), load)
    if have("joblib"):
        return Sklearn(importlib.import_module("joblib").load(load["path"]), load)
    with open(load["path"], "rb") as f:
        return Sklearn(importlib.import_module("pickle").load(f), load)


class Booster:
    """A LightGBM or XGBoost model without scikit-learn's dress."""

    def __init__(self, names, width, predict):
        self.predict = predict
        self.names = names
        self.inputs = [{"name": n, "datatype": "FP64", "shape": [-1]} for n in names or ()]
        if not names:
            self.inputs = [{"name": "input", "datatype": "FP64", "shape": [-1, width]}]
        self.outputs = [{"name": "predict", "datatype": "FP64", "shape": None}]
        self.about = {"task": "booster", "features": names or []}

    def answer(self, inputs, wanted, params):
        if self.names:
            table = np.column_stack([inputs[n].reshape(-1) for n in self.names])
        else:
            table = inputs["input"]
        return {"predict": self.predict(table)}


def load_lightgbm(path):
    numpy()
    b = importlib.import_module("lightgbm").Booster(model_file=path)
    names = b.feature_name()
    named = not all(n.startswith("Column_") for n in names)
    return Booster(names if named else None, len(names), lambda x: b.predict(x, num_threads=1))


def load_xgboost(path):
    numpy()
    xgboost = importlib.import_module("xgboost")
    b = xgboost.Booster({"nthread": 1})
    b.load_model(path)
    names = b.feature_names
    return Booster(names, b.num_features(), lambda x: b.predict(xgboost.DMatrix(x, feature_names=names, nthread=1)))


class Pyfunc:
    """A model folder of MLflow, opened by MLflow itself."""

    DATATYPES = {
        "boolean": "BOOL",
        "integer": "INT32",
        "long": "INT64",
        "float": "FP32",
        "double": "FP64",
        "string": "BYTES",
        "binary": "BYTES",
        "datetime": "BYTES",
    }

    def __init__(self, load):
        numpy()
        mlflow = importlib.import_module("mlflow.pyfunc")
        self.model = mlflow.load_model(load["path"])
        self.pandas = importlib.import_module("pandas")
        self.inputs, self.outputs = [], [{"name": "predict", "datatype": None, "shape": None}]
        self.about = {"task": "pyfunc"}
        schema = self.model.metadata.get_input_schema()
        self.tensor = schema is not None and schema.is_tensor_spec()
        self.dates = set()
        for i, spec in enumerate(schema.inputs if schema is not None else ()):
            name = spec.name or ("input" if len(schema.inputs) == 1 else f"input_{i}")
            if self.tensor:
                shape = [int(v) for v in spec.shape]
                self.inputs.append({"name": name, "datatype": DATATYPES.get(spec.type.str[1:], "BYTES"), "shape": shape})
                continue
            kind = getattr(spec.type, "name", "string")
            if kind == "datetime":
                self.dates.add(name)
            field = {"name": name, "datatype": self.DATATYPES.get(kind, "BYTES"), "shape": [-1]}
            if not getattr(spec, "required", True):
                field["optional"] = True
            self.inputs.append(field)
        self.unnamed = schema is not None and not schema.has_input_names()

    def answer(self, inputs, wanted, params):
        if self.tensor:
            rows = next(iter(inputs.values())) if self.unnamed else inputs
        elif len(inputs) == 1 and next(iter(inputs.values())).ndim == 2:
            rows = next(iter(inputs.values()))
        else:
            columns = {}
            for name, value in inputs.items():
                value = value.reshape(-1) if value.ndim != 1 else value
                columns[name] = self.pandas.to_datetime(value) if name in self.dates else value
            rows = self.pandas.DataFrame(columns)
        value = self.model.predict(rows, params=params) if params else self.model.predict(rows)
        return named_answers(value, [o["name"] for o in self.outputs])


def load_pyfunc(load):
    if have("mlflow"):
        return Pyfunc(load)
    flavour = load.get("flavour") or {}
    name, path = flavour.get("name"), os.path.join(load["path"], flavour.get("data") or "model.pkl")
    if name == "sklearn":
        return load_sklearn({**load, "path": path})
    if name == "lightgbm" and not path.endswith(".pkl"):
        return load_lightgbm(path)
    if name == "xgboost" and not path.endswith(".pkl"):
        return load_xgboost(path)
    if name in ("lightgbm", "xgboost"):
        return load_sklearn({**load, "path": path})
    raise ImportError("mlflow is not in the environment of the model, and its flavours need it")


class Torch:
    def __init__(self, module, load, names):
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(1)
        self.model = module
        self.names = names
        self.inputs = load.get("inputs") or [{"name": n, "datatype": None, "shape": None} for n in names]
        self.outputs = load.get("outputs") or []
        self.about = {"task": "tensors"}

    def answer(self, inputs, wanted, params):
        if self.names and all(n in inputs for n in self.names):
            values = [inputs[n] for n in self.names]
        else:
            values = list(inputs.values())
        with self.torch.inference_mode():
            value = self.model(*(self.torch.from_numpy(v) for v in values))
        names = [o["name"] for o in self.outputs]
        if isinstance(value, (tuple, list)):
            return {names[i] if i < len(names) else f"output_{i}": v for i, v in enumerate(value)}
        if isinstance(value, dict):
            return value
        return {names[0] if names else "output": value}


def load_torchscript(load):
    numpy()
    torch = importlib.import_module("torch")
    module = torch.jit.load(load["path"], map_location="cpu").eval()
    names = [a.name for a in module.forward.schema.arguments if a.name != "self" and not a.has_default_value()]
    return Torch(module, load, names)


def load_torch_export(load):
    numpy()
    torch = importlib.import_module("torch")
    program = torch.export.load(load["path"])
    names = [s.arg.name for s in program.graph_signature.input_specs if str(s.kind).endswith("USER_INPUT")]
    return Torch(program.module(), load, names)


class Keras:
    def __init__(self, model, load):
        self.model = model
        self.names = [t.name.partition(":")[0] for t in model.inputs]
        self.inputs = [
            {
                "name": n,
                "datatype": DATATYPES.get(np.dtype(str(t.dtype)).str[1:], "FP32"),
                "shape": [-1 if d is None else int(d) for d in t.shape],
            }
            for n, t in zip(self.names, model.inputs, strict=True)
        ]
        names = getattr(model, "output_names", None)  # Keras 3 has none
        if not names:
            names = ["output"] if len(model.outputs) == 1 else [f"output_{i}" for i in range(len(model.outputs))]
        self.outputs = [
            {"name": n, "datatype": "FP32", "shape": [-1 if d is None else int(d) for d in t.shape]}
            for n, t in zip(list(names), model.outputs, strict=True)
        ]
        self.about = {"task": "tensors"}

    def answer(self, inputs, wanted, params):
        values = [inputs[n] for n in self.names]
        value = self.model(values[0] if len(values) == 1 else values, training=False)
        return named_answers(value, [o["name"] for o in self.outputs])


def load_keras(load):
    numpy()
    keras = importlib.import_module("keras" if have("keras") else "tensorflow.keras")
    return Keras(keras.models.load_model(load["path"], compile=False), load)


class SavedModel:
    def __init__(self, load):
        numpy()
        self.tf = importlib.import_module("tensorflow")
        self.model = self.tf.saved_model.load(load["path"])  # the functions live as long as it does
        signature = (load.get("flavour") or {}).get("signature") or "serving_default"
        self.call = self.model.signatures[signature]
        self.inputs = [self.field(n, s) for n, s in self.call.structured_input_signature[1].items()]
        self.outputs = [self.field(n, s) for n, s in self.call.structured_outputs.items()]
        self.about = {"task": "tensors"}

    def field(self, name, spec):
        shape = None if spec.shape.rank is None else [-1 if d is None else int(d) for d in spec.shape]
        kind = spec.dtype.as_numpy_dtype
        return {"name": name, "datatype": "BYTES" if kind is object else DATATYPES.get(np.dtype(kind).str[1:], "FP32"), "shape": shape}

    def answer(self, inputs, wanted, params):
        return dict(self.call(**{i["name"]: self.tf.constant(inputs[i["name"]]) for i in self.inputs}))


class Onnxruntime:
    TYPES = {
        "tensor(float)": "FP32",
        "tensor(double)": "FP64",
        "tensor(float16)": "FP16",
        "tensor(int8)": "INT8",
        "tensor(int16)": "INT16",
        "tensor(int32)": "INT32",
        "tensor(int64)": "INT64",
        "tensor(uint8)": "UINT8",
        "tensor(uint16)": "UINT16",
        "tensor(uint32)": "UINT32",
        "tensor(uint64)": "UINT64",
        "tensor(bool)": "BOOL",
        "tensor(string)": "BYTES",
    }

    def __init__(self, load):
        numpy()
        ort = importlib.import_module("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # an arena never shrinks
        self.session = ort.InferenceSession(load["path"], options, providers=["CPUExecutionProvider"])
        self.inputs = [self.field(i) for i in self.session.get_inputs()]
        self.outputs = [self.field(o, -1) for o in self.session.get_outputs()]
        self.about = {"task": "tensors"}

    def field(self, value, first=None):
        shape = [d if isinstance(d, int) and d >= 0 else -1 for d in value.shape or ()]
        if first is not None and shape:
            shape[0] = first  # converters declare one row and give as many as there are
        return {"name": value.name, "datatype": self.TYPES.get(value.type), "shape": shape if self.TYPES.get(value.type) else None}

    def answer(self, inputs, wanted, params):
        names = wanted or [o["name"] for o in self.outputs]
        out = {}
        for name, value in zip(names, self.session.run(names, inputs), strict=True):
            if isinstance(value, list) and value and isinstance(value[0], dict):  # of ZipMap: rows x classes
                value = np.array([list(row.values()) for row in value], dtype=np.float32)
            out[name] = value
        return out


class Program:
    """A predict.py: load(path) and predict(model, inputs) or predict(model, inputs, params)."""

    def __init__(self, load):
        numpy()
        script = load["path"]
        folder = os.path.dirname(script)
        if os.path.isdir(script):
            folder, script = script, os.path.join(script, "predict.py")
        sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location("predict", script)
        module = importlib.util.module_from_spec(spec)
        sys.modules["predict"] = module
        spec.loader.exec_module(module)
        self.predict = getattr(module, load.get("predict") or "predict")
        loader = getattr(module, "load", None)
        self.model = loader(folder) if loader else None
        code = getattr(self.predict, "__code__", None)
        self.params = code is not None and code.co_argcount >= 3
        self.inputs = load.get("inputs") or [field_of(f) for f in getattr(module, "INPUTS", ())]
        self.outputs = load.get("outputs") or [field_of(f) for f in getattr(module, "OUTPUTS", ())]
        self.about = {"task": "tensors"}
        for key in ("classes", "features", "task"):
            if hasattr(module, key.upper()):
                value = getattr(module, key.upper())
                self.about[key] = value if isinstance(value, str) else list(value)

    def answer(self, inputs, wanted, params):
        value = self.predict(self.model, inputs, params) if self.params else self.predict(self.model, inputs)
        return named_answers(value, [o["name"] for o in self.outputs])


def field_of(f):
    if isinstance(f, str):
        return {"name": f, "datatype": None, "shape": None}
    return {
        "name": f["name"],
        "datatype": f.get("datatype"),
        "shape": f.get("shape"),
        **({"optional": True} if f.get("optional") else {}),
    }


LOADERS = {
    "sklearn": load_sklearn,
    "pyfunc": load_pyfunc,
    "lightgbm": lambda load: load_lightgbm(load["path"]),
    "xgboost": lambda load: load_xgboost(load["path"]),
    "torchscript": load_torchscript,
    "torch_export": load_torch_export,
    "keras": load_keras,
    "tensorflow": SavedModel,
    "predict.py": Program,
    "onnxruntime": Onnxruntime,
}

LIBRARIES = ("numpy", "pandas", "sklearn", "joblib", "lightgbm", "xgboost", "mlflow", "torch", "tensorflow", "keras", "onnxruntime")


# ---- the loop


class Plans:
    """Reads the headers of INFER; equal ones are read once."""

    def __init__(self):
        self.cache = {}

    def read(self, header):
        plan = self.cache.get(header)
        if plan is None:
            h = json.loads(header)
            at, fields = 0, []
            for i in h["inputs"]:
                fields.append((i["name"], i["datatype"], tuple(i["shape"]), at, at + i["size"]))
                at += i["size"]
            plan = (fields, h.get("outputs") or [], h.get("params") or {})
            if len(self.cache) > 256 or len(header) > 1 << 16:
                self.cache.clear()
            self.cache[header] = plan
        return plan


def problem(error, load=False):
    kind = "load" if load else "model"
    if isinstance(error, MemoryError):
        kind = "memory"
    elif not load and isinstance(error, (BadInput, ValueError, TypeError)):
        kind = "input"
    message = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
    trace = "" if isinstance(error, BadInput) else "".join(traceback.format_exception(error))[-8000:]
    return {"kind": kind, "message": message[:4000], "traceback": trace}


def told(fields):
    """Inputs or outputs as READY has them."""
    out = []
    for f in fields:
        field = {"name": f["name"], "shape": f.get("shape")}
        datatype = f.get("datatype") or f.get("type")
        if datatype:
            field["type"] = datatype
        if f.get("optional"):
            field["optional"] = True
        out.append(field)
    return out


def versions():
    found = {}
    for name in LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def infer(channel, model, plans, answers, header, raw):
    fields, wanted, params = plans.read(header)
    inputs = {name: decode(name, kind, shape, raw[a:b]) for name, kind, shape, a, b in fields}
    out = model.answer(inputs, wanted, params)
    if wanted:
        missing = [n for n in wanted if n not in out]
        if missing:
            raise BadInput("there is no output {!r}; there are {}".format(missing[0], ", ".join(out)))
        parts = [(n, encode(out[n])) for n in wanted]
    else:
        parts = [(n, encode(v)) for n, v in out.items()]
    channel.send(RESULT, answers.header(parts), [raw for _, (_, _, raw) in parts])


def main():
    faulthandler.enable()
    channel = Channel(3)
    helper = types.ModuleType("trimtab_worker", "What a predict.py may call.")
    helper.metric = lambda name, value: channel.send(METRIC, {"name": str(name), "value": float(value)})
    helper.log = lambda *words: channel.send(LOG, {"message": " ".join(map(str, words))})
    helper.BadInput = BadInput
    sys.modules["trimtab_worker"] = helper
    channel.send(HELLO, {"protocol": PROTOCOL, "language": "python", "version": platform.python_version()}, id=0)
    model, plans, answers = None, Plans(), Answers()
    while True:
        try:
            kind, header, raw = channel.receive()
        except EOFError:
            return
        if kind == INFER:
            try:
                infer(channel, model, plans, answers, header, raw)
            except BaseException as e:  # whatever a model raises is its answer
                report = problem(e)
                if report["kind"] != "input":
                    print(report["traceback"], file=sys.stderr, flush=True)
                channel.send(ERROR, report)
                del e, report
        elif kind == LOAD:
            load = json.loads(header)
            try:
                model = LOADERS[load["kind"]](load)
            except BaseException as e:
                channel.send(ERROR, problem(e, load=True))
                return
            ready = {"inputs": told(model.inputs), "outputs": told(model.outputs), "about": model.about, "versions": versions()}
            channel.send(READY, ready)
        elif kind == PING:
            channel.send(PING, {})
        elif kind == DRAIN:
            return


main()
