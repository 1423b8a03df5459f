"""Registers graphs with the server at TRIMTAB_SERVER, through MLflow's REST API.

simple         OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1; INT32 [-1, 16], as in Triton's quick start
simple_string  the same of numbers as texts: BYTES [-1, 16]
echo           OUTPUT0 = INPUT0; BYTES [-1, 16], as Triton's simple_identity
half           OUTPUT0 = INPUT0 * 2; FP16 [-1, 4]
"""

import os

import requests
from onnx import TensorProto, helper

server = os.environ["TRIMTAB_SERVER"]


def model(nodes, element, width, inputs, outputs) -> bytes:
    def value(name):
        return helper.make_tensor_value_info(name, element, [None, width])

    graph = helper.make_graph(nodes, "graph", [value(n) for n in inputs], [value(n) for n in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def both(prefix="", suffix=""):
    return [
        helper.make_node("Add", [prefix + "INPUT0", prefix + "INPUT1"], ["OUTPUT0" + suffix]),
        helper.make_node("Sub", [prefix + "INPUT0", prefix + "INPUT1"], ["OUTPUT1" + suffix]),
    ]


def models():
    names = ["INPUT0", "INPUT1"], ["OUTPUT0", "OUTPUT1"]
    yield "simple", model(both(), TensorProto.INT32, 16, *names)
    casts = [helper.make_node("Cast", [n], ["n" + n], to=TensorProto.INT32) for n in names[0]]
    back = [helper.make_node("Cast", [n + "n"], [n], to=TensorProto.STRING) for n in names[1]]
    yield "simple_string", model(casts + both("n", "n") + back, TensorProto.STRING, 16, *names)
    yield "echo", model([helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])], TensorProto.STRING, 16, ["INPUT0"], ["OUTPUT0"])
    yield "half", model([helper.make_node("Add", ["INPUT0", "INPUT0"], ["OUTPUT0"])], TensorProto.FLOAT16, 4, ["INPUT0"], ["OUTPUT0"])


def call(method, path, **arguments):
    answer = requests.request(method, server + path, timeout=60, **arguments)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else {}


for name, graph in models():
    run = call("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"})["run"]["info"]["run_id"]
    call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/model.onnx", data=graph)
    call("POST", "/api/2.0/mlflow/registered-models/create", json={"name": name})
    version = call(
        "POST", "/api/2.0/mlflow/model-versions/create", json={"name": name, "source": f"mlflow-artifacts:/0/{run}/artifacts/model", "run_id": run}
    )
    assert version["model_version"]["status"] == "READY", version
